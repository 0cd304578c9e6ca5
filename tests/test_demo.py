"""The demo: a page that needs nothing from outside, invented faces with true annotations, and the whole road."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.command import run_command
from twodasl.models.annotations import read_model_labels
from twodasl.models.morphable import MorphableModel
from twodasl.models.photos import read_photo
from twodasl.models.runs import Run
from twodasl.models.training.prepare import Annotated, converts
from twodasl.rendering.page import Picture, Section, Table, write_page
from twodasl.rendering.samples import SIDE, write_samples


class Checker(HTMLParser):
    """Collects what a page refers to, and whether its tags close."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_whole_escaped_and_self_contained(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    section = Section(
        "<b>title</b>",
        ["a & b"],
        [Picture(image, 'say "cheese" <script>')],
        table=Table(["name", "nme"], [["x<y", "3.6"]]),
        code="1 < 2",
        links=[("a mesh", "face.obj")],
    )
    write_page(tmp_path / "page.html", "t & t", "intro <i>", [section], "terms")
    text = (tmp_path / "page.html").read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert all(target.startswith("data:") or target == "face.obj" for target in checker.targets)
    assert "<script" not in text
    assert "<b>" not in text
    assert "http" not in re.sub(r"data:[^\"]+", "", text)


def test_samples_are_what_their_annotations_say(toy_model: MorphableModel, tmp_path: Path) -> None:
    model = replace(
        toy_model,
        identity_sigma=np.full(40, 2e4, np.float32),
        expression_sigma=np.full(10, 0.5, np.float32),
    )
    names = write_samples(tmp_path, model, 3, seed=5)
    faces = [Annotated(name, tmp_path / f"{name}.jpg", read_model_labels(tmp_path / f"{name}.mat")) for name in names]
    assert converts(faces, model)  # the coefficients and pose give the landmarks back
    for face in faces:
        photo = read_photo(face.photo)
        assert photo.shape == (SIDE, SIDE, 3)
        inside = face.labels.landmarks[:, :2]
        assert (inside > 0).all()
        assert (inside < SIDE).all()
    again = tmp_path / "again"
    write_samples(again, model, 3, seed=5)
    assert (again / "sample01.jpg").read_bytes() == (tmp_path / "sample01.jpg").read_bytes()


def test_demo_runs_the_whole_road(bfm_path: Path, tmp_path: Path) -> None:
    code, out, err = run_command("demo", "-o", tmp_path / "demo", "--model", bfm_path)
    assert code == 0, err
    folder = tmp_path / "demo"
    assert "index.html" in out
    run = Run.load(folder / "astronaut.h5")
    assert run.status == ("ok",)
    points = json.loads((Path(__file__).parent.parent / "models/assets/astronaut_landmarks.jsonl").read_text())
    off = run.landmarks[0, :, :2] - np.array(points["landmarks"])
    assert np.linalg.norm(off, axis=1).mean() < 4  # pixels, of a face 90 across
    for suffix in ("obj", "ply", "glb"):
        assert (folder / f"astronaut.{suffix}").stat().st_size > 100_000
    for name in ("landmarks", "mask", "points", "depth"):
        assert read_photo(folder / f"astronaut_{name}.png").shape == (512, 512, 3)
    checker = Checker()
    checker.feed((folder / "index.html").read_text())
    for target in checker.targets:
        assert target.startswith("data:") or (folder / target).is_file()
    text = (folder / "index.html").read_text()
    assert "academic" in text
    assert text.count("sample") >= 12
    code, out, err = run_command("demo", "-o", tmp_path / "demo", "--model", bfm_path)
    assert code == 0, err  # again, over the earlier one


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to open the page in")
def test_page_opens_without_console_messages(tmp_path: Path) -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    write_page(tmp_path / "page.html", "A page", "An intro.", [Section("Faces", pictures=[Picture(image, "one")])])
    result = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=2000",
            "--dump-dom", (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "<h1>A page</h1>" in result.stdout
    assert "CONSOLE" not in result.stderr
