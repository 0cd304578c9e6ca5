"""A small folder of invented faces in AFLW2000-3D's layout: photos with exact annotations, for demos and tests."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..models.files import make_folder, whole_file
from ..models.morphable import MorphableModel
from ..models.pose import CROP_SIZE, crop_up_from_model, rotation_from_angles
from .images import mask_overlay, write_image
from .shading import Material

SIDE = 450  # pixels, as AFLW2000-3D's photos
ROOM = 1.8  # a photo's side over its face's crop, about as in AFLW2000-3D
MAX_YAW = 75.0
THREADS = 2  # most of the time is spent outside of the interpreter's lock
EYES_PX = 88.0  # about how far the eyes are apart on plain faces

SKIN = ((0.95, 0.78, 0.66), (0.85, 0.64, 0.50), (0.72, 0.50, 0.36), (0.55, 0.36, 0.25), (0.38, 0.24, 0.17))


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture (SIDE, SIDE, 3) uint8 with its labels. angles: yaw, pitch, roll, degrees. scale: pixels a micrometre.
    shift: (2,) photo pixels from 1, y up. landmarks: (68, 3) photo pixels from 1, y down."""

    picture: np.ndarray
    angles: np.ndarray
    scale: float
    shift: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    landmarks: np.ndarray


def write_samples(folder: Path, model: MorphableModel, count: int, seed: int = 0) -> list[str]:
    """Write `count` faces of random shape, expression and pose as `sampleNN.jpg` and `.mat`; returns their names.

    Faces of the open model have skin, eyes and hair (docs/synthetic.md); those of other models are plain shaded
    surfaces, as nothing is known of where hair or eyes are. The annotations are the field's: `pt3d_68` in photo pixels
    from 1, y down; `Pose_Para`, `Shape_Para` (199) and `Exp_Para` (29) in the model's own components. Same seed, same
    files. Raises ShapeError, FileError.
    """
    from scipy.io import savemat

    make_folder(folder)
    dressed = _is_open(model)

    def draw(index: int) -> Sample:
        rng = np.random.default_rng([seed, index])
        return _dressed(rng, model) if dressed else _plain(rng, model)

    names = []
    with ThreadPoolExecutor(THREADS) as pool:
        for index, sample in enumerate(pool.map(draw, range(count))):
            names.append(f"sample{index:02}")
            write_image(folder / f"{names[-1]}.jpg", sample.picture)
            yaw, pitch, roll = np.deg2rad(sample.angles)
            fields = {
                "pt3d_68": sample.landmarks.T.astype(np.float32),
                "Pose_Para": np.array([[pitch, yaw, roll, *sample.shift, 0.0, sample.scale]]),
                "Shape_Para": np.pad(sample.identity, (0, max(0, 199 - len(sample.identity))))[:, None],
                "Exp_Para": np.pad(sample.expression, (0, max(0, 29 - len(sample.expression))))[:, None],
            }
            with whole_file(folder / f"{names[-1]}.mat") as temporary:
                savemat(temporary, fields)
    return names


def _is_open(model: MorphableModel) -> bool:
    from .synthetic.head import load_head

    return model.basis_id == load_head().truth.basis_id


def _dressed(rng: np.random.Generator, model: MorphableModel) -> Sample:
    from .synthetic.head import MM, load_head
    from .synthetic.scene import draw_face
    from .synthetic.settings import SynthSettings

    settings = SynthSettings(identity=model.n_identity, expression=model.n_expression, max_yaw=MAX_YAW)
    face = draw_face(rng, load_head(settings.level, *settings.components), settings, side=SIDE, room=ROOM)
    zoom = SIDE / CROP_SIZE
    y_up = crop_up_from_model(model.landmarks(face.identity, face.expression), face.camera.pose)
    shift = (face.camera.shift - 0.5) * zoom + 0.5  # pixels counted from 1, as the crop's are
    landmarks = np.column_stack([(y_up[:, :2] - 0.5) * zoom + 0.5, y_up[:, 2] * zoom]) * [1, -1, 1] + [0, SIDE + 1, 0]
    scale = face.camera.scale * MM * zoom
    return Sample(face.picture, face.camera.angles, scale, shift, face.identity, face.expression, landmarks)


def _plain(rng: np.random.Generator, model: MorphableModel) -> Sample:
    angles = np.array([rng.uniform(-MAX_YAW, MAX_YAW), rng.uniform(-15, 12), rng.uniform(-12, 12)])
    identity = rng.normal(size=model.n_identity) * _spread(model.identity_sigma, model.n_identity)
    expression = 0.7 * rng.normal(size=model.n_expression) * _spread(model.expression_sigma, model.n_expression)
    scale = EYES_PX * rng.uniform(0.9, 1.15) / 62_000
    shift = SIDE / 2 + rng.uniform(-15, 15, 2)
    camera = np.column_stack([scale * rotation_from_angles(angles), [*shift, 0.0]])
    y_up = crop_up_from_model(model.vertices(identity, expression).astype(np.float64), camera)
    vertices = y_up * [1, -1, 1] + [-1, SIDE, 0]  # photo pixels from 0, y down: y_photo = SIDE + 1 - y from 1
    picture = _plain_picture(vertices, model.triangles, rng)
    return Sample(picture, angles, scale, shift, identity, expression, vertices[model.landmark_ids] + [1, 1, 0])


def _spread(sigma: np.ndarray | None, count: int) -> np.ndarray:
    return np.ones(count) if sigma is None else np.asarray(sigma, np.float64)


def _plain_picture(vertices: np.ndarray, triangles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The face under one light over a soft two-coloured background, with some noise: (SIDE, SIDE, 3) uint8."""
    first, second = rng.uniform(40, 210, (2, 3))
    share = np.add.outer(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE) * rng.uniform(-1, 1))
    share = (share - share.min()) / np.ptp(share)
    background = first + share[..., None] * (second - first)
    skin = Material(color=SKIN[int(rng.integers(len(SKIN)))], ambient=0.3, diffuse=0.7, specular=0.08, shininess=12)
    picture = mask_overlay(np.rint(background).astype(np.uint8), vertices, triangles, material=skin)
    noisy = picture + rng.normal(0, 3, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
