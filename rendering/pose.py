"""How a head is turned, drawn over the photo: its three axes, and a box around it."""

import numpy as np
from PIL import Image, ImageDraw

from ..models.errors import ShapeError
from .colors import blend, light_from_srgb
from .images import FARTHEST, check_photo

AXES = ((230, 50, 50), (40, 190, 70), (50, 110, 255))  # x to the face's left on the picture's right, y up, z forward
FRAME = (255, 200, 40)
REACH = 0.55  # length of an axis, of the face's height
DEEP = 1.25  # the box's front is this much larger than its back, so that it can be told which is which
CORNERS = np.array([(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)], np.float64)
EDGES = ((0, 1), (2, 3), (0, 2), (1, 3), (4, 5), (6, 7), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7))
SCALE = 3  # drawn at this size and averaged down


def pose_overlay(photo: np.ndarray, camera: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The photo with the head's axes and box over it: (H, W, 3) uint8, a new array.

    photo: (H, W, 3) uint8 RGB. camera: (3, 4), from the model's axes to photo pixels from 0, y down. low, high: (3,),
    the face's bounds in the model's axes. x (red) points to the picture's right in a frontal face, y (green) up,
    z (blue) out of the face; the box's back is dark and small, its front, before the face, is large.
    """
    check_photo(photo)
    if camera.shape != (3, 4):
        raise ShapeError(f"camera is {camera.shape}; (3, 4) is expected")
    centre, size = (low + high) / 2, high - low
    corners = (CORNERS - 0.5) * size * np.where(CORNERS[:, 2:] > 0, (DEEP, DEEP, 1), 1) + centre
    origin = np.array([centre[0], centre[1], high[2]])
    tips = origin + np.eye(3) * REACH * size[1]
    place = np.concatenate([corners, origin[None], tips]) @ camera[:, :3].T + camera[:, 3]
    place = np.clip(place, -FARTHEST, FARTHEST)
    width = max(1.5, float(np.ptp(place[:, 1])) / 110)
    picture = photo
    for first, last in EDGES:
        front = first >= 4 or last >= 4
        picture = _line(picture, place[first], place[last], FRAME, width * (0.8 if front else 0.5))
    # The axis that points away from the viewer is drawn first.
    for axis in np.argsort(place[9:, 2]):
        picture = _line(picture, place[8], place[9 + axis], AXES[axis], 1.8 * width)
    return picture if picture is not photo else photo.copy()


def _line(
    photo: np.ndarray, start: np.ndarray, end: np.ndarray, color: tuple[int, int, int], width: float
) -> np.ndarray:
    """The photo with one antialiased line."""
    height, across = photo.shape[:2]
    ends = np.stack([start, end])[:, :2]
    low = np.clip(np.floor(ends.min(axis=0) - width - 1), 0, (across, height)).astype(int)
    high = np.clip(np.ceil(ends.max(axis=0) + width + 2), 0, (across, height)).astype(int)
    if (low >= high).any():
        return photo
    wide, tall = (int(side) for side in (high - low) * SCALE)
    stencil = Image.new("L", (wide, tall))
    path = [(float(x), float(y)) for x, y in (ends - low + 0.5) * SCALE - 0.5]
    ImageDraw.Draw(stencil).line(path, fill=255, width=max(1, round(width * SCALE)))
    share = np.asarray(stencil.reduce(SCALE), np.float64) / 255
    picture = photo.copy()
    area = picture[low[1] : high[1], low[0] : high[0]]
    area[:] = blend(area, light_from_srgb(np.asarray(color) / 255), share)
    return picture
