"""ResNet-18 of any width: plain 3x3 convolutions, which a CPU computes several times faster than depthwise ones.

Parameters carry torchvision's names. At width 1/4 a training step costs what one of MobileNet x0.25 does, with three times
the weights, and learns much faster (docs/ablation.md).
"""

import torch
from torch import Tensor, nn

from .networks import check_input, initialise

CHANNELS = (64, 128, 256, 512)  # of the four stages, at width 1
BLOCKS = 2


class BasicBlock(nn.Module):
    """3x3 with the stride, 3x3, added to the input or to its projection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(maps)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.downsample(maps))


class ResNet18(nn.Module):
    """`width` scales every channel count. Any input size."""

    def __init__(self, width: float, in_channels: int = 4, outputs: int = 62) -> None:
        super().__init__()
        self.in_channels = in_channels
        channels = int(CHANNELS[0] * width)
        self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages = []
        for number, full in enumerate(CHANNELS):
            blocks = []
            for block in range(BLOCKS):
                blocks.append(BasicBlock(channels, int(full * width), 2 if number and not block else 1))
                channels = int(full * width)
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(channels, outputs)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Whitened coefficients (B, outputs) of images (B, C, H, W) float32."""
        check_input(images, self.in_channels)
        maps = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        features: Tensor = self.fc(maps.mean(dim=(2, 3)))
        return features
