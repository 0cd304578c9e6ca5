"""Crops of a training set with their points drawn: seen ones filled, hidden ones hollow."""

import io

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from ..models.pose import CROP_SIZE
from ..models.training.sets import TrainingSet
from .contact import contact_sheet

SCALE = 2  # a crop is drawn at twice its size
RADIUS = 2.4  # of a point, pixels of the drawing
SEEN, HIDDEN = (60, 255, 120), (255, 80, 60)


def draw_points(crop: np.ndarray, points: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """A crop (H, W, 3) uint8 at twice its size with points (P, 2 or 3), crop pixels from 0: a new array.

    visible: (P,) bool, filled green dots; the others are red rings, and what is not finite is left out.
    """
    height, width = crop.shape[:2]
    image = Image.fromarray(crop).resize((SCALE * width, SCALE * height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    for (x, y), seen in zip((points[:, :2] + 0.5) * SCALE - 0.5, visible, strict=True):
        if np.isfinite([x, y]).all() and -RADIUS < x < image.width + RADIUS and -RADIUS < y < image.height + RADIUS:
            around = (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)
            if seen:
                draw.ellipse(around, fill=SEEN, outline=(0, 0, 0))
            else:
                draw.ellipse(around, outline=HIDDEN)
    return np.asarray(image)


def set_sheet(opened: TrainingSet, most: int = 48) -> np.ndarray:
    """Up to `most` faces of a set, evenly spaced over it, each with its points and its name: (H, W, 3) uint8.

    A crop that does not decode is left black.
    """
    rows = np.unique(np.linspace(0, len(opened) - 1, min(most, len(opened))).round().astype(int))
    pictures = [
        draw_points(_decoded(jpg), opened.landmarks[row], opened.visible[row])
        for row, jpg in zip(rows, opened.crops(rows), strict=True)
    ]
    return contact_sheet(pictures, [opened.names[row] for row in rows], cell=pictures[0].shape[0])


def _decoded(jpg: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(jpg)) as crop:
            return np.asarray(crop.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError):
        return np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)
