"""What every kind of rendering shares: its options, the loop over faces, and what is said at the end."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .main import EXIT_ERROR, EXIT_SOME_FAILED
from .options import FILE, model_option, note, only_option, output_option, overwrite_option, progress, rows_option

if TYPE_CHECKING:
    from twodasl.models.inference import Outcome
    from twodasl.rendering.faces import Faces

Item = TypeVar("Item")
Made = TypeVar("Made")

INPUT_OPTIONS = ("rows", "whitening", "boxes", "model_path", "convention", "frame_in")


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how to read INPUT."""
    decorators: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        model_option,
        rows_option,
        only_option,
        click.option("--whitening", type=FILE, help="Mean and std of a network's outputs (.pkl), for coefficients."),
        click.option("--boxes", type=FILE, help="Crop boxes, for coefficients and crop-frame vertex files."),
        click.option(
            "--convention", type=click.Choice(["3ddfa", "3ddfa-v2"]), help="Of coefficients [default: 3ddfa]."
        ),
        click.option(
            "--frame-in", type=click.Choice(["photo", "crop"]), help="Frame of vertex files [default: recognised]."
        ),
        click.option(
            "--weights", type=FILE,
            help="INPUT is a photo or a folder of photos: predict their faces first, with these weights.",
        ),
        click.option(
            "--boxes-from", type=click.Choice(["truth", "landmarks"]),
            help="With --weights: boxes from the annotation beside each photo, or from --landmarks.",
        ),
        click.option("--landmarks", "points", type=FILE, help="With --weights: 68 landmarks per photo, from 0."),
        overwrite_option,
        click.option(
            "--jobs", type=click.IntRange(1, 64), default=min(4, os.cpu_count() or 1), show_default=True,
            help="Faces drawn side by side.",
        ),
    ]  # fmt: skip
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """INPUT, -o and the options that say how to read INPUT."""
    command = output_option("File, or folder for many.")(input_options(command))
    return click.argument("input_path", metavar="INPUT", type=FILE)(command)


photos_option = click.option(
    "--photos", type=FILE, help="Folder of the photos, by name [default: where the input says]."
)


@dataclass
class Chosen:
    """The faces of an input that --only leaves. rows: theirs. failed: names that cannot be drawn, and why."""

    faces: "Faces"
    rows: list[int]
    failed: dict[str, str]


def choose(options: dict[str, Any], input_path: Path, surface: bool = False) -> Chosen:
    """Open INPUT. surface: its meshes need triangles. Raises NamesError where it holds no faces."""
    from twodasl.models.errors import DegenerateFaceError, NamesError
    from twodasl.models.inputs import InputOptions
    from twodasl.models.tables import read_names
    from twodasl.rendering.faces import MeshFaces, open_faces

    if options["weights"] is not None:
        faces: Faces = _predicted(options, input_path)
    elif options["boxes_from"] is not None or options["points"] is not None:
        raise click.UsageError("--boxes-from and --landmarks are for photos: they go with --weights")
    else:
        faces = open_faces(
            input_path,
            InputOptions(
                rows=options["rows"],
                whitening=options["whitening"],
                boxes=options["boxes"],
                model=options["model_path"],
                convention=options["convention"],
                frame_in=options["frame_in"],
            ),
        )
    if surface and not isinstance(faces, MeshFaces) and len(faces.model.triangles) == 0:
        raise DegenerateFaceError(
            f"the face model {faces.model.name!r} has no triangles, so there is no surface to draw: import it again "
            "with tri.mat in its folder"
        )
    wanted = set(read_names(options["only"])) if options["only"] is not None else None
    rows = [row for row, name in enumerate(faces.names) if wanted is None or name in wanted]
    failed = {name: why for name, why in faces.failed.items() if wanted is None or name in wanted}
    if wanted is not None:
        failed |= dict.fromkeys(sorted(wanted - set(faces.names) - set(faces.failed)), "not in the input")
    if not rows and not failed:
        raise NamesError(f"{input_path} holds no faces")
    return Chosen(faces, rows, failed)


