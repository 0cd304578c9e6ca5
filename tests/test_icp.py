"""Rigid alignment: it undoes known motions, is a rotation whatever comes, and ends where open3d's ends."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twodasl.evaluation.icp import AlignmentError, _onto_points, align_points
from twodasl.evaluation.nearest import Neighbours, vertex_normals
from twodasl.models.errors import DegenerateFaceError, ShapeError
from twodasl.models.library import bundled_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import rotation_from_angles


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """The mean of the open face model, millimetres: it has features to hold on to, unlike an ellipsoid."""
    return bundled_model().mean.astype(np.float64)[::3] / 1000


def angle_between(rotation: np.ndarray, expected: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip((np.trace(rotation @ expected.T) - 1) / 2, -1, 1))))


def rotation_about(axis: np.ndarray, degrees: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis)).as_matrix()


@given(seed=st.integers(0, 1000), degrees=st.floats(0, 30), method=st.sampled_from(["point", "plane"]))
@settings(max_examples=25, deadline=None)
def test_a_known_motion_is_undone_in_spite_of_noise_and_missing_points(
    face: np.ndarray, seed: int, degrees: float, method: str
) -> None:
    """Up to 30 degrees about any axis, any shift, 0.3 mm of noise, and 30 % of the points missing."""
    rng = np.random.default_rng(seed)
    turn, shift = rotation_about(rng.normal(size=3), degrees), rng.normal(0, 50, 3)
    kept = rng.permutation(len(face))[: int(0.7 * len(face))]
    source = (face[kept] + rng.normal(0, 0.3, (len(kept), 3))) @ turn.T + shift
    alignment = align_points(source, face, method)  # type: ignore[arg-type]
    assert angle_between(alignment.rotation, turn.T) < 0.2
    assert np.linalg.norm(alignment.apply(source) - face[kept], axis=1).mean() < 0.7


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_reflections_never_pass_as_rotations(face: np.ndarray, seed: int) -> None:
    """The mirror image of a lopsided face can be turned onto it only badly, and turned it is."""
    rng = np.random.default_rng(seed)
    lopsided = face[::4] * [1, 1, 1] + 15 * np.sin(face[::4][:, [1, 2, 0]] / 25)
    mirrored = lopsided * [-1, 1, 1] @ rotation_about(rng.normal(size=3), 10).T
    alignment = align_points(mirrored, lopsided)
    assert np.linalg.det(alignment.rotation) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(alignment.rotation @ alignment.rotation.T, np.eye(3), atol=1e-9)
    assert alignment.rmse > 1


def test_a_mirrored_partner_is_met_by_a_turn_only(face: np.ndarray) -> None:
    """With the mirror image itself as partners, least squares alone would mirror."""
    turn, shift = _onto_points(face, face * [-1, 1, 1] + 5, np.zeros(3))
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.isfinite(shift).all()


@pytest.mark.parametrize("method", ["point", "plane"])
def test_identical_clouds_stay(face: np.ndarray, method: str) -> None:
    alignment = align_points(face, face, method)  # type: ignore[arg-type]
    np.testing.assert_allclose(alignment.rotation, np.eye(3), atol=1e-12)
    assert (alignment.rmse, alignment.iterations) == (pytest.approx(0, abs=1e-9), 1)


def test_three_points(face: np.ndarray) -> None:
    target = np.array([[0.0, 0, 0], [10, 0, 0], [0, 5, 0]])
    alignment = align_points(target @ rotation_about(np.array([0.0, 0, 1]), 10).T + 7, target)
    assert alignment.rmse == pytest.approx(0, abs=1e-3)


def open3d_rmse(source: np.ndarray, target: np.ndarray, plane: bool = False) -> float:
    """Of open3d's legacy ICP, run until it stands."""
    open3d = pytest.importorskip("open3d")
    clouds = [open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points)) for points in (source, target)]
    registration = open3d.pipelines.registration
    estimate = registration.TransformationEstimationPointToPoint()
    if plane:
        clouds[1].estimate_normals(open3d.geometry.KDTreeSearchParamKNN(16))
        estimate = registration.TransformationEstimationPointToPlane()
    criteria = registration.ICPConvergenceCriteria(1e-7, 1e-7, 1000)
    result = registration.registration_icp(*clouds, 1e4, np.eye(4), estimate, criteria)
    assert np.linalg.norm(result.transformation - np.eye(4)) > 0
    return float(result.inlier_rmse)


