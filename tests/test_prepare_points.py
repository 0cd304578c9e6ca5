"""Training sets from points in files: wild ones, fitted ones, archives, and what people hand over by mistake."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.command import run_command
from tests.test_training_sets import annotate, spread_model
from twodasl.models.annotations import read_model_labels
from twodasl.models.boxes import box_from_landmarks, crop_from_image_exact
from twodasl.models.errors import FileError
from twodasl.models.files import read_npz
from twodasl.models.morphable import MorphableModel
from twodasl.models.training import pictures
from twodasl.models.training.check import label_error
from twodasl.models.training.points import MAP_OF_21, NAMES_OF_21, map_points
from twodasl.models.training.sets import Example, SetInfo, TrainingSet, write_set
from twodasl.rendering.crop_points import draw_points

NAMES = ("ann", "bob", "cyd")


def jpg(seed: int, side: int = 120, mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(data, "jpeg")
    return data.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def points_of_21(count: int = 3) -> np.ndarray:
    return np.random.default_rng(5).uniform(15, 105, (count, 21, 2))


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    """`crops.zip` and `labels.npz` with AFLW's 21 points, as the field's arrays have them: (n, 2, 21), -1 unseen."""
    write_zip(tmp_path / "crops.zip", {f"crops/{name}.jpg": jpg(row) for row, name in enumerate(NAMES)})
    write_labels(tmp_path / "labels.npz")
    return tmp_path


def write_labels(path: Path, **changes: Any) -> None:
    """labels.npz with some arrays changed; None leaves one out."""
    points = points_of_21()
    visible = np.ones((3, 21), bool)
    visible[1, [4, 12]] = False
    points[1, [4, 12]] = -1
    arrays = {
        "names": np.array([f"{name}.jpg" for name in NAMES]),
        "pts21_crop": np.swapaxes(points, 1, 2),
        "visible": visible,
    }
    kept = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez(path, **kept)


def prepare(
    folder: Path, *more: Any, photos: str = "crops.zip", labels: str | None = "labels.npz"
) -> tuple[int, str, str]:
    named = [] if labels is None else ["--labels", folder / labels]
    return run_command("data", "prepare", folder / photos, *named, "-o", folder / "set.h5", *more)


def refused(folder: Path, *more: Any, **where: Any) -> str:
    """The one line that a command which must fail prints; nothing is written."""
    code, _, err = prepare(folder, *more, **where)
    assert code in (1, 2)
    assert not list(folder.glob("*set.h5*"))
    lines = [line for line in err.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1
    return lines[0]


# --- wild sets ------------------------------------------------------------------------------------


def test_a_wild_set_holds_points_and_the_crops_own_bytes(wild: Path) -> None:
    code, out, err = prepare(wild)
    assert code == 0, err
    assert "3 faces" in out
    assert "labels none, 21 points" in out
    opened = TrainingSet.open(wild / "set.h5")
    assert opened.names == NAMES
    info = opened.info
    assert (info.labels, info.points, info.basis_id, info.landmark_list, info.box_kind) == (
        "none",
        "21",
        "",
        "",
        "none",
    )
    assert opened.coefficients.shape == (3, 0)
    assert opened.whitening is None
    assert np.isnan(opened.box).all()
    assert list(opened.crops()) == [jpg(row) for row in range(3)]
    points = points_of_21()
    seen = np.ones((3, 21), bool)
    seen[1, [4, 12]] = False
    np.testing.assert_array_equal(opened.visible, seen)
    np.testing.assert_allclose(opened.landmarks[seen][:, :2], points[seen], atol=1e-4)  # counted from 0, as they were
    assert np.isnan(opened.landmarks[~seen]).all()
    assert np.isnan(opened.landmarks[..., 2]).all()
    with h5py.File(wild / "set.h5") as file:
        assert not {"coefficients", "whitening_mean", "whitening_std"} & set(file)


def test_points_of_the_photo_say_where_those_of_a_crop_lie(wild: Path) -> None:
    """With photo points and boxes the half-pixel shift of the published crop rule does not enter."""
    boxes = np.array([[11, 21, 250, 260], [1, 5, 100, 180], [300, 40, 420, 155]])
    photo = points_of_21() * 2 + boxes[:, None, :2]
    write_labels(wild / "labels.npz", pts21=np.swapaxes(photo, 1, 2), roi_box=boxes.astype(np.uint16), visible=None)
    assert prepare(wild)[0] == 0
    opened = TrainingSet.open(wild / "set.h5")
    expected = crop_from_image_exact(photo, boxes.astype(np.float64), "3ddfa-v2")
    np.testing.assert_allclose(opened.landmarks[..., :2], expected, atol=1e-3)
    np.testing.assert_array_equal(opened.box, boxes)
    assert opened.info.box_kind == "clipped"


def test_wild_sets_are_described_and_checked(wild: Path) -> None:
    prepare(wild)
    code, out, _ = run_command("data", "info", wild / "set.h5", "--json")
    facts = json.loads(out)
    assert (code, facts["faces"], facts["coefficients"], facts["labels"]) == (0, 3, 0, "none")
    assert facts["visible_points"] == pytest.approx(61 / 63)
    assert facts["map_points_seen"] == pytest.approx(53 / 3, abs=0.01)  # the ear (12) is not in the map
    assert "whitening_mean" not in facts
    code, out, _ = run_command("data", "info", wild / "set.h5")
    assert code == 0
    assert "yaw" not in out
    code, out, _ = run_command("data", "check", wild / "set.h5", "-o", wild / "sheet.png")
    assert code == 0
    assert "nothing wrong found" in out
    with Image.open(wild / "sheet.png") as sheet:
        assert sheet.size[0] > 480
    assert run_command("data", "check", wild / "set.h5", "-o", wild / "sheet.png")[0] == 1  # exists
    assert run_command("data", "check", wild / "set.h5", "--model", "x.h5")[0] == 2


def test_photos_are_cut_by_the_boxes_of_their_points(wild: Path) -> None:
    write_zip(wild / "photos.zip", {f"{name}.jpg": jpg(row, 300) for row, name in enumerate(NAMES)})
    boxes = np.array([[20.4, 30, 219.6, 229], [40, 40, 200, 200], [-20, 10, 180, 210]])
    points = points_of_21() + 60
    write_labels(wild / "labels.npz", pts21=points, pts21_crop=None, roi_box=boxes, visible=None)
    code, _, err = prepare(wild, photos="photos.zip")
    assert code == 0, err
    opened = TrainingSet.open(wild / "set.h5")
    rounded = np.array([[20, 30, 220, 229], *boxes[1:]])
    np.testing.assert_array_equal(opened.box, rounded)
    np.testing.assert_allclose(opened.landmarks[..., :2], crop_from_image_exact(points, rounded, "3ddfa-v2"), atol=1e-3)
    assert opened.info.box_kind == "cut"


def test_tables_of_crop_points(wild: Path) -> None:
    """A detector list of 21 points with AFLW's mark for a point that is not there, and a picture without a row."""
    points = points_of_21()
    points[0, 3] = -1
    rows = [
        f"{name}.jpg,{','.join(f'{value:.3f}' for value in points[row].ravel())}," for row, name in enumerate(NAMES)
    ]
    (wild / "list.txt").write_text("\n".join(rows[:2]) + "\n")
    code, out, err = prepare(wild, "--cropped", "--origin", 1, labels="list.txt")
    assert code == 3
    assert "2 faces" in out
    assert "cyd" in err
    assert "has no points for it" in err
    opened = TrainingSet.open(wild / "set.h5")
    assert np.isnan(opened.landmarks[0, 3]).all()
    assert not opened.visible[0, 3]
    np.testing.assert_allclose(opened.landmarks[1, :, :2], points[1] - 1, atol=2e-3)


