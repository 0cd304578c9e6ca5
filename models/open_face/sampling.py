"""The law that random faces are drawn by: MakeHuman's macro targets and local sliders, and mixes of expression units.

The law is authored, not measured on people. Its centre is moved to published anthropometric means by `anthropometry`.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from scipy.stats import norm

from .makehuman import MakeHumanWheel
from .topology import Layout

# Macro law. The three macro shapes of the source are mixed by a flat-tailed Dirichlet with equal means, so that the
# mean face is an equal mix; their names are not used, stored or exposed.
MIX_CONCENTRATION, SEX_CONCENTRATION = 0.35, 0.35
AGE_YEARS = (34.0, 13.0)  # mean, standard deviation
AGE_LIMITS, AGE_KNOTS = (9.0, 80.0), (10.0, 25.0, 90.0)  # years; the source has shapes at the knots
WEIGHT, MUSCLE = (0.48, 0.17), (0.50, 0.18)
MACRO_DRAWS = 10000

# Local law: one standard deviation of a slider moves the vertices that it moves by this much, rms, and by no more than
# this share of its range. A flat share for all sliders gives caricatures.
SLIDER_MM, SLIDER_CAP = 0.9, 0.35
EAR_FACTOR, ASYMMETRY_FACTOR = 0.6, 0.4
SLIDER_FOLDERS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "chin", "cheek", "ears", "asym")
NOT_A_FACE = ("head-trans", "head-angle", "head-back", "breast", "trunk", "asym-top")
OPPOSITES = {
    "decr": "incr",
    "down": "up",
    "in": "out",
    "backward": "forward",
    "concave": "convex",
    "compress": "uncompress",
}


@dataclass(frozen=True, eq=False)
class Law:
    """Where random faces come from: base + weights @ shapes, with weights drawn by `draw`.

    base: (N, 3) float64, mm, the layout's vertices. shapes: (T, N, 3) float64, mm: the macro targets, then the positive
    half of each slider, then the negative halves. sigmas: (S,), each slider's spread, a share of its range.
    symmetric: (S,) bool, whether a slider moves both sides alike. names: the sliders'.
    """

    base: np.ndarray
    shapes: np.ndarray
    names: tuple[str, ...]
    sigmas: np.ndarray
    symmetric: np.ndarray

    @property
    def slopes(self) -> np.ndarray:
        """What each slider adds per unit, the mean of its two halves: (S, N, 3) mm."""
        positive, negative = np.split(self.shapes[-2 * len(self.names) :], 2)
        return (positive - negative) / 2

    @cached_property
    def macro_mean(self) -> np.ndarray:
        """The expected weights of the macro targets, (72,): the mean of many draws."""
        rng = np.random.default_rng(0)
        return np.mean([draw_macros(rng) for _ in range(MACRO_DRAWS)], axis=0)

    def draw(self, rng: np.random.Generator, count: int, centres: np.ndarray) -> np.ndarray:
        """Random faces, the sliders' centres (S,) given as shares of their range: (count, N, 3) float64, mm."""
        macros = np.stack([draw_macros(rng) for _ in range(count)])
        values = centres + self.sigmas * rng.normal(size=(count, len(self.names)))
        weights = np.concatenate([macros, np.maximum(values, 0), np.maximum(-values, 0)], axis=1)
        return self.base + np.tensordot(weights, self.shapes, 1)

    def mean(self, centres: np.ndarray) -> np.ndarray:
        """The expected face: (N, 3) float64, mm."""
        z = centres / self.sigmas
        above = centres * norm.cdf(z) + self.sigmas * norm.pdf(z)  # the mean of max(x, 0), x ~ N(centre, sigma)
        return self.base + np.tensordot(np.concatenate([self.macro_mean, above, above - centres]), self.shapes, 1)


def draw_macros(rng: np.random.Generator) -> np.ndarray:
    """Weights of the macro targets of one random person: (72,), mix x sex x age, then sex x age x muscle x weight."""
    mix = rng.dirichlet([MIX_CONCENTRATION] * 3)
    male = rng.beta(SEX_CONCENTRATION, SEX_CONCENTRATION)
    years = np.clip(rng.normal(*AGE_YEARS), *AGE_LIMITS)
    muscle, weight = (_thirds(np.clip(rng.normal(*law), 0, 1)) for law in (MUSCLE, WEIGHT))
    knots = np.array(AGE_KNOTS)
    person = np.outer([1 - male, male], [np.interp(years, knots, row) for row in np.eye(3)])
    looks = np.multiply.outer(mix, person)
    builds = np.multiply.outer(np.multiply.outer(person, muscle), weight)
    return np.concatenate([looks.ravel(), builds.ravel()])


