"""Training end to end, on the command line, with small networks and few faces."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.command import run_command
from twodasl.models.checkpoints import Weights
from twodasl.models.errors import SettingsError
from twodasl.models.training.schedule import learning_rate
from twodasl.models.training.sets import Example, SetInfo, TrainingSet, write_set
from twodasl.models.training.settings import OPEN, PRESETS, OptimiserSettings, Stage, TrainSettings
from twodasl.rendering.synthetic.sets import write_synthetic_set
from twodasl.rendering.synthetic.settings import SynthSettings

SMALL = ("--width", 0.125, "--batch", 8, "--workers", 0)


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`labelled.h5`: 32 synthetic faces. `wild.h5`: the same pictures as wild ones, with their 68 points only."""
    place = tmp_path_factory.mktemp("sets")
    write_synthetic_set(place / "labelled.h5", SynthSettings(seed=3), 32)
    whole = TrainingSet.open(place / "labelled.h5")
    info = SetInfo(basis_id="", n_identity=0, n_expression=0, convention="3ddfa", labels="none", points="68")
    flat = whole.landmarks * np.array([1, 1, np.nan], np.float32)
    write_set(
        place / "wild.h5",
        info,
        (
            Example(f"wild{row}", jpg, np.empty(0, np.float32), flat[row], whole.visible[row], whole.box[row])
            for row, jpg in enumerate(whole.crops())
        ),
    )
    return place


def start(folder: Path, output: Path, *more: Any, wild: bool = True, code: int = 0) -> str:
    sets = ["--labelled", folder / "labelled.h5", *(["--wild", folder / "wild.h5"] if wild else [])]
    got, _, err = run_command("train", "start", *sets, "-o", output, *SMALL, *more)
    assert got == code, err
    assert "Traceback" not in err
    return err


def lines(output: Path, kind: str = "train") -> list[dict[str, Any]]:
    every = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [line for line in every if line["kind"] == kind]


def same_weights(one: Path, other: Path) -> bool:
    first, second = Weights.load(one), Weights.load(other)
    return all(torch.equal(first.state[name], second.state[name]) for name in first.state)


@pytest.mark.parametrize("preset", ["open", "paper"])
def test_both_stages_with_every_loss(preset: str, folder: Path, tmp_path: Path) -> None:
    more = ["--backbone", "mobilenet-v1"] if preset == "paper" else []
    every = ["--set", "losses.self_2d=0.1", "--set", "losses.critic=0.01"]
    err = start(folder, tmp_path / "run", "--preset", preset, "--steps", 12, *more, *every)
    assert "12 of 12 steps" in err
    first, last = lines(tmp_path / "run")[0], lines(tmp_path / "run")[-1]
    terms = {"self_2d", "self_3d", "cycle", "critic"} | ({"landmarks"} if preset == "open" else set())
    assert set(first["terms"]) == terms | {"wpdc"}
    assert set(last["terms"]) == terms | {"vdc"}
    assert all(np.isfinite(value) for value in last["terms"].values())
    assert set(first["gradients"]) == set(first["terms"])
    assert all(value > 0 for value in first["gradients"].values())
    assert 0 <= last["critic"]["accuracy"] <= 1
    assert last["critic"]["loss"] != first["critic"]["loss"]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    weights = Weights.load(tmp_path / "run" / "best.safetensors")
    assert weights.landmark_map == ("gauss-18" if preset == "open" else "binary-18")
    assert weights.training["preset"] == preset
    assert weights.basis_id == TrainingSet.open(folder / "labelled.h5").info.basis_id
    assert "CC0" in weights.terms
    assert TrainSettings.from_dict({k: v for k, v in weights.training.items() if k != "step"}).preset == preset
    assert lines(tmp_path / "run", "validation")[-1]["nme"] > 0


