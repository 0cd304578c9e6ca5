"""The compiled drawing of strands: the rule of `strands.draw_strands`, one sample after another.

Compiled by numba at the first call and kept in its cache. Imported only where numba can be.
"""

import numpy as np
from numba import njit

from .strands import LARGEST


@njit(cache=True, nogil=True, error_model="numpy")
def draw(  # pragma: no cover (compiled)
    points: np.ndarray, colors: np.ndarray, width: int, depth: np.ndarray, picture: np.ndarray
) -> None:
    """Draw strands (S, K, 3) in order; a picture without pixels is left out."""
    height, columns = depth.shape
    paint = picture.shape[0] > 0
    half = np.float32(0.5)
    for s in range(points.shape[0]):
        for k in range(points.shape[1] - 1):
            x, y, z = points[s, k, 0], points[s, k, 1], points[s, k, 2]
            dx, dy, dz = points[s, k + 1, 0] - x, points[s, k + 1, 1] - y, points[s, k + 1, 2] - z
            reach = max(abs(dx), abs(dy))
            if not reach < LARGEST:
                continue
            count = int(np.ceil(reach)) + 1
            for i in range(count):
                share = np.float32(i / count)
                column, row = int(np.floor(x + share * dx + half)), int(np.floor(y + share * dy + half))
                near = np.float64(z + share * dz)
                for r in range(row, row + width):
                    for c in range(column, column + width):
                        if r < 0 or r >= height or c < 0 or c >= columns or not near > depth[r, c]:
                            continue
                        depth[r, c] = near
                        if paint:
                            for channel in range(3):
                                first = colors[s, k, channel]
                                picture[r, c, channel] = first + share * (colors[s, k + 1, channel] - first)
