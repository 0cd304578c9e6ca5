"""The compiled z-buffer: the rule of `rasterizer.rasterize`, one triangle after another, in float64.

Compiled by numba at the first call and kept in its cache. Imported only where numba can be.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def fill(  # pragma: no cover (compiled)
    vertices: np.ndarray,
    triangles: np.ndarray,
    first_row: int,
    last_row: int,
    largest: float,
    cull: bool,
    triangle: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Draw the rows first_row..last_row of a picture (H, W) that starts empty."""
    width = triangle.shape[1]
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        xa, xb, xc = vertices[a, 0], vertices[b, 0], vertices[c, 0]
        ya, yb, yc = vertices[a, 1], vertices[b, 1], vertices[c, 1]
        top, bottom = np.ceil(max(min(ya, yb, yc), first_row)), np.floor(min(max(ya, yb, yc), last_row))
        left, right = np.ceil(max(min(xa, xb, xc), 0.0)), np.floor(min(max(xa, xb, xc), width - 1.0))
        if not (top <= bottom and left <= right):  # written so that NaN fails
            continue
        za, zb, zc = vertices[a, 2], vertices[b, 2], vertices[c, 2]
        if not (
            abs(xa) <= largest and abs(xb) <= largest and abs(xc) <= largest
            and abs(ya) <= largest and abs(yb) <= largest and abs(yc) <= largest
            and abs(za) <= largest and abs(zb) <= largest and abs(zc) <= largest
        ):  # fmt: skip
            continue
        area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
        if area == 0 or (cull and area > 0):
            continue
        sign = 1.0 if area > 0 else -1.0
        for row in range(int(top), int(bottom) + 1):
            ay, by, cy = ya - row, yb - row, yc - row
            for column in range(int(left), int(right) + 1):
                ax, bx, cx = xa - column, xb - column, xc - column
                ea, eb, ec = (bx * cy - by * cx) * sign, (cx * ay - cy * ax) * sign, (ax * by - ay * bx) * sign
                total = ea + eb + ec
                # One branch, hard to foresee, costs less than four. NaN fails.
                if not ((ea >= 0) & (eb >= 0) & (ec >= 0) & (total > 0)):
                    continue
                wb, wc = eb / total, ec / total
                reached = za + (wb * (zb - za) + wc * (zc - za))
                if reached > depth[row, column]:
                    depth[row, column] = reached
                    triangle[row, column] = t
