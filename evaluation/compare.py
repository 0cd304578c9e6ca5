"""Methods against each other, image by image: paired differences, bootstrap intervals, where they differ most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from .measured import Measured
from .result import NmeResult

RESAMPLES, SEED, LEVEL = 2000, 0, 95
SHOWN = 5  # images named as the worst or the most different
CHUNK = 200  # resamples at a time: 200 * n indices


@dataclass(frozen=True)
class Interval:
    """A mean and the middle 95 % of the means of resampled images."""

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return {"mean": self.mean, "low": self.low, "high": self.high}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two methods on the n images that both have: differences (n,), the first's errors minus the second's, and the
    interval of each mean and of the mean difference, all from the same resamples. Units are the results'."""

    metric: str
    dims: int | None
    methods: tuple[str, str]
    names: tuple[str, ...]
    differences: np.ndarray
    means: tuple[Interval, Interval]
    difference: Interval
    only: tuple[int, int]
    unit: str

    @property
    def overlap(self) -> bool:
        """Whether the intervals of the two means overlap."""
        first, second = self.means
        return first.low <= second.high and second.low <= first.high

    @property
    def undecided(self) -> bool:
        """Whether the interval of the mean difference holds 0."""
        return self.difference.low <= 0 <= self.difference.high

    @property
    def most_different(self) -> tuple[tuple[str, float], ...]:
        """The images on which the methods differ most, and by how much (negative: the first is better)."""
        order = np.argsort(-np.abs(self.differences), kind="stable")[:SHOWN]
        return tuple((self.names[row], float(self.differences[row])) for row in order)

    def sentence(self) -> str:
        """What the intervals allow to be said, in words."""
        (first, second), n = self.methods, len(self.names)
        scale, unit = (100, "points") if self.unit == "fraction" else (1, self.unit)
        by = f"{scale * self.difference.mean:+.3f} {unit} [{scale * self.difference.low:+.3f}, {scale * self.difference.high:+.3f}]"
        head = f"{first} - {second} on {n} images: {by}"
        if self.undecided:
            return f"{head}: the interval holds 0, so these images do not tell which of the two is better"
        better = first if self.difference.mean < 0 else second
        if self.overlap:
            return f"{head}: {better} is better image by image, although the intervals of the two means overlap"
        return f"{head}: {better} is better"

    def as_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "dims": self.dims,
            "methods": list(self.methods),
            "unit": self.unit,
            "n": len(self.names),
            "only_in_first": self.only[0],
            "only_in_second": self.only[1],
            "means": [mean.as_dict() for mean in self.means],
            "difference": self.difference.as_dict(),
            "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "level_percent": LEVEL},
            "intervals_overlap": self.overlap,
            "difference_interval_holds_0": self.undecided,
            "sentence": self.sentence(),
            "most_different": [{"name": name, "difference": value} for name, value in self.most_different],
        }


def compare(results: Sequence[NmeResult | Measured]) -> list[Comparison]:
    """Every two methods of one metric and dimension. Two without an image in common are not compared."""
    found = []
    for first, second in combinations(results, 2):
        if (first.metric, _dims(first)) == (second.metric, _dims(second)):
            pair = _pair(first, second)
            if pair is not None:
                found.append(pair)
    return found


def worst(result: NmeResult | Measured) -> tuple[tuple[str, float], ...]:
    """The images with the largest errors, the largest first."""
    order = np.argsort(-np.where(np.isnan(result.values), -np.inf, result.values), kind="stable")[:SHOWN]
    return tuple((result.names[row], float(result.values[row])) for row in order if not np.isnan(result.values[row]))


def bootstrap_means(columns: np.ndarray, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Means (resamples, m) of columns (n, m) over n images drawn with replacement, the same ones for every column."""
    rng = np.random.default_rng(seed)
    return np.concatenate([columns[rows].mean(axis=1) for rows in _draws(rng, len(columns), resamples)])


def _draws(rng: np.random.Generator, n: int, resamples: int) -> Iterator[np.ndarray]:
    for start in range(0, resamples, CHUNK):
        yield rng.integers(n, size=(min(CHUNK, resamples - start), n))


def _dims(result: NmeResult | Measured) -> int | None:
    return result.dims if isinstance(result, NmeResult) else None


def _pair(first: NmeResult | Measured, second: NmeResult | Measured) -> Comparison | None:
    index = {name: value for name, value in zip(second.names, second.values, strict=True) if not np.isnan(value)}
    own = [(name, value) for name, value in zip(first.names, first.values, strict=True) if not np.isnan(value)]
    both = [(name, value, index[name]) for name, value in own if name in index]
    if not both:
        return None
    errors = np.array([[a, b, a - b] for _, a, b in both])
    means = bootstrap_means(errors)
    edge = (100 - LEVEL) / 2
    low, high = np.percentile(means, [edge, 100 - edge], axis=0)
    intervals = [Interval(*map(float, numbers)) for numbers in zip(errors.mean(axis=0), low, high, strict=True)]
    return Comparison(
        metric=first.metric,
        dims=_dims(first),
        methods=(first.method, second.method),
        names=tuple(name for name, _, _ in both),
        differences=errors[:, 2],
        means=(intervals[0], intervals[1]),
        difference=intervals[2],
        only=(len(own) - len(both), len(index) - len(both)),
        unit="fraction" if isinstance(first, NmeResult) else first.unit,
    )


def comparison_text(comparisons: Sequence[Comparison]) -> str:
    """The comparisons in words, with the images to look at."""
    lines = [f"Paired differences, bootstrap {LEVEL} % intervals ({RESAMPLES} resamples, seed {SEED}):"]
    for found in comparisons:
        of = f"{found.metric.removeprefix('nme_')}{f' {found.dims}D' if found.dims else ''}"
        lines.append(f"  {of}: {found.sentence()}")
        if any(found.only):
            lines.append(
                f"    compared on the images both have; {found.only[0]} more only in {found.methods[0]}, "
                f"{found.only[1]} only in {found.methods[1]}"
            )
        scale = 100 if found.unit == "fraction" else 1
        shown = ", ".join(f"{name} {scale * value:+.2f}" for name, value in found.most_different)
        lines.append(f"    most different: {shown}")
    return "\n".join(lines)
