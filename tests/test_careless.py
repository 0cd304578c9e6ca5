"""What careless users did: one line says what is wrong, the exit code is right, nothing is half-written."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tests.command import run_command
from tests.toy_faces import HEIGHT, WIDTH, ToyFaces
from tests.toy_sets import write_labelled
from twodasl.models.errors import FileError, SettingsError
from twodasl.models.library import bundled_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.training.sets import TrainingSet
from twodasl.models.training.settings import PRESETS, TrainSettings
from twodasl.rendering.images import write_image


@pytest.fixture
def faces(toy_model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyFaces:
    toy_model.save(tmp_path / "toy.h5")
    monkeypatch.setenv("TWODASL_MODEL", str(tmp_path / "toy.h5"))
    return ToyFaces(toy_model)


@pytest.fixture
def run(faces: ToyFaces, tmp_path: Path) -> Path:
    faces.write_photos(tmp_path)
    return Path(faces.write_run(tmp_path)[0])


def refused(*arguments: Any, code: int = 1) -> str:
    """The error of a command: its last line, and the only one where it is not about usage."""
    got, out, err = run_command(*arguments)
    assert (got, out) == (code, ""), err
    assert "Traceback" not in err
    assert code == 2 or len(err.splitlines()) == 1, err
    return err.splitlines()[-1]


# --- numbers and names --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("render", "turntable", "--sway"),
        ("render", "mask", "--alpha"),
        ("render", "mask", "--fps"),
        ("render", "ply", "--eye-distance-mm"),
        ("train", "start", "--lr"),
        ("train", "start", "--minutes"),
    ],
)
@pytest.mark.parametrize("number", ["nan", "inf"])
def test_numbers_that_are_none(arguments: tuple[str, ...], number: str, tmp_path: Path) -> None:
    assert number in refused(*arguments, number, tmp_path / "in.h5", "-o", tmp_path / "out", code=2)
    assert not list(tmp_path.iterdir())


def test_empty_paths_are_no_paths(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert "'-o' / '--output': it is empty" in refused("render", "mask", run, "-o", "", code=2)
    assert "it is empty" in refused("render", "mask", "", "-o", "out", code=2)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", ["mask", "obj", "ply", "glb", "mat", "page"])
def test_a_name_that_is_too_long_is_one_line(kind: str, run: Path, tmp_path: Path) -> None:
    assert "File name too long" in refused("render", kind, tmp_path / ("x" * 300), "-o", tmp_path / "out")
    target = tmp_path / ("x" * 300) if kind == "page" else tmp_path / f"{'x' * 300}.{'png' if kind == 'mask' else kind}"
    only = tmp_path / "one"
    only.write_text("ann\n")
    more = [] if kind == "page" else ["--only", only]
    assert "File name too long" in refused("render", kind, run, *more, "-o", target)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
@pytest.mark.parametrize("kind", ["mask", "obj", "ply", "glb"])
def test_names_that_are_not_utf8(kind: str, faces: ToyFaces, tmp_path: Path) -> None:
    (folder,) = map(Path, faces.write_photo_mats(tmp_path))
    strange = folder / os.fsdecode(b"b\xff.mat")
    shutil.copy(folder / "ann.mat", strange)
    Image.fromarray(faces.picture()).save(strange.with_suffix(".png"))
    more = ["--texture"] if kind == "obj" else []
    code, _, err = run_command("render", kind, folder, "--photos", folder, *more, "-o", tmp_path / "out")
    assert code == (3 if kind in ("mask", "obj") else 0), err  # the others have no photo
    assert (tmp_path / "out" / strange.with_suffix(f".{'jpg' if kind == 'mask' else kind}").name).is_file()


def test_an_impossible_name_does_not_stop_the_others(run: Path, tmp_path: Path) -> None:
    with h5py.File(run, "a") as file:
        names = file["names"][:]
        names[0], names[1] = b"../evil", b"z" * 300
        file["names"][:] = names
    code, _, err = run_command("render", "ply", run, "-o", tmp_path / "out")
    assert code == 3
    assert "2 not drawn: ../evil ('../evil' cannot be the name of a file in" in err
    assert "'zzzzzzzzzzzzzzzzzzzz...' is too long for the name of a file" in err
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_all_that_failed_are_named(faces: ToyFaces, tmp_path: Path) -> None:
    """No run says which they were."""
    (folder,) = map(Path, faces.write_photo_mats(tmp_path))
    for number in range(30):
        (folder / f"bad{number:02}.mat").write_bytes(b"no")
    code, _, err = run_command("render", "obj", folder, "-o", tmp_path / "out")
    assert code == 3
    assert all(f"bad{number:02} (" in err for number in range(30))


# --- what is drawn and written ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["obj", "ply", "glb", "mat"])
def test_coordinates_beyond_single_precision_are_not_written(kind: str, tmp_path: Path) -> None:
    (tmp_path / "far.obj").write_text("v 0 0 0\nv 1e300 0 0\nv 0 1 0\nf 1 2 3\n")
    assert "up to 1e+" in refused("render", kind, tmp_path / "far.obj", "-o", tmp_path / f"out.{kind}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.obj"]


def test_faces_far_larger_than_the_photo(faces: ToyFaces, tmp_path: Path) -> None:
    """And one that is a single point, and one further away than pixels can be counted."""
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "face.png")
    centre = np.array([WIDTH / 2, HEIGHT / 2, 0])
    shape = faces.photo(0)
    for scale, failing in ((60.0, ""), (0.0, "figure"), (1e33, "")):
        vertices = (shape - shape.mean(axis=0)) * scale + centre
        vertices[0] = centre  # in the photo
        savemat(tmp_path / "face.mat", {"vertex": vertices.T.astype(np.float32)})
        for kind, more in (("figure", ["--images", "face", "--layers", "photo,pose"]), ("pose", [])):
            target = tmp_path / f"{kind}.png"
            arguments = (tmp_path / "face.mat", "--frame-in", "photo", "--photos", tmp_path, *more, "-o", target)
            got, _, err = run_command("render", kind, *arguments)
            assert got == (1 if kind == failing else 0), err
            assert "Traceback" not in err
            assert target.is_file() == (kind != failing)
            target.unlink(missing_ok=True)


def test_figures_say_what_they_do_not_take(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "fig.png"
    (tmp_path / "only").write_text("ann\n")
    said = refused("render", "figure", run, "--images", "ann", "--only", tmp_path / "only", "-o", target, code=2)
    assert "--images says which" in said
    assert "ann is there twice" in refused("render", "figure", run, "--images", "ann,bob,ann", "-o", target, code=2)


def test_textures_that_are_not_there_are_said(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = run_command("render", "glb", run, "--photos", tmp_path / "empty", "-o", tmp_path / "meshes")
    assert code == 0
    assert "3 without a texture, as there is no photo of them: ann, bob, cyd" in err
    only = tmp_path / "only"
    only.write_text("ann\n")
    run_command("render", "obj", run, "--only", only, "-o", tmp_path / "objs")
    code, _, err = run_command("render", "obj", run, "--only", only, "--texture", "-o", tmp_path / "objs")
    assert code == 1
    assert "ann (it is there already, without its .mtl and .png; --overwrite draws it again)" in err


def test_jpegs_have_a_largest_size(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"65500 pixels along a side, not 66000 x 2; a PNG holds them"):
        write_image(tmp_path / "a.jpg", np.zeros((2, 66000, 3), np.uint8))
    write_image(tmp_path / "a.png", np.zeros((2, 66000, 3), np.uint8))


@pytest.mark.parametrize(
    ("face", "message"),
    [
        ("f 1 2 99999999999999999999", "points at vertex 99999999999999999999; there are 3"),
        ("f -9 -2 -1", "points at a vertex before the first; there are 3"),
        ("f 0 1 2", "points at a vertex before the first; there are 3"),
    ],
)
def test_obj_indices_that_no_vertex_has(face: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\n{face}\n")
    assert message in refused("render", "ply", tmp_path / "a.obj", "-o", tmp_path / "a.ply")


def test_reasons_are_in_words(tmp_path: Path, faces: ToyFaces) -> None:
    assert "as a run: it is a folder" in refused("render", "page", tmp_path, "-o", tmp_path / "page")
    (tmp_path / "a.glb").write_bytes(b"glTF" + bytes(40))
    assert refused("render", "ply", tmp_path / "a.glb", "-o", tmp_path / "a.ply").rpartition(": ")[2]
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    said = refused("render", "mask", tmp_path / "a.npy", "-o", tmp_path / "out")
    assert "it holds Python objects, or is of another kind" in said


# --- stopping -----------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it needs a device that is always full")
def test_output_that_has_no_room() -> None:
    for arguments in (["--help"], ["eval", "protocols"]):
        with open("/dev/full", "w") as full:  # noqa: PTH123
            command = [sys.executable, "-m", "twodasl_cli", *arguments]
            done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
        assert done.returncode == 1, arguments
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "No space left" in done.stderr


def test_ctrl_c_twice_leaves_nothing_half_written(run: Path, tmp_path: Path) -> None:
    script = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += "from twodasl_cli.main import main; main(sys.argv[1:])"
    arguments = ["render", "turntable", run, "--frames", "400", "--size", "300", "-o", tmp_path / "movies"]
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "movies").is_dir() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.split() == ["Interrupted."]
    assert [path.name for path in (tmp_path / "movies").iterdir() if path.name.startswith(".")] == []


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("losses.cycle=abc", "cycle of losses is 'abc'; a number, 0 or more"),
        ("losses.cycle=NaN", "cycle of losses is nan"),
        ("losses.critic=-1", "critic of losses is -1"),
        ("losses.on_labelled=1", "on_labelled of losses is 1; true or false"),
        ("optimiser.ema=2", "ema of optimiser is 2; 0 to 1"),
        ("network.imagenet=3", "imagenet of network is 3; text"),
        ("batch=2.5", "batch of settings is 2.5; a whole number"),
    ],
)
def test_settings_of_another_kind(change: str, message: str, tmp_path: Path) -> None:
    write_labelled(tmp_path / "set.h5", bundled_model(), 6)
    target = tmp_path / "run"
    command = ["train", "start", "--labelled", tmp_path / "set.h5", "-o", target, "--steps", "1"]
    assert message in refused(*command, "--set", change)
    assert not target.exists()


def test_settings_are_looked_at_wherever_they_come_from() -> None:
    values = PRESETS["open"].as_dict()
    assert TrainSettings.from_dict(values) == PRESETS["open"]
    values["optimiser"]["lr"] = None
    with pytest.raises(SettingsError, match="lr of optimiser is None"):
        TrainSettings.from_dict(values)


@pytest.mark.parametrize(
    "wrong", [["--device", "foo"], ["--device", "cuda:99"], ["--width", "nan"], ["--imagenet", "toy.h5"]]
)
def test_a_training_that_cannot_begin_leaves_no_folder(wrong: list[str], tmp_path: Path) -> None:
    """So that the corrected command can have it."""
    write_labelled(tmp_path / "set.h5", bundled_model(), 6)
    command = ["train", "start", "--labelled", tmp_path / "set.h5", "-o", tmp_path / "run", "--steps", "1"]
    assert refused(*command, *wrong).startswith("Error: ")
    assert not (tmp_path / "run").exists()


# --- lists of labels ----------------------------------------------------------------------------


@pytest.fixture
def lists(tmp_path: Path) -> list[Any]:
    """The command that prepares a set out of a list of eight crops, one of whose labels is no face."""
    write_labelled(tmp_path / "set.h5", bundled_model(), 8)
    given = TrainingSet.open(tmp_path / "set.h5")
    (tmp_path / "crops").mkdir()
    for name, jpg in zip(given.names, given.crops(), strict=True):
        (tmp_path / "crops" / f"{name}.jpg").write_bytes(jpg)
    (tmp_path / "train.list").write_text("".join(f"{name}.jpg\n" for name in given.names))
    labels = given.coefficients.copy()
    labels[3] *= 1e30
    np.save(tmp_path / "param.npy", labels)
    more = ["--list", tmp_path / "train.list", "--coefficients", tmp_path / "param.npy", "-o", tmp_path / "made.h5"]
    return ["data", "prepare", tmp_path / "crops", *more]


def test_a_label_that_is_no_face_is_left_out(lists: list[Any], tmp_path: Path, recwarn: Any) -> None:
    """Also of the whitening, which it would ruin."""
    code, out, err = run_command(*lists)
    assert code == 3, err
    assert "7 faces" in out
    assert "none of the landmarks of its label lies in the crop" in err
    whitening = TrainingSet.open(tmp_path / "made.h5").whitening
    assert whitening is not None
    assert np.abs(whitening.std).max() < 1e6
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_why_no_crop_can_be_used(lists: list[Any], tmp_path: Path) -> None:
    for crop in (tmp_path / "crops").iterdir():
        crop.unlink()
    assert "none of the 8 crops can be used; the first is" in refused(*lists)
    shutil.rmtree(tmp_path / "crops")
    assert "crops is no folder; " in refused(*lists)
    assert not (tmp_path / "made.h5").exists()


def test_a_whitening_of_another_length_is_named(lists: list[Any], tmp_path: Path) -> None:
    short = {"param_mean": np.zeros(10, np.float32), "param_std": np.ones(10, np.float32)}
    (tmp_path / "short.pkl").write_bytes(pickle.dumps(short))
    said = refused(*lists, "--whitening", tmp_path / "short.pkl")
    assert "short.pkl whitens 10 coefficients; 62 are expected" in said


def test_presets_hold() -> None:
    for preset in PRESETS.values():
        with pytest.raises(SettingsError, match="0 to 1 is expected"):
            replace(preset, optimiser=replace(preset.optimiser, ema=1.0))
