"""A changed face: picture, points and coefficients move together; noise is as large as a detector's."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.toy_sets import label_landmarks, labelled_example, random_coefficients
from twodasl.models.coefficients import POSE
from twodasl.models.errors import FileError, SettingsError, ShapeError
from twodasl.models.landmark_map import map_points as map_of_68
from twodasl.models.library import bundled_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import head_angles
from twodasl.models.training.augment import Move, change_look, colour_matrix, decode_crop, draw_move
from twodasl.models.training.changes import yaw_of_points
from twodasl.models.training.data import DataSettings
from twodasl.models.training.mirror import IMAGES, Mirror, NoMirrorError, find_mirror
from twodasl.models.training.noise import DetectorNoise, detector_noise
from twodasl.models.training.points import COUNTS, NAMES_OF_21, map_points

SETTINGS = DataSettings(shift=0.2, scale=0.3, rotation_degrees=90)
STILL = replace(DataSettings().still(), noise=DetectorNoise(times=0))
EXACT_PIXELS = 1e-3


@pytest.fixture(scope="module")
def face() -> MorphableModel:
    return bundled_model()


@pytest.fixture(scope="module")
def mirror(face: MorphableModel) -> Mirror:
    return find_mirror(face, 40, 10)


def mirrored_points(points: np.ndarray) -> np.ndarray:
    return (points * [-1, 1, 1] + [119, 0, 0])[IMAGES["68"]]


# --- moves ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_moved_coefficients_give_moved_landmarks(face: MorphableModel, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coefficients = random_coefficients(rng, face, 50.0)
    landmarks = label_landmarks(coefficients, face)
    move = draw_move(rng, SETTINGS, 0)
    coefficients[:POSE] = move.pose(coefficients[:POSE].reshape(3, 4)).ravel()
    moved = label_landmarks(coefficients.astype(np.float32), face)
    assert np.abs(moved - landmarks).max() > 3
    np.testing.assert_allclose(moved, move.points(landmarks), atol=EXACT_PIXELS)
    stretch = coefficients[:POSE].reshape(3, 4)[:, :3]
    np.testing.assert_allclose(stretch @ stretch.T / np.trace(stretch @ stretch.T), np.eye(3) / 3, atol=1e-6)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_spot_in_the_picture_moves_as_its_point_does(seed: int, mirrored: bool) -> None:
    """A Gaussian spot's centre of mass before and after; sums over 8-bit grey values are good to a few hundredths."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(50, 70, 2)
    rows, columns = np.mgrid[:120, :120]
    grey = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))
    crop = Image.fromarray(np.repeat(grey[..., None], 3, axis=2).round().astype(np.uint8))
    move = draw_move(rng, SETTINGS, float(mirrored))
    assert move.mirrored is mirrored
    moved = np.asarray(move.picture(crop))[..., 1].astype(float)
    found = np.array([(moved * columns).sum(), (moved * rows).sum()]) / moved.sum()
    start = np.array([[119 - x if mirrored else x, y]])
    np.testing.assert_allclose(found, move.points(start)[0], atol=0.05)


def test_settings_without_change_leave_every_pixel() -> None:
    rng = np.random.default_rng(0)
    crop = Image.fromarray(rng.integers(0, 256, (120, 120, 3), dtype=np.uint8))
    move = draw_move(rng, STILL, 0)
    assert move.stays
    assert change_look(rng, move.picture(crop), STILL).tobytes() == crop.tobytes()


def test_moves_stay_within_their_settings() -> None:
    rng = np.random.default_rng(1)
    settings = DataSettings(shift=0.1, scale=0.2, rotation_degrees=30)
    moves = [draw_move(rng, settings, 0.25) for _ in range(2000)]
    scales = np.array([move.scale for move in moves])
    angles = np.rad2deg([np.arctan2(move.turn[1, 0], move.turn[0, 0]) for move in moves])
    centres = np.stack([move.points(np.full((1, 2), 59.5))[0] - 59.5 for move in moves])
    assert 1 / 1.2 <= scales.min() < 0.84 and 1.24 < scales.max() <= 1 / 0.8
    assert -30 <= angles.min() < -29 and 29 < angles.max() <= 30
    assert 11.9 < np.abs(centres).max() <= 12
    assert np.mean([move.mirrored for move in moves]) == pytest.approx(0.25, abs=0.04)


# --- the mirror -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_mirrored_coefficients_give_mirrored_landmarks(face: MorphableModel, mirror: Mirror, seed: int) -> None:
    coefficients = random_coefficients(np.random.default_rng(seed), face, 35.0)
    landmarks = label_landmarks(mirror.coefficients(coefficients).astype(np.float32), face)
    np.testing.assert_allclose(landmarks, mirrored_points(label_landmarks(coefficients, face)), atol=EXACT_PIXELS)
    yaw, turned = (head_angles(c[:POSE].reshape(3, 4))[0] for c in (coefficients, mirror.coefficients(coefficients)))
    assert turned == pytest.approx(-yaw)