def test_few_faces_are_learned_by_heart(folder: Path, tmp_path: Path) -> None:
    """32 faces, no changes to them, to a mean landmark error below a pixel."""
    changes = [
        "data.augment=false", "losses.self_3d=0", "losses.cycle=0", "losses.critic=0", "losses.landmarks=5",
        "validation.share=0", "optimiser.ema=0.9", "data.noise={\"times\": 0}",
    ]  # fmt: skip
    given = [word for change in changes for word in ("--set", change)]
    start(folder, tmp_path / "run", "--steps", 260, "--lr", 0.004, "--width", 0.25, "--batch", 32, *given, wild=False)
    from twodasl.models.library import bundled_model
    from twodasl.models.photos import decode_photo
    from twodasl.models.predictor import Predictor
    from twodasl.models.runs import landmarks_in_photo

    whole = TrainingSet.open(folder / "labelled.h5")
    weights = Weights.load(tmp_path / "run" / "last.safetensors")
    crops = np.stack([decode_photo(jpg, "crop") for jpg in whole.crops()])
    found = Predictor(weights).coefficients(crops, whole.landmarks[..., :2])
    box = np.tile([1.0, 1.0, 120.0, 120.0], (len(crops), 1))
    points = landmarks_in_photo(found, weights.n_identity, box, "3ddfa", bundled_model())
    off = np.linalg.norm(points[..., :2] - whole.landmarks[..., :2], axis=2).mean()
    assert off < 1