def test_names_without_a_picture_are_said(wild: Path) -> None:
    write_zip(wild / "crops.zip", {"ann.jpg": jpg(0), "notes.txt": b"hello", "__MACOSX/._ann.jpg": b"x"})
    code, out, err = prepare(wild)
    assert code == 0
    assert "1 faces" in out
    assert "2 names in" in err
    assert "bob, cyd" in err


def test_the_map_is_18_of_the_21() -> None:
    assert len(MAP_OF_21) == 18
    assert {NAMES_OF_21[index] for index in range(21) if (index,) not in MAP_OF_21} == {"left ear", "right ear", "chin"}
    points, seen = map_points(np.arange(63.0).reshape(1, 21, 3), np.arange(21)[None] != 13, "21")
    assert points.shape == (1, 18, 2)
    np.testing.assert_array_equal(points[0, 12], [39, 40])  # nose left
    assert list(np.flatnonzero(~seen[0])) == [12]
    _, seen = map_points(np.zeros((1, 68, 3)), np.arange(68)[None] != 40, "68")
    assert list(np.flatnonzero(~seen[0])) == [7]  # the eye's centre is the mean of 37 and 40


# --- fitted from tables ---------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path, toy_model: MorphableModel) -> Path:
    """Photos and their annotations apart, and the points as a table, counted from 0."""
    (tmp_path / "mats").mkdir()
    (tmp_path / "photos").mkdir()
    annotate(tmp_path / "mats", toy_model, 6)
    lines = []
    for row in range(6):
        (tmp_path / "mats" / f"face{row}.png").rename(tmp_path / "photos" / f"face{row}.png")
        points = read_model_labels(tmp_path / "mats" / f"face{row}.mat").landmarks - [1, 1, 0]
        lines.append(f"face{row}," + ",".join(f"{value:.4f}" for value in points.ravel()))
    (tmp_path / "points.csv").write_text("\n".join(lines))
    spread_model(toy_model).save(tmp_path / "toy.h5")
    return tmp_path


