"""Sparse evaluation: the 68-point NME of one method against a truth, by yaw bin (`twodasl eval nme --sparse`)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..models.errors import NamesError
from ..models.inputs import InputOptions
from ..models.tables import read_names, shorten
from .nme import YAW_BINS, nme, yaw_bin, z_from_minimum
from .predictions import Prediction, open_prediction
from .protocols import Protocol, ZAlign
from .truth import Labels, Truth, open_truth

FAILURE_THRESHOLD = 0.10


@dataclass(frozen=True)
class BinMeans:
    """Means per yaw bin (None for an empty bin), and the mean and ddof-0 spread of the three (None if one is empty)."""

    bins: dict[str, float | None]
    counts: dict[str, int]
    mean_over_bins: float | None
    std_over_bins: float | None


@dataclass(frozen=True)
class Summary:
    """What is printed of one method. Fractions. Means and median are over the n valid images; AUC and failure rate
    over all n + n_failed, a failed image counting as the worst. None where a number is undefined."""

    by_yaw: BinMeans
    by_newer_yaw: BinMeans | None
    mean_over_images: float | None
    median: float | None
    auc: float
    failure_rate: float
    n: int
    n_failed: int

    def as_dict(self) -> dict[str, Any]:
        newer = self.by_newer_yaw
        return {
            **_bins_as_dict(self.by_yaw),
            "mean_over_images": self.mean_over_images,
            "median": self.median,
            "auc": self.auc,
            "failure_rate": self.failure_rate,
            "n": self.n,
            "n_failed": self.n_failed,
            "newer_yaw": None if newer is None else _bins_as_dict(newer),
        }


@dataclass(frozen=True, eq=False)
class SparseResult:
    """One method under one protocol: an NME per scored image (NaN where it failed) and what follows from them."""

    method: str
    protocol: Protocol
    dims: int
    labels: Labels
    names: tuple[str, ...]
    yaw_degrees: np.ndarray
    values: np.ndarray
    summary: Summary
    mean_face: Summary | None
    notes: tuple[str, ...]
    z_align: ZAlign = "min"
    oracle_input: bool = False

    @property
    def label(self) -> str:
        """The method as tables name it; what was made from annotations is marked wherever it stands."""
        return f"{self.method} (oracle input)" if self.oracle_input else self.method

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(name for name, value in zip(self.names, self.values, strict=True) if np.isnan(value))

    def as_dict(self) -> dict[str, Any]:
        """The result for programs: fractions, None for failed images."""
        return {
            "metric": "nme_sparse",
            "method": self.method,
            "oracle_input": self.oracle_input,
            "unit": "fraction",
            "dims": self.dims,
            "protocol": self.protocol.choices(self.dims, self.labels, self.z_align),
            "summary": self.summary.as_dict(),
            "mean_face": None if self.mean_face is None else self.mean_face.as_dict(),
            "failed": list(self.failed),
            "notes": list(self.notes),
            "per_image": {
                name: None if np.isnan(value) else float(value)
                for name, value in zip(self.names, self.values, strict=True)
            },
        }


def evaluate_sparse(
    path: Path,
    truth_path: Path,
    protocol: Protocol,
    dims: tuple[int, ...] = (2,),
    labels: Labels = "original",
    only: Path | None = None,
    options: InputOptions | None = None,
    z_align: ZAlign = "min",
) -> list[SparseResult]:
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


def score(prediction: Prediction, truth: Truth, protocol: Protocol, dims: int, z_align: ZAlign = "min") -> SparseResult:
    """Score a prediction of the same images as the truth, in the same order."""
    if prediction.points.shape[-1] < dims:
        raise NamesError(f"{prediction.name} has landmarks in 2D only; --dims 3 needs their z")
    values = _errors(prediction.in_photo(protocol, truth), truth, dims, z_align)
    mean_points = prediction.mean_face_in_photo(protocol, truth)
    mean_values = None
    if mean_points is not None and mean_points.shape[-1] >= dims:
        mean_values = np.where(np.isnan(values), np.nan, _errors(mean_points, truth, dims, z_align))
    return SparseResult(
        method=prediction.name,
        protocol=protocol,
        dims=dims,
        labels=truth.labels,
        names=truth.names,
        yaw_degrees=truth.yaw_degrees,
        values=values,
        summary=summarise(values, truth),
        mean_face=None if mean_values is None else summarise(mean_values, truth),
        notes=prediction.notes,
        z_align=z_align,
        oracle_input=prediction.oracle_input,
    )


def _errors(points: np.ndarray, truth: Truth, dims: int, z_align: ZAlign) -> np.ndarray:
    predicted, target = points[..., :dims], truth.landmarks[..., :dims]
    if dims == 3 and z_align == "min":
        predicted, target = z_from_minimum(predicted), z_from_minimum(target)
    return nme(predicted, target)


def summarise(values: np.ndarray, truth: Truth) -> Summary:
    """The summary of NMEs (n,), NaN where an image failed."""
    valid = values[~np.isnan(values)]
    # A failed image is as bad as can be: it adds nothing to the area and counts as beyond the threshold.
    worst = np.where(np.isnan(values), np.inf, values)
    newer = truth.newer_yaw_degrees
    return Summary(
        by_yaw=_bin_means(values, truth.yaw_degrees),
        by_newer_yaw=None if newer is None else _bin_means(values, newer),
        mean_over_images=float(valid.mean()) if len(valid) else None,
        median=float(np.median(valid)) if len(valid) else None,
        auc=float(np.clip(1 - worst / FAILURE_THRESHOLD, 0, 1).mean()),
        failure_rate=float((worst > FAILURE_THRESHOLD).mean()),
        n=len(valid),
        n_failed=len(values) - len(valid),
    )


def _bin_means(values: np.ndarray, yaw_degrees: np.ndarray) -> BinMeans:
    members = yaw_bin(yaw_degrees)
    groups = [values[(members == index) & ~np.isnan(values)] for index in range(len(YAW_BINS))]
    means = [float(group.mean()) if len(group) else None for group in groups]
    known = [mean for mean in means if mean is not None]
    complete = len(known) == len(YAW_BINS)
    return BinMeans(
        bins=dict(zip(YAW_BINS, means, strict=True)),
        counts={label: len(group) for label, group in zip(YAW_BINS, groups, strict=True)},
        mean_over_bins=float(np.mean(known)) if complete else None,
        std_over_bins=float(np.std(known)) if complete else None,
    )


def _bins_as_dict(bins: BinMeans) -> dict[str, Any]:
    return {
        "bins": bins.bins,
        "bin_counts": bins.counts,
        "mean_over_bins": bins.mean_over_bins,
        "std_over_bins": bins.std_over_bins,
    }
