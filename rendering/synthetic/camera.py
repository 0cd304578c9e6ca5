"""The pose of a face, and the crop that a detector would cut around it."""

from dataclasses import dataclass

import numpy as np

from ...models.pose import CROP_SIZE, rotation_from_angles

FRONTAL_SHARE = 0.5  # of faces that look about at the camera; the others turn anywhere


@dataclass(frozen=True, eq=False)
class Camera:
    """angles: (3,) yaw, pitch, roll, degrees. rotation: (3, 3). scale: crop pixels a mm. shift: (2,) crop_up pixels,
    counted as the convention `3ddfa` does."""

    angles: np.ndarray
    rotation: np.ndarray
    scale: float
    shift: np.ndarray

    @property
    def pose(self) -> np.ndarray:
        """(3, 4) float64 `[M | t]`, micrometres to the crop, y up; the depth counts from the model's origin."""
        return np.column_stack([self.scale * 1e-3 * self.rotation, [*self.shift, 0.0]])

    def image_from_view(self, points: np.ndarray, side: int) -> np.ndarray:
        """Points (..., 3) mm of the view frame in a picture of the crop, `side` pixels wide: from 0, y down."""
        zoom = np.float32(side / CROP_SIZE)
        k = np.float32(self.scale) * zoom
        turned = points * np.array([k, -k, k], np.float32)
        turned[..., 0] += (self.shift[0] - 0.5) * zoom - 0.5
        turned[..., 1] += (CROP_SIZE + 0.5 - self.shift[1]) * zoom - 0.5
        return turned

    def view_from_image(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Where pixels (P,), flat indices into depth (S, S), lie: (P, 3) float32, mm of the view frame."""
        side = len(depth)
        zoom = side / CROP_SIZE
        row, column = np.divmod(pixels, side)
        x = ((column + 0.5) / zoom + 0.5 - self.shift[0]) / self.scale
        y = (CROP_SIZE + 0.5 - (row + 0.5) / zoom - self.shift[1]) / self.scale
        return np.stack([x, y, depth.ravel()[pixels] / (zoom * self.scale)], axis=1).astype(np.float32)


def draw_angles(rng: np.random.Generator, max_yaw: float) -> np.ndarray:
    """Yaw, pitch and roll in degrees, (3,): about as AFLW's faces, with more in profile."""
    yaw = rng.normal(0, 20) if rng.random() < FRONTAL_SHARE else rng.uniform(-90, 90)
    pitch = rng.normal(-3, 12)
    roll = rng.normal(0, 9) if rng.random() < 0.8 else rng.normal(0, 28)
    limits = np.array([max_yaw, 40, 60])
    return np.clip([yaw, pitch, roll], -limits, limits)


def draw_camera(rng: np.random.Generator, landmarks: np.ndarray, max_yaw: float, room: float = 1.0) -> Camera:
    """landmarks: (68, 3) mm, model frame. The crop is the field's square around the 68 points, as far off in place and
    size as detectors are, and `room` times as large."""
    angles = draw_angles(rng, max_yaw)
    rotation = rotation_from_angles(angles)
    seen = (landmarks @ rotation.T)[:, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    side = float((high - low).max()) * np.sqrt(2) * np.exp(np.clip(rng.normal(0, 0.08), -0.22, 0.28))
    centre = (low + high) / 2 + np.clip(rng.normal(0, 0.045, 2), -0.12, 0.12) * side
    scale = CROP_SIZE / (room * side)
    return Camera(angles, rotation, scale, (CROP_SIZE + 1) / 2 - scale * centre)
