"""The qualitative figure of a paper: one row for each image, one column for each layer of each method."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..models.errors import DegenerateFaceError, NamesError
from ..models.files import whole_file
from ..models.tables import shorten
from .faces import Faces
from .layers import layer_maker

FIGURE_SUFFIXES = (".pdf", ".png", ".svg", ".jpg")
INCH = 1.35  # width of a picture in the figure
ROOM = 0.2  # of the faces' extent, that is left around them


@dataclass(frozen=True)
class FigureOptions:
    """images: names, one row each. layers: of `layers.LAYERS`. size: pixels of each picture. crop: each row is cut to
    the surroundings of its faces, the same for all methods."""

    images: tuple[str, ...]
    layers: tuple[str, ...] = ("photo", "mask")
    size: int = 300
    crop: bool = True


def write_figure(path: Path, methods: Mapping[str, Faces], photos: Path | None, options: FigureOptions) -> None:
    """Write the figure as `.pdf`, `.png`, `.svg` or `.jpg`. methods: what each is called, and its faces.

    Raises NamesError for an image that a method has no face of.
    """
    from matplotlib.figure import Figure

    columns = [(method, layer) for layer in options.layers for method in ([None] if layer == "photo" else methods)]
    rows = {name: {method: _rows(faces, name, method) for method, faces in methods.items()} for name in options.images}
    if not rows:
        raise NamesError("no image is named")
    first = next(iter(methods))
    head = 0.22 + (0.16 if len(methods) > 1 else 0)
    size = (INCH * len(columns), INCH * len(rows) + head)
    figure = Figure(figsize=size, dpi=options.size / INCH)
    grid = figure.subplots(
        len(rows), len(columns), squeeze=False,
        gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": 1 - head / size[1], "wspace": 0.02, "hspace": 0.02},
    )  # fmt: skip
    makers = {(method, layer): layer_maker(methods[method or first], photos, layer) for method, layer in columns}
    for line, found in zip(grid, rows.values(), strict=True):
        window = _window(methods, found) if options.crop else None
        for axes, (method, layer) in zip(line, columns, strict=True):
            picture = makers[method, layer](found[method or first])
            axes.imshow(_cut(picture, window, options.size), interpolation="none")
            axes.set_axis_off()
    for axes, (method, layer) in zip(grid[0], columns, strict=True):
        label = layer if method is None or len(methods) == 1 else f"{method}\n{layer}"
        axes.set_title(label, fontsize=7, pad=2)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), metadata=_undated(path.suffix.lower()))


def _undated(suffix: str) -> dict[str, None] | None:
    """So that the same figure is the same bytes; pictures say no dates, and JPEG takes nothing of this kind."""
    return {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(suffix)


def _rows(faces: Faces, name: str, method: str) -> list[int]:
    found = [row for row in range(len(faces.names)) if faces.picture_name(row) == name]
    if not found:
        why = faces.failed.get(name)
        known = f"it has {shorten(faces.names)}" if why is None else why
        raise NamesError(f"{method} has no face of {name}: {known}")
    return found


def _window(methods: Mapping[str, Faces], found: Mapping[str, list[int]]) -> tuple[int, int, int, int]:
    """A square around the faces of one image, of all methods: left, top, right, bottom."""
    points = np.concatenate([methods[name].photo_vertices(row)[:, :2] for name, rows in found.items() for row in rows])
    low, high = points.min(axis=0), points.max(axis=0)
    centre, half = (low + high) / 2, (high - low).max() * (0.5 + ROOM)
    if not half > 0:
        raise DegenerateFaceError("all points of the face lie in one place: there is nothing to cut out around it")
    left, top = (int(value) for value in np.floor(centre - half))
    return left, top, left + int(np.ceil(2 * half)), top + int(np.ceil(2 * half))


def _cut(picture: np.ndarray, window: tuple[int, int, int, int] | None, size: int) -> np.ndarray:
    image = Image.fromarray(picture)
    if window is not None:
        sides = np.array(image.size)
        low, high = np.clip(np.reshape(window, (2, 2)), -sides, 2 * sides)  # a face may be far larger than its photo
        image = image.crop((*low, *np.maximum(high, low + 1)))
    scale = size / max(image.size)
    target = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(target, Image.Resampling.LANCZOS))
