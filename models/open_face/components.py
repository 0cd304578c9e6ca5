"""From random faces to a linear model: alignment, and principal components that are exactly even or odd in the mirror."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

Faces = np.ndarray  # (S, N, 3) float


@dataclass(frozen=True, eq=False)
class Components:
    """Columns in units per standard deviation.

    basis: (K, N, 3) float64, mm. parity: (K,) int, 1 where the component is its own mirror image, -1 where mirroring
    turns its sign. share: (K,) float64, of the weighted variance of the faces. scores: (S, K), the faces' coefficients.
    """

    basis: np.ndarray
    parity: np.ndarray
    share: np.ndarray
    scores: np.ndarray


def align(faces: Faces, weights: np.ndarray, rounds: int = 4) -> Faces:
    """Similarity Procrustes: each face turned, moved and scaled onto the mean; the mean keeps the faces' mean size.

    weights: (N,), how much each vertex counts. The mean is centred at 0 by these weights.
    """
    counted = weights > 0
    share = (weights[counted] / weights.sum()).astype(faces.dtype)[:, None]
    centres = (faces[:, counted] * share).sum(axis=1, keepdims=True)
    seen = faces[:, counted] - centres
    sizes = np.sqrt((seen**2 * share).sum(axis=(1, 2)))
    mean = seen.mean(axis=0)
    for _ in range(rounds):
        mean *= sizes.mean() / np.sqrt((mean**2 * share).sum())
        crossed = np.swapaxes(seen, 1, 2) @ (mean * share)
        u, singular, vt = np.linalg.svd(crossed)
        flip = np.ones((len(faces), 3), faces.dtype)
        flip[:, 2] = np.sign(np.linalg.det(u @ vt))
        turns = (u * flip[:, None]) @ vt * ((singular * flip).sum(axis=1) / sizes**2)[:, None, None]
        mean = (seen @ turns).mean(axis=0)
    restored = sizes.mean() / np.sqrt((mean**2 * share).sum())
    return restored * ((faces - centres) @ turns)


def components(offsets: Faces, weights: np.ndarray, symmetry: np.ndarray, count: int) -> Components:
    """The leading principal components of offsets about zero, those of their mirror images included.

    weights: (N,), how much each vertex counts in what is leading; vertices of weight 0 follow by regression.
    symmetry: (N,) int, the mirror map.
    """
    images = offsets[:, symmetry] * np.array([-1, 1, 1], offsets.dtype)
    counted = weights > 0
    root = np.sqrt(weights[counted])[:, None].astype(offsets.dtype)
    values, parities, columns, scores = [], [], [], []
    total = 0.0
    for parity in (1, -1):
        half = (offsets + parity * images) / 2
        seen = (half[:, counted] * root).reshape(len(half), -1).astype(np.float64)
        spread = seen @ seen.T / len(half)
        found, vectors = eigh(spread, subset_by_index=[len(half) - count, len(half) - 1])
        score = vectors * np.sqrt(len(half))  # variance 1
        total += float(np.trace(spread))
        values.append(found)
        parities.append(np.full(count, parity))
        columns.append((score.T / len(half) @ half.reshape(len(half), -1)).reshape(count, -1, 3))
        scores.append(score)
    order = np.argsort(-np.concatenate(values), kind="stable")[:count]
    basis = np.concatenate(columns)[order]
    signed = np.concatenate(scores, axis=1)[:, order]
    signs = np.array([_sign(*pair, symmetry) for pair in zip(basis, signed.mean(axis=0), strict=True)])
    return Components(
        basis * signs[:, None, None],
        np.concatenate(parities)[order],
        np.concatenate(values)[order] / total,
        signed * signs,
    )


def vertex_areas(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """A quarter of the area of the quads around each vertex: (N,)."""
    a, b, c, d = (vertices[quads[:, k]] for k in range(4))
    areas = np.linalg.norm(np.cross(c - a, d - b), axis=1) / 2
    return np.bincount(quads.ravel(), np.repeat(areas, 4), len(vertices)) / 4


def _sign(column: np.ndarray, mean_score: float, symmetry: np.ndarray) -> float:
    """1 or -1: so that faces go to the positive side more often, or else that the largest entry is positive; looked for
    on one side only, as both have the same."""
    if abs(mean_score) > 0.05:
        return float(np.sign(mean_score))
    one_side = np.arange(len(column)) <= symmetry
    values = (column * one_side[:, None]).ravel()
    return float(np.sign(values[np.abs(values).argmax()]))
