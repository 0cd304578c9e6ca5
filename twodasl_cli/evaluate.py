"""`twodasl eval`: numbers against a truth."""

from pathlib import Path

import click

from .evaluate_more import aflw, jitter, pose, scan
from .options import (
    FILE,
    csv_option,
    json_option,
    model_option,
    note,
    only_option,
    output_option,
    overwrite_option,
    progress,
    rows_option,
)
from .report import check_report_folder, write_nme_report
from .report_faces import Scored


@click.group()
def evaluate() -> None:
    """Measure predictions against a truth."""


def _parse_dims(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    if value not in ("2", "3", "2,3"):
        raise click.BadParameter("2, 3 or 2,3 is expected")
    return tuple(int(part) for part in value.split(","))


def _check_usage(
    kinds: dict[str, bool],
    dims: tuple[int, ...],
    reannotated: bool,
    z_align: bool,
    normalise: bool,
    alignment: bool,
    two_formats: bool,
    no_report: bool,
) -> None:
    """Options that belong to another kind of error than is measured are usage errors."""
    mistakes = {
        "say what to measure: --sparse, --dense, --recon": not any(kinds.values()),
        "the reannotated labels are 2D: --labels reannotated goes with --dims 2": reannotated and 3 in dims,
        "--labels reannotated is for --sparse": reannotated and not kinds["sparse"],
        "--z-align is for --sparse --dims 3": z_align and not (3 in dims and kinds["sparse"]),
        "--normalise and --normalise-from are for --dense and --recon": normalise
        and not (kinds["dense"] or kinds["recon"]),
        "--align, --distance, --regions and --jobs are for --recon": alignment and not kinds["recon"],
        "--json and --csv exclude each other": two_formats,
        "--photos and --original-curve are for a report: -o FOLDER": no_report,
    }
    for text, wrong in mistakes.items():
        if wrong:
            raise click.UsageError(text)


@evaluate.command("nme")
@click.argument("inputs", metavar="[NAME=]INPUT...", nargs=-1, required=True)
@click.option("--truth", type=FILE, required=True, help="AFLW2000-3D: a folder of .mat, or of the benchmark's arrays.")
@click.option("--sparse", is_flag=True, help="68 landmarks.")
@click.option("--dense", is_flag=True, help="All vertices of the face model; --truth may be a folder of vertex files.")
@click.option("--recon", is_flag=True, help="3D reconstruction: all vertices once each mesh is aligned to its truth.")
@click.option("--dims", default="2", show_default=True, callback=_parse_dims, help="2, 3 or 2,3.")
@click.option("--labels", type=click.Choice(["original", "reannotated"]), default="original", show_default=True)
@click.option(
    "--protocol", "protocol_name", type=click.Choice(["standard", "2dasl", "exact"]), default="standard",
    show_default=True, help="Named set of choices; 'twodasl eval protocols' lists them.",
)  # fmt: skip
@click.option(
    "--z-align", type=click.Choice(["min", "none"]),
    help="With --sparse --dims 3: subtract each face's smallest z, or nothing (a deviation) [default: min].",
)  # fmt: skip
@click.option(
    "--normalise", type=click.Choice(["landmark-box", "mesh-box", "outer-eye"]),
    help="What --dense and --recon errors are divided by [default: landmark-box for --dense, mesh-box for --recon].",
)  # fmt: skip
@click.option(
    "--normalise-from", type=FILE, help="Annotations whose landmarks and yaw go with a truth of vertex files."
)
@click.option(
    "--align", type=click.Choice(["2dasl", "icp", "plane", "landmark7"]),
    help="With --recon [default: 2dasl in protocol 2dasl, else icp]; docs/protocols.md says what each does.",
)  # fmt: skip
@click.option(
    "--distance", type=click.Choice(["index", "point", "plane", "symmetric"]),
    help="With --recon [default: index; plane after landmark7].",
)  # fmt: skip
@click.option("--regions", is_flag=True, help="With --recon: also the error of nose, mouth, forehead and cheeks.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="With --recon: images at a time."
)
@rows_option
@only_option
@click.option("--whitening", type=FILE, help="Mean and std of a network's outputs (.pkl), for coefficients.")
@click.option("--boxes", type=FILE, help="Crop boxes of the coefficients [default: the truth's published ones].")
@click.option(
    "--convention", type=click.Choice(["3ddfa", "3ddfa-v2"]), help="How coefficients leave the crop [default: 3ddfa]."
)
@click.option("--frame-in", type=click.Choice(["photo", "crop"]), help="Of vertex files [default: recognised].")
@click.option("--origin", type=click.Choice(["0", "1"]), help="First pixel of landmarks [default: 1; PRNet 0].")
@click.option(
    "--points", type=click.Choice(["semantic", "transferred"]),
    help="Which of the model's lists of 68 landmarks [default: transferred, where it has several].",
)  # fmt: skip
@model_option
@output_option("Folder for the report: page, curves, tables, numbers (docs/report.md).", required=False)
@click.option("--photos", type=FILE, help="With -o: folder of the photos, by name [default: beside the annotations].")
@click.option("--original-curve", is_flag=True, help="With -o: also the original's plot, number of images against NME.")
@overwrite_option
@json_option
@csv_option
def nme_command(
    inputs: tuple[str, ...],
    truth: Path,
    sparse: bool,
    dense: bool,
    recon: bool,
    dims: tuple[int, ...],
    labels: str,
    protocol_name: str,
    z_align: str | None,
    normalise: str | None,
    normalise_from: Path | None,
    align: str | None,
    distance: str | None,
    regions: bool,
    jobs: int,
    rows: Path | None,
    only: Path | None,
    whitening: Path | None,
    boxes: Path | None,
    convention: str | None,
    frame_in: str | None,
    origin: str | None,
    points: str | None,
    model_path: Path | None,
    output: Path | None,
    photos: Path | None,
    original_curve: bool,
    overwrite: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Normalised mean error of INPUT by yaw bin; of several methods side by side.

    INPUT is a run, coefficients (.npy with --rows, and --whitening where they are raw network outputs), a folder of
    vertex .mat or of PRNet's _kpt.txt, or landmarks (.npy with --rows, CSV, JSON lines). NAME is what tables call it.
    """
    import json

    from twodasl.evaluation.compare import compare, comparison_text
    from twodasl.evaluation.methods import NmeSettings, evaluate_nme, open_scored, parse_method
    from twodasl.evaluation.protocols import PROTOCOLS
    from twodasl.evaluation.recon import ReconSettings
    from twodasl.evaluation.report import csv_text, document, tables
    from twodasl.models.errors import FileError
    from twodasl.models.inputs import InputOptions

    _check_usage(
        {"sparse": sparse, "dense": dense, "recon": recon}, dims, labels == "reannotated", z_align is not None,
        bool(normalise or normalise_from), bool(align or distance or regions or jobs > 1), as_json and as_csv,
        output is None and (original_curve or photos is not None),
    )  # fmt: skip
    check_report_folder(output, overwrite)
    if photos is not None and not photos.is_dir():
        raise FileError(f"--photos {photos} is not a folder")
    options = InputOptions(
        rows=rows,
        whitening=whitening,
        boxes=boxes,
        model=model_path,
        convention=convention,  # type: ignore[arg-type]  # click.Choice
        frame_in=frame_in,  # type: ignore[arg-type]
        origin=None if origin is None else int(origin),
        points=points,
    )
    settings = NmeSettings(
        protocol=PROTOCOLS[protocol_name],
        sparse=sparse,
        dense=dense,
        dims=dims,
        labels=labels,  # type: ignore[arg-type]
        z_align=z_align or "min",  # type: ignore[arg-type]
        normalise=normalise,  # type: ignore[arg-type]
        recon=ReconSettings(align, distance, normalise, regions, jobs) if recon else None,  # type: ignore[arg-type]
        normalise_from=normalise_from,
    )
    names, predictions = open_scored([parse_method(text) for text in inputs], options, only)
    results = evaluate_nme(names, predictions, truth, settings, options, progress)
    for text in dict.fromkeys(text for result in results for text in result.notes):
        note(f"Note: {text}")
    for method, failed in {result.method: result.failed for result in results if result.failed}.items():
        of = "" if len(inputs) == 1 else f"{method}: "
        note(f"{of}{len(failed)} images without a valid prediction: {', '.join(failed)}")
    compared = compare(results)
    if output is not None:
        scored = Scored(predictions, truth, settings, options, photos)
        write_nme_report(output, results, compared, overwrite, scored, original_curve)
    if as_json:
        click.echo(json.dumps(document(results)))
    elif as_csv:
        click.echo(csv_text(results), nl=False)
    else:
        click.echo("\n\n".join([*tables(results), *([comparison_text(compared)] if compared else [])]))


@evaluate.command()
@json_option
def protocols(as_json: bool) -> None:
    """List the protocols and what each decides."""
    import json
    from dataclasses import asdict

    from twodasl.evaluation.protocols import DEFAULT, PROTOCOLS

    if as_json:
        click.echo(json.dumps({name: asdict(protocol) for name, protocol in PROTOCOLS.items()}))
        return
    for name, protocol in PROTOCOLS.items():
        click.echo(f"{name}{' (default)' if name == DEFAULT else ''}: {protocol.summary}")
        for key, value in asdict(protocol).items():
            if key not in ("name", "summary"):
                click.echo(f"  {key:12} {value}")


for command in (pose, aflw, scan, jitter):
    evaluate.add_command(command)