def test_mirroring_twice_changes_nothing(face: MorphableModel, mirror: Mirror) -> None:
    coefficients = random_coefficients(np.random.default_rng(3), face, -20.0)
    twice = mirror.coefficients(mirror.coefficients(coefficients))
    np.testing.assert_allclose(twice, coefficients, rtol=1e-6, atol=1e-6)
    for images in IMAGES.values():
        np.testing.assert_array_equal(images[images], np.arange(len(images)))
    crop = Image.fromarray(np.random.default_rng(4).integers(0, 256, (120, 120, 3), dtype=np.uint8))
    flip = Move(np.eye(2), np.zeros(2), 1.0, True)
    assert flip.picture(flip.picture(crop)).tobytes() == crop.tobytes()
    np.testing.assert_array_equal(np.asarray(flip.picture(crop)), np.asarray(crop)[:, ::-1])


def test_the_mean_face_is_its_own_mirror_image(face: MorphableModel) -> None:
    landmarks = face.landmarks(np.zeros(0), np.zeros(0))
    np.testing.assert_allclose(landmarks[IMAGES["68"]] * [-1, 1, 1], landmarks, atol=0.1)  # micrometres


def test_mirrored_names_change_sides() -> None:
    for name, image in zip(NAMES_OF_21, IMAGES["21"], strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert NAMES_OF_21[image] == swapped


def test_the_map_of_mirrored_points_is_the_mirrored_map() -> None:
    """The 18 points of 68: eye centres are means over a diagonal, which mirrors to the other one; all else exactly."""
    order = np.array([*range(5, -1, -1), *range(11, 5, -1), 14, 13, 12, 17, 16, 15])
    rng = np.random.default_rng(5)
    for scheme, count in COUNTS.items():
        points, visible = rng.uniform(0, 119, (1, count, 2)), rng.random((1, count)) < 0.7
        images = IMAGES[scheme]
        turned = (points * [-1, 1] + [119, 0])[:, images]
        place, seen = map_points(points, visible, scheme)
        turned_place, turned_seen = map_points(turned, visible[:, images], scheme)
        exact = np.ones(18, bool)
        if scheme == "68":
            exact[[7, 10]] = False
        np.testing.assert_allclose(turned_place[0][exact], (place[0] * [-1, 1] + [119, 0])[order][exact])
        np.testing.assert_array_equal(turned_seen[0][exact], seen[0][order][exact])


def test_a_model_that_is_not_symmetric_is_refused(face: MorphableModel, toy_model: MorphableModel) -> None:
    with pytest.raises(NoMirrorError, match="'toy face' does not say which vertices are mirror images"):
        find_mirror(toy_model, 40, 10)
    lopsided = replace(face, mean=face.mean + np.float32(2e4) * np.sin(face.mean[:, :1] / 3e4))
    with pytest.raises(NoMirrorError, match="are missed by"):
        find_mirror(lopsided, 40, 10)


def test_the_basel_model_mirrors_within_tolerance(bfm: MorphableModel) -> None:
    """It is measured, not made, and its components are not even or odd: 0.37 % of the face's size."""
    assert 0.001 < find_mirror(bfm, 40, 10).error < 0.005


# --- colours ----------------------------------------------------------------------------------


def test_saturation_and_hue_keep_the_luma_and_grey_stays_grey() -> None:
    settings = DataSettings(brightness=0, contrast=0, saturation=0.8, hue_degrees=120)
    matrix = colour_matrix(np.array([0, 0, 0.7, 0.9]), False, settings)
    colour = np.array([200.0, 100, 30])
    changed = matrix @ np.append(colour, 1)
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(changed - colour).max() > 20
    assert changed @ luma == pytest.approx(colour @ luma)
    np.testing.assert_allclose(matrix @ [90, 90, 90, 1], [90, 90, 90])
    grey = colour_matrix(np.zeros(4), True, settings) @ np.append(colour, 1)
    np.testing.assert_allclose(grey, colour @ luma)


def test_contrast_keeps_the_middle_grey_and_brightness_scales() -> None:
    matrix = colour_matrix(np.array([0, 1, 0, 0]), False, DataSettings(contrast=0.5))
    np.testing.assert_allclose(matrix @ [127.5, 127.5, 127.5, 1], 127.5)
    np.testing.assert_allclose(matrix @ [147.5, 127.5, 107.5, 1], [157.5, 127.5, 97.5])
    brighter = colour_matrix(np.array([1, 0, 0, 0]), False, DataSettings(brightness=0.5))
    np.testing.assert_allclose(brighter @ [10, 20, 30, 1], [15, 30, 45])


@pytest.mark.parametrize("name", ["blur", "jpeg", "occluders", "grey"])
def test_each_change_of_look_changes_the_crop(face: MorphableModel, name: str) -> None:
    crop = decode_crop(labelled_example(0, face).jpg, "face0")
    changed = change_look(np.random.default_rng(2), crop, DataSettings.from_dict(STILL.as_dict() | {name: 1.0}))
    assert changed.size == crop.size and changed.mode == "RGB"
    assert changed.tobytes() != crop.tobytes()


def test_a_cover_takes_no_more_than_its_share(face: MorphableModel) -> None:
    crop = decode_crop(labelled_example(0, face).jpg, "face0")
    settings = replace(STILL, occluders=1.0, occluder_size=0.25)
    for seed in range(30):
        changed = np.asarray(change_look(np.random.default_rng(seed), crop, settings)) != np.asarray(crop)
        rows, columns = np.nonzero(changed.any(axis=2))
        assert np.ptp(rows) < 30 and np.ptp(columns) < 30


# --- noise ------------------------------------------------------------------------------------

MEASURED = {15.0: (2.13, 5.6), 45.0: (2.48, 9.7), 75.0: (2.90, 17.5)}  # paper page, section 5: median, 90 %
FACES = {15.0: 1311, 45.0: 383, 75.0: 304}


@pytest.fixture(scope="module")
def distances() -> dict[float, np.ndarray]:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 120, (68, 2))
    return {
        yaw: np.concatenate(
            [np.linalg.norm(detector_noise(rng, points, yaw) - points, axis=1) for _ in range(4 * FACES[yaw])]
        )
        for yaw in MEASURED
    }


