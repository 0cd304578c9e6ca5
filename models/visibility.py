"""Which points of a face its own surface hides from the viewer."""

import numpy as np

HIDDEN = 0.02  # a point is hidden if the surface lies nearer by more than this share of the face's size: about 4 mm


def unhidden(vertices: np.ndarray, triangles: np.ndarray, ids: np.ndarray, share: float = HIDDEN) -> np.ndarray:
    """Which of the vertices `ids` (P,) no triangle lies in front of: (P,) bool.

    vertices: (N, 3), pixels, larger z nearer, seen along z. triangles: (T, 3) int. Both sides of a triangle hide what
    is behind them by more than `share` of the face's size.
    """
    points = vertices[ids].astype(np.float64)
    slack = share * float(np.ptp(vertices, axis=0).max())
    triangle, point = _overlaps(vertices[:, :2], triangles, points[:, :2])
    depth = _depth_above(vertices[triangles[triangle]].astype(np.float64), points[point, :2])
    seen = np.ones(len(ids), bool)
    seen[point[depth > points[point, 2] + slack]] = False
    return seen


def _overlaps(vertices: np.ndarray, triangles: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a triangle and a point (P, 2) within its bounding box: two (K,) int.

    The points within a triangle's x range are neighbours in x, so that few pairs are looked at.
    """
    order = np.argsort(points[:, 0], kind="stable")
    low, high = _extent(vertices[:, 0], triangles)
    first = np.searchsorted(points[order, 0], low, "left")
    count = np.searchsorted(points[order, 0], high, "right") - first
    triangle = np.repeat(np.arange(len(triangles)), count)
    point = order[np.repeat(first - np.cumsum(count) + count, count) + np.arange(len(triangle))]
    low, high = _extent(vertices[:, 1], triangles[triangle])
    inside = (low <= points[point, 1]) & (points[point, 1] <= high)
    return triangle[inside], point[inside]


def _extent(values: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest of the vertices' values (N,) in each triangle: two (T,)."""
    a, b, c = (values[triangles[:, corner]] for corner in range(3))
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def _depth_above(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """z of triangles (K, 3, 3) where lines along z through points (K, 2) meet them: (K,), -inf where they miss."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    along, across, off = b[:, :2] - a[:, :2], c[:, :2] - a[:, :2], points - a[:, :2]

    def cross(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0]

    area = cross(along, across)
    edge_on = area == 0
    area[edge_on] = 1.0
    u, v = cross(off, across) / area, cross(along, off) / area
    met = (u >= 0) & (v >= 0) & (u + v <= 1) & ~edge_on
    return np.where(met, a[:, 2] + u * (b[:, 2] - a[:, 2]) + v * (c[:, 2] - a[:, 2]), -np.inf)
