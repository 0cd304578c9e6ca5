"""Where the 120-pixel crop lies in the photo, and how points move between the two.

A box is (left, top, right, bottom) float64 in photo pixels counted from 1, both ends inside, as the field's files have
it. Its kind says what is known of it: `cut`: the crop really covers it; `clipped`: as AFLW2000-3D publishes it, clipped
to the photo although the crop was padded (Q3); `none`: a crop of unknown origin, whose box is itself.
"""

from typing import Literal

import numpy as np

from .errors import DegenerateFaceError
from .pose import CROP_SIZE, INDEX_BASE, Convention

BoxKind = Literal["clipped", "cut", "none"]
BOX_KINDS: tuple[BoxKind, ...] = ("clipped", "cut", "none")

WHOLE_CROP = np.array([1.0, 1.0, CROP_SIZE, CROP_SIZE])


def box_from_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """3DDFA's crop box: (..., 68, 2 or 3) photo pixels from 1 to (..., 4), not clipped.

    The square around the points' own box, its side the larger one times sqrt(2), corners rounded half away from
    zero (original pipeline, section 4). Clipped to the photo it equals all 2000 published boxes of AFLW2000-3D.
    """
    low, high = landmarks[..., :2].min(axis=-2), landmarks[..., :2].max(axis=-2)
    side = (high - low).max(axis=-1, keepdims=True) * np.sqrt(2.0)
    start = round_half_away((low + high) / 2 - side / 2)
    return np.concatenate([start, round_half_away(start + side)], axis=-1)


def box_from_face_box(face: np.ndarray) -> np.ndarray:
    """The crop box around a face detector's box (..., 4), as 3DDFA takes it: moved down by 14 % of the mean side and
    1.58 times as large."""
    left, top, right, bottom = np.moveaxis(np.asarray(face, np.float64), -1, 0)
    mean_side = (right - left + bottom - top) / 2
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2 + 0.14 * mean_side
    side = np.floor(mean_side * 1.58)
    start_x, start_y = round_half_away(centre_x - side / 2), round_half_away(centre_y - side / 2)
    return np.stack([start_x, start_y, start_x + side, start_y + side], axis=-1)


def clip_box(box: np.ndarray, width: np.ndarray | int, height: np.ndarray | int) -> np.ndarray:
    """The part of boxes (..., 4) inside a photo of this size, as AFLW2000-3D publishes them (Q3)."""
    limits = np.stack(np.broadcast_arrays(width, height, width, height), axis=-1)
    return np.clip(box, 1.0, limits)


def round_half_away(values: np.ndarray) -> np.ndarray:
    """MATLAB's round: halves go away from zero."""
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def check_box(box: np.ndarray, what: str) -> None:
    """Raise DegenerateFaceError if a box (4,) has no area or is not finite."""
    if not np.isfinite(box).all() or box[2] <= box[0] or box[3] <= box[1]:
        shown = ", ".join(f"{value:g}" for value in box)
        raise DegenerateFaceError(f"the box of {what} is ({shown}); left < right and top < bottom are expected")


def image_from_crop(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Crop pixels to photo pixels as the original does: (..., N, 2 or 3) with boxes (..., 4).

    x sx + x0 with sx = (x1 - x0) / 120, y alike, z times the mean of both (original pipeline, section 10). It leaves
    out a half pixel and takes the side one pixel short (Q8): the numbers of the published tables.
    """
    scale = (box[..., 2:] - box[..., :2]) / CROP_SIZE
    return points * _with_z(scale, points)[..., None, :] + _offset(box, points)


def crop_from_image(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The inverse of `image_from_crop`."""
    scale = (box[..., 2:] - box[..., :2]) / CROP_SIZE
    return (points - _offset(box, points)) / _with_z(scale, points)[..., None, :]


def image_from_crop_exact(points: np.ndarray, box: np.ndarray, convention: Convention) -> np.ndarray:
    """Crop pixels to where they lie in the photo, counted from 1: (..., N, 2 or 3) with boxes (..., 4) as really cut.

    x0 - 0.5 + (u - 0.5)(x1 - x0 + 1) / 120 for a crop pixel u counted from 1; z times the mean scale.
    """
    scale, shift = _exact(box, points, convention)
    return points * scale + shift


def crop_from_image_exact(points: np.ndarray, box: np.ndarray, convention: Convention) -> np.ndarray:
    """The inverse of `image_from_crop_exact`."""
    scale, shift = _exact(box, points, convention)
    return (points - shift) / scale


def _exact(box: np.ndarray, points: np.ndarray, convention: Convention) -> tuple[np.ndarray, np.ndarray]:
    scale = (box[..., 2:] - box[..., :2] + 1) / CROP_SIZE
    first_centre = 0.5 - (1 - INDEX_BASE[convention])  # half a pixel before the first centre, in the points' own count
    shift = _offset(box, points)
    shift[..., :2] -= 0.5 + (first_centre * scale)[..., None, :]
    return _with_z(scale, points)[..., None, :], shift


def _with_z(scale: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(..., 2) scales, with their mean appended where the points have a z."""
    if points.shape[-1] == 2:
        return scale
    return np.concatenate([scale, scale.mean(axis=-1, keepdims=True)], axis=-1)


def _offset(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    offset = np.zeros((*box.shape[:-1], 1, points.shape[-1]))
    offset[..., 0, :2] = box[..., :2]
    return offset


def crop_pose_from_photo(pose: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Cameras to the photo as cameras to the crop: (..., 3, 4) with boxes (..., 4) as really cut.

    The camera handed over takes the model to photo pixels counted from 1 with y up (minus the photo's y); the one
    returned takes it to the crop with y up, in the convention `3ddfa`, so that `image_from_crop_exact` of its points
    lies where the first one put them.
    """
    sides = np.concatenate([box[..., 2:] - box[..., :2] + 1, np.zeros_like(box[..., :1])], axis=-1)
    sides[..., 2] = sides[..., :2].mean(axis=-1)
    scale = CROP_SIZE / sides
    shift = np.zeros_like(sides)
    shift[..., 0] = scale[..., 0] * (0.5 - box[..., 0]) + 0.5
    shift[..., 1] = scale[..., 1] * (box[..., 1] - 0.5) + CROP_SIZE + 0.5
    moved = pose * scale[..., None]
    moved[..., 3] += shift
    return moved
