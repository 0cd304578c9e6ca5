"""A face followed through a video, and the movies drawn from it. The video is the test's own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import run_command
from tests.toy_infer import ToyJob, make_toy_job
from twodasl.models.errors import FileError
from twodasl.models.morphable import MorphableModel
from twodasl.models.runs import Run
from twodasl.models.video import FrameReader, frame_path, is_frame, read_video, video_info
from twodasl.rendering.movies import write_movie

pytest.importorskip("av", reason="videos need PyAV")
FRAMES, WIDTH, HEIGHT = 40, 200, 160


def picture(number: int) -> np.ndarray:
    """A soft picture that moves to the right, two pixels a frame; the frame's number is its grey corner."""
    small = np.random.default_rng(5).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(small).resize((WIDTH + 2 * FRAMES, HEIGHT), Image.Resampling.BICUBIC))
    frame = wide[:, 2 * (FRAMES - number) : 2 * (FRAMES - number) + WIDTH].copy()
    frame[:16, :16] = 6 * number
    return frame


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    assert write_movie(path, map(picture, range(FRAMES)), 10) == FRAMES
    return path


@pytest.fixture
def job(tmp_path: Path, toy_model: MorphableModel) -> ToyJob:
    return make_toy_job(tmp_path, toy_model, ["one"])


def corner(frame: np.ndarray) -> int:
    return round(float(frame[4:12, 4:12].mean()) / 6)


def test_frames_come_back_in_order(video: Path) -> None:
    info = video_info(video)
    assert (info.width, info.height, info.rate, info.frames) == (WIDTH, HEIGHT, 10, FRAMES)
    frames = list(read_video(video))
    assert [corner(frame) for frame in frames] == list(range(FRAMES))
    assert np.abs(frames[20].astype(int) - picture(20)).mean() < 3


def test_frames_by_number_in_any_order(video: Path) -> None:
    reader = FrameReader()
    for number in (3, 2, 39, 30, 0, 12):
        path = frame_path(video, number)
        assert is_frame(path)
        assert corner(reader.read(path)) == number
    assert not is_frame(video)
    with pytest.raises(FileError, match="has 40 frames; number 40"):
        reader.read(frame_path(video, FRAMES))


@pytest.mark.parametrize("weights", ["w3", "w4"])
def test_a_face_is_followed(weights: str, video: Path, job: ToyJob) -> None:
    """The first frame's box is handed over; each later one is cut around the landmarks of the frame before."""
    given = ["--landmarks", job.table("first.csv", {"clip_000000": job.landmarks[0][:, :2]}), "--origin", 1]
    code, _, err = job.infer(video, *given, weights=weights)
    assert code == 0, err
    assert f"{FRAMES} of {FRAMES} faces" in err
    run = Run.load(job.folder / "run.h5")
    assert run.names[12] == "clip_000012"
    assert run.paths[12] == f"{video}#12"
    assert set(run.box_kind) == {"cut"}
    middle = run.landmarks[:, :, :2].mean(axis=1) + 1
    boxes = run.box[1:]
    assert ((boxes[:, :2] < middle[:-1]) & (middle[:-1] < boxes[:, 2:])).all()
    assert len({tuple(box) for box in boxes.tolist()}) > 20
    low, high = run.landmarks[4, :, :2].min(axis=0) + 1, run.landmarks[4, :, :2].max(axis=0) + 1
    assert (run.box[5, :2] < low).all()
    assert (run.box[5, 2:] > high).all()


def test_a_movie_of_the_run(video: Path, job: ToyJob) -> None:
    """Frames are found through the run; the movie has the video's rate; a picture is that frame with the mask."""
    code, _, err = job.infer(video, "--boxes", job.table("first.csv", {"clip_000000": np.array([40, 20, 160, 140])}))
    assert code == 0, err
    drawing = ["render", "mask", job.folder / "run.h5", "--model", job.folder / "toy.h5", "-o"]
    code, _, err = run_command(*drawing, job.folder / "mask.mp4")
    assert code == 0, err
    info = video_info(job.folder / "mask.mp4")
    assert (info.rate, info.frames) == (10, FRAMES)
    drawn = list(read_video(job.folder / "mask.mp4"))
    assert [corner(frame) for frame in drawn] == list(range(FRAMES))
    for number in range(5):  # the invented network leaves the face sooner or later
        assert (np.abs(drawn[number].astype(int) - picture(number)).max(axis=2) > 40).mean() > 0.02
    assert run_command(*drawing, job.folder / "mask.mp4")[0] == 1
    assert run_command("render", "landmarks", *drawing[2:], job.folder / "points.gif")[0] == 0
    with Image.open(job.folder / "points.gif") as movie:
        assert movie.n_frames == FRAMES  # type: ignore[attr-defined]  # of animations


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "where are the faces"),
        (["--boxes", "second.csv"], "where is the face? --boxes or --landmarks of clip_000000"),
        (["--boxes", "second.csv", "--cropped"], "--cropped, --only and --dense are for photos"),
    ],
)
def test_where_to_begin_must_be_said(arguments: list[str], message: str, video: Path, job: ToyJob) -> None:
    job.table("second.csv", {"clip_000001": np.array([40, 20, 160, 140])})
    given = [str(job.folder / word) if word.endswith(".csv") else word for word in arguments]
    code, _, err = job.infer(video, *given)
    assert code in (1, 2)
    assert message in err
    assert not (job.folder / "run.h5").exists()


def test_what_is_no_video(job: ToyJob) -> None:
    (job.folder / "text.mp4").write_text("no video")
    boxes = ["--boxes", job.table("b.csv", {"text_000000": np.array([40, 20, 160, 140])})]
    code, _, err = job.infer(job.folder / "text.mp4", *boxes)
    assert code == 1
    assert "text.mp4 as a video" in err
    code, _, err = job.infer(job.folder / "text.mp4", job.photos, *boxes)
    assert code == 2
    assert "one video at a time" in err
