"""Trainings with several seeds: their mean with its interval, and the paired difference of two rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 95  # percent, of intervals


@dataclass(frozen=True)
class SeedMean:
    """A mean over n seeds with its 95 % t interval; low and high are None for one seed, which has no spread."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def undecided(self) -> bool:
        """Whether 0 may be the true mean: it lies in the interval, or there is none."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high

    def as_dict(self) -> dict[str, float | int | None]:
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}


def seed_mean(values: Sequence[float]) -> SeedMean:
    """The mean of one value a seed, one or more: mean -+ t(97.5 %, n - 1) s / sqrt(n), s with ddof 1."""
    from scipy.stats import t

    array = np.asarray(values, np.float64)
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return SeedMean(mean, None, None, 1)
    half = float(t.ppf(0.5 + LEVEL / 200, n - 1) * array.std(ddof=1) / np.sqrt(n))
    return SeedMean(mean, mean - half, mean + half, n)


def paired(values: Mapping[int, float], before: Mapping[int, float]) -> SeedMean | None:
    """The mean of values minus those before, seed by seed; None where no seed has both."""
    both = [values[seed] - before[seed] for seed in values if seed in before]
    return seed_mean(both) if both else None
