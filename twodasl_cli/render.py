"""`twodasl render`: pictures and meshes."""

import importlib
from collections.abc import Sequence

import click

# Each kind, in the order of the help text, and the module that holds it.
KINDS = {
    "mask": "render_pictures",
    "points": "render_pictures",
    "landmarks": "render_pictures",
    "pose": "render_pictures",
    "depth": "render_pictures",
    "pncc": "render_pictures",
    "normals": "render_pictures",
    "uv": "render_pictures",
    "contact": "render_many",
    "turntable": "render_many",
    "figure": "render_many",
    "page": "render_page",
    "obj": "render_meshes",
    "ply": "render_meshes",
    "glb": "render_meshes",
    "mat": "render_meshes",
}


class _Kinds(click.Group):
    def list_commands(self, ctx: click.Context) -> Sequence[str]:  # type: ignore[override]
        return list(KINDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in KINDS:
            return None
        module = importlib.import_module(f".{KINDS[cmd_name]}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Kinds)
def render() -> None:
    """Draw faces and write meshes.

    INPUT is a run, a folder of vertex .mat or one of them, coefficients (.npy with --rows), or a mesh (.ply .obj .glb);
    with --weights a photo or a folder of photos.
    -o names one file, or a folder for many; files that a folder has already are kept, so that a stopped command goes
    on where it was.
    """
