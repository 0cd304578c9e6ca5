"""One self-contained HTML page: text, tables, pictures and galleries of faces, read from disk without a network."""

from .content import Card, FaceMesh, Figure, Gallery, Page, Picture, Section, SharedMesh, Table
from .document import write_page

__all__ = [
    "Card",
    "FaceMesh",
    "Figure",
    "Gallery",
    "Page",
    "Picture",
    "Section",
    "SharedMesh",
    "Table",
    "write_page",
]
