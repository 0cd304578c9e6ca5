"""Pictures that move: GIF by Pillow, MP4 by PyAV (`pip install twodasl[video]`)."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from ..models.errors import FileError, ShapeError, TwodaslError
from ..models.files import whole_file
from ..models.video import pyav

MOVIE_SUFFIXES = (".gif", ".mp4")
QUALITY = "18"  # x264's constant rate factor: no loss that is seen
GIF_STEP = 10  # milliseconds; GIF counts time in hundredths of a second


def write_movie(path: Path, frames: Iterable[np.ndarray], rate: float = 25) -> int:
    """Write pictures (H, W, 3) uint8, all of the first one's size, as `.gif` (looping) or `.mp4`; returns how many.

    rate: pictures a second. The frames are taken one by one (MP4) or together (GIF). The file appears whole or not at
    all. Raises FileError for another suffix or no frames, ShapeError for another size, TwodaslError where PyAV is
    missing.
    """
    suffix = path.suffix.lower()
    if suffix not in MOVIE_SUFFIXES:
        raise FileError(f"{path}: movies are written as {' and '.join(MOVIE_SUFFIXES)}, not as '{path.suffix}'")
    if not rate > 0:
        raise TwodaslError(f"{rate:g} pictures a second were asked for; more than 0 are expected")
    given = iter(frames)
    first = next(given, None)
    if first is None:
        raise FileError(f"{path} would hold no pictures; it is not written")
    if suffix == ".mp4" and min(first.shape[:2]) < 2:
        raise ShapeError(
            f"{path}: MP4 takes pictures of 2 x 2 pixels or more; the first is {first.shape[1]} x {first.shape[0]}"
        )
    checked = _same_size(chain([first], given), first.shape)
    with whole_file(path) as temporary:
        return (_write_gif if suffix == ".gif" else _write_mp4)(temporary, checked, rate)


def _same_size(frames: Iterable[np.ndarray], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    for number, frame in enumerate(frames):
        if frame.shape != shape:
            raise ShapeError(
                f"picture {number + 1} is {frame.shape[1]} x {frame.shape[0]} pixels, the first {shape[1]} x {shape[0]}: "
                "a movie has one size (--size makes one of photos of the same shape)"
            )
        yield frame


def _write_gif(path: Path, frames: Iterator[np.ndarray], rate: float) -> int:
    from PIL import Image

    images = [Image.fromarray(frame).quantize(256, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    step = max(2 * GIF_STEP, round(1000 / rate / GIF_STEP) * GIF_STEP)  # viewers slow faster ones down
    images[0].save(path, "gif", save_all=True, append_images=images[1:], duration=step, loop=0)
    return len(images)


def _write_mp4(path: Path, frames: Iterator[np.ndarray], rate: float) -> int:
    av = pyav()
    count = 0
    with av.open(str(path), "w", format="mp4") as container:
        stream = None
        for frame in frames:
            even = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]  # what the colour format takes
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt, stream.options = "yuv420p", {"crf": QUALITY}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count
