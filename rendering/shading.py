"""How bright a surface looks: vertex normals, and the paper's turquoise under one light."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..models.errors import ShapeError, TwodaslError
from .meshes import check_mesh

Frame = Literal["image", "model"]


@dataclass(frozen=True)
class Material:
    """A surface's colour, and how it answers to light. The default is the turquoise of the paper's figures.

    color: RGB 0..1, what the surface shows facing the light. ambient, diffuse: shares of it seen anywhere, and in
    proportion to the cosine between normal and light. specular: strength of the white highlight (Blinn-Phong).
    shininess: its exponent; larger is smaller.
    """

    color: tuple[float, float, float] = (25 / 255, 155 / 255, 147 / 255)
    ambient: float = 0.18
    diffuse: float = 0.82
    specular: float = 0.32
    shininess: float = 20.0


TURQUOISE = Material()
TO_VIEWER = np.array([0.0, 0.0, 1.0])


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
    x, y, z = np.ascontiguousarray(vertices.T, np.float64)
    a, b, c = triangles.T
    ux, uy, uz = x[b] - x[a], y[b] - y[a], z[b] - z[a]
    vx, vy, vz = x[c] - x[a], y[c] - y[a], z[c] - z[a]
    face_normals = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])
    face_normals[:, ~np.isfinite(face_normals).all(axis=0)] = 0
    normals = np.empty((len(vertices), 3))
    for axis in range(3):
        weights = np.ascontiguousarray(face_normals[axis])
        normals[:, axis] = sum(np.bincount(corner, weights, minlength=len(vertices)) for corner in (a, b, c))
    if frame == "image":
        normals = -normals
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 0, normals / np.where(length > 0, length, 1), TO_VIEWER)


def shade(
    normals: np.ndarray, material: Material = TURQUOISE, light: tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> np.ndarray:
    """Colour of surfaces with these normals, (..., 3) float unit length: (..., 3) float64, RGB 0..1.

    The viewer is at infinity along +z, the light at infinity along `light` (any length, the normals' frame). Ambient
    and diffuse light in the material's colour, plus a white Blinn-Phong highlight, cut off at 1. Raises ShapeError, and
    TwodaslError for a light without a direction.
    """
    if normals.shape[-1:] != (3,):
        raise ShapeError(f"normals is {normals.shape}; (..., 3) is expected")
    to_light = np.asarray(light, np.float64)
    if not np.linalg.norm(to_light) > 0:
        raise TwodaslError(f"the light's direction is {light}; three finite numbers, not all 0, are expected")
    to_light = to_light / np.linalg.norm(to_light)
    half = to_light + TO_VIEWER
    half /= max(float(np.linalg.norm(half)), 1e-12)  # zero for a light straight behind: no highlight
    facing = np.clip(normals @ to_light, 0, None)
    highlight = material.specular * np.clip(normals @ half, 0, None) ** material.shininess * (facing > 0)
    body = (material.ambient + material.diffuse * facing)[..., None] * np.asarray(material.color)
    return np.clip(body + highlight[..., None], 0, 1)
