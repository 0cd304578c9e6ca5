"""Pictures of depth: the visible vertices over the photo, coloured by how near they are, and the depth itself."""

import numpy as np

from .images import check_photo
from .meshes import check_finite, check_mesh
from .rasterizer import rasterize

COLORMAP = "viridis"  # perceptually even, readable in grey and by the colour-blind; near is yellow
HIDDEN = 0.01  # a vertex is hidden if something lies nearer by more than this share of the face's size


def near_colors(depth: np.ndarray) -> np.ndarray:
    """Colours (..., 3) float64 0..1 of depths (...,), from the farthest (dark) to the nearest (yellow)."""
    from matplotlib import colormaps

    span = float(np.ptp(depth)) if depth.size else 0.0
    share = (depth - depth.min()) / span if span > 0 else np.ones_like(depth)
    return np.asarray(colormaps[COLORMAP](share))[..., :3]


def visible_vertices(vertices: np.ndarray, triangles: np.ndarray, width: int, height: int) -> np.ndarray:
    """Which vertices are seen in a picture of this size: (N,) bool.

    vertices: (N, 3) photo pixels from 0, y down, larger z nearer. Seen is what lies inside the picture with nothing
    nearer in front of it, by more than 1 % of the face's size; vertices of surfaces that turn away are not seen.
    """
    check_mesh(vertices, triangles)
    check_finite(vertices)
    drawn = rasterize(vertices, triangles, width, height)
    column, row = np.rint(vertices[:, 0]).astype(np.int64), np.rint(vertices[:, 1]).astype(np.int64)
    seen = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    slack = HIDDEN * float(np.ptp(vertices, axis=0).max())
    seen[seen] = vertices[seen, 2] >= drawn.depth[row[seen], column[seen]] - slack
    return seen


def points_overlay(photo: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The photo with the visible vertices over it, near ones yellow, as in the paper's dense alignment figures.

    photo: (H, W, 3) uint8 RGB. vertices: (N, 3) photo pixels from 0, y down, larger z nearer. Returns a new array.
    """
    check_photo(photo)
    height, width = photo.shape[:2]
    rows = np.flatnonzero(visible_vertices(vertices, triangles, width, height))
    rows = rows[np.argsort(vertices[rows, 2], kind="stable")]  # the nearest of one pixel is painted last
    picture = photo.copy()
    if len(rows):
        column, row = np.rint(vertices[rows, :2].T).astype(np.int64)
        picture[row, column] = np.rint(255 * near_colors(vertices[rows, 2])).astype(np.uint8)
    return picture


def depth_picture(vertices: np.ndarray, triangles: np.ndarray, width: int, height: int) -> np.ndarray:
    """The face's depth as colours on black, near ones yellow: (H, W, 3) uint8."""
    check_mesh(vertices, triangles)
    check_finite(vertices)
    drawn = rasterize(vertices, triangles, width, height, cull=True)
    picture = np.zeros((height, width, 3), np.uint8)
    if drawn.covered.any():
        picture[drawn.covered] = np.rint(255 * near_colors(drawn.depth[drawn.covered])).astype(np.uint8)
    return picture