def fit(folder: Path, landmarks: str, *more: Any) -> TrainingSet:
    code, _, err = prepare(
        folder, "--landmarks", folder / landmarks, "--model", folder / "toy.h5", *more, photos="photos", labels=None
    )
    assert code == 0, err
    return TrainingSet.open(folder / "set.h5")


@pytest.mark.parametrize("landmarks", ["points.csv", "mats"])
def test_points_in_a_table_are_fitted(photos: Path, toy_model: MorphableModel, landmarks: str) -> None:
    more = ["--oracle"] if landmarks == "points.csv" else []
    opened = fit(photos, landmarks, *more)
    assert opened.info.labels == "fitted"
    assert len(opened) == 6
    assert label_error(opened.coefficients, opened.landmarks, opened.info, toy_model).max() < 0.02
    truth = read_model_labels(photos / "mats" / "face2.mat").landmarks
    assert np.abs(opened.box[2] - box_from_landmarks(truth)).max() < 8
    expected = crop_from_image_exact(truth, opened.box[2], "3ddfa-v2")
    np.testing.assert_allclose(opened.landmarks[2], expected, atol=1e-3)


def test_a_subset_is_fitted_and_the_rest_is_unknown(photos: Path, toy_model: MorphableModel) -> None:
    lines = [line.split(",") for line in (photos / "points.csv").read_text().splitlines()]
    (photos / "inner.csv").write_text("\n".join(",".join([cells[0], *cells[1 + 17 * 3 :]]) for cells in lines))
    opened = fit(photos, "inner.csv", "--subset", "brows,nose,eyes,mouth", "--oracle")
    assert np.isnan(opened.landmarks[:, :17]).all()
    assert not opened.visible[:, :17].any()
    assert np.isfinite(opened.landmarks[:, 17:]).all()
    assert label_error(opened.coefficients, opened.landmarks, opened.info, toy_model).max() < 0.03
    assert run_command("data", "check", photos / "set.h5", "--model", photos / "toy.h5")[0] == 0


