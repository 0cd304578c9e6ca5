"""What can be wrong with a training set."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..coefficients import split
from ..morphable import MorphableModel
from ..pose import CROP_SIZE, crop_from_crop_up, crop_up_from_model
from .sets import SetInfo, TrainingSet

FAR_OFF = 0.10  # NME between a label and its own landmarks that no truncation explains
FEWEST = 3  # points in the crop that say anything of a face's pose


@dataclass(frozen=True)
class SetReport:
    """problems: names of faces by what is wrong with them. Errors: of labels against landmarks, NME fractions; None in
    a wild set."""

    problems: dict[str, list[str]]
    median_error: float | None
    worst_error: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_set(
    opened: TrainingSet, model: MorphableModel | None, on_done: Callable[[int], None] = lambda _: None
) -> SetReport:
    """Decode every crop, look at every point and put every label through the model (of a labelled set; None for a wild
    one). `on_done` is told of crops done. Raises BasisError for another basis' model."""
    problems: dict[str, list[str]] = {}
    for problem, name in [*_crop_problems(opened, on_done), *_point_problems(opened)]:
        problems.setdefault(problem, []).append(name)
    if model is None:
        return SetReport(problems, None, None)
    own = opened.info.own_model(model, str(opened.path))
    errors = label_error(opened.coefficients, opened.landmarks, opened.info, own)
    for name, error in zip(opened.names, errors, strict=True):
        if not np.isfinite(error):
            problems.setdefault("label or landmarks are not finite", []).append(name)
        elif error > FAR_OFF:
            problems.setdefault(f"label misses its landmarks by more than {100 * FAR_OFF:g} % NME", []).append(name)
    valid = errors[np.isfinite(errors)]
    return SetReport(
        problems, float(np.median(valid)) if len(valid) else None, float(valid.max()) if len(valid) else None
    )


def _crop_problems(opened: TrainingSet, on_done: Callable[[int], None]) -> list[tuple[str, str]]:
    from PIL import Image, UnidentifiedImageError

    found: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    for name, jpg in zip(opened.names, opened.crops(), strict=True):
        try:
            with Image.open(io.BytesIO(jpg)) as crop:
                crop.load()
                if crop.size != (CROP_SIZE, CROP_SIZE) or crop.mode != "RGB":
                    found.append(("crop is not 120 x 120 RGB", name))
        except (UnidentifiedImageError, OSError, SyntaxError):
            found.append(("crop does not decode", name))
        digest = hashlib.sha256(jpg).hexdigest()
        if digest in seen:
            found.append((f"same crop under another name, as {seen[digest]}", name))
        seen.setdefault(digest, name)
        on_done(1)
    names, counts = np.unique(opened.names, return_counts=True)
    return [*found, *(("name stands twice", str(name)) for name in names[counts > 1])]


def _point_problems(opened: TrainingSet) -> list[tuple[str, str]]:
    xy = opened.landmarks[..., :2]
    inside = ((xy >= 0) & (xy <= CROP_SIZE - 1)).all(axis=2)
    checks = {
        "a point said to be seen is not finite or not in the crop": (opened.visible & ~inside).any(axis=1),
        f"fewer than {FEWEST} points in the crop": inside.sum(axis=1) < FEWEST,
    }
    return [(problem, opened.names[row]) for problem, rows in checks.items() for row in np.flatnonzero(rows)]


def label_error(coefficients: np.ndarray, landmarks: np.ndarray, info: SetInfo, model: MorphableModel) -> np.ndarray:
    """How far the labels' own landmarks lie from the annotated ones, as NME in 2D over the points that are annotated:
    (n,) fractions, NaN where a label is not finite or no point is.

    coefficients: (n, C), landmarks: (n, 68, 3) crop pixels from 0.
    """
    there = np.isfinite(landmarks[..., :2]).all(axis=2)
    low = np.where(there[..., None], landmarks[..., :2], np.inf).min(axis=1)
    high = np.where(there[..., None], landmarks[..., :2], -np.inf).max(axis=1)
    known = np.isfinite(coefficients).all(axis=1) & (low < high).all(axis=1)
    errors = np.full(len(landmarks), np.nan)
    pose, identity, expression = split(coefficients[known].astype(np.float64), info.n_identity)
    points = crop_from_crop_up(crop_up_from_model(model.landmarks(identity, expression), pose), "3ddfa-v2")
    off = np.linalg.norm(points[..., :2] - landmarks[known, :, :2], axis=2)
    mean = off.sum(axis=1, where=there[known]) / there[known].sum(axis=1)
    errors[known] = mean / np.sqrt((high - low)[known].prod(axis=1))
    return errors
