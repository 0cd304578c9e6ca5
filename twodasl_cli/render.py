"""`twodasl render`: pictures and meshes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import FILE, model_option, note, only_option, output_option, overwrite_option, rows_option

if TYPE_CHECKING:
    import numpy as np

    from twodasl.models.morphable import MorphableModel
    from twodasl.rendering.faces import RunFaces, VertexFaces

    AnyFaces = RunFaces | VertexFaces


@click.group()
def render() -> None:
    """Draw faces and write meshes.

    INPUT is a run, a folder of vertex .mat or one of them, or coefficients (.npy with --rows). -o names one file, or
    a folder for many; files that a folder has already are kept, so that a stopped command goes on where it was.
    """


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and options of every kind of rendering."""
    decorators: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.argument("input_path", metavar="INPUT", type=FILE),
        output_option("File, or folder for many."),
        model_option,
        rows_option,
        only_option,
        click.option("--whitening", type=FILE, help="Mean and std of a network's outputs (.pkl), for coefficients."),
        click.option("--boxes", type=FILE, help="Crop boxes, for coefficients and crop-frame vertex files."),
        click.option(
            "--convention", type=click.Choice(["3ddfa", "3ddfa-v2"]), help="Of coefficients [default: 3ddfa]."
        ),
        overwrite_option,
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


_frame_in = click.option(
    "--frame-in", type=click.Choice(["photo", "crop"]), help="Frame of vertex files [default: recognised]."
)
_photos = click.option("--photos", type=FILE, help="Folder of the photos, by name [default: where the input says].")
_format = click.option(
    "--format", "suffix", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True,
    help="Of pictures in a folder; a file name says its own.",
)  # fmt: skip


_colors = click.option("--colors", is_flag=True, help="Colour each vertex as the photo is there.")


@render.command()
@_common
@_frame_in
@_photos
@click.option("--matlab", is_flag=True, help="The original writer's bytes, in the frame of the input.")
@_colors
def obj(matlab: bool, colors: bool, photos: Path | None, **options: Any) -> None:
    """Wavefront OBJ: x right, y up (photo pixels, negated), z to the viewer; --matlab as the original wrote it."""
    from twodasl.rendering.faces import VertexFaces
    from twodasl.rendering.meshes import write_obj, write_obj_matlab

    if matlab and colors:
        raise click.UsageError("--matlab and --colors exclude each other: the original's OBJ has no colours")
    if not matlab:
        _render_meshes(options, photos, colors, ".obj", write_obj)
        return

    def draw(faces: "AnyFaces", index: int, path: Path) -> None:
        own = faces.own_vertices(index) if isinstance(faces, VertexFaces) else faces.file_vertices(index, "photo")
        write_obj_matlab(path, own.astype("float32"), faces.model.source_triangles())

    _render_all(options, (".obj",), draw, surface=True)


@render.command()
@_common
@_frame_in
@_photos
@_colors
def ply(colors: bool, photos: Path | None, **options: Any) -> None:
    """Binary PLY in the OBJ's frame: x right, y up (photo pixels, negated), z to the viewer; vertices in order."""
    from twodasl.rendering.meshes import write_ply

    _render_meshes(options, photos, colors, ".ply", write_ply)


def _render_meshes(
    options: dict[str, Any], photos: Path | None, colors: bool, suffix: str, write: Callable[..., None]
) -> None:
    from twodasl.rendering.faces import Photos
    from twodasl.rendering.images import vertex_colors

    pictures = Photos(photos)

    def draw(faces: "AnyFaces", index: int, path: Path) -> None:
        vertices = faces.photo_vertices(index)
        tints = vertex_colors(pictures.under(faces, index, vertices), vertices) if colors else None
        comments = (
            f"{faces.names[index]}, written by twodasl",
            "photo pixels: x right, y up (0 is the first row's centre, rows below are negative), z to the viewer",
            f"face model: {faces.model.name}",
            f"terms: {faces.terms}",
        )
        write(path, vertices * [1, -1, 1], faces.model.triangles, tints, comments)

    _render_all(options, (suffix,), draw, surface=True)


@render.command()
@_common
@_frame_in
@click.option("--frame", type=click.Choice(["photo", "crop"]), default="photo", show_default=True,
              help="photo: pixels from 1, y down; crop: the 120-pixel crop, y up.")  # fmt: skip
def mat(frame: str, **options: Any) -> None:
    """The original's vertex files: one variable 'vertex', float32 (3, N), in either of its frames."""
    from twodasl.rendering.meshes import write_vertex_mat

    def draw(faces: "AnyFaces", index: int, path: Path) -> None:
        write_vertex_mat(path, faces.file_vertices(index, frame))  # type: ignore[arg-type]  # click.Choice

    _render_all(options, (".mat",), draw)


@render.command()
@_common
@_frame_in
@_photos
@_format
@click.option("--alpha", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="1 is opaque.")
def mask(alpha: float, photos: Path | None, suffix: str, **options: Any) -> None:
    """The shaded mesh over the photo, as in the paper's figures."""
    from twodasl.rendering.images import mask_overlay

    _render_pictures(
        options, photos, suffix, lambda photo, vertices, model: mask_overlay(photo, vertices, model.triangles, alpha)
    )


