"""The compiled z-buffer: the rule of `rasterizer.rasterize`, one triangle after another, in float64.

Compiled by numba at the first call and kept in its cache. Imported only where numba can be.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def fill(  # pragma: no cover (compiled)
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    triangles: np.ndarray,
    first_row: int,
    last_row: int,
    largest: float,
    cull: bool,
    triangle: np.ndarray,
    depth: np.ndarray,
    barycentric: np.ndarray,
) -> None:
    """Draw the rows first_row..last_row of a picture (H, W) that starts empty."""
    width = triangle.shape[1]
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        xa, xb, xc = x[a], x[b], x[c]
        ya, yb, yc = y[a], y[b], y[c]
        low_y, high_y = min(ya, yb, yc), max(ya, yb, yc)
        low_x, high_x = min(xa, xb, xc), max(xa, xb, xc)
        # Written so that NaN fails: whatever touches the picture and is finite goes on.
        if not (high_y >= first_row and low_y <= last_row and high_x >= 0 and low_x <= width - 1):
            continue
        za, zb, zc = z[a], z[b], z[c]
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
        top, bottom = int(np.ceil(max(low_y, first_row))), int(np.floor(min(high_y, last_row)))
        left, right = int(np.ceil(max(low_x, 0.0))), int(np.floor(min(high_x, width - 1.0)))
        for row in range(top, bottom + 1):
            ay, by, cy = ya - row, yb - row, yc - row
            for column in range(left, right + 1):
                ax, bx, cx = xa - column, xb - column, xc - column
                ea = (bx * cy - by * cx) * sign
                if not ea >= 0:
                    continue
                eb = (cx * ay - cy * ax) * sign
                if not eb >= 0:
                    continue
                ec = (ax * by - ay * bx) * sign
                if not ec >= 0:
                    continue
                total = ea + eb + ec
                if not total > 0:
                    continue
                wb, wc = eb / total, ec / total
                reached = za + (wb * (zb - za) + wc * (zc - za))
                if reached > depth[row, column]:
                    depth[row, column] = reached
                    triangle[row, column] = t
                    barycentric[row, column, 0] = ea / total
                    barycentric[row, column, 1] = wb
                    barycentric[row, column, 2] = wc
