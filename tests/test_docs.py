"""What the documentation says works: its commands run, its links lead somewhere, its tables match the code."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from twodasl.models.runs import STATUSES

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


NOT_RUN = (
    "twodasl infer CROPS",
    "twodasl eval aflw",
    "twodasl run info",
    "twodasl render landmarks run.h5",
)  # what they need is not said there


def table_commands(page: Path) -> list[str]:
    """Every command in the tables of a page, in order."""
    rows = [line for line in page.read_text().splitlines() if line.startswith("|")]
    found = [command for row in rows for command in re.findall(r"`(twodasl \S+ [^`]+)`", row)]
    return [command for command in found if not command.startswith(NOT_RUN)]


def run_commands(script: str, data: Path, folder: Path) -> None:
    environment = os.environ | {
        "D": str(data),
        "TWODASL_HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    result = subprocess.run(
        ["bash", "-eux", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]


def commands(page: Path) -> str:
    """Every ```sh block of a page, one after another."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.skipif(shutil.which("bash") is None, reason="the documented commands are for bash")
def test_documented_commands_run(data: Path, tmp_path: Path) -> None:
    script = commands(ROOT / "docs" / "reproduce.md")
    assert script.count("twodasl ") >= 14
    run_commands(script, data, tmp_path)
    assert (tmp_path / "out" / "image00074.obj").is_file()
    assert (tmp_path / "out" / "image00074.jpg").is_file()
    assert len(list((tmp_path / "vertex").glob("*.mat"))) == 3


@pytest.mark.skipif(shutil.which("bash") is None, reason="the documented commands are for bash")
def test_every_original_script_has_its_command(data: Path, tmp_path: Path) -> None:
    page = ROOT / "docs" / "from-matlab.md"
    listed = table_commands(page)
    assert len(listed) >= 20
    run_commands("\n".join([commands(page), *listed]), data, tmp_path)
    assert len(list((tmp_path / "dense_align").glob("*.jpg"))) == len(list((tmp_path / "objs").glob("*.obj"))) == 6
    assert len(list((tmp_path / "shown").glob("*.jpg"))) == len(list((tmp_path / "textured").glob("*.glb"))) == 12
    assert (tmp_path / "face.gif").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_status_is_documented() -> None:
    section = (ROOT / "docs" / "files.md").read_text().split("### Statuses")[1].split("## ")[0]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", section, re.MULTILINE))
    assert rows.keys() == STATUSES.keys()


def test_readme_commands_are_make_targets() -> None:
    targets = re.findall(r"^    make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}: setup", makefile, re.MULTILINE) for target in targets)
