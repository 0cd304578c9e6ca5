"""How landmarks become a face: the settings of a fit, and the names of landmarks. Saved with every run of fits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from ..errors import NamesError, SettingsError
from ..morphable import LANDMARKS

Camera = Literal["scaled-orthographic", "affine"]
CAMERAS: tuple[Camera, ...] = ("scaled-orthographic", "affine")

Robust = Literal["none", "huber", "geman-mcclure", "student-t"]
ROBUST: tuple[Robust, ...] = ("none", "huber", "geman-mcclure", "student-t")

# iBUG's 68 points by part of the face, from 0.
GROUPS = {
    "jaw": range(17),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}


@dataclass(frozen=True)
class FitSettings:
    """What a fit minimises: the sum over landmarks of weight * loss(distance / noise), plus prior * |a|^2 where a are
    the coefficients in units of their spread (MAP; Gaussian).

    camera: `scaled-orthographic` (scale, rotation, translation) or `affine` (the 12 numbers free, as 2DASL's).
    n_identity, n_expression: the first components used; a model may have fewer. noise_mm: spread of the landmarks on
    the face, millimetres. prior: 1 is MAP, 0 plain least squares. robust: the loss; robust_scale: where it bends, in
    units of the noise. jaw ... mouth: weight of each group's squared distances. contour: jaw points slide to the
    silhouette, for 2D landmarks that mark what is seen. same_person: one identity for all faces. iterations: the most.
    """

    camera: Camera = "scaled-orthographic"
    n_identity: int = 40
    n_expression: int = 10
    noise_mm: float = 1.0
    prior: float = 1.0
    robust: Robust = "none"
    robust_scale: float = 2.0
    jaw: float = 1.0
    brows: float = 1.0
    nose: float = 1.0
    eyes: float = 1.0
    mouth: float = 1.0
    contour: bool = False
    same_person: bool = False
    iterations: int = 200

    def __post_init__(self) -> None:
        if self.camera not in CAMERAS or self.robust not in ROBUST:
            raise SettingsError(f"camera is one of {', '.join(CAMERAS)} and robust one of {', '.join(ROBUST)}")
        if self.n_identity < 0 or self.n_expression < 0 or self.iterations < 1:
            raise SettingsError("a fit has 0 components or more and 1 iteration or more")
        for name in ("noise_mm", "robust_scale"):
            if not 0 < getattr(self, name) < np.inf:
                raise SettingsError(f"{name} is {getattr(self, name)}; a positive number is expected")
        for name in ("prior", *GROUPS):
            if not 0 <= getattr(self, name) < np.inf:
                raise SettingsError(f"{name} is {getattr(self, name)}; 0 or a positive number is expected")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "FitSettings":
        """The settings a run was saved with. Raises SettingsError for a key that is none."""
        known = {field.name for field in fields(cls)}
        if not settings.keys() <= known:
            unknown = ", ".join(sorted(settings.keys() - known))
            raise SettingsError(f"unknown fit settings: {unknown}; the known ones are {', '.join(sorted(known))}")
        return cls(**settings)

    def group_weights(self) -> np.ndarray:
        """The weight of each of the 68 landmarks, (68,)."""
        weights = np.empty(LANDMARKS)
        for name, members in GROUPS.items():
            weights[list(members)] = getattr(self, name)
        return weights


# For points of an annotation: consistent in 3D, about a millimetre off what a model can follow.
ANNOTATED = FitSettings()

# For points that a 2D detector found in a photo. Chosen on AFLW crops, never on AFLW2000-3D (docs/fitting.md).
DETECTED = FitSettings(noise_mm=3.0, robust="student-t", jaw=0.5, contour=True)


def landmark_indices(names: Sequence[str]) -> np.ndarray:
    """The landmarks (P,) int of group names (jaw, brows, nose, eyes, mouth) and numbers from 0, in iBUG's order.

    Raises NamesError for another name, a number beyond 67, or none at all.
    """
    chosen: set[int] = set()
    for name in names:
        if name in GROUPS:
            chosen |= set(GROUPS[name])
        elif name.isdecimal() and int(name) < LANDMARKS:
            chosen.add(int(name))
        else:
            raise NamesError(f"no landmark is called '{name}': {', '.join(GROUPS)} or a number 0..67 are expected")
    if not chosen:
        raise NamesError("no landmarks are named")
    return np.array(sorted(chosen))
