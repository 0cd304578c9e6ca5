"""The photo on the face's surface, on photos whose colours say where they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.toy import toy_face_model
from twodasl.models.errors import DegenerateFaceError, ShapeError
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import rotation_from_angles
from twodasl.rendering.images import vertex_colors
from twodasl.rendering.shading import vertex_normals
from twodasl.rendering.texture import (
    MARGIN,
    Texture,
    complete,
    face_colors,
    face_texture,
    layout,
    unwrap,
    write_texture,
)

COLUMNS, ROWS = 30, 34  # of the toy face
WIDTH, HEIGHT, SIZE = 220, 240, 256
FRONT, TURNED = 0.0, 45.0  # yaw, degrees


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    """The toy face, which is symmetric, with each vertex's mirror image."""
    numbers = np.arange(COLUMNS * ROWS).reshape(ROWS, COLUMNS)
    return replace(toy_face_model(), symmetry=numbers[:, ::-1].ravel().astype(np.int32))


def photo() -> np.ndarray:
    """(H, W, 3) uint8: red is the column, green the row."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns, rows, np.full_like(rows, 60)], axis=-1).astype(np.uint8)


def placed(model: MorphableModel, yaw: float) -> np.ndarray:
    """(N, 3) photo pixels: the face in the middle, 189 px high."""
    turned = 0.9e-3 * model.mean.astype(np.float64) @ rotation_from_angles(np.array([yaw, 0, 0])).T
    return turned * [1, -1, 1] + [WIDTH / 2, HEIGHT / 2, 0]


def at(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """What a viewer shows of a texture at (N, 2) coordinates: (N, 3) grey levels."""
    return 255 * vertex_colors(picture, np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * len(picture) - 0.5)


def surely(mask: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N,) bool: where all texels around these coordinates are in a mask (S, S)."""
    return at(np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255, uv).min(axis=1) > 254.9


# --- where things lie ---------------------------------------------------------------------------


def check_upright(uv: np.ndarray, model: MorphableModel) -> None:
    """Inside the picture, filling it one way, u along x and v along y."""
    low, high = uv.min(axis=0), uv.max(axis=0)
    assert (low >= MARGIN - 1e-9).all()
    assert (high <= 1 - MARGIN + 1e-9).all()
    assert (high - low).max() == pytest.approx(1 - 2 * MARGIN)
    np.testing.assert_allclose(low + high, 1)
    for axis in range(2):
        assert np.corrcoef(uv[:, axis], model.mean[:, axis])[0, 1] > 0.97


def test_a_model_without_uv_is_rolled_out(model: MorphableModel) -> None:
    uv = layout(model)
    check_upright(uv, model)
    grid = uv.reshape(ROWS, COLUMNS, 2)
    assert (np.diff(grid[..., 0], axis=1) > 0).all()  # nothing folds over
    assert (np.diff(grid[..., 1], axis=0) > 0).all()
    np.testing.assert_allclose(grid[:, ::-1, 0], 1 - grid[..., 0], atol=1e-6)  # the halves mirror each other


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_a_models_own_uv_is_turned_upright(
    order: tuple[int, int], signs: tuple[int, int], model: MorphableModel
) -> None:
    """However the model's picture is turned or mirrored by quarter turns, the layout is the same, and keeps its
    shape."""
    upright = model.mean[:, :2] / 2.5e5
    uv = (upright * signs)[:, order].astype(np.float32)
    found = layout(replace(model, uv=uv))
    check_upright(found, model)
    np.testing.assert_allclose(found, layout(replace(model, uv=upright.astype(np.float32))), atol=1e-6)
    np.testing.assert_allclose(np.ptp(found, axis=0) / np.ptp(upright, axis=0), np.ptp(found) / np.ptp(upright))


# --- what is seen -------------------------------------------------------------------------------


