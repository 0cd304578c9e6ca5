"""`twodasl infer`: photos to a run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .main import EXIT_SOME_FAILED
from .options import FILE, json_option, model_option, note, only_option, output_option, overwrite_option, rows_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from twodasl.models.inference import BoxSource, Outcome
    from twodasl.models.tables import Table

MOST_NAMED = 20  # failed inputs named one by one on stderr; all of them are in the run


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FOLDER|PHOTO...|VIDEO|-")
@output_option("The run to write (.h5).")
@click.option("--weights", "weights_path", type=FILE, required=True, help="Weights file (.safetensors).")
@model_option
@click.option("--cropped", is_flag=True, help="The inputs are 120-pixel crops already.")
@click.option("--boxes", type=FILE, help="Boxes: .npy with --rows, CSV or JSON lines; pixels from 1, ends inside.")
@click.option(
    "--boxes-from", type=click.Choice(["truth", "landmarks"]),
    help="Take boxes from the annotation .mat beside each photo, or from --landmarks.",
)  # fmt: skip
@click.option(
    "--boxes-are", type=click.Choice(["crop", "face"]), default="crop", show_default=True,
    help="What --boxes hold: the crop itself, or a face detector's box to make it from.",
)  # fmt: skip
@click.option(
    "--box-kind", type=click.Choice(["clipped", "cut"]), default="clipped", show_default=True,
    help="With --cropped: whether --boxes were clipped to the photo, as AFLW2000-3D's are.",
)  # fmt: skip
@click.option(
    "--landmarks", type=FILE, help="68 landmarks per image: detector list, .npy with --rows, CSV, JSON lines."
)
@click.option(
    "--origin", type=click.Choice(["0", "1"]), default="0", show_default=True, help="First pixel of --landmarks."
)
@rows_option
@only_option
@click.option("-0", "--null", is_flag=True, help="Names on stdin end with a NUL byte (find -print0).")
@click.option("--batch-size", type=click.IntRange(1, 4096), default=32, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="As torch names it: cpu, cuda, cuda:1, mps.")
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Threads that read photos.")
@click.option("--dense", is_flag=True, help="Also store every vertex of every face.")
@overwrite_option
@json_option
def infer(
    inputs: tuple[str, ...],
    output: Path,
    weights_path: Path,
    model_path: Path | None,
    cropped: bool,
    boxes: Path | None,
    boxes_from: str | None,
    boxes_are: str,
    box_kind: str,
    landmarks: Path | None,
    origin: str,
    rows: Path | None,
    only: Path | None,
    null: bool,
    batch_size: int,
    device: str,
    jobs: int,
    dense: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Reconstruct the face in every photo and write them to a run.

    Photos come from a folder, as arguments, or as names on stdin (-). An interrupted command continues where it
    stopped when it is given again. Of a video one face is followed: --boxes or --landmarks of NAME_000000 say where it
    is in the first frame, each later frame begins where the one before ended. Exit code 3: some inputs failed; the run says which and why.
    """
    from twodasl.models.checkpoints import Weights
    from twodasl.models.inference import InferenceSettings, collect_inputs, part_path
    from twodasl.models.inference import infer as infer_run
    from twodasl.models.inputs import RUN_SUFFIXES
    from twodasl.models.library import open_model
    from twodasl.models.video import infer_video, video_info

    if output.suffix.lower() not in RUN_SUFFIXES:
        raise click.UsageError(f"-o {output}: a run is one file that ends in {' or '.join(sorted(RUN_SUFFIXES))}")
    source = _box_source(cropped, boxes, boxes_from, landmarks)
    settings = InferenceSettings(
        cropped=cropped,
        box_source=source,
        box_kind=box_kind,  # type: ignore[arg-type]  # click.Choice
        face_boxes=boxes_are == "face",
        origin=int(origin),
        batch_size=batch_size,
        device=device,
    )
    video = _only_video(inputs)
    paths = [] if video is not None else _photo_paths(inputs, null)
    items = [] if video is not None else collect_inputs(paths, boxes, landmarks, rows, only)
    if video is not None and (cropped or only is not None or dense):
        raise click.UsageError("--cropped, --only and --dense are for photos, not for a video")
    if only is not None:
        _note_absent(only, {item.name for item in items})
    weights = Weights.load(weights_path)
    if weights.landmark_map != "none" and landmarks is None:
        raise click.UsageError(f"{weights_path} takes landmarks as a fourth channel: hand them over with --landmarks")
    model = open_model(model_path, weights.basis_id, str(weights_path))

    from twodasl.models.predictor import Predictor

    predictor = Predictor(weights, device)
    failed = _Failed()
    total = len(items) if video is None else video_info(video).frames
    with _reporter(total, as_json, failed) as (report, tell):
        try:
            if video is not None:
                tables = _table(boxes, rows, (4,), "boxes"), _table(landmarks, rows, (136, 204), "landmarks")
                total = infer_video(
                    video, predictor, model, output, settings, *tables, overwrite=overwrite, on_outcome=report
                )
            else:
                infer_run(
                    items, predictor, model, output, settings,
                    overwrite=overwrite, dense=dense, jobs=jobs, on_outcome=report, on_note=tell,
                )  # fmt: skip
        except KeyboardInterrupt:
            if part_path(output).exists():
                note(f"Stopped. The same command goes on from {part_path(output)}")
            raise
    note(f"{total - failed.count} of {total} faces in {output}")
    note(f"Terms: face model: {model.terms}; weights: {weights.terms}")
    if failed.count:
        for line in failed.first:
            note(line)
        if failed.count > MOST_NAMED:
            note(f"and {failed.count - MOST_NAMED} more; 'twodasl run info {output}' names them all")
        sys.exit(EXIT_SOME_FAILED)


