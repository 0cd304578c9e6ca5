"""Sparse evaluation: the 68-point NME of one method against a truth, by yaw bin (`twodasl eval nme --sparse`)."""

from pathlib import Path

import numpy as np

from ..models.errors import NamesError
from ..models.inputs import InputOptions
from ..models.tables import read_names, shorten
from .nme import nme, z_from_minimum
from .prediction import Prediction
from .predictions import open_prediction
from .protocols import Protocol, ZAlign
from .result import NmeResult
from .summary import summarise
from .truth import Labels, Truth, open_truth


def evaluate_sparse(
    path: Path,
    truth_path: Path,
    protocol: Protocol,
    dims: tuple[int, ...] = (2,),
    labels: Labels = "original",
    only: Path | None = None,
    options: InputOptions | None = None,
    z_align: ZAlign = "min",
) -> list[NmeResult]:
    """Score one input against a truth: a result for each of `dims`.

    z_align: what is done to z before a 3D distance; `none` is a deviation from every protocol.
    The scored set is `only`, else the names in the input; an image of it without a valid prediction is a failure.
    Raises TwodaslError subclasses for inputs that do not fit, NamesError for an image without a truth.
    """
    chosen = read_names(only) if only is not None else None
    prediction = open_prediction(path, options or InputOptions(), chosen)
    names = chosen if chosen is not None else prediction.names
    if not set(names) & set(prediction.names):
        raise NamesError(f"{path} has none of the {len(names)} images to score: {shorten(names)}")
    truth = open_truth(truth_path, labels, names)
    prediction = prediction.select(names)
    return [score(prediction, truth, protocol, count, z_align) for count in dims]


def score(prediction: Prediction, truth: Truth, protocol: Protocol, dims: int, z_align: ZAlign = "min") -> NmeResult:
    """Score a prediction of the same images as the truth, in the same order."""
    if prediction.points.shape[-1] < dims:
        raise NamesError(f"{prediction.name} has landmarks in 2D only; --dims 3 needs their z")
    values = _errors(prediction.in_photo(protocol, truth), truth, dims, z_align)
    mean_points = prediction.mean_face_in_photo(protocol, truth)
    mean_values = None
    if mean_points is not None and mean_points.shape[-1] >= dims:
        mean_values = np.where(np.isnan(values), np.nan, _errors(mean_points, truth, dims, z_align))
    return NmeResult(
        metric="nme_sparse",
        method=prediction.name,
        choices=protocol.choices(dims, truth.labels, z_align),
        dims=dims,
        names=truth.names,
        yaw_degrees=truth.yaw_degrees,
        values=values,
        summary=summarise(values, truth.yaw_degrees, truth.newer_yaw_degrees),
        mean_face=None if mean_values is None else summarise(mean_values, truth.yaw_degrees, truth.newer_yaw_degrees),
        notes=prediction.notes + prediction.mean_face_notes,
        deviations=() if z_align == "min" else ("--z-align none: every protocol subtracts the smallest z",),
        oracle_input=prediction.oracle_input,
    )


def _errors(points: np.ndarray, truth: Truth, dims: int, z_align: ZAlign) -> np.ndarray:
    predicted, target = points[..., :dims], truth.landmarks[..., :dims]
    if dims == 3 and z_align == "min":
        predicted, target = z_from_minimum(predicted), z_from_minimum(target)
    return nme(predicted, target)
