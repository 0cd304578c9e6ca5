"""Sparse evaluation: the metric on paper, protocols, failures, and the published numbers on real data."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import run_command
from twodasl.evaluation.nme import nme, yaw_bin, z_from_minimum
from twodasl.evaluation.predictions import open_prediction
from twodasl.evaluation.protocols import PROTOCOLS
from twodasl.evaluation.sparse import evaluate_sparse
from twodasl.evaluation.summary import summarise
from twodasl.evaluation.truth import open_truth
from twodasl.models.errors import DegenerateFaceError, FileError, NamesError, ShapeError
from twodasl.models.inputs import InputOptions
from twodasl.models.morphable import MorphableModel

# --- the metric ---------------------------------------------------------------------------------


def test_nme_on_paper() -> None:
    """Two points, each 5 px off; the truth's box is 8 x 2, its size 4."""
    truth = np.array([[[0.0, 0.0], [8.0, 2.0]]])
    np.testing.assert_allclose(nme(truth + [3, 4], truth), [5 / 4])


@given(shift=st.floats(-100, 100), scale=st.floats(0.1, 10))
def test_nme_does_not_change_with_the_image_size(shift: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.uniform(0, 100, (2, 4, 68, 2))
    np.testing.assert_allclose(nme(scale * predicted + shift, scale * truth + shift), nme(predicted, truth), rtol=1e-9)


def test_nme_refuses_what_is_undefined() -> None:
    flat = np.zeros((1, 68, 2))
    with pytest.raises(DegenerateFaceError, match="spans 0 x 0 px"):
        nme(flat, flat)
    with pytest.raises(ShapeError, match="the same points"):
        nme(np.zeros((1, 68, 2)), np.zeros((1, 21, 2)))


def test_inputs_are_left_as_they_were() -> None:
    """The original overwrote its predictions, so that a second call gave other numbers (Q21)."""
    points = np.random.default_rng(1).uniform(0, 100, (2, 68, 3))
    before = points.copy()
    first = nme(z_from_minimum(points), z_from_minimum(points + 1))
    assert (points == before).all()
    np.testing.assert_array_equal(nme(z_from_minimum(points), z_from_minimum(points + 1)), first)


def test_yaw_bins_include_their_upper_end_and_do_not_wrap() -> None:
    assert yaw_bin(np.array([0, 30, -30, 30.1, 60, -60.1, 351])).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_summary_counts_failures_in_auc_and_failure_rate_only() -> None:
    summary = summarise(np.array([0.02, 0.04, 0.12, np.nan]), np.array([0, 40, 80, 0]))
    assert summary.mean_over_images == pytest.approx(0.06)
    assert summary.median == pytest.approx(0.04)
    assert (summary.n, summary.n_failed) == (3, 1)
    assert summary.auc == pytest.approx((0.8 + 0.6 + 0 + 0) / 4)
    assert summary.failure_rate == pytest.approx(2 / 4)
    assert summary.by_yaw.bins == {
        "0-30": pytest.approx(0.02),
        "30-60": pytest.approx(0.04),
        "60-90": pytest.approx(0.12),
    }
    assert summary.by_yaw.std_over_bins == pytest.approx(np.std([0.02, 0.04, 0.12]))


def test_an_empty_bin_has_no_mean_and_neither_have_the_bins() -> None:
    summary = summarise(np.array([0.02, 0.04]), np.array([0, 10]))
    assert summary.by_yaw.bins["60-90"] is None
    assert summary.by_yaw.mean_over_bins is None
    nothing = summarise(np.array([np.nan, np.nan]), np.array([0, 10]))
    assert (nothing.mean_over_images, nothing.median, nothing.auc, nothing.failure_rate) == (None, None, 0, 1)


# --- invented data: every kind of input, no real files --------------------------------------------


@pytest.fixture
def truth_folder(tmp_path: Path) -> Path:
    """Three AFLW2000-3D-like annotations with the odd types that real ones have."""
    from scipy.io import savemat

    folder = tmp_path / "truth"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for index, dtype in enumerate([np.float32, np.float64, np.float32]):
        landmarks = rng.uniform(120, 320, (3, 68)).astype(dtype)
        pose = np.array([[0.1, 0.6 * index, 0, 200, 200, 0, 1e-3]], dtype)
        pt2d = np.zeros((2, 23 if index == 1 else 21))
        fields = {"pt3d_68": landmarks, "Pose_Para": pose, "Exp_Para": np.ones((29, 1), np.uint8), "pt2d": pt2d}
        savemat(folder / f"face{index}.mat", fields)
    return folder


def truth_landmarks(folder: Path) -> np.ndarray:
    return open_truth(folder, "original", ["face0", "face1", "face2"]).landmarks


def write_npy(path: Path, landmarks: np.ndarray) -> list[str]:
    np.save(path / "points.npy", landmarks)
    (path / "rows.list").write_text("face0.jpg\nface1.jpg\nface2.jpg\n")
    return [str(path / "points.npy"), "--rows", str(path / "rows.list")]


def write_csv(path: Path, landmarks: np.ndarray) -> list[str]:
    lines = [f"face{i}," + ",".join(map(repr, row.ravel().tolist())) for i, row in enumerate(landmarks)]
    (path / "points.csv").write_text("\n".join(lines) + "\n")
    return [str(path / "points.csv")]


def write_json_lines(path: Path, landmarks: np.ndarray) -> list[str]:
    lines = [json.dumps({"name": f"face{i}.png", "landmarks": row.tolist()}) for i, row in enumerate(landmarks)]
    (path / "points.jsonl").write_text("\n".join(lines) + "\n")
    return [str(path / "points.jsonl")]


def write_prnet(path: Path, landmarks: np.ndarray) -> list[str]:
    folder = path / "kpt"
    folder.mkdir()
    for index, row in enumerate(landmarks):
        np.savetxt(folder / f"face{index}_kpt.txt", row)
    return [str(folder), "--origin", "1"]


@pytest.mark.parametrize("write", [write_npy, write_csv, write_json_lines, write_prnet])
@pytest.mark.parametrize("dims", [2, 3])
def test_anybodys_landmarks(tmp_path: Path, truth_folder: Path, write: Callable, dims: int) -> None:
    """All points (3, 4) px off: the NME is 5 px over the size of the box, whatever the file; a z shift counts not."""
    truth = truth_landmarks(truth_folder)
    arguments = write(tmp_path, truth + [3, 4, 100])
    code, out, _ = run_command(
        "eval", "nme", "--sparse", "--dims", str(dims), *arguments, "--truth", truth_folder, "--json"
    )
    assert code == 0
    document = json.loads(out)
    size = np.sqrt(np.ptp(truth[0, :, :2], axis=0).prod())
    assert document["per_image"]["face0"] == pytest.approx(5 / size, rel=1e-9)
    assert document["unit"] == "fraction"
    assert document["protocol"]["name"] == "standard"
    assert document["summary"]["n"] == 3


def test_origin_counts_only_in_the_exact_protocol(tmp_path: Path, truth_folder: Path) -> None:
    truth = truth_landmarks(truth_folder)
    arguments = write_csv(tmp_path, truth - [1, 1, 0])
    values = {}
    for protocol in PROTOCOLS:
        _, out, _ = run_command(
            "eval",
            "nme",
            "--sparse",
            *arguments,
            "--truth",
            truth_folder,
            "--origin",
            "0",
            "--protocol",
            protocol,
            "--json",
        )
        values[protocol] = json.loads(out)["summary"]["mean_over_images"]
    assert values["exact"] == pytest.approx(0, abs=1e-12)
    assert values["standard"] == values["2dasl"] > 0.003


def test_failures_are_named_and_scored_as_failures(tmp_path: Path, truth_folder: Path) -> None:
    landmarks = truth_landmarks(truth_folder)
    landmarks[1] = np.nan
    arguments = write_npy(tmp_path, landmarks)
    _, out, err = run_command("eval", "nme", "--sparse", *arguments, "--truth", truth_folder, "--json")
    document = json.loads(out)
    assert document["per_image"]["face1"] is None
    assert document["failed"] == ["face1"]
    assert (document["summary"]["n"], document["summary"]["n_failed"]) == (2, 1)
    assert document["summary"]["failure_rate"] == pytest.approx(1 / 3)
    assert "face1" in err


def test_only_says_what_is_scored(tmp_path: Path, truth_folder: Path) -> None:
    """An image of the list without a prediction is a failure; one outside the list is not scored."""
    landmarks = truth_landmarks(truth_folder)[:2]
    lines = [f"face{i}," + ",".join(map(str, row.ravel())) for i, row in enumerate(landmarks)]
    (tmp_path / "points.csv").write_text("\n".join(lines))
    (tmp_path / "only.list").write_text("face1.jpg\nface2.jpg\n")
    _, out, _ = run_command(
        "eval",
        "nme",
        "--sparse",
        tmp_path / "points.csv",
        "--only",
        tmp_path / "only.list",
        "--truth",
        truth_folder,
        "--json",
    )
    document = json.loads(out)
    assert list(document["per_image"]) == ["face1", "face2"]
    assert document["failed"] == ["face2"]


def test_csv_and_table_and_two_dims(tmp_path: Path, truth_folder: Path) -> None:
    arguments = [
        "eval",
        "nme",
        "--sparse",
        *write_csv(tmp_path, truth_landmarks(truth_folder) + 1),
        "--truth",
        truth_folder,
    ]
    _, out, _ = run_command(*arguments, "--dims", "2,3", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["name"], row["dims"]) for row in rows][:4] == [
        ("face0", "2"),
        ("face1", "2"),
        ("face2", "2"),
        ("face0", "3"),
    ]
    _, out, _ = run_command(*arguments)
    assert out.startswith("protocol standard")
    assert "3 of 3 images" in out
    _, out, _ = run_command(*arguments, "--dims", "2,3", "--json")
    assert [document["dims"] for document in json.loads(out)] == [2, 3]


