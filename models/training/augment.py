"""One training face, changed: moved, turned and mirrored with its points and coefficients; recoloured, blurred, covered."""

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..errors import FileError, ShapeError
from ..pose import CROP_SIZE
from .data import DataSettings

CENTRE = (CROP_SIZE - 1) / 2  # of the crop, pixels from 0
Y_DOWN = np.array([[1.0, 0.0], [0.0, -1.0]])  # crop_up to pixels from 0: x - 1, 120 - y
ORIGIN = np.array([-1.0, CROP_SIZE])
BEST_QUALITY = 95

# Of R, G, B: the luma in all three, and the cross product with the grey axis.
LUMA = np.tile([0.299, 0.587, 0.114], (3, 1))
AROUND = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)


@dataclass(frozen=True, eq=False)
class Move:
    """A turn, a scale and a shift of the crop, after a mirroring where `mirrored`.

    turn: (2, 2) float64, a rotation times the scale; shift: (2,): pixels from 0, y down, go to turn @ pixel + shift.
    """

    turn: np.ndarray
    shift: np.ndarray
    scale: float
    mirrored: bool

    @cached_property
    def stays(self) -> bool:
        return not self.mirrored and np.array_equal(self.turn, np.eye(2)) and not self.shift.any()

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points (P, 2 or 3), pixels from 0, y down, that are mirrored already: as many float64; z is scaled."""
        moved = self.scale * points.astype(np.float64)
        moved[:, :2] = points[:, :2] @ self.turn.T + self.shift
        return moved

    def pose(self, pose: np.ndarray) -> np.ndarray:
        """The pose (3, 4) to the crop, y up, of the moved crop; mirrored already. float64."""
        moved = self.scale * pose.astype(np.float64)
        moved[:2] = Y_DOWN @ self.turn @ Y_DOWN @ pose[:2]
        moved[:2, 3] += Y_DOWN @ (self.turn @ ORIGIN + self.shift - ORIGIN)
        return moved

    def picture(self, crop: Image.Image) -> Image.Image:
        """The crop moved, by one bilinear resampling; black where it had no pixels."""
        if self.stays:
            return crop
        back = np.linalg.inv(self.turn)
        start = 0.5 - back @ (self.shift + 0.5)  # Pillow counts from the corner of the first pixel
        if self.mirrored:
            back[0], start[0] = -back[0], CROP_SIZE - start[0]
        (a, b), (c, d) = back
        matrix = (a, b, start[0], c, d, start[1])
        return crop.transform(crop.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def draw_move(rng: np.random.Generator, settings: DataSettings, flip: float) -> Move:
    """A random move of these settings, mirrored with this chance."""
    side, turn, right, down, mirror = rng.random(5)
    scale = 1 / (1 + settings.scale * (2 * side - 1))
    angle = np.deg2rad(settings.rotation_degrees) * (2 * turn - 1)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]])
    shift = settings.shift * CROP_SIZE * (2 * np.array([right, down]) - 1)
    return Move(matrix, CENTRE + shift - matrix.sum(axis=1) * CENTRE, scale, bool(mirror < flip))


def decode_crop(jpg: bytes, where: str) -> Image.Image:
    """The crop, (120, 120) RGB. Raises FileError for a picture that does not decode, ShapeError for another size."""
    try:
        crop = Image.open(io.BytesIO(jpg))
        crop.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise FileError(f"{where}: the crop does not decode: {error}") from error
    if crop.size != (CROP_SIZE, CROP_SIZE):
        raise ShapeError(f"{where}: the crop is {crop.size[0]} x {crop.size[1]} pixels; 120 x 120 is expected")
    return crop if crop.mode == "RGB" else crop.convert("RGB")


def change_look(rng: np.random.Generator, crop: Image.Image, settings: DataSettings) -> Image.Image:
    """The crop covered, blurred, recoloured and compressed as these settings say; its pixels stay in place."""
    covered, blurred, grey, compressed, sigma, quality = rng.random(6)
    colour = rng.uniform(-1, 1, 4)
    if covered < settings.occluders:
        crop = _covered(rng, crop, settings.occluder_size)
    if blurred < settings.blur:
        crop = crop.filter(ImageFilter.GaussianBlur(float(sigma) * settings.blur_pixels))
    matrix = colour_matrix(colour, bool(grey < settings.grey), settings)
    if np.abs(matrix - np.eye(3, 4)).max() > 1e-9:
        crop = crop.convert("RGB", tuple(matrix.ravel()))
    if compressed < settings.jpeg:
        file = io.BytesIO()
        lowest = settings.jpeg_quality
        crop.save(file, "jpeg", quality=round(lowest + quality * (BEST_QUALITY - lowest)))
        crop = Image.open(file)
        crop.load()
    return crop


def colour_matrix(draws: np.ndarray, grey: bool, settings: DataSettings) -> np.ndarray:
    """What takes R, G, B and 1 to a changed colour: (3, 4) float64. draws: (4,), -1..1, for brightness, contrast,
    saturation and hue. Saturation and hue keep the luma."""
    brightness = 1 + settings.brightness * draws[0]
    contrast = 1 + settings.contrast * draws[1]
    saturation = 0.0 if grey else 1 + settings.saturation * draws[2]
    angle = np.deg2rad(settings.hue_degrees) * draws[3]
    turn = np.sin(angle) * AROUND + (1 - np.cos(angle)) * AROUND @ AROUND
    colour = np.eye(3, 4, dtype=np.float64)
    colour[:, :3] += turn
    colour[:, :3] -= LUMA @ colour[:, :3]
    colour[:, :3] = contrast * brightness * (LUMA + saturation * colour[:, :3])
    colour[:, 3] = 127.5 * (1 - contrast)
    return colour


def _covered(rng: np.random.Generator, crop: Image.Image, largest: float) -> Image.Image:
    """A rectangle or an ellipse over a part of the crop: of one colour, noise, or another part of the crop."""
    width, height = (max(1, round(CROP_SIZE * largest * side)) for side in rng.uniform(0.2, 1, 2))
    left, top = (int(rng.integers(-size // 2, CROP_SIZE - size // 2)) for size in (width, height))
    from_x, from_y = (int(rng.integers(0, CROP_SIZE - size + 1)) for size in (width, height))
    kind, shape = rng.random(2)
    if kind < 0.4:
        patch = Image.new("RGB", (width, height), tuple(int(value) for value in rng.integers(0, 256, 3)))
    elif kind < 0.6:
        patch = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    else:
        patch = crop.crop((from_x, from_y, from_x + width, from_y + height))
    mask = Image.new("1", (width, height), 1)
    if shape < 0.5:
        mask = Image.new("1", (width, height), 0)
        ImageDraw.Draw(mask).ellipse((0, 0, width - 1, height - 1), fill=1)
    covered = crop.copy()
    covered.paste(patch, (left, top), mask)
    return covered