def _thirds(value: float) -> np.ndarray:
    """Shares of the least, average and most shapes for a value 0..1: (3,)."""
    return np.array([max(1 - 2 * value, 0), 1 - abs(2 * value - 1), max(2 * value - 1, 0)])


def read_law(wheel: MakeHumanWheel, layout: Layout) -> Law:
    macros = [_mirror_mean(wheel.target(name)[layout.sources], layout) for name in _macro_names(wheel)]
    names, positive, negative, sigmas, symmetric = [], [], [], [], []
    for name, ups, downs in _slider_pairs(wheel):
        up, down = (
            sum((wheel.target(target)[layout.sources] for target in targets), np.zeros((len(layout.sources), 3)))
            for targets in (ups, downs)
        )
        even_up, even_down = _mirror_mean(up, layout), _mirror_mean(down, layout)
        even = bool(_size(even_up - even_down) ** 2 > 0.5 * _size(up - down) ** 2)
        if even:
            up, down = even_up, even_down
        else:  # a purely odd slider leaves the mean face symmetric
            up = (up - even_up - down + even_down) / 2
            down = -up
        names.append(name)
        positive.append(up)
        negative.append(down)
        sigmas.append(_sigma(name, up, down, even))
        symmetric.append(even)
    return Law(
        wheel.mesh.vertices[layout.sources],
        np.array([*macros, *positive, *negative]),
        tuple(names),
        np.array(sigmas),
        np.array(symmetric),
    )


def _macro_names(wheel: MakeHumanWheel) -> list[str]:
    sexes, ages, amounts = ("female", "male"), ("child", "young", "old"), ("min", "average", "max")
    every = (name.removeprefix("macrodetails/") for name in wheel.target_names("macrodetails"))
    looks = sorted({name.split("-")[0] for name in every if name.count("-") == 2})
    return [f"macrodetails/{look}-{sex}-{age}" for look, sex, age in product(looks, sexes, ages)] + [
        f"macrodetails/universal-{sex}-{age}-{muscle}muscle-{weight}weight"
        for sex, age, muscle, weight in product(sexes, ages, amounts, amounts)
    ]


def _slider_pairs(wheel: MakeHumanWheel) -> list[tuple[str, list[str], list[str]]]:
    """Name, targets of the positive half and targets of the negative half of each slider; both sides tied."""
    targets = [name for folder in SLIDER_FOLDERS for name in wheel.target_names(folder)]
    targets = [name for name in targets if not any(word in name for word in NOT_A_FACE)]
    sides: dict[str, list[str]] = {}
    for name in targets:
        if "/r-" not in name:
            sides[name.replace("/l-", "/")] = [name, *([name.replace("/l-", "/r-")] if "/l-" in name else [])]
    pairs = []
    for name, up in sides.items():
        stem, _, end = name.rpartition("-")
        if end in OPPOSITES:
            pairs.append((f"{stem}-{OPPOSITES[end]}", sides[f"{stem}-{OPPOSITES[end]}"], up))
        elif end == "l" and "/asym-" in name:
            pairs.append((stem, up, sides[f"{stem}-r"]))
        elif end not in OPPOSITES.values() and not (end == "r" and "/asym-" in name):
            pairs.append((name, up, []))
    return pairs


def _sigma(name: str, up: np.ndarray, down: np.ndarray, symmetric: bool) -> float:
    size = max(_size(up), _size(down), 1e-9)
    factor = EAR_FACTOR if name.startswith("ears/") else 1.0 if symmetric else ASYMMETRY_FACTOR
    return min(factor * SLIDER_MM / size, SLIDER_CAP)


def _size(offsets: np.ndarray) -> float:
    """Root mean square length of the offsets of the vertices that move."""
    lengths = np.linalg.norm(offsets, axis=1)
    moved = lengths[lengths > 0.02]
    return float(np.sqrt((moved**2).mean())) if len(moved) else 0.0


def _mirror_mean(offsets: np.ndarray, layout: Layout) -> np.ndarray:
    return (offsets + offsets[layout.symmetry] * [-1, 1, 1]) / 2
