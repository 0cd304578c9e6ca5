"""Rigid alignment of two point clouds by iterated closest points: proper rotations, converged or an error.

The fixed points are those of the plain iteration (open3d's reaches the same to five digits, tests/test_icp.py). It is
found on a part of the points first, then on all of them, in fewer steps by Anderson's mixing (Walker and Ni 2011), and
a point is looked up again only once it has moved far enough to have another nearest neighbour.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..models.errors import TwodaslError
from .clouds import check_cloud
from .nearest import Neighbours

Method = Literal["point", "plane"]

PARTS = (1300, 7600)  # points of the two coarse stages
MIXED = 10  # steps that are mixed
CIRCLE, GAIN = 6, 4e-6  # as many steps that lower the error by less than this share of it end the iteration


class AlignmentError(TwodaslError):
    """An alignment did not converge: there is no number to report."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """moved = source @ rotation.T + translation; rotation is proper (determinant +1).

    rmse: of each moved point to its nearest target point, input units. trace: for each step the points it used and the
    root mean square of what it minimises, the last one on all points. iterations: steps on all points.
    """

    rotation: np.ndarray
    translation: np.ndarray
    rmse: float
    iterations: int
    trace: tuple[tuple[int, float], ...]

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Move points (N, 3)."""
        return points @ self.rotation.T + self.translation


def align_points(
    source: np.ndarray,
    target: np.ndarray,
    method: Method = "point",
    triangles: np.ndarray | None = None,
    tolerance: float = 2e-5,
    max_iterations: int = 200,
    start: Literal["centres", "here"] = "centres",
) -> Alignment:
    """Move `source` (N, 3) rigidly onto `target` (M, 3), starting with centre on centre, or from where they lie.

    Every source point is paired with its nearest target point, and the source is moved by least squares: onto the
    points, or onto the planes through them (`plane`; normals of `triangles` (T, 3), or of the nearest points where
    there are none). Converged when a step moves the points by less than `tolerance` times their radius.
    Raises AlignmentError where that takes more than `max_iterations`, DegenerateFaceError for clouds that determine no
    rotation.
    """
    source, target = check_cloud(source, "the source"), check_cloud(target, "the target")
    neighbours = Neighbours(target, triangles if method == "plane" else None, method == "plane")
    rotation, centre = np.eye(3), (target if start == "centres" else source).mean(axis=0)
    trace: list[tuple[int, float]] = []
    strides = sorted({max(1, len(source) // part) for part in PARTS} | {1}, reverse=True)
    for stride in strides:
        part = source[::stride]
        last = stride == 1
        stage = _Stage(part, source.mean(axis=0), neighbours, rotation, centre, method)
        point, errors, converged = _fixed_point(stage, (1 if last else 10) * tolerance, max_iterations)
        rotation, centre = stage.motion(point)
        trace += [(len(part), error) for error in errors]
    if not converged:
        raise AlignmentError(
            f"ICP did not converge within {max_iterations} iterations (error {errors[-1]:.6g} is still changing)"
        )
    return Alignment(rotation, centre - rotation @ source.mean(axis=0), stage.point_rmse(), len(errors), tuple(trace))


class _Stage:
    """The iteration on some of the points, from a rotation and a place of the centre, as a map of 6 numbers: turn and
    shift since the start, both as lengths."""

    def __init__(
        self,
        points: np.ndarray,
        centre: np.ndarray,
        neighbours: Neighbours,
        rotation: np.ndarray,
        place: np.ndarray,
        method: Method,
    ) -> None:
        self._points = points - centre
        self.radius = float(np.sqrt((self._points**2).sum(axis=1).mean()))
        self._start, self._place = rotation, place
        self._lookup = neighbours.lookup()
        self._method = method
        self._residuals = np.zeros_like(points)

    def motion(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rotation, and where it leaves the centre."""
        return _rotation(point[:3] / self.radius) @ self._start, self._place + point[3:]

    def step(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """The error at a point of the iteration, and where the next plain step leads."""
        rotation, place = self.motion(point)
        moved = self._points @ rotation.T + place
        nearest, normals = self._lookup(moved)
        self._residuals = nearest - moved
        if self._method == "point":
            error = float(np.sqrt(np.einsum("ij,ij->", self._residuals, self._residuals) / len(moved)))
            turn, shift = _onto_points(moved, nearest, place)
        else:
            assert normals is not None
            along = np.einsum("ij,ij->i", self._residuals, normals)
            error = float(np.sqrt((along**2).mean()))
            turn, shift = _onto_planes(moved - place, normals, along)
        after = np.concatenate([self.radius * _vector(turn @ rotation @ self._start.T), place + shift - self._place])
        return error, after

    def point_rmse(self) -> float:
        """At the point that was looked at last."""
        return float(np.sqrt((self._residuals**2).sum(axis=1).mean()))


def _fixed_point(stage: _Stage, tolerance: float, most: int) -> tuple[np.ndarray, list[float], bool]:
    """Where a step no longer moves the points, the errors on the way, and whether it was reached.

    Steps that only circle around it (nearest points are a jumping matter) end at the best point seen.
    """
    point, plain, best = np.zeros(6), np.zeros(6), np.zeros(6)
    points: list[np.ndarray] = []
    moves: list[np.ndarray] = []
    errors: list[float] = []
    for _ in range(most):
        error, after = stage.step(point)
        if error < min(errors, default=np.inf):
            best = point
        errors.append(error)
        if len(moves) > 1 and error > errors[-2]:  # mixing led astray: on from the last plain step
            point, points, moves = plain, [], []
            continue
        move = after - point
        if np.linalg.norm(move) < tolerance * stage.radius:
            return point, errors, True
        if _circles(errors):
            stage.step(best)
            return best, errors, True
        plain = after
        points, moves = [*points, after][-MIXED:], [*moves, move][-MIXED:]
        point = after
        if len(moves) > 1:
            weights = np.linalg.lstsq(np.diff(moves, axis=0).T, move, rcond=1e-8)[0]
            point = after - np.diff(points, axis=0).T @ weights
    return point, errors, False


def _circles(errors: list[float]) -> bool:
    """Whether the last steps gained nothing and differ by next to nothing."""
    late, early = errors[-CIRCLE:], errors[:-CIRCLE]
    return bool(early) and min(late) > (1 - GAIN) * min(early) and max(late) - min(late) < 1e-3 * min(late)


def _onto_points(moved: np.ndarray, nearest: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rotation about `place` and the shift of `place` that take points to their partners by least squares."""
    here, there = moved.mean(axis=0), nearest.mean(axis=0)
    u, _, vt = np.linalg.svd(nearest.T @ moved / len(moved) - np.outer(there, here))
    turn = (u * [1, 1, np.linalg.det(u @ vt)]) @ vt  # never a reflection
    return turn, there + turn @ (place - here) - place


def _onto_planes(arms: np.ndarray, normals: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same onto planes, to first order in the turn. arms: the points as seen from the centre."""
    rows = np.concatenate([np.cross(arms, normals), normals], axis=1)
    solution = np.linalg.lstsq(rows.T @ rows, rows.T @ along, rcond=None)[0]
    return _rotation(solution[:3]), solution[3:]


def _rotation(vector: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vector).as_matrix()


def _vector(rotation: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(rotation).as_rotvec()
