"""`twodasl fit` as a user meets it: every kind of input, boxes and frames, what it says of failures, and its scores."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tests.command import run_command
from twodasl.models.boxes import box_from_landmarks, crop_from_image_exact
from twodasl.models.fitting.settings import ANNOTATED, DETECTED, FitSettings
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import crop_up_from_model, rotation_from_angles
from twodasl.models.runs import Run

NAMES = ("anna", "bert", "cleo", "dora")


class Job:
    """A toy model and four faces of it, in photo pixels from 1 with y down, in every form that `fit` reads."""

    def __init__(self, folder: Path, model: MorphableModel) -> None:
        self.folder = folder
        self.model = replace(
            model, identity_sigma=np.full(40, 1e5, np.float32), expression_sigma=np.ones(10, np.float32)
        )
        self.model.save(folder / "toy.h5")
        rng = np.random.default_rng(0)
        shape = self.model.landmarks(rng.normal(size=(4, 40)) * 5e4, rng.normal(size=(4, 10)) * 0.5)
        rotation = rotation_from_angles(np.array([[0.0, 0, 5], [40, 5, -10], [-75, 0, 0], [20, -10, 0]]))
        shift = rng.uniform(150, 250, (4, 3, 1)) * [[1], [-1], [0]]
        pose = np.concatenate([1e-3 * rotation, shift], axis=2)
        self.landmarks = crop_up_from_model(shape, pose) * [1, -1, 1]
        self.boxes = box_from_landmarks(self.landmarks)
        (folder / "rows.list").write_text("".join(f"{name}.jpg\n" for name in NAMES))

    def annotations(self) -> Path:
        folder = self.folder / "annotated"
        folder.mkdir(exist_ok=True)
        for name, points in zip(NAMES, self.landmarks, strict=True):
            pose = np.array([[0.1, 0.2, 0, 0, 0, 0, 1e-3]])
            savemat(folder / f"{name}.mat", {"pt3d_68": points.T.astype(np.float32), "Pose_Para": pose})
        Image.new("RGB", (400, 300)).save(folder / "anna.jpg")
        return folder

    def csv(self, points: np.ndarray, file: str = "points.csv") -> Path:
        lines = [
            f"{name}," + ",".join(map(repr, row.ravel().tolist())) for name, row in zip(NAMES, points, strict=True)
        ]
        (self.folder / file).write_text("\n".join(lines) + "\n")
        return self.folder / file

    def fit(self, *arguments: Any, output: str = "run.h5") -> tuple[int, str, str]:
        return run_command("fit", *arguments, "--model", self.folder / "toy.h5", "-o", self.folder / output)

    def run(self, output: str = "run.h5") -> Run:
        return Run.load(self.folder / output)

    def score(self, output: str = "run.h5", *more: str) -> dict:
        code, out, err = run_command(
            "eval", "nme", "--sparse", self.folder / output, "--truth", self.annotations(), "--json",
            "--model", self.folder / "toy.h5", *more,
        )  # fmt: skip
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def job(tmp_path: Path, toy_model: MorphableModel) -> Job:
    return Job(tmp_path, toy_model)


# --- inputs ---------------------------------------------------------------------------------------


def test_annotations(job: Job) -> None:
    """A folder of .mat: in 3D, with its depth, marked as oracle input; photos are named where they lie beside."""
    code, out, err = job.fit(job.annotations(), "--noise-mm", "0.01")
    assert (code, out) == (0, ""), err
    assert "4 of 4 faces" in err
    assert "oracle input" in err
    run = job.run()
    assert (run.names, run.status) == (NAMES, ("ok",) * 4)
    np.testing.assert_allclose(run.landmarks + [1, 1, 0], job.landmarks, atol=0.01)
    assert run.box_kind == ("cut",) * 4
    assert np.abs(run.box - job.boxes).max() <= 1
    assert run.info.convention == "3ddfa"
    assert run.paths[0].endswith("anna.jpg")
    assert run.paths[1] == ""
    assert run.image_size.tolist() == [[400, 300], [0, 0], [0, 0], [0, 0]]
    assert run.info.settings["oracle_input"] is True
    assert FitSettings.from_dict(run.info.settings["fit"]) == replace(ANNOTATED, noise_mm=0.01)
    dense = run.vertices(0, job.model)
    np.testing.assert_allclose(dense[job.model.landmark_ids], run.landmarks[0], atol=0.01)


def table(job: Job, kind: str, points: np.ndarray) -> list[Any]:
    if kind == "npy":
        np.save(job.folder / "points.npy", points)
        return [job.folder / "points.npy", "--rows", job.folder / "rows.list"]
    if kind == "matlab npy":
        np.save(job.folder / "points.npy", np.swapaxes(points, 1, 2))
        return [job.folder / "points.npy", "--rows", job.folder / "rows.list"]
    if kind == "csv":
        return [job.csv(points)]
    if kind == "detector list":
        job.csv(points, "points.txt")
        text = (job.folder / "points.txt").read_text().replace(",", ".jpg,", 1)
        (job.folder / "points.txt").write_text("4\n" + text)
        return [job.folder / "points.txt"]
    lines = [json.dumps({"name": name, "points": row.tolist()}) for name, row in zip(NAMES, points, strict=True)]
    (job.folder / "points.jsonl").write_text("\n".join(lines))
    return [job.folder / "points.jsonl"]


@pytest.mark.parametrize("kind", ["npy", "matlab npy", "csv", "detector list", "json lines"])
@pytest.mark.parametrize("dims", [2, 3])
def test_tables(job: Job, kind: str, dims: int) -> None:
    code, _, err = job.fit(*table(job, kind, job.landmarks[..., :dims]), "--origin", "1", "--prior", "1e-4")
    assert code == 0, err
    run = job.run()
    off = np.linalg.norm(run.landmarks[..., :2] + 1 - job.landmarks[..., :2], axis=2)
    if dims == 3:
        assert off.max() < 0.3
    assert off[:, 17:].mean() < 5  # in 2D the jaw counts as a contour, which these are not
    assert run.info.settings["oracle_input"] is False
    assert run.info.settings["fit"]["contour"] is (dims == 2)


def test_the_first_pixel_moves_nothing_but_the_place(job: Job) -> None:
    points = job.csv(job.landmarks)
    job.fit(points, "--origin", "1", output="one.h5")
    job.fit(points, output="zero.h5")
    one, zero = job.run("one.h5"), job.run("zero.h5")
    np.testing.assert_allclose(zero.landmarks - one.landmarks, np.ones((4, 68, 1)) * [1, 1, 0], atol=1e-3)
    np.testing.assert_array_equal(zero.box - one.box, 1)


@pytest.mark.parametrize("origin", ["0", "1"])
def test_crop_points_stay_in_their_crop(job: Job, origin: str) -> None:
    """Points of a crop, and the box it was cut from: the face lies in the photo where the crop lay, and the convention
    says from which pixel the crop was counted."""
    convention: Any = {"0": "3ddfa-v2", "1": "3ddfa"}[origin]
    crop = crop_from_image_exact(job.landmarks, job.boxes, convention)
    np.save(job.folder / "boxes.npy", np.vstack([job.boxes, [[1, 1, 9, 9]]]))
    (job.folder / "more.list").write_text("\n".join([*NAMES, "nobody"]))
    arguments = ["--boxes", job.folder / "boxes.npy", "--rows", job.folder / "more.list", "--origin", origin]
    code, _, err = job.fit(job.csv(crop), *arguments, "--oracle", "--noise-mm", "0.01")
    assert code == 0, err
    run = job.run()
    assert run.info.convention == convention
    assert run.box_kind == ("clipped",) * 4
    np.testing.assert_array_equal(run.box, job.boxes)
    np.testing.assert_allclose(run.landmarks + [1, 1, 0], job.landmarks, atol=0.05)
    assert job.score("run.h5", "--protocol", "exact")["summary"]["mean_over_images"] < 1e-3


def test_photo_points_with_boxes(job: Job) -> None:
    """Boxes handed over with photo points are where the coefficients live; the points stay."""
    boxes = job.boxes + [-20, -10, 30, 60]
    lines = [f"{name}," + ",".join(map(str, box)) for name, box in zip(NAMES, boxes, strict=True)]
    (job.folder / "boxes.csv").write_text("\n".join(lines))
    code, _, err = job.fit(job.annotations(), "--boxes", job.folder / "boxes.csv", "--noise-mm", "0.01")
    assert code == 0, err
    run = job.run()
    np.testing.assert_array_equal(run.box, boxes)
    np.testing.assert_allclose(run.landmarks + [1, 1, 0], job.landmarks, atol=0.01)


def test_crops_of_unknown_origin_cannot_be_scored(job: Job) -> None:
    crop = crop_from_image_exact(job.landmarks, job.boxes, "3ddfa-v2")
    job.fit(job.csv(crop), "--frame-in", "crop")
    assert job.run().box_kind == ("none",) * 4
    code, _, err = run_command(
        "eval", "nme", "--sparse", job.folder / "run.h5", "--truth", job.annotations(), "--model", job.folder / "toy.h5"
    )
    assert code == 1
    assert "without boxes" in err


def test_a_subset_of_landmarks(job: Job) -> None:
    inner = job.landmarks[:, 17:]
    code, _, err = job.fit(job.csv(inner), "--subset", "brows,nose,eyes,mouth", "--oracle", "--origin", "1")
    assert code == 0, err
    assert job.run().info.settings["landmarks_used"] == list(range(17, 68))
    off = np.linalg.norm(job.run().landmarks + [1, 1, 0] - job.landmarks, axis=2)
    assert off[:, 17:].mean() < 3


def test_only_takes_these(job: Job) -> None:
    (job.folder / "only.list").write_text("dora\nbert.jpg\nemil\n")
    code, _, err = job.fit(job.annotations(), "--only", job.folder / "only.list")
    assert code == 0
    assert job.run().names == ("bert", "dora")
    assert "1 of the 3 names" in err
    assert "emil" in err


def test_options_reach_the_settings(job: Job) -> None:
    code, _, err = job.fit(
        job.csv(job.landmarks), "--camera", "affine", "--robust", "huber", "--prior", "2", "--noise-mm", "4",
        "--weight", "jaw=0.1", "--weight", "nose=3", "--contour", "--same-person",
    )  # fmt: skip
    assert code == 0, err
    expected = replace(
        DETECTED, camera="affine", robust="huber", prior=2, noise_mm=4, jaw=0.1, nose=3, contour=True, same_person=True
    )
    assert FitSettings.from_dict(job.run().info.settings["fit"]) == expected
    identity = job.run().coefficients[:, 12:52]
    np.testing.assert_array_equal(identity, np.tile(identity[:1], (4, 1)))


def test_the_same_command_gives_the_same_bytes(job: Job) -> None:
    job.fit(job.annotations(), output="a.h5")
    job.fit(job.annotations(), output="b.h5")
    np.testing.assert_array_equal(job.run("a.h5").coefficients, job.run("b.h5").coefficients)


# --- what it says ----------------------------------------------------------------------------------


def test_failed_faces_are_named_and_in_the_run(job: Job) -> None:
    points = job.landmarks.copy()
    points[0] = np.nan
    points[1, :, 0] *= -1
    points[3] = points[3, :1]
    code, out, err = job.fit(job.csv(points), "--json")
    assert code == 3
    assert "1 of 4 faces" in err
    assert "anna: no-landmarks (none of its landmarks is finite)" in err
    assert "bert: no-fit (the landmarks fit the face's mirror image: left and right" in err
    assert "dora: no-fit (the landmarks lie on a line or in one place)" in err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["status"] for line in lines] == ["no-landmarks", "no-fit", "ok", "no-fit"]
    assert lines[2]["error_mm"] < 3
    assert lines[2]["largest_sigma"] > 0
    assert lines[0]["error_mm"] is None
    assert lines[2]["oracle_input"] is False
    run = job.run()
    assert run.status == ("no-landmarks", "no-fit", "ok", "no-fit")
    assert np.isnan(run.coefficients[[0, 1, 3]]).all()
    document = job.score("run.h5")
    assert document["failed"] == ["anna", "bert", "dora"]


def test_absurd_coefficients_are_told(job: Job) -> None:
    shape = job.model.landmarks(np.array([[9e5] + [0.0] * 39]), np.zeros((1, 10)))
    points = job.landmarks.copy()
    points[2] = (shape[0] * 1e-3 + [100, -100, 0]) * [1, -1, 1]
    code, _, err = job.fit(job.csv(points), "--oracle", "--noise-mm", "0.01")
    assert code == 0
    assert "1 faces have coefficients beyond 5 sigmas, kept as they are: cleo (9.0)" in err


def test_damaged_annotations_and_missing_boxes_fail_alone(job: Job) -> None:
    folder = job.annotations()
    (folder / "bert.mat").write_bytes(b"x" * 300)
    (job.folder / "boxes.csv").write_text("anna,1,1,200,200\nbert,1,1,200,200\ndora,50,50,40,90\n")
    code, _, err = job.fit(folder, "--boxes", job.folder / "boxes.csv")
    assert code == 3
    assert job.run().status == ("ok", "no-annotation", "no-box", "bad-box")
    assert "bert.mat is not a readable MATLAB file" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.csv"], 1, "nowhere.csv"),
        (["empty"], 1, "holds no annotations"),
        (["points.csv", "--subset", "ears"], 1, "no landmark is called 'ears'"),
        (["points.csv", "--subset", "eyes"], 1, "204 numbers; 24 or 36 are expected for 12 landmarks"),
        (["points.csv", "--weight", "ears=2"], 2, "jaw|brows|nose|eyes|mouth=NUMBER"),
        (["points.csv", "--weight", "jaw=much"], 2, "jaw=0.5"),
        (["points.csv", "--weight", "jaw=-1"], 1, "jaw is -1"),
        (["points.csv", "--noise-mm", "0"], 1, "noise_mm is 0"),
        (["points.csv", "--points", "semantic"], 1, "semantic"),
        (["points.csv", "--robust", "tukey"], 2, "tukey"),
        (["annotated", "--origin", "1"], 2, "for tables"),
        (["points.npy"], 1, "--rows"),
        (["points.csv", "--only", "rows2.list"], 1, "none of the images asked for"),
        (["annotated", "--only", "rows2.list"], 1, "of the images asked for"),
        (["run.csv", "-o", "x.npy"], 2, "ends in"),
    ],
)
def test_bad_input(job: Job, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str) -> None:
    monkeypatch.chdir(job.folder)
    job.csv(job.landmarks)
    job.annotations()
    np.save("points.npy", job.landmarks)
    Path("rows2.list").write_text("nobody\n")
    Path("empty").mkdir()
    got, out, err = run_command("fit", "--model", "toy.h5", "-o", "out.h5", *arguments)
    assert (got, out) == (code, ""), err
    assert message in err
    assert "Traceback" not in err
    assert not Path("out.h5").exists()


def test_a_prior_needs_spreads(job: Job, toy_model: MorphableModel) -> None:
    toy_model.save(job.folder / "toy.h5")
    code, _, err = job.fit(job.annotations())
    assert code == 1
    assert "states no spreads" in err
    assert job.fit(job.annotations(), "--prior", "0")[0] == 0


def test_nothing_is_replaced_unasked(job: Job) -> None:
    assert job.fit(job.annotations())[0] == 0
    before = (job.folder / "run.h5").read_bytes()
    code, _, err = job.fit(job.annotations())
    assert code == 1
    assert "--overwrite" in err
    assert (job.folder / "run.h5").read_bytes() == before
    assert job.fit(job.annotations(), "--overwrite")[0] == 0


# --- what becomes of it in tables --------------------------------------------------------------------


def test_oracle_input_is_marked_in_every_table(job: Job) -> None:
    job.fit(job.annotations())
    document = job.score()
    assert document["oracle_input"] is True
    base = ["eval", "nme", "--sparse", job.folder / "run.h5", "--truth", job.annotations()]
    base += ["--model", job.folder / "toy.h5"]
    _, out, _ = run_command(*base)
    assert "run (oracle input)" in out
    _, out, _ = run_command(*base, "--csv")
    assert out.splitlines()[1].startswith("anna,run (oracle input),standard")
    job.fit(job.csv(job.landmarks[..., :2]), "--overwrite")
    assert job.score()["oracle_input"] is False


def test_photo_fits_are_compared_in_the_photo(job: Job) -> None:
    """No crop mapping moves them, so every protocol gives the same number; boxes of the truth's own rule change nothing."""
    job.fit(job.annotations(), "--noise-mm", "0.01")
    values = {name: job.score("run.h5", "--protocol", name) for name in ("standard", "2dasl", "exact")}
    numbers = [value["summary"]["mean_over_images"] for value in values.values()]
    assert max(numbers) == min(numbers) < 1e-4
    assert "compared there" in values["standard"]["notes"][0]
    assert values["standard"]["mean_face"]["mean_over_images"] > 1e-3


