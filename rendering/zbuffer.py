"""The compiled z-buffer: the rule of `rasterizer.rasterize`, in float64.

Most triangles of a face in a picture are about a pixel large, so what costs is not arithmetic but jumps that cannot be
foreseen: whether a box holds a pixel centre, whether the triangle covers it, whether it is the nearest. Here triangles are
sorted by how many pixel centres their boxes hold without a jump, and pixels are written whether or not they change.

Compiled by numba at the first call and kept in its cache. Imported only where numba can be. Indices are unsigned where it
matters: numba counts negative ones from the end, and must look.
"""

import numpy as np
from numba import njit

from .instructions import begin, blocks, choose, finish, span, wait

# instructions.py: 2a40a663bd56d2fc
BLOCK = 2048  # vertices or triangles taken at a time; few enough for 16 bits, and to stay in the cache meanwhile
ROWS = 16  # of the picture, taken at a time
# Kinds of work that workers share, and how many counters that takes.
OUTLINE, FILL, DRAW, MERGE, COUNTERS = 0, 2, 4, 6, 8

# What `instructions.span` says of the pixel centres in a box: these bits are set where there are none; two of them lie
# beside or below each other; for a single one it is 0.
NONE = np.int64(-0x7FFF7FFF7FFF8000)
BESIDE, BELOW = np.int64(0x10001), np.int64(0x1000100000000)


@njit(cache=True, nogil=True, error_model="numpy")
def _reach(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    vertices, first, stop, width, height, largest, reach, usable, whole
):
    """The first pixel at or after and the last at or before each vertex, cut to the picture and one pixel around it:
    reach (N, 4) int, -left, right, -top, bottom, so that the largest of each is a box's, and -left + right how many
    pixels it is across, less one. usable: (N,) bool, whether all three coordinates are finite and not beyond `largest`.
    whole: (5,) int64, the largest of each column, and how many are not usable."""
    left, right, top, bottom = -width, -1, -height, -1
    wrong = 0
    for v in range(first, stop):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        good = (abs(x) <= largest) & (abs(y) <= largest) & (abs(z) <= largest)  # NaN fails
        usable[v] = good
        wrong += not good
        x0 = -int(np.ceil(min(max(x, 0.0), float(width)))) if good else -width
        x1 = int(np.floor(max(min(x, width - 1.0), -1.0))) if good else -1
        y0 = -int(np.ceil(min(max(y, 0.0), float(height)))) if good else -height
        y1 = int(np.floor(max(min(y, height - 1.0), -1.0))) if good else -1
        reach[v, 0], reach[v, 1], reach[v, 2], reach[v, 3] = x0, x1, y0, y1
        left, right, top, bottom = max(left, x0), max(right, x1), max(top, y0), max(bottom, y1)
    whole[0], whole[1], whole[2], whole[3], whole[4] = left, right, top, bottom, wrong


@njit(cache=True, nogil=True, error_model="numpy")
def _sort(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    triangles, reach, usable, all_usable, start, count, spans, one, two, more
):
    """Which of the triangles from `start` have boxes that hold one pixel centre, two, and more: how many, and their
    numbers from `start` in the three arrays. spans: (count, 4), the boxes, as in `_reach`."""
    n_one, n_two, n_more = np.uintp(0), np.uintp(0), np.uintp(0)
    for k in range(np.uintp(count)):
        t = np.uintp(start) + k
        a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
        size = span(reach, a, b, c, spans, k)
        some = (size & NONE) == 0
        if not all_usable:
            some = some & usable[a] & usable[b] & usable[c]
        single, double = size == 0, (size == BESIDE) | (size == BELOW)
        one[n_one], two[n_two], more[n_more] = k, k, k
        n_one += np.uintp(some & single)
        n_two += np.uintp(some & double)
        n_more += np.uintp(some & (not single) & (not double))
    return n_one, n_two, n_more


