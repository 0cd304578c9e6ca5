"""Where the jaw landmarks of a 2D detector lie on a turned head: on the silhouette, not at fixed vertices."""

from weakref import WeakKeyDictionary

import numpy as np

from ..morphable import MorphableModel
from .settings import GROUPS

STEPS = 12  # candidates of each jaw landmark, itself the first


_KNOWN: WeakKeyDictionary[MorphableModel, np.ndarray] = WeakKeyDictionary()


def known_jaw_paths(model: MorphableModel) -> np.ndarray:
    """`jaw_paths`, found once for each model: a dense one takes longer than a fit."""
    if model not in _KNOWN:
        _KNOWN[model] = jaw_paths(model)
    return _KNOWN[model]


def jaw_paths(model: MorphableModel, steps: int = STEPS) -> np.ndarray:
    """For each of the 17 jaw landmarks the vertices it may slide over: (17, steps) int, the landmark itself first.

    A path goes along the mean face's horizontal section from the landmark towards the middle of the face, in equal
    angles about the vertical axis between the ends of the jaw, and stops short of the middle; so the near cheek of a
    turned head keeps its landmark (nothing further out lies ahead of it), and the far one gives way to the silhouette.
    """
    mean = model.mean.astype(np.float64)
    jaw = mean[model.landmark_ids[list(GROUPS["jaw"])]]
    middle_z = (jaw[0, 2] + jaw[-1, 2]) / 2
    angle, radius = np.arctan2(mean[:, 0], mean[:, 2] - middle_z), np.hypot(mean[:, 0], mean[:, 2] - middle_z)
    skin = np.flatnonzero(_faces_outward(model) & (mean[:, 2] >= middle_z))
    paths = np.tile(model.landmark_ids[list(GROUPS["jaw"])][:, None], (1, steps)).astype(np.intp)
    if len(skin) == 0:
        return paths
    for number, (x, y, z) in enumerate(jaw):
        start = np.arctan2(x, z - middle_z)
        for step in range(1, steps):
            aim = start * (1 - 0.85 * step / (steps - 1))
            off = (radius[skin] * (angle[skin] - aim)) ** 2 + (mean[skin, 1] - y) ** 2
            paths[number, step] = skin[off.argmin()]
    return paths


def _faces_outward(model: MorphableModel) -> np.ndarray:
    """(N,) bool: vertices whose surface looks away from the vertical axis: skin, and not the inside of a mouth."""
    mean = model.mean.astype(np.float64)
    corners = mean[model.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.stack(
        [np.bincount(model.triangles.ravel(), np.repeat(normals[:, axis], 3), len(mean)) for axis in range(3)], axis=1
    )
    outward = mean - [0, 0, mean[:, 2].min()]
    return (sums[:, [0, 2]] * outward[:, [0, 2]]).sum(axis=1) > 0


def jaw_sides(model: MorphableModel) -> np.ndarray:
    """(17,) int: -1 for jaw landmarks on the picture's left of the mean face, 1 on its right, 0 within 5 mm of the
    middle (the chin), which do not slide."""
    x = model.mean[model.landmark_ids[list(GROUPS["jaw"])], 0]
    return np.where(np.abs(x) < 5000, 0, np.sign(x)).astype(int)


def silhouette(candidates: np.ndarray, up: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Which candidate of each jaw landmark is seen furthest out on its side: (n, 17) int.

    candidates: (n, 2, 17, steps), picture coordinates. up: (n, 2), the face's vertical there. sides: `jaw_sides`.
    """
    across = np.stack([up[:, 1], -up[:, 0]], axis=1)
    along = np.einsum("nd,ndjs->njs", across, candidates)
    return (along * sides[:, None]).argmax(axis=-1)
