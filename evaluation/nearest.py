"""Nearest neighbours of points that move a little from one look-up to the next."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

NORMAL_NEIGHBOURS = 16  # points a normal is taken from where there are no triangles
PARALLEL = 4000  # queries from which on all cores pay

if TYPE_CHECKING:
    from scipy.spatial import KDTree

Lookup = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


def find(tree: "KDTree", points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices (N, count) of the nearest points of a tree, the nearest first."""
    workers = -1 if len(points) > PARALLEL else 1
    distances, found = tree.query(points, k=[*range(1, count + 1)], workers=workers)
    return np.asarray(distances), np.asarray(found)


class Neighbours:
    """A cloud (M, 3) to look up nearest points in, with their normals where `with_normals`.

    triangles: (T, 3) int, the surface the normals are of; without, each is that of the nearest 16 points.
    """

    def __init__(self, target: np.ndarray, triangles: np.ndarray | None = None, with_normals: bool = False) -> None:
        from scipy.spatial import KDTree

        self._target, self._tree = target, KDTree(target)
        self._normals: np.ndarray | None = None
        if with_normals and triangles is not None and len(triangles):
            self._normals = vertex_normals(target, triangles)
        elif with_normals:
            _, around = find(self._tree, target, min(NORMAL_NEIGHBOURS, len(target)))
            self._normals = _flattest(target[around])

    def lookup(self) -> Lookup:
        """A function of points (N, 3), the same ones at every call, to their nearest points (N, 3) and normals.

        A point keeps its neighbour while it has moved by less than half of what the second nearest was farther away:
        until then no other point can be nearer.
        """
        nearest, slack, place = np.empty(0, int), np.empty(0), np.empty((0, 3))

        def look_up(points: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            nonlocal nearest, slack, place
            if len(nearest) == 0:
                nearest, slack, place = np.empty(len(points), int), np.empty(len(points)), points.copy()
                stale = np.arange(len(points))
            else:
                moved = points - place
                stale = np.flatnonzero(np.einsum("ij,ij->i", moved, moved) >= slack**2)
            if len(stale):
                distances, found = find(self._tree, points[stale], 2)
                nearest[stale], place[stale] = found[:, 0], points[stale]
                slack[stale] = (distances[:, 1] - distances[:, 0]) / 2
            return self._target[nearest], None if self._normals is None else self._normals[nearest]

        return look_up


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (N, 3) of a mesh, weighted by area; zero for a vertex without triangles."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.stack(
        [
            sum(np.bincount(triangles[:, corner], faces[:, axis], len(vertices)) for corner in range(3))
            for axis in range(3)
        ],
        axis=1,
    )
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)


def _flattest(patches: np.ndarray) -> np.ndarray:
    """The direction in which each patch (N, k, 3) spreads least: (N, 3)."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred))
    return axes[:, :, 0]
