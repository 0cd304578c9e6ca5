"""`twodasl infer`: every way to say which photos and where the faces are, bad input, interruptions, and real data."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.command import run_command
from tests.toy_infer import ToyJob, make_toy_job, toy_weights, write_annotation, write_photo
from twodasl.models import inference
from twodasl.models.boxes import box_from_landmarks
from twodasl.models.coefficients import read_whitening
from twodasl.models.importers.checkpoints import import_checkpoint
from twodasl.models.inference import InferenceSettings, collect_inputs
from twodasl.models.morphable import MorphableModel
from twodasl.models.photos import cut_crop, read_photo
from twodasl.models.predictor import Predictor
from twodasl.models.runs import Run

NAMES = ("anna", "ben", "chris", "dora", "emil", "frida", "gus")

# Another batch size, or other neighbours in a batch, changes the last bits of float32; in standard deviations.
ROUNDING = 1e-4


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, toy_model: MorphableModel) -> ToyJob:
    return make_toy_job(tmp_path_factory.mktemp("job"), toy_model, NAMES)


@pytest.fixture
def job(made: ToyJob, tmp_path: Path) -> ToyJob:
    """Files of its own for each test."""
    shutil.copytree(made.folder, tmp_path / "job")
    return ToyJob(tmp_path / "job", made.names, made.landmarks)


def by_name(path: Path, model: MorphableModel) -> dict[str, np.ndarray]:
    """Whitened coefficients, in standard deviations."""
    run = Run.load(path)
    whitening = toy_weights(model).whitening
    return dict(zip(run.names, whitening.whiten(run.coefficients), strict=True))


def lines_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def boxes_of(job: ToyJob) -> dict[str, np.ndarray]:
    return dict(zip(job.names, box_from_landmarks(job.landmarks), strict=True))


def assert_clean(job: ToyJob, *outputs: str) -> None:
    """Nothing half-written: of what infer writes, these files only."""
    left = {path.name for path in job.folder.iterdir() if ".h5" in path.name} - {"toy.h5"}
    assert left == set(outputs)


# --- which photos ---------------------------------------------------------------------------------


def test_a_folder(job: ToyJob, toy_model: MorphableModel) -> None:
    code, out, err = job.infer(job.photos, "--boxes-from", "truth")
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        f"7 of 7 faces in {job.folder / 'run.h5'}",
        "Terms: face model: invented, free to use; weights: invented, free to use",
    ]
    assert_clean(job, "run.h5")
    run = Run.load(job.folder / "run.h5")
    assert run.names == NAMES  # sorted, and the .mat files beside the photos are none
    assert run.paths == tuple(str(job.photos / f"{name}.png") for name in NAMES)
    assert set(run.status) == {"ok"} and set(run.box_kind) == {"cut"}
    assert (run.image_size == [200, 160]).all()
    np.testing.assert_array_equal(run.box, box_from_landmarks(job.landmarks))
    assert (run.info.basis_id, run.info.weights_name) == (toy_model.basis_id, "toy weights")
    assert run.info.settings["box_source"] == "truth" and run.info.settings["batch_size"] == 32
    assert run.landmarks_in is None
    for index in range(len(run)):
        vertices = run.vertices(index, toy_model)
        np.testing.assert_allclose(run.landmarks[index], vertices[toy_model.landmark_ids], atol=1e-3)


def test_coefficients_are_the_networks_for_these_crops(job: ToyJob, toy_model: MorphableModel) -> None:
    """Batch norm is folded away and batches are stacked: the plain network, one crop at a time, gives the same."""
    job.infer(job.photos, "--boxes-from", "truth")
    weights = toy_weights(toy_model)
    network = weights.network()
    for name, coefficients in by_name(job.folder / "run.h5", toy_model).items():
        crop = cut_crop(read_photo(job.photos / f"{name}.png"), boxes_of(job)[name]).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(((crop[..., ::-1] - 127.5) / 128).transpose(2, 0, 1)[None]))
        np.testing.assert_allclose(coefficients, expected[0], atol=1e-4)


def test_photos_as_arguments_keep_their_order(job: ToyJob) -> None:
    paths = [job.photos / f"{name}.png" for name in ("dora", "anna", "gus")]
    assert job.infer(*paths, "--boxes-from", "truth")[0] == 0
    assert Run.load(job.folder / "run.h5").names == ("dora", "anna", "gus")


@pytest.mark.parametrize("null", [False, True])
def test_names_on_stdin(job: ToyJob, null: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With spaces and line ends in a name where NUL ends it; empty names and a last end are left out."""
    paths = [job.photos / "ben.png", job.photos / "two words\nand a line.png" if null else job.photos / "two words.png"]
    write_photo(paths[1], 0)
    boxes = job.table("boxes.jsonl", {})
    boxes.write_text("\n".join(json.dumps({"name": path.name, "box": [20, 20, 140, 140]}) for path in paths))
    end = b"\0" if null else b"\r\n"
    data = end.join(os.fsencode(path) for path in paths) + end + end
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code, out, err = job.infer("-", *(["-0"] if null else []), "--boxes", boxes, "--json")
    assert code == 0, err
    assert [line["path"] for line in lines_of(out)] == [str(path) for path in paths]
    assert Run.load(job.folder / "run.h5").paths == tuple(map(str, paths))


