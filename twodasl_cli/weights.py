"""`twodasl weights`: files with a trained network."""

from pathlib import Path

import click

from .options import FILE, json_option, model_option, note, output_option, overwrite_option

# The kinds of twodasl.models.importers.checkpoints, spelt out so that the help needs no array library (a test compares them).
KINDS = ("2dasl", "3ddfa", "3ddfa-v2")


@click.group()
def weights() -> None:
    """Import, list and describe the weights of networks."""


@weights.command("import")
@click.argument("file", type=FILE)
@click.option("--from", "kind", type=click.Choice(KINDS), required=True, help="The program that made FILE.")
@click.option("--whitening", type=FILE, help="That program's whitening file (.pkl): mean and std of each coefficient.")
@model_option
@output_option("The .safetensors file to write (else one in the user's data folder).", required=False)
@overwrite_option
def import_(
    file: Path, kind: str, whitening: Path | None, model_path: Path | None, output: Path | None, overwrite: bool
) -> None:
    """Turn FILE, another program's checkpoint (.pth, .pth.tar), into a weights file.

    Nothing in FILE is executed. The weights remember their whitening, their point convention and the face model
    whose coefficients they predict (--model, the one they were trained with).
    """
    from twodasl.models.checkpoints import register_weights
    from twodasl.models.files import check_output
    from twodasl.models.importers.checkpoints import import_checkpoint
    from twodasl.models.library import open_model

    if output is not None:
        check_output(output, overwrite)
    imported = import_checkpoint(file, kind, whitening, open_model(model_path))
    if output is not None:
        imported.save(output)
    written = output or register_weights(imported)
    architecture = imported.architecture
    click.echo(
        f"{imported.name}: {architecture.name} x {architecture.width:g}, {architecture.in_channels} input channels, "
        f"{sum(tensor.numel() for tensor in imported.state.values()):,} numbers"
    )
    click.echo(f"weights id {imported.weights_id}")
    click.echo(f"basis id {imported.basis_id}")
    click.echo(f"written to {written}")
    note(f"Terms: {imported.terms}")


@weights.command()
@click.argument("file", type=FILE)
@json_option
def info(file: Path, as_json: bool) -> None:
    """Show the network, ids, conventions, source and terms of a weights FILE."""
    import json

    from twodasl.models.checkpoints import Weights

    loaded = Weights.load(file)
    facts = {
        "name": loaded.name,
        "network": loaded.architecture.name,
        "width": loaded.architecture.width,
        "input_channels": loaded.architecture.in_channels,
        "outputs": loaded.architecture.outputs,
        "identity_components": loaded.n_identity,
        "expression_components": loaded.n_expression,
        "tensors": len(loaded.state),
        "numbers": sum(tensor.numel() for tensor in loaded.state.values()),
        "convention": loaded.convention,
        "normalisation": loaded.normalisation,
        "landmark_map": loaded.landmark_map,
        "crop_rule": loaded.crop_rule,
        "weights_id": loaded.weights_id,
        "basis_id": loaded.basis_id,
        "source": loaded.source,
        "terms": loaded.terms,
        "training": dict(loaded.training),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    facts["training"] = json.dumps(facts["training"]) if facts["training"] else "not known (imported)"
    for key, value in facts.items():
        click.echo(f"{key.replace('_', ' '):22} {value}")


@weights.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the weights in the user's data folder, the latest first."""
    import json
    from dataclasses import asdict

    from twodasl.models.checkpoints import registered_weights, weights_folder

    entries = registered_weights()
    if as_json:
        click.echo(json.dumps([asdict(entry) | {"path": str(entry.path)} for entry in entries]))
        return
    for entry in entries:
        click.echo(f"{entry.weights_id[:12]}  {entry.name}  {entry.architecture}  {entry.path}")
    if not entries:
        note(f"No weights in {weights_folder()}; 'twodasl weights import FILE' adds some.")
