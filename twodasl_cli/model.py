"""`twodasl model`: face model files."""

from pathlib import Path

import click

from .options import FILE, json_option, note, output_option, overwrite_option


@click.group()
def model() -> None:
    """Import, list and describe face models."""


@model.command("import")
@click.argument("folder", type=FILE)
@output_option("Also write the model to this .h5 file.", required=False)
@overwrite_option
def import_(folder: Path, output: Path | None, overwrite: bool) -> None:
    """Read the face model in FOLDER (3DDFA / 2DASL train.configs arrays) and register it.

    The model is kept in the user's data folder (TWODASL_HOME), so that runs and weights find it by its id.
    """
    from twodasl.models.files import check_output
    from twodasl.models.importers import import_model
    from twodasl.models.library import register

    if output is not None:
        check_output(output, overwrite)
    imported = import_model(folder)
    registered_path = register(imported)
    if output is not None:
        imported.save(output)
    click.echo(
        f"{imported.name}: {len(imported.mean):,} vertices, {len(imported.triangles):,} triangles, "
        f"{imported.n_identity} identity + {imported.n_expression} expression components"
    )
    click.echo(f"basis id {imported.basis_id}")
    click.echo(f"written to {output or registered_path}")
    note(f"Terms: {imported.terms}")


@model.command()
@click.argument("file", type=FILE, required=False)
@json_option
def info(file: Path | None, as_json: bool) -> None:
    """Show sizes, ids, source and terms of a model FILE (default: the registered one)."""
    import json

    from twodasl.models.library import open_model

    opened = open_model(file)
    facts = {
        "name": opened.name,
        "vertices": len(opened.mean),
        "triangles": len(opened.triangles),
        "identity_components": opened.n_identity,
        "expression_components": opened.n_expression,
        "landmarks": len(opened.landmark_ids),
        "uv": opened.uv is not None,
        "colors": opened.colors is not None,
        "pncc": opened.pncc is not None,
        "symmetry": opened.symmetry is not None,
        "segments": list(opened.segment_names),
        "sigmas": opened.identity_sigma is not None,
        "unit": "micrometre",
        "basis_id": opened.basis_id,
        "file_id": opened.file_id,
        "source": opened.source,
        "terms": opened.terms,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    for key, value in facts.items():
        shown = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        click.echo(f"{key.replace('_', ' '):22} {', '.join(shown) if isinstance(shown, list) else shown}")


@model.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the registered models, the latest import first."""
    import json

    from twodasl.models.library import model_folder, registered

    entries = registered()
    if as_json:
        click.echo(
            json.dumps(
                [{"name": e.name, "basis_id": e.basis_id, "file_id": e.file_id, "path": str(e.path)} for e in entries]
            )
        )
        return
    for entry in entries:
        click.echo(f"{entry.basis_id[:12]}  {entry.name}  {entry.path}")
    if not entries:
        note(f"No models in {model_folder()}; 'twodasl model import DIR' adds one.")