def test_null_bytes_without_the_option(job: ToyJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.png\0b.png\0")))
    code, _, err = job.infer("-", "--cropped")
    assert code == 2 and "end with NUL bytes (find -print0): say -0" in err


def test_an_empty_stdin(job: ToyJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert job.infer("-", "--cropped")[::2] == (1, "Error: no photos: the list on stdin is empty\n")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems want file names to be text")
def test_a_name_that_is_no_text(job: ToyJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `find -print0` may hand it over."""
    path = job.crops / os.fsdecode(b"caf\xe9.png")
    (job.crops / "anna.png").rename(path)
    (job.crops / os.fsdecode(b"bad\xe9.png")).write_bytes(b"")
    code, out, _ = job.infer(job.crops, "--cropped", "--json")
    assert code == 3
    assert Run.load(job.folder / "run.h5").names[:3] == ("bad\udce9", "ben", "caf\udce9")
    assert [line["name"] for line in lines_of(out)[:3]] == ["bad\udce9", "ben", "caf\udce9"]
    for arguments in (["info"], ["info", "--json"], ["info", "--csv"], ["export", "--csv"]):
        result = twodasl("run", *arguments, job.folder / "run.h5", timeout=60)
        assert result.returncode == 0, result.stderr


def test_only(job: ToyJob) -> None:
    (job.folder / "only.list").write_text("gus.jpg\nanna\nnobody\nzoe.png\n")
    code, _, err = job.infer(job.photos, "--boxes-from", "truth", "--only", job.folder / "only.list")
    assert code == 0
    assert Run.load(job.folder / "run.h5").names == ("anna", "gus")
    assert f"2 of the 4 names in {job.folder / 'only.list'} have no photo here: nobody, zoe" in err


def test_settings_and_inputs_as_a_program_uses_them(job: ToyJob, toy_model: MorphableModel) -> None:
    """Without the command line: each face is told in order, with its record."""
    told: list[str] = []
    items = collect_inputs(sorted(job.crops.iterdir()))
    inference.infer(
        items, Predictor(toy_weights(toy_model)), toy_model, job.folder / "run.h5",
        InferenceSettings(cropped=True), on_outcome=lambda outcome: told.append(outcome.name),
    )  # fmt: skip
    assert tuple(told) == NAMES


# --- where the faces are --------------------------------------------------------------------------


def test_crops_without_boxes_stay_in_their_crops(job: ToyJob, tmp_path: Path) -> None:
    code, _, _ = job.infer(job.crops, "--cropped")
    assert code == 0
    run = Run.load(job.folder / "run.h5")
    assert set(run.box_kind) == {"none"}
    assert (run.box == [1, 1, 120, 120]).all() and (run.image_size == 120).all()
    code, out, err = run_command("eval", "nme", "--sparse", job.folder / "run.h5", "--truth", job.photos)
    assert (code, out) == (1, "")
    assert "made from crops without boxes (anna, 7 in all)" in err and "run infer again with --boxes" in err


@pytest.mark.parametrize("kind", ["clipped", "cut"])
def test_crops_with_boxes_lie_in_the_photo(job: ToyJob, kind: str, toy_model: MorphableModel) -> None:
    job.infer(job.crops, "--cropped", output="bare.h5")
    boxes = job.table("boxes.csv", boxes_of(job))
    assert job.infer(job.crops, "--cropped", "--boxes", boxes, "--box-kind", kind)[0] == 0
    bare, run = Run.load(job.folder / "bare.h5"), Run.load(job.folder / "run.h5")
    np.testing.assert_array_equal(run.coefficients, bare.coefficients)
    np.testing.assert_array_equal(run.box, box_from_landmarks(job.landmarks))
    assert set(run.box_kind) == {kind}
    assert (run.image_size == 0).all()  # of the photo, which nobody has seen
    sides = (run.box[:, 2:] - run.box[:, :2] + 1)[:, None]
    in_photo = run.box[:, None, :2] - 1.5 + (bare.landmarks[..., :2] + 0.5) * sides / 120
    np.testing.assert_allclose(run.landmarks[..., :2], in_photo)


def test_boxes_from_an_array_with_names(job: ToyJob) -> None:
    """In any order of rows; photos without a row are named."""
    order = [3, 0, 6, 2, 5]
    np.save(job.folder / "boxes.npy", box_from_landmarks(job.landmarks)[order].astype(np.float32))
    (job.folder / "rows.list").write_text("".join(f"{NAMES[i]}.jpg\n" for i in order))
    boxes = ["--boxes", job.folder / "boxes.npy"]
    code, _, err = job.infer(job.photos, *boxes, "--rows", job.folder / "rows.list")
    assert code == 3
    assert "ben: no-box (no box was handed over for ben)" in err and "emil: no-box" in err
    run = Run.load(job.folder / "run.h5")
    assert run.status == ("ok", "no-box", "ok", "ok", "no-box", "ok", "ok")
    np.testing.assert_array_equal(run.box[run.valid], box_from_landmarks(job.landmarks)[run.valid])
    assert np.isnan(run.box[1]).all() and np.isnan(run.coefficients[1]).all() and np.isnan(run.landmarks[1]).all()


def test_face_boxes_become_crop_boxes(job: ToyJob) -> None:
    """A detector's 100-pixel box: 14 % of 100 down, 158 pixels wide."""
    boxes = job.table("boxes.csv", {name: np.array([50.0, 30, 150, 130]) for name in NAMES})
    assert job.infer(job.photos, "--boxes", boxes, "--boxes-are", "face")[0] == 0
    assert Run.load(job.folder / "run.h5").box[0].tolist() == [21, 15, 179, 173]


def test_fractions_of_a_pixel_are_rounded_as_they_are_cut(job: ToyJob) -> None:
    """The box of a `cut` face is the one that was really cut; halves go away from zero."""
    boxes = job.table("boxes.csv", {name: np.array([-10.5, 20.49, 120.5, 150.51]) for name in NAMES})
    job.infer(job.photos, "--boxes", boxes)
    assert (Run.load(job.folder / "run.h5").box == [-11, 20, 121, 151]).all()


def test_bad_boxes(job: ToyJob) -> None:
    rows = boxes_of(job)
    rows |= {
        "anna": np.array([50.0, 50, 50, 90]),
        "ben": np.array([50, np.nan, 90, 90]),
        "chris": np.array([90.0, 50, 50, 90]),
        "dora": np.array([500.0, 500, 600, 600]),
        "emil": np.array([-1e6, -1e6, 1e6, 1e6]),
        "frida": np.array([50, 50, np.inf, 90]),
    }
    code, out, err = job.infer(job.photos, "--boxes", job.table("boxes.csv", rows), "--json")
    assert code == 3
    lines = lines_of(out)
    assert [line["status"] for line in lines] == ["bad-box"] * 6 + ["ok"]
    assert "the box of anna is (50, 50, 50, 90); left < right and top < bottom are expected" in lines[0]["message"]
    assert "the box of ben is (50, nan, 90, 90)" in lines[1]["message"]
    assert "lies outside it" in lines[3]["message"] and "too large" in lines[4]["message"]
    assert lines[0]["box"] is lines[0]["box_kind"] is lines[0]["yaw_degrees"] is None
    assert "bad-box" in err
    code, out, _ = job.infer(job.crops, "--cropped", "--boxes", job.table("boxes.csv", rows), "--json", output="c.h5")
    assert [line["status"] for line in lines_of(out)] == ["bad-box"] * 3 + ["ok", "ok", "bad-box", "ok"]


def test_annotations_that_are_missing_or_odd(job: ToyJob, toy_model: MorphableModel) -> None:
    points = job.landmarks
    (job.photos / "anna.mat").unlink()
    write_annotation(job.photos / "ben.mat", points[1], pt3d_68=None)
    broken = points[2].copy()
    broken[3, 1] = np.nan
    write_annotation(job.photos / "chris.mat", broken)
    write_annotation(job.photos / "dora.mat", points[3], pt3d_68=points[3].T.round().astype(np.uint8))
    write_annotation(job.photos / "emil.mat", points[4], Exp_Para=np.array([["text"]]), pt2d=np.zeros((2, 21)))
    write_annotation(job.photos / "frida.mat", points[5], pt3d_68=np.array([["cell", 1]], object))
    write_annotation(job.photos / "gus.mat", np.ones((68, 3)))
    code, out, err = job.infer(job.photos, "--boxes-from", "truth", "--json")
    assert code == 3
    lines = lines_of(out)
    assert [line["status"] for line in lines] == [*["no-annotation"] * 3, "ok", "ok", "no-annotation", "bad-box"]
    messages = [line["message"] for line in lines]
    assert "anna.mat: No such file" in messages[0]
    assert "ben.mat holds no variable 'pt3d_68'; it has Exp_Para, Pose_Para, pt2d" in messages[1]
    assert "chris.mat: pt3d_68 holds values that are not finite" in messages[2]
    assert "frida.mat: pt3d_68 holds object; numbers are expected" in messages[5]
    assert "the box of gus is (1, 1, 1, 1)" in messages[6]
    assert "2 of 7 faces" in err


def test_detected_landmarks_by_name(job: ToyJob, toy_model: MorphableModel) -> None:
    """A detector list in another order, without dora and with a NaN of emil: the four-channel network needs them."""
    points = dict(zip(NAMES, job.landmarks[..., :2].round(), strict=True))
    del points["dora"]
    points["emil"][5, 0] = np.nan
    listed = job.table("detected.txt", {f"{name}.jpg": points[name] for name in sorted(points, reverse=True)})
    with listed.open("a") as file:
        file.write("1081\n")  # as the published list marks an image without a detection
    code, out, err = job.infer(job.photos, "--landmarks", listed, "--origin", "1", "--json", weights="w4")
    assert code == 3
    assert [(line["name"], line["status"]) for line in lines_of(out)] == [
        (name, "no-landmarks" if name in ("dora", "emil") else "ok") for name in NAMES
    ]
    assert "5 of 7 faces" in err
    assert "dora: no-landmarks (dora has no landmarks, which these weights need)" in err
    run = Run.load(job.folder / "run.h5")
    assert run.landmarks_in is not None and np.isnan(run.landmarks_in[3]).all()
    np.testing.assert_array_equal(run.box[0], box_from_landmarks(points["anna"]))
    # On paper: a photo pixel u from 1 in a box from x0 to x1 is (u - x0 + 0.5) 120 / (x1 - x0 + 1) - 0.5 from 0.
    side = run.box[0, 2] - run.box[0, 0] + 1
    expected = (points["anna"][:, 0] - run.box[0, 0] + 0.5) * 120 / side - 0.5
    np.testing.assert_allclose(run.landmarks_in[0, :, 0], expected, atol=1e-4)


def test_landmarks_from_0_lie_one_pixel_further(job: ToyJob) -> None:
    """A box counts from 1, whatever --origin the landmarks have."""
    points = job.table("points.csv", dict(zip(NAMES, job.landmarks - 1, strict=True)))
    assert job.infer(job.photos, "--boxes-from", "landmarks", "--landmarks", points)[0] == 0
    np.testing.assert_array_equal(Run.load(job.folder / "run.h5").box, box_from_landmarks(job.landmarks))


def test_landmarks_change_what_is_predicted(job: ToyJob, toy_model: MorphableModel) -> None:
    points = dict(zip(NAMES, job.landmarks[..., :2] * 0.6, strict=True))
    job.infer(job.crops, "--cropped", "--landmarks", job.table("a.txt", points), weights="w4", output="a.h5")
    points["ben"] = points["ben"][::-1]
    job.infer(job.crops, "--cropped", "--landmarks", job.table("b.txt", points), weights="w4", output="b.h5")
    one, other = Run.load(job.folder / "a.h5").coefficients, Run.load(job.folder / "b.h5").coefficients
    assert [bool((a == b).all()) for a, b in zip(one, other, strict=True)] == [name != "ben" for name in NAMES]


def test_landmarks_of_crops_are_in_the_pixels_of_the_crop(job: ToyJob) -> None:
    """Counted from --origin, and scaled with the picture where it is not 120 pixels large."""
    points = np.random.default_rng(0).uniform(10, 110, (68, 2))
    write_photo(job.crops / "anna.png", 0, 240, 240)
    rows = {name: (2 * points + 0.5 if name == "anna" else points) + 1 for name in NAMES}
    job.infer(job.crops, "--cropped", "--landmarks", job.table("a.txt", rows), "--origin", "1", weights="w4")
    shown = Run.load(job.folder / "run.h5").landmarks_in
    assert shown is not None
    np.testing.assert_allclose(shown, np.broadcast_to(points, shown.shape), atol=1e-4)


def test_weights_with_a_landmark_map_ask_for_landmarks(job: ToyJob) -> None:
    code, _, err = job.infer(job.crops, "--cropped", weights="w4")
    assert code == 2
    assert "takes landmarks as a fourth channel: hand them over with --landmarks" in err
    assert_clean(job)


def test_pairing_is_by_name_not_by_place(job: ToyJob, toy_model: MorphableModel) -> None:
    """Photos, boxes and landmarks each in an order of their own."""
    points = dict(zip(NAMES, job.landmarks[..., :2], strict=True))
    paths = [job.photos / f"{name}.png" for name in NAMES]
    boxes = box_from_landmarks(job.landmarks)
    rng = np.random.default_rng(0)
    found = []
    for trial in range(3):
        orders = [rng.permutation(len(NAMES)) if trial else np.arange(len(NAMES)) for _ in range(2)]
        np.save(job.folder / "boxes.npy", boxes[orders[0]])
        np.save(job.folder / "points.npy", np.stack([points[NAMES[i]] for i in orders[0]]).swapaxes(1, 2))  # (n, 2, 68)
        (job.folder / "rows.list").write_text("\n".join(NAMES[i] for i in orders[0]))
        code, _, err = job.infer(
            *[paths[i] for i in orders[1]], "--boxes", job.folder / "boxes.npy", "--landmarks",
            job.folder / "points.npy", "--rows", job.folder / "rows.list", weights="w4", output=f"{trial}.h5",
        )  # fmt: skip
        assert code == 0, err
        found.append(by_name(job.folder / f"{trial}.h5", toy_model))
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for name, coefficients in other.items():
            np.testing.assert_allclose(coefficients, found[0][name], atol=ROUNDING)
    differ = np.abs(found[0]["anna"] - found[0]["ben"]).max()
    assert differ > 100 * ROUNDING  # so that a swap would show


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_batch_size_does_not_matter(job: ToyJob, toy_model: MorphableModel, size: int) -> None:
    job.infer(job.crops, "--cropped", output="all.h5")
    job.infer(job.crops, "--cropped", "--batch-size", size, "--jobs", 1)
    expected = by_name(job.folder / "all.h5", toy_model)
    for name, coefficients in by_name(job.folder / "run.h5", toy_model).items():
        np.testing.assert_allclose(coefficients, expected[name], atol=ROUNDING)


# --- what it prints -------------------------------------------------------------------------------


def test_json_lines(job: ToyJob) -> None:
    """One for each input, in order, of good ones and bad ones."""
    (job.photos / "chris.png").write_bytes(b"")
    write_photo(job.photos / "dora.png", 3)
    whole = (job.photos / "emil.png").read_bytes()
    (job.photos / "emil.png").write_bytes(whole[: len(whole) // 2])
    (job.folder / "notes.txt").write_text("no picture")
    code, out, err = job.infer(
        job.photos, job.folder / "notes.txt", "--boxes-from", "truth", "--json", "--batch-size", 3
    )
    assert code == 3
    lines = lines_of(out)
    assert [line["name"] for line in lines] == [*NAMES, "notes.txt"]
    bad = {"chris", "emil", "notes.txt"}
    assert [line["status"] for line in lines] == ["unreadable" if line["name"] in bad else "ok" for line in lines]
    run = Run.load(job.folder / "run.h5")
    assert lines[0] == {
        "name": "anna", "face": 0, "status": "ok", "path": str(job.photos / "anna.png"), "message": "",
        "yaw_degrees": lines[0]["yaw_degrees"], "pitch_degrees": lines[0]["pitch_degrees"],
        "roll_degrees": lines[0]["roll_degrees"], "box": run.box[0].tolist(), "box_kind": "cut",
        "image_size": [200, 160],
    }  # fmt: skip
    assert abs(lines[0]["yaw_degrees"]) < 45
    assert lines[2]["message"] == f"{job.photos / 'chris.png'} is empty (0 bytes)"
    assert lines[2]["yaw_degrees"] is lines[2]["box"] is lines[2]["image_size"] is None
    assert "notes.txt is not a picture in a known format" in lines[7]["message"]
    assert err.splitlines()[0] == f"5 of 8 faces in {job.folder / 'run.h5'}"
    assert f"chris: unreadable ({job.photos / 'chris.png'} is empty (0 bytes))" in err
    assert_clean(job, "run.h5")


def test_a_long_list_of_failures_is_cut_short(job: ToyJob) -> None:
    absent = [job.photos / f"absent{i}.png" for i in range(50)]
    sys_stdin = "\n".join(map(str, absent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sys_stdin.encode())))
        code, _, err = job.infer("-", "--cropped")
    assert code == 3
    lines = err.splitlines()
    assert len(lines) == 23
    assert lines[2].startswith("absent0: unreadable (cannot read ")
    assert lines[-1] == f"and 30 more; 'twodasl run info {job.folder / 'run.h5'}' names them all"
    assert Run.load(job.folder / "run.h5").status == ("unreadable",) * 50


def test_odd_pictures(job: ToyJob) -> None:
    """Of every kind in one folder; EXIF-rotated ones are cut as they are shown."""
    with Image.open(job.photos / "anna.png") as image:
        colour = image.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in job.photos.glob("*.png"):
        path.unlink()
    colour.convert("L").save(job.photos / "anna.png")
    Image.fromarray(np.asarray(colour.convert("L")).astype(np.uint16) * 257).save(job.photos / "ben.png")
    colour.convert("RGBA").save(job.photos / "chris.png")
    colour.convert("CMYK").save(job.photos / "dora.jpg", quality=95)
    colour.convert("P").save(job.photos / "emil.png", transparency=bytes(range(200)))
    colour.rotate(90, expand=True).save(job.photos / "frida.png", exif=exif)
    colour.save(job.photos / "gus.png")
    boxes = job.table("boxes.csv", {name: np.array([20.0, 20, 139, 139]) for name in NAMES})
    before = list(warnings.filters)
    code, out, err = job.infer(job.photos, "--boxes", boxes, "--json")
    assert code == 0, err
    assert [line["status"] for line in lines_of(out)] == ["ok"] * 7
    run = Run.load(job.folder / "run.h5")
    assert (run.image_size == [200, 160]).all()
    np.testing.assert_allclose(run.coefficients[1], run.coefficients[0], rtol=1e-4)  # 16 bits are the upper eight
    np.testing.assert_allclose(run.coefficients[5], run.coefficients[6], rtol=1e-4)  # turned is as shown
    np.testing.assert_allclose(run.coefficients[2], run.coefficients[6], rtol=1e-4)  # alpha is dropped
    assert list(warnings.filters) == before


def test_an_output_of_the_network_that_is_not_finite(job: ToyJob, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Predictor.coefficients

    def one_bad(self: Predictor, crops: np.ndarray, landmarks: np.ndarray | None = None) -> np.ndarray:
        coefficients = plain(self, crops, landmarks)
        coefficients[2, 30], coefficients[4, 0] = np.nan, np.inf
        return coefficients

    monkeypatch.setattr(Predictor, "coefficients", one_bad)
    code, out, err = job.infer(job.photos, "--boxes-from", "truth", "--json")
    assert code == 3
    assert [line["name"] for line in lines_of(out) if line["status"] == "not-finite"] == ["chris", "emil"]
    assert "chris: not-finite (the network's output is not finite)" in err
    run = Run.load(job.folder / "run.h5")
    assert np.isnan(run.coefficients[[2, 4]]).all() and np.isnan(run.landmarks[[2, 4]]).all()
    assert np.isfinite(run.coefficients[run.valid]).all()


def test_numbers_too_large_for_float32_are_not_finite(toy_model: MorphableModel, monkeypatch: Any) -> None:
    predictor = Predictor(toy_weights(toy_model))
    monkeypatch.setattr(predictor, "_network", lambda batch: torch.full((len(batch), 62), 1e38))
    coefficients = predictor.coefficients(np.zeros((1, 120, 120, 3), np.uint8))
    assert np.isinf(coefficients).any()


def test_dense_vertices_are_the_runs(job: ToyJob, toy_model: MorphableModel) -> None:
    import h5py

    (job.photos / "ben.mat").unlink()
    assert job.infer(job.photos, "--boxes-from", "truth", "--dense")[0] == 3
    run = Run.load(job.folder / "run.h5")
    with h5py.File(job.folder / "run.h5") as file:
        vertices = file["vertices"][()]
    assert vertices.shape == (7, *toy_model.mean.shape)
    for index in range(7):
        if run.valid[index]:
            np.testing.assert_allclose(vertices[index], run.vertices(index, toy_model), atol=1e-4)
    assert np.isnan(vertices[1]).all()


def test_a_run_can_be_scored_without_the_face_model(job: ToyJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job.infer(job.photos, "--boxes-from", "truth")
    monkeypatch.setenv("TWODASL_HOME", str(job.folder / "empty home"))
    arguments = ["eval", "nme", "--sparse", job.folder / "run.h5", "--truth", job.photos, "--json"]
    for protocol in ("standard", "2dasl", "exact"):
        code, out, err = run_command(*arguments, "--protocol", protocol)
        assert code == 0, err
        shared = json.loads(out)
        with_model = json.loads(run_command(*arguments, "--protocol", protocol, "--model", job.folder / "toy.h5")[1])
        assert shared["per_image"] == with_model["per_image"] and len(shared["per_image"]) == 7
        assert shared["summary"] == with_model["summary"]
        assert 0 < shared["summary"]["mean_over_images"] < 1


# --- bad input ------------------------------------------------------------------------------------


def test_inputs_that_do_not_fit(job: ToyJob, toy_model: MorphableModel) -> None:
    """One sentence, exit code 1, and nothing is written."""
    (job.folder / "empty").mkdir()
    (job.folder / "other").mkdir()
    shutil.copy(job.photos / "ben.png", job.folder / "other" / "ben.jpg")
    np.save(job.folder / "boxes.npy", box_from_landmarks(job.landmarks))
    (job.folder / "six.list").write_text("\n".join(NAMES[:6]))
    (job.folder / "twice.list").write_text("\n".join([*NAMES[:6], "anna"]))
    (job.folder / "nobody.list").write_text("zoe\n")
    (job.folder / "header.csv").write_text("anna,1,2,x,4\nben,1,2,3,4\n")
    (job.folder / "wide.csv").write_text("anna," + "1" * 200_000 + "\n")
    boxes = ["--boxes", job.folder / "boxes.npy"]
    photo = job.photos / "ben.png"
    for arguments, message in (
        ([job.folder / "empty", "--cropped"], "empty holds no photos (.bmp, .jpeg, .jpg"),
        ([job.folder / "absent", "--cropped"], "absent: no such file or folder"),
        ([job.crops, job.folder / "other", "--cropped"], "two inputs are called 'ben'"),
        ([job.crops, job.crops, "--cropped"], f"{job.crops / 'anna.png'} is handed over twice"),
        ([photo, photo, "--cropped"], f"{photo} is handed over twice"),
        ([job.photos, *boxes], "has rows without names: --rows names the list"),
        ([job.photos, *boxes, "--rows", job.folder / "six.list"], "7 rows but"),
        ([job.photos, *boxes, "--rows", job.folder / "twice.list"], "'anna' twice"),
        ([job.photos, *boxes, "--rows", job.folder / "none.list"], "none.list: No such file"),
        ([job.photos, "--boxes", job.folder / "header.csv"], "line 1: a name and then the numbers of boxes"),
        ([job.photos, "--boxes", job.folder / "wide.csv"], "line 1: this is no table of boxes"),
        ([job.photos, "--boxes", photo], "neither text nor a .npy array"),
        ([job.photos, "--landmarks", job.table("b.csv", boxes_of(job))], "4 numbers; 136 or 204 are expected"),
        ([job.photos, "--boxes-from", "truth", "--only", job.folder / "nobody.list"], "none of the 1 names in"),
        ([job.crops, "--cropped", "--device", "gpu"], "the device 'gpu' cannot be used"),
        ([job.crops, "--cropped", "--device", "cuda:99"], "the device 'cuda:99' cannot be used"),
        ([job.crops, "--cropped", "--device", "meta"], "the device 'meta' cannot be used"),
        ([job.crops, "--cropped", "--device", "hpu"], "the device 'hpu' cannot be used"),
    ):
        code, out, err = job.infer(*arguments)
        assert (code, out) == (1, ""), (arguments, err)
        assert message in err, arguments
        assert err.startswith("Error: ") and err.count("\n") == 1, err
        assert_clean(job)


def test_options_that_do_not_go_together(job: ToyJob) -> None:
    boxes = ["--boxes", job.folder / "boxes.csv"]
    for arguments, message in (
        ([job.photos], "where are the faces?"),
        ([job.photos, *boxes, "--boxes-from", "truth"], "exclude each other"),
        ([job.photos, "--boxes-from", "landmarks"], "needs --landmarks"),
        ([job.crops, "--cropped", "--boxes-from", "truth"], "--boxes-from is for photos"),
        ([], "Missing argument"),
    ):
        code, out, err = job.infer(*arguments)
        assert (code, out) == (2, "") and message in err, (arguments, err)
    code, _, err = job.infer(job.crops, "--cropped", output="run")
    assert code == 2 and "ends in .h5 or .hdf5" in err
    assert_clean(job)


def test_help() -> None:
    code, out, _ = run_command("infer", "--help")
    assert code == 0 and "--boxes-from" in out and "[default: 32" in out


def test_another_face_model_than_the_weights(job: ToyJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.toy import toy_face_model

    toy_face_model(seed=1).save(job.folder / "toy.h5")
    code, out, err = job.infer(job.crops, "--cropped")
    assert (code, out) == (1, "")
    assert f"{job.folder / 'w3.safetensors'} belongs to the face model with basis id" in err and "--model" in err
    monkeypatch.setenv("TWODASL_HOME", str(tmp_path / "empty home"))
    code, _, err = run_command(
        "infer", job.crops, "--cropped", "--weights", job.folder / "w3.safetensors", "-o", job.folder / "run.h5"
    )
    assert code == 1
    assert "hand it over with --model, or import it once with 'twodasl model import'" in err
    code, _, err = job.infer(job.crops, "--cropped", weights="absent")
    assert code == 1 and "absent.safetensors" in err
    assert_clean(job)


def test_outputs_that_cannot_be_written(job: ToyJob, monkeypatch: pytest.MonkeyPatch) -> None:
    (job.folder / "run.h5").write_text("mine")
    code, out, err = job.infer(job.crops, "--cropped", "--json")
    assert (code, out) == (1, "")
    assert "run.h5 exists already; --overwrite replaces it" in err
    assert (job.folder / "run.h5").read_text() == "mine"
    (job.folder / "folder.h5").mkdir()
    for output, message in (
        ("folder.h5", "is a folder; -o names a file here"),
        ("six.list/run.h5", "cannot create the folder"),
        ("photos/anna.png/deep/run.h5", "cannot create the folder"),
    ):
        (job.folder / "six.list").write_text("a file")
        code, out, err = job.infer(job.crops, "--cropped", "--json", output=output)
        assert (code, out) == (1, "") and message in err and err.count("\n") == 1
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)  # root may write anywhere
    code, out, err = job.infer(job.crops, "--cropped", "--json", output="new.h5")
    assert (code, out) == (1, "") and "cannot write into" in err and "permission denied" in err
    assert_clean(job, "run.h5", "folder.h5")


def test_a_full_disk(job: ToyJob) -> None:
    """Known before the run is written, since HDF5 crashes there; what was predicted is kept."""
    arguments = [job.photos, *SMALL_BATCHES, "--dense"]
    job.infer(*arguments, output="whole.h5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 90_000))
        code, out, err = job.infer(*arguments)
    assert (code, out) == (1, "")
    assert f"cannot write {job.folder / 'run.h5'}: it takes up to 0.2 MB, 0.1 MB are free there" in err
    assert_clean(job, "whole.h5", "run.h5.part")
    assert job.infer(*arguments)[0] == 0
    assert (job.folder / "run.h5").read_bytes() == (job.folder / "whole.h5").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no limit on file sizes")
@pytest.mark.parametrize("room", [3.5, 6.8])
def test_a_disk_that_fills_while_faces_are_predicted(job: ToyJob, toy_model: MorphableModel, room: float) -> None:
    """With room for so many records; what follows is written in part, and then not at all."""
    import resource

    job.infer(job.photos, *SMALL_BATCHES, output="whole.h5")
    record = inference._record_type(Predictor(toy_weights(toy_model))).itemsize
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room * record), before[1]))
    try:
        code, out, err = job.infer(job.photos, *SMALL_BATCHES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, out) == (1, "")
    assert f"Error: cannot write {job.folder / 'run.h5.part'}: File too large" in err
    assert_clean(job, "whole.h5", "run.h5.part")
    assert job.infer(job.photos, *SMALL_BATCHES)[0] == 0
    assert (job.folder / "run.h5").read_bytes() == (job.folder / "whole.h5").read_bytes()


def test_overwrite(job: ToyJob) -> None:
    (job.folder / "run.h5").write_text("mine")
    assert job.infer(job.crops, "--cropped", "--overwrite")[0] == 0
    assert len(Run.load(job.folder / "run.h5")) == 7
    job.infer(job.crops / "anna.png", "--cropped", "--overwrite")
    assert len(Run.load(job.folder / "run.h5")) == 1
    assert_clean(job, "run.h5")


# --- interrupted and continued --------------------------------------------------------------------

SMALL_BATCHES = ("--boxes-from", "truth", "--batch-size", "3")


def interrupt_after(count: int, patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while face number `count` is reported."""
    plain = inference.outcome_of
    seen = []

    def reported(*arguments: Any) -> Any:
        seen.append(0)
        if len(seen) > count:
            raise KeyboardInterrupt
        return plain(*arguments)

    patch.setattr(inference, "outcome_of", reported)


@pytest.mark.parametrize("count", [0, 1, 3, 6])
@pytest.mark.parametrize("weights", ["w3", "w4"])
def test_an_interrupted_run_goes_on_to_the_same_file(job: ToyJob, count: int, weights: str) -> None:
    points = job.table("points.txt", dict(zip(NAMES, job.landmarks[..., :2], strict=True)))
    arguments = [job.photos, *SMALL_BATCHES, "--landmarks", points, "--json"]
    (job.photos / "ben.mat").unlink()
    _, expected, _ = job.infer(*arguments, output="whole.h5", weights=weights)
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(count, patch)
        code, out, err = job.infer(*arguments, weights=weights)
    assert code == 130
    assert len(out.splitlines()) == count
    assert f"Stopped. The same command goes on from {job.folder / 'run.h5.part'}" in err
    assert_clean(job, "whole.h5", "run.h5.part")
    code, out, err = job.infer(*arguments, weights=weights)
    assert code == 3
    assert f"of 7 are in {job.folder / 'run.h5.part'} already; going on from there" in err
    assert [line | {"message": ""} for line in lines_of(out)] == [line | {"message": ""} for line in lines_of(expected)]
    assert "ben: no-annotation (the .mat beside the photo" in err or "ben.mat: No such file" in err
    assert (job.folder / "run.h5").read_bytes() == (job.folder / "whole.h5").read_bytes()
    assert_clean(job, "whole.h5", "run.h5")


@pytest.mark.parametrize("where", ["prepare", "coefficients", "write"])
def test_interrupted_anywhere(job: ToyJob, where: str) -> None:
    job.infer(job.photos, *SMALL_BATCHES, output="whole.h5")

    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        if where == "prepare":
            patch.setattr(inference, "read_photo", stop)
        elif where == "coefficients":
            patch.setattr(Predictor, "coefficients", stop)
        else:
            patch.setattr(inference, "landmarks_in_photo", stop)
        code, _, err = job.infer(job.photos, *SMALL_BATCHES)
    assert code == 130 and "Stopped." in err
    assert_clean(job, "whole.h5", "run.h5.part")
    assert job.infer(job.photos, *SMALL_BATCHES)[0] == 0
    assert (job.folder / "run.h5").read_bytes() == (job.folder / "whole.h5").read_bytes()


def test_interrupted_while_the_run_is_written(job: ToyJob) -> None:
    """All faces are done, the file is not: no new prediction is made for it."""
    job.infer(job.photos, *SMALL_BATCHES, output="whole.h5")

    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "run_of_records", stop)
        assert job.infer(job.photos, *SMALL_BATCHES)[0] == 130
    assert_clean(job, "whole.h5", "run.h5.part")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "coefficients", stop)
        assert job.infer(job.photos, *SMALL_BATCHES)[0] == 0
    assert (job.folder / "run.h5").read_bytes() == (job.folder / "whole.h5").read_bytes()
    assert_clean(job, "whole.h5", "run.h5")


@pytest.mark.parametrize("kept", [0.2, 2.5, 4.0, 5.9])
def test_a_run_that_was_killed_goes_on_to_the_same_file(job: ToyJob, kept: float) -> None:
    """SIGKILL in the middle of a record: `kept` records are on the disk."""
    job.infer(job.photos, *SMALL_BATCHES, output="whole.h5")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(6, patch)
        job.infer(job.photos, *SMALL_BATCHES)
    part = job.folder / "run.h5.part"
    data = part.read_bytes()
    header = data.index(b"\n") + 1
    record = json.loads(data[:header])["record"]
    assert len(data) == header + 7 * record
    part.write_bytes(data[: header + int(kept * record)])
    code, _, err = job.infer(job.photos, *SMALL_BATCHES)
    assert code == 0
    assert (f"{int(kept)} of 7 are in" in err) == (kept >= 1)
    assert (job.folder / "run.h5").read_bytes() == (job.folder / "whole.h5").read_bytes()
    assert_clean(job, "whole.h5", "run.h5")


def test_an_unfinished_run_of_other_work_is_not_replaced_unasked(job: ToyJob) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(4, patch)
        job.infer(job.photos, *SMALL_BATCHES)
    part = (job.folder / "run.h5.part").read_bytes()
    boxes = job.table("boxes.csv", boxes_of(job))
    others: list[list[Any]] = [
        [job.photos / "anna.png", *SMALL_BATCHES],
        [job.photos, "--boxes-from", "truth"],
        [job.photos, "--batch-size", "3", "--boxes", boxes],
    ]
    for arguments in others:
        code, out, err = job.infer(*arguments, "--json")
        assert (code, out) == (1, "")
        assert "run.h5.part is of a run begun with other inputs or settings; --overwrite starts anew" in err
        assert (job.folder / "run.h5.part").read_bytes() == part
    assert job.infer(*others[1], "--overwrite")[0] == 0
    assert_clean(job, "run.h5")


def test_an_unfinished_run_with_other_boxes_is_other_work(job: ToyJob) -> None:
    """Of the same file name, with another number in it."""
    rows = boxes_of(job)
    arguments = [job.photos, "--boxes", job.table("boxes.csv", rows), "--batch-size", "3"]
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(4, patch)
        job.infer(*arguments)
    rows["gus"] = rows["gus"] + 1
    job.table("boxes.csv", rows)
    code, _, err = job.infer(*arguments)
    assert code == 1 and "is of a run begun with other inputs or settings" in err


def test_overwriting_is_interrupted_and_goes_on(job: ToyJob) -> None:
    """The same command is the one with --overwrite; until it is done the old file stays."""
    job.infer(job.photos, *SMALL_BATCHES, output="whole.h5")
    (job.folder / "run.h5").write_text("old")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(4, patch)
        job.infer(job.photos, *SMALL_BATCHES, "--overwrite")
    assert (job.folder / "run.h5").read_text() == "old"
    code, _, err = job.infer(job.photos, *SMALL_BATCHES, "--overwrite")
    assert code == 0 and "6 of 7 are in" in err
    assert (job.folder / "run.h5").read_bytes() == (job.folder / "whole.h5").read_bytes()


def test_two_commands_at_once_are_noticed(job: ToyJob) -> None:
    """The records of both in one file: refused, never a run with faces twice."""
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(4, patch)
        job.infer(job.photos, *SMALL_BATCHES)
    part = job.folder / "run.h5.part"
    data = part.read_bytes()
    part.write_bytes(data + data[data.index(b"\n") + 1 :])
    code, _, err = job.infer(job.photos, *SMALL_BATCHES)
    assert code == 1 and "run.h5.part is damaged (two commands at once?): delete it to start anew" in err
    assert not (job.folder / "run.h5").exists()


def test_a_finished_command_given_again_changes_nothing(job: ToyJob) -> None:
    (job.photos / "ben.mat").unlink()
    points = job.table("points.txt", dict(zip(NAMES, job.landmarks[..., :2], strict=True)))
    arguments = [job.photos, *SMALL_BATCHES, "--landmarks", points, "--json"]
    _, expected, _ = job.infer(*arguments, weights="w4")
    before = (job.folder / "run.h5").read_bytes(), (job.folder / "run.h5").stat().st_mtime_ns
    code, out, err = job.infer(*arguments, weights="w4")
    assert code == 3
    assert f"{job.folder / 'run.h5'} holds all of this already; --overwrite makes it anew" in err
    assert [line | {"message": ""} for line in lines_of(out)] == [line | {"message": ""} for line in lines_of(expected)]
    assert ((job.folder / "run.h5").read_bytes(), (job.folder / "run.h5").stat().st_mtime_ns) == before
    assert_clean(job, "run.h5")
    code, _, err = job.infer(*arguments, "--dense", weights="w4")  # that is more than it holds
    assert code == 1 and "exists already; --overwrite replaces it" in err


# --- as a process of its own ----------------------------------------------------------------------


def twodasl(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twodasl_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", check=False, **options)


@pytest.mark.skipif(sys.platform != "linux", reason="it needs a pipe whose size can be set")
def test_ctrl_c_in_the_middle(job: ToyJob) -> None:
    """SIGINT while the command waits for the reader of its output: its pipe holds 4096 bytes, about 12 lines of 40."""
    import fcntl
    import termios

    paths = []
    for index in range(40):
        paths.append(job.crops / f"more{index:02}.png")
        shutil.copy(job.crops / f"{NAMES[index % 7]}.png", paths[-1])
    arguments = [*paths, "--cropped", "--batch-size", "8", "--json"]
    job.infer(*arguments, output="whole.h5")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's "&" turns it off
    )
    script += "from twodasl_cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", script, *job.command(*arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # as here: with another count of threads the last bits differ
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(writer)
    waiting, deadline = 0, time.monotonic() + 60
    while waiting < 4096 - 500 and time.monotonic() < deadline:  # the next line does not fit
        assert process.poll() is None
        time.sleep(0.02)
        waiting = int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder)
    process.send_signal(signal.SIGINT)
    with open(reader, "rb") as output:  # noqa: PTH123
        lines = output.read().splitlines()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "Stopped. The same command goes on from" in err
    assert 0 < len(lines) < 40
    assert_clean(job, "whole.h5", "run.h5.part")
    code, _, err = job.infer(*arguments)
    assert code == 0 and "going on from there" in err
    assert (job.folder / "run.h5").read_bytes() == (job.folder / "whole.h5").read_bytes()


@pytest.mark.skipif(shutil.which("bash") is None, reason="the pipe is bash's")
def test_a_reader_that_leaves(job: ToyJob) -> None:
    """`| head -n 1`: exit code 141 as of other filters, no word about it, and the next start goes on."""
    for index in range(40):
        shutil.copy(job.crops / "anna.png", job.crops / f"more{index:02}.png")
    arguments = [job.crops, "--cropped", "--batch-size", "4", "--json"]
    script = '"$@" | head -n 1; exit ${PIPESTATUS[0]}'
    command = ["bash", "-c", script, "bash", sys.executable, "-m", "twodasl_cli", *job.command(*arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (141, "")
    assert lines_of(result.stdout)[0]["name"] == "anna"
    assert_clean(job, "run.h5.part")
    code, out, _ = job.infer(*arguments)
    assert code == 0 and len(out.splitlines()) == 47
    assert_clean(job, "run.h5")


# --- real data ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mb05(data: Path, bfm: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3DDFA_V2's published MobileNet."""
    peers = data / "peers"
    path = tmp_path_factory.mktemp("weights") / "mb05.safetensors"
    whitening = peers / "param_mean_std_62d_120x120.pkl"
    import_checkpoint(peers / "mb05_120x120.pth", "3ddfa-v2", whitening, bfm).save(path)
    return path


@pytest.fixture(scope="module")
def published(data: Path, bfm_path: Path, mb05: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the benchmark's own 1998 crops, as documented."""
    folder, output = data / "aflw2000", tmp_path_factory.mktemp("run") / "mb05.h5"
    code, _, err = run_command(
        "infer", folder / "AFLW2000-3D_crop", "--cropped",
        "--boxes", folder / "test.configs" / "AFLW2000-3D_crop.roi_box.npy",
        "--rows", folder / "AFLW2000-3D_crop.list", "--only", folder / "AFLW1998-3D_crop.list",
        "--weights", mb05, "--model", bfm_path, "-o", output,
    )  # fmt: skip
    assert code == 0, err
    return output


def test_published_crops_give_the_published_coefficients(published: Path, data: Path) -> None:
    """`params_aflw2000_mb05.npy` was made with 3DDFA_V2's own code; all 1998 within 1e-4 standard deviations."""
    run = Run.load(published)
    rows = {
        line[:-4]: row for row, line in enumerate((data / "aflw2000" / "AFLW2000-3D_crop.list").read_text().split())
    }
    expected = np.load(data / "peers" / "params_aflw2000_mb05.npy")[[rows[name] for name in run.names]]
    std = read_whitening(data / "peers" / "param_mean_std_62d_120x120.pkl").std
    assert len(run) == 1998 and run.valid.all()
    assert np.abs((run.coefficients - expected) / std).max() < 1e-4


def score(path: Path, data: Path, *more: Any) -> dict:
    code, out, err = run_command(
        "eval", "nme", "--sparse", path, "--truth", data / "aflw2000", "--labels", "original", "--json", *more
    )  # fmt: skip
    assert code == 0, err
    return json.loads(out)


def test_published_crops_score_as_published(published: Path, data: Path) -> None:
    summary = score(published, data)["summary"]
    assert 100 * summary["mean_over_bins"] == pytest.approx(3.781, abs=0.01)
    assert 100 * summary["mean_over_images"] == pytest.approx(3.336, abs=0.01)
    assert summary["n"] == 1998
    summary = score(published, data, "--protocol", "exact")["summary"]
    assert 100 * summary["mean_over_bins"] == pytest.approx(3.695, abs=0.01)
    assert 100 * summary["mean_over_images"] == pytest.approx(3.219, abs=0.01)


def test_our_own_crops_score_the_same(published: Path, data: Path, bfm_path: Path, mb05: Path, tmp_path: Path) -> None:
    """The 320 photos with their annotations beside them, against the same images of the published crops."""
    code, _, err = run_command(
        "infer", data / "aflw2000" / "AFLW-2000-3D", "--boxes-from", "truth",
        "--weights", mb05, "--model", bfm_path, "-o", tmp_path / "photos.h5",
    )  # fmt: skip
    assert code == 0, err
    only = ["--only", data / "aflw2000" / "full_images.list"]
    for protocol in ("standard", "exact"):
        own = score(tmp_path / "photos.h5", data, "--protocol", protocol, *only)
        theirs = score(published, data, "--protocol", protocol, *only)
        assert own["per_image"].keys() == theirs["per_image"].keys()
        change = own["summary"]["mean_over_images"] - theirs["summary"]["mean_over_images"]
        assert own["summary"]["n"] == 320
        assert abs(100 * change) < 0.05


@pytest.mark.skipif(sys.platform != "linux", reason="head -z is GNU's")
def test_names_on_stdin_of_a_shell(data: Path, bfm_path: Path, mb05: Path, tmp_path: Path) -> None:
    """The documented pipe; jq's part is done here."""
    script = (
        "find $D/aflw2000/AFLW2000-3D_crop -name '*.jpg' -print0 | head -zn 100 | "
        "twodasl infer - -0 --cropped --weights $W -o part.h5 --json"
    )
    environment = os.environ | {
        "D": str(data),
        "W": str(mb05),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # the face model is found by its id, in TWODASL_HOME, where `bfm_path` has registered it
    result = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert [line["status"] for line in lines_of(result.stdout)] == ["ok"] * 100
    assert result.stderr.startswith("100 of 100 faces in part.h5")
    assert len(Run.load(tmp_path / "part.h5")) == 100
