"""The networks that predict coefficients from a crop: 2DASL's ResNet-50, 3DDFA's MobileNet-V1 family, ResNet-18 of any
width (models.resnet18), and EfficientNet-Lite0 (models.efficientnet), which starts from ImageNet weights.

Parameters carry the names of the published checkpoints. All take (B, C, H, W) float32, channels B, G, R and then the
landmark map where there is one (original pipeline, section 6), and return (B, outputs) whitened coefficients.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .errors import ShapeError, TwodaslError

# name, output channels at width 1, stride
MOBILENET_BLOCKS = (
    ("dw2_1", 64, 1), ("dw2_2", 128, 2),
    ("dw3_1", 128, 1), ("dw3_2", 256, 2),
    ("dw4_1", 256, 1), ("dw4_2", 512, 2),
    ("dw5_1", 512, 1), ("dw5_2", 512, 1), ("dw5_3", 512, 1), ("dw5_4", 512, 1), ("dw5_5", 512, 1), ("dw5_6", 1024, 2),
    ("dw6", 1024, 1),
)  # fmt: skip

# Inner channels, blocks and stride of each stage. The last stride is 1 where ImageNet nets have 2: the map stays 8x8.
RESNET_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 1))
RESNET_SIZES = range(97, 129)  # input sizes whose last map is 7 or 8 px, of which the 7x7 pooling makes one cell


class ArchitectureError(TwodaslError):
    """A network is described by a name, a setting or a value that this program does not know."""


class DepthwiseSeparable(nn.Module):
    """Depthwise 3x3, then pointwise 1x1, each followed by batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.bn_dw = nn.BatchNorm2d(inputs)
        self.conv_sep = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn_sep = nn.BatchNorm2d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        maps = torch.relu(self.bn_dw(self.conv_dw(maps)))
        return torch.relu(self.bn_sep(self.conv_sep(maps)))


class MobileNetV1(nn.Module):
    """3DDFA's MobileNet-V1; `width` scales every channel count. Any input size."""

    def __init__(self, width: float, in_channels: int = 3, outputs: int = 62) -> None:
        super().__init__()
        self.in_channels = in_channels
        channels = int(32 * width)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for name, full, stride in MOBILENET_BLOCKS:
            self.add_module(name, DepthwiseSeparable(channels, int(full * width), stride))
            channels = int(full * width)
        self.fc = nn.Linear(channels, outputs)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Whitened coefficients (B, outputs) of images (B, C, H, W) float32."""
        check_input(images, self.in_channels)
        maps = torch.relu(self.bn1(self.conv1(images)))
        for name, _, _ in MOBILENET_BLOCKS:
            maps = self.get_submodule(name)(maps)
        features: Tensor = self.fc(maps.mean(dim=(2, 3)))
        return features


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the channels, added to the input or to its projection."""

    def __init__(self, inputs: int, channels: int, stride: int, project: bool) -> None:
        super().__init__()
        outputs = 4 * channels
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if project
            else nn.Identity()
        )

    def forward(self, maps: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(maps)))
        inner = torch.relu(self.bn2(self.conv2(inner)))
        return torch.relu(self.bn3(self.conv3(inner)) + self.downsample(maps))


class ResNet50(nn.Module):
    """2DASL's ResNet-50 (original pipeline, section 7): four input channels, last stage with stride 1.

    The 7x7 pooling without padding sees the top-left 7x7 cells of the 8x8 map of a 120 px crop: the last row and
    column change nothing. The published weights were trained so (Q5).
    """

    def __init__(self, in_channels: int = 4, outputs: int = 62) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels, stages = 64, []
        for inner, blocks, stride in RESNET_STAGES:
            first = Bottleneck(channels, inner, stride, project=True)
            channels = 4 * inner
            stages.append(nn.Sequential(first, *(Bottleneck(channels, inner, 1, False) for _ in range(1, blocks))))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AvgPool2d(7, stride=2)
        self.fc = nn.Linear(channels, outputs)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Whitened coefficients (B, outputs) of images (B, C, H, W) float32, H and W from 97 to 128 px."""
        check_input(images, self.in_channels)
        height, width = images.shape[2:]
        if height not in RESNET_SIZES or width not in RESNET_SIZES:
            raise ShapeError(
                f"the images are {width} x {height} px; resnet-50 takes {RESNET_SIZES[0]} to {RESNET_SIZES[-1]} px "
                "each way (120 in 2DASL), where its 7x7 pooling leaves one cell"
            )
        maps = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        features: Tensor = self.fc(self.avgpool(maps).flatten(1))
        return features


def check_input(images: Tensor, channels: int) -> None:
    """Raise ShapeError for anything but (B, channels, H, W)."""
    if images.ndim != 4 or images.shape[1] != channels:
        raise ShapeError(
            f"the network was given {tuple(images.shape)}; (images, {channels}, height, width) is expected"
        )


def initialise(network: nn.Module) -> None:
    """He's normal initialisation by fan-out for convolutions (section 7); batch norm starts at 1 and 0 by itself."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@dataclass(frozen=True)