@pytest.mark.parametrize("yaw", [FRONT, TURNED])
@pytest.mark.parametrize("own_uv", [False, True])
def test_colors_come_from_where_the_vertex_is(yaw: float, own_uv: bool, model: MorphableModel) -> None:
    """Looked up at its own texture coordinates, a visible vertex has the colour of its place in the photo."""
    if own_uv:
        model = replace(model, uv=(model.mean[:, [1, 0]] / 2.5e5).astype(np.float32))
    vertices, uv = placed(model, yaw), layout(model)
    texture = unwrap(photo(), vertices, model.triangles, uv, SIZE)
    assert texture.colors.shape == (SIZE, SIZE, 3)
    shown = surely(texture.seen, uv)
    assert shown.mean() > (0.8 if yaw == FRONT else 0.5)
    np.testing.assert_allclose(at(texture.colors, uv)[shown, :2], vertices[shown, :2], atol=1.5)


def test_the_side_that_turns_away_is_not_seen(model: MorphableModel) -> None:
    vertices, uv = placed(model, TURNED), layout(model)
    texture = unwrap(photo(), vertices, model.triangles, uv, SIZE)
    facing = vertex_normals(vertices, model.triangles)[:, 2]
    behind = (facing < 0) & surely(texture.inside, uv)
    assert behind.sum() > 50
    assert not surely(texture.seen, uv)[behind].any()
    assert (texture.colors[~texture.seen] == 0).all()
    assert (texture.inside | ~texture.seen).all()
    assert not texture.inside[:4].any()  # above the face there is no surface


QUAD = np.array([(0, 2, 1), (0, 3, 2)], np.int32)


def test_what_lies_behind_something_is_not_seen() -> None:
    """Two sheets, one behind the right half of the other: a sheet for each half of the texture."""
    back = np.array([(20, 20, 0), (120, 20, 0), (120, 120, 0), (20, 120, 0)], float)
    front = back * [0.5, 1, 1] + [60, 0, 50]  # columns 70 to 120
    left = np.array([(0, 1), (0.5, 1), (0.5, 0), (0, 0)])
    vertices, triangles = np.concatenate([back, front]), np.concatenate([QUAD, QUAD + 4])
    texture = unwrap(photo(), vertices, triangles, np.concatenate([left, left + [0.5, 0]]), 64)
    assert texture.seen[:, :15].all()
    assert not texture.seen[:, 17:32].any()
    assert texture.seen[:, 33:].all()
    np.testing.assert_allclose(texture.colors[:, 4, 0], 20 + (4.5 / 32) * 100, atol=1)
    np.testing.assert_allclose(texture.colors[10, 33:, 1], 20 + (10.5 / 64) * 100, atol=1)


def test_what_lies_outside_the_photo_is_not_seen() -> None:
    sheet = np.array([(-100, 20, 0), (100, 20, 0), (100, 120, 0), (-100, 120, 0)], float)
    uv = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], float)
    texture = unwrap(photo(), sheet, QUAD, uv, 64)
    assert not texture.seen[:, :31].any()
    assert texture.seen[:, 33:].all()
    assert not unwrap(photo(), sheet - [900, 0, 0], QUAD, uv, 64).seen.any()


def test_bad_faces_raise(model: MorphableModel) -> None:
    vertices, uv = placed(model, FRONT), layout(model)
    with pytest.raises(ShapeError, match=r"uv is \(1019, 2\); \(1020, 2\)"):
        unwrap(photo(), vertices, model.triangles, uv[:-1], SIZE)
    vertices[3, 0] = np.inf
    with pytest.raises(DegenerateFaceError, match="number 3"):
        unwrap(photo(), vertices, model.triangles, uv, SIZE)
    with pytest.raises(ShapeError, match="vertex 1020"):
        unwrap(photo(), placed(model, FRONT), model.triangles + 1, uv, SIZE)
    with pytest.raises(ShapeError, match="uint8"):
        unwrap(photo() / 255, placed(model, FRONT), model.triangles, uv, SIZE)


# --- what is filled in --------------------------------------------------------------------------


