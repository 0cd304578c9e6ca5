"""Several processes train one network: torch's own launcher (`torchrun`) says how many there are and which this is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SettingsError


@dataclass(frozen=True)
class World:
    """rank: this process, from 0. size: of them all. device: where it computes."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that torchrun started this process in, or a world of one. gloo on CPUs, nccl on GPUs.

    Raises SettingsError for a device that torch cannot use here.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"the device '{device}' cannot be used here: {str(error).splitlines()[0]}") from error
    if size == 1:
        yield World(0, 1, torch.device(device))
        return
    import torch.distributed as dist

    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device(f"cuda:{local}") if device.startswith("cuda") else torch.device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()


def check_batch(world: World, batch: int, labelled: int) -> None:
    """Raise SettingsError unless labelled and wild faces of a batch divide evenly among the processes."""
    if labelled % world.size or (batch - labelled) % world.size:
        raise SettingsError(
            f"a batch of {labelled} labelled and {batch - labelled} wild faces does not divide among {world.size} "
            "processes: choose --batch so that it does"
        )


def agreed(world: World, value: float) -> float:
    """The largest value that any process says: whether to stop, for one."""
    if world.size == 1:
        return value
    import torch.distributed as dist

    together = torch.tensor([value], dtype=torch.float64, device=world.device)
    dist.all_reduce(together, op=dist.ReduceOp.MAX)
    return float(together)


def averaged(world: World, tensors: list[Tensor]) -> None:
    """Replace each tensor by its mean over the processes."""
    if world.size == 1:
        return
    import torch.distributed as dist

    for tensor in tensors:
        dist.all_reduce(tensor)
        tensor.div_(world.size)


def synced(network: nn.Module, world: World) -> nn.Module:
    """The network with batch statistics over the faces of all processes, so that their number changes no result."""
    if world.size > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = _SyncedBatchNorm
    return network


class _SyncedBatchNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d whose mean and variance are of all processes' batches; nn.SyncBatchNorm has no CPU."""

    def forward(self, maps: Tensor) -> Tensor:
        if not self.training:
            return super().forward(maps)
        import torch.distributed as dist
        from torch.distributed.nn.functional import all_reduce

        count = maps.numel() / maps.shape[1] * dist.get_world_size()
        mean = all_reduce(maps.sum(dim=(0, 2, 3))) / count
        away = maps - mean[:, None, None]
        variance = all_reduce((away * away).sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self._follow(self.running_mean, mean)
            self._follow(self.running_var, variance * count / (count - 1))
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return away * scale[:, None, None] + self.bias[:, None, None]

    def _follow(self, running: Any, value: Tensor) -> None:
        running += float(self.momentum or 0.1) * (value - running)