def test_crops_are_fitted_where_they_are(photos: Path, toy_model: MorphableModel) -> None:
    """The set of the photos' crops, made again from those crops and the points in them, has the same faces."""
    first = fit(photos, "points.csv", "--oracle")
    (photos / "crops").mkdir()
    lines = []
    for name, data, points in zip(first.names, first.crops(), first.landmarks, strict=True):
        (photos / "crops" / f"{name}.jpg").write_bytes(data)
        lines.append(json.dumps({"name": name, "landmarks": points.astype(float).tolist()}))
    (photos / "crop_points.jsonl").write_text("\n".join(lines))
    arguments = ["--landmarks", photos / "crop_points.jsonl", "--cropped", "--oracle", "--overwrite"]
    code, _, err = prepare(photos, *arguments, "--model", photos / "toy.h5", photos="crops", labels=None)
    assert code == 0, err
    again = TrainingSet.open(photos / "set.h5")
    assert list(again.crops()) == list(first.crops())
    np.testing.assert_allclose(again.landmarks, first.landmarks, atol=1e-4)
    np.testing.assert_allclose(again.coefficients[:, :12], first.coefficients[:, :12], rtol=0.02, atol=0.02)


def test_a_turned_face_hides_its_far_side(photos: Path, toy_model: MorphableModel) -> None:
    """The toy face turned by 50 degrees in the last photo; without labels nothing is known to be hidden."""
    labelled = fit(photos, "mats")
    wild = fit_none(photos)
    assert wild.visible.all()
    assert labelled.visible[1].all()  # turned by 6 degrees
    assert 40 < labelled.visible[5].sum() < 66
    assert (labelled.visible <= wild.visible).all()


def fit_none(folder: Path) -> TrainingSet:
    code, _, err = prepare(
        folder, "--labels", "none", "--landmarks", folder / "mats", "--overwrite", photos="photos", labels=None
    )
    assert code == 0, err
    return TrainingSet.open(folder / "set.h5")


def test_the_list_of_landmarks_is_kept_with_the_set(photos: Path, toy_model: MorphableModel) -> None:
    """`transferred` is the default where a model has several lists; check reads labels by the set's own list."""
    moved = np.roll(toy_model.landmark_ids, 1)
    several = replace(
        spread_model(toy_model), named_landmarks={"transferred": toy_model.landmark_ids, "semantic": moved},
        landmark_ids=moved,
    )  # fmt: skip
    several.save(photos / "toy.h5")
    opened = fit(photos, "mats")
    assert opened.info.landmark_list == "transferred"
    code, out, _ = run_command("data", "check", photos / "set.h5", "--model", photos / "toy.h5", "--json")
    assert code == 0
    assert json.loads(out)["worst_error"] < 0.02


# --- archives -------------------------------------------------------------------------------------


def test_names_that_leave_the_archive_stay_in_it(wild: Path) -> None:
    write_zip(wild / "crops.zip", {f"../../{name}.jpg": jpg(row) for row, name in enumerate(NAMES)})
    before = sorted(wild.parent.rglob("*"))
    assert prepare(wild)[0] == 0
    assert set(wild.parent.rglob("*")) - set(before) == {wild / "set.h5"}
    assert TrainingSet.open(wild / "set.h5").names == NAMES


def break_member(data: bytes) -> bytes:
    """The archive with a byte of its first member's picture changed."""
    place = data.index(b"\xff\xd8") + 200
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


def encrypt(data: bytes) -> bytes:
    """The archive with the encryption flag of its first member set in the central directory."""
    place = data.index(b"PK\x01\x02") + 8
    (flags,) = struct.unpack_from("<H", data, place)
    return data[:place] + struct.pack("<H", flags | 1) + data[place + 2 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (encrypt, "ann.jpg is encrypted; an archive without a password is expected"),
        (lambda data: data[:-40], "is not a zip archive, or damaged"),
        (lambda data: b"", "is not a zip archive, or damaged"),
    ],
)
def test_archives_that_cannot_be_read(wild: Path, change: Callable[[bytes], bytes], message: str) -> None:
    (wild / "crops.zip").write_bytes(change((wild / "crops.zip").read_bytes()))
    assert message in refused(wild)


