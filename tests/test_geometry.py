"""Coefficients, pose, boxes, crops and the landmark map."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twodasl.models.boxes import (
    box_from_face_box,
    box_from_landmarks,
    check_box,
    clip_box,
    crop_from_image,
    crop_from_image_exact,
    image_from_crop,
    image_from_crop_exact,
    round_half_away,
)
from twodasl.models.coefficients import Whitening, join, read_whitening, split
from twodasl.models.errors import DegenerateFaceError, FileError, ShapeError
from twodasl.models.landmark_map import landmark_map
from twodasl.models.photos import cut_crop, read_photo
from twodasl.models.pose import (
    CONVENTIONS,
    Convention,
    angles_from_rotation,
    crop_from_crop_up,
    crop_up_from_crop,
    crop_up_from_model,
    decompose,
    head_angles,
    rotation_from_angles,
)

RNG = np.random.default_rng(5)


# --- coefficients -------------------------------------------------------------------------------


def test_split_and_join_are_inverse() -> None:
    coefficients = RNG.normal(size=(4, 62))
    pose, identity, expression = split(coefficients, 40)
    assert (pose.shape, identity.shape, expression.shape) == ((4, 3, 4), (4, 40), (4, 10))
    assert pose[0, 1, 3] == coefficients[0, 7]  # t_y
    np.testing.assert_array_equal(join(pose, identity, expression), coefficients)


def test_whitening_round_trip_and_its_refusals() -> None:
    whitening = Whitening(np.arange(62, dtype=np.float32), np.full(62, 2, np.float32))
    np.testing.assert_array_equal(whitening.unwhiten(np.ones((1, 62)))[0], np.arange(62) + 2)
    np.testing.assert_allclose(whitening.whiten(whitening.unwhiten(np.ones((3, 62)))), 1)
    with pytest.raises(ShapeError, match="12 coefficients were given, the whitening has 62"):
        whitening.unwhiten(np.zeros(12))  # Q7
    with pytest.raises(ShapeError, match="positive standard deviations"):
        Whitening(np.zeros(3), np.array([1.0, 0.0, 1.0]))


def test_whitening_files_of_both_kinds(data: Path) -> None:
    assert read_whitening(data / "bfm" / "param_whitening.pkl").mean.shape == (62,)
    v2 = read_whitening(data / "peers" / "param_mean_std_62d_120x120.pkl")
    assert v2.mean[3] == pytest.approx(60, abs=10)  # t_x near the middle of the crop


def test_a_pickle_without_whitening_is_refused(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "other.pkl").write_bytes(pickle.dumps({"mean": [1, 2]}))
    with pytest.raises(FileError, match="holds no whitening"):
        read_whitening(tmp_path / "other.pkl")


# --- pose ---------------------------------------------------------------------------------------

ANGLES = st.tuples(st.floats(-89, 89), st.floats(-170, 170), st.floats(-170, 170))


@given(angles=ANGLES, scale=st.floats(1e-4, 1e-3))
def test_angles_come_back_from_the_matrix(angles: tuple[float, float, float], scale: float) -> None:
    rotation = rotation_from_angles(np.array(angles))
    pose = np.column_stack([scale * rotation, [60, 70, -80]])
    np.testing.assert_allclose(head_angles(pose), angles, atol=1e-6)
    np.testing.assert_allclose(decompose(pose)[0], scale)


@pytest.mark.parametrize("yaw", [90.0, -90.0])
def test_sideways_heads_have_no_roll_but_the_same_rotation(yaw: float) -> None:
    rotation = rotation_from_angles(np.array([yaw, 20.0, 35.0]))
    angles = angles_from_rotation(rotation)
    assert angles[2] == 0
    np.testing.assert_allclose(rotation_from_angles(angles), rotation, atol=1e-7)


def test_angles_are_those_of_the_annotation(data: Path, bfm_annotations: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Pose_Para's pitch, yaw, roll build the rotation that its own landmarks were posed with."""
    for pose_para, matrix in bfm_annotations:
        pitch, yaw, roll = np.rad2deg(pose_para[:3])
        np.testing.assert_allclose(rotation_from_angles(np.array([yaw, pitch, roll])), matrix, atol=2e-3)


