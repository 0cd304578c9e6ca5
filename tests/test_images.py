"""Pictures small enough to know every pixel of."""

from pathlib import Path

import numpy as np
import pytest

from twodasl.models.errors import DegenerateFaceError, FileError, ShapeError, TwodaslError
from twodasl.models.photos import read_photo
from twodasl.rendering import images
from twodasl.rendering.colors import LIGHT, levels_from_light
from twodasl.rendering.images import landmarks_overlay, mask_overlay, vertex_colors, write_image
from twodasl.rendering.shading import Material, shade

GREY = np.full((12, 16, 3), 100, np.uint8)
QUAD = np.array([(0, 2, 1), (0, 3, 2)], np.int32)  # counter-clockwise on the picture
FACING = levels_from_light(shade(np.array([0.0, 0.0, 1.0])))


def mixed(share: float) -> np.ndarray:
    """The grey photo with this share of a surface that faces the light, mixed as light."""
    return levels_from_light(LIGHT[100] * (1 - share) + LIGHT[FACING] * share).astype(int)


def flat(left: float, top: float, right: float, bottom: float, z: float = 0) -> np.ndarray:
    return np.array([(left, top, z), (right, top, z), (right, bottom, z), (left, bottom, z)])


def test_a_flat_mesh_covers_its_pixels_and_no_others() -> None:
    """Edges between pixels: pixels 3 to 8 across and 2 to 6 down are the mesh, all others the photo."""
    before = GREY.copy()
    picture = mask_overlay(GREY, flat(2.5, 1.5, 8.5, 6.5), QUAD)
    assert picture.dtype == np.uint8
    inside = np.zeros(GREY.shape[:2], bool)
    inside[2:7, 3:9] = True
    assert (picture[inside] == FACING).all()
    assert (picture[~inside] == 100).all()
    np.testing.assert_array_equal(GREY, before)


def test_the_outline_is_antialiased() -> None:
    """Edges through pixel centres: the border pixels are half mesh and half photo, the corners a quarter."""
    picture = mask_overlay(GREY, flat(3, 2, 8, 6), QUAD).astype(float)
    np.testing.assert_allclose(picture[4, 3], mixed(1 / 2), atol=1)
    np.testing.assert_allclose(picture[6, 5], mixed(1 / 2), atol=1)
    np.testing.assert_allclose(picture[2, 8], mixed(1 / 4), atol=1)


def test_a_large_mesh_is_drawn_without_subpixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same square as above: its border pixels' centres are covered, so they are mesh."""
    monkeypatch.setattr(images, "FINE", 10)
    picture = mask_overlay(GREY, flat(3, 2, 8, 6), QUAD)
    assert (picture[2:7, 3:9] == FACING).all()
    assert (picture != 100).any(axis=2).sum() == 30


def test_alpha_mixes_mesh_and_photo() -> None:
    vertices = flat(2.5, 1.5, 8.5, 6.5)
    np.testing.assert_array_equal(mask_overlay(GREY, vertices, QUAD, alpha=0), GREY)
    half = mask_overlay(GREY, vertices, QUAD, alpha=0.5)
    np.testing.assert_allclose(half[4, 5], mixed(1 / 2), atol=1)
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(TwodaslError, match="alpha"):
            mask_overlay(GREY, vertices, QUAD, alpha=alpha)


def test_the_nearer_surface_is_seen_and_the_inside_is_not() -> None:
    tilted = flat(2.5, 1.5, 8.5, 6.5, z=-5)
    tilted[1:3, 2] = -11  # falls away to the right: darker than a surface that faces the light
    vertices = np.concatenate([tilted, flat(5.5, 3.5, 12.5, 9.5, z=3)])
    picture = mask_overlay(GREY, vertices, np.concatenate([QUAD + 4, QUAD]))
    assert (picture[5, 7] == FACING).all()
    assert (picture[3, 3] < FACING).all()
    inside_out = mask_overlay(GREY, vertices, np.concatenate([QUAD[:, ::-1] + 4, QUAD]))
    assert (inside_out[5, 7] == picture[3, 3]).all()
    assert (inside_out[8, 11] == 100).all()


