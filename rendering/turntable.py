"""A face turned around its vertical axis, as a row of pictures."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .colors import LIGHT, levels_from_light
from .meshes import check_finite, check_mesh
from .rasterizer import interpolate, rasterize
from .shading import TURQUOISE, Material, lit, shade, vertex_normals

FILLS = 0.86  # of the picture's side that the mesh takes at most, in any direction it is turned
BACKGROUND = 245  # grey level
SUBPIXELS = 2
BOTH_SIDES = replace(TURQUOISE, ambient=0.15)  # the inside comes into view
CLAY = Material(color=(1.0, 1.0, 1.0), ambient=0.15, diffuse=0.85, specular=0.0)  # light on coloured vertices


def turntable(
    vertices: np.ndarray,
    triangles: np.ndarray,
    colors: np.ndarray | None = None,
    *,
    count: int = 48,
    size: int = 400,
    sway: float = 60.0,
    material: Material = BOTH_SIDES,
) -> Iterator[np.ndarray]:
    """Pictures (size, size, 3) uint8 of a mesh that swings to both sides and back, or turns all the way round.

    vertices: (N, 3), y up, z to the viewer, any unit. triangles: (T, 3). colors: (N, 3) sRGB 0..1, else `material`'s.
    sway: degrees to each side; 180 turns all the way. Raises ShapeError, DegenerateFaceError.
    """
    check_mesh(vertices, triangles)
    check_finite(vertices)
    phases = np.arange(count) / count
    angles = 360 * phases if sway >= 180 else sway * np.sin(2 * np.pi * phases)
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    away = vertices - centre
    reach = max(float(np.hypot(away[:, 0], away[:, 2]).max()), float(np.abs(away[:, 1]).max()))
    for angle in np.radians(angles):
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        yield still(away @ turn.T * (FILLS * size / 2 / max(reach, 1e-12)), triangles, colors, size, material)


def still(
    vertices: np.ndarray, triangles: np.ndarray, colors: np.ndarray | None, size: int, material: Material = BOTH_SIDES
) -> np.ndarray:
    """One picture (size, size, 3) uint8 of a mesh around (0, 0, 0), y up, in its pixels; both sides are drawn."""
    middle = (size * SUBPIXELS - 1) / 2
    placed = vertices * [SUBPIXELS, -SUBPIXELS, SUBPIXELS] + [middle, middle, 0]
    normals = vertex_normals(placed, triangles)
    fragments = rasterize(placed, triangles, size * SUBPIXELS, size * SUBPIXELS)
    if colors is None:
        share, light = lit(fragments, normals, SUBPIXELS, material)
    else:
        covered = fragments.covered
        seen = interpolate(fragments, fragments.corners, np.column_stack([normals, colors]))
        facing = seen[covered][:, :3] / np.maximum(np.linalg.norm(seen[covered][:, :3], axis=1, keepdims=True), 1e-12)
        fine = np.zeros((*covered.shape, 3))
        fine[covered] = shade(facing, CLAY) * LIGHT[np.rint(255 * np.clip(seen[covered][:, 3:], 0, 1)).astype(int)]
        blocks = (size, SUBPIXELS, size, SUBPIXELS)
        share = covered.reshape(blocks).mean(axis=(1, 3))
        light = fine.reshape(*blocks, 3).mean(axis=(1, 3)) / np.maximum(share, 1e-12)[..., None]
    mixed = LIGHT[BACKGROUND] * (1 - share[..., None]) + light * share[..., None]
    return levels_from_light(np.clip(mixed, 0, 1))
