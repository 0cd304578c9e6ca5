"""One self-contained HTML page: pictures, a table and text, readable from disk without a network."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..models.files import whole_file
from .images import check_photo

STYLE = """
:root { color-scheme: light dark; --ink: #1b2b34; --soft: #53646d; --paper: #fbfaf7; --line: #d9d5cc; --teal: #19a0a0 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf0; --soft: #9fb0b8; --paper: #14191c; --line: #2e383d; --teal: #4fc9c4 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1100px; padding: 2rem 1.2rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif }
h1 { font-size: 2rem; margin: 0 0 .3rem } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; color: var(--teal) }
p { max-width: 46rem } .soft { color: var(--soft) }
.row { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(var(--width, 190px), 1fr)) }
figure { margin: 0 } figure img { width: 100%; display: block; border-radius: 6px; background: #000 }
figcaption { font-size: .85rem; color: var(--soft); margin-top: .25rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { padding: .35rem .9rem .35rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left }
pre { overflow-x: auto; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: 6px; font-size: .85rem }
a { color: var(--teal) }
"""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its caption: (H, W, 3) uint8 RGB."""

    image: np.ndarray
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of cells as text under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, then pictures in a row, a table, preformatted text and links (text, target), as given."""

    title: str
    text: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    picture_width: int = 190
    table: Table | None = None
    code: str = ""
    links: Sequence[tuple[str, str]] = field(default_factory=tuple)


def write_page(path: Path, title: str, intro: str, sections: Sequence[Section], foot: str = "") -> None:
    """Write the page; all text is escaped, all pictures are inside the file."""
    body = "\n".join(_section(section) for section in sections)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>\n<body>'
        f"<h1>{html.escape(title)}</h1><p>{html.escape(intro)}</p>\n{body}\n"
        f'<h2>Terms</h2><p class="soft">{html.escape(foot)}</p></body></html>\n'
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>", *(f"<p>{html.escape(text)}</p>" for text in section.text)]
    if section.pictures:
        figures = "".join(_figure(picture) for picture in section.pictures)
        parts.append(f'<div class="row" style="--width: {section.picture_width}px">{figures}</div>')
    if section.table is not None:
        parts.append(_table(section.table))
    if section.code:
        parts.append(f"<pre>{html.escape(section.code)}</pre>")
    if section.links:
        links = (
            f'<a href="{html.escape(target, quote=True)}">{html.escape(text)}</a>' for text, target in section.links
        )
        parts.append(f"<p>{' · '.join(links)}</p>")
    return "\n".join(parts)


def _figure(picture: Picture) -> str:
    caption = html.escape(picture.caption, quote=True)
    return f'<figure><img src="{_data_url(picture.image)}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _data_url(image: np.ndarray) -> str:
    from PIL import Image

    check_photo(image)
    jpg = io.BytesIO()
    Image.fromarray(image).save(jpg, "jpeg", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(jpg.getvalue()).decode()


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
