"""The critic learns (the original's never did), tells picture and shape apart from pose, and pushes the network."""

import pytest
import torch
from torch import Tensor

from twodasl.models.training.critic import Critic
from twodasl.models.training.losses import critic_loss, generator_loss
from twodasl.models.training.settings import CriticKind

KINDS: tuple[CriticKind, ...] = ("hinge", "bce")


def faces(seed: int, count: int = 4) -> tuple[Tensor, Tensor]:
    """Pictures (count, 3, 120, 120) and whitened shapes (count, 50)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((count, 3, 120, 120), generator=generator) * 2 - 1
    return images, torch.randn((count, 50), generator=generator)


def built(kind: CriticKind = "hinge", spectral_norm: bool = False) -> Critic:
    torch.manual_seed(0)
    return Critic(kind=kind, spectral_norm=spectral_norm)


def test_layers_are_those_of_the_paper() -> None:
    """Six convolutions with pooling take 120 px to 1; then 512, 1024, 1024, 1 (paper page, section 6)."""
    critic = built()
    images, shape = faces(0, 2)
    assert critic.encoder(images).shape[2:] == (1, 1)
    assert [layer.out_features for layer in critic.judge if isinstance(layer, torch.nn.Linear)] == [512, 1024, 1024, 1]
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in critic.encoder) == 6
    assert critic(images, shape).shape == (2,)
    assert Critic(n_shape=20)(images, shape[:, :20]).shape == (2,)


def test_smaller_pictures_are_the_mean_of_larger_ones() -> None:
    critic = Critic(side=60)
    images, shape = faces(0, 2)
    coarse = images[:, :, ::2, ::2].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    mixed = images.unflatten(3, (60, 2)).unflatten(2, (60, 2)).mean(dim=(3, 5))
    fine = mixed.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(critic(images, shape), critic(fine, shape))
    assert not torch.equal(critic(images, shape), critic(coarse, shape))
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in critic.encoder) == 5
    assert critic.encoder(mixed).shape[2:] == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_one_step_changes_every_weight(kind: CriticKind, spectral_norm: bool) -> None:
    """The released script optimised a third, unused critic: this one must change, and its loss fall."""
    critic = built(kind, spectral_norm)
    assert critic.kind == kind
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-4)
    before = [parameter.detach().clone() for parameter in critic.parameters()]
    (images, shape), (others, guesses) = faces(1, 5), faces(2)  # of equal counts, the last bias would stay

    def loss() -> Tensor:
        return critic_loss(critic(images, shape), critic(others, guesses), kind).mean()

    first = loss()
    first.backward()
    optimiser.step()
    for old, new in zip(before, critic.parameters(), strict=True):
        assert not torch.equal(old, new)
    for _ in range(15):
        optimiser.zero_grad()
        now = loss()
        now.backward()
        optimiser.step()
    assert now < first


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_gets_its_gradient_and_the_critic_none(kind: CriticKind) -> None:
    critic = built(kind).requires_grad_(False)
    images, shape = faces(3)
    shape.requires_grad_()
    logits = critic(images, shape)
    generator_loss(logits, kind).sum().backward()
    assert shape.grad is not None
    assert (shape.grad.abs().sum(dim=1) > 0).all()
    assert all(parameter.grad is None for parameter in critic.parameters())
    with torch.no_grad():  # down this gradient the critic takes the faces for real
        assert (critic(images, shape - 10 * shape.grad) > logits).all()


def test_picture_and_shape_both_count() -> None:
    critic = built()
    (images, shape), (others, guesses) = faces(4), faces(5)
    with torch.no_grad():
        here = critic(images, shape)
        assert not torch.allclose(here, critic(others, shape))
        assert not torch.allclose(here, critic(images, guesses))


def test_logits_under_autocast_are_full_numbers() -> None:
    images, shape = faces(7, 2)
    critic = built()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = critic(images, shape)
    assert logits.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(logits, critic(images, shape.bfloat16()), rtol=0.1, atol=0.01)


def test_spectral_norm_keeps_every_layers_gain_at_one() -> None:
    """Far from where it was drawn too; without it a layer has the gain of its weights."""

    def gains(critic: Critic) -> list[float]:
        layers = [layer for layer in critic.judge if isinstance(layer, torch.nn.Linear)]
        return [float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) for layer in layers]

    critic = built(spectral_norm=True)
    images, shape = faces(6, 2)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(5)
        for _ in range(50):  # each pass in training mode is one step of its power iteration
            critic.judge(torch.cat([critic.encoder(images).flatten(1), shape], dim=1))
    critic.eval()
    assert gains(critic) == pytest.approx([1] * 4, abs=0.02)
    assert max(gains(built())) > 1.1
