"""Text and pictures as pieces of HTML."""

import base64
import html
import io

import numpy as np

from ..images import check_photo
from .content import Facts, Figure, Picture, Table

QUALITY = 82  # of pictures, WebP


def escape(text: str) -> str:
    """Text as HTML, also inside an attribute."""
    return html.escape(text, quote=True)


def pairs(facts: Facts) -> str:
    """Names and values as the inside of a <dl>."""
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)


def table(content: Table) -> str:
    caption = f"<caption>{escape(content.caption)}</caption>" if content.caption else ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in content.head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in content.rows)
    body = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="scroll" role="region" aria-label="Table" tabindex="0">{body}</div>'


def figure(picture: Picture | Figure) -> str:
    if isinstance(picture, Picture):
        url = picture_url(picture.image)
    else:
        url = "data:image/svg+xml;base64," + base64.b64encode(picture.svg.encode()).decode()
    caption = escape(picture.caption)
    return f'<figure><img loading="lazy" src="{url}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def picture_url(image: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as a WebP data URL. Raises ShapeError for an array that is none."""
    from PIL import Image

    check_photo(image)
    webp = io.BytesIO()
    Image.fromarray(image).save(webp, "webp", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(webp.getvalue()).decode()
