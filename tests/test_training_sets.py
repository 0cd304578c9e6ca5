"""Training sets: labels converted and fitted, written, read back, described and checked."""

import io
import json
import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.command import run_command
from tests.toy_sets import write_labelled
from twodasl.models.annotations import read_model_labels
from twodasl.models.boxes import box_from_landmarks, crop_pose_from_photo, image_from_crop_exact
from twodasl.models.errors import FileError
from twodasl.models.library import bundled_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import crop_from_crop_up, crop_up_from_model, head_angles, rotation_from_angles
from twodasl.models.training.check import label_error
from twodasl.models.training.sets import Example, SetInfo, TrainingSet, write_set

SIDE = 300


def spread_model(model: MorphableModel) -> MorphableModel:
    """The toy model with spreads, so that it can be fitted."""
    return replace(
        model,
        identity_sigma=np.full(40, 1e5, np.float32),
        expression_sigma=np.full(10, 1.0, np.float32),
    )


def annotate(folder: Path, model: MorphableModel, count: int = 4) -> None:
    """Photos with AFLW2000-3D-like annotations in the toy model's own coefficients."""
    from scipy.io import savemat

    rng = np.random.default_rng(8)
    for index in range(count):
        pitch, yaw, roll = np.deg2rad([5 * index - 8, 14 * index - 20, 4 * index])
        identity, expression = np.zeros(199), np.zeros(29)
        identity[:40] = rng.normal(size=40) * 4e4
        expression[:10] = rng.normal(size=10) * 0.5
        scale, shift = 9e-4, np.array([150.0, 150.0, 20.0])
        rotation = rotation_from_angles(np.rad2deg(np.array([yaw, pitch, roll])))
        y_up = scale * model.landmarks(identity[:40], expression[:10]) @ rotation.T + shift
        landmarks = y_up * [1, -1, 1] + [0, SIDE + 1, 0]
        fields = {
            "pt3d_68": landmarks.T.astype(np.float32),
            "Pose_Para": np.array([[pitch, yaw, roll, *shift, scale]]),
            "Shape_Para": identity[:, None],
            "Exp_Para": expression[:, None],
        }
        savemat(folder / f"face{index}.mat", fields)
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"face{index}.png")


@pytest.fixture
def photos(tmp_path: Path, toy_model: MorphableModel) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    annotate(folder, toy_model)
    spread_model(toy_model).save(tmp_path / "toy.h5")
    return folder


def test_camera_to_the_photo_becomes_the_camera_to_the_crop() -> None:
    rng = np.random.default_rng(1)
    pose, vertices = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 3))
    box = np.array([[11.0, 21, 190, 230], [-5, 3, 300, 280]])  # not square: x and y scale apart
    photo_up = crop_up_from_model(vertices, pose)
    crop = crop_from_crop_up(crop_up_from_model(vertices, crop_pose_from_photo(pose, box)), "3ddfa")
    np.testing.assert_allclose(image_from_crop_exact(crop, box, "3ddfa"), photo_up * [1, -1, 1])


def test_converted_labels_give_the_landmarks_back(photos: Path, tmp_path: Path, toy_model: MorphableModel) -> None:
    code, out, err = run_command("data", "prepare", photos, "-o", tmp_path / "set.h5", "--model", tmp_path / "toy.h5")
    assert code == 0, err
    assert "4 faces" in out
    opened = TrainingSet.open(tmp_path / "set.h5")
    assert opened.info.labels == "truncated"
    assert opened.names == ("face0", "face1", "face2", "face3")
    assert label_error(opened.coefficients, opened.landmarks, opened.info, toy_model).max() < 1e-4
    angles = head_angles(opened.coefficients[:, :12].astype(np.float64).reshape(-1, 3, 4))
    np.testing.assert_allclose(angles[:, 0], [-20, -6, 8, 22], atol=0.05)
    assert opened.whitening is not None
    np.testing.assert_allclose(opened.whitening.mean, opened.coefficients.mean(axis=0), rtol=1e-4, atol=1e-6)
    assert (opened.whitening.std > 0).all()


def test_fitted_labels_come_close(photos: Path, tmp_path: Path, toy_model: MorphableModel) -> None:
    arguments = [
        "data",
        "prepare",
        photos,
        "-o",
        tmp_path / "set.h5",
        "--model",
        tmp_path / "toy.h5",
        "--labels",
        "fit",
    ]
    code, out, err = run_command(*arguments)
    assert code == 0, err
    assert "labels fitted" in out
    opened = TrainingSet.open(tmp_path / "set.h5")
    assert label_error(opened.coefficients, opened.landmarks, opened.info, toy_model).max() < 0.02


