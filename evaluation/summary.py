"""What a column of errors comes to: means by yaw bin and over images, median, area under the curve, failure rate."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .nme import YAW_BINS, yaw_bin

FAILURE_THRESHOLD = 0.10


@dataclass(frozen=True)
class BinMeans:
    """Means per yaw bin (None for an empty bin), and the mean and ddof-0 spread of the three (None if one is empty)."""

    bins: dict[str, float | None]
    counts: dict[str, int]
    mean_over_bins: float | None
    std_over_bins: float | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "bins": self.bins,
            "bin_counts": self.counts,
            "mean_over_bins": self.mean_over_bins,
            "std_over_bins": self.std_over_bins,
        }


NO_BINS = BinMeans(dict.fromkeys(YAW_BINS), dict.fromkeys(YAW_BINS, 0), None, None)


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
            **self.by_yaw.as_dict(),
            "mean_over_images": self.mean_over_images,
            "median": self.median,
            "auc": self.auc,
            "failure_rate": self.failure_rate,
            "n": self.n,
            "n_failed": self.n_failed,
            "newer_yaw": None if newer is None else newer.as_dict(),
        }


def summarise(
    values: np.ndarray, yaw_degrees: np.ndarray | None, newer_yaw_degrees: np.ndarray | None = None
) -> Summary:
    """The summary of errors (n,), fractions, NaN where an image failed; yaws (n,) or None where they are not known."""
    valid = values[~np.isnan(values)]
    # A failed image is as bad as can be: it adds nothing to the area and counts as beyond the threshold.
    worst = np.where(np.isnan(values), np.inf, values)
    return Summary(
        by_yaw=NO_BINS if yaw_degrees is None else bin_means(values, yaw_degrees),
        by_newer_yaw=None if newer_yaw_degrees is None else bin_means(values, newer_yaw_degrees),
        mean_over_images=float(valid.mean()) if len(valid) else None,
        median=float(np.median(valid)) if len(valid) else None,
        auc=float(np.clip(1 - worst / FAILURE_THRESHOLD, 0, 1).mean()),
        failure_rate=float((worst > FAILURE_THRESHOLD).mean()),
        n=len(valid),
        n_failed=len(values) - len(valid),
    )


def bin_means(values: np.ndarray, yaw_degrees: np.ndarray) -> BinMeans:
    """Means of values (n,) by yaw bin, NaN left out."""
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
