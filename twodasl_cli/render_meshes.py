"""The kinds of `twodasl render` that write a mesh of each face."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import NumberRange, note
from .render_common import choose, common, draw_each, photos_option

if TYPE_CHECKING:
    from twodasl.rendering.mesh_export import Placed

FRAME = "photo: pixels, x right, y up; model: millimetres in the face model's own axes"


def mesh_options(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """INPUT, -o and what the mesh files have in common. default: of --frame."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        decorators: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
            common,
            photos_option,
            click.option(
                "--frame", type=click.Choice(["photo", "model"]), default=default, show_default=True, help=FRAME
            ),
            click.option(
                "--eye-distance-mm", type=NumberRange(0, min_open=True),
                help="Scale so that the eyes' centres are this far apart: millimetres in either frame.",
            ),
            click.option("--colors", is_flag=True, help="Colour each vertex as the photo is there."),
        ]  # fmt: skip
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


_texture = click.option("--texture", is_flag=True, help="Lay the photo on the mesh as a picture (1024 x 1024).")


@click.command()
@mesh_options("photo")
@click.option("--matlab", is_flag=True, help="The original writer's bytes, in the frame of the input.")
@_texture
def obj(matlab: bool, **options: Any) -> None:
    """Wavefront OBJ: x right, y up, z to the viewer, vertices in order; --texture adds .mtl and .png."""
    from twodasl.models.files import check_output
    from twodasl.rendering.meshes import OBJ_COMPANIONS, write_obj

    def write(path: Path, mesh: "Placed") -> None:
        for suffix in OBJ_COMPANIONS if mesh.skin is not None else ():
            check_output(path.with_suffix(suffix), options["overwrite"])
        write_obj(path, mesh.vertices, mesh.triangles, mesh.colors, mesh.comments, mesh.skin)

    if not matlab:
        _write_each(options, ".obj", write, OBJ_COMPANIONS if options["texture"] else ())
        return
    for name in ("colors", "texture", "eye_distance_mm"):
        if options[name]:
            spelled = name.replace("_", "-")
            raise click.UsageError(
                f"--matlab and --{spelled} exclude each other: the original's OBJ knows no such thing"
            )
    _write_matlab(options)


@click.command()
@mesh_options("photo")
def ply(**options: Any) -> None:
    """Binary PLY in the OBJ's frame: x right, y up, z to the viewer; vertices in order."""
    from twodasl.rendering.meshes import write_ply

    options["texture"] = False
    _write_each(
        options,
        ".ply",
        lambda path, mesh: write_ply(path, mesh.vertices, mesh.triangles, mesh.colors, mesh.comments),
    )


@click.command()
@mesh_options("model")
@_texture
@click.option("--plain", is_flag=True, help="Without colours, even where the photo is known.")
def glb(plain: bool, **options: Any) -> None:
    """Binary glTF in metres, for viewers and engines: textured where the photo is known, else plain."""
    from twodasl.models.mesh_files import MESH_SUFFIXES
    from twodasl.rendering.gltf import write_glb

    if plain and (options["texture"] or options["colors"]):
        raise click.UsageError("--plain and --texture or --colors exclude each other")
    options["texture"] = "auto" if not (plain or options["colors"] or options["texture"]) else options["texture"]
    bare: list[str] = []

    def write(path: Path, mesh: "Placed") -> None:
        write_glb(path, mesh.metres, mesh.triangles, mesh.colors, mesh.terms, mesh.skin, mesh.facts)
        if options["texture"] == "auto" and mesh.skin is None and mesh.colors is None:
            bare.append(str(mesh.facts["name"]))

    try:
        _write_each(options, ".glb", write)
    finally:
        # Nobody expects a mesh file to have a photo.
        if bare and (options["photos"] is not None or options["input_path"].suffix.lower() not in MESH_SUFFIXES):
            note(f"{len(bare)} without a texture, as there is no photo of them: {', '.join(sorted(bare))}")


@click.command()
@common
@click.option("--frame", type=click.Choice(["photo", "crop"]), default="photo", show_default=True,
              help="photo: pixels from 1, y down; crop: the 120-pixel crop, y up.")  # fmt: skip
def mat(frame: str, **options: Any) -> None:
    """The original's vertex files: one variable 'vertex', float32 (3, N), in either of its frames."""
    from twodasl.rendering.meshes import write_vertex_mat

    chosen = choose(options, options["input_path"])
    faces = chosen.faces

    def draw(rows: list[int], path: Path) -> None:
        write_vertex_mat(path, faces.file_vertices(rows[0], frame))  # type: ignore[arg-type]  # click.Choice

    draw_each(options, chosen, (".mat",), {faces.names[row]: [row] for row in chosen.rows}, draw)


def _write_each(
    options: dict[str, Any], suffix: str, write: "Callable[[Path, Placed], None]", companions: Sequence[str] = ()
) -> None:
    from twodasl.rendering.faces import Photos
    from twodasl.rendering.mesh_export import MeshOptions, place

    if options["colors"] and options["texture"]:
        raise click.UsageError("--colors and --texture exclude each other: a mesh shows one of them")
    chosen = choose(options, options["input_path"], surface=True)
    faces, photos = chosen.faces, Photos(options["photos"])
    settings: MeshOptions = MeshOptions(
        frame=options["frame"],
        eye_distance_mm=options["eye_distance_mm"],
        colors=options["colors"],
        texture=options["texture"],
    )

    def draw(rows: list[int], path: Path) -> None:
        write(path, place(faces, rows[0], photos, settings))

    draw_each(options, chosen, (suffix,), {faces.names[row]: [row] for row in chosen.rows}, draw, companions)


def _write_matlab(options: dict[str, Any]) -> None:
    from twodasl.rendering.faces import VertexFaces
    from twodasl.rendering.meshes import write_obj_matlab

    chosen = choose(options, options["input_path"], surface=True)
    faces = chosen.faces

    def draw(rows: list[int], path: Path) -> None:
        row = rows[0]
        own = faces.own_vertices(row) if isinstance(faces, VertexFaces) else faces.file_vertices(row, "photo")
        write_obj_matlab(path, own.astype("float32"), faces.model.source_triangles())

    draw_each(options, chosen, (".obj",), {faces.names[row]: [row] for row in chosen.rows}, draw)
