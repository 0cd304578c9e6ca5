"""Which example comes when: shuffled epochs, computed from numbers alone, so that a run resumes from its step number."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# What random numbers are for; each use has streams of its own.
ORDER, CHANGE, KNOWN = 0, 1, 2


@dataclass(frozen=True)
class Place:
    """A place in a stream. index: of the example in its source; position: in its epoch."""

    stream: int
    epoch: int
    position: int
    index: int

    def rng(self, seed: int) -> np.random.Generator:
        """For all that happens to the example here."""
        return np.random.default_rng([seed, CHANGE, self.stream, self.epoch, self.position])

    def known_rng(self, seed: int) -> np.random.Generator:
        """For what is the same in every epoch."""
        return np.random.default_rng([seed, KNOWN, self.stream, self.index])


def places(seed: int, stream: int, count: int, first: int, number: int) -> list[Place]:
    """The places `first`, `first + 1`, ... of an endless stream of shuffled epochs over `count` examples."""
    found = []
    for place in range(first, first + number):
        epoch, position = divmod(place, count)
        found.append(Place(stream, epoch, position, int(_order(seed, stream, epoch, count)[position])))
    return found


@lru_cache(maxsize=4)
def _order(seed: int, stream: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, ORDER, stream, epoch]).permutation(count)
