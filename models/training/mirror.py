"""A face in the mirror: which point becomes which, and which coefficients the mirrored face has."""

from dataclasses import dataclass

import numpy as np

from ..coefficients import join, split
from ..errors import TwodaslError
from ..morphable import MorphableModel
from ..pose import CROP_SIZE, INDEX_BASE
from .points import Points

MIRROR = np.array([-1.0, 1.0, 1.0])
TOLERANCE = 0.005  # of the face's size: the label of a converted 300W-LP face misses its landmarks by more (0.9 %)
SAMPLE = 200  # faces that the tolerance is measured on

# Each point's mirror image, from 0.
IMAGES: dict[Points, np.ndarray] = {
    "68": np.array([
        *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
        *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
    ]),
    "21": np.array([*range(5, -1, -1), *range(11, 5, -1), 16, 15, 14, 13, 12, 19, 18, 17, 20]),
}  # fmt: skip


class NoMirrorError(TwodaslError):
    """The mirror image of a face is no face of this model."""


@dataclass(frozen=True, eq=False)
class Mirror:
    """The coefficients of mirrored faces, which the model gives back moved along x.

    matrix: (K + L + 1, K + L + 1) float64: takes identity, expression and 1 to the mirrored face's identity and
    expression and to how far it lies to the right of the model's, micrometres. n_identity: K. error: how far landmarks
    of mirrored coefficients lie from mirrored landmarks, as a share of the face's size, mean over random faces.
    """

    matrix: np.ndarray
    n_identity: int
    error: float

    def coefficients(self, coefficients: np.ndarray) -> np.ndarray:
        """Those of the crop's mirror image: (..., C) to (..., C) float64; un-whitened, crop y up (x to 121 - x)."""
        pose, identity, expression = split(coefficients.astype(np.float64), self.n_identity)
        shape = np.concatenate([identity, expression, np.ones_like(identity[..., :1])], axis=-1) @ self.matrix.T
        turned = pose * (MIRROR[:, None] * np.append(MIRROR, 1.0))
        turned[..., 3] += shape[..., -1:] * turned[..., 0]
        turned[..., 0, 3] += CROP_SIZE + INDEX_BASE["3ddfa"]
        return join(turned, shape[..., : self.n_identity], shape[..., self.n_identity : -1])


def find_mirror(model: MorphableModel, n_identity: int, n_expression: int) -> Mirror:
    """The mirror of faces with the model's first components, by least squares over its vertices.

    Raises NoMirrorError where the model does not say which vertices are mirror images, or where its mirrored landmarks
    are missed by more than TOLERANCE.
    """
    if model.symmetry is None:
        raise NoMirrorError(f"{model.name!r} does not say which vertices are mirror images")
    basis = np.concatenate(
        [model.identity_basis[..., :n_identity], model.expression_basis[..., :n_expression]], axis=2, dtype=np.float64
    )
    along = np.zeros((len(basis), 3, 1))
    along[:, 0] = 1
    mirrored = np.concatenate(
        [basis[model.symmetry] * MIRROR[:, None], (model.mean[model.symmetry] * MIRROR - model.mean)[..., None]], axis=2
    )
    columns = np.concatenate([basis, along], axis=2).reshape(3 * len(basis), -1)
    size = np.linalg.norm(columns, axis=0)
    size[size == 0] = 1
    matrix = np.linalg.lstsq(columns / size, mirrored.reshape(len(columns), -1), rcond=None)[0] / size[:, None]
    error = _error(matrix, model, n_identity)
    if not error <= TOLERANCE:
        raise NoMirrorError(
            f"mirrored faces are no faces of {model.name!r}: their landmarks are missed by {100 * error:.2g} % of the "
            f"face's size; {100 * TOLERANCE:g} % are allowed"
        )
    return Mirror(matrix, n_identity, error)


def _error(matrix: np.ndarray, model: MorphableModel, n_identity: int) -> float:
    """Mean distance of landmarks of random faces, as a share of sqrt(width * height) of their landmarks."""
    n_expression = len(matrix) - 1 - n_identity
    spreads = [model.identity_sigma, model.expression_sigma]
    known = [
        np.ones(count) if spread is None else spread[:count]
        for spread, count in zip(spreads, (n_identity, n_expression), strict=True)
    ]
    shape = np.random.default_rng(0).normal(size=(SAMPLE, len(matrix)))
    shape[:, :-1] *= np.concatenate(known)
    shape[:, -1] = 1
    image = shape @ matrix.T
    faces = model.landmarks(shape[:, :n_identity], shape[:, n_identity:-1])
    found = model.landmarks(image[:, :n_identity], image[:, n_identity:-1])
    found[..., 0] += image[:, -1:]
    off = np.linalg.norm(found - (faces * MIRROR)[:, IMAGES["68"]], axis=2)
    return float((off.mean(axis=1) / np.sqrt(np.ptp(faces[..., :2], axis=1).prod(axis=1))).mean())
