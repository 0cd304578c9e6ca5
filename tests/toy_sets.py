"""Training examples of invented faces: the open face model's landmarks over coloured noise, or 21 loose points."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from twodasl.models.boxes import WHOLE_CROP
from twodasl.models.coefficients import join, split
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import crop_from_crop_up, crop_up_from_model, rotation_from_angles
from twodasl.models.training.sets import Example, SetInfo, write_set

WILD = SetInfo("", 0, 0, "3ddfa", "none", points="21", settings={"invented": True})


def labelled_info(model: MorphableModel) -> SetInfo:
    return SetInfo(model.basis_id, 40, 10, "3ddfa", "synthetic", model_name=model.name)


def label_landmarks(coefficients: np.ndarray, model: MorphableModel, n_identity: int = 40) -> np.ndarray:
    """(..., 68, 3): crop pixels from 0, y down."""
    pose, identity, expression = split(np.asarray(coefficients, np.float64), n_identity)
    return crop_from_crop_up(crop_up_from_model(model.landmarks(identity, expression), pose), "3ddfa-v2")


def random_coefficients(rng: np.random.Generator, model: MorphableModel, yaw_degrees: float) -> np.ndarray:
    assert model.identity_sigma is not None and model.expression_sigma is not None
    camera = np.zeros((3, 4))
    camera[:, :3] = 5.6e-4 * rotation_from_angles(np.array([yaw_degrees, rng.uniform(-15, 15), rng.uniform(-20, 20)]))
    camera[:, 3] = rng.uniform(52, 68), rng.uniform(58, 72), -70
    return join(camera, rng.normal(size=40) * model.identity_sigma, rng.normal(size=10) * model.expression_sigma)


def picture(rng: np.random.Generator) -> bytes:
    """A crop of smooth coloured noise, red in the mean."""
    pixels = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((120, 120))
    file = io.BytesIO()
    Image.fromarray(np.minimum(np.asarray(pixels) + np.array([60, 0, 0]), 255).astype(np.uint8)).save(
        file, "jpeg", quality=95
    )
    return file.getvalue()


def labelled_example(index: int, model: MorphableModel) -> Example:
    rng = np.random.default_rng([1, index])
    coefficients = random_coefficients(rng, model, yaw_degrees=float(rng.uniform(-80, 80))).astype(np.float32)
    landmarks = label_landmarks(coefficients, model).astype(np.float32)
    return Example(f"face{index}", picture(rng), coefficients, landmarks, rng.random(68) < 0.8, WHOLE_CROP)


def wild_example(index: int) -> Example:
    rng = np.random.default_rng([2, index])
    landmarks = np.full((21, 3), np.nan, np.float32)
    landmarks[:, :2] = rng.uniform(20, 100, (21, 2))
    visible = rng.random(21) < 0.85
    landmarks[~visible] = np.nan
    return Example(f"wild{index}", picture(rng), np.empty(0, np.float32), landmarks, visible, WHOLE_CROP)


def write_labelled(path: Path, model: MorphableModel, count: int = 10) -> Path:
    write_set(path, labelled_info(model), (labelled_example(index, model) for index in range(count)))
    return path


def write_wild(path: Path, count: int = 7) -> Path:
    write_set(path, WILD, (wild_example(index) for index in range(count)))
    return path