def test_noise_is_as_large_as_was_measured_of_a_detector(distances: dict[float, np.ndarray]) -> None:
    for yaw, (median, high) in MEASURED.items():
        assert np.median(distances[yaw]) == pytest.approx(median, rel=0.15)
        assert np.quantile(distances[yaw], 0.9) == pytest.approx(high, rel=0.15)
    together = np.concatenate(list(distances.values()))
    found = [together.mean(), *np.quantile(together, [0.5, 0.9, 0.99])]
    np.testing.assert_allclose(found, [3.76, 2.29, 6.81, 34.9], rtol=0.15)


def test_the_points_of_a_face_are_off_together() -> None:
    rng = np.random.default_rng(1)
    noise = DetectorNoise(spread=(0, 0, 0), gross=(0, 0, 0), shared=0.4)
    off = np.stack([detector_noise(rng, np.zeros((2, 2)), 0, noise) for _ in range(4000)])
    assert np.corrcoef(off[:, 0, 0], off[:, 1, 0])[0, 1] == pytest.approx(0.4, abs=0.05)
    np.testing.assert_array_equal(detector_noise(rng, np.ones((3, 2)), 70, DetectorNoise(times=0)), 1)


def test_yaw_is_found_in_points_of_the_mean_face(face: MorphableModel) -> None:
    mean = face.landmarks(np.zeros(0), np.zeros(0))
    for yaw in (-70.0, -20.0, 0.0, 45.0):
        coefficients = random_coefficients(np.random.default_rng(6), face, yaw)
        coefficients[POSE:] = 0
        points = label_landmarks(coefficients, face)[:, :2]
        assert yaw_of_points(points, mean) == pytest.approx(yaw, abs=0.1)
        assert yaw_of_points(map_of_68(points)[:3], mean[:3]) == 90


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flip": 1.5}, "flip is 1.5; 0 to 1"),
        ({"labelled_ratio": -0.1}, "labelled_ratio"),
        ({"batch_size": 0}, "batch_size is 0; 1 or more"),
        ({"wild_points": "robot"}, "one of human, detector-like"),
        ({"shift": float("nan")}, "shift is nan"),
        ({"jpeg_quality": 99}, "jpeg_quality"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        DataSettings(**changes)


@pytest.mark.parametrize("changes", [{"scale": (1.0, 2.0)}, {"gross": (0.9, 0.9, 0.9)}, {"shared": 2}, {"times": -1}])
def test_noise_out_of_range_is_refused(changes: dict) -> None:
    with pytest.raises(SettingsError):
        DetectorNoise(**changes)


def test_settings_survive_json_and_unknown_ones_are_named() -> None:
    import json

    settings = DataSettings(seed=3, noise=DetectorNoise(scale=(1.0, 2.0, 3.0)))
    assert DataSettings.from_dict(json.loads(json.dumps(settings.as_dict()))) == settings
    with pytest.raises(SettingsError, match=r"blurr is no setting of training data; known: batch_size,"):
        DataSettings.from_dict({"blurr": 1})
    with pytest.raises(SettingsError, match="tail is no setting"):
        DataSettings.from_dict({"noise": {"tail": 1}})


def test_a_crop_that_is_none_is_named(face: MorphableModel) -> None:
    jpg = labelled_example(0, face).jpg
    for bad in (b"not a picture", jpg[: len(jpg) // 2]):
        with pytest.raises(FileError, match="'bob': the crop does not decode"):
            decode_crop(bad, "'bob'")
    import io

    file = io.BytesIO()
    Image.new("RGB", (64, 120)).save(file, "png")
    with pytest.raises(ShapeError, match="64 x 120 pixels; 120 x 120"):
        decode_crop(file.getvalue(), "'bob'")
