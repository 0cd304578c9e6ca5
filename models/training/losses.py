"""The losses of training, each one value per face (paper page, sections 4 to 6). What they weigh stands in the trainer.

p are coefficients, q the same whitened (models.training.face); `ids` are the vertices looked at, usually the 68
landmarks and 132 others (`TorchFace.resample_ids`). tz moves nothing in the picture: no loss learns it.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ..coefficients import POSE
from .face import TorchFace, camera_scale
from .settings import CriticKind

TZ = 11  # its place among the coefficients
LEAST_WEIGHT = 1e-6  # of a coefficient in WPDC, before weights are divided by their largest

# What each of the landmark map's 18 points counts (paper page, section 2): eye centres and mouth corners twice, the
# nose tip and the mouth's centre four times.
POINT_WEIGHTS = (1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 2, 1, 1, 4, 1, 2, 4, 2)


def wpdc(q: Tensor, q_true: Tensor, face: TorchFace, ids: Tensor) -> Tensor:
    """Coefficients, each weighed by how far its error alone moves the face: (B,), whitened units squared.

    3DDFA's closed form (section 4.2) with the true shape X at `ids`, the scale of each face's own true camera, and
    weights up to 1 through which no gradient passes. q, q_true: (B, C). The mean over all C coefficients.
    """
    weights = _wpdc_weights(q, q_true, face, ids)
    return (weights * (q - q_true) ** 2).mean(dim=1)


@torch.no_grad()
def _wpdc_weights(q: Tensor, q_true: Tensor, face: TorchFace, ids: Tensor) -> Tensor:
    p_true = face.unwhiten(q_true)
    off = (face.unwhiten(q) - p_true).abs()
    extents = face.shape(p_true, ids).norm(dim=1)  # (B, 3): of the rows x, y, z
    moved = torch.empty_like(off)
    camera = moved[:, :POSE].view(-1, 3, 4)
    camera[:, :, :3] = extents[:, None, :]
    camera[:, :, 3] = len(ids) ** 0.5
    moved[:, POSE:] = camera_scale(p_true)[:, None] * face.basis[ids].flatten(0, 1).norm(dim=0)
    moved[:, TZ] = 0
    weights = off * moved + LEAST_WEIGHT
    weights = weights / weights.amax(dim=1, keepdim=True)
    weights[:, TZ] = 0
    return weights


def weighted(q: Tensor, q_true: Tensor, face: TorchFace) -> Tensor:
    """Coefficients weighed by the paper's formula (section 4.1): (B,), whitened units squared.

    The weight of an entry is how far the true landmarks move when that entry alone is the predicted one, over the sum
    of all; no gradient passes it. The paper moves the landmarks' projection; here they are in camera space, because
    the third row of M moves no projection and would never be learned. q, q_true: (B, C).
    """
    with torch.no_grad():
        p_true = face.unwhiten(q_true)
        moved = (face.unwhiten(q) - p_true).abs() * _landmark_reach(p_true, face)
        total = moved.sum(dim=1, keepdim=True)
        weights = moved / torch.where(total > 0, total, 1)
    return (weights * (q - q_true) ** 2).sum(dim=1)


def _landmark_reach(p_true: Tensor, face: TorchFace) -> Tensor:
    """How far all 68 landmarks together move per unit of each coefficient, tz none: (B, C) crop pixels."""
    shape = face.shape(p_true, face.landmark_ids)
    rows = p_true[:, :POSE].reshape(-1, 3, 4)[:, :, :3]
    columns = face.landmark_basis  # (68, 3, n)
    products = torch.einsum("lik,ljk->kij", columns, columns)  # column k's M moves by sqrt(trace(M products_k M^T))
    squared = torch.einsum("bri,kij,brj->bk", rows, products, rows)
    reach = torch.empty_like(p_true)
    camera = reach[:, :POSE].view(-1, 3, 4)
    camera[:, :, :3] = shape.norm(dim=1)[:, None, :]
    camera[:, :, 3] = shape.shape[1] ** 0.5
    reach[:, POSE:] = squared.clamp(min=0).sqrt()
    reach[:, TZ] = 0
    return reach


def unweighted(q: Tensor, q_true: Tensor) -> Tensor:
    """Coefficients, all alike but tz (PDC; section 4.4): (B,), whitened units squared, mean over all C."""
    squares = (q - q_true) ** 2
    return (squares.sum(dim=1) - squares[:, TZ]) / squares.shape[1]


def vdc(q: Tensor, q_true: Tensor, face: TorchFace, ids: Tensor) -> Tensor:
    """Posed vertices at `ids`, the prediction's with the true tz (section 4.3): (B,), crop pixels squared, mean over
    vertices and x, y, z."""
    p, p_true = face.unwhiten(q), face.unwhiten(q_true)
    p = torch.cat([p[:, :TZ], p_true[:, TZ : TZ + 1], p[:, TZ + 1 :]], dim=1)
    return ((face.vertices(p, ids) - face.vertices(p_true, ids)) ** 2).mean(dim=(1, 2))


def self_2d(input18: Tensor, visible18: Tensor, predicted18: Tensor, unit: float = 1.0) -> Tensor:
    """How far the first pass' landmarks are from those it was given (L_2dcon, section 5): (B,), squared units of `unit`
    crop pixels (1: pixels squared; 120: shares of the crop's side, squared).

    input18, predicted18: (B, 18, 2) crop pixels. visible18: (B, 18) bool; other points may be anything, NaN too. The
    mean over the visible points, weighed 1:2:4; a face without any has 0.
    """
    off = torch.where(visible18[:, :, None], (input18 - predicted18) / unit, 0)
    weights = visible18 * torch.tensor(POINT_WEIGHTS, dtype=off.dtype, device=off.device)
    total = weights.sum(dim=1)
    return (weights * (off**2).sum(dim=2)).sum(dim=1) / torch.where(total > 0, total, 1)


def self_3d(first68: Tensor, second68: Tensor, stop_gradient: bool, unit: float = 1.0) -> Tensor:
    """How far the two passes' 3D landmarks are from each other (L_3dcon, section 5): (B,), squared units of `unit` crop
    pixels, mean over the 68.

    first68, second68: (B, 68, 3) crop pixels, each with its own mean z taken off, so that tz, which no picture shows,
    costs nothing. Both passes get gradients; with stop_gradient the first is only a target for the second.
    """
    if stop_gradient:
        first68 = first68.detach()
    return (((_level(first68) - _level(second68)) / unit) ** 2).sum(dim=2).mean(dim=1)


def _level(landmarks: Tensor) -> Tensor:
    height = landmarks[:, :, 2:]
    return torch.cat([landmarks[:, :, :2], height - height.mean(dim=1, keepdim=True)], dim=2)


def cycle(input18: Tensor, visible18: Tensor, second18: Tensor, unit: float = 1.0) -> Tensor:
    """How far the second pass' landmarks are from those that the first was given (L_cyc, section 5): as `self_2d`.

    The second pass' map is drawn from the first's points, and drawing has no gradient: only the second pass learns.
    """
    return self_2d(input18, visible18, second18, unit)


def critic_loss(real_logits: Tensor, fake_logits: Tensor, kind: CriticKind) -> Tensor:
    """What the critic makes small (section 6): (R + F,) of real (R,) and fake (F,) logits, real first. No unit.

    `hinge`: how far a logit is from 1 or more (real), from -1 or less (fake). `bce`: its cross-entropy.
    """
    if kind == "hinge":
        return functional.relu(torch.cat([1 - real_logits, 1 + fake_logits]))
    return functional.softplus(torch.cat([-real_logits, fake_logits]))


def generator_loss(fake_logits: Tensor, kind: CriticKind) -> Tensor:
    """What the network makes small to look real to the critic: (F,) of logits (F,). `hinge`: the logit's negative,
    which has no lower end; `bce`: the cross-entropy of taking it for real."""
    return -fake_logits if kind == "hinge" else functional.softplus(-fake_logits)
