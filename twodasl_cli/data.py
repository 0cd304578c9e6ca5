"""`twodasl data`: training sets."""

import sys
from pathlib import Path
from typing import Any

import click

from .main import EXIT_SOME_FAILED
from .options import FILE, json_option, model_option, note, output_option, overwrite_option, progress, rows_option


@click.group()
def data() -> None:
    """Make, describe and check training sets."""


LABEL_SOURCES = ("auto", "convert", "fit", "none")


@data.command()
@click.argument("photos", metavar="PHOTOS", type=FILE)
@output_option("The training set to write (.h5).")
@model_option
@click.option(
    "--labels", metavar="auto|convert|fit|none|FILE", default="auto", show_default=True,
    help="3D labels: convert the annotations' own coefficients, fit the 68 points, or none (a wild set); auto converts "
    "where the model is theirs, else fits, and keeps AFLW's 21 points as they are. FILE: --labels none --landmarks FILE.",
)  # fmt: skip
@click.option(
    "--landmarks", type=FILE,
    help="Points of the photos, 68 or AFLW's 21: a table, .npy with --rows, .npz, or a folder of AFLW2000-3D .mat "
    "[default: the .mat beside each photo].",
)  # fmt: skip
@rows_option
@click.option("--subset", metavar="NAME,...", help="What a row of --landmarks holds, if not all: see 'twodasl fit'.")
@click.option(
    "--cropped", is_flag=True, help="PHOTOS are 120-pixel crops already, and a table's points in their pixels."
)
@click.option("--boxes", type=FILE, help="Crop boxes, to cut or of the crops [default: 3DDFA's, around the points].")
@click.option(
    "--box-kind", type=click.Choice(["clipped", "cut"]), default="clipped", show_default=True,
    help="Of crops: whether their boxes were clipped to the photo, as AFLW's are.",
)  # fmt: skip
@click.option("--origin", type=click.Choice(["0", "1"]), help="First pixel of a table's points [default: 0].")
@click.option("--oracle", is_flag=True, help="A table's points are annotations: a fit follows them.")
@click.option(
    "--points", type=click.Choice(["semantic", "transferred"]),
    help="Which of the model's lists of 68 landmarks [default: transferred, where it has several].",
)  # fmt: skip
@click.option("--identity", type=click.IntRange(1), default=40, show_default=True, help="Coefficients of a label.")
@click.option("--expression", type=click.IntRange(1), default=10, show_default=True, help="Coefficients of a label.")
@click.option("--list", "file_list", type=FILE, help="3DDFA's training labels: crops in PHOTOS, one a line, ...")
@click.option("--coefficients", type=FILE, help="... and their coefficients, row by row (.npy or .pkl), ...")
@click.option("--whitening", type=FILE, help="... with mean and std (.pkl) where they are whitened.")
@overwrite_option
def prepare(
    photos: Path,
    output: Path,
    model_path: Path | None,
    labels: str,
    landmarks: Path | None,
    rows: Path | None,
    subset: str | None,
    cropped: bool,
    boxes: Path | None,
    box_kind: str,
    origin: str | None,
    oracle: bool,
    points: str | None,
    identity: int,
    expression: int,
    file_list: Path | None,
    coefficients: Path | None,
    whitening: Path | None,
    overwrite: bool,
) -> None:
    """Turn PHOTOS, a folder or a zip archive, into a training set.

    The annotations are 300W-LP or AFLW2000-3D .mat beside the photos, or --landmarks, paired by name, or 3DDFA's --list
    with --coefficients. A labelled face
    has its 120-pixel crop, 12 pose numbers and coefficients of the model, landmarks and which of them are seen; the
    set's whitening is that of its own labels. A wild set has the points only. Exit code 3: some photos could not be
    used; they are named.
    """
    from twodasl.models.files import check_output
    from twodasl.models.library import default_model
    from twodasl.models.tables import shorten
    from twodasl.models.training.faces import pair, read_annotated
    from twodasl.models.training.pictures import open_pictures
    from twodasl.models.training.point_labels import TableOptions, read_point_labels
    from twodasl.models.training.prepare import PrepareSettings, prepare_set

    if file_list is not None or coefficients is not None:
        _check_lists(click.get_current_context())
        check_output(output, overwrite)
        given = file_list, coefficients, photos, landmarks, whitening, int(origin or 0)
        _prepare_lists(given, default_model(model_path), identity, expression, output)
        return
    source, landmarks = _source(labels, landmarks)
    if source == "none" and (model_path is not None or points is not None):
        raise click.UsageError("--model and --points are for 3D labels; a wild set has none")
    check_output(output, overwrite)
    options = TableOptions(
        rows=rows,
        subset=None if subset is None else tuple(subset.split(",")),
        boxes=boxes,
        cropped=cropped,
        origin=None if origin is None else int(origin),
    )
    if landmarks is None and (options != TableOptions() or oracle):
        raise click.UsageError("--rows, --subset, --cropped, --boxes, --origin and --oracle are for --landmarks")
    skipped: dict[str, str] = {}
    with open_pictures(photos) as pictures:
        if landmarks is None:
            faces = read_annotated(pictures, skipped.__setitem__)
            oracle = True
        else:
            read = read_point_labels(landmarks, options)
            faces, unused = pair(pictures, read, photos, skipped.__setitem__)
            oracle = oracle or read.annotations
            if unused:
                note(f"{len(unused)} names in {landmarks} have no picture in {photos}: {shorten(unused)}")
        settings = PrepareSettings(
            source, identity, expression, points, oracle, box_kind  # type: ignore[arg-type]  # click.Choice
        )  # fmt: skip
        info, count = prepare_set(faces, default_model(model_path), output, settings, skipped.__setitem__, progress)
    _tell(info, count, output, skipped)


