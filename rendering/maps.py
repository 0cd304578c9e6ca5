"""Pictures of the surface itself, one value a pixel and not antialiased: depth, PNCC and normals, on the picture given."""

from typing import Literal

import numpy as np

from ..models.errors import DegenerateFaceError
from ..models.morphable import MorphableModel
from .depth import near_colors
from .images import check_photo
from .meshes import check_finite, check_mesh
from .rasterizer import interpolate, rasterize
from .shading import vertex_normals

MapKind = Literal["depth", "pncc", "normals"]


def depth_map(picture: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The face's depth as colours, near ones yellow, over a picture: (H, W, 3) uint8, a new array.

    picture: (H, W, 3) uint8. vertices: (N, 3) photo pixels from 0, y down, larger z nearer; triangles: (T, 3).
    """
    check_photo(picture)
    check_finite(vertices)
    drawn = rasterize(vertices, triangles, picture.shape[1], picture.shape[0], cull=True)
    result = picture.copy()
    if drawn.covered.any():
        result[drawn.covered] = np.rint(255 * near_colors(drawn.depth[drawn.covered])).astype(np.uint8)
    return result


def pncc_map(picture: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The projected normalised coordinate code (3DDFA, Zhu et al. 2016, section 3.3) over a picture: (H, W, 3) uint8.

    Red, green and blue are where a point lies on the mean face, left to right, bottom to top, back to front.
    codes: (N, 3) 0..1, see `codes_of`. The rest as in `depth_map`.
    """
    return _painted(picture, vertices, triangles, codes)


def normals_map(picture: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Where the surface faces, over a picture: (H, W, 3) uint8, the arguments as in `depth_map`.

    Red is 128 + 127 times the normal's x (right), green its y (up), blue its z (to the viewer): blue faces the camera.
    """
    check_mesh(vertices, triangles)
    normals = vertex_normals(vertices, triangles) * [1, -1, 1]
    return _painted(picture, vertices, triangles, (normals + 1) / 2)


def codes_of(model: MorphableModel) -> np.ndarray:
    """The code of each vertex of a model, (N, 3) 0..1: its own, or the mean face scaled to 0..1 along each axis."""
    if model.pncc is not None:
        return model.pncc.astype(np.float64)
    low, high = model.mean.min(axis=0), model.mean.max(axis=0)
    if not (high > low).all():
        raise DegenerateFaceError(f"the face model {model.name!r} is flat: it has no code for its vertices")
    return (model.mean - low).astype(np.float64) / (high - low)


def _painted(picture: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, colors: np.ndarray) -> np.ndarray:
    check_photo(picture)
    check_finite(vertices)
    drawn = rasterize(vertices, triangles, picture.shape[1], picture.shape[0], cull=True)
    values = interpolate(drawn, drawn.corners, np.clip(255 * colors, 0, 255) + 0.5, np.uint8)
    return np.where(drawn.covered[..., None], values, picture)
