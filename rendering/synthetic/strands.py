"""Hair as strands: polylines that grow from the skin, and their drawing into a z-buffer.

A strand is drawn as a row of samples one pixel apart; the nearest sample of a pixel is seen, and among equally near
ones the first. Compiled by numba where it can be imported, else with NumPy, to the same pixels.
"""

from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np

LARGEST = 1 << 12  # samples of one segment


@dataclass(frozen=True, eq=False)
class Strands:
    """points: (S, K, 3) float32, mm of the model frame, from the root to the tip. colors: (S, K, 3) float32, linear
    RGB. gloss: strength of the highlights. body: (S,) float32, 0..1: how much light reaches a
    strand, 0 deep in the hair."""

    points: np.ndarray
    colors: np.ndarray
    gloss: float
    body: np.ndarray


def draw_strands(
    points: np.ndarray,
    colors: np.ndarray,
    width: int,
    depth: np.ndarray,
    picture: np.ndarray | None,
    compiled: bool = True,
) -> None:
    """Draw strands into a z-buffer and a picture, both changed.

    points: (S, K, 3) float32, pixels from 0, y down, larger z nearer. colors: (S, K, 3) float32. width: pixels across,
    to the right and down. depth: (H, W) float64. picture: (H, W, 3) float32, or None where only depth is wanted.
    """
    points = np.ascontiguousarray(points, np.float32)
    colors = np.ascontiguousarray(colors, np.float32)
    kernel = _kernel() if compiled else None
    if kernel is None:
        _draw_vectorised(points, colors, width, depth, picture)
        return
    kernel.draw(points, colors, width, depth, np.empty((0, 0, 3), np.float32) if picture is None else picture)


@cache
def _kernel() -> ModuleType | None:
    try:
        from . import strand_kernel
    except ImportError:
        return None
    return strand_kernel


def _draw_vectorised(
    points: np.ndarray, colors: np.ndarray, width: int, depth: np.ndarray, picture: np.ndarray | None
) -> None:
    height, columns = depth.shape
    start, end = points[:, :-1].reshape(-1, 3), points[:, 1:].reshape(-1, 3)
    reach = np.abs(end - start)[:, :2].max(axis=1)
    usable = np.isfinite(reach) & (reach < LARGEST)
    counts = np.where(usable, np.ceil(np.where(usable, reach, 0)).astype(np.int64) + 1, 0)
    owner = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (step / counts[owner]).astype(np.float32)[:, None]
    place = start[owner] + share * (end[owner] - start[owner])
    first, second = colors[:, :-1].reshape(-1, 3)[owner], colors[:, 1:].reshape(-1, 3)[owner]
    shown = first + share * (second - first)
    corner = np.floor(place[:, :2] + np.float32(0.5)).astype(np.int64)
    offsets = [(dx, dy) for dy in range(width) for dx in range(width)]
    column = np.concatenate([corner[:, 0] + dx for dx, _ in offsets])
    row = np.concatenate([corner[:, 1] + dy for _, dy in offsets])
    sample = np.tile(np.arange(len(place)), len(offsets))
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < height)
    pixel, sample = (row * columns + column)[inside], sample[inside]
    z = place[sample, 2].astype(np.float64)
    order = np.lexsort((sample, -z, pixel))
    pixel, sample, z = pixel[order], sample[order], z[order]
    nearest = np.r_[True, pixel[1:] != pixel[:-1]]
    pixel, sample, z = pixel[nearest], sample[nearest], z[nearest]
    seen = z > depth.reshape(-1)[pixel]
    depth.reshape(-1)[pixel[seen]] = z[seen]
    if picture is not None:
        picture.reshape(-1, 3)[pixel[seen]] = shown[sample[seen]]
