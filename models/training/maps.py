"""The landmark map of a batch of points, on their device. No gradient passes it (paper page, section 5)."""

import torch
from torch import Tensor

from ..landmark_map import BACKGROUND, POINT
from ..pose import CROP_SIZE
from .settings import MapKind

SIGMA = 1.5  # of `gauss`, crop pixels (paper page, section 2)


def rasterise(points: Tensor, visible: Tensor, kind: MapKind) -> Tensor | None:
    """The fourth channel (B, 1, 120, 120) float32, -1 with the points as +1; None for kind `none`.

    points: (B, 18, 2) crop pixels from 0, y down. visible: (B, 18) bool; the others are left out, and so are points
    outside the crop or not finite. `binary`: one pixel a point, as `models.landmark_map` has it. `gauss`: a hill of
    sigma 1.5 px around each point's own place, the highest where they meet; without roundings.
    """
    if kind == "none":
        return None
    points = points.detach().float()
    pixels = points.floor()
    shown = visible & ((pixels >= 0) & (pixels < CROP_SIZE)).all(dim=2)
    return _binary(pixels, shown) if kind == "binary" else _gauss(points, shown)


def _binary(pixels: Tensor, shown: Tensor) -> Tensor:
    faces, cells = len(pixels), CROP_SIZE**2
    flat = torch.where(shown, pixels[:, :, 1] * CROP_SIZE + pixels[:, :, 0], cells).long()
    image = torch.full((faces, cells + 1), BACKGROUND, device=pixels.device)  # the last cell takes what is left out
    image.scatter_(1, flat, POINT)
    return image[:, :cells].reshape(faces, 1, CROP_SIZE, CROP_SIZE)


def _gauss(points: Tensor, shown: Tensor) -> Tensor:
    centres = torch.arange(CROP_SIZE, dtype=points.dtype, device=points.device)
    off = torch.where(shown[:, :, None], points, 0)[..., None] - centres  # (B, 18, 2, 120)
    across, down = torch.exp(-0.5 * (off / SIGMA) ** 2).unbind(dim=2)
    down = down * shown[:, :, None]
    highest = torch.zeros((len(points), CROP_SIZE, CROP_SIZE), dtype=points.dtype, device=points.device)
    for point in range(points.shape[1]):  # one at a time: the batch's 18 maps at once would not fit the cache
        torch.maximum(highest, down[:, point, :, None] * across[:, point, None, :], out=highest)
    return (BACKGROUND + (POINT - BACKGROUND) * highest)[:, None]
