"""`twodasl fit`: landmarks to a run, without a network."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .main import EXIT_SOME_FAILED
from .options import (
    FILE,
    json_option,
    model_option,
    note,
    only_option,
    output_option,
    overwrite_option,
    progress,
    rows_option,
)

if TYPE_CHECKING:
    from twodasl.models.fitting.runs import FitInputs, FittedRun
    from twodasl.models.fitting.settings import FitSettings

GROUPS = ("jaw", "brows", "nose", "eyes", "mouth")  # of models.fit_settings, without importing NumPy for the help
MOST_NAMED = 20  # failed faces named one by one on stderr; all of them are in the run


def _parse_group_weights(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    weights = {}
    for value in values:
        name, _, number = value.partition("=")
        try:
            if name not in GROUPS:
                raise ValueError
            weights[name] = float(number)
        except ValueError as error:
            raise click.BadParameter(f"'{value}': {'|'.join(GROUPS)}=NUMBER is expected, such as jaw=0.5") from error
    return weights


@click.command()
@click.argument("landmarks", type=FILE, metavar="LANDMARKS")
@output_option("The run to write (.h5).")
@model_option
@click.option(
    "--points", type=click.Choice(["semantic", "transferred"]),
    help="Which of the model's lists of 68 landmarks [default: transferred, where it has several].",
)  # fmt: skip
@click.option(
    "--subset", metavar="NAME,...", help="What a row holds, if not all 68: jaw, brows, nose, eyes, mouth or numbers."
)
@click.option("--boxes", type=FILE, help="Crop boxes: .npy with --rows, CSV or JSON lines; pixels from 1, ends inside.")
@click.option(
    "--box-kind", type=click.Choice(["clipped", "cut"]), default="clipped", show_default=True,
    help="Of crops: whether --boxes were clipped to the photo, as AFLW2000-3D's are.",
)  # fmt: skip
@click.option(
    "--frame-in", type=click.Choice(["photo", "crop"]),
    help="Of a table's points: photo, or 120-pixel crop [default: crop with --boxes, else photo].",
)  # fmt: skip
@click.option("--origin", type=click.Choice(["0", "1"]), help="First pixel of a table's points [default: 0].")
@rows_option
@only_option
@click.option("--oracle", is_flag=True, help="A table's points are annotations: follow them, and mark the run.")
@click.option("--camera", type=click.Choice(["scaled-orthographic", "affine"]), help="[default: scaled-orthographic]")
@click.option(
    "--robust", type=click.Choice(["none", "huber", "geman-mcclure", "student-t"]),
    help="Loss of a landmark's distance [default: none for annotations, else student-t].",
)  # fmt: skip
@click.option("--prior", type=float, help="Weight of the Gaussian prior; 0 is plain least squares [default: 1].")
@click.option(
    "--noise-mm", type=float, help="Spread of the landmarks on the face [default: 1 for annotations, else 3]."
)
@click.option(
    "--weight", "group_weights", multiple=True, metavar="GROUP=NUMBER", callback=_parse_group_weights,
    help="Weight of the jaw, brows, nose, eyes or mouth; again for more [default: 1; jaw=0.5 for detections].",
)  # fmt: skip
@click.option(
    "--contour/--no-contour", default=None, help="Jaw points slide to the silhouette [default: for 2D detections]."
)
@click.option("--same-person", is_flag=True, help="All images show one person: one identity for them all.")
@overwrite_option
@json_option
def fit(
    landmarks: Path,
    output: Path,
    model_path: Path | None,
    points: str | None,
    subset: str | None,
    boxes: Path | None,
    box_kind: str,
    frame_in: str | None,
    origin: str | None,
    rows: Path | None,
    only: Path | None,
    oracle: bool,
    camera: str | None,
    robust: str | None,
    prior: float | None,
    noise_mm: float | None,
    group_weights: dict[str, float],
    contour: bool | None,
    same_person: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Fit the face model to LANDMARKS and write the faces to a run.

    LANDMARKS is a folder of AFLW2000-3D .mat (their pt3d_68), or a table: a detector list, .npy with --rows, CSV or
    JSON lines, 2 or 3 numbers a point; an empty or NaN point is not seen. Exit code 3: some faces failed; the run says
    which and why.
    """
    from dataclasses import replace

    from twodasl.models.files import check_output
    from twodasl.models.fitting.runs import fit_run
    from twodasl.models.inputs import RUN_SUFFIXES
    from twodasl.models.library import default_model

    if output.suffix.lower() not in RUN_SUFFIXES:
        raise click.UsageError(f"-o {output}: a run is one file that ends in {' or '.join(sorted(RUN_SUFFIXES))}")
    check_output(output, overwrite)
    inputs = _read(landmarks, subset, boxes, box_kind, frame_in, origin, rows, only, oracle)
    chosen = {
        "camera": camera, "robust": robust, "prior": prior, "noise_mm": noise_mm, "contour": contour,
    }  # fmt: skip
    given: dict[str, object] = {name: value for name, value in chosen.items() if value is not None}
    settings = _settings(replace(inputs.settings, same_person=same_person), given | group_weights)
    model = default_model(model_path)
    with progress("faces", len(inputs.names)) as on_done:
        fitted = fit_run(inputs, model, settings, points, on_done)
    fitted.run.save(output)
    if as_json:
        _print_lines(fitted)
    _tell(fitted, output)


