"""Weights put to the test on crops that they were not trained on: infer, then the sparse NME."""

import json
import tempfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.errors import FileError
from ..models.files import read_bytes, whole_file
from .protocols import DEFAULT, PROTOCOLS
from .sparse import evaluate_sparse

if TYPE_CHECKING:
    from ..models.inference import Input
    from ..models.morphable import MorphableModel


@dataclass(frozen=True)
class HeldBack:
    """Crops with their boxes, input landmarks (pixels from 0) and truth, as `infer --cropped` and `eval nme` take them."""

    crops: Path
    boxes: Path
    truth: Path
    landmarks: Path | None = None
    rows: Path | None = None
    only: Path | None = None

    @cached_property
    def inputs(self) -> "list[Input]":
        """Raises TwodaslError subclasses for files that do not fit."""
        from ..models.inference import collect_inputs, list_photos

        return collect_inputs(list_photos(self.crops), self.boxes, self.landmarks, self.rows, self.only)

    def as_dict(self) -> dict[str, str]:
        return {name: "" if path is None else str(path.resolve()) for name, path in asdict(self).items()}


def photo_scores(weights_path: Path, model: "MorphableModel", test: HeldBack, device: str = "cpu") -> dict[str, Any]:
    """2D NME of the 68 landmarks, protocol `standard`, original labels: `protocol`, `labels` and the `summary` of it.

    A crop without a prediction counts as failed there.
    """
    from ..models.checkpoints import Weights
    from ..models.inference import InferenceSettings, infer
    from ..models.predictor import Predictor

    settings = InferenceSettings(cropped=True, box_source="boxes", device=device)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run.h5"
        infer(test.inputs, Predictor(Weights.load(weights_path), device), model, run, settings)
        result = evaluate_sparse(run, test.truth, PROTOCOLS[DEFAULT], only=test.only)[0]
    return {"protocol": DEFAULT, "labels": result.choices["labels"], "summary": result.summary.as_dict()}


def kept_scores(
    path: Path, weights_path: Path, step: int, model: "MorphableModel", test: HeldBack, device: str
) -> dict[str, Any]:
    """`photo_scores`, kept in the file `path` for these inputs and the weights of this step, so that they are computed
    once. Raises FileError for a damaged file."""
    key = test.as_dict() | {"step": step}
    if path.exists():
        try:
            found = json.loads(read_bytes(path))
            if found["of"] == key:
                scores: dict[str, Any] = found["scores"]
                return scores
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path} is damaged: {error}; delete it to test again") from error
    scores = photo_scores(weights_path, model, test, device)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"of": key, "scores": scores}, indent=2) + "\n")
    return scores
