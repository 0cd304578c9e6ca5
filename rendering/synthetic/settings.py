"""What synthetic faces are drawn by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...models.errors import SettingsError
from ...models.morphable import BASIS_EXPRESSION, BASIS_IDENTITY
from ...models.open_face.asset import LEVELS, POINTS


@dataclass(frozen=True)
class SynthSettings:
    """The law of a synthetic set. The same settings, seed and index give the same face.

    seed: not negative. level: subdivision of the mesh that is drawn (labels are always those of level 1).
    identity, expression: how many coefficients faces are made of and labelled with. max_yaw: degrees. points: what
    the 68 landmarks mean. backgrounds: a folder of photos to put behind, and in part before, the faces; None: all
    backgrounds are made up.
    """

    seed: int = 0
    level: int = 1
    identity: int = 40
    expression: int = 10
    max_yaw: float = 90.0
    points: str = "semantic"
    backgrounds: Path | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise SettingsError(f"the seed is {self.seed}; 0 or a positive number is expected")
        if self.level not in LEVELS:
            raise SettingsError(f"level is {self.level}; one of {', '.join(map(str, LEVELS))} is expected")
        if self.points not in POINTS:
            raise SettingsError(f"points are '{self.points}'; one of {', '.join(POINTS)} is expected")
        for name, most in (("identity", BASIS_IDENTITY), ("expression", BASIS_EXPRESSION)):
            if not 1 <= getattr(self, name) <= most:
                raise SettingsError(f"{name} is {getattr(self, name)}; 1 to {most} components are expected")
        if not 0 <= self.max_yaw <= 90:
            raise SettingsError(f"max_yaw is {self.max_yaw:g} degrees; 0 to 90 is expected")

    @property
    def components(self) -> tuple[int, int]:
        return self.identity, self.expression

    def rng(self, index: int) -> np.random.Generator:
        """The random numbers of one face, whichever process draws it."""
        return np.random.default_rng([self.seed, index])
