"""Runs: written and read back, refused when damaged, and what `twodasl run` says of them."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import run_command
from tests.toy_infer import toy_landmarks
from twodasl.models.coefficients import join, split
from twodasl.models.errors import BasisError, FileError, NamesError, ShapeError
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import crop_up_from_model, rotation_from_angles
from twodasl.models.runs import OK, STATUSES, Run, check_scorable, run_from_coefficients, write_run

NAMES = ("a", "b", "c")


def toy_coefficients(n: int = 3) -> np.ndarray:
    """(n, 62) float64: heads turned by 10 degrees each, with shapes of their own."""
    rng = np.random.default_rng(0)
    turned = 4e-4 * rotation_from_angles(
        np.stack([10.0 * np.arange(1, n + 1), np.full(n, 5.0), np.full(n, -3.0)], axis=-1)
    )
    pose = np.concatenate([turned, np.tile([[60.0], [60.0], [0.0]], (n, 1, 1))], axis=-1)
    return join(pose, rng.normal(0, 1e4, (n, 40)), rng.normal(0, 0.3, (n, 10)))


@pytest.fixture
def run(toy_model: MorphableModel) -> Run:
    """Three faces in 240-pixel boxes; the last one failed."""
    boxes = np.array([[11.0, 21, 250, 260], [-20, -10, 219, 229], [1, 1, 240, 240]])
    made = run_from_coefficients(
        NAMES, toy_coefficients(), toy_model, "3ddfa-v2", boxes, [f"photos/{name}.jpg" for name in NAMES]
    )
    coefficients, landmarks = made.coefficients.astype(np.float32), made.landmarks.copy()
    coefficients[2], landmarks[2] = np.nan, np.nan
    return replace(
        made,
        coefficients=coefficients,
        landmarks=landmarks,
        status=(OK, OK, "not-finite"),
        box_kind=("clipped", "cut", "cut"),
        image_size=np.array([[640, 480], [0, 0], [640, 480]], np.int32),
        landmarks_in=np.random.default_rng(1).uniform(0, 120, (3, 68, 2)).astype(np.float32),
    )


def assert_same(one: Run, other: Run) -> None:
    assert one.info == other.info
    for name in ("names", "paths", "status", "box_kind"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("face", "box", "image_size", "coefficients", "landmarks", "landmarks_in"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None)
        if first is not None:
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second)


# --- the file -------------------------------------------------------------------------------------


def test_round_trip(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "new" / "run.h5")
    assert_same(Run.load(tmp_path / "new" / "run.h5"), run)
    plain = replace(run, landmarks_in=None, coefficients=toy_coefficients())  # float64, as they were handed over
    plain.save(tmp_path / "run.h5")
    assert_same(Run.load(tmp_path / "run.h5"), plain)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "run.h5"]


def test_the_same_run_is_the_same_file(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "one.h5")
    run.save(tmp_path / "two.h5")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_names_that_are_not_ascii(run: Run, tmp_path: Path) -> None:
    """Umlauts, and a file name that is no UTF-8, as Linux allows and `find -print0` hands over."""
    odd = replace(run, names=("Jürgen", "顔", "b\udcff"), paths=("Jürgen.jpg", "顔.jpg", "b\udcff.jpg"))
    odd.save(tmp_path / "run.h5")
    assert_same(Run.load(tmp_path / "run.h5"), odd)


def test_a_run_without_faces(run: Run, tmp_path: Path, toy_model: MorphableModel) -> None:
    empty = run_from_coefficients((), np.zeros((0, 62)), toy_model, "3ddfa")
    empty.save(tmp_path / "run.h5")
    assert len(Run.load(tmp_path / "run.h5")) == 0


def test_too_few_faces_leave_no_file(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="3 faces arrived for a run of 4"):
        write_run(tmp_path / "run.h5", run.info, 4, True, [run])
    assert list(tmp_path.iterdir()) == []


def test_faces_arrive_in_blocks(run: Run, tmp_path: Path, toy_model: MorphableModel) -> None:
    """Of any size, with their vertices: the same as all at once."""
    import h5py

    write_run(tmp_path / "blocks.h5", run.info, 6, True, [run, replace(run, names=("d", "e", "f"))], toy_model)
    read = Run.load(tmp_path / "blocks.h5")
    assert read.names == ("a", "b", "c", "d", "e", "f")
    np.testing.assert_array_equal(read.box, np.concatenate([run.box, run.box]))
    np.testing.assert_array_equal(read.coefficients, np.concatenate([run.coefficients, run.coefficients]))
    with h5py.File(tmp_path / "blocks.h5") as file:
        for index in range(6):
            expected = run.vertices(index % 3, toy_model) if index % 3 < 2 else np.full(toy_model.mean.shape, np.nan)
            np.testing.assert_allclose(file["vertices"][index], expected, atol=1e-4)


def damaged(file: Any, what: str) -> None:
    import h5py

    if what == "newer":
        file.attrs["version"] = 2
    elif what == "no version":
        del file.attrs["version"]
    elif what == "model":
        file.attrs["format"] = "twodasl-model"
    elif what == "foreign":
        del file.attrs["format"]
    elif what == "no info":
        del file.attrs["info"]
    elif what == "half info":
        file.attrs["info"] = '{"basis_id": "x"'
    elif what == "odd info":
        file.attrs["info"] = '{"size": 3}'
    elif what == "no box":
        del file["box"]
    elif what == "group":
        del file["names"]
        file.create_group("names")
    elif what == "number names":
        del file["names"]
        file["names"] = np.arange(3)
    elif what == "short":
        del file["status"]
        file.create_dataset("status", (2,), h5py.string_dtype())
    elif what == "wide":
        del file["coefficients"]
        file["coefficients"] = np.zeros((3, 61), np.float32)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("newer", "format version 2, this program reads up to 1: update twodasl"),
        ("no version", "is damaged: its format version is None"),
        ("model", "holds a face model; a run is expected"),
        ("foreign", "holds HDF5 data of another program; a run is expected"),
        ("no info", "is a damaged run"),
        ("half info", "is a damaged run"),
        ("odd info", "is a damaged run.*size"),
        ("no box", "is a damaged run.*box"),
        ("group", "is a damaged run"),
        ("number names", "is a damaged run"),
        ("short", r"is a damaged run: status is \(2,\); \(3,\) is expected"),
        ("wide", r"is a damaged run: coefficients is \(3, 61\); \(3, 62\) is expected"),
    ],
)
def test_damaged_runs_are_refused(run: Run, tmp_path: Path, what: str, message: str) -> None:
    import h5py

    path = tmp_path / "run.h5"
    run.save(path)
    with h5py.File(path, "r+") as file:
        damaged(file, what)
    with pytest.raises(FileError, match=rf"run\.h5.*{message}"):
        Run.load(path)
    code, out, err = run_command("run", "info", path)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ") and err.count("\n") == 1


def test_cut_short_and_other_files_are_refused(run: Run, tmp_path: Path, toy_model: MorphableModel) -> None:
    path = tmp_path / "run.h5"
    run.save(path)
    whole = path.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match="as a run: it is damaged or not HDF5"):
            Run.load(path)
    toy_model.save(path)
    with pytest.raises(FileError, match="holds a face model; a run is expected"):
        Run.load(path)
    with pytest.raises(FileError, match="as a run: no such file"):
        Run.load(tmp_path / "absent.h5")


# --- points ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", ["3ddfa", "3ddfa-v2"])
def test_stored_landmarks_are_the_coefficients_own(convention: Any, tmp_path: Path, toy_model: MorphableModel) -> None:
    """Without the model, within 1e-9 px, from a file."""
    coefficients = toy_coefficients()
    boxes = np.array([[11.0, 21, 250, 260], [-20, -10, 480, 500], [1, 1, 33, 33]])
    run_from_coefficients(NAMES, coefficients, toy_model, convention, boxes).save(tmp_path / "run.h5")
    pose, identity, expression = split(coefficients, 40)
    expected = crop_up_from_model(toy_model.landmarks(identity, expression), pose)
    np.testing.assert_allclose(Run.load(tmp_path / "run.h5").crop_up_landmarks(), expected, atol=1e-9, rtol=0)


def test_landmarks_are_vertices(run: Run, toy_model: MorphableModel) -> None:
    """In the photo, where they lie. On paper: pixel 60 of a crop counted from 1 and cut 2:1 at 11 is 129.5 from 1."""
    for index in (0, 1):
        vertices = run.vertices(index, toy_model)
        assert vertices.shape == toy_model.mean.shape
        np.testing.assert_allclose(vertices[toy_model.landmark_ids], run.landmarks[index], atol=1e-3)
    centre = replace(run, coefficients=np.array([[0] * 3 + [60] + [0] * 3 + [61] + [0] * 4 + [0] * 50] * 3, np.float32))
    np.testing.assert_allclose(centre.vertices(0, toy_model)[0, :2], [11 - 0.5 + 59.5 * 2 - 1, 21 - 0.5 + 59.5 * 2 - 1])
    # The original's rule: 119 / 120 of the side and no half pixel, from 1.
    scale = 239 / 120
    np.testing.assert_allclose(centre.matlab_vertices(0, toy_model)[0, :2], [11 + 59 * scale, 21 + 59 * scale])


def test_another_models_vertices_are_refused(run: Run, toy_model: MorphableModel) -> None:
    other = replace(toy_model, mean=toy_model.mean + 1)
    with pytest.raises(BasisError, match="this run belongs to the face model with basis id"):
        run.vertices(0, other)


def test_whitened_and_odd_coefficients_are_refused(toy_model: MorphableModel) -> None:
    for scale, message in ((1e4, "look whitened.*--whitening"), (1e-4, "no face in a 120-pixel crop")):
        with pytest.raises(ShapeError, match=message):
            run_from_coefficients(NAMES, toy_coefficients() * scale, toy_model, "3ddfa")


def test_only_faces_with_a_place_can_be_scored(run: Run) -> None:
    check_scorable(run, "run.h5")
    check_scorable(replace(run, box_kind=("cut", "cut", "none")), "run.h5")  # the one that failed
    with pytest.raises(NamesError, match=r"run\.h5 was made from crops without boxes \(b, 1 in all\).*--boxes"):
        check_scorable(replace(run, box_kind=("cut", "none", "cut")), "run.h5")


# --- twodasl run ----------------------------------------------------------------------------------


@pytest.fixture
def file(run: Run, tmp_path: Path) -> Path:
    run.save(tmp_path / "run.h5")
    return tmp_path / "run.h5"


def test_info_for_people(file: Path, toy_model: MorphableModel) -> None:
    code, out, err = run_command("run", "info", file)
    assert (code, err) == (0, "")
    assert "2 ok (reconstructed), 1 not-finite (the network's output is not finite)" in out
    assert toy_model.basis_id in out and "invented, free to use" in out
    rows = {line.split()[0]: line.split() for line in out.splitlines()[-3:]}
    assert rows["a"] == ["a", "ok", "10.0", "5.0", "-3.0", "11", "21", "250", "260", "clipped"]
    assert rows["b"] == ["b", "ok", "20.0", "5.0", "-3.0", "-20", "-10", "219", "229", "cut"]
    assert rows["c"] == ["c", "not-finite", "-", "-", "-", "1", "1", "240", "240", "cut"]


def test_info_json(file: Path, run: Run) -> None:
    document = json.loads(run_command("run", "info", file, "--json")[1])
    assert document["faces"] == 3
    assert document["statuses"] == {"ok": 2, "not-finite": 1}
    assert (document["basis_id"], document["convention"]) == (run.info.basis_id, "3ddfa-v2")
    first, second, third = document["per_face"]
    assert first == {
        "name": "a", "face": 0, "status": "ok", "path": "photos/a.jpg",
        "yaw_degrees": pytest.approx(10, abs=1e-3), "pitch_degrees": pytest.approx(5, abs=1e-3),
        "roll_degrees": pytest.approx(-3, abs=1e-3),
        "box": [11, 21, 250, 260], "box_kind": "clipped", "image_size": [640, 480],
    }  # fmt: skip
    assert second["image_size"] is None
    assert third["yaw_degrees"] is None and third["status"] == "not-finite"


def test_info_csv(file: Path) -> None:
    code, out, _ = run_command("run", "info", file, "--csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["name"] for row in rows] == list(NAMES)
    assert [float(rows[0][side]) for side in ("left", "top", "right", "bottom")] == [11, 21, 250, 260]
    assert (rows[0]["width"], rows[0]["height"], rows[1]["width"]) == ("640", "480", "")
    assert float(rows[1]["yaw_degrees"]) == pytest.approx(20, abs=1e-3)
    assert rows[2]["yaw_degrees"] == ""


def test_export_json_lines(file: Path, run: Run) -> None:
    code, out, err = run_command("run", "export", file, "--json")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["name"], line["status"]) for line in lines] == list(zip(NAMES, run.status, strict=True))
    np.testing.assert_array_equal(lines[0]["landmarks"], run.landmarks[0])
    assert lines[2]["landmarks"] is None


def test_export_csv(file: Path, run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run_command("run", "export", file, "--csv")[1])))
    points = [[float(rows[1][f"{axis}{index}"]) for axis in "xyz"] for index in range(68)]
    np.testing.assert_array_equal(points, run.landmarks[1])
    assert rows[2]["x0"] == rows[2]["z67"] == ""
    assert set(map(len, rows)) == {len(rows[0])}


def test_exported_landmarks_can_be_scored(file: Path, run: Run, tmp_path: Path, toy_model: MorphableModel) -> None:
    """Anybody's landmarks, JSON lines: what `export` writes is what `eval` reads."""
    from scipy.io import savemat

    (tmp_path / "points.jsonl").write_text(
        "\n".join(
            json.dumps({"name": line["name"], "landmarks": line["landmarks"]})
            for line in map(json.loads, run_command("run", "export", file, "--json")[1].splitlines())
            if line["landmarks"]
        )
    )
    truth = tmp_path / "truth"
    truth.mkdir()
    for index, name in enumerate(NAMES):
        fields = {"pt3d_68": toy_landmarks(toy_model, index).T, "Pose_Para": np.array([[0, 0.1, 0, 0, 0, 0, 1e-3]])}
        savemat(truth / f"{name}.mat", fields)
    values = []
    for arguments in ([file], [tmp_path / "points.jsonl", "--origin", "0"]):
        code, out, err = run_command(
            "eval", "nme", "--sparse", *arguments, "--truth", truth, "--protocol", "exact", "--json"
        )  # fmt: skip
        assert code == 0, err
        values.append(json.loads(out)["per_image"])
    # "a" is of a clipped box, which `exact` re-derives for the run and cannot for points in the photo.
    assert values[0]["b"] == pytest.approx(values[1]["b"], abs=1e-12)


def test_options_that_do_not_go_together(file: Path) -> None:
    for arguments in (["export", file], ["export", file, "--json", "--csv"], ["info", file, "--json", "--csv"]):
        code, out, err = run_command("run", *arguments)
        assert (code, out) == (2, "")
        assert "--json" in err and "--csv" in err
    code, _, err = run_command("run", "info", file.with_name("absent.h5"))
    assert code == 1 and "no such file" in err


@pytest.mark.parametrize("arguments", [["run"], ["run", "info"], ["run", "export"]])
def test_help(arguments: list[str]) -> None:
    code, out, _ = run_command(*arguments, "--help")
    assert code == 0 and out.startswith("Usage: twodasl run")


def test_statuses_fit_their_field() -> None:
    """Of a journal's records, which are of one fixed size."""
    assert max(map(len, STATUSES)) <= 16
