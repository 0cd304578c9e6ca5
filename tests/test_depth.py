"""Pictures of depth and of visible vertices, and the mesh files of PLY and GLB."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import toy_face_model
from twodasl.models.errors import DegenerateFaceError, ShapeError
from twodasl.models.morphable import MorphableModel
from twodasl.rendering.depth import depth_picture, near_colors, points_overlay, visible_vertices
from twodasl.rendering.gltf import write_glb
from twodasl.rendering.meshes import write_ply

SIDE = 100


def placed(model: MorphableModel) -> np.ndarray:
    """The toy face in a 100-pixel picture, y down."""
    return model.mean.astype(np.float64) / 2500 * [1, -1, 1] + [50, 50, 0]


def test_what_lies_behind_is_not_seen(toy_model: MorphableModel) -> None:
    """A second sheet 50 px behind the first: only the first is seen, and none of what is outside the picture."""
    front = placed(toy_model)
    both = np.concatenate([front, front - [0, 0, 50]])
    triangles = np.concatenate([toy_model.triangles, toy_model.triangles + len(front)])
    seen = visible_vertices(both, triangles, SIDE, SIDE)
    inside = ((front[:, :2] > -0.5) & (front[:, :2] < SIDE - 0.5)).all(axis=1)
    assert seen[: len(front)][inside].mean() > 0.9
    assert not seen[: len(front)][~inside].any()
    covered = (np.abs(front[:, :2] - 50) < 20).all(axis=1)  # well inside the front sheet
    assert not seen[len(front) :][covered].any()


def test_near_is_yellow_and_far_is_dark() -> None:
    far, near = near_colors(np.array([0.0, 5.0]))
    assert near.sum() > far.sum() + 0.5
    assert near[2] < 0.3 < near[0]
    assert near_colors(np.full(3, 2.0)).shape == (3, 3)  # flat: no division by zero


def test_points_are_painted_where_the_vertices_are(toy_model: MorphableModel) -> None:
    photo = np.full((SIDE, SIDE, 3), 77, np.uint8)
    vertices = placed(toy_model)
    picture = points_overlay(photo, vertices, toy_model.triangles)
    seen = vertices[visible_vertices(vertices, toy_model.triangles, SIDE, SIDE)]
    painted = (picture != 77).any(axis=2)
    column, row = np.rint(seen[:, :2].T).astype(int)
    expected = np.zeros((SIDE, SIDE), bool)
    expected[row, column] = True
    np.testing.assert_array_equal(painted, expected)
    assert (photo == 77).all()


def test_depth_covers_the_face_only(toy_model: MorphableModel) -> None:
    picture = depth_picture(placed(toy_model), toy_model.triangles, SIDE, SIDE)
    assert (picture[0, 0] == 0).all()
    assert picture[50, 50].sum() > picture[50, 24].sum() > 0  # the middle bulges to the viewer
    away = placed(toy_model) + [1000, 0, 0]
    assert (depth_picture(away, toy_model.triangles, SIDE, SIDE) == 0).all()


def test_bad_vertices_are_refused(toy_model: MorphableModel, tmp_path: Path) -> None:
    vertices = placed(toy_model)
    vertices[3, 1] = np.nan
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    with pytest.raises(DegenerateFaceError, match="NaN or infinite"):
        points_overlay(photo, vertices, toy_model.triangles)
    with pytest.raises(ShapeError, match="points at vertex"):
        depth_picture(placed(toy_model), toy_model.triangles + 10_000, SIDE, SIDE)
    for write in (write_ply, write_glb):
        with pytest.raises(DegenerateFaceError):
            write(tmp_path / "face", vertices, toy_model.triangles)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), colored=st.booleans())
def test_meshes_come_back_as_they_were(
    seed: int, scale: float, colored: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Order, count, box and colours survive; read by another library than wrote the PLY."""
    model = toy_face_model(8, 9, seed)
    vertices = (model.mean * (scale / 1e5)).astype(np.float32)
    colors = model.colors if colored else None
    folder = tmp_path_factory.mktemp("meshes")
    write_ply(folder / "face.ply", vertices, model.triangles, colors, ["a comment", "two\nlines"])
    write_glb(folder / "face.glb", vertices, model.triangles, colors, "the terms")
    for suffix in ("ply", "glb"):
        read: Any = trimesh.load(folder / f"face.{suffix}", process=False, force="mesh")
        np.testing.assert_array_equal(np.asarray(read.vertices, np.float32), vertices)
        np.testing.assert_array_equal(read.faces, model.triangles)
        if colors is not None and suffix == "ply":  # those of the GLB: test_mesh_formats.py
            found = np.asarray(read.visual.vertex_colors)[:, :3] / 255
            np.testing.assert_allclose(found, colors, atol=0.5 / 255 + 1e-6)


def test_terms_stand_in_the_files(toy_model: MorphableModel, tmp_path: Path) -> None:
    write_glb(tmp_path / "face.glb", toy_model.mean / 1e6, toy_model.triangles, terms="academic only")
    content = (tmp_path / "face.glb").read_bytes()
    length = int.from_bytes(content[12:16], "little")
    assert json.loads(content[20 : 20 + length])["asset"]["copyright"] == "academic only"
    write_ply(tmp_path / "face.ply", toy_model.mean, toy_model.triangles, comments=["terms: academic only"])
    assert b"comment terms: academic only\n" in (tmp_path / "face.ply").read_bytes()[:400]
