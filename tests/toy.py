"""An invented face model: half an ellipsoid with 68 landmarks on it, 40 + 10 smooth random components."""

import numpy as np

from twodasl.models.morphable import MorphableModel


def toy_face_model(columns: int = 30, rows: int = 34, seed: int = 0) -> MorphableModel:
    """A face-sized (micrometres) open surface bulging to +z, triangles counter-clockwise seen from the front."""
    rng = np.random.default_rng(seed)
    across, up = np.meshgrid(np.linspace(-1.2, 1.2, columns), np.linspace(-1.2, 1.2, rows))
    mean = np.stack([np.sin(across) * 80e3, np.sin(up) * 105e3, np.cos(across) * np.cos(up) * 90e3], axis=-1)
    mean = mean.reshape(-1, 3)
    n = len(mean)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    right, above = corner + 1, corner + columns
    triangles = np.concatenate(
        [np.stack([corner, right, above], axis=1), np.stack([right, above + 1, above], axis=1)]
    ).astype(np.int32)
    waves = rng.normal(size=(50, 3, 4))
    smooth = np.stack(
        [np.sin(mean @ (waves[i, :, :3].T * 1.5e-5) + waves[i, :, 3]) for i in range(50)], axis=-1
    )  # (N, 3, 50)
    return MorphableModel(
        mean=mean.astype(np.float32),
        identity_basis=(smooth[:, :, :40] * 0.02).astype(np.float32),
        expression_basis=(smooth[:, :, 40:] * 2e3).astype(np.float32),
        triangles=triangles,
        landmark_ids=np.sort(rng.choice(n, 68, replace=False)).astype(np.int32),
        colors=rng.uniform(size=(n, 3)).astype(np.float32),
        name="toy face",
        source="tests/toy.py",
        terms="invented, free to use",
    )
