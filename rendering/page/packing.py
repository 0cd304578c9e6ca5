"""Numbers as short text, unpacked by the page itself (assets/viewer.js): differences, gzip, base64."""

import base64
import gzip

import numpy as np

from ...models.errors import ShapeError

GRID_MM = 0.01  # positions are rounded to this
LIMIT = 1 << 24  # of a zigzag difference: three bytes


def pack_bytes(data: bytes) -> str:
    """gzip and base64; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def pack(rows: np.ndarray) -> str:
    """Rows of integers (C, n), each row smooth: text.

    Each number is stored as the difference from its left neighbour, signs in the lowest bit, the differences' three
    bytes in three planes. Raises ShapeError for a difference of more than 24 bits.
    """
    steps: np.ndarray = np.diff(rows.astype(np.int64), axis=1, prepend=0)
    zigzag = (steps << 1) ^ (steps >> 63)
    if zigzag.size and zigzag.max() >= LIMIT:
        raise ShapeError(f"a difference of {int(abs(steps).max())} between neighbours is too large for a page")
    planes = np.stack([zigzag & 255, (zigzag >> 8) & 255, zigzag >> 16]).astype(np.uint8)
    return pack_bytes(planes.tobytes())


def pack_bits(bits: np.ndarray) -> str:
    """Booleans (n,): text, eight in a byte, the first in the lowest bit."""
    return pack_bytes(np.packbits(bits, bitorder="little").tobytes())


def on_grid(vertices: np.ndarray) -> np.ndarray:
    """Vertices (N, 3) in millimetres as whole steps of GRID_MM: (3, N) int64."""
    return np.rint(vertices.T / GRID_MM).astype(np.int64)
