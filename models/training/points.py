"""Which points a training set's faces are annotated with, and the 18 of the landmark map among them."""

from typing import Literal

import numpy as np

from ..landmark_map import POINTS as MAP_OF_68

Points = Literal["68", "21"]

# How many points each scheme has: iBUG's 68, and AFLW's and UMDFaces' 21.
COUNTS: dict[Points, int] = {"68": 68, "21": 21}

NAMES_OF_21 = (
    "left brow outer", "left brow middle", "left brow inner",
    "right brow inner", "right brow middle", "right brow outer",
    "left eye outer", "left eye centre", "left eye inner",
    "right eye inner", "right eye centre", "right eye outer",
    "left ear", "nose left", "nose tip", "nose right", "right ear",
    "mouth left", "mouth centre", "mouth right", "chin",
)  # fmt: skip

# The landmark map's 18 points among AFLW's 21: all but both ears and the chin (paper page, section 2).
MAP_OF_21: tuple[tuple[int, ...], ...] = tuple((index,) for index in range(21) if index not in (12, 16, 20))


def map_points(landmarks: np.ndarray, visible: np.ndarray, points: Points) -> tuple[np.ndarray, np.ndarray]:
    """The landmark map's points (n, 18, 2) of landmarks (n, P, 2 or 3), and which are seen (n, 18) bool.

    A point that is the mean of two landmarks is seen where both are. visible: (n, P) bool.
    """
    members = MAP_OF_68 if points == "68" else MAP_OF_21
    places = np.stack([landmarks[:, list(ids), :2].mean(axis=1) for ids in members], axis=1)
    return places, np.stack([visible[:, list(ids)].all(axis=1) for ids in members], axis=1)
