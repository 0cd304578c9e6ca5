"""AFLW's 21 points with visibility (`twodasl eval aflw`; original pipeline, section 11.4)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..models.boxes import image_from_crop
from ..models.coefficients import split
from ..models.errors import FileError, NamesError
from ..models.files import read_npz
from ..models.morphable import MorphableModel
from ..models.pose import Convention, crop_from_crop_up, crop_up_from_model
from ..models.tables import check_unique, image_name, shorten
from .nme import box_size
from .prediction import Coefficients, Prediction
from .protocols import Protocol
from .result import NmeResult
from .summary import summarise
from .truth import Truth

# The 21 points as means of the 68 (counted from 0): brows, eyes with their centres, ears, nose, mouth, chin (Q28).
POINTS_21 = (
    (17,), (19,), (21,), (22,), (24,), (26,),
    (36,), (36, 37, 38, 39, 40, 41), (39,), (42,), (42, 43, 44, 45, 46, 47), (45,),
    (2,), (31,), (30,), (35,), (14,),
    (48,), (60, 61, 62, 63, 64, 65, 66, 67), (54,), (8,),
)  # fmt: skip
FIELDS = ("names", "pts21", "visible", "roi_box", "yaw", "pts68", "mb05_params")
TEACHER_CONVENTION: Convention = "3ddfa-v2"  # of mb05_params, 3DDFA_V2's network


@dataclass(frozen=True, eq=False)
class AflwTruth:
    """points: (n, 21, 2), photo pixels from 1; visible: (n, 21) bool. base: names, yaw, crop boxes, and as its
    landmarks the 68 points whose box normalises; normaliser says whose."""

    points: np.ndarray
    visible: np.ndarray
    base: Truth
    normaliser: str


def points_21(landmarks: np.ndarray) -> np.ndarray:
    """AFLW's 21 points (n, 21, c) of 68 landmarks (n, 68, c)."""
    return np.stack([landmarks[:, list(group)].mean(axis=1) for group in POINTS_21], axis=1)


def read_aflw(path: Path) -> dict[str, np.ndarray]:
    """The labels: `names` and what else of FIELDS a `.npz` holds. Raises FileError where one it needs is missing."""
    fields = read_npz(path, FIELDS)
    for name, shape in {"names": (), "pts21": (2, 21), "roi_box": (4,), "yaw": ()}.items():
        if name not in fields:
            raise FileError(f"{path} holds no '{name}'; it has {', '.join(fields) or 'none of ' + ', '.join(FIELDS)}")
        if fields[name].shape != (len(fields["names"]), *shape):
            raise FileError(f"{path}: {name} is {fields[name].shape}; (n, {', '.join(map(str, shape))}) is expected")
    return fields


def open_aflw(path: Path, names: tuple[str, ...], model: MorphableModel | None) -> AflwTruth:
    """The labels of these images, in their order; points at (-1, -1) are not visible.

    The box that errors are divided by is of the file's `pts68`, else of its `mb05_params` through the face model.
    Raises NamesError for an image it does not hold, FileError where it has neither of these.
    """
    fields = read_aflw(path)
    listed = tuple(image_name(str(name)) for name in fields["names"])
    check_unique(listed, str(path))
    index = {name: row for row, name in enumerate(listed)}
    missing = [name for name in names if name not in index]
    if missing:
        raise NamesError(f"{path} has no labels of {shorten(missing)}")
    rows = np.array([index[name] for name in names])
    points = fields["pts21"][rows].astype(np.float64).swapaxes(1, 2)
    visible = (points != -1).all(axis=2)
    if "visible" in fields:
        visible &= fields["visible"][rows].astype(bool)
    boxes = fields["roi_box"][rows].astype(np.float64)  # uint16 in the file: differences would wrap (Q25)
    if "pts68" in fields:
        landmarks = fields["pts68"][rows].astype(np.float64).swapaxes(1, 2)
        normaliser = "the file's pts68"
    elif "mb05_params" in fields and model is not None:
        pose, identity, expression = split(fields["mb05_params"][rows].astype(np.float64), 40)
        crop_up = crop_up_from_model(model.landmarks(identity, expression), pose)
        landmarks = image_from_crop(crop_from_crop_up(crop_up, TEACHER_CONVENTION), boxes)
        normaliser = "mb05's own 68 points (the 68-point ground truth is not public)"
    else:
        raise FileError(f"{path}: errors are divided by a box of 68 points: pts68, or mb05_params and a --model")
    yaw = fields["yaw"][rows].astype(np.float64)
    base = Truth(names, "original", landmarks, yaw, None, boxes, boxes)
    return AflwTruth(points, visible, base, normaliser)


def score_aflw(prediction: Prediction, truth: AflwTruth, protocol: Protocol) -> NmeResult:
    """Score a prediction of the same images as the truth: mean distance of the visible points over the 68-point box.

    An image without a visible point is no image to score; it is NaN like a failure and the notes name it.
    """
    predicted = points_21(prediction.in_photo(protocol, truth.base))[..., :2]
    distances = np.where(truth.visible, np.linalg.norm(predicted - truth.points, axis=2), 0.0)
    counts = truth.visible.sum(axis=1)
    values = np.full(len(counts), np.nan)
    seen = counts > 0
    values[seen] = distances[seen].sum(axis=1) / counts[seen] / box_size(truth.base.landmarks[seen])
    notes = prediction.notes
    if not seen.all():
        blind = [name for name, some in zip(truth.base.names, seen, strict=True) if not some]
        notes = (*notes, f"no visible point in {shorten(blind)}")
    choices: dict[str, Any] = protocol.placement() | {
        "points": 21,
        "dims": 2,
        "labels": "AFLW, visible points",
        "normaliser": f"sqrt(width * height) of the x-y box of {truth.normaliser}",
        "yaw_bins": "|yaw| <= 30, <= 60, beyond, of the labels",
    }
    return NmeResult(
        metric="nme_aflw",
        method=prediction.name,
        choices=choices,
        dims=2,
        names=truth.base.names,
        yaw_degrees=truth.base.yaw_degrees,
        values=values,
        summary=summarise(values, truth.base.yaw_degrees),
        notes=notes,
        oracle_input=prediction.oracle_input,
        extra={"visible_points": counts.astype(np.float64)},
    )


def face_model(prediction: Prediction) -> MorphableModel | None:
    """The model of a prediction's coefficients, if it has any."""
    return prediction.meshes.model if isinstance(prediction.meshes, Coefficients) else None
