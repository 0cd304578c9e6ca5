"""Meshes and point clouds of other programs: PLY, GLB, STL and OFF through trimesh, OBJ, points as text or `.npy`."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors import FileError, NotFiniteError
from .files import read_bytes, read_npy
from .obj_files import read_obj, texture_of
from .photos import read_photo

MESH_SUFFIXES = frozenset({".ply", ".obj", ".glb", ".stl", ".off"})
POINT_SUFFIXES = frozenset({".asc", ".txt", ".xyz", ".csv", ".npy"})


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices: (N, 3) float64 as the file has them, in its order. triangles: (T, 3) int32, none in a point cloud.
    colors: (N, 3) float64, 0..1 as the file has them: linear light in a GLB, sRGB in others; or None. uv: (N, 2)
    float64, v up, or None. texture: (H, W, 3) uint8 sRGB to be read there, or None. terms: what a file written here says
    of its use."""

    vertices: np.ndarray
    triangles: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    terms: str = ""


def read_mesh(path: Path, *, textured: bool = False) -> Mesh:
    """A mesh or point cloud, its vertices in the file's order. A GLB of several meshes is taken as one, without texture.

    textured: with its texture, where it has one. Raises FileError for a file that is none, or a texture that cannot be read
    where it is asked for; NotFiniteError for vertices that are not finite.
    """
    suffix = path.suffix.lower()
    if suffix == ".obj":
        vertices, triangles, colors, uv = read_obj(path)
        terms = _commented_terms(read_bytes(path), "# terms: ")
        picture = texture_of(path) if textured and uv is not None else None
        texture = None if picture is None else read_photo(picture)
        mesh = Mesh(vertices, triangles.astype(np.int32), colors, uv, texture, terms)
    elif suffix in MESH_SUFFIXES:
        mesh = _read_with_trimesh(path, suffix, textured)
    elif suffix == ".npy":
        mesh = Mesh(_points(read_npy(path), path))
    elif suffix in POINT_SUFFIXES:
        mesh = Mesh(_read_text(path))
    else:
        known = ", ".join(sorted(MESH_SUFFIXES | POINT_SUFFIXES))
        raise FileError(f"{path} is no mesh or point cloud in a known format ({known})")
    if not np.isfinite(mesh.vertices).all():
        wrong = int(np.flatnonzero(~np.isfinite(mesh.vertices).all(axis=1))[0])
        raise NotFiniteError(f"{path}: vertex {wrong} (from 0) is not finite")
    if mesh.triangles.size and not 0 <= mesh.triangles.min() <= mesh.triangles.max() < len(mesh.vertices):
        raise FileError(f"{path}: a triangle points at a vertex that is not there; it has {len(mesh.vertices)}")
    return mesh


def _read_with_trimesh(path: Path, suffix: str, textured: bool) -> Mesh:
    import trimesh

    data = read_bytes(path)
    try:
        # From memory: nothing else (material, picture, buffer) is opened on a mesh file's word.
        scene = trimesh.load_scene(io.BytesIO(data), file_type=suffix[1:], process=False)
        if suffix == ".ply":
            _check_rows(data)
        parts: list[Any] = scene.dump()
        looks = [scene.geometry[scene.graph[node][1]] for node in scene.graph.nodes_geometry]  # lost where it is moved
        texture = _texture(looks[0]) if textured and len(looks) == 1 else None
    except Exception as error:  # trimesh raises whatever its readers meet
        # Of a KeyError and the like the text says nothing.
        reason = str(error) if isinstance(error, OSError | ValueError) and str(error) else "it is damaged, or is none"
        raise FileError(f"{path} cannot be read as {suffix[1:].upper()}: {reason}") from error
    if not parts or not sum(len(part.vertices) for part in parts):
        raise FileError(f"{path} holds no vertices")
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [np.asarray(getattr(part, "faces", np.zeros((0, 3))), np.int64) + start
             for part, start in zip(parts, starts[:-1], strict=True)]  # fmt: skip
    return Mesh(
        vertices=np.concatenate([np.asarray(part.vertices, np.float64) for part in parts]),
        triangles=np.concatenate(faces).astype(np.int32),
        colors=_together([_colors(look) for look in looks]),
        uv=_together([_uv(look) for look in looks]),
        texture=texture,
        terms=_copyright(data) if suffix == ".glb" else _commented_terms(data, "comment terms: "),
    )


def _check_rows(data: bytes) -> None:
    """Raise ValueError for a PLY of text that has fewer lines than its head says, which trimesh takes as it is."""
    head, _, body = data.partition(b"end_header")
    if b"format ascii" in head:
        said = sum(int(line.split()[2]) for line in head.splitlines() if line.startswith(b"element "))
        found = sum(bool(line.strip()) for line in body.splitlines())
        if found < said:
            raise ValueError(f"it is cut off: {said} lines of vertices and faces are expected, {found} are there")


def _together(parts: list[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _colors(part: Any) -> np.ndarray | None:
    visual = getattr(part, "visual", None)
    colors = getattr(visual, "vertex_attributes", {}).get("color")  # of a GLB, beside a material
    if colors is None and (getattr(visual, "kind", None) == "vertex" or hasattr(part, "colors")):
        colors = part.visual.vertex_colors if visual is not None else part.colors
    if colors is None or len(colors) != len(part.vertices):
        return None
    levels = np.asarray(colors)[:, :3]
    return levels.astype(np.float64) / (np.iinfo(levels.dtype).max if levels.dtype.kind == "u" else 1)


def _uv(part: Any) -> np.ndarray | None:
    uv = getattr(getattr(part, "visual", None), "uv", None)
    return None if uv is None else np.asarray(uv, np.float64)


def _texture(part: Any) -> np.ndarray | None:
    """The picture that gives a GLB's surface its colour."""
    picture = getattr(getattr(getattr(part, "visual", None), "material", None), "baseColorTexture", None)
    return None if picture is None or _uv(part) is None else np.asarray(picture.convert("RGB"))


def _copyright(data: bytes) -> str:
    """What a GLB says of its terms."""
    length = int.from_bytes(data[12:16], "little")
    return str(json.loads(data[20 : 20 + length])["asset"].get("copyright", ""))


def _commented_terms(data: bytes, start: str) -> str:
    """What a file written by twodasl says of its terms, in a comment at its head."""
    lines = data[:4000].decode("utf-8", "replace").splitlines()
    return next((line.removeprefix(start) for line in lines if line.startswith(start)), "")


def _read_text(path: Path) -> np.ndarray:
    lines = read_bytes(path).decode("utf-8", "replace").replace(",", " ").replace(";", " ").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith(("#", "//"))]
    try:
        return _points(np.array([[float(value) for value in row] for row in rows]), path)
    except ValueError as error:
        raise FileError(f"{path} is no point cloud: x y z on every line is expected ({error})") from error


def _points(array: np.ndarray, path: Path) -> np.ndarray:
    """(N, 3) of (N, 3 or more) or (3, N)."""
    if array.ndim == 2 and array.shape[0] == 3 and array.shape[1] > 6:
        array = array.T
    if array.ndim != 2 or array.shape[1] < 3 or len(array) == 0 or array.dtype.kind not in "fiu":
        raise FileError(f"{path} is {array.dtype} {array.shape}; (N, 3) numbers are expected")
    return array[:, :3].astype(np.float64)
