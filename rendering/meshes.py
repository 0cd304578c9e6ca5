"""Meshes as files: OBJ, plain, textured or as the original code wrote it, PLY, and MATLAB vertex files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..models.errors import DegenerateFaceError, ShapeError, TwodaslError
from ..models.files import PNG, whole_file

# The first 116 bytes of a MATLAB 5 file are free text. scipy puts the time there; the same face is the same bytes here.
MAT_HEADER = b"MATLAB 5.0 MAT-file, vertices of a face, written by twodasl".ljust(116)
AS_NAMED = ("utf-8", "surrogateescape")  # a file's name that is no UTF-8 stands in the file as it is
OBJ_COMPANIONS = (".mtl", ".png")  # the material and the picture of a textured OBJ, beside it


def check_mesh(vertices: np.ndarray, triangles: np.ndarray) -> None:
    """Raise ShapeError unless vertices are (N, 3), triangles (T, 3) of integers, and each index is a vertex's."""
    _check_vertices(vertices)
    check_triangles(triangles, len(vertices))


def check_triangles(triangles: np.ndarray, count: int) -> None:
    """Raise ShapeError unless triangles are (T, 3) of integers, each that of one of `count` vertices."""
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.dtype.kind not in "iu":
        raise ShapeError(f"triangles is {triangles.shape} {triangles.dtype}; (T, 3) of integers is expected")
    # One look instead of two: negative ones become the largest.
    unsigned = triangles.view(triangles.dtype.str.replace("i", "u"))
    if triangles.size and unsigned.max() >= count:
        wrong = triangles.min() if triangles.min() < 0 else triangles.max()
        raise ShapeError(f"a triangle points at vertex {wrong}; there are {count}, counted from 0")


def check_finite(points: np.ndarray, what: str = "vertices") -> None:
    """Raise DegenerateFaceError if there are no points or some of (N, C) are NaN or infinite."""
    wrong = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(points) == 0:
        raise DegenerateFaceError(f"the face has no {what}")
    if len(wrong):
        raise DegenerateFaceError(
            f"{len(wrong)} of {len(points)} {what} are NaN or infinite, the first is number {wrong[0]} (from 0)"
        )


@dataclass(frozen=True, eq=False)
class Skin:
    """A picture laid on a mesh. uv: (N, 2) float 0..1, v up. texture: (S, S, 3) uint8 RGB, its first row at v = 1."""

    uv: np.ndarray
    texture: np.ndarray


def write_obj(
    path: Path,
    vertices: np.ndarray,
    triangles: np.ndarray,
    colors: np.ndarray | None = None,
    comments: Sequence[str] = (),
    skin: Skin | None = None,
) -> None:
    """Write a Wavefront OBJ file with `v x y z` or `v x y z r g b` and `f a b c` lines.

    vertices: (N, 3) float, written in the frame they are in; OBJ viewers expect y up. Nine significant digits, so
    that reading them as float32 gives float32 vertices back exactly. triangles: (T, 3) int, indices from 0 here and
    from 1 in the file, counter-clockwise seen from outside. colors: (N, 3) float, RGB 0..1, four decimals.
    comments: lines for the head of the file, in UTF-8. skin: adds `vt` lines and `f a/a b/b c/c`, and a material in
    `NAME.mtl` with the picture `NAME.png` beside the file.

    Raises ShapeError, or DegenerateFaceError for no triangles or vertices that are not finite, before anything is
    written; FileError where a file cannot be written. All appear whole or none does, the OBJ last.
    """
    check_drawable(vertices, triangles)
    line, rows = "v %.9g %.9g %.9g\n", np.asarray(vertices, np.float64)
    if colors is not None:
        check_colors(colors, len(vertices))
        line, rows = "v %.9g %.9g %.9g %.4f %.4f %.4f\n", np.concatenate([rows, colors], axis=1)
    head = "".join(f"# {text}\n" for comment in comments for text in comment.splitlines())
    body = _lines(line, rows)
    if skin is None:
        with whole_file(path) as temporary:
            temporary.write_bytes((head + body + _lines("f %d %d %d\n", _from_one(triangles))).encode(*AS_NAMED))
        return
    check_skin(skin, len(vertices))
    material, picture = (path.with_suffix(suffix) for suffix in OBJ_COMPANIONS)
    text = f"newmtl face\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n"
    body += _lines("vt %.6f %.6f\n", skin.uv) + "usemtl face\n"
    body += _lines("f %d/%d %d/%d %d/%d\n", np.repeat(_from_one(triangles), 2, axis=1))
    with whole_file(path) as mesh_file, whole_file(material) as material_file, whole_file(picture) as picture_file:
        Image.fromarray(skin.texture).save(picture_file, "png", **PNG)
        material_file.write_bytes((head + text).encode(*AS_NAMED))
        mesh_file.write_bytes((head + f"mtllib {material.name}\n" + body).encode(*AS_NAMED))