def test_auto_fits_where_the_model_is_another(photos: Path, tmp_path: Path, toy_model: MorphableModel) -> None:
    other = replace(spread_model(toy_model), identity_basis=-toy_model.identity_basis[:, ::-1] * 3)
    other.save(tmp_path / "other.h5")
    arguments = ["data", "prepare", photos, "-o", tmp_path / "set.h5", "--model", tmp_path / "other.h5"]
    code, _, err = run_command(*arguments, "--labels", "convert")
    assert code == 1
    assert "--labels fit" in err
    code, out, err = run_command(*arguments)
    assert code == 0, err
    assert "labels fitted" in out


def test_crops_are_jpgs_of_the_box(photos: Path, tmp_path: Path) -> None:
    run_command("data", "prepare", photos, "-o", tmp_path / "set.h5", "--model", tmp_path / "toy.h5")
    opened = TrainingSet.open(tmp_path / "set.h5")
    for row, jpg in enumerate(opened.crops()):
        assert Image.open(io.BytesIO(jpg)).size == (120, 120)
        labels = read_model_labels(photos / f"face{row}.mat")
        np.testing.assert_array_equal(opened.box[row], box_from_landmarks(labels.landmarks))


def test_photos_that_cannot_be_used_are_named(photos: Path, tmp_path: Path) -> None:
    (photos / "face1.mat").unlink()
    (photos / "face2.png").write_bytes(b"")
    code, out, err = run_command("data", "prepare", photos, "-o", tmp_path / "set.h5", "--model", tmp_path / "toy.h5")
    assert code == 3
    assert "2 faces" in out
    assert "face1" in err
    assert "face2" in err


def test_nothing_usable_writes_nothing(photos: Path, tmp_path: Path) -> None:
    for mat in photos.glob("*.mat"):
        mat.unlink()
    code, _, err = run_command("data", "prepare", photos, "-o", tmp_path / "set.h5", "--model", tmp_path / "toy.h5")
    assert code == 1
    assert "none of the photos" in err
    assert not (tmp_path / "set.h5").exists()


def example(name: str, jpg: bytes, landmarks: np.ndarray | None = None) -> Example:
    points = np.random.default_rng(0).uniform(20, 100, (68, 3)) if landmarks is None else landmarks
    return Example(name, jpg, np.zeros(62, np.float32), points, np.ones(68, bool), np.array([1.0, 1, 120, 120]))


def test_info_and_check(photos: Path, tmp_path: Path) -> None:
    run_command("data", "prepare", photos, "-o", tmp_path / "set.h5", "--model", tmp_path / "toy.h5")
    code, out, _ = run_command("data", "info", tmp_path / "set.h5", "--json")
    facts = json.loads(out)
    assert (code, facts["faces"], facts["coefficients"], facts["yaw_0_30_60_90"]) == (0, 4, 62, [4, 0, 0])
    assert run_command("data", "info", tmp_path / "set.h5")[0] == 0
    code, out, _ = run_command("data", "check", tmp_path / "set.h5", "--model", tmp_path / "toy.h5")
    assert code == 0
    assert "nothing wrong found" in out


def test_check_finds_what_is_wrong(tmp_path: Path, toy_model: MorphableModel) -> None:
    toy_model.save(tmp_path / "toy.h5")
    good, small = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (120, 120)).save(good, "jpeg")
    Image.new("RGB", (60, 60)).save(small, "jpeg")
    info = SetInfo(toy_model.basis_id, 40, 10, "3ddfa", "fitted")
    lost = np.full((68, 3), np.nan)
    write_set(
        tmp_path / "set.h5",
        info,
        [
            example("far", good.getvalue()),
            example("twin", good.getvalue()),
            example("small", small.getvalue()),
            example("broken", b"\xff\xd8 no"),
            example("lost", good.getvalue()[:-2] + b"\0\0", lost),
        ],
    )
    code, out, _ = run_command("data", "check", tmp_path / "set.h5", "--model", tmp_path / "toy.h5", "--json")
    assert code == 1
    problems = json.loads(out)["problems"]
    assert problems["crop is not 120 x 120 RGB"] == ["small"]
    assert problems["crop does not decode"][0] == "broken"
    assert problems["same crop under another name, as far"] == ["twin"]
    assert problems["label or landmarks are not finite"] == ["lost"]
    assert "far" in problems["label misses its landmarks by more than 10 % NME"]


def test_damaged_sets_are_refused(tmp_path: Path, photos: Path) -> None:
    run_command("data", "prepare", photos, "-o", tmp_path / "set.h5", "--model", tmp_path / "toy.h5")
    with h5py.File(tmp_path / "set.h5", "a") as file:
        del file["visible"]
    with pytest.raises(FileError, match="damaged training set"):
        TrainingSet.open(tmp_path / "set.h5")
    with pytest.raises(FileError, match="a training set is expected"):
        TrainingSet.open(tmp_path / "toy.h5")


