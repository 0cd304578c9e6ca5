"""A gallery as HTML: its tools, a card for each face, and what the 3D view is made of."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..images import LANDMARK_LINES
from .content import Card, FaceMesh, Gallery, SharedMesh
from .markup import escape, picture_url
from .packing import GRID_MM, on_grid, pack, pack_bits

LAYERS = {
    "photo": ("Photo", "Photo of {}"),
    "mask": ("Mask", "{}, the reconstructed face over it"),
    "depth": ("Depth", "Depth of {}, near is yellow"),
}
OUTSIDE = 30  # pictures; landmarks further out are not worth writing down
YAW_RANGES = (("0–30°", "0 30"), ("30–60°", "30 60"), ("60–90°", "60 360"))


def gallery_parts(gallery: Gallery, mesh: int | None) -> Iterator[str]:
    """The gallery's text, card by card. mesh: the number of its shared mesh in the page."""
    shown = " data-points-shown" if gallery.points else ""
    yield f'<div class="gallery"{"" if mesh is None else f" data-mesh={mesh}"}{shown}>'
    yield _tools(gallery.errors)
    yield '<ul class="cards">\n'
    reference = None if gallery.mesh is None else on_grid(gallery.mesh.reference)
    for card in gallery.cards:
        yield _card(card, gallery.errors, reference)
    yield '</ul><p class="none" hidden>No face matches. <button type="button" data-reset>Show all</button></p></div>\n'


def shared_mesh(mesh: SharedMesh, number: int, version: str) -> str:
    """What the faces of a gallery share, as data beside the page's text."""
    return _data(
        f'data-shared="{number}"',
        {
            "name": mesh.name,
            "terms": mesh.terms,
            "generator": f"twodasl {version}",
            "grid": GRID_MM,
            "vertices": len(mesh.reference),
            "triangles": len(mesh.triangles),
            "reference": pack(on_grid(mesh.reference)),
            "corners": pack(mesh.triangles.reshape(1, -1)),
            "landmarks": [int(vertex) for vertex in mesh.landmark_ids],
        },
    )


def _tools(errors: Sequence[str]) -> str:
    """Search, sort and filter, and what all cards show. The page's script brings them to life."""
    orders = [("", "as in the input"), ("name", "name"), ("yaw", "yaw"), ("turn", "|yaw|")]
    orders += [(f"error{number}", name) for number, name in enumerate(errors)]
    shown = "".join(f'<option value="{key}">{escape(text)}</option>' for key, text in orders)
    bins = "".join(f'<option value="{limits}">{text}</option>' for text, limits in YAW_RANGES)
    layers = "".join(f'<button type="button" data-show="{key}">{text}</button>' for key, (text, _) in LAYERS.items())
    ranges = ""
    if errors:
        names = "".join(f'<option value="{number}">{escape(name)}</option>' for number, name in enumerate(errors))
        ranges = (
            f'<span class="range"><label>Error <select data-filter="error">{names}</select></label>'
            '<label>from <input type="number" min="0" step="0.1" data-filter="least" placeholder="0"></label>'
            '<label>to <input type="number" min="0" step="0.1" data-filter="most" placeholder="any"> %</label></span>'
        )
    return (
        '<form class="tools"><div>'
        '<label class="search"><span class="away">Search names</span>'
        '<input type="search" data-filter="text" placeholder="Search names" autocomplete="off"></label>'
        f"<label>Sort by <select data-sort>{shown}</select></label>"
        '<button type="button" data-descending aria-pressed="false" title="Turn the order around">'
        '<span aria-hidden="true">↓</span><span class="away">Largest first</span></button>'
        f'<label>Yaw <select data-filter="yaw"><option value="">any</option>{bins}</select></label>'
        '<label>Status <select data-filter="status"><option value="">any</option></select></label>'
        f"{ranges}</div><div>"
        f'<span class="switch" role="group" aria-label="What all cards show">{layers}</span>'
        '<span class="switch"><button type="button" data-points="found" aria-pressed="false">Landmarks</button>'
        '<button type="button" data-points="truth" aria-pressed="false">Truth</button></span>'
        '<output class="count" aria-live="polite"></output>'
        '<button type="reset" class="plain">Reset</button></div></form>'
    )


