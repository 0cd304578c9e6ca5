"""Reconstruction error: alignments, distances, regions, failures, and the original's numbers on real data."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.command import run_command
from tests.test_dense import NAMES, annotate, write_meshes
from twodasl.evaluation.distances import mesh_distances, surface_distances
from twodasl.evaluation.protocols import PROTOCOLS
from twodasl.evaluation.recon import ReconSettings, _Measure
from twodasl.evaluation.regions import REGIONS, region_ids
from twodasl.models.errors import ShapeError, TwodaslError
from twodasl.models.library import bundled_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import rotation_from_angles

# --- distances and regions ------------------------------------------------------------------------


def test_distances_on_paper() -> None:
    """A square of two triangles and a copy 3 above it, its corners one place further on."""
    square = np.array([[0.0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]])
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    lifted = np.roll(square, 1, axis=0) + [0, 0, 3]
    np.testing.assert_allclose(mesh_distances(square, lifted, triangles, "index"), 5)
    for kind in ("point", "plane", "symmetric"):
        np.testing.assert_allclose(mesh_distances(square, lifted, triangles, kind), 3, rtol=1e-6)
    above = np.array([[2.0, 1, 7], [6, 0, 0]])
    np.testing.assert_allclose(surface_distances(above, square, triangles), [7, 2], rtol=1e-6)
    np.testing.assert_allclose(mesh_distances(above, square, triangles, "point"), np.sqrt([4 + 1 + 49, 4]))
    with pytest.raises(ShapeError, match="compares the same vertices"):
        mesh_distances(above, square, triangles, "index")
    with pytest.raises(ShapeError, match="no surface"):
        surface_distances(above, square, np.zeros((0, 3), int))


def test_surfaces_need_open3d(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "open3d", None)  # what `import open3d` does where its libraries are missing
    with pytest.raises(TwodaslError, match="need open3d"):
        surface_distances(np.zeros((1, 3)), np.eye(3), np.array([[0, 1, 2]]))


def test_regions_lie_where_they_should() -> None:
    model = bundled_model()
    regions = region_ids(model)
    assert tuple(regions) == REGIONS
    assert len(np.unique(np.concatenate(list(regions.values())))) == sum(map(len, regions.values()))
    marks = model.mean[model.landmark_ids]
    centres = {name: model.mean[ids].mean(axis=0) for name, ids in regions.items()}
    assert model.landmark_ids[30] in regions["nose"]
    assert model.landmark_ids[62] in regions["mouth"]
    assert (model.mean[regions["forehead"], 1] > marks[17:27, 1].min()).all()
    assert centres["mouth"][1] < centres["nose"][1] < centres["forehead"][1]
    left, right = (model.mean[regions["cheeks"], 0] * side > 0 for side in (-1, 1))
    assert 0.8 < left.sum() / right.sum() < 1.25
    assert all(abs(centre[0]) < 5e3 for centre in centres.values())


# --- alignments -----------------------------------------------------------------------------------


def measure(model: MorphableModel, align: str, distance: str = "index") -> _Measure:
    settings_ = ReconSettings(align, distance)  # type: ignore[arg-type]
    return _Measure(settings_, PROTOCOLS["standard"], model.triangles, model.landmark_ids, np.arange(len(model.mean)))


@given(
    yaw=st.floats(-15, 15), pitch=st.floats(-10, 10), roll=st.floats(-15, 15), shift=st.floats(-200, 200),
    align=st.sampled_from(["icp", "plane", "landmark7"]),
)  # fmt: skip
@settings(max_examples=9, deadline=None)
def test_a_turned_and_shifted_copy_has_no_error(
    yaw: float, pitch: float, roll: float, shift: float, align: str
) -> None:
    model = bundled_model()
    truth = model.mean.astype(np.float64) / 1000
    turned = truth @ rotation_from_angles(np.array([yaw, pitch, roll])).T + shift
    assert measure(model, align)(truth, turned).distances.mean() < 0.01 * np.ptp(truth) / 100


def test_landmark7_takes_scale_too_and_icp_does_not() -> None:
    model = bundled_model()
    truth = model.mean.astype(np.float64) / 1000
    larger = 1.2 * truth @ rotation_from_angles(np.array([20.0, 5, -10])).T
    assert measure(model, "landmark7", "plane")(truth, larger).distances.max() < 1e-3
    assert measure(model, "icp")(truth, larger).distances.mean() > 5


@given(noise=st.floats(0.1, 2), seed=st.integers(0, 100))
@settings(max_examples=4, deadline=None)
def test_noise_of_known_size(noise: float, seed: int) -> None:
    """Gaussian noise of each coordinate is sigma * sqrt(8 / pi) off on average, whatever rigid motion is on top."""
    model = bundled_model()
    truth = model.mean.astype(np.float64) / 1000
    noisy = truth + np.random.default_rng(seed).normal(0, noise, truth.shape)
    found = measure(model, "icp")(truth, noisy).distances.mean()
    assert found == pytest.approx(noise * np.sqrt(8 / np.pi), rel=0.03, abs=0.05)


# --- invented data --------------------------------------------------------------------------------


@pytest.fixture
def truth(tmp_path: Path, toy_model: MorphableModel) -> np.ndarray:
    toy_model.save(tmp_path / "toy.h5")
    return annotate(tmp_path / "truth", toy_model)


def recon(tmp_path: Path, *arguments: str | Path) -> tuple[int, str, str]:
    return run_command(
        "eval", "nme", "--recon", *arguments, "--truth", tmp_path / "truth", "--model", tmp_path / "toy.h5"
    )


def document(tmp_path: Path, *arguments: str | Path) -> dict:
    code, out, err = recon(tmp_path, *arguments, "--json")
    assert code == 0, err
    found: dict = json.loads(out)
    return found


def test_protocols_and_deviations(tmp_path: Path, truth: np.ndarray) -> None:
    """A choice that departs from the protocol is printed as a deviation; the protocol's own is none."""
    meshes = write_meshes(tmp_path / "meshes", truth + [3, 4, 50])
    plain = document(tmp_path, meshes)
    assert plain["metric"] == "nme_recon"
    assert plain["dims"] == 3
    assert plain["deviations"] == []
    assert plain["protocol"]["align"].startswith("icp:")
    assert max(plain["per_image"].values()) < 1e-4
    assert set(plain["per_image_steps"]) == set(NAMES)
    assert document(tmp_path, meshes, "--align", "icp", "--distance", "index")["deviations"] == []
    original = document(tmp_path, meshes, "--protocol", "2dasl")
    assert original["deviations"] == []
    assert original["protocol"]["align"].startswith("2dasl:")
    other = document(
        tmp_path, meshes, "--protocol", "2dasl", "--align", "landmark7", "--normalise", "landmark-box", "--regions"
    )
    assert [text.split(":")[0] for text in other["deviations"]] == [
        "--align landmark7", "--distance plane", "--normalise landmark-box",
    ]  # fmt: skip
    assert all(f"per_image_{name}" in other for name in REGIONS)
    _, out, _ = recon(tmp_path, meshes, "--align", "plane", "--regions")
    assert "DEVIATION: --align plane: protocol standard aligns by icp" in out
    assert "\n  nose" in out


