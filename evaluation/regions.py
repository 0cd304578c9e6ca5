"""Regions of a face model, found from its 68 landmarks, so that any model has the same ones."""

import numpy as np

from ..models.morphable import MorphableModel

REGIONS = ("nose", "mouth", "forehead", "cheeks")


def region_ids(model: MorphableModel) -> dict[str, np.ndarray]:
    """The vertices of each of REGIONS, int, ascending; the regions are disjoint and leave out eyes, brows and rim.

    Each vertex of the mean face, seen from the front, belongs to its nearest anchor, if that is nearer than a third of
    the distance between the outer eye corners. Anchors are the landmarks and, where there are none, points between
    them: the cheeks lie between nose wing, eye, mouth corner and jaw, the forehead above the brows by 0.4, 0.7 and 1
    times the nose's length.
    """
    from scipy.spatial import KDTree

    marks = model.mean[model.landmark_ids, :2].astype(np.float64)
    nose_length = np.linalg.norm(marks[27] - marks[33])
    up = np.array([0, nose_length])
    brows = marks[17:27]
    cheeks = np.concatenate(
        [
            _between(marks[wing], marks[jaw], (0.3, 0.5, 0.7)) + _between(marks[eye], marks[corner], (0.4, 0.7))
            for wing, eye, corner, jaws in ((31, 41, 48, (2, 3, 4)), (35, 46, 54, (12, 13, 14)))
            for jaw in jaws
        ]
    )
    anchors = {
        "nose": marks[27:36],
        "mouth": marks[48:68],
        "forehead": np.concatenate([brows + share * up for share in (0.4, 0.7, 1.0)]),
        "cheeks": cheeks,
        "": np.concatenate([marks[:17], brows, marks[36:48], _between(marks[57], marks[8], (0.35, 0.6, 0.8))]),
    }
    owner = np.repeat(np.arange(len(anchors)), [len(points) for points in anchors.values()])
    distances, nearest = KDTree(np.concatenate(list(anchors.values()))).query(model.mean[:, :2])
    near = np.asarray(distances) < np.linalg.norm(marks[36] - marks[45]) / 3
    owners = np.where(near, owner[nearest], len(anchors) - 1)
    return {name: np.flatnonzero(owners == index) for index, name in enumerate(anchors) if name}


def _between(start: np.ndarray, end: np.ndarray, shares: tuple[float, ...]) -> list[np.ndarray]:
    return [start + share * (end - start) for share in shares]