LIST_OPTIONS = ("photos", "output", "overwrite", "model_path", "landmarks", "origin", "identity", "expression")


def _check_lists(context: click.Context) -> None:
    """Raise UsageError for options that 3DDFA's lists leave no room for, or for one of the two files alone."""
    own = ("file_list", "coefficients", "whitening")
    if any(context.params[name] is None for name in own[:2]):
        raise click.UsageError("--list and --coefficients go together")
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in LIST_OPTIONS + own and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is not for --list with --coefficients")


def _prepare_lists(given: Any, model: Any, identity: int, expression: int, output: Path) -> None:
    from twodasl.models.coefficients import POSE, read_whitening
    from twodasl.models.errors import FileError
    from twodasl.models.training.prepare import prepare_list
    from twodasl.models.training.tddfa_lists import TddfaSource

    file_list, coefficients, photos, landmarks, whitening_path, origin = given
    whitening = None if whitening_path is None else read_whitening(whitening_path)
    expected = POSE + identity + expression
    if whitening is not None and len(whitening.mean) != expected:
        raise FileError(f"{whitening_path} whitens {len(whitening.mean)} coefficients; {expected} are expected")
    source = TddfaSource(
        file_list, coefficients, photos, model, landmarks=landmarks, origin=origin,
        whitening=whitening, n_identity=identity, n_expression=expression,
    )  # fmt: skip
    skipped: dict[str, str] = {}
    info, count = prepare_list(source, model, output, skipped.__setitem__, progress)
    _tell(info, count, output, skipped)


def _tell(info: Any, count: int, output: Path, skipped: dict[str, str]) -> None:
    from twodasl.models.tables import shorten

    made_for = f" for {info.model_name}" if info.labelled else f", {info.points} points"
    click.echo(f"{count} faces in {output}, labels {info.labels}{made_for}")
    note(f"Terms: {info.terms}")
    if skipped:
        note(f"{len(skipped)} photos left out: {shorten(f'{name} ({why})' for name, why in skipped.items())}")
        sys.exit(EXIT_SOME_FAILED)


def _source(labels: str, landmarks: Path | None) -> tuple[str, Path | None]:
    """Where 3D labels come from, and the file of points, of --labels and --landmarks."""
    if labels in LABEL_SOURCES:
        return labels, landmarks
    file = Path(labels)
    if not file.exists():
        raise click.BadParameter(
            f"'{labels}': {', '.join(LABEL_SOURCES)} or a file of points is expected", param_hint="--labels"
        )
    if landmarks is not None:
        raise click.UsageError(f"--labels {labels} and --landmarks {landmarks} both name a file of points")
    return "none", file


