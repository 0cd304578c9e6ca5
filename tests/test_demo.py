"""The demo: a page that needs nothing from outside, invented faces with true annotations, and the whole road."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.command import run_command
from tests.html_reader import Reader
from twodasl.models.morphable import MorphableModel
from twodasl.models.photos import read_photo
from twodasl.models.runs import Run
from twodasl.models.training.faces import read_annotated
from twodasl.models.training.labels import converts
from twodasl.models.training.pictures import list_pictures
from twodasl.rendering.samples import SIDE, write_samples


def test_samples_are_what_their_annotations_say(toy_model: MorphableModel, tmp_path: Path) -> None:
    model = replace(
        toy_model,
        identity_sigma=np.full(40, 2e4, np.float32),
        expression_sigma=np.full(10, 0.5, np.float32),
    )
    write_samples(tmp_path, model, 3, seed=5)
    faces = read_annotated(list_pictures(tmp_path), lambda name, why: pytest.fail(f"{name}: {why}"))
    assert len(faces) == 3
    assert converts(faces, model)  # the coefficients and pose give the landmarks back
    for face in faces:
        photo = read_photo(face.picture.path)
        assert photo.shape == (SIDE, SIDE, 3)
        inside = face.points[:, :2]
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
    for target in Reader((folder / "index.html").read_text()).targets:
        assert target.startswith(("data:", "#")) or (folder / target).is_file()
    text = (folder / "index.html").read_text()
    assert "academic" in text
    assert text.count("sample") >= 12
    code, out, err = run_command("demo", "-o", tmp_path / "demo", "--model", bfm_path)
    assert code == 0, err  # again, over the earlier one
