"""`twodasl weights`, run as a user would."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from twodasl.models.checkpoints import Weights
from twodasl.models.importers.checkpoints import KINDS
from twodasl.models.morphable import MorphableModel
from twodasl_cli import weights as commands
from twodasl_cli.main import cli, main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, captured.out, captured.err

    return run


@pytest.fixture
def files(tmp_path: Path, toy_model: MorphableModel, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A small 3DDFA checkpoint, its whitening and a face model, with an empty user's data folder."""
    import torch

    from twodasl.models.networks import MobileNetV1

    monkeypatch.setenv("TWODASL_HOME", str(tmp_path / "home"))
    paths = {"checkpoint": tmp_path / "phase1.pth.tar", "whitening": tmp_path / "w.pkl", "model": tmp_path / "toy.h5"}
    torch.manual_seed(0)
    torch.save({"state_dict": MobileNetV1(0.125).state_dict()}, paths["checkpoint"])
    content = {"param_mean": np.zeros(62, np.float32), "param_std": np.ones(62, np.float32)}
    paths["whitening"].write_bytes(pickle.dumps(content))
    toy_model.save(paths["model"])
    return paths


def import_arguments(files: dict[str, Path]) -> list[str | Path]:
    return [
        "weights", "import", files["checkpoint"], "--from", "3ddfa",
        "--whitening", files["whitening"], "--model", files["model"],
    ]  # fmt: skip


def test_import_to_a_file(run: Run, files: dict[str, Path], tmp_path: Path, toy_model: MorphableModel) -> None:
    output = tmp_path / "new" / "w.safetensors"
    code, out, err = run(*import_arguments(files), "-o", output)
    assert code == 0
    loaded = Weights.load(output)
    assert loaded.basis_id == toy_model.basis_id
    assert f"weights id {loaded.weights_id}" in out and f"basis id {loaded.basis_id}" in out
    assert out.splitlines()[0].startswith("phase1: mobilenet-v1 x 0.125, 3 input channels")
    assert out.splitlines()[-1] == f"written to {output}"
    assert "research use only" in err

    before = output.read_bytes()
    code, out, err = run(*import_arguments(files), "-o", output)
    assert (code, out) == (1, "") and "exists already; --overwrite replaces it" in err
    assert output.read_bytes() == before
    assert run(*import_arguments(files), "-o", output, "--overwrite")[0] == 0
    assert run("weights", "list")[1] == ""


def test_import_to_the_data_folder_and_list(run: Run, files: dict[str, Path], tmp_path: Path) -> None:
    code, out, err = run("weights", "list")
    assert (code, out) == (0, "") and "No weights in" in err
    assert json.loads(run("weights", "list", "--json")[1]) == []
    code, out, _ = run(*import_arguments(files))
    assert code == 0
    path = Path(out.splitlines()[-1].removeprefix("written to "))
    assert path.parent == tmp_path / "home" / "weights" and path.is_file()
    code, out, err = run("weights", "list")
    loaded = Weights.load(path)
    assert (code, err) == (0, "")
    assert out == f"{loaded.weights_id[:12]}  phase1  mobilenet-v1  {path}\n"
    (entry,) = json.loads(run("weights", "list", "--json")[1])
    assert entry == {
        "path": str(path), "name": "phase1", "weights_id": loaded.weights_id, "basis_id": loaded.basis_id,
        "architecture": "mobilenet-v1", "convention": "3ddfa",
    }  # fmt: skip


def test_info(run: Run, files: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "w.safetensors"
    run(*import_arguments(files), "-o", output)
    loaded = Weights.load(output)
    code, out, err = run("weights", "info", output, "--json")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert facts["weights_id"] == loaded.weights_id and facts["basis_id"] == loaded.basis_id
    assert (facts["network"], facts["width"], facts["outputs"]) == ("mobilenet-v1", 0.125, 62)
    assert (facts["convention"], facts["landmark_map"], facts["training"]) == ("3ddfa", "none", {})
    lines = dict(line.split(maxsplit=1) for line in run("weights", "info", output)[1].splitlines())
    assert lines["convention"] == "3ddfa" and lines["network"] == "mobilenet-v1"
    assert lines["training"] == "not known (imported)"
    code, out, err = run("weights", "info", files["checkpoint"])
    assert (code, out) == (1, "") and err.startswith("Error: cannot read") and "weights import" in err


def test_errors_are_one_line(run: Run, files: dict[str, Path], tmp_path: Path) -> None:
    checkpoint, model = files["checkpoint"], ("--model", files["model"])
    for arguments, message in (
        ((checkpoint, "--from", "3ddfa", *model), "param_whitening.pkl with --whitening"),
        ((checkpoint, "--from", "2dasl", *model), "(--from 3ddfa)"),
        ((files["whitening"], "--from", "2dasl", *model), "nothing in it was executed"),
        ((tmp_path / "absent.pth", "--from", "2dasl", *model), "cannot read"),
        ((checkpoint, "--from", "3ddfa"), "no face model"),
        ((checkpoint, "--from", "3ddfa", *model, "-o", tmp_path), "is a folder"),
    ):
        code, out, err = run("weights", "import", *arguments)
        assert (code, out) == (1, "")
        assert message in err and err.startswith("Error: ") and err.count("\n") == 1, err
    assert not (tmp_path / "home" / "weights").exists()
    assert run("weights", "import", checkpoint)[0] == 2
    assert run("weights", "import", checkpoint, "--from", "prnet")[0] == 2


def test_published_weights(run: Run, data: Path, bfm_path: Path, tmp_path: Path) -> None:
    """The command in the documentation."""
    peers, output = data / "peers", tmp_path / "mb05.safetensors"
    code, out, _ = run(
        "weights", "import", peers / "mb05_120x120.pth", "--from", "3ddfa-v2",
        "--whitening", peers / "param_mean_std_62d_120x120.pkl", "--model", bfm_path, "-o", output,
    )  # fmt: skip
    assert code == 0 and "mb05_120x120: mobilenet-v1 x 0.5" in out
    assert Weights.load(output).convention == "3ddfa-v2"


def test_kinds_in_the_help_are_those_that_can_be_imported() -> None:
    assert tuple(KINDS) == commands.KINDS
    for arguments in (["weights"], ["weights", "import"], ["weights", "info"], ["weights", "list"]):
        result = CliRunner().invoke(cli, [*arguments, "--help"])
        assert result.exit_code == 0 and "Usage:" in result.output


def test_help_and_list_do_without_torch() -> None:
    program = (
        "import sys\nfrom twodasl_cli.main import main\n"
        "for arguments in (['weights', 'import', '--help'], ['weights', 'list']):\n"
        "    try:\n        main(arguments)\n    except SystemExit as stopped:\n        assert stopped.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