@njit(cache=True, nogil=True, error_model="numpy")
def _corners(vertices, triangles, cull, t):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    """The corners of a triangle, the sign of its area, and whether it is drawn at all."""
    a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
    xa, xb, xc = vertices[a, 0], vertices[b, 0], vertices[c, 0]
    ya, yb, yc = vertices[a, 1], vertices[b, 1], vertices[c, 1]
    za, zb, zc = vertices[a, 2], vertices[b, 2], vertices[c, 2]
    area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
    drawn = (area != 0) & ((not cull) | (area < 0))
    return (xa, ya, za, xb, yb, zb, xc, yc, zc), choose(area > 0, 1.0, -1.0), drawn


@njit(cache=True, nogil=True, error_model="numpy")
def _put(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    corners, sign, drawn, t, x, y, top, left, seen, near
):
    """Show the triangle at one pixel where it covers it and is the nearest."""
    xa, ya, za, xb, yb, zb, xc, yc, zc = corners
    ax, bx, cx = xa - x, xb - x, xc - x
    ay, by, cy = (ya - y) * sign, (yb - y) * sign, (yc - y) * sign
    ea, eb, ec = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
    total = ea + eb + ec
    covered = drawn & (ea >= 0) & (eb >= 0) & (ec >= 0) & (total > 0)
    z = za + (eb * (zb - za) + ec * (zc - za)) / total + 0.0  # -0 is 0: the sign stands elsewhere than in the rule
    i, j = np.uintp(y - top), np.uintp(x - left)
    before, owner = near[i, j], seen[i, j]
    nearer = covered & ((z > before) | ((z == before) & (t < owner)))
    near[i, j] = choose(nearer, z, before)
    seen[i, j] = choose(nearer, t, owner)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_block(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    vertices, triangles, start, cull, spans, one, n_one, two, n_two, more, n_more, top, left, seen, near
):
    for m in range(n_one):
        k = np.uintp(one[m])
        t = np.uintp(start) + k
        corners, sign, drawn = _corners(vertices, triangles, cull, t)
        _put(corners, sign, drawn, np.int32(t), int(spans[k, 1]), int(spans[k, 3]), top, left, seen, near)
    for m in range(n_two):
        k = np.uintp(two[m])
        t = np.uintp(start) + k
        corners, sign, drawn = _corners(vertices, triangles, cull, t)
        _put(corners, sign, drawn, np.int32(t), -int(spans[k, 0]), -int(spans[k, 2]), top, left, seen, near)
        _put(corners, sign, drawn, np.int32(t), int(spans[k, 1]), int(spans[k, 3]), top, left, seen, near)
    for m in range(n_more):
        k = np.uintp(more[m])
        t = np.uintp(start) + k
        corners, sign, drawn = _corners(vertices, triangles, cull, t)
        if drawn:
            for y in range(-int(spans[k, 2]), int(spans[k, 3]) + 1):
                for x in range(-int(spans[k, 0]), int(spans[k, 1]) + 1):
                    _put(corners, sign, True, np.int32(t), x, y, top, left, seen, near)


@njit(cache=True, nogil=True, error_model="numpy")
def _merge(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    seen, near, other_seen, other_near, first, stop
):
    """Lay another picture over this one where it is nearer, or as near with an earlier triangle."""
    for i in range(first, stop):
        for j in range(seen.shape[1]):
            before, owner, z, t = near[i, j], seen[i, j], other_near[i, j], other_seen[i, j]
            nearer = (z > before) | ((z == before) & (t < owner))
            near[i, j] = z if nearer else before
            seen[i, j] = t if nearer else owner