def write_obj_matlab(path: Path, vertices: np.ndarray, triangles: np.ndarray) -> None:
    """Write the OBJ file of the original MATLAB code: from the second line on the same bytes.

    It has dummy texture coordinates and names a material that no file defines (original pipeline, section 13, Q18).
    vertices: (N, 3) float, six decimals, in the frame they are in: photo-frame faces stand on their heads in viewers
    (Q19). triangles: (T, 3) int from 0, in the source's winding: `MorphableModel.source_triangles()`.
    Raises what `write_obj` raises.
    """
    check_drawable(vertices, triangles)
    n = len(vertices)
    parts = [
        "# face mesh in the layout of the original 2DASL code\ng\n# object curobj to come\n",
        f"# {n} vertex\n",
        _lines("v %f %f %f\n", np.asarray(vertices, np.float64)),
        f"# {n} vertex texture\n",
        "vt -1.000000 -1.000000\n" * n,
        "g curobj_export\nusemtl bump_map\n",
        f"# {len(triangles)} faces\n",
        _lines("f %d/%d %d/%d %d/%d\n", np.repeat(_from_one(triangles), 2, axis=1)),
    ]
    with whole_file(path) as temporary:
        temporary.write_bytes("".join(parts).encode("ascii"))


def write_vertex_mat(path: Path, vertices: np.ndarray) -> None:
    """Write a vertex file of the original code: MATLAB 5, uncompressed, one variable `vertex`, float32 (3, N).

    The same vertices give the same bytes.

    vertices: (N, 3) float, in the frame they are in (files of this name and shape come in two, Q2).
    Raises ShapeError, or DegenerateFaceError for none or vertices that are not finite, before anything is written.
    """
    from scipy.io import savemat

    _check_vertices(vertices)
    _check_single(vertices)
    content = io.BytesIO()
    variables = {"vertex": np.ascontiguousarray(vertices.T, np.float32)}
    savemat(content, variables, do_compression=False)  # type: ignore[arg-type]  # the stubs know paths only
    with whole_file(path) as temporary:
        temporary.write_bytes(MAT_HEADER + content.getvalue()[len(MAT_HEADER) :])


def _check_vertices(vertices: np.ndarray) -> None:
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ShapeError(f"vertices is {vertices.shape}; (N, 3), one row per vertex, is expected")


def check_drawable(vertices: np.ndarray, triangles: np.ndarray) -> None:
    check_mesh(vertices, triangles)
    _check_single(vertices)
    if len(triangles) == 0:
        raise DegenerateFaceError("the mesh has no triangles")


def _check_single(vertices: np.ndarray) -> None:
    """Raise DegenerateFaceError unless all are finite in single precision too, which mesh files hold."""
    check_finite(vertices)
    farthest = float(np.abs(vertices).max())
    if farthest > float(np.finfo(np.float32).max):
        raise DegenerateFaceError(f"vertices lie up to {farthest:.3g} away; mesh files hold numbers up to 3.4e+38")


def check_colors(colors: np.ndarray, count: int) -> None:
    if colors.shape != (count, 3):
        raise ShapeError(f"colors is {colors.shape}; ({count}, 3), one RGB row per vertex, is expected")
    if not (colors.min() >= 0 and colors.max() <= 1):
        raise TwodaslError(f"colors go from {colors.min():g} to {colors.max():g}; 0 to 1 is expected")


def check_skin(skin: Skin, count: int) -> None:
    if skin.uv.shape != (count, 2):
        raise ShapeError(f"uv is {skin.uv.shape}; ({count}, 2), one row per vertex, is expected")
    if skin.texture.ndim != 3 or skin.texture.shape[2] != 3 or skin.texture.dtype != np.uint8:
        raise ShapeError(f"the texture is {skin.texture.shape} {skin.texture.dtype}; (S, S, 3) uint8 is expected")


def _from_one(triangles: np.ndarray) -> np.ndarray:
    return triangles.astype(np.int64) + 1


def _lines(line: str, rows: np.ndarray) -> str:
    """`line`, a template for one row, filled in for every row: one formatting for the whole array is the fastest."""
    return (line * len(rows)) % tuple(rows.ravel().tolist())


def write_ply(
    path: Path,
    vertices: np.ndarray,
    triangles: np.ndarray,
    colors: np.ndarray | None = None,
    comments: Sequence[str] = (),
) -> None:
    """Write a binary PLY file: float32 vertices, 8-bit colours where given, int32 triangles, in this order.

    vertices: (N, 3), in the frame they are in. colors: (N, 3), RGB 0..1. Raises as `write_obj` does.
    """
    check_drawable(vertices, triangles)
    fields: list[tuple[str, str]] = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    if colors is not None:
        check_colors(colors, len(vertices))
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
    points = np.zeros(len(vertices), fields)
    for axis, name in enumerate("xyz"):
        points[name] = vertices[:, axis]
    if colors is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            points[name] = np.rint(255 * colors[:, channel])
    faces = np.zeros(len(triangles), [("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, triangles
    kinds = {"<f4": "float", "u1": "uchar"}
    head = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {text}" for comment in comments for text in comment.splitlines()),
        f"element vertex {len(points)}",
        *(f"property {kinds[kind]} {name}" for name, kind in fields),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    with whole_file(path) as temporary:
        temporary.write_bytes(("\n".join(head) + "\n").encode("ascii", "replace") + points.tobytes() + faces.tobytes())
