"""Synthetic faces: exact labels, real visibility, the same bytes from any number of processes, one clear line on bad
input."""

import io
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import run_command
from twodasl.models.errors import FileError, SettingsError
from twodasl.models.pose import crop_from_crop_up, crop_up_from_model, head_angles
from twodasl.models.training.check import label_error
from twodasl.models.training.sets import TrainingSet
from twodasl.rendering.synthetic import light
from twodasl.rendering.synthetic.backgrounds import photo_patch
from twodasl.rendering.synthetic.camera import draw_camera
from twodasl.rendering.synthetic.growth import CENTRE, _direction_bins, grow_hair, skull_radius
from twodasl.rendering.synthetic.hair import draw_cut, scalp_cover
from twodasl.rendering.synthetic.head import MM, Head, load_head
from twodasl.rendering.synthetic.scene import HIDDEN_MM, _not_hidden, draw_face
from twodasl.rendering.synthetic.sets import synthetic_example, synthetic_info, write_synthetic_set
from twodasl.rendering.synthetic.settings import SynthSettings
from twodasl.rendering.synthetic.strands import draw_strands

SETTINGS = SynthSettings(seed=4)


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


def test_the_same_file_from_any_number_of_processes(tmp_path: Path) -> None:
    for jobs in (1, 2):
        write_synthetic_set(tmp_path / f"{jobs}.h5", SETTINGS, 11, jobs)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    crops = list(TrainingSet.open(tmp_path / "1.h5").crops())
    assert len(set(crops)) == 11


def test_a_face_depends_on_its_seed_and_number_only(head: Head) -> None:
    synthetic_example(SETTINGS, head, 3)
    first = synthetic_example(SETTINGS, head, 7)
    again = synthetic_example(SETTINGS, head, 7)
    assert first.jpg == again.jpg
    np.testing.assert_array_equal(first.coefficients, again.coefficients)
    assert synthetic_example(replace(SETTINGS, seed=5), head, 7).jpg != first.jpg


@pytest.mark.parametrize("points", ["semantic", "transferred"])
def test_labels_are_exact(points: str) -> None:
    settings = replace(SETTINGS, points=points, level=0)
    head = load_head(0, points=points)
    info = synthetic_info(settings)
    examples = [synthetic_example(settings, head, index) for index in range(3)]
    coefficients, landmarks = (np.stack([getattr(e, key) for e in examples]) for key in ("coefficients", "landmarks"))
    model = load_head(0).truth.with_points(info.landmark_list)
    assert info.basis_id == model.basis_id
    assert label_error(coefficients, landmarks, info, model).max() < 1e-6  # what float32 coefficients leave
    assert Image.open(io.BytesIO(examples[0].jpg)).size == (120, 120)


def test_things_are_drawn_where_the_labels_say(head: Head) -> None:
    """The drawn frame, and back, against the conventions that labels are read by."""
    rng = np.random.default_rng(2)
    points = rng.normal(0, 60, (40, 3))
    camera = draw_camera(rng, points, 90)
    expected = crop_from_crop_up(crop_up_from_model(points / MM, camera.pose), "3ddfa") - [1, 1, 0]
    view = (points @ camera.rotation.T).astype(np.float32)
    np.testing.assert_allclose(camera.image_from_view(view, 120), expected, atol=1e-3)
    # A pixel of a picture twice as large: half a pixel lies before the first centre of both.
    fine = camera.image_from_view(view, 240)
    np.testing.assert_allclose((fine[:, :2] + 0.5) / 2 - 0.5, expected[:, :2], atol=1e-3)
    flat = np.array([17 * 240 + 30])
    depth = np.full((240, 240), 12.0)
    back = camera.view_from_image(flat, depth)
    np.testing.assert_allclose(camera.image_from_view(back, 240), [[30, 17, 12]], atol=1e-3)


