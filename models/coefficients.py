"""The numbers a network predicts for one face: 12 of pose, then identity, then expression (62 in 2DASL and 3DDFA)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import FileError, ShapeError
from .files import read_pickle

POSE = 12


def split(coefficients: np.ndarray, n_identity: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pose matrix (..., 3, 4), identity (..., K) and expression (..., L) of un-whitened (..., 12 + K + L).

    The pose is row-major `[M | t]`: M takes micrometres of the model to pixels of the 120-pixel crop, y up; t is in
    those pixels (original pipeline, section 3.4). Raises ShapeError where fewer than 12 + K numbers are given (Q7).
    """
    count = coefficients.shape[-1]
    if count < POSE + n_identity:
        raise ShapeError(f"{count} coefficients were given; 12 pose + {n_identity} identity + expression are expected")
    pose = coefficients[..., :POSE].reshape(*coefficients.shape[:-1], 3, 4)
    return pose, coefficients[..., POSE : POSE + n_identity], coefficients[..., POSE + n_identity :]


def join(pose: np.ndarray, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """The inverse of `split`: (..., 3, 4), (..., K) and (..., L) to (..., 12 + K + L)."""
    return np.concatenate([pose.reshape(*pose.shape[:-2], POSE), identity, expression], axis=-1)


@dataclass(frozen=True, eq=False)
class Whitening:
    """Mean and spread of each coefficient over the training labels: (C,) float32 each.

    A network predicts whitened numbers; coefficients = whitened * std + mean. It belongs to the weights: another
    network's whitening gives plausible nonsense (paper page, section 1.1).
    """

    mean: np.ndarray
    std: np.ndarray

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.std.shape:
            raise ShapeError(
                f"whitening mean is {self.mean.shape}, std {self.std.shape}; two vectors of one length are expected"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ShapeError("whitening needs finite means and positive standard deviations")

    def unwhiten(self, whitened: np.ndarray) -> np.ndarray:
        """Coefficients (..., C) float64 of a network's output (..., C). Raises ShapeError for another C (Q7)."""
        self._check(whitened)
        return whitened.astype(np.float64) * self.std + self.mean

    def whiten(self, coefficients: np.ndarray) -> np.ndarray:
        """The inverse of `unwhiten`."""
        self._check(coefficients)
        return (coefficients.astype(np.float64) - self.mean) / self.std

    def _check(self, array: np.ndarray) -> None:
        if array.shape[-1] != len(self.mean):
            raise ShapeError(f"{array.shape[-1]} coefficients were given, the whitening has {len(self.mean)}")


def read_whitening(path: Path) -> Whitening:
    """A whitening file as 3DDFA and 2DASL (`param_mean`, `param_std`) or 3DDFA_V2 (`mean`, `std`) pickle it."""
    content = read_pickle(path)
    if isinstance(content, dict):
        for prefix in ("param_", ""):
            mean, std = content.get(f"{prefix}mean"), content.get(f"{prefix}std")
            if isinstance(mean, np.ndarray) and isinstance(std, np.ndarray):
                try:
                    return Whitening(mean.astype(np.float32).ravel(), std.astype(np.float32).ravel())
                except ShapeError as error:
                    raise FileError(f"{path}: {error}") from error
    raise FileError(f"{path} holds no whitening: 'param_mean' and 'param_std', or 'mean' and 'std', are expected")
