"""Compiled twins of what NumPy does for every vertex and pixel: the same operations in the same order, the same bits.

Compiled by numba at the first call and kept in its cache. Imported only where numba can be. Indices are unsigned where it
matters: numba counts negative ones from the end, and must look.
"""

import numpy as np
from numba import njit

from .instructions import begin, blocks, finish, wait

# instructions.py: 2a40a663bd56d2fc
ROWS = 16  # of a picture, taken at a time


@njit(cache=True, nogil=True, error_model="numpy")
def add_face_normals(  # pragma: no cover (compiled)
    vertices: np.ndarray, triangles: np.ndarray, sums: np.ndarray
) -> None:
    """Add each triangle's cross product of edges to its corners: sums (3, N, 3), of first, second and third corners."""
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(z)):
            continue
        for corner in range(3):
            vertex = triangles[t, corner]
            sums[corner, vertex, 0] += x
            sums[corner, vertex, 1] += y
            sums[corner, vertex, 2] += z


@njit(cache=True, nogil=True, error_model="numpy")
def weights_at(  # type: ignore[no-untyped-def]  # pragma: no cover (compiled)
    vertices, corners, t, row, column
):
    """The weights of a covered pixel: as `rasterizer._weights`."""
    a, b, c = np.uintp(corners[t, 0]), np.uintp(corners[t, 1]), np.uintp(corners[t, 2])
    xa, xb, xc, ya, yb, yc = (
        vertices[a, 0], vertices[b, 0], vertices[c, 0], vertices[a, 1], vertices[b, 1], vertices[c, 1]
    )  # fmt: skip
    ax, bx, cx, ay, by, cy = xa - column, xb - column, xc - column, ya - row, yb - row, yc - row
    ea, eb, ec = (
        bx * cy - by * cx,
        cx * ay - cy * ax,
        ax * by - ay * bx,
    )  # all of one sign, which the division takes out
    total = ea + eb + ec
    return ea / total, eb / total, ec / total


@njit(cache=True, nogil=True, error_model="numpy")
def gather(  # pragma: no cover (compiled)
    triangle: np.ndarray,
    vertices: np.ndarray,
    corners: np.ndarray,
    triangles: np.ndarray,
    values: np.ndarray,
    top: int,
    left: int,
    counters: np.ndarray,
    picture: np.ndarray,
) -> None:
    """Take part in writing values (V, C) at the pixels of a part of a picture that begins at (top, left): picture
    (H, W, C) of that part, left alone where no triangle is seen. counters: (2,) int64, 0 at first. Every worker comes
    back when all is written."""
    count = blocks(len(triangle), ROWS)
    k = begin(counters, 0)
    while k < count:
        for row in range(k * ROWS, min((k + 1) * ROWS, len(triangle))):
            for column in range(triangle.shape[1]):
                if triangle[row, column] < 0:
                    continue
                t = np.uintp(triangle[row, column])
                wa, wb, wc = weights_at(vertices, corners, t, top + row, left + column)
                a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
                for channel in range(values.shape[1]):
                    picture[row, column, channel] = (
                        wa * values[a, channel] + wb * values[b, channel] + wc * values[c, channel]
                    )
        finish(counters, 0)
        k = begin(counters, 0)
    wait(counters, 0, count)


@njit(cache=True, nogil=True, error_model="numpy")
def add_light(  # pragma: no cover (compiled)
    triangle: np.ndarray,
    vertices: np.ndarray,
    corners: np.ndarray,
    normals: np.ndarray,
    flat: bool,
    directions: np.ndarray,
    body: np.ndarray,
    shine: np.ndarray,
    subpixels: int,
    light: np.ndarray,
    count: np.ndarray,
) -> None:
    """Add each subpixel's light to its pixel: light (H, W, 3), count (H, W). The rest is as in `shading.lit`."""
    height, width = triangle.shape
    last = len(body) - 1
    for row in range(height):
        for column in range(width):
            t = triangle[row, column]
            if t < 0:
                continue
            if flat:
                nx, ny, nz = normals[t, 0], normals[t, 1], normals[t, 2]
            else:
                wa, wb, wc = weights_at(vertices, corners, t, row, column)
                a, b, c = corners[t, 0], corners[t, 1], corners[t, 2]
                nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
                ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
                nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
                length = max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-12)
                nx, ny, nz = nx / length, ny / length, nz / length
            facing = nx * directions[0, 0] + ny * directions[0, 1] + nz * directions[0, 2]
            halfway = nx * directions[1, 0] + ny * directions[1, 1] + nz * directions[1, 2]
            one = int(min(max(facing, 0.0), 1.0) * last + 0.5)
            two = int(min(max(halfway, 0.0), 1.0) * last + 0.5)
            i, j = row // subpixels, column // subpixels
            for k in range(3):
                highlight = shine[two] if facing > 0 else 0.0
                light[i, j, k] += min(body[one, k] + highlight, 1.0)
            count[i, j] += 1
