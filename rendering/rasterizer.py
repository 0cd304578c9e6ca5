"""Which triangle of a mesh each pixel of a picture shows, and how far away it is: one z-buffer for every picture."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from ..models.errors import ShapeError
from .meshes import check_mesh

CANDIDATES = 1 << 18  # pixel-in-bounding-box tests made at once: bounds the memory, fits the cache
LARGEST = 1e100  # coordinates beyond this count as not finite: their products would overflow


@dataclass(frozen=True, eq=False)
class Fragments:
    """What a picture of a mesh shows at each pixel.

    triangle: (H, W) int32, index of the triangle seen, -1 where none.
    depth: (H, W) float64, its z at the pixel centre, -inf where none.
    barycentric: (H, W, 3) float64, weights of its first, second and third vertex, >= 0, sum 1; 0 where none.
    """

    triangle: np.ndarray
    depth: np.ndarray
    barycentric: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """(H, W) bool: where a triangle is seen."""
        return self.triangle >= 0


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
    threads: bands of rows drawn side by side. compiled: with numba where it can be imported, else with NumPy; the
    pixels are the same bit for bit, whatever is chosen.

    The rule, in float64 and without fused multiply-adds. For the triangle (a, b, c) and the pixel centre p, with
    cross(u, v) = ux vy - uy vx:
    - area = cross(b - a, c - a); a triangle of area 0 draws nothing;
    - ea = cross(b - p, c - p), eb = cross(c - p, a - p), ec = cross(a - p, b - p), all times the sign of area;
    - p is covered where all three are >= 0 and total = ea + eb + ec, summed from the left, is > 0. An edge belongs to
      both its triangles, and both compute it with exactly opposite signs, so no pixel falls between them;
    - z = az + ((eb / total)(bz - az) + (ec / total)(cz - az)), so flat triangles have exactly their own z;
    - the largest z is seen, and among equal ones the triangle with the lowest index.

    A triangle with a vertex that is NaN, infinite or beyond 1e100 draws nothing. Raises ShapeError for arrays of
    another shape, an index that is no vertex's, or a picture without pixels.
    """
    check_mesh(vertices, triangles)
    if width < 1 or height < 1:
        raise ShapeError(f"the picture is {width} x {height} pixels; at least 1 x 1 is expected")
    fragments = Fragments(
        np.full((height, width), -1, np.int32), np.full((height, width), -np.inf), np.zeros((height, width, 3))
    )
    x, y, z = np.ascontiguousarray(vertices.T, np.float64)
    if compiled and numba_imports():
        _fill_compiled(x, y, z, triangles, cull, threads, fragments)
    else:
        _fill_vectorised(x, y, z, triangles, cull, fragments)
    return fragments


