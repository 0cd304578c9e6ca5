"""What a page shows. All text is plain: it is escaped where it is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Facts = Sequence[tuple[str, str]]  # name and value
Size = Literal["small", "medium", "large"]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its caption: (H, W, 3) uint8 RGB."""

    image: np.ndarray
    caption: str


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption: the text of an SVG file, as matplotlib writes it. Nothing in it is run."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of cells as text under a head; the first column is aligned to the left, the others to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True, eq=False)
class SharedMesh:
    """What the faces of a page have in common in their 3D view.

    reference: (N, 3) float, millimetres in the model's axes, any face like the others: they are stored as what they
    differ from it. triangles: (T, 3) int, counter-clockwise seen from outside. landmark_ids: (68,) int.
    """

    reference: np.ndarray
    triangles: np.ndarray
    landmark_ids: np.ndarray
    name: str
    terms: str


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """One face in 3D.

    vertices: (N, 3) float, millimetres in the model's axes: x right, y up, z to the viewer. seen: (N,) bool, which
    of them the picture shows. camera: (2, 4) float, millimetres to pixels of the card's pictures (from 0, y down).
    rotation: (3, 3) float, how the head is turned in the picture, y up.
    """

    vertices: np.ndarray
    seen: np.ndarray
    camera: np.ndarray
    rotation: np.ndarray


@dataclass(frozen=True, eq=False)
class Card:
    """One face of a gallery, or an input without one.

    note: why something is missing. errors: one per name of the gallery's `errors`, percent; None where unknown.
    photo, mask, depth: (H, W, 3) uint8 RGB, of one size, each may be missing.
    landmarks, truth: (68, 2) float, pixels of the pictures from 0, found and annotated points. mesh: the 3D view.
    """

    name: str
    status: str = "ok"
    note: str = ""
    yaw_degrees: float | None = None
    errors: Sequence[float | None] = ()
    photo: np.ndarray | None = None
    mask: np.ndarray | None = None
    depth: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    truth: np.ndarray | None = None
    mesh: FaceMesh | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """Cards in a grid that can be searched, sorted and filtered.

    cards are taken one after another while the page is written, so they may be drawn only then. errors: what the
    cards' errors are called, such as "2D NME". mesh: of the cards that have one. points: landmarks and truth are shown
    from the start.
    """

    cards: Iterable[Card]
    errors: Sequence[str] = ()
    mesh: SharedMesh | None = None
    points: bool = False


@dataclass(frozen=True, eq=False)
class Section:
    """A heading, then whatever it has: paragraphs, a gallery, pictures in a row, a table, facts, text in its own
    lines, and links (text, target)."""

    title: str
    text: Sequence[str] = ()
    gallery: Gallery | None = None
    pictures: Sequence[Picture | Figure] = ()
    picture_size: Size = "medium"
    table: Table | None = None
    facts: Facts = ()
    code: str = ""
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """A page. numbers: the few that say most, large on top. notes: what a reader must know first. terms: what the
    page's contents may be used for, by part."""

    title: str
    intro: str
    sections: Sequence[Section]
    numbers: Facts = ()
    notes: Sequence[str] = ()
    terms: Facts = field(default_factory=tuple)