def test_a_slope_is_brightest_where_it_faces_the_light() -> None:
    """A roof, its ridge towards the viewer: smooth normals face the light on the ridge and turn away from it."""
    x, z = np.array([1.5, 15.5, 29.5]), np.array([0.0, 14.0, 0.0])
    vertices = np.concatenate([np.stack([x, np.full(3, y), z], axis=1) for y in (1.5, 21.5)])
    triangles = np.array([(0, 3, 4), (0, 4, 1), (1, 4, 5), (1, 5, 2)])
    picture = mask_overlay(np.zeros((24, 32, 3), np.uint8), vertices, triangles, material=Material(specular=0))
    row = picture[12, :, 1].astype(int)
    assert row[15] > row[8] > row[3] > 0
    assert row[16] > row[23] > row[28] > 0


def test_bands_of_a_few_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices = flat(2.2, 1.7, 11.1, 9.4)
    vertices[1] += (1.3, 0.4, 2)
    whole = mask_overlay(GREY, vertices, QUAD)
    monkeypatch.setattr(images, "BAND", 30)
    np.testing.assert_allclose(mask_overlay(GREY, vertices, QUAD).astype(int), whole, atol=1)


def test_meshes_partly_and_wholly_outside_the_photo() -> None:
    picture = mask_overlay(GREY, flat(-50, -50, 4.5, 5.5), QUAD)
    assert (picture[:6, :5] == FACING).all()
    assert (picture[6:] == 100).all()
    assert (picture[:, 5:] == 100).all()
    for shift in ((100, 0, 0), (0, 100, 0), (-100, 0, 0), (0, -100, 0)):
        np.testing.assert_array_equal(mask_overlay(GREY, flat(2, 2, 5, 5) + shift, QUAD), GREY)


def test_bad_meshes_and_photos_raise() -> None:
    vertices = flat(2, 2, 5, 5)
    with pytest.raises(DegenerateFaceError, match="number 3"):
        mask_overlay(GREY, np.concatenate([vertices[:3], [(np.nan, 0, 0)]]), QUAD)
    with pytest.raises(ShapeError, match="vertex 4"):
        mask_overlay(GREY, vertices, QUAD + 1)
    for photo in (GREY[..., 0], GREY[..., :1], GREY / 255, GREY[:0]):
        with pytest.raises(ShapeError, match=r"\(H, W, 3\) uint8"):
            mask_overlay(photo, vertices, QUAD)
        with pytest.raises(ShapeError, match=r"\(H, W, 3\) uint8"):
            landmarks_overlay(photo, np.zeros((68, 2)))
        with pytest.raises(ShapeError, match=r"\(H, W, 3\) uint8"):
            vertex_colors(photo, vertices)
        with pytest.raises(ShapeError, match=r"\(H, W, 3\) uint8"):
            write_image(Path("never.png"), photo)


@pytest.mark.parametrize("place", [(20, 15), (20.25, 15.5), (31.75, 8.25)])
def test_a_dot_lies_on_its_landmark(place: tuple[float, float]) -> None:
    """All 68 in one place: the centre of mass of what changed is that place, its middle white, its edge blue."""
    black = np.zeros((40, 50, 3), np.uint8)
    picture = landmarks_overlay(black, np.tile(place, (68, 1))).astype(float)
    y, x = np.mgrid[:40, :50]
    mass = picture.sum(axis=2)
    assert (mass * x).sum() / mass.sum() == pytest.approx(place[0], abs=0.05)
    assert (mass * y).sum() / mass.sum() == pytest.approx(place[1], abs=0.05)
    assert (mass > 0).sum() < 40
    around = picture[mass > 0]
    assert (around[:, 2] >= around[:, 0]).all()
    assert (around[:, 2] > 2 * around[:, 0]).any()


OPEN = [(0, 16), (17, 21), (22, 26), (27, 30), (31, 35)]  # jaw, brows, nose, nostrils
CLOSED = [(36, 41), (42, 47), (48, 59), (60, 67)]  # eyes, lips


def spread_landmarks() -> np.ndarray:
    """68 landmarks far apart, line by line on rows of their own: (68, 2), photo pixels of a 400 x 400 photo."""
    points = np.zeros((68, 2))
    for row, (first, last) in enumerate(OPEN + CLOSED):
        count = last + 1 - first
        turn = np.linspace(0, np.pi, count)  # an arc, so that a closing line runs along its own row below
        points[first : last + 1] = np.stack([200 - 190 * np.cos(turn), 40 + 42 * row - 30 * np.sin(turn)], axis=1)
    return points


