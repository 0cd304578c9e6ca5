"""Which triangle of a mesh each pixel of a picture shows, and how far away it is: one z-buffer for every picture."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from math import prod
from operator import index
from typing import TypeVar

import numpy as np

from ..models.errors import ShapeError
from .meshes import check_mesh, check_triangles

CANDIDATES = 1 << 18  # pixel-in-bounding-box tests made at once: bounds the memory, fits the cache
LARGEST = 1e100  # coordinates beyond this count as not finite: their products would overflow


T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Fragments:
    """What a picture of a mesh shows at each pixel.

    shape: rows and columns of the picture. window: the rows and columns, slices of it, outside which nothing is seen;
    `seen` and `near` are `triangle` and `depth` in there. vertices: (N, 3) float64, what was drawn. corners: (T, 3)
    int32, its triangles.
    """

    shape: tuple[int, int]
    window: tuple[slice, slice]
    seen: np.ndarray
    near: np.ndarray
    vertices: np.ndarray
    corners: np.ndarray

    @cached_property
    def triangle(self) -> np.ndarray:
        """(H, W) int32: index of the triangle seen, -1 where none."""
        return self._whole(self.seen, -1)

    @cached_property
    def depth(self) -> np.ndarray:
        """(H, W) float64: its z at the pixel centre, -inf where none."""
        return self._whole(self.near, -np.inf)

    def _whole(self, part: np.ndarray, nothing: float) -> np.ndarray:
        if part.shape == self.shape:
            return part
        whole = np.full(self.shape, nothing, part.dtype)
        whole[self.window] = part
        return whole

    @property
    def covered(self) -> np.ndarray:
        """(H, W) bool: where a triangle is seen."""
        return self.triangle >= 0

    @cached_property
    def barycentric(self) -> np.ndarray:
        """(H, W, 3) float64: weights of the seen triangle's first, second and third vertex, >= 0, sum 1; 0 where none."""
        weights = np.zeros((*self.shape, 3))
        covered = self.covered
        row, column = np.nonzero(covered)
        weights[covered] = _weights(self.vertices, self.corners[self.triangle[covered]].T, column, row).T
        return weights


def rasterize(
    vertices: np.ndarray,
    triangles: np.ndarray,
    width: int,
    height: int,
    *,
    cull: bool = False,
    threads: int = 1,
    compiled: bool = True,
) -> Fragments:
    """Draw a mesh into a z-buffer, seen along the z axis.

    vertices: (N, 3) float, image pixels: x right, y down, the first pixel's centre at 0, larger z nearer.
    triangles: (T, 3) int, vertex indices from 0. width, height: the picture's size, pixels.
    cull: leave out triangles that turn away from the viewer, those whose vertices run clockwise on the picture.
    threads: how many draw together, for programs that show one picture at a time (of a folder, draw several pictures at
    a time). compiled: with numba where it can be imported, else with NumPy; the pixels are the same bit for bit, whatever
    is chosen.

    The rule, in float64 and without fused multiply-adds. For the triangle (a, b, c) and the pixel centre p, with
    cross(u, v) = ux vy - uy vx:
    - area = cross(b - a, c - a); a triangle of area 0 draws nothing;
    - ea = cross(b - p, c - p), eb = cross(c - p, a - p), ec = cross(a - p, b - p), all times the sign of area;
    - p is covered where all three are >= 0 and total = ea + eb + ec, summed from the left, is > 0. An edge belongs to
      both its triangles, and both compute it with exactly opposite signs, so no pixel falls between them;
    - z = az + (eb(bz - az) + ec(cz - az)) / total, so flat triangles have exactly their own z; -0 is 0;
    - the largest z is seen, and among equal ones the triangle with the lowest index.

    A triangle with a vertex that is NaN, infinite or beyond 1e100 draws nothing. Raises ShapeError for arrays of
    another shape, an index that is no vertex's, a picture without pixels or with 2^31 along a side, or no thread.
    """
    check_mesh(vertices, triangles)
    width, height = index(width), index(height)
    if not (1 <= width < 1 << 31 and 1 <= height < 1 << 31):
        raise ShapeError(f"the picture is {width} x {height} pixels; 1 to 2147483647 along each side are expected")
    _check_threads(threads)
    given = np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(triangles, np.int32)
    if compiled and numba_imports():
        return _fill_compiled(*given, (height, width), cull, threads)
    seen, near = np.full((height, width), -1, np.int32), np.full((height, width), -np.inf)
    fragments = Fragments((height, width), (slice(height), slice(width)), seen, near, *given)
    _fill_vectorised(fragments, cull)
    return fragments


def _check_threads(threads: int) -> None:
    if threads < 1:
        raise ShapeError(f"threads is {threads}; at least 1 is expected")


