"""How bright a surface looks: vertex normals, and the paper's turquoise under one light."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..models.errors import ShapeError, TwodaslError
from .colors import light_from_srgb
from .meshes import check_mesh
from .rasterizer import Fragments, interpolate, numba_imports

Frame = Literal["image", "model"]
Direction = tuple[float, float, float]
STEPS = 4096  # of the cosine that tables of light are made for: less than half a grey level apart


@dataclass(frozen=True)
class Material:
    """A surface's colour, and how it answers to light. The default is the turquoise of the paper's figures.

    color: sRGB 0..1. ambient, diffuse: shares of it seen anywhere, and in proportion to the cosine between normal and
    light. specular: strength of the white highlight (Blinn-Phong). shininess: its exponent; larger is smaller.
    flat: one normal for each triangle instead of one that changes over it.
    """

    color: tuple[float, float, float] = (25 / 255, 155 / 255, 147 / 255)
    ambient: float = 0.02
    diffuse: float = 0.93
    specular: float = 0.16
    shininess: float = 18.0
    flat: bool = False


TURQUOISE = Material()
TO_VIEWER = np.array([0.0, 0.0, 1.0])
FROM_VIEWER: Direction = (0.0, 0.0, 1.0)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray, frame: Frame = "image") -> np.ndarray:
    """Outward unit normals of the vertices, in the vertices' own frame: (N, 3) float64.

    vertices: (N, 3) float. triangles: (T, 3) int, counter-clockwise seen from outside.
    frame: "model" (y up) or "image" (y down). The second is mirrored, so that the plain cross product of
    counter-clockwise edges points into the face there; its sign is turned. A face that looks at the camera has
    normals with z > 0 in both.

    The mean of the triangles' normals, weighted by area. A vertex without a triangle of some area has (0, 0, 1);
    triangles with a vertex that is not finite add nothing. Raises ShapeError for arrays of another shape.
    """
    check_mesh(vertices, triangles)
    points = np.ascontiguousarray(vertices, np.float64)
    if numba_imports():
        from .pixels import add_face_normals

        sums = np.zeros((3, len(points), 3))
        add_face_normals(points, np.ascontiguousarray(triangles, np.int32), sums)
        normals = sums[0] + sums[1] + sums[2]
    else:
        normals = _summed_normals(points, triangles)
    return _unit(-normals if frame == "image" else normals)


def _summed_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    face_normals = _crosses(points, triangles)
    face_normals[~np.isfinite(face_normals).all(axis=1)] = 0
    normals = np.empty((len(points), 3))
    for axis in range(3):
        weights = np.ascontiguousarray(face_normals[:, axis])
        first, second, third = (np.bincount(corner, weights, minlength=len(points)) for corner in triangles.T)
        normals[:, axis] = first + second + third
    return normals


def triangle_normals(vertices: np.ndarray, triangles: np.ndarray, frame: Frame = "image") -> np.ndarray:
    """Outward unit normals of the triangles, (T, 3) float64, as `vertex_normals` has them; (0, 0, 1) without area."""
    check_mesh(vertices, triangles)
    normals = _crosses(np.asarray(vertices, np.float64), triangles)
    normals[~np.isfinite(normals).all(axis=1)] = 0
    return _unit(-normals if frame == "image" else normals)


def _crosses(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Cross products of two edges of each triangle, (T, 3)."""
    x, y, z = np.ascontiguousarray(points.T)
    a, b, c = triangles.T
    ux, uy, uz = x[b] - x[a], y[b] - y[a], z[b] - z[a]
    vx, vy, vz = x[c] - x[a], y[c] - y[a], z[c] - z[a]
    return np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)


def _unit(normals: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 0, normals / np.where(length > 0, length, 1), TO_VIEWER)


def shade(normals: np.ndarray, material: Material = TURQUOISE, light: Direction = FROM_VIEWER) -> np.ndarray:
    """Light that surfaces with these normals, (..., 3) float unit length, send to the viewer: (..., 3) float64, linear
    RGB 0..1.

    The viewer is at infinity along +z, the light at infinity along `light` (any length, the normals' frame). Ambient
    and diffuse light in the material's colour, plus a white Blinn-Phong highlight, cut off at 1. Raises ShapeError, and
    TwodaslError for a light without a direction.
    """
    if normals.shape[-1:] != (3,):
        raise ShapeError(f"normals is {normals.shape}; (..., 3) is expected")
    to_light, half = _directions(light)
    facing = np.clip(normals @ to_light, 0, None)
    highlight = material.specular * np.clip(normals @ half, 0, None) ** material.shininess * (facing > 0)
    body = (material.ambient + material.diffuse * facing)[..., None] * light_from_srgb(np.asarray(material.color))
    return np.clip(body + highlight[..., None], 0, 1)


def lit(
    fragments: Fragments,
    normals: np.ndarray,
    subpixels: int = 1,
    material: Material = TURQUOISE,
    light: Direction = FROM_VIEWER,
    compiled: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pixel a surface covers, (H, W) float64 0..1, and the mean light of what it covers, (H, W, 3)
    float64 linear RGB 0..1.

    fragments: of a picture `subpixels` times the size. normals: (N, 3) of the vertices, or (T, 3) of the triangles for
    a flat material. Light is read from tables, `shade` at 4096 steps of the cosine. compiled: with numba where it can
    be imported; the numbers are the same bit for bit.
    """
    directions = np.stack(_directions(light))
    cosines = np.linspace(0, 1, STEPS)
    body = (material.ambient + material.diffuse * cosines)[:, None] * light_from_srgb(np.asarray(material.color))
    shine = material.specular * cosines**material.shininess
    height, width = (side // subpixels for side in fragments.triangle.shape)
    total, count = np.zeros((height, width, 3)), np.zeros((height, width))
    if compiled and numba_imports():
        from .pixels import add_light

        add_light(
            fragments.triangle, fragments.vertices, fragments.corners, normals,
            material.flat, directions, body, shine, subpixels, total, count,
        )  # fmt: skip
    else:
        covered = fragments.covered
        if material.flat:
            x, y, z = normals[fragments.triangle[covered]].T
        else:
            x, y, z = interpolate(fragments, fragments.corners, normals, compiled=False)[covered].T
            length = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)
            x, y, z = x / length, y / length, z / length
        facing, halfway = (x * way[0] + y * way[1] + z * way[2] for way in directions)
        one, two = ((np.clip(cosine, 0, 1) * (STEPS - 1) + 0.5).astype(np.int64) for cosine in (facing, halfway))
        fine = np.minimum(body[one] + np.where(facing > 0, shine[two], 0)[:, None], 1)
        row, column = (places // subpixels for places in np.nonzero(covered))
        np.add.at(total, (row, column), fine)
        np.add.at(count, (row, column), 1)
    return count / subpixels**2, total / np.maximum(count, 1)[..., None]


def _directions(light: Direction) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors to the light, and half-way between it and the viewer; the latter 0 for a light straight behind."""
    to_light = np.asarray(light, np.float64)
    if not np.linalg.norm(to_light) > 0:
        raise TwodaslError(f"the light's direction is {light}; three finite numbers, not all 0, are expected")
    to_light = to_light / np.linalg.norm(to_light)
    half = to_light + TO_VIEWER
    return to_light, half / max(float(np.linalg.norm(half)), 1e-12)