@pytest.fixture(scope="module")
def bfm_annotations(data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(Pose_Para, rotation solved from pt3d_68 and the full 199 + 29 basis at the landmarks) of ten annotations."""
    from scipy.io import loadmat

    basis = np.load(data / "bfm" / "basis68_full.npz")
    solved = []
    for path in sorted((data / "aflw2000" / "AFLW-2000-3D").glob("*.mat"))[:200:20]:
        mat = {key: value.astype(np.float64) for key, value in loadmat(path).items() if not key.startswith("__")}
        shape = basis["u"] + basis["w_shp"] @ mat["Shape_Para"].ravel() + basis["w_exp"] @ mat["Exp_Para"].ravel()
        source = np.column_stack([shape.reshape(-1, 3), np.ones(68)])
        y_up = mat["pt3d_68"].T * [1, -1, 1]
        affine = np.linalg.lstsq(source, y_up, rcond=None)[0][:3].T
        solved.append((mat["Pose_Para"].ravel(), affine / mat["Pose_Para"].ravel()[6]))
    return solved


def test_free_matrix_is_not_snapped() -> None:
    pose = np.array([[5e-4, 1e-5, 0, 60], [0, 4e-4, 0, 70], [0, 0, 3e-4, 0]])
    point = np.array([[1e5, 1e5, 1e5]])
    np.testing.assert_allclose(crop_up_from_model(point, pose), [[111, 110, 30]])


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_conventions_are_undone(convention: Convention) -> None:
    points = RNG.uniform(0, 120, (2, 68, 3))
    down = crop_from_crop_up(points, convention)
    np.testing.assert_allclose(crop_up_from_crop(down, convention), points)
    np.testing.assert_array_equal(down[..., 2], points[..., 2])


def test_conventions_on_paper() -> None:
    up = np.array([[10.0, 20.0, 5.0]])
    np.testing.assert_array_equal(crop_from_crop_up(up, "3ddfa"), [[10, 101, 5]])
    np.testing.assert_array_equal(crop_from_crop_up(up, "3ddfa-v2"), [[9, 100, 5]])


# --- boxes --------------------------------------------------------------------------------------


def test_round_half_away_from_zero() -> None:
    np.testing.assert_array_equal(round_half_away(np.array([0.5, 1.5, -0.5, -1.5, 2.4])), [1, 2, -1, -2, 2])


def test_published_boxes_are_the_rule_clipped(data: Path) -> None:
    configs = data / "aflw2000" / "test.configs"
    landmarks = np.swapaxes(np.load(configs / "AFLW2000-3D.pts68.npy").astype(np.float64), 1, 2)
    cut = box_from_landmarks(landmarks)
    published = np.load(configs / "AFLW2000-3D_crop.roi_box.npy")
    np.testing.assert_array_equal(clip_box(cut, 450, 450), published)
    assert (cut != published).any(axis=1).sum() == 55


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("dims", [2, 3])
def test_crop_and_photo_are_undone(convention: Convention, dims: int) -> None:
    points, boxes = (
        RNG.uniform(0, 120, (3, 68, dims)),
        np.array([[1, 2, 240, 260], [-30, 5, 90, 125], [10, 10, 20, 30]]),
    )
    np.testing.assert_allclose(crop_from_image(image_from_crop(points, boxes), boxes), points)
    exact = image_from_crop_exact(points, boxes, convention)
    np.testing.assert_allclose(crop_from_image_exact(exact, boxes, convention), points)


def test_exact_mapping_on_paper() -> None:
    """A 120-pixel box is its crop: crop pixel u of those counted from 1 is photo pixel x0 + u - 1."""
    box = np.array([[11.0, 21.0, 130.0, 140.0]])
    points = np.array([[[1.0, 120.0, 7.0]]])
    np.testing.assert_allclose(image_from_crop_exact(points, box, "3ddfa"), [[[11, 140, 7]]])
    np.testing.assert_allclose(image_from_crop_exact(points - [1, 1, 0], box, "3ddfa-v2"), [[[11, 140, 7]]])
    # The published rule takes the side one pixel short and no half pixel: x sx + x0.
    np.testing.assert_allclose(image_from_crop(points, box)[0, 0, 0], 11 + 119 / 120)


def test_exact_mapping_is_where_the_crop_was_cut() -> None:
    """A bright square painted in the photo is found at the mapped place of its place in the crop."""
    photo = np.zeros((300, 300, 3), np.uint8)
    photo[140:160, 180:200] = 255  # centre (189.5, 149.5) from 0
    box = np.array([41.0, 31.0, 280.0, 270.0])
    crop = cut_crop(photo, box)[..., 0].astype(float)
    rows, columns = np.mgrid[:120, :120]
    centre = np.array([[(crop * columns).sum(), (crop * rows).sum()]]) / crop.sum()
    found = image_from_crop_exact(centre[None], box[None], "3ddfa-v2")[0, 0] - 1
    np.testing.assert_allclose(found, [189.5, 149.5], atol=0.05)


def test_detector_box_grows_and_moves_down() -> None:
    np.testing.assert_allclose(box_from_face_box(np.array([100.0, 100, 200, 200])), [71, 85, 229, 243], atol=0.5)
    left, top, right, bottom = box_from_face_box(np.array([100.0, 100, 200, 200]))
    assert right - left == bottom - top == 158
    assert (left + right) / 2 == pytest.approx(150, abs=0.5)
    assert (top + bottom) / 2 == pytest.approx(164, abs=0.5)


@pytest.mark.parametrize("box", [(10, 10, 10, 50), (10, 50, 60, 40), (np.nan, 0, 5, 5)])
def test_boxes_without_area_are_refused(box: tuple) -> None:
    with pytest.raises(DegenerateFaceError, match="the box of face 3"):
        check_box(np.array(box, float), "face 3")


# --- crops --------------------------------------------------------------------------------------


def test_own_crops_match_the_published_ones(data: Path) -> None:
    """Within 2 grey levels on the 320 photos; saved as the published ones are (jpg, quality 95), each one is."""
    import io

    from PIL import Image

    folder = data / "aflw2000"
    landmarks = np.load(folder / "test.configs" / "AFLW2000-3D.pts68.npy").astype(np.float64)
    boxes = box_from_landmarks(np.swapaxes(landmarks, 1, 2))
    names = (folder / "AFLW2000-3D_crop.list").read_text().split()
    photos = sorted((folder / "AFLW-2000-3D").glob("*.jpg"))
    differences, after_jpg = [], []
    for photo in photos:
        crop = cut_crop(read_photo(photo), boxes[names.index(photo.name)])
        published = read_photo(folder / "AFLW2000-3D_crop" / photo.name).astype(float)
        saved = io.BytesIO()
        Image.fromarray(crop).save(saved, "jpeg", quality=95)
        differences.append(np.abs(crop - published).mean())
        after_jpg.append(np.abs(np.asarray(Image.open(saved)) - published).mean())
    assert len(photos) >= 300
    assert np.mean(differences) < 2
    assert np.max(after_jpg) < 2


def test_outside_the_photo_is_black() -> None:
    crop = cut_crop(np.full((50, 50, 3), 200, np.uint8), np.array([-49.0, 1, 50, 100]))
    assert (crop[:50, 65:] > 190).all()
    assert (crop[:, :55] == 0).all()


def test_absurd_boxes_are_refused() -> None:
    with pytest.raises(DegenerateFaceError, match="is too large for it"):
        cut_crop(np.zeros((5, 5, 3), np.uint8), np.array([0, 0, 1e6, 1e6]))


# --- landmark map -------------------------------------------------------------------------------


def detections(data: Path) -> dict[str, np.ndarray]:
    lines = (data / "aflw2000" / "detect_testData_1998.txt").read_text().splitlines()
    split_lines = [line.split(",") for line in lines]
    return {cells[0][:-4]: np.array(cells[1:137], float).reshape(68, 2) for cells in split_lines}


def test_faithful_map_is_bit_exact(data: Path, parity: dict) -> None:
    from collections import Counter

    found = {name: landmark_map(points, faithful=True) for name, points in detections(data).items()}
    for name, expected in parity["landmark_map"]["values"].items():
        image = np.full((120, 120), -1, np.float32)
        for column, row in expected["points_col_row"]:
            image[row, column] = 1
        np.testing.assert_array_equal(found[name], image)
    assert Counter(int((image == 1).sum()) for image in found.values()) == {18: 1888, 17: 100, 16: 8, 15: 1, 14: 1}


def test_safe_map_differs_only_where_a_point_left_the_crop(data: Path) -> None:
    different = [
        name
        for name, points in detections(data).items()
        if (landmark_map(points) != landmark_map(points, faithful=True)).any()
    ]
    assert different == ["image00392", "image00400"]  # Q4


def test_safe_map_leaves_points_outside_out() -> None:
    points = np.full((68, 2), 50.0)
    points[17] = (-3, 20)
    points[30] = (200, 20)
    points[31] = np.nan
    image = landmark_map(points)
    assert image.dtype == np.float32
    assert (image == 1).sum() == 1  # all others share one pixel
    assert landmark_map(np.full((68, 2), -500.0)).max() == -1
    with pytest.raises(ShapeError, match="wraps only down to -120"):
        landmark_map(np.full((68, 2), -500.0), faithful=True)


def test_map_needs_68_points() -> None:
    with pytest.raises(ShapeError, match="21 landmarks were given"):
        landmark_map(np.zeros((21, 2)))