@cache
def numba_imports() -> bool:
    """Whether the compiled twins of the NumPy code can be used."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def _fill_compiled(
    vertices: np.ndarray, triangles: np.ndarray, shape: tuple[int, int], cull: bool, threads: int
) -> Fragments:
    from .zbuffer import BLOCK, COUNTERS, draw, outline

    height, width = shape
    kind = np.int16 if max(shape) < np.iinfo(np.int16).max else np.int32
    counters, has_drawn = np.zeros(COUNTERS, np.int64), np.zeros(threads - 1, np.bool_)
    wholes = np.empty((-(-len(vertices) // BLOCK), 5), np.int64)
    made: list[tuple[np.ndarray, ...]] = []
    once = threading.Lock()

    with _scratch("reach", (len(vertices), 4), kind) as reach, _scratch("usable", (len(vertices),), np.bool_) as usable:

        def work(worker: int) -> Fragments:
            corner, size, all_usable = outline(vertices, width, height, LARGEST, reach, usable, wholes, counters)
            with once:
                if not made:  # by whoever comes first: nobody waits for one that has not begun
                    others = (threads - 1, *size)
                    made.append(
                        (np.empty(size, np.int32), np.empty(size), np.empty(others, np.int32), np.empty(others))
                    )
            seen, near, others_seen, others_near = made[0]
            draw(
                vertices, triangles, cull, reach, usable, all_usable, corner, counters, has_drawn,
                seen, near, others_seen, others_near, worker,
            )  # fmt: skip
            top, left = corner
            window = slice(top, top + len(seen)), slice(left, left + seen.shape[1])
            return Fragments(shape, window, seen, near, vertices, triangles)

        return _together(work, threads)


@contextmanager
def _scratch(name: str, shape: tuple[int, ...], kind: type[np.generic]) -> Iterator[np.ndarray]:
    """Room to work in, this thread's own and kept for the next time: fresh memory costs more than what is done in it.

    Given up where something goes wrong meanwhile: workers may still write to it.
    """
    room, count = _rooms.kept.pop((name, kind), None), prod(shape)
    if room is None or len(room) < count:
        room = np.empty(count, kind)
    yield room[:count].reshape(shape)
    _rooms.kept[name, kind] = room


class _Rooms(threading.local):
    def __init__(self) -> None:
        self.kept: dict[tuple[str, type[np.generic]], np.ndarray] = {}


_rooms = _Rooms()


def _together(work: Callable[[int], T], threads: int) -> T:
    """Do `work(0)` here and `work(1)` and so on in other threads. All is done when `work(0)` is (see `instructions`), though
    others may still be about to find that nothing is left for them. Returns what `work(0)` does."""
    others: list[Future[T]] = []
    try:
        for number in range(1, threads):
            others.append(_pool().submit(work, number))
        return work(0)
    finally:
        for other in others:
            other.cancel()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="rows")


if hasattr(os, "register_at_fork"):  # a child has none of its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _fill_vectorised(fragments: Fragments, cull: bool) -> None:
    vertices, triangles = fragments.vertices, fragments.corners
    height, width = fragments.shape
    triangle, depth = fragments.seen.reshape(-1), fragments.near.reshape(-1)
    ids, box = _boxes(vertices, triangles, width, height, cull)
    left, top, columns, counts = box
    ends = np.cumsum(counts)
    starts = ends - counts
    corners = np.ascontiguousarray(triangles[ids].T)
    for low in range(0, int(ends[-1]) if len(ends) else 0, CANDIDATES):
        high = min(low + CANDIDATES, int(ends[-1]))
        first, last = np.searchsorted(ends, low, "right"), np.searchsorted(starts, high, "left")
        inside = np.minimum(ends[first:last], high) - np.maximum(starts[first:last], low)
        owner = np.repeat(np.arange(first, last), inside)
        row, column = np.divmod(np.arange(low, high) - starts[owner], columns[owner])
        column += left[owner]
        row += top[owner]
        found, reached = _cover(vertices, corners[:, owner], column, row)
        owner, pixel = owner[found], row[found] * width + column[found]
        # Triangles of earlier rounds have lower indices: an equal z does not replace theirs.
        nearer = reached > depth[pixel]
        pixel, reached, owner = pixel[nearer], reached[nearer], owner[nearer]
        np.maximum.at(depth, pixel, reached)
        # Written from the last to the first: of repeated pixels the lowest triangle stays.
        seen = np.flatnonzero(reached == depth[pixel])[::-1]
        triangle[pixel[seen]] = ids[owner[seen]]


def _boxes(
    vertices: np.ndarray, triangles: np.ndarray, width: int, height: int, cull: bool
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The triangles that may cover a pixel, (K,) indices in order, and the pixels around each.

    The pixels are left, top, columns and count, (K,) int64 each: the bounding box cut to the picture.
    """
    a, b, c = triangles.T
    x, y = vertices[:, 0], vertices[:, 1]
    xa, xb, xc, ya, yb, yc = x[a], x[b], x[c], y[a], y[b], y[c]
    # Clipped while still floats, so that far vertices fit an integer.
    left = np.ceil(np.clip(np.minimum(np.minimum(xa, xb), xc), 0, width))
    right = np.floor(np.clip(np.maximum(np.maximum(xa, xb), xc), -1, width - 1))
    top = np.ceil(np.clip(np.minimum(np.minimum(ya, yb), yc), 0, height))
    bottom = np.floor(np.clip(np.maximum(np.maximum(ya, yb), yc), -1, height - 1))
    keep = (left <= right) & (top <= bottom)
    usable = (np.abs(vertices) <= LARGEST).all(axis=1)
    if not usable.all():
        keep &= usable[a] & usable[b] & usable[c]
    ids = np.flatnonzero(keep)
    if cull:
        ids = ids[_area(vertices, triangles[ids]) < 0]
    left, right, top, bottom = (side[ids].astype(np.int64) for side in (left, right, top, bottom))
    columns = right - left + 1
    return ids, (left, top, columns, columns * (bottom - top + 1))


