"""A network at work: crops in, coefficients out."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .checkpoints import Weights
from .errors import TwodaslError
from .landmark_map import landmark_map, map_points

if TYPE_CHECKING:
    from torch import nn


class DeviceError(TwodaslError):
    """The device asked for is not there."""


class Predictor:
    """Predicts the coefficients of crops with one set of weights on one device."""

    def __init__(self, weights: Weights, device: str = "cpu") -> None:
        """Raises DeviceError where torch has no such device."""
        import torch

        self.weights = weights
        try:
            self._device = torch.device(device)
            network = _folded(weights.network()).to(self._device)
            self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
            torch.zeros(1, device=self._device).cpu()  # the device "meta" takes numbers and gives none back
        except (RuntimeError, AssertionError, ImportError) as error:
            reason = str(error).splitlines()[0]
            raise DeviceError(f"the device {device!r} cannot be used: {reason}") from error

    @property
    def needs_landmarks(self) -> bool:
        """Whether the network takes the landmark map as a fourth channel."""
        return self.weights.landmark_map != "none"

    def coefficients(self, crops: np.ndarray, landmarks: np.ndarray | None = None) -> np.ndarray:
        """Un-whitened coefficients (n, 12 + K + L) float32 of crops (n, 120, 120, 3) uint8 RGB.

        landmarks: (n, 68, 2) crop pixels from 0, for networks that need them.
        """
        import torch

        channels = [_normalise(crops)]
        if self.needs_landmarks:
            if landmarks is None:
                raise TwodaslError("these weights take landmarks as a fourth channel; none were given")
            channels.append(self._maps(landmarks))
        batch = torch.from_numpy(np.concatenate(channels, axis=1))
        batch = batch.to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            whitened = self._network(batch).float().cpu().numpy()
        with np.errstate(over="ignore"):  # becomes inf, which the caller sees
            return self.weights.whitening.unwhiten(whitened).astype(np.float32)

    def _maps(self, landmarks: np.ndarray) -> np.ndarray:
        """The fourth channel (n, 1, 120, 120) float32 of landmarks (n, 68, 2)."""
        if self.weights.landmark_map == "binary-18":
            return np.stack([landmark_map(points) for points in landmarks])[:, None]
        import torch

        from .training.maps import rasterise

        points = np.stack([map_points(face) for face in landmarks])
        known = np.isfinite(points).all(axis=2)
        drawn = rasterise(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(known), "gauss")
        assert drawn is not None
        return drawn.numpy()


def _normalise(crops: np.ndarray) -> np.ndarray:
    """(n, 120, 120, 3) uint8 RGB to (n, 3, 120, 120) float32 B, G, R as (v - 127.5) / 128 (section 6)."""
    blue_first = crops[..., ::-1].transpose(0, 3, 1, 2)
    return (np.ascontiguousarray(blue_first, np.float32) - np.float32(127.5)) / np.float32(128)


def _folded(network: "nn.Module") -> "nn.Module":
    """The network with each batch norm folded into the convolution before it: the same function to float rounding
    (about 1e-6 of a standard deviation), at more than twice the speed on a CPU."""
    from torch import nn
    from torch.nn.utils import fuse_conv_bn_eval

    for parent in list(network.modules()):
        for (conv_name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return network
