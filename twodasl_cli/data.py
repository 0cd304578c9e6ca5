"""`twodasl data`: training sets."""

import sys
from pathlib import Path

import click

from .options import FILE, json_option, model_option, note, output_option, overwrite_option, progress


@click.group()
def data() -> None:
    """Make, describe and check training sets."""


@data.command()
@click.argument("photos", metavar="FOLDER", type=FILE)
@output_option("The training set to write (.h5).")
@model_option
@click.option(
    "--labels", type=click.Choice(["auto", "convert", "fit"]), default="auto", show_default=True,
    help="Convert the annotations' own coefficients, fit the landmarks, or convert where the model is theirs.",
)  # fmt: skip
@click.option("--identity", type=click.IntRange(1), default=40, show_default=True, help="Coefficients of a label.")
@click.option("--expression", type=click.IntRange(1), default=10, show_default=True, help="Coefficients of a label.")
@overwrite_option
def prepare(
    photos: Path,
    output: Path,
    model_path: Path | None,
    labels: str,
    identity: int,
    expression: int,
    overwrite: bool,
) -> None:
    """Turn FOLDER, photos with 300W-LP or AFLW2000-3D .mat beside them, into a training set for one face model.

    Each face becomes its 120-pixel crop, 12 pose numbers and coefficients of the model, landmarks and visibility; the
    set's whitening is that of its own labels. Exit code 3: some photos could not be used; they are named.
    """
    from twodasl.models.files import check_output
    from twodasl.models.inference import list_photos
    from twodasl.models.library import default_model
    from twodasl.models.tables import shorten
    from twodasl.models.training.prepare import prepare_set, read_annotated

    check_output(output, overwrite)
    model = default_model(model_path)
    skipped: dict[str, str] = {}
    annotated = read_annotated(list_photos(photos), skipped.__setitem__)
    with progress("faces", len(annotated)) as advance:
        info, count = prepare_set(
            annotated,
            model,
            output,
            labels,  # type: ignore[arg-type]  # click.Choice
            (identity, expression),
            skipped.__setitem__,
            advance,
        )
    click.echo(f"{count} faces in {output}, labels {info.labels} for {info.model_name}")
    note(f"Terms: {info.terms}")
    if skipped:
        note(f"{len(skipped)} photos left out: {shorten(f'{name} ({why})' for name, why in skipped.items())}")
        sys.exit(3)


@data.command()
@click.argument("file", type=FILE)
@json_option
def info(file: Path, as_json: bool) -> None:
    """Show what a training set holds: faces, labels, pose, whitening, terms."""
    import json
    from dataclasses import asdict

    import numpy as np

    from twodasl.models.pose import head_angles
    from twodasl.models.training.sets import TrainingSet

    opened = TrainingSet.open(file)
    yaw = np.abs(head_angles(opened.coefficients[:, :12].astype(np.float64).reshape(-1, 3, 4))[:, 0])
    bins = np.histogram(yaw, [0, 30, 60, 90.0001])[0].tolist()
    facts = {
        "faces": len(opened),
        "coefficients": opened.info.n_coefficients,
        **asdict(opened.info),
        "yaw_0_30_60_90": bins,
        "visible_landmarks": float(opened.visible.mean()),
        "whitening_mean": opened.whitening.mean.tolist(),
        "whitening_std": opened.whitening.std.tolist(),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    facts["yaw_0_30_60_90"] = " / ".join(map(str, bins))
    facts["visible_landmarks"] = f"{100 * opened.visible.mean():.1f} % (inside the crop)"
    for key in ("whitening_mean", "whitening_std"):
        del facts[key]
    for key, value in facts.items():
        click.echo(f"{key.replace('_', ' '):20} {value}")


@data.command()
@click.argument("file", type=FILE)
@model_option
@json_option
def check(file: Path, model_path: Path | None, as_json: bool) -> None:
    """Say what is wrong with a training set: crops that do not decode, twins, labels that miss their landmarks."""
    import json

    from twodasl.models.library import open_model
    from twodasl.models.training.check import check_set
    from twodasl.models.training.sets import TrainingSet

    opened = TrainingSet.open(file)
    model = open_model(model_path, opened.info.basis_id, str(file))
    report = check_set(opened, model)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        click.echo(f"{len(opened)} faces; labels are {100 * report.median_error:.2f} % NME from their landmarks (median), "
                   f"{100 * report.worst_error:.2f} % at worst")  # fmt: skip
        for problem, names in report.problems.items():
            click.echo(f"{problem}: {len(names)} ({', '.join(names[:5])}{' ...' if len(names) > 5 else ''})")
        if not report.problems:
            click.echo("nothing wrong found")
    if report.problems:
        sys.exit(1)
