"""Videos: their frames, and a face followed from frame to frame.

A frame is known as `NAME_000012` and lies at `NAME.mp4#12`, counted from 0.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from .boxes import box_from_landmarks
from .errors import FileError, NamesError, TwodaslError
from .files import check_output
from .inference import (
    InferenceSettings,
    Input,
    Outcome,
    outcome_of,
    prepare_photo,
    records_of_samples,
    run_info,
    run_of_records,
)  # fmt: skip
from .morphable import MorphableModel
from .predictor import Predictor
from .runs import OK, write_run
from .tables import Table

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"})
KEPT = 32  # frames of a video that are kept for whoever asks a little late
BLOCK = 256  # faces that are written at once


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says; `frames` is 0 where it does not."""

    width: int
    height: int
    rate: float
    frames: int


def video_info(path: Path) -> VideoInfo:
    """The header of a video. Raises FileError if it is none, TwodaslError where PyAV is missing."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        return VideoInfo(stream.width, stream.height, float(stream.average_rate or 25), stream.frames)


def read_video(path: Path) -> Iterator[np.ndarray]:
    """The pictures of a video, one by one: (H, W, 3) uint8 RGB. Raises as `video_info` does."""
    with _opened(path) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def frame_path(video: Path, number: int) -> Path:
    """How a run names the place of a frame."""
    return video.with_name(f"{video.name}#{number}")


def is_frame(path: Path) -> bool:
    """Whether a path names a frame of a video."""
    name, mark, number = path.name.rpartition("#")
    return bool(mark) and number.isdigit() and Path(name).suffix.lower() in VIDEO_SUFFIXES


def video_of(frame: Path) -> Path:
    """The video that a frame's path names."""
    return frame.with_name(frame.name.rpartition("#")[0])


class FrameReader:
    """Frames by path, for several threads that ask for about the same place of one video."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._video, self._next = Path(), 0
        self._frames: Iterator[np.ndarray] = iter(())

    def read(self, path: Path) -> np.ndarray:
        """The frame (H, W, 3) uint8. Raises FileError where the video cannot be read or is shorter."""
        video, wanted = video_of(path), int(path.name.rpartition("#")[2])
        with self._lock:
            if video != self._video or (wanted < self._next and wanted not in self._kept):
                self._video, self._frames, self._next = video, read_video(video), 0
                self._kept.clear()
            while wanted not in self._kept:
                frame = next(self._frames, None)
                if frame is None:
                    raise FileError(f"{video} has {self._next} frames; number {wanted} (from 0) is asked for")
                self._kept[self._next] = frame
                self._next += 1
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[wanted]


def infer_video(
    video: Path,
    predictor: Predictor,
    model: MorphableModel,
    output: Path,
    settings: InferenceSettings,
    boxes: Table | None = None,
    landmarks: Table | None = None,
    *,
    overwrite: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> int:
    """Follow one face through a video and write the run, one face a frame; returns how many frames there are.

    boxes (4 numbers a row) and landmarks (136) place the face in frames by name, `NAME_000012`; in the first one at
    least. Every other frame takes its box, and the points of the fourth channel, from the landmarks of the frame
    before, as 3DDFA's demo does. Raises NamesError where the first frame has neither.
    """
    check_output(output, overwrite)
    items: list[Input] = []
    records: list[np.ndarray] = []
    followed: np.ndarray | None = None  # the last landmarks, (68, 2), photo pixels from 0
    for number, photo in enumerate(read_video(video)):
        name = f"{video.stem}_{number:06d}"
        item = Input(name, frame_path(video, number), _row(boxes, name), _points(landmarks, name))
        how = replace(settings, box_source="boxes" if item.box is not None else "landmarks")
        if item.box is None and item.landmarks is None:
            if followed is None:
                if number == 0:
                    raise NamesError(f"where is the face? --boxes or --landmarks of {name} says where to begin")
            else:
                how = replace(how, box_source="boxes", face_boxes=False, origin=0)
                item = replace(item, box=box_from_landmarks(followed + 1), landmarks=followed)
        elif item.landmarks is None and followed is not None:
            how, item = replace(how, origin=0), replace(item, landmarks=followed)
        sample = prepare_photo(photo, item, how, predictor.needs_landmarks)
        record = records_of_samples([sample], predictor, model, number)
        if record["status"][0] == OK:
            followed = record["landmarks"][0][:, :2]
        items.append(item)
        records.append(record)
        on_outcome(outcome_of(record[0], items, sample.message))
    if not items:
        raise FileError(f"{video} holds no frames")
    together = np.concatenate(records)
    info = run_info(predictor, model, settings, "")
    blocks = (run_of_records(together[start : start + BLOCK], info, items) for start in range(0, len(together), BLOCK))
    write_run(output, info, len(items), predictor.needs_landmarks, blocks)
    return len(items)


def _row(table: Table | None, name: str) -> np.ndarray | None:
    return None if table is None else table.row(name)


def _points(table: Table | None, name: str) -> np.ndarray | None:
    row = _row(table, name)
    return None if row is None else row.reshape(68, -1)[:, :2]


def _opened(path: Path) -> Any:
    av = pyav()
    try:
        container = av.open(str(path))
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {path} as a video: {error}") from error
    if not container.streams.video:
        container.close()
        raise FileError(f"{path} holds no pictures")
    return container


def pyav() -> Any:
    """The library that reads and writes videos. Raises TwodaslError where it is missing."""
    try:
        import av
    except ImportError as error:
        raise TwodaslError("videos need PyAV: pip install 'twodasl[video]'; GIFs do without") from error
    return av