@njit(cache=True, nogil=True, error_model="numpy")
def outline(  # pragma: no cover (compiled)
    vertices: np.ndarray,
    width: int,
    height: int,
    largest: float,
    reach: np.ndarray,
    usable: np.ndarray,
    wholes: np.ndarray,
    counters: np.ndarray,
) -> tuple[tuple[int, int], tuple[int, int], bool]:
    """Take part in finding the pixels around each vertex and around all; every worker comes back when all are found.

    vertices: (N, 3) float64. To be filled: reach (N, 4) int16, or int32 for pictures larger than that; usable (N,) bool;
    wholes (blocks of N, 5) int64. counters: (COUNTERS,) int64, 0 at first.

    Returns the window outside which nothing is seen, (top, left) and (rows, columns), and whether all vertices are usable.
    """
    count = blocks(len(vertices), BLOCK)
    k = begin(counters, OUTLINE)
    while k < count:
        stop = min((k + 1) * BLOCK, len(vertices))
        _reach(vertices, k * BLOCK, stop, width, height, largest, reach, usable, wholes[k])
        finish(counters, OUTLINE)
        k = begin(counters, OUTLINE)
    wait(counters, OUTLINE, count)
    left, right, top, bottom, wrong = -width, -1, -height, -1, 0
    for k in range(count):
        left, right = max(left, wholes[k, 0]), max(right, wholes[k, 1])
        top, bottom = max(top, wholes[k, 2]), max(bottom, wholes[k, 3])
        wrong += wholes[k, 4]
    rows, columns = bottom + top + 1, right + left + 1
    if rows <= 0 or columns <= 0:
        return (0, 0), (0, 0), wrong == 0
    return (-top, -left), (rows, columns), wrong == 0


@njit(cache=True, nogil=True, error_model="numpy")
def draw(  # pragma: no cover (compiled)
    vertices: np.ndarray,
    triangles: np.ndarray,
    cull: bool,
    reach: np.ndarray,
    usable: np.ndarray,
    all_usable: bool,
    corner: tuple[int, int],
    counters: np.ndarray,
    has_drawn: np.ndarray,
    seen: np.ndarray,
    near: np.ndarray,
    others_seen: np.ndarray,
    others_near: np.ndarray,
    worker: int,
) -> None:
    """Take part in drawing as one of W workers; every worker that finds something to do comes back when all is drawn.

    triangles: (T, 3) int32. cull: leave out those that turn away. corner: top and left of the window. reach, usable,
    all_usable, counters: as `outline` left them. has_drawn: (W - 1,) bool, False at first. To be filled: seen and near,
    (rows, columns) int32 and float64, the first worker's and then the picture; others_seen and others_near,
    (W - 1, rows, columns), the others'. worker: from 0.
    """
    if begin(counters, FILL) == 0:
        seen[:], near[:] = -1, -np.inf
        finish(counters, FILL)
    wait(counters, FILL, 1)
    mine_seen = seen if worker == 0 else others_seen[worker - 1]
    mine_near = near if worker == 0 else others_near[worker - 1]
    spans = np.empty((BLOCK, 4), reach.dtype)
    one, two, more = np.empty(BLOCK + 1, np.int16), np.empty(BLOCK + 1, np.int16), np.empty(BLOCK + 1, np.int16)
    count = blocks(len(triangles), BLOCK)
    k = begin(counters, DRAW)
    while k < count:
        if worker > 0 and not has_drawn[worker - 1]:
            mine_seen[:], mine_near[:], has_drawn[worker - 1] = -1, -np.inf, True
        start, stop = k * BLOCK, min((k + 1) * BLOCK, len(triangles))
        n_one, n_two, n_more = _sort(triangles, reach, usable, all_usable, start, stop - start, spans, one, two, more)
        _draw_block(
            vertices, triangles, start, cull, spans, one, n_one, two, n_two, more, n_more, corner[0], corner[1],
            mine_seen, mine_near,
        )  # fmt: skip
        finish(counters, DRAW)
        k = begin(counters, DRAW)
    wait(counters, DRAW, count)
    if not has_drawn.any():
        return
    count = blocks(len(seen), ROWS)
    k = begin(counters, MERGE)
    while k < count:
        for other in range(len(has_drawn)):
            if has_drawn[other]:
                stop = min((k + 1) * ROWS, len(seen))
                _merge(seen, near, others_seen[other], others_near[other], k * ROWS, stop)
        finish(counters, MERGE)
        k = begin(counters, MERGE)
    wait(counters, MERGE, count)
