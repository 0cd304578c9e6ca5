"""Many pictures on one: a contact sheet with the names under them."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..models.errors import FileError

GAP = 6  # pixels between cells
BACKGROUND, INK = (250, 250, 250), (60, 60, 60)


def contact_sheet(
    pictures: Sequence[np.ndarray], names: Sequence[str], columns: int = 0, cell: int = 160
) -> np.ndarray:
    """All pictures in one, (H, W, 3) uint8: each fitted into a square of `cell` pixels, its name under it.

    pictures: (h, w, 3) uint8 of any size. columns: 0 for as many as make the sheet about 4:3. Raises FileError for none.
    """
    if not pictures:
        raise FileError("a contact sheet of no pictures")
    columns = columns or max(1, min(len(pictures), round(math.sqrt(len(pictures) * 4 / 3))))
    rows = math.ceil(len(pictures) / columns)
    font = ImageFont.load_default(size=max(9, cell // 14))
    line = max(12, cell // 10)
    sheet = Image.new("RGB", (GAP + columns * (cell + GAP), GAP + rows * (cell + line + GAP)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        row, column = divmod(number, columns)
        left, top = GAP + column * (cell + GAP), GAP + row * (cell + line + GAP)
        image = thumbnail(picture, cell)
        sheet.paste(image, (left + (cell - image.width) // 2, top + (cell - image.height) // 2))
        draw.text((left + cell // 2, top + cell + line // 2), _fitting(name, font, cell), INK, font, "mm")
    return np.asarray(sheet)


def thumbnail(picture: np.ndarray, side: int) -> Image.Image:
    """The picture, its longer side `side` pixels."""
    scale = side / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)


def _fitting(name: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """The name, its middle left out where it is too long."""
    keep = len(name)
    shown = name
    while keep > 4 and font.getlength(shown) > width:
        keep -= 1
        shown = f"{name[: keep - keep // 2]}…{name[-(keep // 2) :]}"
    return shown