def _area(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Twice the signed area of triangles (K, 3): (K,), negative where the vertices run counter-clockwise on the
    picture, whose y points down."""
    a, b, c = triangles.T
    x, y = vertices[:, 0], vertices[:, 1]
    return (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])


def _cover(
    vertices: np.ndarray, corners: np.ndarray, column: np.ndarray, row: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which of C candidates are covered, (M,) indices, and their z (M,).

    corners: (3, C) vertex indices of each candidate's triangle. column, row: (C,) its pixel.
    """
    ea, eb, ec = _edges(vertices, corners, column, row)
    total = ea + eb + ec
    found = np.flatnonzero((ea >= 0) & (eb >= 0) & (ec >= 0) & (total > 0))  # no area: all are 0
    za, zb, zc = vertices[:, 2][corners[:, found]]
    return found, za + (eb[found] * (zb - za) + ec[found] * (zc - za)) / total[found] + 0.0


def _weights(vertices: np.ndarray, corners: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The weights (3, C) of C covered pixels."""
    ea, eb, ec = _edges(vertices, corners, column, row)
    return np.stack([ea, eb, ec]) / (ea + eb + ec)


def _edges(
    vertices: np.ndarray, corners: np.ndarray, column: np.ndarray, row: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three edge functions (C,) of `rasterize`'s rule."""
    a, b, c = corners
    x, y = vertices[:, 0], vertices[:, 1]
    sign = np.sign(_area(vertices, corners.T))
    ax, bx, cx = x[a] - column, x[b] - column, x[c] - column
    ay, by, cy = y[a] - row, y[b] - row, y[c] - row
    return (bx * cy - by * cx) * sign, (cx * ay - cy * ax) * sign, (ax * by - ay * bx) * sign


def interpolate(
    fragments: Fragments,
    triangles: np.ndarray,
    values: np.ndarray,
    dtype: type[np.generic] = np.float64,
    *,
    threads: int = 1,
    compiled: bool = True,
) -> np.ndarray:
    """Values of the vertices, (N, C) float, at every pixel: (H, W, C) of `dtype`, 0 where no triangle is seen.

    triangles: (T, 3) int, one for each that was drawn; their corners index `values`. dtype: whole numbers are cut off,
    not rounded. threads, compiled: as in `rasterize`. Raises ShapeError for values of another shape, other triangles than
    one for each drawn, or an index that has no row of values.
    """
    _check_threads(threads)
    if values.ndim != 2:
        raise ShapeError(f"values is {values.shape}; (N, C), one row per vertex, is expected")
    drawn = triangles is fragments.corners and len(values) == len(fragments.vertices)
    if not drawn:
        check_triangles(triangles, len(values))
        if len(triangles) != len(fragments.corners):
            raise ShapeError(f"{len(triangles)} triangles were handed over; {len(fragments.corners)} were drawn")
    picture = np.zeros((*fragments.shape, values.shape[1]), dtype)
    if compiled and numba_imports():
        from .pixels import gather

        # Single numbers become double ones where they are used: the same bits, and half the memory to fetch.
        kind = np.float32 if values.dtype == np.float32 else np.float64
        given = np.ascontiguousarray(triangles, np.int32), np.ascontiguousarray(values, kind)

        part, (rows, columns) = picture[fragments.window], fragments.window
        corner, counters = (rows.start or 0, columns.start or 0), np.zeros(2, np.int64)
        _together(
            lambda _worker: gather(
                fragments.seen, fragments.vertices, fragments.corners, *given, *corner, counters, part
            ),
            threads,
        )
    else:
        covered = fragments.covered
        a, b, c = triangles[fragments.triangle[covered]].T
        wa, wb, wc = fragments.barycentric[covered].T[..., None]
        picture[covered] = wa * values[a] + wb * values[b] + wc * values[c]
    return picture
