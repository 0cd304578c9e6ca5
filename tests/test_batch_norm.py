"""The trainer's batch norm against torch's, in float64 and in both memory orders."""

import pytest
import torch
from torch import Tensor, nn

from twodasl.models.training.batch_norm import CpuBatchNorm


def norms(channels: int) -> tuple[nn.BatchNorm2d, CpuBatchNorm]:
    torch.manual_seed(0)
    theirs, ours = nn.BatchNorm2d(channels), CpuBatchNorm(channels)
    with torch.no_grad():
        theirs.weight.uniform_(0.5, 2)
        theirs.bias.normal_()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def gradients(norm: nn.Module, maps: Tensor, pull: Tensor) -> list[Tensor]:
    maps = maps.clone().requires_grad_()
    (norm(maps) * pull).sum().backward()
    assert maps.grad is not None
    return [maps.grad, *(value.grad for value in norm.parameters() if value.grad is not None)]


def test_values_gradients_and_running_statistics() -> None:
    theirs, ours = (norm.double() for norm in norms(6))
    for step in range(3):
        maps = 2 + 3 * torch.randn(5, 6, 4, 7, dtype=torch.float64)
        pull = torch.randn_like(maps)
        order = torch.channels_last if step else torch.contiguous_format
        for one, other in zip(
            gradients(theirs, maps, pull), gradients(ours, maps.contiguous(memory_format=order), pull), strict=True
        ):
            torch.testing.assert_close(one, other)
        theirs.zero_grad()
        ours.zero_grad()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    maps = torch.randn(2, 6, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(ours.eval()(maps), theirs.eval()(maps))


def test_many_pixels_lose_no_digits() -> None:
    """10 ** 5 values a channel, the mean ten times the deviation; torch's own is off by about 1e-4 in channels_last."""
    theirs, ours = norms(4)
    maps = 10 + torch.randn(32, 4, 60, 60)
    exact = theirs.double()(maps.double())
    found = ours(maps.contiguous(memory_format=torch.channels_last))
    assert (found - exact).abs().max() < 2e-5


@pytest.mark.parametrize("kind", [torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    theirs, ours = norms(4)
    maps = torch.randn(8, 4, 6, 6).to(kind).contiguous(memory_format=torch.channels_last)
    pull = torch.randn_like(maps)
    for one, other in zip(gradients(theirs, maps, pull), gradients(ours, maps, pull), strict=True):
        torch.testing.assert_close(one, other, rtol=0.03, atol=0.03)