def test_2dasl_measures_every_50th_vertex_and_others_all(
    tmp_path: Path, truth: np.ndarray, toy_model: MorphableModel
) -> None:
    """An error at vertices 50k + 1 only is not seen by the original's subset."""
    off = truth.copy()
    off[:, 1::50] += 20
    meshes = write_meshes(tmp_path / "meshes", off)
    size = np.sqrt(np.ptp(truth[0, :, :2], axis=0).prod())
    seen = document(tmp_path, meshes, "--align", "2dasl")["per_image"]["ann"]
    assert seen * size < 0.05
    everywhere = document(tmp_path, meshes, "--align", "icp")["per_image"]["ann"]
    assert everywhere * size > 0.3
    by_point = document(tmp_path, meshes, "--align", "2dasl", "--distance", "point")["per_image"]["ann"]
    assert by_point * size > 0.05


def test_what_cannot_be_aligned_is_a_failure_with_a_reason(tmp_path: Path, truth: np.ndarray) -> None:
    """All vertices in one point, and NaN: named, never 0 and never NaN."""
    broken = truth.copy()
    broken[1] = 7.0 + np.outer(np.arange(truth.shape[1]), [1e-9, 0, 0])
    broken[2, 3] = np.nan
    meshes = write_meshes(tmp_path / "broken", broken)
    code, out, err = recon(tmp_path, meshes, "--frame-in", "photo", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["failed"] == ["bob", "cyd"]
    assert found["per_image"]["bob"] is None
    assert "bob failed: the source lies on a line" in err
    assert "cyd" in err


def test_images_at_a_time_change_nothing(tmp_path: Path, truth: np.ndarray) -> None:
    off = truth + np.random.default_rng(0).normal(0, 2, truth.shape)
    off[1] = 7.0
    meshes = write_meshes(tmp_path / "meshes", off)
    common: list[str | Path] = [meshes, "--regions", "--frame-in", "photo"]
    assert document(tmp_path, *common, "--jobs", "3") == document(tmp_path, *common)


def test_all_kinds_of_error_in_one_call(tmp_path: Path, truth: np.ndarray) -> None:
    meshes = write_meshes(tmp_path / "meshes", truth + [3, 4, 0])
    _, out, _ = run_command(
        "eval", "nme", "--sparse", "--dense", "--recon", "--dims", "2,3", meshes, "--truth", tmp_path / "truth",
        "--model", tmp_path / "toy.h5", "--json",
    )  # fmt: skip
    kinds = [(found["metric"], found["dims"]) for found in json.loads(out)]
    assert kinds == [("nme_sparse", 2), ("nme_sparse", 3), ("nme_dense", 2), ("nme_dense", 3), ("nme_recon", 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dense", "x", "--align", "icp"], "are for --recon"),
        (["--sparse", "x", "--normalise", "mesh-box"], "are for --dense and --recon"),
        (["--dense", "x", "--regions"], "are for --recon"),
        (["--dense", "x", "--jobs", "2"], "are for --recon"),
    ],
)
def test_options_of_other_kinds_are_usage_errors(tmp_path: Path, arguments: list[str], message: str) -> None:
    code, _, err = run_command("eval", "nme", *arguments, "--truth", tmp_path)
    assert code == 2
    assert message in err


# --- the original's numbers, on real data ---------------------------------------------------------

FOLDERS = {"2DASL": "2DASL_results", "3DDFA": "3DDFA_results"}


@pytest.mark.parametrize(("method", "standin"), [("2DASL", "3DDFA"), ("3DDFA", "2DASL")])
def test_matlab_parity(data: Path, bfm_path: Path, parity: dict, method: str, standin: str) -> None:
    """Every reconstruction value of the original's own scripts within 1e-8, and the steps it took."""
    (reference,) = [
        metric
        for metric in parity["metrics"]
        if metric["metric"] == "recon_nme_icp_standin" and metric["method"] == f"{method} vs {standin}"
    ]
    results = data / "aflw2000" / "evaluation"
    code, out, err = run_command(
        "eval", "nme", "--recon", results / FOLDERS[method], "--truth", results / FOLDERS[standin],
        "--model", bfm_path, "--protocol", "2dasl", "--json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    assert len(reference["values"]) == 20
    for name, value in reference["values"].items():
        assert found["per_image"][name] == pytest.approx(value["double"], abs=1e-8)
        assert found["per_image_steps"][name] == value["icp"]["iterations"]
    assert found["summary"]["mean_over_images"] == pytest.approx(reference["mean_double"], abs=1e-8)


def test_traces_of_real_pairs_step_by_step(data: Path, parity: dict) -> None:
    from twodasl.evaluation.original_icp import align_as_original
    from twodasl.models.vertex_files import read_vertex_file

    for metric in parity["metrics"]:
        if metric["metric"] != "recon_nme_icp_standin":
            continue
        method, standin = metric["method"].split(" vs ")
        for name, value in metric["values"].items():
            source, target = (
                read_vertex_file(data / "aflw2000" / "evaluation" / FOLDERS[who] / f"{name}.mat")[::50]
                for who in (method, standin)
            )
            found = align_as_original(target, source)
            np.testing.assert_allclose(
                found.trace, value["icp"]["mean_sq_nn_distance_per_iteration"], rtol=0, atol=1e-8
            )
            np.testing.assert_allclose(found.rotation, value["icp"]["accumulated_R"], rtol=0, atol=1e-8)
