"""The compiled z-buffer: the rule of `rasterizer.rasterize`, in float64.

Most triangles of a face in a picture are about a pixel large, so what costs is not arithmetic but branches that cannot be
foreseen: whether a box holds a pixel centre, whether the triangle covers it, whether it is the nearest. Here triangles are
sorted into none, one and several pixel centres without a branch, and pixels are written whether or not they change.

Compiled by numba at the first call and kept in its cache. Imported only where numba can be. Indices are unsigned where it
matters: numba counts negative ones from the end, and must look.
"""

import numpy as np
from numba import njit

BLOCK = 2048  # triangles sorted and drawn at a time: they and their vertices stay in the cache meanwhile


@njit(cache=True, nogil=True, error_model="numpy")
def boxes(  # pragma: no cover (compiled)
    vertices: np.ndarray, width: int, height: int, largest: float, box: np.ndarray, usable: np.ndarray
) -> tuple[int, int, int, int, bool]:
    """The first and last pixel at or after, at or before each vertex, cut to the picture and one pixel around: box (N, 4)
    int, left, right, top, bottom. usable: (N,) bool, whether all three coordinates are finite and not beyond `largest`.

    Returns the box around all usable vertices, and whether all are usable.
    """
    left, right, top, bottom = width, -1, height, -1
    wrong = 0
    for v in range(len(vertices)):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        good = (abs(x) <= largest) & (abs(y) <= largest) & (abs(z) <= largest)  # NaN fails
        usable[v] = good
        wrong += not good
        x0 = int(np.ceil(min(max(x, 0.0), float(width)))) if good else width
        x1 = int(np.floor(max(min(x, width - 1.0), -1.0))) if good else -1
        y0 = int(np.ceil(min(max(y, 0.0), float(height)))) if good else height
        y1 = int(np.floor(max(min(y, height - 1.0), -1.0))) if good else -1
        box[v, 0], box[v, 1], box[v, 2], box[v, 3] = x0, x1, y0, y1
        left, right, top, bottom = min(left, x0), max(right, x1), min(top, y0), max(bottom, y1)
    return left, right, top, bottom, wrong == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _box_of(box, a, b, c):  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    left = min(box[a, 0], box[b, 0], box[c, 0])
    right = max(box[a, 1], box[b, 1], box[c, 1])
    top = min(box[a, 2], box[b, 2], box[c, 2])
    bottom = max(box[a, 3], box[b, 3], box[c, 3])
    return left, right, top, bottom


