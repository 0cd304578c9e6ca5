"""`twodasl eval`: numbers against a truth."""

from pathlib import Path

import click

from .options import FILE, csv_option, json_option, model_option, note, only_option, rows_option


@click.group()
def evaluate() -> None:
    """Measure predictions against a truth."""


def _parse_dims(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    if value not in ("2", "3", "2,3"):
        raise click.BadParameter("2, 3 or 2,3 is expected")
    return tuple(int(part) for part in value.split(","))


@evaluate.command("nme")
@click.argument("input_path", metavar="INPUT", type=FILE)
@click.option("--truth", type=FILE, required=True, help="AFLW2000-3D: a folder of .mat, or of the benchmark's arrays.")
@click.option("--sparse", is_flag=True, help="68 landmarks (the only kind so far).")
@click.option("--dims", default="2", show_default=True, callback=_parse_dims, help="2, 3 or 2,3.")
@click.option("--labels", type=click.Choice(["original", "reannotated"]), default="original", show_default=True)
@click.option(
    "--protocol", "protocol_name", type=click.Choice(["standard", "2dasl", "exact"]), default="standard",
    show_default=True, help="Named set of choices; 'twodasl eval protocols' lists them.",
)  # fmt: skip
@click.option(
    "--z-align", type=click.Choice(["min", "none"]),
    help="With --dims 3: subtract each face's smallest z, or nothing (a deviation) [default: min].",
)  # fmt: skip
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
@json_option
@csv_option
def nme_command(
    input_path: Path,
    truth: Path,
    sparse: bool,
    dims: tuple[int, ...],
    labels: str,
    protocol_name: str,
    z_align: str | None,
    rows: Path | None,
    only: Path | None,
    whitening: Path | None,
    boxes: Path | None,
    convention: str | None,
    frame_in: str | None,
    origin: str | None,
    points: str | None,
    model_path: Path | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Normalised mean error of INPUT by yaw bin.

    INPUT is a run, coefficients (.npy with --rows, and --whitening where they are raw network outputs), a folder of
    vertex .mat or of PRNet's _kpt.txt, or landmarks (.npy with --rows, CSV, JSON lines).
    """
    import json

    from twodasl.evaluation.protocols import PROTOCOLS
    from twodasl.evaluation.report import csv_text, table
    from twodasl.evaluation.sparse import evaluate_sparse
    from twodasl.models.inputs import InputOptions

    if not sparse:
        raise click.UsageError("say what to measure: --sparse")
    if labels == "reannotated" and 3 in dims:
        raise click.UsageError("the reannotated labels are 2D: --labels reannotated goes with --dims 2")
    if z_align is not None and 3 not in dims:
        raise click.UsageError("--z-align is for --dims 3")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
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
    results = evaluate_sparse(
        input_path,
        truth,
        PROTOCOLS[protocol_name],
        dims,
        labels,  # type: ignore[arg-type]
        only,
        options,
        z_align or "min",  # type: ignore[arg-type]
    )
    for text in results[0].notes:
        note(f"Note: {text}")
    if results[0].failed:
        note(f"{len(results[0].failed)} images without a valid prediction: {', '.join(results[0].failed)}")
    if as_json:
        documents = [result.as_dict() for result in results]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents))
    elif as_csv:
        click.echo(csv_text(results), nl=False)
    else:
        click.echo("\n\n".join(table(result) for result in results))


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