@pytest.mark.parametrize("plane", [False, True])
def test_it_ends_where_open3d_ends(face: np.ndarray, plane: bool) -> None:
    """Two differing faces, centre on centre, normals from 16 neighbours: the same RMSE. Resting places
    of ICP lie as close together as the fifth digit, and both may find another one."""
    turned = (face * [1.03, 0.98, 1.05]) @ rotation_from_angles(np.array([4.0, -3, 2])).T
    turned -= turned.mean(axis=0) - face.mean(axis=0)
    alignment = align_points(turned, face, "plane" if plane else "point")
    assert alignment.rmse == pytest.approx(open3d_rmse(turned, face, plane), rel=5e-5)


def test_it_ends_where_open3d_ends_on_real_meshes(data: Path) -> None:
    """3DDFA's against 2DASL's reconstruction of one photo, every 5th vertex."""
    from twodasl.models.vertex_files import read_vertex_file

    folder = data / "aflw2000" / "evaluation"
    first, second = (
        read_vertex_file(folder / name / "image00002.mat")[::5] for name in ("2DASL_results", "3DDFA_results")
    )
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    assert align_points(first, second).rmse == pytest.approx(open3d_rmse(first, second), rel=5e-5)


def test_the_trace_goes_from_coarse_to_all_points(face: np.ndarray) -> None:
    alignment = align_points(face @ rotation_about(np.ones(3), 20).T, face)
    points = [count for count, _ in alignment.trace]
    assert points == sorted(points)
    assert points[0] < len(face) == points[-1]
    assert alignment.trace[-1][1] == pytest.approx(alignment.rmse, abs=1e-9)
    assert points.count(len(face)) == alignment.iterations


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_remembered_neighbours_are_the_nearest(seed: int) -> None:
    """However the points wander, each look-up is what looking everywhere finds."""
    rng = np.random.default_rng(seed)
    cloud, points = rng.uniform(size=(50, 3)), rng.uniform(size=(80, 3))
    look_up = Neighbours(cloud).lookup()
    for _ in range(6):
        found, _ = look_up(points)
        everywhere = np.linalg.norm(points[:, None] - cloud, axis=2).argmin(axis=1)
        np.testing.assert_array_equal(found, cloud[everywhere])
        points = points + rng.normal(0, 0.03, points.shape) * rng.integers(0, 2, (80, 1))


def test_normals_of_a_mesh_and_of_a_cloud_agree(toy_model: MorphableModel) -> None:
    points = toy_model.mean.astype(np.float64) / 1000
    of_mesh = vertex_normals(points, toy_model.triangles)
    np.testing.assert_allclose(np.linalg.norm(of_mesh, axis=1), 1)
    look_up = Neighbours(points, None, with_normals=True).lookup()
    of_cloud = look_up(points)[1]
    assert of_cloud is not None
    inner = (np.abs(points[:, :2]) < 50).all(axis=1)
    assert (np.abs((of_mesh * of_cloud).sum(axis=1))[inner] > 0.99).all()


def test_no_number_without_convergence(face: np.ndarray) -> None:
    with pytest.raises(AlignmentError, match="did not converge within 1 iterations"):
        align_points(face @ rotation_about(np.ones(3), 20).T, face, max_iterations=1)


def test_bad_clouds_are_refused() -> None:
    points = np.eye(3)
    with pytest.raises(ShapeError, match=r"source is \(3, 2\)"):
        align_points(points[:, :2], points)
    with pytest.raises(DegenerateFaceError, match="target needs three or more points"):
        align_points(points, points[:2])
    with pytest.raises(DegenerateFaceError, match="all finite"):
        align_points(points * np.nan, points)
    line = np.outer(np.arange(10.0), [1, 2, 3]) + 5
    with pytest.raises(DegenerateFaceError, match="the source lies on a line"):
        align_points(line, points)
    with pytest.raises(DegenerateFaceError, match="the target lies on a line"):
        align_points(points, np.ones((5, 3)))