@njit(cache=True, nogil=True, error_model="numpy")
def _sort(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    triangles, box, usable, all_usable, start, stop, single, several
):
    """Which of the triangles start..stop-1 have boxes that hold one pixel centre, and several: how many, and their
    indices in the two arrays."""
    n_single, n_several = np.uintp(0), np.uintp(0)
    for t in range(np.uintp(start), np.uintp(stop)):
        a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
        left, right, top, bottom = _box_of(box, a, b, c)
        across, down = right - left, bottom - top
        some, more = (across | down) >= 0, (across | down) > 0  # a negative one makes both negative
        if not all_usable:
            some = some & usable[a] & usable[b] & usable[c]
        single[n_single] = t
        n_single += np.uintp(some & (not more))
        several[n_several] = t
        n_several += np.uintp(some & more)
    return n_single, n_several


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_single(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    vertices, triangles, box, indices, n, cull, top, left, seen, near
):
    for k in range(np.uintp(n)):
        t = indices[k]
        a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
        x, _, y, _ = _box_of(box, a, b, c)
        xa, xb, xc = vertices[a, 0], vertices[b, 0], vertices[c, 0]
        ya, yb, yc = vertices[a, 1], vertices[b, 1], vertices[c, 1]
        za, zb, zc = vertices[a, 2], vertices[b, 2], vertices[c, 2]
        area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
        sign = 1.0 if area > 0 else -1.0
        ax, bx, cx = xa - x, xb - x, xc - x
        ay, by, cy = ya - y, yb - y, yc - y
        ea, eb, ec = (bx * cy - by * cx) * sign, (cx * ay - cy * ax) * sign, (ax * by - ay * bx) * sign
        total = ea + eb + ec
        covered = (ea >= 0) & (eb >= 0) & (ec >= 0) & (total > 0) & (area != 0) & ((not cull) | (area < 0))
        wb, wc = eb / total, ec / total
        reached = za + (wb * (zb - za) + wc * (zc - za))
        i, j = np.uintp(y - top), np.uintp(x - left)
        before = near[i, j]
        nearer = covered & (reached > before)  # whatever is there came earlier and keeps an equal depth
        near[i, j] = reached if nearer else before
        seen[i, j] = t if nearer else seen[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_several(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    vertices, triangles, box, indices, n, cull, top, left, seen, near
):
    for k in range(np.uintp(n)):
        t = indices[k]
        a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
        x0, x1, y0, y1 = _box_of(box, a, b, c)
        xa, xb, xc = vertices[a, 0], vertices[b, 0], vertices[c, 0]
        ya, yb, yc = vertices[a, 1], vertices[b, 1], vertices[c, 1]
        za, zb, zc = vertices[a, 2], vertices[b, 2], vertices[c, 2]
        area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
        if area == 0 or (cull and area > 0):
            continue
        sign = 1.0 if area > 0 else -1.0
        for y in range(y0, y1 + 1):
            ay, by, cy = ya - y, yb - y, yc - y
            i = np.uintp(y - top)
            for x in range(x0, x1 + 1):
                ax, bx, cx = xa - x, xb - x, xc - x
                ea, eb, ec = (bx * cy - by * cx) * sign, (cx * ay - cy * ax) * sign, (ax * by - ay * bx) * sign
                total = ea + eb + ec
                covered = (ea >= 0) & (eb >= 0) & (ec >= 0) & (total > 0)
                wb, wc = eb / total, ec / total
                reached = za + (wb * (zb - za) + wc * (zc - za))
                j = np.uintp(x - left)
                before, owner = near[i, j], seen[i, j]
                nearer = covered & ((reached > before) | ((reached == before) & (t < owner)))
                near[i, j] = reached if nearer else before
                seen[i, j] = t if nearer else owner


@njit(cache=True, nogil=True, error_model="numpy")
def draw(  # pragma: no cover (compiled)
    vertices: np.ndarray,
    triangles: np.ndarray,
    box: np.ndarray,
    usable: np.ndarray,
    all_usable: bool,
    cull: bool,
    top: int,
    left: int,
    first: int,
    stop: int,
    seen: np.ndarray,
    near: np.ndarray,
) -> None:
    """Draw the triangles first..stop-1 into a part of the picture, (H, W), that begins at (top, left)."""
    single, several = np.empty(BLOCK + 1, np.int32), np.empty(BLOCK + 1, np.int32)
    for start in range(first, stop, BLOCK):
        end = min(start + BLOCK, stop)
        n_single, n_several = _sort(triangles, box, usable, all_usable, start, end, single, several)
        _draw_single(vertices, triangles, box, single, n_single, cull, top, left, seen, near)
        _draw_several(vertices, triangles, box, several, n_several, cull, top, left, seen, near)


@njit(cache=True, nogil=True, error_model="numpy")
def merge(  # pragma: no cover (compiled)
    seen: np.ndarray, near: np.ndarray, later_seen: np.ndarray, later_near: np.ndarray
) -> None:
    """Lay a picture of later triangles over one of earlier ones, which keep equal depths."""
    for i in range(seen.shape[0]):
        for j in range(seen.shape[1]):
            over = later_near[i, j] > near[i, j]
            near[i, j] = later_near[i, j] if over else near[i, j]
            seen[i, j] = later_seen[i, j] if over else seen[i, j]
