"""The moving average of a network's weights, which is what is validated and saved."""

import torch
from torch import Tensor, nn


class Average:
    """Follows the floating-point entries of a network's state. decay 0: the network's own state is the average."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self.state: dict[str, Tensor] = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Take in the network after a step, from 0; early steps count more, so that the start is soon forgotten."""
        keep = min(self._decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point() and self._decay:
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)

    def load(self, state: dict[str, Tensor]) -> None:
        for name, value in state.items():
            self.state[name].copy_(value)
