"""Pictures of the surface itself on quads whose depth, code and normal are known on paper; where a head's axes lie."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import toy_face_model
from twodasl.models.errors import DegenerateFaceError, ShapeError
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import rotation_from_angles, similarity
from twodasl.rendering.maps import codes_of, depth_map, normals_map, pncc_map
from twodasl.rendering.pictures import Posed, Style, camera_of, paint_depth, paint_normals, paint_pncc, pictures_of
from twodasl.rendering.pose import AXES, REACH, pose_overlay

GREY = np.full((12, 16, 3), 100, np.uint8)
QUAD = np.array([(0, 2, 1), (0, 3, 2)], np.int32)  # counter-clockwise on the picture
NEAR, FAR = (253, 231, 37), (68, 1, 84)  # the ends of viridis
LEANING = 128 + 127 / np.sqrt(2)  # a normal's share along an axis it is 45 degrees from


def quad(left: float, top: float, right: float, bottom: float, z: Any = 0) -> np.ndarray:
    """Corners from the upper left, clockwise on the picture; z: one for all, or of each."""
    x, y = (left, right, right, left), (top, top, bottom, bottom)
    return np.stack([x, y, np.broadcast_to(z, 4)], axis=1).astype(np.float64)


# --- depth --------------------------------------------------------------------------------------


def test_depth_of_a_tilted_quad_goes_from_dark_to_yellow() -> None:
    """z is the column: column 2 is the farthest, column 12 the nearest, 7 the middle of viridis, (33, 145, 140)."""
    before = GREY.copy()
    picture = depth_map(GREY, quad(2, 1, 12, 9, z=(2, 12, 12, 2)), QUAD)
    assert tuple(picture[5, 2]) == FAR
    assert tuple(picture[5, 12]) == NEAR
    np.testing.assert_allclose(picture[1:10, 7], np.tile((33, 145, 140), (9, 1)), atol=2)
    assert (picture[1:10, 2:13] == picture[5, 2:13]).all()
    picture[1:10, 2:13] = 100
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(GREY, before)


def test_the_nearer_of_two_quads_is_seen() -> None:
    vertices = np.concatenate([quad(1, 1, 9, 9, z=-5), quad(5, 5, 14, 10, z=8)])
    for triangles in (np.concatenate([QUAD, QUAD + 4]), np.concatenate([QUAD + 4, QUAD])):
        picture = depth_map(GREY, vertices, triangles)
        assert tuple(picture[7, 7]) == NEAR
        assert tuple(picture[3, 3]) == FAR


def test_a_face_of_one_depth_is_near() -> None:
    assert tuple(depth_map(GREY, quad(2, 2, 6, 6, z=-40), QUAD)[4, 4]) == NEAR


# --- normals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z", "color"),
    [
        (0, (128, 128, 255)),  # to the viewer
        ((0, -8, -8, 0), (LEANING, 128, LEANING)),  # falls away to the right: it faces right
        ((-8, 0, 0, -8), (255 - LEANING, 128, LEANING)),
        ((-8, -8, 0, 0), (128, LEANING, LEANING)),  # falls away upwards: it faces up
        ((0, 0, -8, -8), (128, 255 - LEANING, LEANING)),
    ],
)
def test_normals_as_colors(z: Any, color: tuple[float, float, float]) -> None:
    picture = normals_map(GREY, quad(2, 2, 10, 10, z), QUAD)
    np.testing.assert_allclose(picture[2:11, 2:11].reshape(-1, 3), np.tile(color, (81, 1)), atol=1)
    assert (picture[:2] == 100).all()


# --- codes --------------------------------------------------------------------------------------


def test_pncc_is_mixed_between_the_corners() -> None:
    codes = np.array([(0, 0, 0.4), (1, 0, 0.4), (1, 1, 0.4), (0, 1, 0.4)])
    picture = pncc_map(GREY, quad(0, 0, 10, 10), QUAD, codes).astype(int)
    rows, columns = np.mgrid[:11, :11]
    np.testing.assert_allclose(picture[:11, :11, 0], 25.5 * columns, atol=0.51)
    np.testing.assert_allclose(picture[:11, :11, 1], 25.5 * rows, atol=0.51)
    assert (picture[:11, :11, 2] == 102).all()
    assert (picture[11:] == 100).all()


def test_codes_are_the_mean_face_between_0_and_1(toy_model: MorphableModel) -> None:
    codes = codes_of(toy_model)
    np.testing.assert_array_equal(codes.min(axis=0), 0)
    np.testing.assert_array_equal(codes.max(axis=0), 1)
    assert codes[toy_model.mean[:, 0].argmax(), 0] == 1  # red on the picture's right
    assert codes[toy_model.mean[:, 1].argmax(), 1] == 1  # green on top
    assert codes[toy_model.mean[:, 2].argmax(), 2] == 1  # blue in front
    own = np.random.default_rng(0).uniform(size=codes.shape).astype(np.float32)
    np.testing.assert_array_equal(codes_of(replace(toy_model, pncc=own)), own)
    flat = replace(toy_model, mean=toy_model.mean * np.array([1, 1, 0], np.float32))
    with pytest.raises(DegenerateFaceError, match="'toy face' is flat"):
        codes_of(flat)


# --- what cannot be drawn -----------------------------------------------------------------------

MAPS: list[Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = [
    depth_map,
    normals_map,
    lambda picture, vertices, triangles: pncc_map(picture, vertices, triangles, np.zeros_like(vertices)),
]


@pytest.mark.parametrize("draw", MAPS)
def test_what_is_not_seen_leaves_the_picture(draw: Callable[..., np.ndarray]) -> None:
    """Outside on every side, turned away, without area, a vertex named twice."""
    face = quad(2, 2, 8, 8)
    for shift in ((30, 0, 0), (-30, 0, 0), (0, 30, 0), (0, -30, 0)):
        np.testing.assert_array_equal(draw(GREY, face + shift, QUAD), GREY)
    for triangles in (QUAD[:, ::-1], np.array([(0, 0, 1), (2, 1, 2)])):
        np.testing.assert_array_equal(draw(GREY, face, triangles), GREY)
    np.testing.assert_array_equal(draw(GREY, face * [1, 0, 1], QUAD), GREY)


@pytest.mark.parametrize("draw", MAPS)
def test_a_face_across_the_border_is_cut_there(draw: Callable[..., np.ndarray]) -> None:
    picture = draw(GREY, quad(-1000, -1000, 4.5, 5.5), QUAD)
    assert (picture[:6, :5] != 100).any(axis=2).all()
    assert (picture[6:] == 100).all()
    assert (picture[:, 5:] == 100).all()


@pytest.mark.parametrize("draw", MAPS)
def test_bad_faces_raise(draw: Callable[..., np.ndarray]) -> None:
    face = quad(2, 2, 8, 8)
    broken = face.copy()
    broken[2, 1] = np.nan
    with pytest.raises(DegenerateFaceError, match="1 of 4 vertices are NaN or infinite, the first is number 2"):
        draw(GREY, broken, QUAD)
    with pytest.raises(ShapeError, match="vertex 4; there are 4"):
        draw(GREY, face, QUAD + 1)
    with pytest.raises(ShapeError, match="vertex -1"):
        draw(GREY, face, QUAD - 1)
    with pytest.raises(ShapeError, match=r"\(H, W, 3\) uint8"):
        draw(GREY[..., 0], face, QUAD)


# --- several faces, and sizes -------------------------------------------------------------------


class Quads:
    """Faces that are one quad each, all in one photo of 16 x 12 pixels."""

    terms = ""

    def __init__(self, *vertices: np.ndarray, model: MorphableModel | None = None) -> None:
        self.vertices, self._model = vertices, model
        self.names = tuple(f"face{index}" for index in range(len(vertices)))
        self.failed: dict[str, str] = {}

    @property
    def model(self) -> MorphableModel:
        assert self._model is not None
        return self._model

    def triangles(self, index: int) -> np.ndarray:
        return QUAD

    def model_vertices(self, index: int) -> np.ndarray:
        return self.vertices[index] * [1, -1, 1]

    def picture_name(self, index: int) -> str:
        return "photo"

    def photo_vertices(self, index: int) -> np.ndarray:
        return self.vertices[index]

    def file_vertices(self, index: int, frame: str) -> np.ndarray:
        return self.vertices[index]

    def photo_path(self, index: int) -> Path | None:
        return None

    def photo_size(self, index: int) -> tuple[int, int] | None:
        return 16, 12


def test_the_larger_of_two_faces_is_painted_last() -> None:
    """Faces of one photo have depths of their own: size, not z, says which is nearer."""
    large, small = quad(2, 2, 10, 10, z=(0, -8, -8, 0)), quad(6, 4, 13, 8, z=50)
    for faces in (Quads(large, small), Quads(small, large)):
        picture = pictures_of(faces, None, paint_normals, Style(), over_photo=False)([0, 1])
        assert picture.shape == (12, 16, 3)
        np.testing.assert_allclose(picture[6, 8], (LEANING, 128, LEANING), atol=1)
        np.testing.assert_allclose(picture[6, 12], (128, 128, 255), atol=1)
        assert (picture[0] == 0).all()


@pytest.mark.parametrize("scale", [2, 3, 5])
def test_a_larger_picture_shows_the_same_place(scale: int) -> None:
    """Pixels 2 to 9 across and 3 to 8 down become `scale` times as many: their borders are multiplied, not centres."""
    faces = Quads(quad(1.5, 2.5, 9.5, 8.5))
    picture = pictures_of(faces, None, paint_normals, Style(), over_photo=False, size=16 * scale)([0])
    assert picture.shape == (12 * scale, 16 * scale, 3)
    expected = np.zeros(picture.shape[:2], bool)
    expected[3 * scale : 9 * scale, 2 * scale : 10 * scale] = True
    np.testing.assert_array_equal((picture > 0).any(axis=2), expected)


def test_what_is_painted_gets_the_places_of_the_new_size() -> None:
    seen: list[np.ndarray] = []

    def look(picture: np.ndarray, face: Posed) -> np.ndarray:
        seen.append(face.vertices)
        return picture

    faces = Quads(quad(-0.5, 1.5, 13.5, 9.5, z=3))
    for size in (8, 16, 48):
        assert max(pictures_of(faces, None, look, Style(), over_photo=False, size=size)([0]).shape) == size
    for vertices, scale in zip(seen, (0.5, 1, 3), strict=True):
        np.testing.assert_allclose(
            vertices, quad(-0.5, 2 * scale - 0.5, 14 * scale - 0.5, 10 * scale - 0.5, z=3 * scale)
        )


def test_a_face_outside_its_photo_is_no_black_picture() -> None:
    faces = Quads(quad(20, 2, 28, 10))
    with pytest.raises(ShapeError, match=r"face0 lies at 20\.\.28 x 2\.\.10, outside a photo of 16 x 12 pixels"):
        pictures_of(faces, None, paint_depth, Style(), over_photo=False)([0])
    with pytest.raises(DegenerateFaceError, match="NaN"):
        pictures_of(Quads(quad(0, np.nan, 5, 5)), None, paint_depth, Style(), over_photo=False)([0])


def test_codes_of_a_placed_face_are_its_models() -> None:
    model = toy_face_model()
    placed = model.mean.astype(np.float64) * [5e-5, -5e-5, 5e-5] + [7.5, 5.5, 0]
    faces = Quads(placed, model=model)
    faces.triangles = lambda index: model.triangles  # type: ignore[method-assign]
    picture = pictures_of(faces, None, paint_pncc, Style(), over_photo=False)([0])
    drawn = (picture > 0).any(axis=2)
    rows, columns = np.nonzero(drawn)
    inner = picture[rows, columns].astype(float)
    assert np.corrcoef(inner[:, 0], columns)[0, 1] > 0.95  # red grows to the right
    assert np.corrcoef(inner[:, 1], -rows)[0, 1] > 0.95  # green upwards
    assert inner[:, 2].argmax() in np.flatnonzero(np.hypot(columns - 7.5, rows - 5.5) < 2)  # blue in the middle


# --- the head's axes ----------------------------------------------------------------------------

LOW, HIGH = np.array([-1.0, -1.5, -0.5]), np.array([1.0, 1.5, 0.5])


def camera(degrees: tuple[float, float, float], scale: float = 20, place: float = 70) -> np.ndarray:
    """(3, 4): a head of about 2 units turned by (yaw, pitch, roll), in the middle of a picture of 140 pixels."""
    turned = scale * rotation_from_angles(np.array(degrees))
    return np.concatenate([turned, [[place], [-place], [0]]], axis=1) * [[1], [-1], [1]]


def tip(picture: np.ndarray, color: tuple[int, int, int], origin: np.ndarray) -> np.ndarray:
    """The pixel about this colour that is farthest from the origin, (2,) x y."""
    rows, columns = np.nonzero(np.abs(picture.astype(int) - color).max(axis=2) < 60)
    points = np.stack([columns, rows], axis=1)
    return points[np.linalg.norm(points - origin, axis=1).argmax()]


@pytest.mark.parametrize("angles", [(25, 20, 0), (-35, -15, 10), (50, 30, -40), (0, 0, 90), (60, 10, 170)])
def test_the_tips_of_the_axes(angles: tuple[float, float, float]) -> None:
    black = np.zeros((140, 140, 3), np.uint8)
    matrix = camera(angles)
    picture = pose_overlay(black, matrix, LOW, HIGH)
    start = np.array([0, 0, HIGH[2]])
    origin = (matrix[:, :3] @ start + matrix[:, 3])[:2]
    for axis in range(3):
        end = start + REACH * 3 * np.eye(3)[axis]
        expected = (matrix[:, :3] @ end + matrix[:, 3])[:2]
        if np.linalg.norm(expected - origin) > 6:  # else it points at the viewer: a dot
            np.testing.assert_allclose(tip(picture, AXES[axis], origin), expected, atol=2.5)
    assert (black == 0).all()


def test_the_axes_of_a_face_that_looks_at_the_camera() -> None:
    """x to the right, y up, z at the viewer; the box's front is larger than its back."""
    picture = pose_overlay(np.zeros((140, 140, 3), np.uint8), camera((0, 0, 0)), LOW, HIGH)
    middle = np.array([70, 70])
    np.testing.assert_allclose(tip(picture, AXES[0], middle), (70 + 33, 70), atol=2.5)
    np.testing.assert_allclose(tip(picture, AXES[1], middle), (70, 70 - 33), atol=2.5)
    rows, columns = np.nonzero((np.abs(picture.astype(int) - (255, 200, 40)) < 60).all(axis=2))
    np.testing.assert_allclose([columns.min(), columns.max()], [70 - 25, 70 + 25], atol=1.5)
    np.testing.assert_allclose([rows.min(), rows.max()], [70 - 37.5, 70 + 37.5], atol=1.5)


