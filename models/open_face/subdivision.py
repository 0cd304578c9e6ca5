"""Catmull-Clark subdivision of quad meshes as one sparse matrix, so that it is exact for any linear model."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True, eq=False)
class Subdivision:
    """A finer mesh over a coarser one.

    matrix: (M, N) sparse; `matrix @ values` carries values of the N vertices, (N, C), to the M new ones. Rows sum to 1.
    quads: (4 Q, 4) int32, the new faces, wound as the old. The first N new vertices are the old ones moved, then comes
    one per edge, in the order of `edges`, then one per old quad.
    edges: (E, 2) int64, the old edges, each with its smaller vertex first, sorted.
    """

    matrix: sparse.csr_array
    quads: np.ndarray
    edges: np.ndarray


def catmull_clark(quads: np.ndarray, count: int) -> Subdivision:
    """One Catmull-Clark step on a quad mesh of `count` vertices. quads: (Q, 4) int.

    Inner points follow Catmull and Clark 1978. On an open rim the curve is a cubic B-spline of the rim alone: edge
    points are midpoints, vertices move to (1 6 1) / 8, so that two parts with the same rim stay together.
    """
    quads = np.asarray(quads, np.int64)
    faces = len(quads)
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2)  # (Q, 4, 2), side k joins corners k and k + 1
    edges, edge_of = np.unique(np.sort(sides.reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    edge_of = edge_of.reshape(faces, 4)
    every_face = np.arange(faces)

    face_points = _sparse(np.repeat(every_face, 4), quads.ravel(), 0.25, (faces, count))
    edge_faces = _sparse(edge_of.ravel(), np.repeat(every_face, 4), 1.0, (len(edges), faces))
    on_rim = np.bincount(edge_of.ravel(), minlength=len(edges)) == 1
    midpoints = _sparse(np.repeat(np.arange(len(edges)), 2), edges.ravel(), 0.5, (len(edges), count))
    inner = sparse.diags_array((~on_rim).astype(np.float64))
    edge_points = midpoints - 0.5 * (inner @ midpoints) + 0.25 * (inner @ edge_faces @ face_points)

    # Vertices: (mean of face points + 2 mean of edge midpoints + (n - 3) old) / n, or 3/4 old + 1/8 of both rim sides.
    of_vertex = _sparse(edges.ravel(), np.repeat(np.arange(len(edges)), 2), 1.0, (count, len(edges)))
    vertex_faces = _sparse(quads.ravel(), np.repeat(every_face, 4), 1.0, (count, faces))
    valence = np.maximum(vertex_faces.sum(axis=1), 1)
    rim_sides = of_vertex @ on_rim.astype(np.float64)
    inside = (rim_sides == 0).astype(np.float64)
    smooth = (
        sparse.diags_array(inside / valence**2) @ vertex_faces @ face_points
        + sparse.diags_array(2 * inside / valence**2) @ of_vertex @ midpoints
        + sparse.diags_array(inside * (valence - 3) / valence)
    )
    rim = of_vertex @ sparse.diags_array(on_rim.astype(np.float64)) @ midpoints
    vertex_points = smooth + 0.25 * (sparse.diags_array(1 - inside) @ rim) + sparse.diags_array(0.5 * (1 - inside))

    matrix = sparse.csr_array(sparse.vstack([vertex_points, edge_points, face_points]))
    side, centre = count + edge_of, count + len(edges) + every_face
    new = [np.stack([quads[:, k], side[:, k], centre, side[:, k - 1]], axis=1) for k in range(4)]
    return Subdivision(matrix, np.stack(new, axis=1).reshape(-1, 4).astype(np.int32), edges)


def mirrored(
    step: Subdivision, quads: np.ndarray, other: Subdivision, other_quads: np.ndarray, symmetry: np.ndarray
) -> np.ndarray:
    """The mirror map of a finer mesh, (M,) int32, from that of the coarser mesh, whose quads were `quads`.

    other, other_quads: those of the mirror image, the same where a mesh is its own. symmetry: (N,) int, each coarse
    vertex's image in the other mesh.
    """
    count = len(symmetry)
    edge_map = _rows_in(np.sort(symmetry[step.edges], axis=1), other.edges)
    face_map = _rows_in(np.sort(symmetry[quads], axis=1), np.sort(other_quads, axis=1))
    return np.concatenate([symmetry, count + edge_map, count + len(other.edges) + face_map]).astype(np.int32)


def triangulate(quads: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Each quad cut along its shorter diagonal: (2 Q, 3) int32, wound as the quads. vertices: (N, 3)."""
    a, b, c, d = quads.T
    first = np.linalg.norm(vertices[a] - vertices[c], axis=1) <= np.linalg.norm(vertices[b] - vertices[d], axis=1)
    one = np.where(first[:, None], np.stack([a, b, c], axis=1), np.stack([a, b, d], axis=1))
    two = np.where(first[:, None], np.stack([a, c, d], axis=1), np.stack([b, c, d], axis=1))
    return np.stack([one, two], axis=1).reshape(-1, 3).astype(np.int32)


def _sparse(rows: np.ndarray, columns: np.ndarray, value: float, shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((np.full(len(rows), value), (rows, columns)), shape=shape)


def _rows_in(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The place of each of `rows` in `table`, both (., K) int; each row stands in the table once."""
    powers = (int(max(rows.max(), table.max())) + 1) ** np.arange(rows.shape[1], dtype=np.int64)
    keys, known = rows @ powers, table @ powers
    order = np.argsort(known)
    return order[np.searchsorted(known, keys, sorter=order)]
