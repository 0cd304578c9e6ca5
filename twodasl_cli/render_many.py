"""The kinds of `twodasl render` that put many pictures together: contact sheets, turntables, figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import FILE, NumberRange, note, progress
from .render_common import choose, common, draw_each, finish, in_order, input_options, photos_option

if TYPE_CHECKING:
    import numpy as np

LAYERS = ("photo", "mask", "points", "landmarks", "pose", "depth", "pncc", "normals")
WITHOUT_SURFACE = frozenset({"photo", "landmarks", "pose"})  # layers that a model without triangles has too


@click.command()
@common
@photos_option
@click.option("--layer", type=click.Choice(LAYERS), default="mask", show_default=True, help="What each cell shows.")
@click.option("--columns", type=click.IntRange(1, 1000), help="[default: for a sheet of about 4:3]")
@click.option("--cell", type=click.IntRange(32, 1024), default=160, show_default=True, help="Pixels of a cell.")
def contact(layer: str, columns: int | None, cell: int, photos: Path | None, **options: Any) -> None:
    """All faces on one sheet, their names under them: contact.jpg, or the file that -o names."""
    from twodasl.models.errors import TwodaslError
    from twodasl.rendering.contact import contact_sheet, thumbnail
    from twodasl.rendering.images import write_image
    from twodasl.rendering.layers import layer_maker
    from twodasl.rendering.output import Output

    chosen = choose(options, options["input_path"], surface=layer not in WITHOUT_SURFACE)
    make = layer_maker(chosen.faces, photos, layer)
    names: dict[str, list[int]] = {}
    for row in chosen.rows:
        names.setdefault(chosen.faces.picture_name(row), []).append(row)
    output = Output(options["output"], (".jpg", ".png", ".jpeg"), options["overwrite"])
    output.prepare(["contact"])
    path = output.file("contact")
    if output.done("contact"):
        note(f"{path} was there already and is kept; --overwrite draws it again")
        return
    cells: list[np.ndarray] = []
    shown, failed = [], dict(chosen.failed)

    def small(rows: list[int]) -> "np.ndarray":
        import numpy as np

        return np.asarray(thumbnail(make(rows), cell))

    with progress("faces", len(names)) as advance:
        for name, made in zip(names, in_order(small, names.values(), options["jobs"]), strict=True):
            try:
                cells.append(made.result())
                shown.append(name)
            except TwodaslError as error:
                failed[name] = str(error)
            advance(1)
    if cells:
        write_image(path, contact_sheet(cells, shown, columns or 0, cell))
    finish(chosen, f"{len(cells)} faces on {path}" if cells else "nothing drawn", failed, len(cells))


@click.command()
@common
@photos_option
@click.option("--size", type=click.IntRange(16, 4096), default=400, show_default=True, help="Pixels of each side.")
@click.option("--frames", type=click.IntRange(2, 1000), default=48, show_default=True, help="Pictures of one turn.")
@click.option("--sway", type=NumberRange(0, 180), default=60.0, show_default=True,
              help="Degrees to each side; 180 turns all the way round.")  # fmt: skip
@click.option("--colors", is_flag=True, help="Colour the vertices as the photo is there.")
@click.option("--format", "suffix", type=click.Choice(["gif", "mp4"]), default="gif", show_default=True,
              help="Of movies in a folder; a file name says its own.")  # fmt: skip
@click.option("--fps", type=NumberRange(0.1, 240), default=20.0, show_default=True)
def turntable(
    size: int, frames: int, sway: float, colors: bool, suffix: str, fps: float, photos: Path | None, **options: Any
) -> None:
    """A movie of each face turning (GIF or MP4), in the model's own axes: without its pose in the photo."""
    from twodasl.rendering.faces import Photos
    from twodasl.rendering.mesh_export import looks
    from twodasl.rendering.movies import write_movie
    from twodasl.rendering.turntable import turntable as turned

    chosen = choose(options, options["input_path"], surface=True)
    faces, pictures = chosen.faces, Photos(photos)

    def draw(rows: list[int], path: Path) -> None:
        row = rows[0]
        tints, _ = looks(faces, row, pictures, colors=colors)
        pictures_of_it = turned(
            faces.model_vertices(row), faces.triangles(row), tints, count=frames, size=size, sway=sway
        )
        write_movie(path, pictures_of_it, fps)

    first = f".{suffix}"
    suffixes = (first, ".mp4" if first == ".gif" else ".gif")
    draw_each(options, chosen, suffixes, {faces.names[row]: [row] for row in chosen.rows}, draw)


@click.command()
@click.argument("methods", metavar="[NAME=]INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="The figure: .pdf, .png, .svg or .jpg.")
@click.option("--images", required=True, help="Names of the images, with commas between: one row each.")
@click.option("--layers", default="photo,mask", show_default=True,
              help=f"Columns: {', '.join(LAYERS)}; all but photo once for each method.")  # fmt: skip
@click.option("--size", type=click.IntRange(16, 4096), default=300, show_default=True, help="Pixels of each picture.")
@click.option("--crop/--no-crop", default=True, show_default=True, help="Cut each row to the faces' surroundings.")
@photos_option
@input_options
def figure(
    methods: tuple[str, ...],
    output: Path,
    images: str,
    layers: str,
    size: int,
    crop: bool,
    photos: Path | None,
    **options: Any,
) -> None:
    """The qualitative figure of a paper: images down, methods and layers across."""
    from twodasl.models.files import check_output
    from twodasl.models.tables import image_name
    from twodasl.rendering.figure import FIGURE_SUFFIXES, FigureOptions, write_figure

    if output.suffix.lower() not in FIGURE_SUFFIXES:
        raise click.UsageError(f"-o {output}: a figure is written as {', '.join(FIGURE_SUFFIXES)}")
    chosen_layers = [layer.strip() for layer in layers.split(",") if layer.strip()]
    unknown = [layer for layer in chosen_layers if layer not in LAYERS]
    if unknown or not chosen_layers:
        raise click.UsageError(f"--layers {layers}: {', '.join(LAYERS)} are known")
    if options["only"] is not None:
        raise click.UsageError("--images says which images the figure shows; --only is for other kinds")
    names = [image_name(name.strip()) for name in images.split(",") if name.strip()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise click.UsageError(f"--images {images}: {repeated[0]} is there twice")
    check_output(output, options["overwrite"])
    named: dict[str, Any] = {}
    for method in methods:
        name, _, path = method.rpartition("=")
        name = name or Path(path).stem
        if name in named:
            raise click.UsageError(f"two inputs are called {name}: NAME=INPUT names them")
        named[name] = choose(options, Path(path), surface=not WITHOUT_SURFACE.issuperset(chosen_layers)).faces
    settings = FigureOptions(
        images=tuple(names),
        layers=tuple(chosen_layers),
        size=size,
        crop=crop,
    )
    write_figure(output, named, photos, settings)
    note(f"{len(settings.images)} x {len(named)} faces in {output}")
    for name, faces in named.items():
        note(f"Terms of {name}: {faces.terms}")