@cache
def numba_imports() -> bool:
    """Whether the compiled twins of the NumPy code can be used."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def _fill_compiled(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, triangles: np.ndarray, cull: bool, threads: int, fragments: Fragments
) -> None:
    from .zbuffer import fill

    corners = np.ascontiguousarray(triangles, np.int32)
    edges = np.linspace(0, fragments.triangle.shape[0], threads + 1).round().astype(int)
    bands = [(int(first), int(stop) - 1) for first, stop in pairwise(edges) if stop > first]

    def draw(band: tuple[int, int]) -> None:
        fill(x, y, z, corners, *band, LARGEST, cull, fragments.triangle, fragments.depth, fragments.barycentric)

    if len(bands) == 1:
        draw(bands[0])
        return
    with ThreadPoolExecutor(len(bands)) as pool:
        list(pool.map(draw, bands))


def _fill_vectorised(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, triangles: np.ndarray, cull: bool, fragments: Fragments
) -> None:
    height, width = fragments.triangle.shape
    triangle, depth = fragments.triangle.reshape(-1), fragments.depth.reshape(-1)
    barycentric = fragments.barycentric.reshape(-1, 3)
    ids, box = _boxes(x, y, z, triangles, width, height, cull)
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
        found, weights = _cover(x, y, corners[:, owner], column, row)
        owner, pixel = owner[found], row[found] * width + column[found]
        za, zb, zc = z[corners[:, owner]]
        reached = za + (weights[1] * (zb - za) + weights[2] * (zc - za))
        # Triangles of earlier rounds have lower indices: an equal z does not replace theirs.
        nearer = reached > depth[pixel]
        pixel, reached, owner, weights = pixel[nearer], reached[nearer], owner[nearer], weights[:, nearer]
        np.maximum.at(depth, pixel, reached)
        # Written from the last to the first: of repeated pixels the lowest triangle stays.
        seen = np.flatnonzero(reached == depth[pixel])[::-1]
        triangle[pixel[seen]] = ids[owner[seen]]
        barycentric[pixel[seen]] = weights[:, seen].T


def _boxes(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, triangles: np.ndarray, width: int, height: int, cull: bool
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The triangles that may cover a pixel, (K,) indices in order, and the pixels around each.

    The pixels are left, top, columns and count, (K,) int64 each: the bounding box cut to the picture.
    """
    a, b, c = triangles.T
    xa, xb, xc, ya, yb, yc = x[a], x[b], x[c], y[a], y[b], y[c]
    # Clipped while still floats, so that far vertices fit an integer.
    left = np.ceil(np.clip(np.minimum(np.minimum(xa, xb), xc), 0, width))
    right = np.floor(np.clip(np.maximum(np.maximum(xa, xb), xc), -1, width - 1))
    top = np.ceil(np.clip(np.minimum(np.minimum(ya, yb), yc), 0, height))
    bottom = np.floor(np.clip(np.maximum(np.maximum(ya, yb), yc), -1, height - 1))
    keep = (left <= right) & (top <= bottom)
    usable = (np.abs(x) <= LARGEST) & (np.abs(y) <= LARGEST) & (np.abs(z) <= LARGEST)
    if not usable.all():
        keep &= usable[a] & usable[b] & usable[c]
    ids = np.flatnonzero(keep)
    if cull:
        ids = ids[_area(x, y, triangles[ids]) < 0]
    left, right, top, bottom = (side[ids].astype(np.int64) for side in (left, right, top, bottom))
    columns = right - left + 1
    return ids, (left, top, columns, columns * (bottom - top + 1))


def _area(x: np.ndarray, y: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Twice the signed area of triangles (K, 3): (K,), negative where the vertices run counter-clockwise on the
    picture, whose y points down."""
    a, b, c = triangles.T
    return (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])


def _cover(
    x: np.ndarray, y: np.ndarray, corners: np.ndarray, column: np.ndarray, row: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which of C candidates are covered, (M,) indices, and their weights (3, M).

    corners: (3, C) vertex indices of each candidate's triangle. column, row: (C,) its pixel.
    """
    a, b, c = corners
    sign = np.sign(_area(x, y, corners.T))
    ax, bx, cx = x[a] - column, x[b] - column, x[c] - column
    ay, by, cy = y[a] - row, y[b] - row, y[c] - row
    ea, eb, ec = (bx * cy - by * cx) * sign, (cx * ay - cy * ax) * sign, (ax * by - ay * bx) * sign
    total = ea + eb + ec
    found = np.flatnonzero((ea >= 0) & (eb >= 0) & (ec >= 0) & (total > 0))  # no area: all are 0
    return found, np.stack([ea[found], eb[found], ec[found]]) / total[found]


def interpolate(
    fragments: Fragments, triangles: np.ndarray, values: np.ndarray, *, compiled: bool = True
) -> np.ndarray:
    """Values of the vertices, (N, C) float, at every pixel: (H, W, C) float64, 0 where no triangle is seen.

    triangles: (T, 3) int, those the fragments were drawn from. compiled: with numba where it can be imported; the
    numbers are the same bit for bit. Raises ShapeError for values of another shape.
    """
    if values.ndim != 2:
        raise ShapeError(f"values is {values.shape}; (N, C), one row per vertex, is expected")
    if triangles.size and triangles.max() >= len(values):
        raise ShapeError(f"values has {len(values)} rows, but the triangles point at vertex {triangles.max()}")
    picture = np.zeros((*fragments.triangle.shape, values.shape[1]))
    if compiled and numba_imports():
        from .pixels import gather

        corners = np.ascontiguousarray(triangles, np.int32)
        gather(fragments.triangle, fragments.barycentric, corners, np.ascontiguousarray(values, np.float64), picture)
    else:
        covered = fragments.covered
        a, b, c = triangles[fragments.triangle[covered]].T
        wa, wb, wc = fragments.barycentric[covered].T[..., None]
        picture[covered] = wa * values[a] + wb * values[b] + wc * values[c]
    return picture