def _card(card: Card, errors: Sequence[str], reference: np.ndarray | None) -> str:
    """One card. Its data attributes are what it is sorted and filtered by; an unknown number has none."""
    pictures = {key: image for key in LAYERS if (image := getattr(card, key)) is not None}
    facts = [("yaw", card.yaw_degrees, "{:.0f}°"), *((name, value, "{:.2f} %") for name, value in _named(card, errors))]
    keys = ["yaw", *(f"error{number}" for number in range(len(errors)))]
    data = "".join(
        f' data-{key}="{value:.4f}"' for key, (_, value, _) in zip(keys, facts, strict=True) if value is not None
    )
    numbers = "".join(
        f"<span>{escape(name)} <b>{form.format(value)}</b></span>" for name, value, form in facts if value is not None
    )
    view = "mask" if "mask" in pictures else next(iter(pictures), "")
    name = escape(card.name)
    text = f'<p class="name" title="{name}">{name}</p>'
    if card.status != "ok":
        text += f'<p class="status">{escape(card.status)}</p>'
    if numbers:
        text += f'<p class="values">{numbers}</p>'
    if card.note:
        text += f'<p class="why">{escape(card.note)}</p>'
    return (
        f'<li class="card" data-name="{name}" data-status="{escape(card.status)}" data-view="{view}"{data}>'
        f'{_stage(card, pictures)}<div class="text">{text}</div>{_face(card.mesh, reference)}</li>\n'
    )


def _named(card: Card, errors: Sequence[str]) -> list[tuple[str, float | None]]:
    return list(zip(errors, card.errors or [None] * len(errors), strict=True))


def _stage(card: Card, pictures: dict[str, np.ndarray]) -> str:
    """The card's pictures on top of each other, the points over them, and the buttons that choose among them."""
    if not pictures:
        return '<div class="stage"><span class="nothing" aria-hidden="true">?</span></div>'
    height, width = next(iter(pictures.values())).shape[:2]
    layers = "".join(
        f'<img class="{key}" loading="lazy" decoding="async" width="{width}" height="{height}" '
        f'alt="{escape(LAYERS[key][1].format(card.name))}" src="{picture_url(image)}">'
        for key, image in pictures.items()
    )
    paths = "".join(
        f'<path class="{kind} lines" d="{lines}"/><path class="{kind} dots" d="{dots}"/>'
        for kind, points in (("truth", card.truth), ("found", card.landmarks))
        if points is not None
        for lines, dots in [_paths(points, width, height)]
    )
    # Pixel centres have whole numbers: the picture begins half a pixel before the first.
    drawing = f'<svg viewBox="-0.5 -0.5 {width} {height}" aria-hidden="true">{paths}</svg>' if paths else ""
    buttons = "".join(f'<button type="button" data-show="{key}">{LAYERS[key][0]}</button>' for key in pictures)
    if card.landmarks is not None:
        buttons += '<button type="button" data-points="found" aria-pressed="false" title="Landmarks">68</button>'
    switch = f'<div class="switch" role="group" aria-label="Show">{buttons}</div>'
    opener = ""
    if card.mesh is not None:
        opener = f'<button type="button" class="open"><span class="away">{escape(card.name)} in </span>3D</button>'
    return f'<div class="stage">{layers}{drawing}{opener}{switch}</div>'


def _paths(points: np.ndarray, width: int, height: int) -> tuple[str, str]:
    """The 68 points as SVG paths: their usual connections, and a dot each."""
    limit = OUTSIDE * np.array([width, height])
    spots = [f"{x:.1f} {y:.1f}" for x, y in np.clip(points[:, :2], -limit, limit)]
    lines = "".join(
        "M" + "L".join(spots[first : last + 1]) + ("Z" if closed else "") for first, last, closed in LANDMARK_LINES
    )
    return lines, "".join(f"M{spot}h0" for spot in spots)


def _face(mesh: FaceMesh | None, reference: np.ndarray | None) -> str:
    if mesh is None or reference is None:
        return ""
    return _data(
        'class="face"',
        {
            "positions": pack(on_grid(mesh.vertices) - reference),
            "seen": pack_bits(mesh.seen),
            "camera": [float(f"{value:.7g}") for value in mesh.camera.ravel()],
            "rotation": [round(float(value), 6) for value in mesh.rotation.ravel()],
        },
    )


def _data(attribute: str, values: dict[str, Any]) -> str:
    """Values for the script, which no browser runs or shows."""
    text = json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" {attribute}>{text}</script>'
