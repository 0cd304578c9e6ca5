"""Rigid alignment of two point clouds by iterated closest points.

open3d does it where it can be imported (it links system libraries that a bare machine lacks); else scipy does, by the
same rule to the same numbers.
"""

from dataclasses import dataclass

import numpy as np

from ..models.errors import DegenerateFaceError, ShapeError, TwodaslError

FALLBACK_NOTE = "open3d cannot be imported ({reason}); ICP runs on scipy, more slowly, with the same numbers"


class AlignmentError(TwodaslError):
    """An alignment did not converge: there is no number to report."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """moved = source @ rotation.T + translation. rmse: of each moved point to its nearest target point, input units.

    note: what a person should know of how it was made, "" if nothing.
    """

    rotation: np.ndarray
    translation: np.ndarray
    rmse: float
    backend: str
    note: str = ""

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Move points (N, 3)."""
        return points @ self.rotation.T + self.translation


def align_points(
    source: np.ndarray, target: np.ndarray, tolerance: float = 1e-6, max_iterations: int = 100
) -> Alignment:
    """Move `source` (N, 3) rigidly onto `target` (M, 3), point to point, from where they lie.

    Every source point is paired with its nearest target point, and the rotation and translation of least squares is
    applied, until the RMSE changes by less than `tolerance`. Raises AlignmentError where that takes more than
    `max_iterations`, DegenerateFaceError for fewer than three points or values that are not finite.
    """
    source, target = _checked(source, "source"), _checked(target, "target")
    try:
        import open3d
    except (ImportError, OSError) as error:
        matrix = _scipy_icp(source, target, tolerance, max_iterations)
        backend, note = "scipy", FALLBACK_NOTE.format(reason=str(error).splitlines()[0])
    else:
        matrix = _open3d_icp(open3d, source, target, tolerance, max_iterations)
        backend, note = "open3d", ""
    rmse = _rmse(_move(source, matrix), target)
    # open3d does not say whether it stopped or gave up: one more step must not change the result.
    once_more = _scipy_icp(_move(source, matrix), target, np.inf, 1)
    if abs(_rmse(_move(_move(source, matrix), once_more), target) - rmse) > 2 * tolerance:
        raise AlignmentError(
            f"ICP did not converge within {max_iterations} iterations (RMSE {rmse:.6g} is still changing)"
        )
    return Alignment(matrix[:3, :3], matrix[:3, 3], rmse, backend, note)


def _checked(points: np.ndarray, name: str) -> np.ndarray:
    if points.ndim != 2 or points.shape[1] != 3:
        raise ShapeError(f"{name} is {points.shape}; (N, 3) is expected")
    if len(points) < 3 or not np.isfinite(points).all():
        raise DegenerateFaceError(f"{name} needs three or more points, all finite; it has {len(points)}")
    # open3d refuses read-only arrays and takes float32 fifty times more slowly.
    return np.array(points, np.float64, order="C")


def _open3d_icp(open3d, source: np.ndarray, target: np.ndarray, tolerance: float, max_iterations: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    clouds = []
    for points in (source, target):
        cloud = open3d.geometry.PointCloud()
        cloud.points = open3d.utility.Vector3dVector(points)
        clouds.append(cloud)
    registration = open3d.pipelines.registration
    everywhere = 10 * float(np.linalg.norm(np.ptp(np.concatenate([source, target]), axis=0)))
    result = registration.registration_icp(
        *clouds,
        everywhere,
        np.eye(4),
        registration.TransformationEstimationPointToPoint(),
        registration.ICPConvergenceCriteria(tolerance, tolerance, max_iterations),
    )
    return np.asarray(result.transformation)


def _scipy_icp(source: np.ndarray, target: np.ndarray, tolerance: float, max_iterations: int) -> np.ndarray:
    from scipy.spatial import KDTree

    tree, matrix, moved = KDTree(target), np.eye(4), source
    distances, nearest = tree.query(moved, workers=-1)
    for _ in range(max_iterations):
        last = np.sqrt(np.mean(distances**2))
        step = _rigid_step(moved, target[nearest])
        matrix, moved = step @ matrix, _move(moved, step)
        distances, nearest = tree.query(moved, workers=-1)
        if abs(np.sqrt(np.mean(distances**2)) - last) < tolerance:
            break
    return matrix


def _rigid_step(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The rotation and translation (4, 4) that take points to their targets with the least squared distance."""
    centre, target_centre = points.mean(axis=0), targets.mean(axis=0)
    u, _, vt = np.linalg.svd((targets - target_centre).T @ (points - centre))
    rotation = (u * [1, 1, np.linalg.det(u @ vt)]) @ vt
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, target_centre - rotation @ centre
    return matrix


def _move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _rmse(points: np.ndarray, target: np.ndarray) -> float:
    from scipy.spatial import KDTree

    distances, _ = KDTree(target).query(points, workers=-1)
    return float(np.sqrt(np.mean(distances**2)))
