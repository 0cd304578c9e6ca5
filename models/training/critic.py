"""The critic of the self-critic scheme: does this shape belong to this picture? (paper page, section 6)."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from ..pose import CROP_SIZE
from .settings import CriticKind, CriticSide

# Output channels of the convolutions with pooling, by the pictures' side: 120, 60, 30, 15, 7, 3, 1 px.
ENCODER_CHANNELS = {120: (16, 32, 64, 128, 128, 256), 60: (16, 32, 64, 128, 256)}
HIDDEN = (512, 1024, 1024)
SLOPE = 0.2  # of the leaky ReLU below 0, as the released script has it


class Critic(nn.Module):
    """Logits of (picture, shape) pairs: high for labelled faces, low for predictions.

    n_shape: how many identity and expression coefficients. Pose is left out: it differs between data sets on purpose.
    kind: of the loss that belongs to its logits. spectral_norm: keeps every layer's largest gain at 1. side: what
    pictures are made smaller to, by means of 2 x 2 pixels.
    """

    def __init__(
        self, n_shape: int = 50, kind: CriticKind = "hinge", spectral_norm: bool = False, side: CriticSide = 120
    ) -> None:
        super().__init__()
        self.kind: CriticKind = kind
        channels = ENCODER_CHANNELS[side]
        self._shrink = CROP_SIZE // side
        encoder: list[nn.Module] = []
        for inputs, outputs in zip((3, *channels), channels, strict=False):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
            encoder += [_limited(convolution, spectral_norm), nn.ReLU(), nn.MaxPool2d(2)]
        self.encoder = nn.Sequential(*encoder)
        judge: list[nn.Module] = []
        for inputs, outputs in zip((channels[-1] + n_shape, *HIDDEN), HIDDEN, strict=False):
            judge += [_limited(nn.Linear(inputs, outputs), spectral_norm), nn.LeakyReLU(SLOPE)]
        self.judge = nn.Sequential(*judge, _limited(nn.Linear(HIDDEN[-1], 1), spectral_norm))

    def forward(self, images: Tensor, shape: Tensor) -> Tensor:
        """Logits (B,) float32 of images (B, 3, 120, 120) normalised B, G, R and whitened shape coefficients (B, n_shape).

        For the network's own step, keep the critic's parameters out of it (`requires_grad_(False)`): the gradient
        still passes to `shape`.
        """
        if self._shrink > 1:
            images = functional.avg_pool2d(images, self._shrink)
        code = self.encoder(images).flatten(1)
        logits: Tensor = self.judge(torch.cat([code, shape], dim=1))
        return logits[:, 0].float()


def _limited(layer: nn.Module, limit: bool) -> nn.Module:
    return spectral_norm(layer) if limit else layer