def test_members_that_cannot_be_used_are_named(wild: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zip(wild / "crops.zip", {"ann.jpg": jpg(0), "bob.jpg": b"no picture", "cyd.jpg": jpg(2, 121)})
    code, out, err = prepare(wild)
    assert code == 3
    assert "1 faces" in out
    assert "bob" in err
    assert "not a picture" in err
    assert "121 x 121 pixels; a crop of 120 x 120 is expected" in err
    (wild / "crops.zip").write_bytes(break_member((wild / "crops.zip").read_bytes()))
    (wild / "set.h5").unlink()
    line = refused(wild)
    assert "none of the 3 faces can be used" in line
    assert "Bad CRC-32" in line
    monkeypatch.setattr(pictures, "LARGEST", 100)
    assert "ann.jpg unpacks to" in refused(wild)


def test_archives_without_use(wild: Path) -> None:
    write_zip(wild / "crops.zip", {"readme.txt": b"hello"})
    assert "holds no photos" in refused(wild)
    write_zip(wild / "crops.zip", {"a/ann.jpg": jpg(0), "b/ann.png": jpg(1)})
    assert "has the name 'ann' twice" in refused(wild)
    assert "no such file" in refused(wild, photos="absent.zip").lower()
    assert "neither a folder of photos nor a .zip" in refused(wild, photos="labels.npz")
    write_zip(wild / "crops.zip", {"ann.jpg": jpg(0)})
    assert "none of the photos has a usable annotation" in refused(wild, labels=None)


def test_grey_crops_become_colour(wild: Path) -> None:
    write_zip(wild / "crops.zip", {"ann.jpg": jpg(0, mode="L")})
    assert prepare(wild)[0] == 0
    (data,) = TrainingSet.open(wild / "set.h5").crops()
    assert Image.open(io.BytesIO(data)).mode == "RGB"


# --- labels ---------------------------------------------------------------------------------------

ROW = points_of_21(1)[0].ravel()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pts21_crop": None, "points": np.zeros((3, 21, 2))}, "holds no points"),
        ({"names": None}, "holds no texts called 'names'"),
        ({"names": np.arange(3)}, "holds no texts called 'names'"),
        ({"names": np.array(["ann", "ann", "bob"])}, "has the name 'ann' twice"),
        ({"names": np.array(["ann", "bob"])}, "pts21_crop is float64 (3, 2, 21); (2 names, 21, 2 or 3)"),
        ({"names": np.array(["x", "y", "z"])}, "none of the 3 pictures"),
        ({"names": np.array(NAMES, object)}, "is not an archive of arrays"),
        ({"visible": np.ones((3, 20), bool)}, "visible is bool (3, 20)"),
        ({"visible": np.zeros((3, 21), bool)}, "the first is ann (none of its points is annotated)"),
        ({"roi_box": np.ones((3, 3))}, "roi_box is float64 (3, 3)"),
        ({"pts21_crop": np.full((3, 2, 21), "a")}, "pts21_crop is <U1"),
        ({"pts21_crop": np.full((3, 21, 2), 500.0)}, "none of its points lies in the crop"),
    ],
)
def test_archives_of_labels_that_do_not_fit(wild: Path, changes: dict[str, Any], message: str) -> None:
    write_labels(wild / "labels.npz", **changes)
    line = refused(wild)
    assert message in line
    assert "\n" not in line