def test_lines_join_each_group_and_close_eyes_and_lips() -> None:
    points = spread_landmarks()
    photo = np.full((400, 400, 3), 60, np.uint8)
    picture = landmarks_overlay(photo, np.column_stack([points, np.zeros(68)]))
    for first, last in OPEN + CLOSED:
        for start in range(first, last):
            x, y = np.rint(points[start : start + 2].mean(axis=0)).astype(int)
            assert (picture[y - 1 : y + 2, x - 1 : x + 2] > 120).all(axis=2).any(), start
        x, y = np.rint(points[first] + (points[last] - points[first]) * 0.47).astype(int)
        assert bool((picture[y, x] > 120).all()) is ((first, last) in CLOSED), first
    assert (picture[np.rint(points[:, 1]).astype(int), np.rint(points[:, 0]).astype(int)] > 200).all()
    assert (photo == 60).all()
    assert (picture[395:] == 60).all()


def test_lines_and_dots_grow_with_the_face() -> None:
    points = spread_landmarks()
    small = landmarks_overlay(np.zeros((400, 400, 3), np.uint8), points)
    large = landmarks_overlay(np.zeros((1200, 1200, 3), np.uint8), 3 * points + 1)
    lines = [(picture > 0).any(axis=2).mean() for picture in (small, large)]
    assert lines[1] == pytest.approx(lines[0], rel=0.2)
    edges = [(picture[..., 2].astype(int) - picture[..., 0]).clip(0).mean() for picture in (small, large)]
    assert edges[1] == pytest.approx(edges[0], rel=0.1)


def test_landmarks_outside_the_photo_and_bad_ones() -> None:
    points = spread_landmarks()
    np.testing.assert_array_equal(landmarks_overlay(GREY, points + 1000), GREY)
    np.testing.assert_array_equal(landmarks_overlay(GREY, points - 1000), GREY)
    assert landmarks_overlay(GREY, points * 1e12 - 1e12).shape == GREY.shape
    with pytest.raises(ShapeError, match=r"\(68, 2\)"):
        landmarks_overlay(GREY, points[:21])
    points[3, 1] = np.nan
    with pytest.raises(DegenerateFaceError, match="68 landmarks .* number 3"):
        landmarks_overlay(GREY, points)


def test_vertex_colors_on_paper() -> None:
    """Between four pixels their mean, on a pixel its own colour, outside the nearest of the border."""
    photo = np.zeros((2, 3, 3), np.uint8)
    photo[..., 0] = [(0, 51, 102), (153, 204, 255)]
    photo[0, 0, 2] = 255
    places = np.array([(0.5, 0.5, 9), (1, 0, 9), (1.25, 1, 9), (-7, -7, 9), (90, 90, 9), (2, 0.5, 9)])
    found = vertex_colors(photo, places)
    np.testing.assert_allclose(found[:, 0] * 255, [102, 51, 216.75, 0, 255, 178.5])
    np.testing.assert_allclose(found[:, 2], [0.25, 0, 0, 1, 0, 0])
    with pytest.raises(DegenerateFaceError, match="number 1"):
        vertex_colors(photo, np.array([(0, 0, 0), (0, np.nan, 0)]))
    with pytest.raises(ShapeError, match=r"\(N, 2\)"):
        vertex_colors(photo, np.zeros((3, 4)))


def test_pictures_are_written_by_suffix(tmp_path: Path) -> None:
    photo = np.tile(np.linspace(0, 255, 16).astype(np.uint8)[:, None], (12, 1, 3))
    write_image(tmp_path / "new" / "a.PNG", photo)
    np.testing.assert_array_equal(read_photo(tmp_path / "new" / "a.PNG"), photo)
    for name in ("a.jpg", "a.jpeg"):
        write_image(tmp_path / name, photo)
        assert (tmp_path / name).read_bytes().startswith(b"\xff\xd8")
        np.testing.assert_allclose(read_photo(tmp_path / name).astype(int), photo, atol=6)
    for name in ("a.gif", "a"):
        with pytest.raises(FileError, match=r"\.png, \.jpg, \.jpeg"):
            write_image(tmp_path / name, photo)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpeg", "a.jpg", "new"]
