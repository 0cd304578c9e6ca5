"""A small folder of invented faces in AFLW2000-3D's layout: photos with exact annotations, for demos and tests.

Shaded faces over soft backgrounds: enough to run everything on, not meant to look like photos.
"""

from pathlib import Path

import numpy as np

from ..models.files import make_folder, whole_file
from ..models.morphable import MorphableModel
from ..models.pose import crop_up_from_model, rotation_from_angles
from .images import mask_overlay, write_image
from .shading import Material

SIDE = 450  # pixels, as AFLW2000-3D's photos
EYES_PX = 88.0  # about how far the eyes are apart: the face fills half the picture, as in AFLW2000-3D

SKIN = ((0.95, 0.78, 0.66), (0.85, 0.64, 0.50), (0.72, 0.50, 0.36), (0.55, 0.36, 0.25), (0.38, 0.24, 0.17))


def write_samples(folder: Path, model: MorphableModel, count: int, seed: int = 0) -> list[str]:
    """Write `count` faces of random shape, expression and pose as `sampleNN.jpg` and `.mat`; returns their names.

    The annotations are the field's: `pt3d_68` in photo pixels from 1, y down; `Pose_Para`, `Shape_Para` (199) and
    `Exp_Para` (29) in the model's own components. Same seed, same files. Raises ShapeError, FileError.
    """
    from scipy.io import savemat

    make_folder(folder)
    rng = np.random.default_rng(seed)
    names = []
    for index in range(count):
        name = f"sample{index:02}"
        angles = np.array([rng.uniform(-75, 75), rng.uniform(-15, 12), rng.uniform(-12, 12)])  # yaw, pitch, roll
        identity = rng.normal(size=model.n_identity) * _spread(model.identity_sigma, model.n_identity)
        expression = 0.7 * rng.normal(size=model.n_expression) * _spread(model.expression_sigma, model.n_expression)
        scale = EYES_PX * rng.uniform(0.9, 1.15) / 62_000  # pixels per micrometre
        centre = SIDE / 2 + rng.uniform(-15, 15, 2)
        camera = np.column_stack([scale * rotation_from_angles(angles), [*centre, 0.0]])
        y_up = crop_up_from_model(model.vertices(identity, expression).astype(np.float64), camera)
        vertices = y_up * [1, -1, 1] + [-1, SIDE, 0]  # photo pixels from 0, y down: y_photo = SIDE + 1 - y from 1
        write_image(folder / f"{name}.jpg", _picture(vertices, model.triangles, rng))
        landmarks = vertices[model.landmark_ids] + [1, 1, 0]
        yaw, pitch, roll = np.deg2rad(angles)
        fields = {
            "pt3d_68": landmarks.T.astype(np.float32),
            "Pose_Para": np.array([[pitch, yaw, roll, *centre, 0.0, scale]]),
            "Shape_Para": np.pad(identity, (0, max(0, 199 - len(identity))))[:, None],
            "Exp_Para": np.pad(expression, (0, max(0, 29 - len(expression))))[:, None],
        }
        with whole_file(folder / f"{name}.mat") as temporary:
            savemat(temporary, fields)
        names.append(name)
    return names


def _spread(sigma: np.ndarray | None, count: int) -> np.ndarray:
    return np.ones(count) if sigma is None else np.asarray(sigma, np.float64)


def _picture(vertices: np.ndarray, triangles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The face under one light over a soft two-coloured background, with some noise: (SIDE, SIDE, 3) uint8."""
    first, second = rng.uniform(40, 210, (2, 3))
    share = np.add.outer(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE) * rng.uniform(-1, 1))
    share = (share - share.min()) / np.ptp(share)
    background = first + share[..., None] * (second - first)
    skin = Material(color=SKIN[int(rng.integers(len(SKIN)))], ambient=0.1, diffuse=0.9, specular=0.05, shininess=12)
    picture = mask_overlay(np.rint(background).astype(np.uint8), vertices, triangles, material=skin)
    noisy = picture + rng.normal(0, 3, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