def test_names_that_do_not_match_say_how_many(wild: Path) -> None:
    write_labels(wild / "labels.npz", names=np.array(["x.jpg", "y.jpg", "z.jpg"]))
    line = refused(wild)
    assert "the first is 'ann'" in line
    assert "3 names" in line
    assert "the first is 'x'" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ann," + ",".join(map(str, ROW[:-2])), "40 numbers; 42 or 136 or 204 are expected"),
        ("ann," + ",".join(map(str, ROW)) + "\nbob,1,2", "bob (entry 2) has 2 numbers"),
        ("", "is empty"),
        ("ann" + ",nan" * 42, "none of its points is annotated"),
    ],
)
def test_tables_that_do_not_fit(wild: Path, text: str, message: str) -> None:
    (wild / "list.csv").write_text(text)
    line = refused(wild, "--cropped", labels="list.csv")
    assert message in line


def test_points_that_are_not_finite_are_not_seen(wild: Path) -> None:
    points = points_of_21()
    points[0, 0], points[0, 1, 0], points[0, 2] = np.nan, np.inf, 200.0
    write_labels(wild / "labels.npz", pts21_crop=points, visible=None)
    assert prepare(wild)[0] == 0
    opened = TrainingSet.open(wild / "set.h5")
    assert list(np.flatnonzero(~opened.visible[0])) == [0, 1, 2]
    assert np.isnan(opened.landmarks[0, :2]).all()
    np.testing.assert_array_equal(opened.landmarks[0, 2, :2], [200, 200])  # kept: outside the crop
    assert run_command("data", "check", wild / "set.h5")[0] == 0


def test_options_that_have_no_place(wild: Path) -> None:
    assert "leaves no place for --cropped" in refused(wild, "--cropped")
    assert "both name a file of points" in refused(wild, "--landmarks", wild / "labels.npz")
    assert "are for 3D labels" in refused(wild, "--model", "x.h5")
    assert "are for --landmarks" in refused(wild, "--rows", "x.list", labels=None)
    assert "auto, convert, fit, none or a file of points" in refused(wild, labels="absent.npz")
    points = ["--landmarks", wild / "labels.npz"]
    assert "21 points are no landmarks of a face model" in refused(wild, *points, "--labels", "fit", labels=None)
    assert "have no annotations of" in refused(wild, *points, "--labels", "convert", labels=None)
    np.save(wild / "points.npy", points_of_21())
    assert "--rows names the list" in refused(wild, "--cropped", labels="points.npy")
    (wild / "list.csv").write_text("ann," + ",".join(map(str, ROW)))
    assert "21 points do not say where its crop is; hand over --boxes" in refused(wild, labels="list.csv")


def test_photos_without_a_box_are_named(wild: Path) -> None:
    np.save(wild / "points.npy", np.full((3, 21, 2), 50.0))
    (wild / "rows.list").write_text("\n".join(NAMES))
    (wild / "boxes.csv").write_text("ann,1,1,100,100\nbob,9,9,2,2\n")
    code, out, err = prepare(wild, "--rows", wild / "rows.list", "--boxes", wild / "boxes.csv", labels="points.npy")
    assert code == 3
    assert "1 faces" in out
    assert "left < right and top < bottom" in err
    assert "cyd" in err


# --- the file -------------------------------------------------------------------------------------


def test_sets_of_the_first_version_open(tmp_path: Path) -> None:
    info = SetInfo("abc", 40, 10, "3ddfa", "fitted")
    example = Example("a", jpg(0), np.ones(62, np.float32), np.ones((68, 3)), np.ones(68, bool), np.ones(4))
    write_set(tmp_path / "set.h5", info, [example])
    with h5py.File(tmp_path / "set.h5", "a") as file:
        stored = json.loads(file.attrs["info"])
        for name in ("points", "landmark_list", "box_kind"):
            del stored[name]
        file.attrs.update(version=1, info=json.dumps(stored))
    assert TrainingSet.open(tmp_path / "set.h5").info == info
    with h5py.File(tmp_path / "set.h5", "a") as file:
        file.attrs["info"] = json.dumps(stored | {"labels": "guessed"})
    with pytest.raises(FileError, match="labels is 'guessed'; one of exact, truncated"):
        TrainingSet.open(tmp_path / "set.h5")


