"""The face model inside training: coefficients to points in torch, with gradients, at the vertices asked for only."""

import numpy as np
import torch
from torch import Tensor, nn

from ..coefficients import POSE, Whitening
from ..errors import ShapeError
from ..landmark_map import POINTS
from ..morphable import MorphableModel
from ..pose import INDEX_BASE, Convention, crop_from_crop_up

RANDOM_VERTICES = 132  # beside the 68 landmarks, as 3DDFA draws them (paper page, section 4.2)


class TorchFace(nn.Module):
    """A face model with one whitening and one convention. It learns nothing: its arrays are buffers, left out of saved
    states, and move with `.to(device)`.

    p are coefficients (B, C) = 12 pose + n_identity + n_expression, q the same whitened, as networks predict them.
    Points are crop pixels counted from 0, x right, y down, z larger nearer. Everything is computed in the buffers'
    float32, under autocast too: micrometres have no place in 16 bits.
    """

    whitening_mean: Tensor
    whitening_std: Tensor
    mean: Tensor
    basis: Tensor
    landmark_ids: Tensor
    landmark_mean: Tensor
    landmark_basis: Tensor
    camera_sign: Tensor
    camera_shift: Tensor
    pairs: Tensor

    def __init__(
        self,
        model: MorphableModel,
        whitening: Whitening,
        n_identity: int,
        n_expression: int,
        convention: Convention,
        landmark_list: str = "",
    ) -> None:
        """landmark_list: which of the model's 68 landmarks, empty for its first. Raises ShapeError where the model has
        fewer components or the whitening another length, NamesError for a list that the model has not."""
        super().__init__()
        if landmark_list:
            model = model.with_points(landmark_list)
        if n_identity > model.n_identity or n_expression > model.n_expression:
            raise ShapeError(
                f"{n_identity} identity and {n_expression} expression components are wanted; {model.name!r} has "
                f"{model.n_identity} and {model.n_expression}"
            )
        self.n_coefficients = POSE + n_identity + n_expression
        if len(whitening.mean) != self.n_coefficients:
            raise ShapeError(
                f"the whitening has {len(whitening.mean)} numbers; {POSE} pose + {n_identity} identity + "
                f"{n_expression} expression = {self.n_coefficients} are expected"
            )
        used = (model.identity_basis[:, :, :n_identity], model.expression_basis[:, :, :n_expression])
        basis = np.concatenate(used, axis=2)
        ids = model.landmark_ids
        shift = crop_from_crop_up(np.zeros(3), convention) - [INDEX_BASE[convention], INDEX_BASE[convention], 0]
        arrays = {
            "whitening_mean": whitening.mean,
            "whitening_std": whitening.std,
            "mean": model.mean,
            "basis": basis,
            "landmark_mean": model.mean[ids],
            "landmark_basis": basis[ids],
            "camera_sign": np.array([1, -1, 1]),
            "camera_shift": shift,
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32), persistent=False)
        pairs = [(point[0], point[-1]) for point in POINTS]  # a single landmark is the mean of itself twice
        for name, array in {"landmark_ids": ids, "pairs": pairs}.items():
            self.register_buffer(name, torch.tensor(np.asarray(array), dtype=torch.int64), persistent=False)

    def unwhiten(self, q: Tensor) -> Tensor:
        """Coefficients (B, C) of a network's output (B, C)."""
        return q.to(self.mean.dtype) * self.whitening_std + self.whitening_mean

    def whiten(self, p: Tensor) -> Tensor:
        """The inverse of `unwhiten`."""
        return (p.to(self.mean.dtype) - self.whitening_mean) / self.whitening_std

    def landmarks(self, p: Tensor) -> Tensor:
        """The 68 landmarks (B, 68, 3), crop pixels."""
        return self._posed(p, _shaped(p, self.landmark_mean, self.landmark_basis))

    def points18(self, landmarks: Tensor) -> Tensor:
        """The landmark map's points (B, 18, 2) of landmarks (B, 68, 2 or 3): single ones, and means of two."""
        return 0.5 * (landmarks[:, self.pairs[:, 0], :2] + landmarks[:, self.pairs[:, 1], :2])

    def shape(self, p: Tensor, ids: Tensor) -> Tensor:
        """Un-posed vertices (B, K, 3) of these ids (K,) int64, model units, y up."""
        return _shaped(p, self.mean[ids], self.basis[ids])

    def vertices(self, p: Tensor, ids: Tensor) -> Tensor:
        """Posed vertices (B, K, 3) of these ids (K,) int64, crop pixels."""
        return self._posed(p, self.shape(p, ids))

    def resample_ids(self, generator: torch.Generator, count: int = RANDOM_VERTICES) -> Tensor:
        """Ids of the 68 landmarks and of `count` vertices drawn anew (one may come twice): (68 + count,) int64."""
        drawn = torch.randint(len(self.mean), (count,), generator=generator, device=generator.device)
        return torch.cat([self.landmark_ids, drawn.to(self.landmark_ids.device)])

    def _posed(self, p: Tensor, shape: Tensor) -> Tensor:
        camera = p[:, :POSE].reshape(-1, 3, 4)
        with torch.autocast(p.device.type, enabled=False):
            crop_up = shape @ camera[:, :, :3].transpose(1, 2) + camera[:, None, :, 3]
        return crop_up * self.camera_sign + self.camera_shift


def camera_scale(p: Tensor) -> Tensor:
    """Each face's scale (B,), crop pixels per model unit: ||M|| / sqrt(3), which is s where M is s R."""
    return p[:, :POSE].reshape(-1, 3, 4)[:, :, :3].flatten(1).norm(dim=1) / 3**0.5


def _shaped(p: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """(B, K, 3) model units, from the rows (K, 3) and (K, 3, n) of the model."""
    with torch.autocast(p.device.type, enabled=False):
        offsets = p[:, POSE:] @ basis.flatten(0, 1).T
    return mean + offsets.unflatten(1, (-1, 3))