def _box_source(cropped: bool, boxes: Path | None, boxes_from: str | None, landmarks: Path | None) -> "BoxSource":
    if boxes is not None and boxes_from is not None:
        raise click.UsageError("--boxes and --boxes-from exclude each other")
    if boxes is not None:
        return "boxes"
    if cropped:
        if boxes_from is not None:
            raise click.UsageError("--boxes-from is for photos; crops take --boxes, or none")
        return "none"
    if boxes_from == "truth":
        return "truth"
    if landmarks is not None:
        return "landmarks"
    if boxes_from == "landmarks":
        raise click.UsageError("--boxes-from landmarks needs --landmarks")
    raise click.UsageError(
        "where are the faces? Say --boxes, --boxes-from truth or --landmarks, or --cropped for crops"
    )


def _note_absent(only: Path, names: set[str]) -> None:
    from twodasl.models.tables import read_names, shorten

    listed = read_names(only)
    absent = [name for name in listed if name not in names]
    if absent:
        note(f"{len(absent)} of the {len(listed)} names in {only} have no photo here: {shorten(absent)}")


def _table(path: Path | None, rows: Path | None, widths: tuple[int, ...], what: str) -> "Table | None":
    from twodasl.models.tables import read_table

    return None if path is None else read_table(path, rows, widths, what)


def _only_video(inputs: tuple[str, ...]) -> Path | None:
    """The video among the inputs, which is then the only one."""
    from twodasl.models.video import VIDEO_SUFFIXES

    videos = [Path(name) for name in inputs if Path(name).suffix.lower() in VIDEO_SUFFIXES]
    if videos and len(inputs) > 1:
        raise click.UsageError(f"{videos[0]} is a video: one video at a time, without photos beside it")
    return videos[0] if videos else None


def _photo_paths(inputs: tuple[str, ...], null: bool) -> list[Path]:
    from twodasl.models.errors import FileError
    from twodasl.models.inference import list_photos

    paths: list[Path] = []
    for name in inputs:
        if name == "-":
            paths += _paths_on_stdin(null)
        elif Path(name).is_dir():
            paths += list_photos(Path(name))
        elif Path(name).exists():
            paths.append(Path(name))
        else:
            raise FileError(f"cannot read {name}: no such file or folder")
    if not paths:
        raise FileError("no photos: the list on stdin is empty")
    return paths


def _paths_on_stdin(null: bool) -> list[Path]:
    import os

    data = sys.stdin.buffer.read()
    if b"\0" in data and not null:
        raise click.UsageError("the names on stdin end with NUL bytes (find -print0): say -0")
    names = data.split(b"\0") if null else data.splitlines()
    return [Path(os.fsdecode(name)) for name in names if name.strip()]


@dataclass
class _Failed:
    """How many inputs failed, and a line on each of the first: a run may have any number of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        self.count += 1
        if len(self.first) < MOST_NAMED:
            self.first.append(line)


@contextmanager
def _reporter(
    total: int, as_json: bool, failed: _Failed
) -> "Iterator[tuple[Callable[[Outcome], None], Callable[[str], None]]]":
    """Tells of each face, and notes: a JSON line on stdout where asked for, a progress bar on a terminal's stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("faces"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal or (as_json and sys.stdout.isatty())  # lines and bar would mix
    with Progress(*columns, console=console, disable=hidden, redirect_stdout=False) as progress:
        task = progress.add_task("faces", total=total)

        def report(outcome: "Outcome") -> None:
            if outcome.status != "ok":
                failed.add(f"{outcome.name}: {outcome.status} ({outcome.message})")
            if as_json:
                click.echo(_json_line(outcome))
            progress.advance(task)

        def tell(text: str) -> None:
            console.print(text, markup=False, highlight=False, soft_wrap=True)

        yield report, tell


def _json_line(outcome: "Outcome") -> str:
    import json

    from twodasl.models.runs import face_facts

    record = outcome.record
    facts = face_facts(record["coefficients"], record["box"], str(record["box_kind"]), record["image_size"])
    return json.dumps(
        {"name": outcome.name, "face": 0, "status": outcome.status, "path": outcome.path, "message": outcome.message}
        | facts
    )