def test_a_killed_training_goes_on_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    """Killed at a moment of its own choosing; the last save is older than that."""
    more = ["--steps", 40, "--set", "checkpoint_every=7", "--set", "validation.every=15", "--set", "losses.critic=0.01"]
    start(folder, tmp_path / "whole", *more)
    command = [
        sys.executable, "-m", "twodasl_cli", "train", "start", "--labelled", folder / "labelled.h5", "--wild",
        folder / "wild.h5", "-o", tmp_path / "killed", *SMALL, *more,
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [str(word) for word in command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(1200):
        if (tmp_path / "killed" / "state.pt").exists():
            break
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "best.safetensors").exists() or len(lines(tmp_path / "killed")) < 6
    code, _, err = run_command("train", "resume", tmp_path / "killed", "--workers", 1)
    assert code == 0, err
    assert same_weights(tmp_path / "whole" / "last.safetensors", tmp_path / "killed" / "last.safetensors")
    assert same_weights(tmp_path / "whole" / "best.safetensors", tmp_path / "killed" / "best.safetensors")
    losses = [[(line["step"], line["loss"]) for line in lines(tmp_path / name)] for name in ("whole", "killed")]
    assert losses[0] == losses[1]


def test_sigterm_saves(folder: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "twodasl_cli", "train", "start", "--labelled", folder / "labelled.h5",
        "-o", tmp_path / "run", *SMALL, "--steps", 100000,
    ]  # fmt: skip
    process = subprocess.Popen(
        [str(word) for word in command], env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    for _ in range(1200):
        if metrics.exists() and metrics.stat().st_size:
            break
        time.sleep(0.05)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "train resume" in err
    assert (tmp_path / "run" / "last.safetensors").exists()
    code, _, err = run_command("train", "resume", tmp_path / "run", "--minutes", 0.02, "--workers", 0)
    assert code == 0, err


def test_two_processes_learn_what_one_does(folder: Path, tmp_path: Path) -> None:
    more = [
        "--steps",
        6,
        "--lr",
        0.0001,
        "--set",
        "losses.critic=0.01",
        "--set",
        "optimiser.warm_up=0",
        "--set",
        "validation.share=0.2",
    ]
    start(folder, tmp_path / "one", *more)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "twodasl_cli",
        "train", "start", "--labelled", folder / "labelled.h5", "--wild", folder / "wild.h5", "-o", tmp_path / "two",
        *SMALL, *more,
    ]  # fmt: skip
    result = subprocess.run(
        [str(word) for word in command], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    for one, two in zip(lines(tmp_path / "one"), lines(tmp_path / "two"), strict=True):
        assert two["step"] == one["step"]
        for name in one["terms"].keys() - {"critic"}:
            assert two["terms"][name] == pytest.approx(one["terms"][name], rel=0.02), name
    code, _, err = run_command("train", "resume", tmp_path / "two", "--steps", 8)
    assert code == 1
    assert "by 2 processes" in err


def test_minutes_become_steps(folder: Path, tmp_path: Path) -> None:
    start(folder, tmp_path / "run", "--minutes", 0.08, wild=False)
    steps = lines(tmp_path / "run")[-1]["step"]
    progress = json.loads(torch.load(tmp_path / "run" / "state.pt", weights_only=True)["progress"])
    assert progress["step"] == steps < 5000
    assert 2 < progress["seconds"] < 20  # about 4.8: the machine may be faster or slower than in the first steps
    if steps >= 12:  # fewer only where the machine is very busy
        assert progress["steps"] < 5000


def test_a_loss_that_is_not_finite_stops_and_keeps_the_batch(folder: Path, tmp_path: Path) -> None:
    code, _, err = run_command(
        "train", "start", "--labelled", folder / "labelled.h5", "-o", tmp_path / "run", *SMALL, "--steps", 50,
        "--lr", 1e18, "--set", "optimiser.kind=sgd", "--set", "optimiser.clip=0", "--set", "optimiser.warm_up=0",
    )  # fmt: skip
    assert code == 1
    assert "is nan" in err or "is inf" in err
    kept = torch.load(tmp_path / "run" / "not-finite-0.pt", weights_only=True)
    assert kept["images"].shape == (8, 3, 120, 120)


def test_weights_are_used_like_any_others(folder: Path, tmp_path: Path) -> None:
    start(folder, tmp_path / "run", "--steps", 3, "--map", "gauss")
    crops = tmp_path / "crops"
    crops.mkdir()
    whole = TrainingSet.open(folder / "labelled.h5")
    rows = []
    for name, jpg, points in zip(whole.names[:4], whole.crops(range(4)), whole.landmarks, strict=False):
        (crops / f"{name}.jpg").write_bytes(jpg)
        rows.append(",".join([name, *map(str, points[:, :2].ravel())]))
    (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    code, _, err = run_command(
        "infer", crops, "--cropped", "--weights", tmp_path / "run" / "last.safetensors", "--landmarks",
        tmp_path / "points.csv", "-o", tmp_path / "run.h5",
    )  # fmt: skip
    assert code == 0, err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--labelled", "absent.h5"], "absent.h5"),
        (["--labelled", "wild.h5"], "has no coefficients"),
        (["--wild", "labelled.h5"], "have coefficients"),
        (["--set", "losses.circle=1"], "no setting called losses.circle"),
        (["--set", "losses.cycle"], "NAME=VALUE"),
        (["--set", "data.jitter=1"], "jitter"),
        (["--set", "critic.side=100"], "side of critic is 100; one of 120, 60 is expected"),
        (["--set", "optimiser.kind=adam"], "kind of optimiser is 'adam'; one of sgd, adamw is expected"),
        (["--imagenet", "labelled.h5"], "starts from scratch"),
    ],
)
def test_bad_input(more: list[str], message: str, folder: Path, tmp_path: Path) -> None:
    sets = {"--labelled": "labelled.h5", "--wild": "wild.h5"} | dict(zip(more[::2], more[1::2], strict=True))
    given = [part for name, value in sets.items() for part in (name, folder / value if value.endswith("h5") else value)]
    code, _, err = run_command("train", "start", *given, "-o", tmp_path / "run", *SMALL, "--steps", 2)
    assert code == 1
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "state.pt").exists()