def test_hidden_places_have_the_other_halfs_colors(model: MorphableModel) -> None:
    """Away from the seam a hidden place has exactly what its mirror image shows; what is seen stays."""
    assert model.symmetry is not None
    vertices, uv = placed(model, TURNED), layout(model)
    seen = unwrap(photo(), vertices, model.triangles, uv, SIZE)
    whole = face_texture(photo(), vertices, model, SIZE)
    np.testing.assert_array_equal(whole[seen.seen], seen.colors[seen.seen])
    facing = vertex_normals(vertices, model.triangles)[:, 2]
    borrowed = (facing < -0.15) & surely(seen.seen, uv[model.symmetry])
    assert borrowed.sum() > 40
    np.testing.assert_allclose(at(whole, uv)[borrowed, :2], vertices[model.symmetry[borrowed], :2], atol=6)
    assert (whole[..., 2] == 60).all()  # nothing is left black, outside the layout neither
    alone = face_texture(photo(), vertices, replace(model, symmetry=None), SIZE)
    assert np.abs(at(alone, uv)[borrowed, 0] - vertices[model.symmetry[borrowed], 0]).max() > 20


def test_filling_in_small() -> None:
    """Left third seen, middle third borrowed, the right one has neither."""
    colors, mirrored = np.zeros((30, 30, 3), np.uint8), np.full((30, 30, 3), 200, np.uint8)
    colors[:, :10] = 50
    columns = np.arange(30) + np.zeros((30, 1))
    inside = np.ones((30, 30), bool)
    texture = Texture(colors, columns < 10, inside)
    filled = complete(texture, Texture(mirrored, columns < 20, inside))
    assert (filled[:, :10] == 50).all()
    assert (filled[:, 14:18] == 200).all()
    assert (filled[:, 20:] == 200).all()
    assert (complete(texture, None) == 50).all()
    nothing = Texture(np.zeros_like(colors), columns < 0, inside)
    assert (complete(nothing, None) == 0).all()
    assert (complete(nothing, Texture(mirrored, columns < 20, inside)) == 200).all()


# --- colours of vertices ------------------------------------------------------------------------


def test_vertices_have_their_own_their_mirrors_or_their_neighbours_color(model: MorphableModel) -> None:
    assert model.symmetry is not None
    vertices = placed(model, TURNED)
    facing = vertex_normals(vertices, model.triangles)[:, 2]
    front, behind = facing > 0.3, facing < -0.1
    found = 255 * face_colors(photo(), vertices, model)
    np.testing.assert_allclose(found[front, :2], vertices[front, :2], atol=1e-6)
    twins = model.symmetry[behind]
    assert front[twins].all()
    np.testing.assert_allclose(found[behind, :2], vertices[twins, :2], atol=1e-6)
    alone = 255 * face_colors(photo(), vertices, replace(model, symmetry=None))
    np.testing.assert_array_equal(alone[front], found[front])
    shown = {tuple(color) for color in np.round(alone[facing > 0.1], 6)}
    assert {tuple(color) for color in np.round(alone[behind], 6)} < shown  # those of vertices that are seen


def test_a_face_that_shows_nothing_keeps_the_colors_over_it(model: MorphableModel) -> None:
    vertices = placed(model, FRONT) + [3 * WIDTH, 0, 0]
    np.testing.assert_array_equal(face_colors(photo(), vertices, model), vertex_colors(photo(), vertices))


def test_a_texture_file_is_transparent_where_nothing_is_seen(model: MorphableModel, tmp_path: Path) -> None:
    texture = unwrap(photo(), placed(model, TURNED), model.triangles, layout(model), 64)
    write_texture(tmp_path / "new" / "face.png", texture)
    with Image.open(tmp_path / "new" / "face.png") as image:
        rgba = np.asarray(image)
    np.testing.assert_array_equal(rgba[..., :3], texture.colors)
    np.testing.assert_array_equal(rgba[..., 3], 255 * texture.seen)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["face.png"]