def _read(
    landmarks: Path,
    subset: str | None,
    boxes: Path | None,
    box_kind: str,
    frame_in: str | None,
    origin: str | None,
    rows: Path | None,
    only: Path | None,
    oracle: bool,
) -> "FitInputs":
    from twodasl.models.fitting.runs import read_annotations, read_points, with_boxes
    from twodasl.models.fitting.settings import landmark_indices
    from twodasl.models.tables import read_names, shorten

    which = landmark_indices(subset.split(",") if subset is not None else list(GROUPS))
    names = None if only is None else read_names(only)
    if landmarks.is_dir():
        if frame_in is not None or origin is not None or oracle:
            raise click.UsageError(
                f"{landmarks} is a folder of annotations, which are of photos, counted from 1: --frame-in, --origin "
                "and --oracle are for tables"
            )
        inputs = read_annotations(landmarks, which, names)
        kind = "cut"
    else:
        frame = frame_in or ("photo" if boxes is None else "crop")
        inputs = read_points(
            landmarks, rows, which, frame, int(origin or 0), oracle, names  # type: ignore[arg-type]  # click.Choice
        )  # fmt: skip
        kind = box_kind if frame == "crop" else "cut"
    absent = [] if names is None else [name for name in names if name not in set(inputs.names)]
    if absent:
        note(f"{len(absent)} of the {len(names or ())} names in {only} have no landmarks here: {shorten(absent)}")
    if boxes is not None:
        inputs = with_boxes(inputs, boxes, rows, kind)  # type: ignore[arg-type]  # click.Choice
    return inputs


def _settings(base: "FitSettings", given: dict[str, object]) -> "FitSettings":
    from twodasl.models.fitting.settings import FitSettings

    return FitSettings.from_dict(base.as_dict() | given)


def _print_lines(fitted: "FittedRun") -> None:
    import json

    import numpy as np

    from twodasl.models.runs import face_facts

    run, fit = fitted.run, fitted.fit
    for row, name in enumerate(run.names):
        facts = face_facts(run.coefficients[row], run.box[row], run.box_kind[row], run.image_size[row])
        numbers = {"error_mm": fit.error_mm[row], "largest_sigma": fit.sigmas[row]}
        line = {
            "name": name, "face": 0, "status": run.status[row], "path": run.paths[row], "message": fitted.messages[row],
            "oracle_input": run.info.settings["oracle_input"],
        }  # fmt: skip
        line |= {key: round(float(value), 4) if np.isfinite(value) else None for key, value in numbers.items()}
        click.echo(json.dumps(line | facts))


def _tell(fitted: "FittedRun", output: Path) -> None:
    """What became of it all, on stderr; exits with 3 where faces failed."""
    import numpy as np

    from twodasl.models.fitting.fit import ABSURD_SIGMAS
    from twodasl.models.tables import shorten

    run, sigmas = fitted.run, fitted.fit.sigmas
    good = run.valid
    absurd = np.flatnonzero(good & (sigmas > ABSURD_SIGMAS))
    note(f"{int(good.sum())} of {len(run)} faces in {output}{_oracle(run.info.settings)}")
    note(f"Terms: {run.info.terms}")
    if len(absurd):
        worst = absurd[np.argsort(-sigmas[absurd])]
        named = shorten([f"{run.names[row]} ({sigmas[row]:.1f})" for row in worst])
        note(f"{len(absurd)} faces have coefficients beyond {ABSURD_SIGMAS:g} sigmas, kept as they are: {named}")
    failed = np.flatnonzero(~good)
    for row in failed[:MOST_NAMED]:
        note(f"{run.names[row]}: {run.status[row]} ({fitted.messages[row]})")
    if len(failed) > MOST_NAMED:
        note(f"and {len(failed) - MOST_NAMED} more; 'twodasl run info {output}' names them all")
    if len(failed):
        sys.exit(EXIT_SOME_FAILED)


def _oracle(settings: dict[str, object]) -> str:
    return " (oracle input: fitted to annotations)" if settings["oracle_input"] else ""