@render.command()
@_common
@_frame_in
@_photos
@_format
def points(photos: Path | None, suffix: str, **options: Any) -> None:
    """The visible vertices over the photo, near ones yellow, as in the paper's dense alignment figures."""
    from twodasl.rendering.depth import points_overlay

    _render_pictures(
        options, photos, suffix, lambda photo, vertices, model: points_overlay(photo, vertices, model.triangles)
    )


@render.command()
@_common
@_frame_in
@_photos
@_format
def depth(photos: Path | None, suffix: str, **options: Any) -> None:
    """The face's depth as colours on black, near ones yellow, in the photo's size."""
    from twodasl.rendering.depth import depth_picture

    def draw(photo: "np.ndarray", vertices: "np.ndarray", model: "MorphableModel") -> "np.ndarray":
        return depth_picture(vertices, model.triangles, photo.shape[1], photo.shape[0])

    _render_pictures(options, photos, suffix, draw)


@render.command()
@_common
@_frame_in
@_photos
@_format
def landmarks(photos: Path | None, suffix: str, **options: Any) -> None:
    """The 68 landmarks and their usual connections over the photo."""
    from twodasl.rendering.images import landmarks_overlay

    def draw(photo: "np.ndarray", vertices: "np.ndarray", model: "MorphableModel") -> "np.ndarray":
        return landmarks_overlay(photo, vertices[model.landmark_ids])

    _render_pictures(options, photos, suffix, draw, surface=False)


def _render_pictures(
    options: dict[str, Any],
    photos: Path | None,
    suffix: str,
    picture: Callable[["np.ndarray", "np.ndarray", "MorphableModel"], "np.ndarray"],
    surface: bool = True,
) -> None:
    """Pictures made of a photo, the face's vertices in its pixels from 0, and the model."""
    from twodasl.rendering.faces import Photos
    from twodasl.rendering.images import write_image

    pictures = Photos(photos)

    def draw(faces: "AnyFaces", index: int, path: Path) -> None:
        vertices = faces.photo_vertices(index)
        photo = pictures.under(faces, index, vertices)
        write_image(path, picture(photo, vertices, faces.model))

    _render_all(options, _picture_suffixes(suffix), draw, surface=surface)


def _picture_suffixes(first: str) -> tuple[str, ...]:
    return (f".{first}", *(s for s in (".jpg", ".jpeg", ".png") if s != f".{first}"))


def _render_all(
    options: dict[str, Any],
    suffixes: tuple[str, ...],
    draw: Callable[["AnyFaces", int, Path], None],
    surface: bool = False,
) -> None:
    """Draw every face of the input that is not there yet. A face that cannot be drawn is named; the others go on.

    surface: the model needs triangles.
    """
    from twodasl.models.errors import DegenerateFaceError, NamesError, TwodaslError
    from twodasl.models.inputs import InputOptions
    from twodasl.models.tables import read_names, shorten
    from twodasl.rendering.faces import open_faces
    from twodasl.rendering.output import Output

    faces = open_faces(
        options["input_path"],
        InputOptions(
            rows=options["rows"],
            whitening=options["whitening"],
            boxes=options["boxes"],
            model=options["model_path"],
            convention=options["convention"],
            frame_in=options["frame_in"],
        ),
    )
    if surface and len(faces.model.triangles) == 0:
        raise DegenerateFaceError(
            f"the face model {faces.model.name!r} has no triangles, so there is no surface to draw: import it again "
            "with tri.mat in its folder"
        )
    chosen = set(read_names(options["only"])) if options["only"] is not None else None
    rows = [row for row, name in enumerate(faces.names) if chosen is None or name in chosen]
    failed = {name: why for name, why in faces.failed.items() if chosen is None or name in chosen}
    if chosen is not None:
        failed |= dict.fromkeys(sorted(chosen - set(faces.names) - set(faces.failed)), "not in the input")
    output = Output(options["output"], suffixes, options["overwrite"])
    if rows:
        output.prepare([faces.names[row] for row in rows])
    elif not failed:
        raise NamesError(f"{options['input_path']} holds no faces")
    kept = [row for row in rows if output.done(faces.names[row])]
    waiting = [row for row in rows if row not in set(kept)]
    for row in _progress(waiting):
        name = faces.names[row]
        try:
            draw(faces, row, output.file(name))
        except TwodaslError as error:
            if output.is_file:
                raise
            failed[name] = str(error)
    if kept:
        note(f"{len(kept)} files were there already and are kept; --overwrite draws them again")
    drawn = len(waiting) - sum(faces.names[row] in failed for row in waiting)
    note(f"{drawn} written to {output.path}")
    note(f"Terms: {faces.terms}")
    if failed:
        note(f"{len(failed)} not drawn: {shorten(f'{name} ({why})' for name, why in failed.items())}")
        sys.exit(3 if drawn or kept else 1)


def _progress(rows: list[int]) -> Any:
    """The rows, with a progress bar on a terminal's stderr where there are several."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if len(rows) < 3 or not console.is_terminal:
        return rows
    return track(rows, "faces", console=console)