def test_vertex_folder_in_either_frame(tmp_path: Path, truth_folder: Path, toy_model: MorphableModel) -> None:
    """The frame is found from the mesh: mirrored in a y-down photo, not mirrored in the y-up crop."""
    from scipy.io import savemat

    toy_model.save(tmp_path / "toy.h5")
    pose = np.array([[4e-4, 1e-4, 0], [-1e-4, 4e-4, 0], [0, 0, 4e-4]])  # rolled, so that up and down alone tell nothing
    crop = toy_model.mean @ pose.T + [60, 60, 0]
    scored = {}
    for frame, vertices in {"crop": crop, "photo": crop * [2.5, -2.5, 2.5] + [100, 400, 0]}.items():
        folder = tmp_path / frame
        folder.mkdir()
        savemat(folder / "face0.mat", {"vertex": vertices.T.astype(np.float32)})
        options = InputOptions(model=tmp_path / "toy.h5")
        prediction = open_prediction(folder, options)
        assert prediction.in_crop == (frame == "crop")
        scored[frame] = evaluate_sparse(folder, truth_folder, PROTOCOLS["2dasl"], options=options)[0].values[0]
    assert np.isfinite(scored["crop"])
    assert scored["crop"] != scored["photo"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.h5"], 1, "no such file"),
        (["empty/"], 1, "holds no predictions"),
        (["points.csv", "--labels", "reannotated", "--dims", "3"], 2, "reannotated labels are 2D"),
        (["points.csv", "--labels", "reannotated"], 1, "original labels only"),
        (["points.csv", "--dims", "4"], 2, "2, 3 or 2,3"),
        (["points.npy"], 1, "--rows"),
        (["flat.csv", "--dims", "3"], 1, "2D only"),
        (["other.csv"], 1, "holds no annotation"),
        (["points.csv", "--json", "--csv"], 2, "exclude"),
        (["truth"], 1, "no face model"),
    ],
)
def test_bad_input(
    tmp_path: Path,
    truth_folder: Path,
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TWODASL_HOME", str(tmp_path / "home"))
    landmarks = truth_landmarks(truth_folder)
    write_csv(tmp_path, landmarks)
    write_npy(tmp_path, landmarks)
    (tmp_path / "empty").mkdir()
    (tmp_path / "flat.csv").write_text("face0," + ",".join(map(str, landmarks[0, :, :2].ravel())))
    (tmp_path / "other.csv").write_text("nobody," + ",".join(map(str, landmarks[0].ravel())))
    monkeypatch.chdir(tmp_path)
    got, out, err = run_command("eval", "nme", "--sparse", *arguments, "--truth", truth_folder)
    assert (got, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_what_to_measure_must_be_said(truth_folder: Path) -> None:
    code, _, err = run_command("eval", "nme", "x.h5", "--truth", truth_folder)
    assert code == 2
    assert "--sparse" in err


def test_annotations_that_are_damaged_are_refused(truth_folder: Path) -> None:
    from scipy.io import savemat

    savemat(truth_folder / "face1.mat", {"pt3d_68": np.full((3, 68), np.nan), "Pose_Para": np.zeros((1, 7))})
    with pytest.raises(FileError, match=r"face1\.mat.*not finite"):
        open_truth(truth_folder, "original", ["face1"])
    savemat(truth_folder / "face1.mat", {"pt3d_68": np.zeros((3, 21)), "Pose_Para": np.zeros((1, 7))})
    with pytest.raises(FileError, match=r"pt3d_68 is \(3, 21\)"):
        open_truth(truth_folder, "original", ["face1"])
    with pytest.raises(NamesError, match="nobody"):
        open_truth(truth_folder, "original", ["nobody"])


def test_whitened_coefficients_are_not_taken_for_plain_ones(
    tmp_path: Path, truth_folder: Path, toy_model: MorphableModel
) -> None:
    toy_model.save(tmp_path / "toy.h5")
    np.save(tmp_path / "params.npy", np.random.default_rng(4).normal(size=(3, 62)))
    (tmp_path / "rows.list").write_text("face0\nface1\nface2\n")
    code, _, err = run_command(
        "eval",
        "nme",
        "--sparse",
        tmp_path / "params.npy",
        "--rows",
        tmp_path / "rows.list",
        "--model",
        tmp_path / "toy.h5",
        "--truth",
        truth_folder,
    )
    assert code == 1
    assert "--whitening" in err


def test_protocols_are_listed() -> None:
    code, out, _ = run_command("eval", "protocols", "--json")
    assert code == 0
    assert set(json.loads(out)) == {"standard", "2dasl", "exact"}
    _, out, _ = run_command("eval", "protocols")
    assert "standard (default)" in out


# --- the published numbers, on real data ----------------------------------------------------------


def published(data: Path, bfm_path: Path, *more: str) -> dict:
    folder = data / "aflw2000"
    code, out, err = run_command(
        "eval",
        "nme",
        "--sparse",
        data / "peers" / "params_aflw2000_xgtu.npy",
        "--rows",
        folder / "AFLW1998-3D_crop.list",
        "--whitening",
        data / "bfm" / "param_whitening.pkl",
        "--model",
        bfm_path,
        "--truth",
        folder,
        "--json",
        *more,
    )
    assert code == 0, err
    return json.loads(out)


def percent(summary: dict) -> list[float]:
    values = [
        *summary["bins"].values(),
        summary["mean_over_bins"],
        summary["std_over_bins"],
        summary["mean_over_images"],
    ]
    return [round(100 * value, 3) for value in values]


def test_published_parameters_score_as_published(data: Path, bfm_path: Path) -> None:
    summary = published(data, bfm_path, "--protocol", "2dasl")["summary"]
    assert percent(summary) == [2.671, 3.605, 4.659, 3.645, 0.812, 3.152]
    assert summary["bin_counts"] == {"0-30": 1311, "30-60": 383, "60-90": 304}
    again = published(data, bfm_path, "--protocol", "2dasl", "--labels", "reannotated")["summary"]
    assert percent(again)[3] == 3.055
    assert percent(again)[5] == 2.721


def test_published_parameters_under_the_exact_protocol(data: Path, bfm_path: Path) -> None:
    summary = published(data, bfm_path, "--protocol", "exact")["summary"]
    assert percent(summary)[:4] == [2.647, 3.397, 4.455, 3.5]
    assert percent(summary)[5] == 3.066
    again = published(data, bfm_path, "--protocol", "exact", "--labels", "reannotated")["summary"]
    assert (percent(again)[3], percent(again)[5]) == (2.739, 2.363)


def test_published_parameters_equal_the_original_code(data: Path, bfm_path: Path, parity: dict) -> None:
    """Within 1e-6: the reference was made with the basis as rounded text."""
    expected = parity["published_parameters_benchmark"]
    document = published(data, bfm_path, "--protocol", "2dasl")
    for name, value in expected["per_image_fraction"].items():
        assert document["per_image"][name] == pytest.approx(value["float64"], abs=1e-6)
    numbers = expected["numpy_float64"]
    assert document["summary"]["mean_over_bins"] == pytest.approx(numbers["mean_of_bins"] / 100, abs=1e-6)
    assert document["summary"]["mean_over_images"] == pytest.approx(numbers["plain_mean_all"] / 100, abs=1e-6)


METHODS = {"2DASL": "2DASL_results", "3DDFA": "3DDFA_results", "PRNet": "PRNet_results/kpt"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dims", [2, 3])
def test_matlab_parity(data: Path, bfm_path: Path, parity: dict, method: str, dims: int) -> None:
    """Every value of the original's own scripts within 1e-9."""
    (reference,) = [
        metric
        for metric in parity["metrics"]
        if metric["metric"] == f"sparse_nme_{dims}d" and metric["method"] == method
    ]
    code, out, err = run_command(
        "eval",
        "nme",
        "--sparse",
        "--dims",
        str(dims),
        data / "aflw2000" / "evaluation" / METHODS[method],
        "--model",
        bfm_path,
        "--truth",
        data / "aflw2000" / "AFLW-2000-3D",
        "--protocol",
        "2dasl",
        "--json",
    )
    assert code == 0, err
    document = json.loads(out)
    assert len(document["per_image"]) >= len(reference["values"]) == 20
    for name, value in reference["values"].items():
        assert document["per_image"][name] == pytest.approx(value["double"], abs=1e-9)
    assert document["summary"]["mean_over_images"] == pytest.approx(reference["mean_double"], abs=1e-9)


def test_both_truth_folders_agree(data: Path, bfm_path: Path) -> None:
    """The `.mat` folder gives the numbers of the benchmark's arrays: boxes by the rule, yaw from Pose_Para."""
    folder = data / "aflw2000"
    names = (folder / "AFLW1998-3D_crop.list").read_text().split()[::40]
    stems = [name[:-4] for name in names]
    arrays, mats = (open_truth(path, "original", stems) for path in (folder, folder / "AFLW-2000-3D"))
    np.testing.assert_array_equal(arrays.given_box, mats.given_box)
    np.testing.assert_allclose(arrays.landmarks, mats.landmarks, atol=4e-5)
    np.testing.assert_allclose(arrays.yaw_degrees, mats.yaw_degrees, atol=1e-4)


def test_mean_face_row_shows_what_the_shape_adds(data: Path, bfm_path: Path) -> None:
    """Zero identity and expression at the predicted pose: 4.059 against 3.645 (measured here)."""
    document = published(data, bfm_path, "--protocol", "2dasl")
    assert percent(document["mean_face"])[3] == 4.059
