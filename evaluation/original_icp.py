"""The original's iterated closest points, to the last digit, its wrong rotation included (original pipeline, 11.6)."""

from dataclasses import dataclass

import numpy as np

from ..models.errors import ShapeError
from .clouds import check_cloud
from .icp import AlignmentError
from .nearest import find

STOP = 0.01  # change of the mean squared distance, squared input units (Q15)
MOST_STEPS = 1000  # the original has no limit; none of its alignments took 20


@dataclass(frozen=True, eq=False)
class OriginalAlignment:
    """target, moved: (N, 3) and (M, 3), both centred. rotation: (3, 3), the product of the steps:
    moved = (source - its mean) @ rotation. trace: the mean squared distance to the nearest points before each step."""

    target: np.ndarray
    moved: np.ndarray
    rotation: np.ndarray
    trace: tuple[float, ...]

    @property
    def steps(self) -> int:
        return len(self.trace)


def align_as_original(target: np.ndarray, source: np.ndarray) -> OriginalAlignment:
    """Turn `source` (M, 3) onto `target` (N, 3) as the original does.

    Both are centred. A step pairs every target point with its nearest source point and turns the source by Horn's
    rotation of the pairs, whose last diagonal entry has a wrong sign (Q14), so that depth shrinks a little; then the
    source is centred again. Steps are made until the mean squared distance changes by no more than 0.01, the first one
    being compared with 0. Raises DegenerateFaceError for clouds that determine no rotation, AlignmentError beyond 1000
    steps.
    """
    fixed, moved = check_cloud(target, "the target"), check_cloud(source, "the source")
    fixed = fixed - fixed.mean(axis=0)
    moved = moved - moved.mean(axis=0)
    rotation, trace = np.eye(3), list[float]()
    while True:
        nearest, error = _nearest_first(fixed, moved)
        step = _horn_rotation(fixed.T @ moved[nearest] / len(fixed))
        moved = moved @ step
        moved = moved - moved.mean(axis=0)
        rotation = rotation @ step
        last = trace[-1] if trace else 0.0
        trace.append(error)
        if abs(error - last) <= STOP:
            return OriginalAlignment(fixed, moved, rotation, tuple(trace))
        if len(trace) == MOST_STEPS:
            raise AlignmentError(f"the original's ICP did not stop within {MOST_STEPS} steps")


def index_distances(alignment: OriginalAlignment) -> np.ndarray:
    """Distances (N,) of points of equal index, as the original judges an alignment."""
    if alignment.target.shape != alignment.moved.shape:
        raise ShapeError(
            f"{len(alignment.moved)} and {len(alignment.target)} points: only clouds of one order have equal indices"
        )
    return np.linalg.norm(alignment.target - alignment.moved, axis=1)


def _nearest_first(fixed: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, float]:
    """The nearest moved point of each fixed one, the first on a tie, and the mean squared distance."""
    from scipy.spatial import KDTree

    distances, found = find(KDTree(moved), fixed, 2)
    nearest = found[:, 0].copy()
    for row in np.flatnonzero(distances[:, 0] == distances[:, 1]):
        nearest[row] = np.argmin(((moved - fixed[row]) ** 2).sum(axis=1))
    return nearest, float((distances[:, 0] ** 2).mean())


def _horn_rotation(products: np.ndarray) -> np.ndarray:
    """The matrix (3, 3) that turns rows c onto rows g, of the mean products g^T c; as the original writes it."""
    skew = products - products.T
    matrix = np.empty((4, 4))
    matrix[0, 0] = np.trace(products)
    matrix[0, 1:] = matrix[1:, 0] = skew[1, 2], skew[2, 0], skew[0, 1]
    matrix[1:, 1:] = products + products.T - np.trace(products) * np.eye(3)
    a, b, c, d = np.linalg.eigh(matrix)[1][:, -1]
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a - b * b + c * c - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a - b * b - c * c - d * d],  # a proper one ends in + d * d
        ]
    )