def test_numpy_draws_the_same_picture(head: Head) -> None:
    for index in (0, 1):
        one, two = (draw_face(SETTINGS.rng(index), head, SETTINGS, compiled=compiled) for compiled in (True, False))
        off = np.abs(one.picture.astype(int) - two.picture)
        assert off.max() <= 1
        np.testing.assert_array_equal(one.visible, two.visible)


@pytest.mark.parametrize("width", [1, 2])
def test_strands_are_drawn_to_the_same_pixels(width: int) -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(-8, 48, (60, 4, 3)).astype(np.float32)
    points[..., 2] = np.round(points[..., 2])  # equal depths: the first strand is seen
    points[5, 1] = np.nan
    colors = rng.random((60, 4, 3)).astype(np.float32)
    drawn = []
    for compiled in (True, False):
        depth, picture = np.full((40, 40), -np.inf), np.zeros((40, 40, 3), np.float32)
        depth[:10] = 20
        draw_strands(points, colors, width, depth, picture, compiled)
        drawn.append((depth, picture))
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    np.testing.assert_allclose(drawn[0][1], drawn[1][1], atol=1e-6)
    assert np.isfinite(drawn[0][0]).mean() > 0.5


def test_hidden_landmarks_are_said_to_be(head: Head) -> None:
    """In profile the far eye is hidden and the near one mostly seen; nothing outside the crop is visible."""
    far, near = [], []
    for index in range(40):
        face = draw_face(SETTINGS.rng(index), head, SETTINGS)
        outside = ((face.landmarks[:, :2] < 0) | (face.landmarks[:, :2] > 119)).any(axis=1)
        assert not face.visible[outside].any()
        yaw = head_angles(face.camera.pose)[0]
        if abs(yaw) > 65:
            eyes = face.visible[36:42].mean(), face.visible[42:48].mean()
            seen = eyes if face.landmarks[36:42, 2].mean() > face.landmarks[42:48, 2].mean() else eyes[::-1]
            near.append(seen[0])
            far.append(seen[1])
    assert np.mean(far) < 0.25
    assert np.mean(near) > 0.5


def test_a_point_is_hidden_by_what_is_nearer(head: Head) -> None:
    rng = np.random.default_rng(0)
    landmarks = head.landmarks
    camera = draw_camera(rng, landmarks, 0)
    turned = landmarks @ camera.rotation.T
    image = camera.image_from_view(turned.astype(np.float32), 240)
    near = HIDDEN_MM * camera.scale * 2
    column, row = np.rint(image[30, :2]).astype(int)
    for nearer, expected in ((0.9 * near, True), (1.1 * near, False)):
        depth = np.full((240, 240), -np.inf)
        depth[row - 1 : row + 2, column - 1 : column + 2] = image[30, 2] + nearer
        assert _not_hidden(camera, turned, depth)[30] == expected
    depth[row, column - 1 : column + 2] = -np.inf  # six of nine still hide it
    assert not _not_hidden(camera, turned, depth)[30]


def test_yaw_stays_in_its_limits(head: Head) -> None:
    rng = np.random.default_rng(1)
    yaws = [abs(draw_camera(rng, head.landmarks, 25).angles[0]) for _ in range(200)]
    assert max(yaws) <= 25
    assert max(abs(draw_camera(rng, head.landmarks, 90).angles[0]) for _ in range(200)) > 75


def test_hair_grows_outside_of_the_head(head: Head) -> None:
    """Even long hair that is pulled straight through the head."""
    rng = np.random.default_rng(6)
    drawn = draw_cut(rng, 0.3)
    cut = replace(drawn, kind="long", length=200.0, fringe=0.0, curl=0.0, hairline=50.0, recession=0.0, part=0.0)
    cover = scalp_cover(rng, head, cut)
    for pull in np.eye(3):
        hair = grow_hair(rng, head, head.rest, head.normals, cut, cover, -pull)
        assert hair is not None
        tips = hair.points[:, 2:].reshape(-1, 3)
        reach = np.linalg.norm(tips - CENTRE, axis=1) - skull_radius(head.rest)[_direction_bins(tips)]
        assert np.mean(reach < -15) < 0.02


