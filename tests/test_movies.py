"""Movies: what is written, what is refused, and that nothing half-written stays."""

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tests.toy import toy_face_model
from twodasl.models.errors import DegenerateFaceError, FileError, ShapeError, TwodaslError
from twodasl.rendering.movies import write_movie
from twodasl.rendering.turntable import turntable


def frames(count: int = 5, width: int = 32, height: int = 24) -> list[np.ndarray]:
    """A white bar that goes to the right."""
    pictures = np.zeros((count, height, width, 3), np.uint8)
    for number in range(count):
        pictures[number, :, 4 * number : 4 * number + 4] = 255
    return list(pictures)


def read_mp4(path: Path) -> tuple[list[np.ndarray], float]:
    """Its pictures, and how many a second."""
    av = pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return pictures, float(container.streams.video[0].average_rate)


def test_a_gif_loops_and_has_every_picture(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.GIF"
    assert write_movie(path, iter(frames()), 20) == 5
    with Image.open(path) as movie:
        assert movie.format == "GIF"
        assert movie.size == (32, 24)
        assert movie.info["loop"] == 0
        shown = [(np.asarray(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(movie)]
    assert [duration for _, duration in shown] == [50] * 5
    for (picture, _), given in zip(shown, frames(), strict=True):
        np.testing.assert_array_equal(picture, given)
    assert [path.name for path in path.parent.iterdir()] == ["a.GIF"]


@pytest.mark.parametrize(("rate", "milliseconds"), [(25, 40), (240, 20), (0.5, 2000), (30, 30)])
def test_a_gif_takes_as_long_as_it_should(rate: float, milliseconds: int, tmp_path: Path) -> None:
    """In hundredths of a second, as GIF counts, and no faster than viewers go."""
    write_movie(tmp_path / "a.gif", frames(3), rate)
    with Image.open(tmp_path / "a.gif") as movie:
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(movie)] == [milliseconds] * 3


def test_pictures_that_do_not_move_take_their_time_too(tmp_path: Path) -> None:
    """GIF may hold equal pictures as one that stays longer."""
    assert write_movie(tmp_path / "a.gif", frames(1) * 4, 20) == 4
    with Image.open(tmp_path / "a.gif") as movie:
        assert sum(frame.info.get("duration", 0) for frame in ImageSequence.Iterator(movie)) in (0, 200)


@pytest.mark.parametrize(("width", "height"), [(32, 24), (33, 25), (3, 2)])
def test_an_mp4_has_every_picture_in_an_even_size(width: int, height: int, tmp_path: Path) -> None:
    """Odd sizes lose their last column or row: H.264's colours come two by two."""
    pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")
    path = tmp_path / "a.mp4"
    given = [np.full((height, width, 3), level, np.uint8) for level in (10, 120, 240)]
    assert write_movie(path, iter(given), 12.5) == 3
    shown, rate = read_mp4(path)
    assert rate == 12.5
    assert [picture.shape for picture in shown] == [(height // 2 * 2, width // 2 * 2, 3)] * 3
    np.testing.assert_allclose([picture.mean() for picture in shown], [10, 120, 240], atol=4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_an_mp4_moves_as_given(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")
    write_movie(tmp_path / "a.mp4", frames(), 25)
    shown, _ = read_mp4(tmp_path / "a.mp4")
    assert [int(picture.mean(axis=(0, 2)).argmax()) // 4 for picture in shown] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_movie_of_other_things_is_refused(suffix: str, tmp_path: Path) -> None:
    if suffix == ".mp4":
        pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")
    path = tmp_path / f"a{suffix}"
    with pytest.raises(FileError, match=rf"a{suffix} would hold no pictures"):
        write_movie(path, [])
    with pytest.raises(ShapeError, match=r"picture 3 is 30 x 24 pixels, the first 32 x 24: a movie has one size"):
        write_movie(path, [*frames(2), frames(1, 30)[0]])
    for rate in (0, -1, float("nan")):
        with pytest.raises(TwodaslError, match="more than 0"):
            write_movie(path, frames(), rate)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.webm", "a.avi", "a.png", "a"])
def test_other_kinds_of_movies_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=rf"{name}: movies are written as \.gif and \.mp4"):
        write_movie(tmp_path / name, frames())
    assert list(tmp_path.iterdir()) == []


def test_a_picture_too_small_for_an_mp4(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"2 x 2 pixels or more; the first is 5 x 1"):
        write_movie(tmp_path / "a.mp4", frames(2, 5, 1))
    assert write_movie(tmp_path / "a.gif", frames(2, 5, 1)) == 2


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
@pytest.mark.parametrize(
    ("stop", "error"),
    [
        (DegenerateFaceError("no face"), DegenerateFaceError),
        (OSError(28, "No space left on device"), FileError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_nothing_half_written_stays(
    there: bool, stop: BaseException, error: type[BaseException], suffix: str, tmp_path: Path
) -> None:
    """A picture fails half way: what was there before is as it was, else there is nothing."""
    if suffix == ".mp4":
        pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")
    path = tmp_path / f"a{suffix}"
    if there:
        path.write_text("before")

    def failing() -> Iterator[np.ndarray]:
        yield from frames(3)
        raise stop

    with pytest.raises(error):
        write_movie(path, failing())
    assert [path.name for path in tmp_path.iterdir()] == ([path.name] if there else [])
    assert not there or path.read_text() == "before"


def test_without_pyav_only_gifs_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(TwodaslError, match=r"pip install 'twodasl\[video\]'; GIFs do without"):
        write_movie(tmp_path / "a.mp4", frames())
    assert list(tmp_path.iterdir()) == []
    assert write_movie(tmp_path / "a.gif", frames()) == 5


# --- turning a face -----------------------------------------------------------------------------


def test_a_face_swings_to_both_sides_and_back() -> None:
    """The toy face is symmetric: what it shows on one side it shows mirrored on the other."""
    model = toy_face_model()
    turned = list(turntable(model.mean, model.triangles, count=8, size=64, sway=50))
    assert [picture.shape for picture in turned] == [(64, 64, 3)] * 8
    np.testing.assert_allclose(turned[1].astype(int), turned[3], atol=1)  # going and coming back
    assert np.abs(turned[2][:, ::-1].astype(int) - turned[6]).mean() < 0.5
    first, side = ((picture != 245).any(axis=2) for picture in (turned[0], turned[2]))
    assert side.sum() < first.sum()  # narrower from the side
    for picture in turned:
        rows, columns = np.nonzero((picture != 245).any(axis=2))
        assert min(rows.min(), columns.min()) > 0  # it stays inside the picture
        assert max(rows.max(), columns.max()) < 63
    around = list(turntable(model.mean, model.triangles, count=4, size=64, sway=180))
    assert (around[2] != 245).any()  # its inside, from behind
    np.testing.assert_array_equal(around[0], turned[0])


def test_a_coloured_face_turns_in_its_colors() -> None:
    model = toy_face_model()
    red = np.tile([0.8, 0.1, 0.1], (len(model.mean), 1))
    picture = next(turntable(model.mean, model.triangles, red, count=4, size=64))
    np.testing.assert_allclose(picture[32, 32], (204, 26, 26), atol=6)  # light from the viewer: its own colour
    unit = next(turntable(model.mean / 1e6, model.triangles, red, count=4, size=64))
    np.testing.assert_allclose(picture.astype(int), unit, atol=1)  # whatever the unit


def test_meshes_that_cannot_turn() -> None:
    model = toy_face_model()
    broken = model.mean.copy()
    broken[5] = np.nan
    with pytest.raises(DegenerateFaceError, match="number 5"):
        next(turntable(broken, model.triangles))
    with pytest.raises(ShapeError, match="vertex 1020"):
        next(turntable(model.mean, model.triangles + 1))
