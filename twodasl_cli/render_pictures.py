"""The kinds of `twodasl render` that make a picture of each photo."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import NumberRange, progress
from .render_common import Chosen, choose, common, draw_each, finish, in_order, photos_option

if TYPE_CHECKING:
    import numpy as np

    from twodasl.rendering.pictures import Paint, Style

PICTURE_SUFFIXES = (".jpg", ".png", ".jpeg")


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    decorators: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        common,
        photos_option,
        click.option(
            "--format", "suffix", type=click.Choice(["jpg", "png"]), help="Of pictures in a folder [default: jpg for "
            "pictures over photos, png for maps]; a file name says its own.",
        ),
        click.option("--size", type=click.IntRange(16, 8192), help="Longer side, pixels [default: the photo's]."),
        click.option("--fps", type=NumberRange(0.1, 240), help="Of a movie [default: the video's, else 25]."),
    ]  # fmt: skip
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


_alpha = click.option("--alpha", type=NumberRange(0, 1), default=1.0, show_default=True, help="1 is opaque.")


@click.command()
@picture_options
@_alpha
@click.option("--flat", is_flag=True, help="One shade for each triangle.")
def mask(alpha: float, flat: bool, **options: Any) -> None:
    """The shaded mesh over the photo, as in the paper's figures."""
    from twodasl.rendering.pictures import Style, paint_mask

    render_pictures(options, paint_mask, Style(alpha=alpha, flat=flat))


@click.command()
@picture_options
def points(**options: Any) -> None:
    """The visible vertices over the photo, near ones yellow, as in the paper's dense alignment figures."""
    from twodasl.rendering.pictures import paint_points

    render_pictures(options, paint_points)


@click.command()
@picture_options
def landmarks(**options: Any) -> None:
    """The 68 landmarks and their usual connections over the photo, hidden ones pale."""
    from twodasl.rendering.pictures import paint_landmarks

    render_pictures(options, paint_landmarks, surface=False)


@click.command()
@picture_options
def pose(**options: Any) -> None:
    """The head's axes (x red, y green, z blue) and a box around it over the photo."""
    from twodasl.rendering.pictures import paint_pose

    render_pictures(options, paint_pose, surface=False)


@click.command()
@picture_options
def depth(**options: Any) -> None:
    """The face's depth as colours on black, near ones yellow, in the photo's size."""
    from twodasl.rendering.pictures import paint_depth

    render_pictures(options, paint_depth, photo=False)


@click.command()
@picture_options
def pncc(**options: Any) -> None:
    """The projected normalised coordinate code on black: where on the mean face each pixel lies."""
    from twodasl.rendering.pictures import paint_pncc

    render_pictures(options, paint_pncc, photo=False)


@click.command()
@picture_options
def normals(**options: Any) -> None:
    """Where the surface faces, as colours on black: red to the right, green up, blue to the viewer."""
    from twodasl.rendering.pictures import paint_normals

    render_pictures(options, paint_normals, photo=False)


@click.command()
@common
@photos_option
@click.option("--size", type=click.IntRange(16, 8192), default=512, show_default=True, help="Texels along each side.")
@click.option("--complete", is_flag=True, help="Fill hidden places from the face's other half.")
def uv(photos: Path | None, size: int, complete: bool, **options: Any) -> None:
    """The photo unwrapped on the face's surface (PNG); what the photo does not show is transparent."""
    from twodasl.rendering.faces import Photos
    from twodasl.rendering.images import write_image
    from twodasl.rendering.texture import face_texture, layout, unwrap, write_texture

    chosen = choose(options, options["input_path"], surface=True)
    pictures, faces = Photos(photos), chosen.faces
    coordinates = layout(faces.model)

    def draw(rows: list[int], path: Path) -> None:
        vertices = faces.photo_vertices(rows[0])
        photo = pictures.under(faces, rows[0], vertices)
        if complete:
            write_image(path, face_texture(photo, vertices, faces.model, size))
        else:
            write_texture(path, unwrap(photo, vertices, faces.triangles(rows[0]), coordinates, size))

    draw_each(options, chosen, (".png",), {faces.names[row]: [row] for row in chosen.rows}, draw)


def render_pictures(
    options: dict[str, Any], paint: "Paint", style: "Style | None" = None, photo: bool = True, surface: bool = True
) -> None:
    """One picture for each photo, all of its faces in it; or one movie of them all where -o says so.

    photo: painted over the photo, else on black.
    """
    from twodasl.rendering.images import write_image
    from twodasl.rendering.movies import MOVIE_SUFFIXES
    from twodasl.rendering.pictures import Style, pictures_of

    chosen = choose(options, options["input_path"], surface)
    make = pictures_of(chosen.faces, options["photos"], paint, style or Style(), over_photo=photo, size=options["size"])
    names: dict[str, list[int]] = {}
    for row in chosen.rows:
        names.setdefault(chosen.faces.picture_name(row), []).append(row)
    if options["output"].suffix.lower() in MOVIE_SUFFIXES and not options["output"].is_dir():
        _movie(options, chosen, names, make)
        return
    first = f".{options['suffix'] or ('jpg' if photo else 'png')}"
    suffixes = (first, *(suffix for suffix in PICTURE_SUFFIXES if suffix != first))
    draw_each(options, chosen, suffixes, names, lambda rows, path: write_image(path, make(rows)))


def _movie(
    options: dict[str, Any], chosen: Chosen, names: dict[str, list[int]], make: "Callable[[list[int]], np.ndarray]"
) -> None:
    from twodasl.models.errors import TwodaslError
    from twodasl.models.files import check_output
    from twodasl.rendering.movies import write_movie

    check_output(options["output"], options["overwrite"])
    failed = dict(chosen.failed)

    def frames() -> "Iterator[np.ndarray]":
        with progress("frames", len(names)) as advance:
            for name, made in zip(names, in_order(make, names.values(), options["jobs"]), strict=True):
                try:
                    yield made.result()
                except TwodaslError as error:
                    failed[name] = str(error)
                advance(1)

    drawn = frames()
    first = next(drawn, None)
    rate = options["fps"] or _rate(chosen)
    count = 0 if first is None else write_movie(options["output"], chain([first], drawn), rate)
    finish(chosen, f"{count} pictures in {options['output']}" if count else "nothing drawn", failed, count)


def _rate(chosen: Chosen) -> float:
    """Pictures a second: those of the video that the faces are from."""
    from twodasl.models.video import is_frame, video_info, video_of

    path = chosen.faces.photo_path(chosen.rows[0]) if chosen.rows else None
    return video_info(video_of(path)).rate if path is not None and is_frame(path) else 25.0