def test_light_comes_from_its_lamps() -> None:
    lighting = light.Lighting(
        sky=np.zeros(3, np.float32),
        ground=np.zeros(3, np.float32),
        side=np.array([1, 0, 0], np.float32),
        side_color=np.zeros(3, np.float32),
        lamps=(light.Lamp(np.array([1, 0, 0], np.float32), np.ones(3, np.float32)),),
        softness=1.0,
        exponent=20.0,
    )
    normals = np.array([[1, 0, 0], [0.6, 0, 0.8], [-1, 0, 0]], np.float32)
    full = np.ones(3, np.float32)
    grey = np.full((3, 3), 0.5, np.float32)
    sent = light.shade(normals, grey, 0 * full, np.zeros(0, int), full, full, lighting)
    assert sent[0, 0] == pytest.approx(0.5, rel=0.05)
    assert (np.diff(sent, axis=0) < 0).all()  # the more a surface turns away, the darker
    assert sent[2].max() < 0.02
    shadowed = light.shade(normals, grey, 0 * full, np.zeros(0, int), full, 0 * full, lighting)
    assert shadowed.max() < 0.02


def photo_folder(folder: Path) -> Path:
    folder.mkdir()
    for name, color in (("a.png", (200, 30, 30)), ("b.jpg", (20, 40, 220))):
        Image.new("RGB", (90, 60), color).save(folder / name)
    return folder


def test_command_writes_a_set_that_passes_the_check(tmp_path: Path) -> None:
    output = tmp_path / "synth.h5"
    arguments = ["data", "synth", "--count", 3, "--seed", 2, "-o", output, "--backgrounds",
                 photo_folder(tmp_path / "photos"), "--components", 20, 5, "--level", 0]  # fmt: skip
    code, out, err = run_command(*arguments)
    assert code == 0, err
    assert "3 faces" in out
    opened = TrainingSet.open(output)
    assert opened.coefficients.shape == (3, 12 + 20 + 5)
    assert opened.info.labels == "synthetic"
    code, out, err = run_command("data", "check", output)
    assert code == 0, out + err
    assert "0.00 % at worst" in out
    code, _, err = run_command(*arguments)
    assert code == 1
    assert "--overwrite" in err


def test_backgrounds_are_the_users_photos(tmp_path: Path) -> None:
    from twodasl.rendering.synthetic.backgrounds import list_backgrounds

    photos = list_backgrounds(photo_folder(tmp_path / "photos"))
    patch = photo_patch(np.random.default_rng(0), photos, 30)
    assert patch.shape == (30, 30, 3)
    assert patch.dtype == np.float32
    assert np.ptp(patch[..., 0]) < 0.02  # one colour, one of the two
    assert max(patch[0, 0]) > 0.4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--count", "0"], "count is 0"),
        (["--count", "1", "--seed", "-1"], "seed is -1"),
        (["--count", "1", "--jobs", "0"], "jobs is 0"),
        (["--count", "1", "--max-yaw", "120"], "max_yaw is 120"),
        (["--count", "1", "--backgrounds", "empty"], "holds no photos"),
        (["--count", "1", "--backgrounds", "missing"], "is no folder"),
        (["--count", "8", "--backgrounds", "broken"], "b.png"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "b.png").write_bytes(b"no picture")
    code, _, err = run_command("data", "synth", *arguments, "-o", "out.h5")
    assert code == 1
    assert expected in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "empty"]


def test_settings_name_what_is_wrong() -> None:
    with pytest.raises(SettingsError, match="level is 3"):
        SynthSettings(level=3)
    with pytest.raises(SettingsError, match="identity is 80"):
        SynthSettings(identity=80)
    with pytest.raises(SettingsError, match="points are 'bfm'"):
        SynthSettings(points="bfm")


def test_a_full_disk_is_said_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10, 10, 0))
    with pytest.raises(FileError, match="MB are free"):
        write_synthetic_set(tmp_path / "out.h5", SETTINGS, 100)
