"""Normalised mean error: point distances over the size of the truth (original pipeline, sections 11.0 to 11.5)."""

import numpy as np

from ..models.errors import DegenerateFaceError, ShapeError

YAW_BINS = ("0-30", "30-60", "60-90")


def nme(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Normalised mean error of each face: mean point distance over the size of the truth's box.

    predicted, truth: (n, points, 2 or 3) float, photo pixels, the same points in the same order. The size is
    sqrt(width * height) of the x-y box around `truth`. Returns (n,) float64 fractions (0.03 is shown as 3.00 %);
    NaN where a prediction is not finite. Raises DegenerateFaceError where a truth has no extent (Q26).
    """
    if predicted.shape != truth.shape:
        raise ShapeError(f"predicted is {predicted.shape}, truth is {truth.shape}; the same points are expected")
    size = box_size(truth)
    if not (size > 0).all():
        face = int(np.flatnonzero(~(size > 0))[0])
        width, height = np.ptp(truth[face, :, :2], axis=0)
        raise DegenerateFaceError(
            f"the truth of face {face} spans {width:g} x {height:g} px; NME needs a box with an area"
        )
    return np.linalg.norm(predicted - truth, axis=-1).mean(axis=-1) / size


def box_size(points: np.ndarray) -> np.ndarray:
    """sqrt(width * height) of the x-y box around points (..., P, 2 or 3): (...,), their unit."""
    return np.sqrt(np.ptp(points[..., :2], axis=-2).prod(axis=-1))


def z_from_minimum(points: np.ndarray) -> np.ndarray:
    """Points (..., N, 3) with z counted from their own smallest z, as the original does before a 3D distance (Q23)."""
    shifted = points.copy()
    shifted[..., 2] -= points[..., 2].min(axis=-1, keepdims=True)
    return shifted


def yaw_bin(yaw_degrees: np.ndarray) -> np.ndarray:
    """Yaw bin of each face: 0 for |yaw| <= 30, 1 for 30 < |yaw| <= 60, 2 beyond 60, without an upper limit (Q22)."""
    return np.digitize(np.abs(yaw_degrees), [30, 60], right=True)