def test_z_may_be_compared_as_it_is(job: Job) -> None:
    """All z 10 px too near: the default does not see it, `none` does, and says that it deviates."""
    job.fit(job.csv(job.landmarks + [0, 0, 10]), "--oracle", "--origin", "1", "--noise-mm", "0.01")
    least = job.score("run.h5", "--dims", "3")
    assert least["summary"]["mean_over_images"] < 1e-4
    assert least["protocol"]["z"].startswith("each face's smallest z")
    plain = job.score("run.h5", "--dims", "3", "--z-align", "none")
    size = np.sqrt(np.ptp(job.landmarks[..., :2], axis=1).prod(axis=1))
    assert plain["summary"]["mean_over_images"] == pytest.approx((10 / size).mean(), rel=1e-3)
    assert "a deviation from the protocol" in plain["protocol"]["z"]
    code, _, err = run_command("eval", "nme", "--sparse", "x", "--truth", "y", "--z-align", "none")
    assert code == 2
    assert "--dims 3" in err


# --- the commands, on real data ---------------------------------------------------------------


def test_annotated_faces_of_aflw2000(data: Path, bfm_path: Path, tmp_path: Path) -> None:
    names = (data / "aflw2000" / "AFLW2000-3D_crop.list").read_text().split()[3::20]
    (tmp_path / "only.list").write_text("\n".join(names))
    arguments = ["--only", tmp_path / "only.list", "--model", bfm_path]
    code, _, err = run_command("fit", data / "aflw2000" / "AFLW-2000-3D", *arguments, "-o", tmp_path / "fit3d.h5")
    assert code == 0, err
    _, out, _ = run_command(
        "eval", "nme", "--sparse", "--dims", "2,3", "--z-align", "none", tmp_path / "fit3d.h5", *arguments,
        "--truth", data / "aflw2000", "--json",
    )  # fmt: skip
    flat, deep = (document["summary"]["mean_over_images"] for document in json.loads(out))
    assert flat < 0.0058
    assert deep < 0.0072


def test_detections_of_aflw2000(data: Path, bfm_path: Path, tmp_path: Path) -> None:
    """Standard protocol, original labels: the points themselves 5.80 / 4.59; the fit 3.84 / 3.52."""
    folder = data / "aflw2000"
    code, _, err = run_command(
        "fit", folder / "detect_testData_1998.txt", "--boxes", folder / "test.configs" / "AFLW2000-3D_crop.roi_box.npy",
        "--rows", folder / "AFLW2000-3D_crop.list", "--model", bfm_path, "-o", tmp_path / "fit2d.h5",
    )  # fmt: skip
    assert code == 0, err
    _, out, _ = run_command(
        "eval", "nme", "--sparse", tmp_path / "fit2d.h5", "--truth", folder, "--model", bfm_path, "--json"
    )
    summary = json.loads(out)["summary"]
    assert summary["n"] == 1998
    assert 100 * summary["mean_over_bins"] <= 3.9
    assert 100 * summary["mean_over_images"] <= 3.6
