"""The camera's part of a fit: how posed points change with it, and the camera after a step.

A camera is M (n, 3, 3), pixels per millimetre, and t (n, 3), pixels; y up. `affine` leaves M's rows free, and
`scaled-orthographic` turns and scales it. Points in 2D leave t's third number, and affine's third row, open.
"""

import numpy as np

from .settings import Camera


def camera_unknowns(camera: Camera, dims: int) -> int:
    """How many numbers of the camera points of 2 or 3 dimensions determine."""
    return 4 * dims if camera == "affine" else 4 + dims


def camera_columns(M: np.ndarray, unposed: np.ndarray, dims: int, camera: Camera) -> np.ndarray:
    """Derivatives (n, dims, P, U) of the posed points, from unposed (n, 3, P): affine: by M's rows; scaled-orthographic:
    by log scale and a small rotation; both: by t."""
    n, _, count = unposed.shape
    columns = np.zeros((n, dims, count, camera_unknowns(camera, dims)))
    for row in range(dims):
        columns[:, row, :, row - dims] = 1
    if camera == "affine":
        for row in range(dims):
            columns[:, row, :, 3 * row : 3 * row + 3] = np.swapaxes(unposed, 1, 2)
        return columns
    x, y, z = np.moveaxis(M @ unposed, 1, 0)
    # By log scale, and by rotation about x, y and z: the cross product.
    derivatives = ((x, None, z, -y), (y, -z, None, x), (z, y, -x, None))
    for row in range(dims):
        for column, values in enumerate(derivatives[row]):
            if values is not None:
                columns[:, row, :, column] = values
    return columns


def moved_camera(
    M: np.ndarray, t: np.ndarray, step: np.ndarray, dims: int, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """The cameras after steps (n, U) in the unknowns of `camera_columns`."""
    t = t.copy()
    t[:, :dims] += step[:, -dims:]
    if camera == "scaled-orthographic":
        return np.exp(step[:, :1, None].clip(-1, 1)) * _rotation(step[:, 1:4]) @ M, t
    M = M.copy()
    M[:, :dims] += step[:, : 3 * dims].reshape(-1, dims, 3)
    if dims == 2:
        M[:, 2] = third_row(M)
    return M, t


def third_row(M: np.ndarray) -> np.ndarray:
    """The depth row (n, 3) that makes the first two rows of M (n, >= 2, 3) nearest to a scaled rotation: across both,
    as long as their geometric mean."""
    across = np.cross(M[:, 0], M[:, 1])
    length = np.linalg.norm(across, axis=1, keepdims=True)
    return across / np.sqrt(np.maximum(length, 1e-300))


def _rotation(vector: np.ndarray) -> np.ndarray:
    """Rotations (n, 3, 3) about vectors (n, 3), by their length in radians (Rodrigues)."""
    angle = np.linalg.norm(vector, axis=1)[:, None, None]
    x, y, z = vector.T
    o = np.zeros_like(x)
    cross = np.stack([np.stack([o, -z, y], 1), np.stack([z, o, -x], 1), np.stack([-y, x, o], 1)], axis=1)
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (cross @ cross)
