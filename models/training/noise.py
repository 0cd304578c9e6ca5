"""Landmarks as a detector finds them: exact points, moved as a detector's points were measured to be off.

What was measured (paper page, section 5: a widely used 2D detector on AFLW2000-3D, distances in crop pixels over all
points): median 2.13 / 2.48 / 2.90 and 90 % quantile 5.6 / 9.7 / 17.5 by yaw bin; of all together mean 3.76, median 2.29,
90 % 6.81, 99 % 34.9. The numbers below were fitted to these ten, and to no photo.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import SettingsError

YAW_BINS = (30.0, 60.0)  # degrees: |yaw| <= 30, <= 60, beyond

Bins = tuple[float, float, float]


@dataclass(frozen=True)
class DetectorNoise:
    """How far detected landmarks lie from the true ones; three numbers are one for each yaw bin.

    scale: spread of a coordinate in a middling face, crop pixels. spread: of the logarithm of the scale from face to
    face. gross: share of points that lie somewhere else altogether. gross_pixels: spread of a coordinate of those.
    shared: share of the variance that all points of a face have in common; not measured, a choice. times: factor on all
    distances; 0 leaves points exact.
    """

    scale: Bins = (1.86, 1.94, 2.16)
    spread: Bins = (0.41, 0.56, 0.67)
    gross: Bins = (0.030, 0.089, 0.145)
    gross_pixels: float = 18.0
    shared: float = 0.4
    times: float = 1.0

    def __post_init__(self) -> None:
        for name in ("scale", "spread", "gross"):
            values = getattr(self, name)
            if len(values) != len(YAW_BINS) + 1 or not all(0 <= value < np.inf for value in values):
                raise SettingsError(f"noise {name} is {values}; one number of 0 or more for each yaw bin is expected")
        if not max(self.gross) <= 0.5 or not 0 <= self.shared <= 1:
            raise SettingsError("the noise's gross shares are 0 to 0.5, and its shared part is 0 to 1")
        for name in ("gross_pixels", "times"):
            if not 0 <= getattr(self, name) < np.inf:
                raise SettingsError(f"noise {name} is {getattr(self, name)}; 0 or a positive number is expected")


def detector_noise(
    rng: np.random.Generator, points: np.ndarray, yaw_degrees: float, noise: DetectorNoise | None = None
) -> np.ndarray:
    """The points of one face (P, 2), crop pixels, as a detector gives them: (P, 2) float64.

    A face has a scale of its own, and all its points share a part of their shift. Gross failures come in faces: half
    of the points of such a face, moved much further.
    """
    noise = noise or DetectorNoise()
    group = int(np.digitize(abs(yaw_degrees), YAW_BINS, right=True))
    size, lost, shift = rng.normal(), rng.random(), rng.normal(size=2)
    own, somewhere, chosen = rng.normal(size=points.shape), rng.normal(size=points.shape), rng.random(len(points))
    off = np.sqrt(noise.shared) * shift + np.sqrt(1 - noise.shared) * own
    off *= noise.scale[group] * np.exp(noise.spread[group] * size)
    if lost < 2 * noise.gross[group]:
        off[chosen < 0.5] += noise.gross_pixels * somewhere[chosen < 0.5]
    return points + noise.times * off