@data.command()
@click.option("--count", type=int, required=True, help="How many faces.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same set.")
@output_option("The training set to write (.h5).")
@click.option("--backgrounds", type=FILE, help="Folder of photos to put behind the faces, else made-up ones.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes; the set does not depend on it.")
@click.option("--level", type=click.IntRange(0, 2), default=1, show_default=True, help="Subdivision of the drawn mesh.")
@click.option(
    "--components", type=(click.IntRange(1, 40), click.IntRange(1, 10)), default=(40, 10), show_default=True,
    help="Identity and expression coefficients of faces and labels.",
)  # fmt: skip
@click.option("--max-yaw", type=float, default=90.0, show_default=True, help="Degrees.")
@click.option(
    "--points", type=click.Choice(["semantic", "transferred"]), default="semantic", show_default=True,
    help="What the 68 landmarks mean.",
)  # fmt: skip
@overwrite_option
def synth(
    count: int,
    seed: int,
    output: Path,
    backgrounds: Path | None,
    jobs: int,
    level: int,
    components: tuple[int, int],
    max_yaw: float,
    points: str,
    overwrite: bool,
) -> None:
    """Draw synthetic faces of the open face model, with exact labels, as a training set."""
    from twodasl.models.files import check_output
    from twodasl.rendering.synthetic.sets import write_synthetic_set
    from twodasl.rendering.synthetic.settings import SynthSettings

    check_output(output, overwrite)
    settings = SynthSettings(seed, level, *components, max_yaw, points, backgrounds)
    with progress("faces", count) as advance:
        info = write_synthetic_set(output, settings, count, jobs, advance)
    click.echo(f"{count} faces in {output}, labels {info.labels} for {info.model_name}")
    note(f"Terms: {info.terms}")


@data.command()
@click.argument("file", type=FILE)
@json_option
def info(file: Path, as_json: bool) -> None:
    """Show what a training set holds: faces, labels, points, pose, whitening, terms."""
    import json

    from twodasl.models.training.describe import describe_set
    from twodasl.models.training.sets import TrainingSet

    facts = describe_set(TrainingSet.open(file))
    if as_json:
        click.echo(json.dumps(facts))
        return
    for key in ("whitening_mean", "whitening_std"):
        facts.pop(key, None)
    facts["visible_points"] = f"{100 * facts['visible_points']:.1f} %"
    for key, value in facts.items():
        shown = " / ".join(map(str, value)) if isinstance(value, list) else value
        if shown not in ("", None):
            click.echo(f"{key.replace('_', ' '):20} {shown}")


@data.command()
@click.argument("file", type=FILE)
@model_option
@output_option("Also a contact sheet: a picture of up to 48 crops with their points (.png, .jpg).", required=False)
@overwrite_option
@json_option
def check(file: Path, model_path: Path | None, output: Path | None, overwrite: bool, as_json: bool) -> None:
    """Say what is wrong with a training set: crops that do not decode, twins, lost points, labels that miss their
    landmarks. Exit code 1: something is."""
    import json

    from twodasl.models.files import check_output
    from twodasl.models.library import open_model
    from twodasl.models.training.check import check_set
    from twodasl.models.training.sets import TrainingSet

    opened = TrainingSet.open(file)
    if not opened.info.labelled and model_path is not None:
        raise click.UsageError(f"{file} has no 3D labels: --model would be left unread")
    if output is not None:
        check_output(output, overwrite)
    model = open_model(model_path, opened.info.basis_id, str(file)) if opened.info.labelled else None
    with progress("crops", len(opened)) as on_done:
        report = check_set(opened, model, on_done)
    if output is not None:
        from twodasl.rendering.crop_points import set_sheet
        from twodasl.rendering.images import write_image

        write_image(output, set_sheet(opened))
        note(f"Open {output}")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        summary = f"{len(opened)} faces"
        if report.median_error is not None and report.worst_error is not None:
            summary += (
                f"; labels are {100 * report.median_error:.2f} % NME from their landmarks (median), "
                f"{100 * report.worst_error:.2f} % at worst"
            )
        click.echo(summary)
        for problem, names in report.problems.items():
            click.echo(f"{problem}: {len(names)} ({', '.join(names[:5])}{' ...' if len(names) > 5 else ''})")
        if not report.problems:
            click.echo("nothing wrong found")
    if report.problems:
        sys.exit(1)
