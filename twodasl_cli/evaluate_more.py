"""`twodasl eval pose`, `aflw`, `scan` and `jitter`: what else people measure."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    FILE,
    Command,
    json_option,
    model_option,
    note,
    only_option,
    output_option,
    overwrite_option,
    progress,
    rows_option,
)
from .report import check_report_folder, write_measured_report, write_nme_report

if TYPE_CHECKING:
    from twodasl.evaluation.measured import Measured

_inputs = click.argument("inputs", metavar="[NAME=]INPUT...", nargs=-1, required=True)


_output = output_option("Folder for the report: page, curve, numbers (docs/report.md).", required=False)


def _reading(command: Command) -> Command:
    """The options that say how coefficients are read."""
    options: tuple[Callable[[Command], Command], ...] = (
        rows_option,
        only_option,
        click.option("--whitening", type=FILE, help="Mean and std of a network's outputs (.pkl), for coefficients."),
        click.option("--boxes", type=FILE, help="Crop boxes of the coefficients [default: the truth's]."),
        click.option("--convention", type=click.Choice(["3ddfa", "3ddfa-v2"]),
                     help="How coefficients leave the crop [default: 3ddfa]."),
        model_option,
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _options(rows: Any, whitening: Any, boxes: Any, convention: Any, model_path: Any) -> Any:
    from twodasl.models.inputs import InputOptions

    return InputOptions(rows=rows, whitening=whitening, boxes=boxes, convention=convention, model=model_path)


def _show(results: "Sequence[Measured]", output: Path | None, overwrite: bool, as_json: bool) -> None:
    """Notes to stderr, the report where one is asked for, and the numbers to stdout."""
    import json

    from twodasl.evaluation.compare import compare, comparison_text
    from twodasl.evaluation.measured import measured_table
    from twodasl.evaluation.report import document

    for text in dict.fromkeys(text for result in results for text in result.notes):
        note(f"Note: {text}")
    compared = compare(results)
    if output is not None:
        write_measured_report(output, results, compared, overwrite)
    if as_json:
        click.echo(json.dumps(document(results)))
        return
    click.echo("\n\n".join([measured_table(results), *([comparison_text(compared)] if compared else [])]))


@click.command()
@_inputs
@click.option("--truth", type=FILE, required=True, help="AFLW2000-3D annotations (.mat), or the benchmark's folder.")
@click.option(
    "--protocol", "protocol_name", type=click.Choice(["standard", "exact"]), default="standard", show_default=True,
    help="standard: angles as 3DDFA reads them; exact: in the annotation's own order.",
)  # fmt: skip
@_reading
@_output
@overwrite_option
@json_option
def pose(
    inputs: tuple[str, ...],
    truth: Path,
    protocol_name: str,
    only: Path | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Head pose of INPUT: mean absolute error of yaw, pitch and roll, and the angle between rotations.

    Angles count where the true one is within 99 degrees; images beyond in yaw are left out and named.
    """
    from twodasl.evaluation.methods import open_scored, parse_method
    from twodasl.evaluation.pose_error import read_truth_angles, score_pose

    check_report_folder(output, overwrite)
    options = _options(**reading)
    methods = [parse_method(text) for text in inputs]
    names, predictions = open_scored(methods, options, only)
    angles = read_truth_angles(truth, names)
    results = [score_pose(prediction, angles, protocol_name, options.model) for prediction in predictions]  # type: ignore[arg-type]
    _show(results, output, overwrite, as_json)


