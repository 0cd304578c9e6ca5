"""Synthetic training sets: faces as examples, one by one or a whole file, by any number of processes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ...models.boxes import WHOLE_CROP
from ...models.errors import SettingsError, TwodaslError
from ...models.files import check_space
from ...models.training.sets import Example, SetInfo, write_set
from .backgrounds import list_backgrounds
from .develop import jpeg
from .head import Head, load_head
from .scene import draw_face
from .settings import SynthSettings

FACES_A_TASK = 8
LARGEST_EXAMPLE = 24_000  # bytes, about what a noisy crop of the best quality takes
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def synthetic_example(settings: SynthSettings, head: Head, index: int, photos: tuple[Path, ...] = ()) -> Example:
    """Face number `index` of the set with these settings. head: `head_of(settings)`. photos: its backgrounds."""
    rng = settings.rng(index)
    face = draw_face(rng, head, settings, photos)
    return Example(
        name=f"synth{settings.seed}-{index:06}",
        jpg=jpeg(rng, face.picture),
        coefficients=face.coefficients,
        landmarks=face.landmarks.astype("<f4"),
        visible=face.visible,
        box=WHOLE_CROP.copy(),
    )


def head_of(settings: SynthSettings) -> Head:
    """What the faces of these settings share; kept, as it takes a second to make."""
    return load_head(settings.level, settings.identity, settings.expression, settings.points)


def synthetic_info(settings: SynthSettings) -> SetInfo:
    """What holds for every face of a synthetic set."""
    model = head_of(settings).truth
    return SetInfo(
        basis_id=model.basis_id,
        n_identity=settings.identity,
        n_expression=settings.expression,
        convention="3ddfa",
        labels="synthetic",
        model_name=model.name,
        terms=f"face model: {model.terms}; pictures: made up"
        + ("" if settings.backgrounds is None else "; backgrounds: as their owners say"),
        settings={**asdict(settings), "backgrounds": str(settings.backgrounds or "")},
        landmark_list=settings.points,
    )


def write_synthetic_set(
    output: Path,
    settings: SynthSettings,
    count: int,
    jobs: int = 1,
    on_done: Callable[[int], None] = lambda _: None,
) -> SetInfo:
    """Write a set of `count` faces, drawn by `jobs` processes; the file is the same for any number of them.

    Raises SettingsError for a count or a number of jobs below 1, FileError where backgrounds are missing or cannot be
    read, or the file cannot be written.
    """
    for name, value in (("count", count), ("jobs", jobs)):
        if value < 1:
            raise SettingsError(f"{name} is {value}; 1 or more is expected")
    photos = () if settings.backgrounds is None else list_backgrounds(settings.backgrounds)
    check_space(output, LARGEST_EXAMPLE * count)
    info = synthetic_info(settings)

    def counted() -> Iterator[Example]:
        for example in _examples(settings, count, min(jobs, count), photos):
            on_done(1)
            yield example

    write_set(output, info, counted())
    return info


def _examples(settings: SynthSettings, count: int, jobs: int, photos: tuple[Path, ...]) -> Iterator[Example]:
    """The faces in order. Always drawn by fresh processes of one thread: so their bytes depend on nothing else."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    tasks = [range(first, min(first + FACES_A_TASK, count)) for first in range(0, count, FACES_A_TASK)]
    with _one_thread(), ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting = [pool.submit(_draw, settings, task, photos) for task in tasks]
        try:
            for done in waiting:
                yield from done.result()
        except BrokenProcessPool as error:
            raise TwodaslError("a process that draws faces was killed, perhaps for want of memory") from error
        finally:
            for task in waiting:
                task.cancel()


def _draw(settings: SynthSettings, indices: range, photos: tuple[Path, ...]) -> list[Example]:
    return [synthetic_example(settings, head_of(settings), index, photos) for index in indices]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started meanwhile use one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
