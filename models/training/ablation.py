"""What does each part of the training bring? The same training with one part more in each row, and several seeds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from ..errors import FileError, SettingsError
from ..files import make_folder
from .data import WildPoints
from .distributed import joined
from .run import Asked, Drive, build_task, inputs_of, resume_training, settings_of, split, start_training
from .sets import TrainingSet
from .settings import LossWeights, TrainSettings
from .state import SETTINGS, STATE, Progress, load_state, read_settings

BASE = "labelled"
TERMS = ("landmarks", "self_2d", "self_3d", "cycle", "critic")
ROWS = (BASE, *TERMS)
# What a term counts in its row where the settings leave it out: the paper's four as there, the plain loss in full.
WEIGHTS = LossWeights(landmarks=1.0)
LOCK = ".lock"  # in a training's folder, held by the process that is at it
SHOWN = 3  # settings that differ, named in a message


@dataclass(frozen=True)
class Row:
    """One way to train. name: of its folder too. terms: the losses on top of the label loss. points: what is known of
    wild faces' points, empty for a training without wild faces. share: of the labelled faces. before: the row that it
    is compared with, from which it differs in one thing; empty for the first."""

    name: str
    terms: tuple[str, ...]
    points: str
    share: float
    before: str


@dataclass(frozen=True)
class Job:
    """One training of the ablation."""

    row: Row
    seed: int
    folder: Path
    asked: Asked
    settings: TrainSettings


def plan_rows(names: Sequence[str], points: Sequence[str], shares: Sequence[float]) -> tuple[Row, ...]:
    """The rows of the table: each named one adds its term to those named before it, once for each kind of wild points;
    then, for each share of the labelled faces below 1, the first row and the last.

    Where the plain landmark loss has a row, the labelled faces of every row have it: the row adds photos, nothing else.
    Raises SettingsError for names that are no rows, or do not begin with the one that the others add to.
    """
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise SettingsError(f"there is no row called {', '.join(unknown)}; the rows are {', '.join(ROWS)}")
    for kind in points:
        if kind not in get_args(WildPoints):
            raise SettingsError(f"wild points {kind!r}; {' or '.join(get_args(WildPoints))} is expected")
    if list(names[:1]) != [BASE] or len(set(names)) < len(names):
        raise SettingsError(f"rows {','.join(names)}: '{BASE}' first and each once is expected")
    if not all(0 < share <= 1 for share in shares) or len(set(shares)) < len(shares) or 1 not in shares:
        given = ",".join(f"{share:g}" for share in shares)
        raise SettingsError(f"labelled shares {given}: 1, and others between 0 and 1, each once, are expected")
    added = names[1:]
    own = tuple(name for name in added if name == "landmarks")
    rows = [Row(BASE, own, "", 1.0, "")]
    for kind in points:
        before = BASE
        for number, name in enumerate(added):
            rows.append(Row(f"{name}-{kind}", tuple(added[: number + 1]), kind, 1.0, before))
            before = rows[-1].name
    for share in sorted(set(shares) - {1.0}, reverse=True):
        few = Row(f"{BASE}-{share:g}", own, "", share, BASE)
        rows.append(few)
        if added:
            rows += [Row(f"{added[-1]}-{kind}-{share:g}", tuple(added), kind, share, few.name) for kind in points]
    return tuple(rows)


def plan_jobs(folder: Path, asked: Asked, rows: Sequence[Row], seeds: Sequence[int]) -> tuple[Job, ...]:
    """Every training, seed by seed: after the first seed every row has a number. asked: what all rows have in common.

    Raises SettingsError for a row that would be the same as the one before it.
    """
    whole = settings_of(asked)
    return tuple(_job(folder, asked, whole, row, seed) for seed in seeds for row in rows)


def _job(folder: Path, asked: Asked, whole: TrainSettings, row: Row, seed: int) -> Job:
    weights = {}
    for term in TERMS:
        given = getattr(whole.losses, term) or getattr(WEIGHTS, term)
        weights[term] = given if term in row.terms else 0.0
    if whole.map_kind == "none" and {"self_3d", "cycle"} & set(row.terms):
        raise SettingsError(f"row {row.name} feeds landmarks back, and with --map none the network sees none")
    changes = [*(f"losses.{term}={weight}" for term, weight in weights.items()), f"labelled_share={row.share}"]
    if row.points:
        changes.append(f"data.wild_points={row.points}")
    own = replace(asked, wild=asked.wild if row.points else None, seed=seed, changes=(*asked.changes, *changes))
    return Job(row, seed, folder / row.name / f"seed{seed}", own, settings_of(own))


def labelled_faces(jobs: Sequence[Job]) -> dict[str, int]:
    """How many labelled faces each row trains on, by its name. Raises SettingsError where they are fewer than a batch
    has, FileError for a set that cannot be read."""
    names = TrainingSet.open(jobs[0].asked.labelled).names
    found = {}
    for job in jobs:
        count = len(split(names, job.settings)[1])
        asked = job.settings.batch if job.asked.wild is None else round(job.settings.batch * job.settings.labelled)
        if count < asked:
            raise SettingsError(
                f"row {job.row.name} has {count} labelled faces, fewer than the {asked} of a batch: a larger share, a "
                "smaller --batch, or more faces are expected"
            )
        found[job.row.name] = count
    return found


def check_jobs(jobs: Sequence[Job]) -> None:
    """Look at everything before hours are spent. Raises FileError for sets that do not serve, and for a folder with a
    training of other settings, naming those."""
    for job in jobs:
        if (job.folder / SETTINGS).exists():
            _check_same(job)
    with joined("cpu") as world:
        if world.size > 1:
            raise SettingsError("an ablation is done by one process; start it without torchrun")
        for kind in dict.fromkeys(bool(job.row.points) for job in jobs):
            job = next(job for job in jobs if bool(job.row.points) == kind)
            build_task(job.settings, inputs_of(job.asked), 0, world)


def _check_same(job: Job) -> None:
    written = dict(_flat(read_settings(job.folder)))
    wanted = dict(_flat({"settings": job.settings.as_dict(), "inputs": inputs_of(job.asked)}))
    absent = object()
    names = [name for name in (*wanted, *written) if written.get(name, absent) != wanted.get(name, absent)]
    if names:
        shown = "; ".join(
            f"{name.split('.', 1)[1]} was {written.get(name, 'not known')} and is {wanted.get(name, 'not known')}"
            for name in dict.fromkeys(names[:SHOWN])
        )
        more = f" and {len(set(names)) - SHOWN} more" if len(set(names)) > SHOWN else ""
        raise FileError(f"{job.folder} holds a training with other settings: {shown}{more}; choose another -o")


def _flat(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with the way to it, dots between the steps."""
    if isinstance(tree, dict | list | tuple) and tree:
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, [] if tree == () else tree


def finished(job: Job) -> Progress | None:
    """Where a finished training ended; None for one that is to begin or to go on."""
    if not (job.folder / STATE).exists():
        return None
    progress = read_progress(job.folder)
    worn = 0 < job.settings.validation.patience <= progress.worse
    return progress if worn or progress.step >= progress.steps else None


def read_progress(folder: Path) -> Progress:
    import torch

    return load_state(folder, torch.device("cpu"))[0]


@contextmanager
def claimed(job: Job) -> Iterator[bool]:
    """Whether this process is the one that does the job: the same command in another shell leaves it alone meanwhile.
    A process that dies lets go of what it claimed."""
    from filelock import FileLock, Timeout

    make_folder(job.folder)
    lock = FileLock(job.folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def do_job(job: Job, drive: Drive) -> None:
    """Begin a training, or go on with one that was stopped."""
    if (job.folder / STATE).exists():
        asked = job.asked
        resume_training(
            job.folder, steps=None, minutes=None, workers=asked.workers, device=asked.device,
            model_path=asked.model_path, drive=drive,
        )  # fmt: skip
    else:
        start_training(job.folder, job.asked, overwrite=True, drive=drive)
