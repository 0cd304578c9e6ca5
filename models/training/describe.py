"""What a training set holds, in numbers."""

from dataclasses import asdict
from typing import Any

import numpy as np

from ..pose import head_angles
from .points import map_points
from .sets import TrainingSet

YAW_BINS = (0, 30, 60, 90.0001)


def describe_set(opened: TrainingSet) -> dict[str, Any]:
    """Facts by name, plain numbers and texts.

    visible_points: the share of points that are seen; of each point in visible_by_point. map_points_seen: of the
    landmark map's 18, how many a face shows on average. Of a labelled set also the pose and the whitening.
    """
    _, in_map = map_points(opened.landmarks, opened.visible, opened.info.points)
    facts = {
        "faces": len(opened),
        "coefficients": opened.info.n_coefficients,
        **asdict(opened.info),
        "visible_points": float(opened.visible.mean()),
        "visible_by_point": np.round(opened.visible.mean(axis=0), 3).tolist(),
        "map_points_seen": round(float(in_map.sum(axis=1).mean()), 2),
        "faces_with_box": int(np.isfinite(opened.box).all(axis=1).sum()),
    }
    if opened.whitening is not None:
        yaw = np.abs(head_angles(opened.coefficients[:, :12].astype(np.float64).reshape(-1, 3, 4))[:, 0])
        facts["yaw_0_30_60_90"] = np.histogram(yaw, YAW_BINS)[0].tolist()
        facts["whitening_mean"] = opened.whitening.mean.tolist()
        facts["whitening_std"] = opened.whitening.std.tolist()
    return facts
