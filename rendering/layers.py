"""Picture layers by name, for sheets and figures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from . import pictures
from .faces import Faces
from .pictures import Paint, Posed, Style, pictures_of


def _nothing(picture: np.ndarray, _face: Posed) -> np.ndarray:
    return picture


# What is painted, and whether it is over the photo or on black.
LAYERS: dict[str, tuple[Paint, bool]] = {
    "photo": (_nothing, True),
    "mask": (pictures.paint_mask, True),
    "points": (pictures.paint_points, True),
    "landmarks": (pictures.paint_landmarks, True),
    "pose": (pictures.paint_pose, True),
    "depth": (pictures.paint_depth, False),
    "pncc": (pictures.paint_pncc, False),
    "normals": (pictures.paint_normals, False),
}


def layer_maker(faces: Faces, photos: Path | None, layer: str) -> Callable[[list[int]], np.ndarray]:
    """What makes the picture (H, W, 3) uint8 of the faces in some rows, which share a photo."""
    paint, over_photo = LAYERS[layer]
    return pictures_of(faces, photos, paint, Style(), over_photo=over_photo)