def test_axes_beside_the_picture_and_bad_cameras() -> None:
    np.testing.assert_array_equal(pose_overlay(GREY, camera((0, 0, 0), place=900), LOW, HIGH), GREY)
    with pytest.raises(ShapeError, match=r"camera is \(3, 3\)"):
        pose_overlay(GREY, camera((0, 0, 0))[:, :3], LOW, HIGH)


@given(
    yaw=st.floats(-90, 90), pitch=st.floats(-60, 60), roll=st.floats(-180, 180), scale=st.floats(0.1, 10),
    stretch=st.floats(0.5, 2),
)  # fmt: skip
def test_the_camera_is_found_again(yaw: float, pitch: float, roll: float, scale: float, stretch: float) -> None:
    """Any affine one, a free matrix's uneven scales too."""
    model = np.random.default_rng(0).normal(size=(40, 3))
    matrix = camera((yaw, pitch, roll), scale) * np.array([[1], [stretch], [1]])
    placed = model @ matrix[:, :3].T + matrix[:, 3]
    np.testing.assert_allclose(camera_of(model, placed), matrix, atol=1e-8)


# --- similarity ---------------------------------------------------------------------------------


@given(
    yaw=st.floats(-180, 180), pitch=st.floats(-180, 180), roll=st.floats(-180, 180), scale=st.floats(1e-3, 1e3),
    x=st.floats(-1e3, 1e3), z=st.floats(-1e3, 1e3),
)  # fmt: skip
def test_a_similarity_is_found_again(yaw: float, pitch: float, roll: float, scale: float, x: float, z: float) -> None:
    source = np.random.default_rng(1).normal(size=(30, 3))
    turn, move = rotation_from_angles(np.array([yaw, pitch, roll])), np.array([x, 7.0, z])
    found_scale, rotation, shift = similarity(source, scale * source @ turn.T + move)
    assert found_scale == pytest.approx(scale, rel=1e-9)
    np.testing.assert_allclose(rotation, turn, atol=1e-9)
    np.testing.assert_allclose(shift, move, atol=1e-9 * (1 + scale + abs(x) + abs(z)))


