"""The page as HTML: the one template of everything twodasl shows in a browser."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from ...models.files import whole_file
from .content import Page, Section, SharedMesh
from .gallery import gallery_parts, shared_mesh
from .markup import escape, figure, pairs, table
from .packing import pack_bytes

ASSETS = files("twodasl.rendering") / "assets"


def write_page(path: Path, page: Page) -> None:
    """Write the page, whole or not at all. All text is escaped, everything shown is inside the file.

    Cards are written as they are drawn, so memory does not grow with their number. Raises FileError where the file
    cannot be written, ShapeError for pictures of another shape.
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.writelines(_parts(page))


def _parts(page: Page) -> Iterator[str]:
    """The file's text, piece by piece."""
    style = _asset("page.css")
    meshes = _meshes(page.sections)
    script = _asset("page.js") + (_asset("viewer.js") if meshes else "")
    # Only this style and this script (and what the script makes itself) may run; nothing is loaded from anywhere.
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}' blob:; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{escape(page.title)}</title><link rel="icon" href="data:,"><style>{style}</style><script>{script}</script></head>\n<body>\n'
    )
    yield f'<header class="top"><h1>{escape(page.title)}</h1><p class="lead">{escape(page.intro)}</p>'
    if page.numbers:
        yield f'<dl class="numbers">{pairs(page.numbers)}</dl>'
    yield "".join(f'<p class="note">{escape(text)}</p>' for text in page.notes)
    yield _contents(page)
    yield "</header>\n<main>\n"
    for number, section in enumerate(page.sections, 1):
        yield from _section(section, number, meshes)
    yield f'</main>\n<footer id="terms"><h2>Terms</h2><dl class="facts">{pairs(page.terms)}</dl>'
    yield f"<p>Written by twodasl {escape(version())}.</p></footer>\n"
    if meshes:
        yield _asset("viewer.html")
        for identity, mesh in enumerate(meshes):
            yield shared_mesh(mesh, identity, version())
        for name in ("three.module.min.js", "OrbitControls.js"):
            source = (ASSETS / "three" / name).read_bytes()
            yield f'<script type="text/plain" data-module="{name}">{pack_bytes(source)}</script>\n'
        yield f"<!-- The packed modules are three.js 0.170.0:\n{(ASSETS / 'three' / 'LICENSE').read_text('utf-8')}-->\n"
    yield "</body></html>\n"


def version() -> str:
    """This package's version."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("twodasl")
    except PackageNotFoundError:
        return "(not installed)"


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _meshes(sections: Sequence[Section]) -> list[SharedMesh]:
    """The different meshes of the galleries, each once."""
    found: dict[int, SharedMesh] = {}
    for section in sections:
        if section.gallery is not None and section.gallery.mesh is not None:
            found[id(section.gallery.mesh)] = section.gallery.mesh
    return list(found.values())


def _contents(page: Page) -> str:
    if len(page.sections) < 3:
        return ""
    links = [f'<a href="#part-{number}">{escape(section.title)}</a>' for number, section in enumerate(page.sections, 1)]
    return f'<nav aria-label="Contents">{"".join(links)}<a href="#terms">Terms</a></nav>'


def _section(section: Section, number: int, meshes: list[SharedMesh]) -> Iterator[str]:
    yield f'<section id="part-{number}" aria-labelledby="title-{number}">'
    yield f'<h2 id="title-{number}">{escape(section.title)}</h2>\n'
    yield "".join(f"<p>{escape(text)}</p>" for text in section.text)
    if section.gallery is not None:
        mesh = section.gallery.mesh
        identity = None if mesh is None else next(i for i, known in enumerate(meshes) if known is mesh)
        yield from gallery_parts(section.gallery, identity)
    if section.pictures:
        figures = "".join(figure(picture) for picture in section.pictures)
        yield f'<div class="row {section.picture_size}">{figures}</div>'
    if section.table is not None:
        yield table(section.table)
    if section.facts:
        yield f'<dl class="facts">{pairs(section.facts)}</dl>'
    if section.code:
        yield f'<pre tabindex="0">{escape(section.code)}</pre>'
    if section.links:
        links = (f'<a href="{escape(target)}">{escape(text)}</a>' for text, target in section.links)
        yield f"<p>{' · '.join(links)}</p>"
    yield "</section>\n"