def test_folders_that_are_no_training(folder: Path, tmp_path: Path) -> None:
    start(folder, tmp_path / "run", "--steps", 1, wild=False)
    assert "holds a training already" in start(folder, tmp_path / "run", "--steps", 1, wild=False, code=1)
    assert run_command("train", "resume", tmp_path / "run")[0] == 1  # it is done
    code, _, err = run_command("train", "resume", tmp_path / "nothing")
    assert (code, "nothing" in err) == (1, True)
    (tmp_path / "run" / "state.pt").write_bytes(b"damaged")
    code, _, err = run_command("train", "resume", tmp_path / "run", "--steps", 3)
    assert code == 1
    assert "state.pt is damaged" in err


def test_a_full_disk_keeps_the_last_save(folder: Path, tmp_path: Path) -> None:
    """The state does not fit (no file may grow beyond 64 KB): one line says so, and the one before goes on."""
    start(folder, tmp_path / "run", "--steps", 2, wild=False)
    before = (tmp_path / "run" / "state.pt").read_bytes()
    assert len(before) > 65_536
    words = ["train", "resume", str(tmp_path / "run"), "--steps", "3", "--workers", "0"]
    command = shlex.join([sys.executable, "-m", "twodasl_cli", *words])
    result = subprocess.run(
        ["bash", "-c", f"ulimit -f 64; exec {command}"], capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 1
    assert f"cannot write {tmp_path / 'run'}" in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    assert run_command("train", "resume", tmp_path / "run", "--steps", 3)[0] == 0


def test_states_of_other_versions(folder: Path, tmp_path: Path) -> None:
    """A newer program's is refused with a sentence; one from before a setting existed gets that setting's default."""
    run = tmp_path / "run"
    start(folder, run, "--steps", 1, wild=False)
    written = json.loads((run / "settings.json").read_text())
    del written["settings"]["critic"]["spectral_norm"]
    (run / "settings.json").write_text(json.dumps(written))
    code, _, err = run_command("train", "resume", run, "--steps", 2)
    assert code == 0, err

    written["settings"]["critic"]["mood"] = "kind"
    (run / "settings.json").write_text(json.dumps(written))
    code, _, err = run_command("train", "resume", run, "--steps", 3)
    assert code == 1
    assert "critic has mood, which this program does not know: another version's?" in err

    del written["settings"]["critic"]["mood"]
    (run / "settings.json").write_text(json.dumps(written))
    state = torch.load(run / "state.pt", weights_only=True)
    torch.save(state | {"version": 99}, run / "state.pt")
    code, _, err = run_command("train", "resume", run, "--steps", 3)
    assert code == 1
    assert "format version 99, this program reads up to" in err
    torch.save({name: value for name, value in state.items() if name != "network"}, run / "state.pt")
    code, _, err = run_command("train", "resume", run, "--steps", 3)
    assert code == 1
    assert "does not fit its settings" in err


def test_learning_rates_on_paper() -> None:
    how = OptimiserSettings(lr=1.0, warm_up=0.1, final=0.01, schedule="cosine")
    stage = Stage(1.0, "wpdc")
    rates = [learning_rate(how, stage, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[55] == pytest.approx(0.505, abs=0.01)
    assert rates[99] == pytest.approx(0.01, abs=0.001)
    assert learning_rate(how, Stage(1.0, "vdc", lr=0.1), 55, 100) == pytest.approx(0.0505, abs=0.001)
    falling = OptimiserSettings(lr=1.0, warm_up=0, final=0.001, schedule="exponential")
    assert learning_rate(falling, stage, 50, 100) == pytest.approx(0.001**0.5)


def test_settings_there_and_back() -> None:
    for preset in PRESETS.values():
        assert TrainSettings.from_dict(json.loads(json.dumps(preset.as_dict()))) == preset
    with pytest.raises(SettingsError, match="does not know"):
        TrainSettings.from_dict(OPEN.as_dict() | {"wings": 2})
    assert [OPEN.stage_at(step, 100)[0] for step in (0, 69, 70, 99)] == [0, 0, 1, 1]
