"""Rigid alignment: it undoes a known motion, and open3d and scipy agree."""

import sys
from pathlib import Path

import numpy as np
import pytest

from twodasl.evaluation.icp import AlignmentError, align_points
from twodasl.models.errors import DegenerateFaceError, ShapeError
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import rotation_from_angles


@pytest.fixture
def without_open3d(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)  # what `import open3d` does where its libraries are missing


def moved(points: np.ndarray) -> np.ndarray:
    return points @ rotation_from_angles(np.array([0.8, -0.6, 0.5])).T + [0.5, -0.4, 0.3]


def face(toy_model: MorphableModel) -> np.ndarray:
    return toy_model.mean.astype(np.float64) / 1000  # millimetres


def test_a_known_motion_is_undone(toy_model: MorphableModel) -> None:
    target = face(toy_model)
    alignment = align_points(moved(target), target)
    np.testing.assert_allclose(alignment.apply(moved(target)), target, atol=1e-3)
    np.testing.assert_allclose(alignment.rotation @ alignment.rotation.T, np.eye(3), atol=1e-9)
    assert alignment.rmse < 1e-3
    assert (alignment.backend, alignment.note) == ("open3d", "")


def test_scipy_gives_the_same_numbers_and_says_so(toy_model: MorphableModel, request: pytest.FixtureRequest) -> None:
    noise = np.random.default_rng(0).normal(size=(len(toy_model.mean), 3)) * 0.3
    source, target = moved(face(toy_model)), face(toy_model) + noise
    with_open3d = align_points(source, target)
    request.getfixturevalue("without_open3d")
    fallback = align_points(source, target)
    assert fallback.backend == "scipy"
    assert "ICP runs on scipy" in fallback.note
    np.testing.assert_allclose(fallback.apply(source), with_open3d.apply(source), atol=1e-6)
    assert fallback.rmse == pytest.approx(with_open3d.rmse, abs=1e-7)


def test_both_agree_on_real_meshes(data: Path, request: pytest.FixtureRequest) -> None:
    """3DDFA's against 2DASL's reconstruction of one photo, every 50th vertex."""
    from twodasl.models.vertex_files import read_vertex_file

    folder = data / "aflw2000" / "evaluation"
    first, second = (
        read_vertex_file(folder / name / "image00002.mat")[::50] for name in ("2DASL_results", "3DDFA_results")
    )
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    with_open3d = align_points(first, second)
    request.getfixturevalue("without_open3d")
    fallback = align_points(first, second)
    assert fallback.rmse == pytest.approx(with_open3d.rmse, abs=1e-5)


@pytest.mark.parametrize("backend", ["open3d", "scipy"])
def test_no_number_without_convergence(toy_model: MorphableModel, backend: str, request: pytest.FixtureRequest) -> None:
    if backend == "scipy":
        request.getfixturevalue("without_open3d")
    with pytest.raises(AlignmentError, match="did not converge within 1 iterations"):
        align_points(moved(face(toy_model)), face(toy_model), max_iterations=1)


def test_bad_clouds_are_refused() -> None:
    points = np.eye(3)
    with pytest.raises(ShapeError, match=r"source is \(3, 2\)"):
        align_points(points[:, :2], points)
    with pytest.raises(DegenerateFaceError, match="target needs three or more points"):
        align_points(points, points[:2])
    with pytest.raises(DegenerateFaceError, match="all finite"):
        align_points(points * np.nan, points)
