"""What a user installs: start-up time, lazy imports, versions, packaging, and what git may track."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import run_command
from tests.conftest import ROOT
from twodasl_cli.main import COMMANDS

HEAVY = ("torch", "numpy", "scipy", "open3d", "matplotlib", "h5py", "PIL", "skimage")


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """`twodasl --help` answers at once: no array library is loaded for it."""
    out = fresh(
        "import sys, json, contextlib, io\n"
        "from twodasl_cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as text:\n"
        f"    try: main({arguments!r})\n"
        "    except SystemExit as stop: code = stop.code\n"
        f"print(json.dumps([code, text.getvalue(), [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    code, text, loaded = json.loads(out)
    assert code == 0
    assert text.startswith("Usage: twodasl")
    assert loaded == []


def test_evaluation_does_without_torch(tmp_path: Path) -> None:
    """Importing torch takes longer than scoring 2000 faces."""
    out = fresh(
        "import sys, twodasl.evaluation.sparse, twodasl.evaluation.report, twodasl.rendering.faces\n"
        "print([m for m in ('torch', 'open3d', 'matplotlib') if m in sys.modules])"
    )
    assert out.strip() == "[]"


def test_version_names_the_libraries_that_change_numbers() -> None:
    code, out, _ = run_command("--version")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "twodasl", "Python", "numpy", "scipy", "torch", "scikit-image", "open3d", "pillow", "h5py",
    ]  # fmt: skip


def test_every_command_has_help() -> None:
    import click

    from twodasl_cli.main import cli

    def walk(command: click.Command, words: list[str]) -> None:
        code, out, _ = run_command(*words, "--help")
        assert code == 0
        assert command.help, words
        assert "Usage: twodasl" in out
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                walk(child, [*words, name])

    walk(cli, [])


def test_unknown_commands_are_usage_errors() -> None:
    code, _, err = run_command("evaluate")
    assert code == 2
    assert "No such command" in err


def test_an_error_is_one_line_and_exit_code_1() -> None:
    code, out, err = run_command("model", "info", "nowhere.h5")
    assert (code, out) == (1, "")
    assert err.splitlines() == ["Error: cannot read nowhere.h5 as a face model: no such file"]


def test_interruption_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("twodasl.models.library.registered", interrupt)
    code, _, err = run_command("model", "list")
    assert code == 130
    assert "Interrupted" in err


def test_model_commands(bfm_path: Path, tmp_path: Path, data: Path) -> None:
    code, out, err = run_command("model", "import", data / "bfm", "-o", tmp_path / "bfm.h5")
    assert code == 0
    assert "53,215 vertices" in out
    assert "no redistribution" in err
    _, out, _ = run_command("model", "info", tmp_path / "bfm.h5", "--json")
    facts = json.loads(out)
    assert (facts["vertices"], facts["triangles"], facts["identity_components"]) == (53215, 105840, 40)
    _, out, _ = run_command("model", "list", "--json")
    assert facts["basis_id"] in {entry["basis_id"] for entry in json.loads(out)}
    code, _, err = run_command("model", "import", data / "bfm", "-o", tmp_path / "bfm.h5")
    assert code == 1
    assert "--overwrite" in err


def test_a_wheel_holds_every_module(tmp_path: Path) -> None:
    """The package list is computed; a written-out one leaves new sub-packages out of the wheel silently."""
    import zipfile

    copy = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for room in ("models", "evaluation", "rendering"):
        for module in (ROOT / room).rglob("*.py"):
            assert f"twodasl/{module.relative_to(ROOT).as_posix()}" in held
        assert f"twodasl/{room}/py.typed" in held
    for asset in (path for path in (ROOT / "rendering" / "assets").rglob("*") if path.is_file()):
        assert f"twodasl/{asset.relative_to(ROOT).as_posix()}" in held
    assert "twodasl_cli/main.py" in held
    assert "twodasl/__init__.py" not in held  # a namespace: PEP 420


def test_data_in_git_is_found(tmp_path: Path) -> None:
    """The check that CI runs fails on a tracked photo and passes without it."""
    script = tmp_path / "tools" / "check_tracked.py"
    script.parent.mkdir()
    script.write_bytes((ROOT / "tools" / "check_tracked.py").read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "notes.md").write_text("x")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "image00002.jpg").write_bytes(b"x")
    subprocess.run(["git", "add", "-f", "."], cwd=tmp_path, check=True)
    result = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "image00002.jpg" in result.stdout


@pytest.mark.parametrize(
    "name",
    ["run.h5", "run.h5.part", "w.safetensors", "out/face.obj", "face.ply", "a.mat", "p.npy", "face.jpg", "m.png"],
)
def test_what_commands_write_is_ignored_by_git(name: str) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    result = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False)
    assert result.returncode == 0