def _predicted(options: dict[str, Any], path: Path) -> "Faces":
    """The faces that a network finds in a photo, or in the photos of a folder."""
    from tempfile import TemporaryDirectory

    from twodasl.models.checkpoints import Weights
    from twodasl.models.errors import FileError
    from twodasl.models.inference import InferenceSettings, collect_inputs, infer, list_photos
    from twodasl.models.library import open_model
    from twodasl.models.predictor import Predictor
    from twodasl.models.runs import Run
    from twodasl.rendering.faces import RunFaces

    for name in ("whitening", "convention", "frame_in"):
        if options[name] is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} is for other inputs: --weights say all that")
    source = "boxes" if options["boxes"] is not None else options["boxes_from"]
    if source is None and options["points"] is None:
        raise click.UsageError("where are the faces? With --weights say --boxes, --boxes-from truth or --landmarks")
    if not path.exists():
        raise FileError(f"cannot read {path}: no such file or folder")
    photos = list_photos(path) if path.is_dir() else [path]
    items = collect_inputs(photos, options["boxes"], options["points"], options["rows"], options["only"])
    weights = Weights.load(options["weights"])
    if weights.landmark_map != "none" and options["points"] is None:
        raise click.UsageError(f"{options['weights']} take landmarks as a fourth channel: hand over --landmarks")
    model = open_model(options["model_path"], weights.basis_id, str(options["weights"]))
    settings = InferenceSettings(box_source=source or "landmarks")  # type: ignore[arg-type]  # click.Choice
    with TemporaryDirectory() as folder, progress("reconstruct", len(items)) as advance:
        output = Path(folder) / "run.h5"
        said: dict[str, str] = {}

        def report(outcome: "Outcome") -> None:
            said[outcome.name] = outcome.message
            advance(1)

        infer(items, Predictor(weights), model, output, settings, on_outcome=report)
        faces = RunFaces(Run.load(output), model)
    faces.failed |= {name: said[name] for name in faces.failed if said.get(name)}
    return faces


def in_order(work: Callable[[Item], Made], items: Iterable[Item], jobs: int) -> Iterator[Future[Made]]:
    """`work` on every item, `jobs` at a time, in order; at most two a thread are under way or wait to be taken.

    Several jobs share the cores, so that each one's matrix products take a single thread: a third faster on two cores.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if jobs > 1 else None), ThreadPoolExecutor(jobs) as pool:
        running: deque[Future[Made]] = deque()
        try:
            for item in items:
                running.append(pool.submit(work, item))
                if len(running) > 2 * jobs:
                    yield running.popleft()
            while running:
                yield running.popleft()
        finally:
            pool.shutdown(cancel_futures=True)


def draw_each(
    options: dict[str, Any],
    chosen: Chosen,
    suffixes: Sequence[str],
    names: dict[str, list[int]],
    draw: Callable[[list[int], Path], None],
    companions: Sequence[str] = (),
) -> None:
    """One file for each name (of the faces in these rows) that is not there yet, then what became of them all.

    A file that cannot be drawn is named; the others go on. companions: suffixes of the files that belong to each.
    """
    from twodasl.models.errors import NamesError, TwodaslError
    from twodasl.rendering.output import Output

    output = Output(options["output"], suffixes, options["overwrite"])
    if names:
        output.prepare(list(names))
    kept: list[str] = []
    waiting: list[str] = []
    failed = dict(chosen.failed)
    for name in names:
        try:
            done = output.done(name)
        except NamesError as error:
            failed[name] = str(error)
            continue
        missing = [suffix for suffix in companions if done and not output.file(name).with_suffix(suffix).is_file()]
        if missing:
            failed[name] = f"it is there already, without its {' and '.join(missing)}; --overwrite draws it again"
        else:
            (kept if done else waiting).append(name)

    def attempt(name: str) -> str | None:
        try:
            draw(names[name], output.file(name))
        except TwodaslError as error:
            if output.is_file:
                raise
            return str(error)
        return None

    with progress("faces", len(waiting)) as advance:
        for name, made in zip(waiting, in_order(attempt, waiting, options["jobs"]), strict=True):
            if (why := made.result()) is not None:
                failed[name] = why
            advance(1)
    if kept:
        note(f"{len(kept)} files were there already and are kept; --overwrite draws them again")
    drawn = len(waiting) - sum(name in failed for name in waiting)
    finish(chosen, f"{drawn} written to {output.path}", failed, drawn + len(kept))


def finish(chosen: Chosen, said: str, failed: dict[str, str], good: int) -> None:
    """Say what was written, its terms and what failed; exit with 3 if some failed, with 1 if all did."""
    note(said)
    note(f"Terms: {chosen.faces.terms}")
    if failed:
        # All of them: no file says which they were.
        note(f"{len(failed)} not drawn: {', '.join(f'{name} ({why})' for name, why in failed.items())}")
        sys.exit(EXIT_SOME_FAILED if good else EXIT_ERROR)