class Architecture:
    """Which network: what is needed to build it before weights are loaded.

    name: "mobilenet-v1", "resnet-18", "resnet-50" or "efficientnet-lite0". width: multiplies the channels of the first
    two (1 for the others).
    in_channels: B, G, R and the landmark map. Raises ArchitectureError for values that name no network.
    """

    name: str
    width: float = 1.0
    in_channels: int = 4
    outputs: int = 62

    def __post_init__(self) -> None:
        if self.name not in ARCHITECTURES:
            raise ArchitectureError(f"the network {self.name!r} is unknown; known: {', '.join(ARCHITECTURES)}")
        for setting in ("in_channels", "outputs"):
            value = getattr(self, setting)
            if type(value) is not int or value < 1:
                raise ArchitectureError(f"{setting} of {self.name} is {value!r}; a count from 1 is expected")
        if type(self.width) not in (int, float) or not 1 / 32 <= self.width <= 32:
            raise ArchitectureError(f"width of {self.name} is {self.width!r}; a number from 1/32 to 32 is expected")
        if self.name not in ("mobilenet-v1", "resnet-18") and self.width != 1:
            raise ArchitectureError(f"width of {self.name} is {self.width!r}; it comes in width 1 only")
        object.__setattr__(self, "width", float(self.width))  # 1 and 1.0 are one setting, in files too

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Architecture":
        """An architecture from saved settings. Raises ArchitectureError for unknown keys, which lists the known."""
        known = [field.name for field in fields(cls)]
        unknown = [str(key) for key in settings if key not in known]
        if unknown or "name" not in settings:
            came = f"unknown: {', '.join(unknown)}" if unknown else "no name is given"
            raise ArchitectureError(f"settings of a network: {came}; known: {', '.join(known)}")
        return cls(**settings)

    def build(self) -> nn.Module:
        """The network with fresh weights, drawn from torch's own generator, in training mode."""
        return ARCHITECTURES[self.name](self)

    def build_empty(self) -> nn.Module:
        """The network without memory for its weights (on torch's meta device): for shapes, and to load into."""
        with torch.device("meta"), _WithoutDrawing():
            return self.build()


class _WithoutDrawing(TorchFunctionMode):
    """Leaves out random initialisation: numbers that nobody sees, and on the meta device torch imports sympy for it
    (1 s)."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.uniform_):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        if func in (Tensor.uniform_, Tensor.normal_):
            return args[0]
        return func(*args, **kwargs)


def _efficientnet(architecture: Architecture) -> nn.Module:
    from .efficientnet import EfficientNetLite0  # it needs this module's checks

    return EfficientNetLite0(architecture.in_channels, architecture.outputs)


def _resnet18(architecture: Architecture) -> nn.Module:
    from .resnet18 import ResNet18  # it needs this module's checks

    return ResNet18(architecture.width, architecture.in_channels, architecture.outputs)


# To add a network: a class above, or in a module of its own, and how its settings build it here.
ARCHITECTURES = {
    "mobilenet-v1": lambda a: MobileNetV1(a.width, a.in_channels, a.outputs),
    "resnet-18": _resnet18,
    "resnet-50": lambda a: ResNet50(a.in_channels, a.outputs),
    "efficientnet-lite0": _efficientnet,
}
