"""What can be wrong with a training set."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..morphable import MorphableModel, check_basis
from ..pose import CROP_SIZE
from .prepare import label_error
from .sets import TrainingSet

FAR_OFF = 0.10  # NME between a label and its own landmarks that no truncation explains


@dataclass(frozen=True)
class SetReport:
    """problems: names of faces by what is wrong with them. Errors: of labels against landmarks, NME fractions."""

    problems: dict[str, list[str]]
    median_error: float
    worst_error: float

    def as_dict(self) -> dict[str, Any]:
        return {"problems": self.problems, "median_error": self.median_error, "worst_error": self.worst_error}


def check_set(opened: TrainingSet, model: MorphableModel) -> SetReport:
    """Decode every crop and put every label through the model. Raises BasisError for another basis' model."""
    from PIL import Image, UnidentifiedImageError

    check_basis(opened.info.basis_id, model, str(opened.path))
    problems: dict[str, list[str]] = {}
    seen: dict[str, str] = {}

    def found(problem: str, name: str) -> None:
        problems.setdefault(problem, []).append(name)

    for name, jpg in zip(opened.names, opened.crops(), strict=True):
        try:
            with Image.open(io.BytesIO(jpg)) as crop:
                crop.load()
                if crop.size != (CROP_SIZE, CROP_SIZE) or crop.mode != "RGB":
                    found("crop is not 120 x 120 RGB", name)
        except (UnidentifiedImageError, OSError, SyntaxError):
            found("crop does not decode", name)
        digest = hashlib.sha256(jpg).hexdigest()
        if digest in seen:
            found(f"same crop under another name, as {seen[digest]}", name)
        seen.setdefault(digest, name)
    for name in {name for name in opened.names if opened.names.count(name) > 1}:
        found("name stands twice", name)
    finite = np.isfinite(opened.coefficients).all(axis=1) & np.isfinite(opened.landmarks[..., :2]).all(axis=(1, 2))
    errors = np.full(len(opened), np.nan)
    errors[finite] = label_error(opened.coefficients[finite], opened.landmarks[finite], opened.info, model)
    for row, name in enumerate(opened.names):
        if not finite[row]:
            found("label or landmarks are not finite", name)
        elif errors[row] > FAR_OFF:
            found(f"label misses its landmarks by more than {100 * FAR_OFF:g} % NME", name)
    valid = errors[finite]
    return SetReport(problems, float(np.median(valid)) if len(valid) else float("nan"), float(valid.max(initial=0.0)))