@click.command()
@_inputs
@click.option(
    "--truth", type=FILE, required=True, help="Labels (.npz): names, pts21, roi_box, yaw, pts68 or mb05_params."
)
@click.option(
    "--protocol", "protocol_name", type=click.Choice(["standard", "2dasl", "exact"]), default="standard",
    show_default=True, help="How crops are placed in the photo; 'twodasl eval protocols' lists them.",
)  # fmt: skip
@_reading
@_output
@overwrite_option
@json_option
def aflw(
    inputs: tuple[str, ...],
    truth: Path,
    protocol_name: str,
    only: Path | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """AFLW: NME of the visible ones of 21 points by yaw bin."""
    import json

    from twodasl.evaluation.aflw import face_model, open_aflw, score_aflw
    from twodasl.evaluation.compare import compare, comparison_text
    from twodasl.evaluation.methods import open_scored, parse_method
    from twodasl.evaluation.protocols import PROTOCOLS
    from twodasl.evaluation.report import document, tables

    check_report_folder(output, overwrite)
    options = _options(**reading)
    methods = [parse_method(text) for text in inputs]
    names, predictions = open_scored(methods, options, only, boxes_known=True)
    labels = open_aflw(truth, names, next((model for p in predictions if (model := face_model(p)) is not None), None))
    results = [score_aflw(prediction, labels, PROTOCOLS[protocol_name]) for prediction in predictions]
    for text in dict.fromkeys(text for result in results for text in result.notes):
        note(f"Note: {text}")
    compared = compare(results)
    if output is not None:
        write_nme_report(output, results, compared, overwrite)
    if as_json:
        click.echo(json.dumps(document(results)))
        return
    click.echo("\n\n".join([*tables(results), *([comparison_text(compared)] if compared else [])]))


@click.command()
@click.argument("inputs", metavar="[NAME=]MESHES...", nargs=-1, required=True)
@click.option("--truth", type=FILE, required=True, help="A scan, or a folder of them, named as the meshes are.")
@click.option("--truth-landmarks", type=FILE, help="Seven (or 68) landmarks of each scan, files of points.")
@click.option("--landmarks", type=FILE, help="The same of each mesh [default: those of --model].")
@click.option(
    "--unit", type=click.Choice(["mm", "cm", "m", "um"]), default="mm", show_default=True, help="Of the scans."
)
@click.option(
    "--align", type=click.Choice(["landmark7", "landmark7+icp", "icp"]), default="landmark7", show_default=True,
    help="Similarity from landmarks; the same and then ICP; or ICP alone, without scale.",
)  # fmt: skip
@click.option(
    "--radius", type=float, help="Count scan points within this many mm of the landmarks' middle [default: all]."
)
@only_option
@model_option
@_output
@overwrite_option
@json_option
def scan(
    inputs: tuple[str, ...],
    truth: Path,
    truth_landmarks: Path | None,
    landmarks: Path | None,
    unit: str,
    align: str,
    radius: float | None,
    only: Path | None,
    model_path: Path | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Meshes against scans: distance of every scan point to the mesh, in millimetres (NoW style).

    MESHES is a file or a folder; .ply, .obj, .glb, .stl, .off, .mat, or points as .npy or text.
    """
    from twodasl.evaluation.methods import parse_method
    from twodasl.evaluation.scan import ScanSettings, open_scans, score_scans
    from twodasl.models.library import load_model
    from twodasl.models.tables import check_unique, read_names

    check_report_folder(output, overwrite)
    scans = open_scans(truth, truth_landmarks, None if only is None else read_names(only))
    settings = ScanSettings(unit, align, radius)  # type: ignore[arg-type]  # click.Choice
    model = None if model_path is None else load_model(model_path)
    methods = [parse_method(text) for text in inputs]
    labels = [method.name or method.path.stem for method in methods]
    check_unique(labels, "the list of methods")
    with progress("scans", len(scans.files) * len(methods)) as step:
        results = [
            score_scans(label, method.path, scans, settings, model, landmarks, step)
            for label, method in zip(labels, methods, strict=True)
        ]
    _show(results, output, overwrite, as_json)


@click.command()
@click.argument("inputs", metavar="[NAME=]RUN...", nargs=-1, required=True)
@click.option("--dims", type=click.Choice(["2", "3"]), default="2", show_default=True)
@_output
@overwrite_option
@json_option
def jitter(inputs: tuple[str, ...], dims: str, output: Path | None, overwrite: bool, as_json: bool) -> None:
    """How much the landmarks of a video's RUN shake: their acceleration from frame to frame."""
    from twodasl.evaluation.jitter import score_jitter
    from twodasl.evaluation.methods import parse_method
    from twodasl.models.runs import Run
    from twodasl.models.tables import check_unique

    check_report_folder(output, overwrite)
    methods = [parse_method(text) for text in inputs]
    labels = [method.name or method.path.stem for method in methods]
    check_unique(labels, "the list of methods")
    runs = [Run.load(method.path) for method in methods]
    results = [score_jitter(run, label, int(dims)) for run, label in zip(runs, labels, strict=True)]
    _show(results, output, overwrite, as_json)