def test_3ddfa_lists_become_a_set(tmp_path: Path) -> None:
    """Whitened coefficients, row by row of a list of crops; a missing crop is named, the rest is used."""
    model = bundled_model()
    write_labelled(tmp_path / "set.h5", model, 4)
    given = TrainingSet.open(tmp_path / "set.h5")
    (tmp_path / "crops").mkdir()
    for name, jpg in zip(given.names[:3], given.crops(), strict=False):
        (tmp_path / "crops" / f"{name}.jpg").write_bytes(jpg)
    (tmp_path / "train.list").write_text("".join(f"{name}.jpg\n" for name in given.names))
    mean, std = given.coefficients.mean(axis=0), given.coefficients.std(axis=0) + np.float32(1e-9)
    np.save(tmp_path / "param.npy", (given.coefficients - mean) / std)
    (tmp_path / "white.pkl").write_bytes(pickle.dumps({"param_mean": mean, "param_std": std}))
    command = ["data", "prepare", tmp_path / "crops", "--list", tmp_path / "train.list", "-o", tmp_path / "made.h5"]
    labels = ["--coefficients", tmp_path / "param.npy", "--whitening", tmp_path / "white.pkl"]
    code, out, err = run_command(*command, *labels)
    assert code == 3
    assert "3 faces" in out
    assert given.names[3] in err
    made = TrainingSet.open(tmp_path / "made.h5")
    np.testing.assert_allclose(made.coefficients, given.coefficients[:3], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(made.landmarks, given.landmarks[:3], atol=0.01)
    assert list(made.crops()) == list(given.crops())[:3]
    code, out, err = run_command("data", "check", tmp_path / "made.h5")
    assert code == 0, err

    for more, message in (
        (labels[2:], "--list and --coefficients go together"),
        ([*labels, "--labels", "fit"], "--labels is not for --list"),
    ):
        code, _, err = run_command(*command, *more)
        assert code == 2
        assert message in err


def test_real_lists_become_a_set(data: Path, bfm_path: Path, tmp_path: Path) -> None:
    """The data kit's own coefficients of its crops."""
    place = data / "aflw2000"
    few, rows = 40, np.load(place / "params_gt_trunc62.npy")
    (tmp_path / "few.list").write_text("".join((place / "AFLW2000-3D_crop.list").read_text().splitlines(True)[:few]))
    np.save(tmp_path / "few.npy", rows[:few])
    code, _, err = run_command(
        "data", "prepare", place / "AFLW2000-3D_crop", "--list", tmp_path / "few.list", "--coefficients",
        tmp_path / "few.npy", "--model", bfm_path, "-o", tmp_path / "set.h5",
    )  # fmt: skip
    assert code == 0, err
    made = TrainingSet.open(tmp_path / "set.h5")
    truth = np.load(place / "test.configs" / "AFLW2000-3D.pts68.npy")[:few].transpose(0, 2, 1)
    size = np.ptp(truth[..., :2], axis=1).prod(axis=1) ** 0.5
    box = np.load(place / "test.configs" / "AFLW2000-3D_crop.roi_box.npy")[:few]
    scale = (box[:, 2:] - box[:, :2]) / 120
    off = made.landmarks[..., :2] * scale[:, None] + box[:, None, :2] - truth[..., :2]
    assert np.median(np.linalg.norm(off, axis=2).mean(axis=1) / size) < 0.02


def test_real_annotations_convert(data: Path, bfm_path: Path, tmp_path: Path) -> None:
    """Truncated to 40 + 10: 0.81 % of the face (median of the 320 photos, measured here); fitted: 0.50 %."""
    for source, expected in (("convert", 0.0081), ("fit", 0.0050)):
        path = tmp_path / f"{source}.h5"
        folder = data / "aflw2000" / "AFLW-2000-3D"
        code, out, err = run_command("data", "prepare", folder, "-o", path, "--model", bfm_path, "--labels", source)
        assert code == 0, err
        assert "320 faces" in out
        _, out, _ = run_command("data", "check", path, "--model", bfm_path, "--json")
        report = json.loads(out)
        assert report["problems"] == {}
        assert report["median_error"] == pytest.approx(expected, abs=2e-4)


def test_conversion_agrees_with_an_independent_one(data: Path) -> None:
    """params_gt_trunc62.npy of the data kit, made by the published crop rule: the same angles and coefficients."""
    folder = data / "aflw2000"
    names = (folder / "AFLW2000-3D_crop.list").read_text().split()
    independent = np.load(folder / "params_gt_trunc62.npy").astype(np.float64)
    for row in range(0, 2000, 250):
        labels = read_model_labels(folder / "AFLW-2000-3D" / f"{names[row][:-4]}.mat")
        pose = crop_pose_from_photo(labels.camera(450), box_from_landmarks(labels.landmarks))
        np.testing.assert_allclose(
            head_angles(pose), head_angles(independent[row, :12].reshape(3, 4)), atol=0.3
        )  # a clipped box squeezes the published crop
        np.testing.assert_allclose(labels.identity[:40], independent[row, 12:52], rtol=1e-5, atol=1)
        np.testing.assert_allclose(labels.expression[:10], independent[row, 52:], rtol=1e-5, atol=1e-5)