def test_check_finds_points_that_are_lost(tmp_path: Path) -> None:
    def example(name: str, points: np.ndarray) -> Example:
        whole = np.concatenate([points, np.full((21, 1), np.nan)], axis=1)
        return Example(name, jpg(len(name)), np.empty(0), whole, np.ones(21, bool), np.full(4, np.nan))

    good = points_of_21(1)[0]
    outside, lost = good.copy(), np.full((21, 2), np.nan)
    outside[5] = [130, 20]
    lost[:2] = 50
    examples = [example("a", good), example("bb", outside), example("ccc", lost)]
    write_set(tmp_path / "set.h5", SetInfo("", 0, 0, "3ddfa", "none", points="21"), examples)
    code, out, _ = run_command("data", "check", tmp_path / "set.h5", "--json")
    assert code == 1
    assert json.loads(out)["problems"] == {
        "a point said to be seen is not finite or not in the crop": ["bb", "ccc"],
        "fewer than 3 points in the crop": ["ccc"],
    }


def test_more_faces_than_a_block_are_written(tmp_path: Path) -> None:
    def example(row: int) -> Example:
        return Example(str(row), bytes([row % 256]), np.full(62, row), np.ones((68, 3)), np.ones(68, bool), np.ones(4))

    assert write_set(tmp_path / "set.h5", SetInfo("", 40, 10, "3ddfa", "fitted"), map(example, range(600))) == 600
    opened = TrainingSet.open(tmp_path / "set.h5")
    assert opened.names == tuple(map(str, range(600)))
    np.testing.assert_array_equal(opened.coefficients[:, 5], np.arange(600))
    assert list(opened.crops([599, 0])) == [bytes([599 % 256]), b"\0"]


def test_hidden_points_are_hollow() -> None:
    picture = draw_points(np.full((120, 120, 3), 128, np.uint8), np.array([[30.0, 40], [80, 40], [np.nan, 1]]), np.array([True, False, True]))  # fmt: skip
    assert picture.shape == (240, 240, 3)
    assert tuple(picture[80, 60]) == (60, 255, 120)
    assert tuple(picture[80, 160]) == (128, 128, 128)
    assert (picture[76:86, 156:166] == (255, 80, 60)).all(axis=2).any()


def test_arrays_are_read_without_python_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", good=np.arange(3), bad=np.array([{}], object))
    assert list(read_npz(tmp_path / "a.npz", ["good", "absent"])) == ["good"]
    with pytest.raises(FileError, match="Object arrays cannot be loaded"):
        read_npz(tmp_path / "a.npz", ["bad"])
    monkeypatch.setattr("twodasl.models.files.LARGEST_ARRAY", 100)
    with pytest.raises(FileError, match="unpacks to more than"):
        read_npz(tmp_path / "a.npz", ["good"])
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    with pytest.raises(FileError, match="is not an archive of arrays"):
        read_npz(tmp_path / "b.npz", ["good"])


def test_the_real_wild_photos(data: Path, tmp_path: Path) -> None:
    """5600 crops of AFLW: every point is where the labels have it, but for the published crop rule's half pixel."""
    folder = data / "aflw"
    output = tmp_path / "wild.h5"
    arguments = ["data", "prepare", folder / "AFLW_GT_crop.zip", "--labels", folder / "labels.npz", "-o", output]
    code, out, err = run_command(*arguments)
    assert code == 0, err
    assert "5600 faces" in out
    opened, labels = TrainingSet.open(output), np.load(folder / "labels.npz")
    assert opened.info.points == "21"
    assert (opened.visible <= labels["visible"]).all()
    assert opened.visible.sum() > 0.99 * labels["visible"].sum()
    off = opened.landmarks[..., :2] - np.swapaxes(labels["pts21_crop"], 1, 2)
    middle = opened.visible & (np.abs(opened.landmarks[..., :2] - 60) < 20).all(axis=2)
    np.testing.assert_allclose(off[middle], -0.5, atol=0.35)
    code, out, _ = run_command("data", "check", output)
    assert code == 0
    assert "nothing wrong found" in out