@given(seed=st.integers(0, 2000), flat=st.booleans())
def test_a_similarity_is_never_a_reflection(seed: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(8, 3)) * [1, 1, 0 if flat else 1]
    target = source * [-1, 1, 1] + 0.01 * rng.normal(size=(8, 3))
    scale, rotation, _ = similarity(source, target)
    assert scale > 0
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)


def test_a_similarity_is_the_best_one() -> None:
    """Nearby ones fit worse; points in one place have no scale of their own."""
    rng = np.random.default_rng(3)
    source, target = rng.normal(size=(2, 20, 3))

    def error(scale: float, rotation: np.ndarray, shift: np.ndarray) -> float:
        return float(((scale * source @ rotation.T + shift - target) ** 2).sum())

    scale, rotation, shift = similarity(source, target)
    best = error(scale, rotation, shift)
    for step in np.eye(3):
        nudge = rotation_from_angles(step)
        assert error(scale, nudge @ rotation, shift) > best
        assert error(scale, rotation, shift + 0.01 * step) > best
    assert min(error(1.01 * scale, rotation, shift), error(0.99 * scale, rotation, shift)) > best
    scale, rotation, shift = similarity(np.ones((20, 3)), target)
    assert scale == 1
    np.testing.assert_array_equal(rotation, np.eye(3))
    np.testing.assert_allclose(shift, target.mean(axis=0) - 1)
