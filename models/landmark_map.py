"""The fourth input channel: 18 of the 68 landmarks as single pixels (FLM; original pipeline, section 5)."""

import numpy as np

from .errors import ShapeError
from .pose import CROP_SIZE

# The 18 points, in order: one landmark of iBUG's 68 from 0, or the mean of two. Brows, eyes, nose, mouth; no jaw.
POINTS: tuple[tuple[int, ...], ...] = (
    (17,), (19,), (21,), (22,), (24,), (26,),
    (36,), (37, 40), (39,), (42,), (43, 46), (45,),
    (31,), (30,), (35,),
    (48,), (62, 66), (54,),
)  # fmt: skip

BACKGROUND, POINT = -1.0, 1.0


def map_points(landmarks: np.ndarray) -> np.ndarray:
    """The 18 map points (18, 2) of 68 landmarks (68, 2 or more), crop pixels."""
    if landmarks.shape[-2] != 68:
        raise ShapeError(f"{landmarks.shape[-2]} landmarks were given; the landmark map is made from 68")
    return np.stack([landmarks[..., list(ids), :2].mean(axis=-2) for ids in POINTS], axis=-2)


def landmark_map(landmarks: np.ndarray, faithful: bool = False) -> np.ndarray:
    """The map of 68 landmarks (68, 2) in crop pixels from 0, y down: (120, 120) float32, -1 with +1 at 18 points.

    Default: a point outside the crop, or not finite, is left out. faithful: the original's rule, for parity: values
    above 119 become 119 before the averages are taken, and negative rows and columns count from the far edge (Q4);
    the two differ in 2 of the 1998 published maps. Faithful raises ShapeError below -120, where the original crashes.
    """
    points = np.asarray(landmarks, np.float32)
    if faithful:
        points = np.minimum(points, np.float32(CROP_SIZE - 1))
    pixels = np.floor(map_points(points))
    if faithful:
        if not (pixels >= -CROP_SIZE).all():
            raise ShapeError(f"a landmark lies at {pixels.min():g}; the original's map wraps only down to -{CROP_SIZE}")
        inside = pixels
    else:
        inside = pixels[((pixels >= 0) & (pixels < CROP_SIZE)).all(axis=-1)]
    image = np.full((CROP_SIZE, CROP_SIZE), BACKGROUND, np.float32)
    columns, rows = inside.astype(np.int64).T
    image[rows, columns] = POINT
    return image
