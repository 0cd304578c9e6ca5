"""The losses against loops written from the formulas, their gradients against differences, and what stops them."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from twodasl.models.coefficients import Whitening, join, read_whitening, split
from twodasl.models.errors import ShapeError
from twodasl.models.landmark_map import POINTS, landmark_map, map_points
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import (
    CONVENTIONS,
    INDEX_BASE,
    Convention,
    crop_from_crop_up,
    crop_up_from_model,
    rotation_from_angles,
)
from twodasl.models.training.face import TorchFace, camera_scale
from twodasl.models.training.losses import (
    critic_loss,
    cycle,
    generator_loss,
    self_2d,
    self_3d,
    unweighted,
    vdc,
    weighted,
    wpdc,
)
from twodasl.models.training.maps import rasterise
from twodasl.models.training.settings import CriticKind, MapKind

FACES, C, TZ = 3, 62, 11
# low 1, middle 2, high 4, from the table of the paper page, section 2
WEIGHTS = np.array([1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 2, 1, 1, 4, 1, 2, 4, 2]) / 28


def invented(seed: int, count: int = FACES) -> np.ndarray:
    """Coefficients (count, 62) of faces in the crop, float64."""
    rng = np.random.default_rng(seed)
    rotation = rotation_from_angles(rng.uniform([-60, -20, -20], [60, 20, 20], (count, 3)))
    scale = rng.uniform(4e-4, 6e-4, (count, 1, 1))
    shift = rng.normal([60, 60, -70], 5, (count, 3))
    pose = np.concatenate([scale * rotation + rng.normal(size=(count, 3, 3)) * 1e-5, shift[:, :, None]], axis=2)
    return join(pose, rng.normal(size=(count, 40)) * 1e5, rng.normal(size=(count, 10)))


@pytest.fixture(scope="module")
def whitening() -> Whitening:
    many = invented(99, 200)
    return Whitening(many.mean(axis=0).astype(np.float32), many.std(axis=0).astype(np.float32))


@pytest.fixture(scope="module")
def face(toy_model: MorphableModel, whitening: Whitening) -> TorchFace:
    """In float64, for differences; the buffers' values are those of float32."""
    return TorchFace(toy_model, whitening, 40, 10, "3ddfa-v2").double()


@pytest.fixture(scope="module")
def ids(face: TorchFace) -> Tensor:
    return face.resample_ids(torch.Generator().manual_seed(5))


@pytest.fixture
def pair(whitening: Whitening) -> tuple[Tensor, Tensor]:
    """Predicted and true whitened coefficients, float64."""
    return torch.from_numpy(whitening.whiten(invented(1))), torch.from_numpy(whitening.whiten(invented(2)))


def points_of(model: MorphableModel, p: np.ndarray, ids: np.ndarray, with_tz: bool = True) -> np.ndarray:
    """One face's posed vertices (K, 3), crop pixels from 0: one vertex, one component after another."""
    pose, identity, expression = split(p, 40)
    placed = []
    for vertex in ids:
        point = model.mean[vertex].astype(np.float64)
        for k in range(40):
            point = point + identity[k] * model.identity_basis[vertex, :, k].astype(np.float64)
        for k in range(10):
            point = point + expression[k] * model.expression_basis[vertex, :, k].astype(np.float64)
        x, y, z = pose[:, :3] @ point + pose[:, 3]
        placed.append([x - 1, 120 - y, z if with_tz else z - pose[2, 3]])
    return np.array(placed)


# The face model in torch


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_points_are_those_of_the_numpy_model(
    toy_model: MorphableModel, whitening: Whitening, convention: Convention
) -> None:
    """Crop pixels counted from 0, whatever the convention counts from."""
    face = TorchFace(toy_model, whitening, 40, 10, convention)
    p = invented(3)
    pose, identity, expression = split(p, 40)
    everywhere = crop_up_from_model(toy_model.vertices(identity, expression).astype(np.float64), pose)
    expected = crop_from_crop_up(everywhere, convention) - [INDEX_BASE[convention], INDEX_BASE[convention], 0]
    ids = torch.tensor([7, 0, 900])
    given = torch.from_numpy(p).float()
    np.testing.assert_allclose(face.vertices(given, ids), expected[:, ids], atol=1e-3)
    landmarks = face.landmarks(given)
    np.testing.assert_allclose(landmarks, expected[:, toy_model.landmark_ids], atol=1e-3)
    for points, one in zip(face.points18(landmarks).numpy(), landmarks.numpy(), strict=True):
        np.testing.assert_array_equal(points, map_points(one))
    np.testing.assert_allclose(
        face.shape(given, ids), toy_model.vertices(identity, expression)[:, ids], rtol=1e-5, atol=0.5
    )


def test_autocast_leaves_the_face_in_full_precision(toy_model: MorphableModel, whitening: Whitening) -> None:
    """In 16 bits the points would be off by a third of a pixel and more."""
    face = TorchFace(toy_model, whitening, 40, 10, "3ddfa")
    q = torch.from_numpy(whitening.whiten(invented(4))).bfloat16()
    plain = face.landmarks(face.unwhiten(q))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = face.landmarks(face.unwhiten(q))
    assert mixed.dtype == face.unwhiten(q.double()).dtype == face.whiten(q.double()).dtype == torch.float32
    assert torch.equal(mixed, plain)


def test_whitening_is_numpys(face: TorchFace, whitening: Whitening) -> None:
    p = invented(5)
    np.testing.assert_allclose(face.whiten(torch.from_numpy(p)), whitening.whiten(p), rtol=1e-9, atol=1e-9)
    q = torch.from_numpy(whitening.whiten(p))
    np.testing.assert_allclose(face.unwhiten(q), p, rtol=1e-9, atol=1e-9)


def test_another_list_of_landmarks(toy_model: MorphableModel, whitening: Whitening) -> None:
    other = np.arange(68, dtype=np.int32)
    model = replace(toy_model, named_landmarks={"other": other})
    face = TorchFace(model, whitening, 40, 10, "3ddfa", "other")
    given = torch.from_numpy(invented(6)).float()
    torch.testing.assert_close(face.landmarks(given), face.vertices(given, torch.arange(68)))
    assert torch.equal(face.resample_ids(torch.Generator(), 0), torch.arange(68))


def test_random_vertices_are_drawn_anew(face: TorchFace, toy_model: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = face.resample_ids(generator), face.resample_ids(generator)
    assert len(first) == 200
    assert torch.equal(first[:68], torch.from_numpy(toy_model.landmark_ids).long())
    assert not torch.equal(first[68:], second[68:])
    assert 0 <= first.min() <= first.max() < len(toy_model.mean)
    assert torch.equal(first, face.resample_ids(torch.Generator().manual_seed(0)))


def test_camera_scale_is_the_fields_typical_one(data: Path) -> None:
    """The released predictions: 5.92e-4 on average, spread 0.29e-4 (paper page, section 4.2); a rotation's own scale."""
    whitened = np.load(data / "peers" / "params_aflw2000_xgtu.npy").reshape(-1, 62)
    p = read_whitening(data / "bfm" / "param_whitening.pkl").unwhiten(whitened)
    scales = camera_scale(torch.from_numpy(p)).numpy()
    assert (scales.mean() * 1e4, scales.std() * 1e4) == pytest.approx((5.92, 0.29), abs=0.006)


def test_camera_scale_of_a_scaled_rotation() -> None:
    pose = np.concatenate([3e-4 * rotation_from_angles(np.array([[50, 20, -10]])), np.ones((1, 3, 1))], axis=2)
    p = torch.from_numpy(join(pose, np.ones((1, 40)), np.ones((1, 10))))
    assert camera_scale(p).item() == pytest.approx(3e-4)


def test_a_face_saves_nothing(face: TorchFace) -> None:
    assert face.state_dict() == {} and list(face.parameters()) == []


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((41, 10), "41 identity and 10 expression components are wanted; 'toy face' has 40 and 10"),
        ((39, 10), "the whitening has 62 numbers; 12 pose \\+ 39 identity \\+ 10 expression = 61"),
    ],
)
def test_parts_that_do_not_fit(
    toy_model: MorphableModel, whitening: Whitening, counts: tuple[int, int], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        TorchFace(toy_model, whitening, *counts, "3ddfa")


# Each loss against loops


def test_wpdc(face: TorchFace, toy_model: MorphableModel, ids: Tensor, pair: tuple[Tensor, Tensor]) -> None:
    expected = np.array(
        [
            sum(w * (a - b) ** 2 for w, a, b in zip(wpdc_weights(face, toy_model, ids, q, t), q, t, strict=True)) / C
            for q, t in zip(*(side.numpy() for side in pair), strict=True)
        ]
    )
    np.testing.assert_allclose(wpdc(*pair, face, ids), expected, rtol=1e-6)


def wpdc_weights(face: TorchFace, model: MorphableModel, ids: Tensor, q: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Section 4.2 for one face, entry by entry."""
    std, mean = face.whitening_std.numpy(), face.whitening_mean.numpy()
    p, truth = q * std + mean, t * std + mean
    shape = np.zeros((len(ids), 3))
    for row, vertex in enumerate(ids.tolist()):
        shape[row] = model.mean[vertex]
        shape[row] += model.identity_basis[vertex].astype(np.float64) @ truth[12:52]
        shape[row] += model.expression_basis[vertex].astype(np.float64) @ truth[52:]
    kappa = math.sqrt(sum(truth[4 * r + c] ** 2 for r in range(3) for c in range(3))) / math.sqrt(3)
    basis = np.concatenate([model.identity_basis, model.expression_basis], axis=2)[ids.numpy()].astype(np.float64)
    weights = np.zeros(C)
    for i in range(C):
        off = abs(p[i] - truth[i])
        if i == TZ:
            continue
        if i >= 12:
            weights[i] = kappa * off * math.sqrt((basis[:, :, i - 12] ** 2).sum())
        elif i % 4 == 3:
            weights[i] = off * math.sqrt(len(ids))
        else:
            weights[i] = off * math.sqrt((shape[:, i % 4] ** 2).sum())
    weights += 1e-6
    weights /= weights.max()
    weights[TZ] = 0
    return weights


def test_weighted(face: TorchFace, toy_model: MorphableModel, pair: tuple[Tensor, Tensor]) -> None:
    """Section 4.1 as it stands: each entry replaced alone, all landmarks placed anew."""
    ids = toy_model.landmark_ids
    for q, t, found in zip(*(side.numpy() for side in pair), weighted(*pair, face).numpy(), strict=True):
        p, truth = (side * face.whitening_std.numpy() + face.whitening_mean.numpy() for side in (q, t))
        there = points_of(toy_model, truth, ids, with_tz=False)
        moved = np.zeros(C)
        for i in range(C):
            one = truth.copy()
            one[i] = p[i]
            moved[i] = np.linalg.norm(points_of(toy_model, one, ids, with_tz=False) - there)
        assert moved[TZ] < 1e-9
        assert found == pytest.approx((moved / moved.sum()) @ (q - t) ** 2, rel=1e-6)


def test_unweighted(pair: tuple[Tensor, Tensor]) -> None:
    expected = [
        sum((a - b) ** 2 for i, (a, b) in enumerate(zip(q, t, strict=True)) if i != TZ) / C
        for q, t in zip(pair[0].tolist(), pair[1].tolist(), strict=True)
    ]
    np.testing.assert_allclose(unweighted(*pair), expected, rtol=1e-9)


def test_vdc(face: TorchFace, toy_model: MorphableModel, ids: Tensor, pair: tuple[Tensor, Tensor]) -> None:
    for q, t, found in zip(*(side.numpy() for side in pair), vdc(*pair, face, ids).numpy(), strict=True):
        p, truth = (side * face.whitening_std.numpy() + face.whitening_mean.numpy() for side in (q, t))
        p[TZ] = truth[TZ]
        off = points_of(toy_model, p, ids.numpy()) - points_of(toy_model, truth, ids.numpy())
        assert found == pytest.approx(sum(value**2 for value in off.ravel()) / off.size, rel=1e-6)


def test_every_vertex_can_be_asked_for(face: TorchFace, toy_model: MorphableModel, pair: tuple[Tensor, Tensor]) -> None:
    everywhere = torch.arange(len(toy_model.mean))
    p, truth = (face.unwhiten(side) for side in pair)
    off = face.vertices(p, everywhere) - face.vertices(truth, everywhere)
    off[:, :, 2] -= (p - truth)[:, None, TZ]
    torch.testing.assert_close(vdc(*pair, face, everywhere), (off**2).mean(dim=(1, 2)))


def random_points(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Given and predicted points, and which are visible (the last face: none)."""
    rng = np.random.default_rng(seed)
    visible = rng.uniform(size=(FACES, 18)) < 0.6
    visible[0, :4], visible[-1] = True, False
    given = rng.uniform(0, 120, (FACES, 18, 2))
    given[~visible] = np.nan
    return torch.from_numpy(given), torch.from_numpy(visible), torch.from_numpy(rng.uniform(0, 120, (FACES, 18, 2)))


@pytest.mark.parametrize("loss", [self_2d, cycle])
def test_landmark_losses(loss: Callable[..., Tensor]) -> None:
    given, visible, predicted = random_points(7)
    expected = np.zeros(FACES)
    for face in range(FACES):
        seen = [i for i in range(18) if visible[face, i]]
        for i in seen:
            share = WEIGHTS[i] / sum(WEIGHTS[j] for j in seen)
            expected[face] += share * sum(
                (float(given[face, i, a]) - float(predicted[face, i, a])) ** 2 for a in (0, 1)
            )
    assert expected[-1] == 0
    np.testing.assert_allclose(loss(given, visible, predicted), expected, rtol=1e-9)
    np.testing.assert_allclose(loss(given, visible, predicted, unit=120), expected / 120**2, rtol=1e-9)


def test_points_all_off_by_the_same_are_off_by_it() -> None:
    """3 and 4 px: 25 px squared, whatever is visible and however it is weighed."""
    given, visible, _ = random_points(8)
    off = self_2d(given, visible, given.nan_to_num() + torch.tensor([3.0, 4.0]))
    assert off.tolist() == pytest.approx([25, 25, 0])


def test_self_3d() -> None:
    rng = np.random.default_rng(9)
    first, second = rng.normal(size=(2, FACES, 68, 3)) * 20
    expected = []
    for a, b in zip(first, second, strict=True):
        total = 0.0
        for i in range(68):
            dz = (a[i, 2] - a[:, 2].mean()) - (b[i, 2] - b[:, 2].mean())
            total += (a[i, 0] - b[i, 0]) ** 2 + (a[i, 1] - b[i, 1]) ** 2 + dz**2
        expected.append(total / 68)
    one, two = torch.from_numpy(first), torch.from_numpy(second)
    np.testing.assert_allclose(self_3d(one, two, False), expected, rtol=1e-9)
    np.testing.assert_allclose(self_3d(one, two, True, unit=2), np.array(expected) / 4, rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "real", "fake", "fooled"),
    [
        ("hinge", lambda x: max(0.0, 1 - x), lambda x: max(0.0, 1 + x), lambda x: -x),
        (
            "bce",
            lambda x: -math.log(1 / (1 + math.exp(-x))),
            lambda x: -math.log(1 - 1 / (1 + math.exp(-x))),
            lambda x: -math.log(1 / (1 + math.exp(-x))),
        ),
    ],
)
def test_critic_losses(kind: CriticKind, real: Callable, fake: Callable, fooled: Callable) -> None:
    """One value per face, the real ones first; there may be more of one side."""
    ours, theirs = [-3.0, 0.2, 5.0], [-4.0, 0.5]
    expected = [real(x) for x in ours] + [fake(x) for x in theirs]
    assert critic_loss(torch.tensor(ours), torch.tensor(theirs), kind).tolist() == pytest.approx(expected, abs=1e-6)
    assert generator_loss(torch.tensor(theirs), kind).tolist() == pytest.approx([fooled(x) for x in theirs], abs=1e-6)
    steep = critic_loss(torch.tensor([-1e4]), torch.tensor([1e4]), kind)
    assert steep.isfinite().all()


# What holds for every face


def test_float32_gives_one_number_a_face(
    toy_model: MorphableModel, whitening: Whitening, ids: Tensor, pair: tuple[Tensor, Tensor]
) -> None:
    """And nearly the same as float64."""
    small = TorchFace(toy_model, whitening, 40, 10, "3ddfa-v2")
    large = TorchFace(toy_model, whitening, 40, 10, "3ddfa-v2").double()
    q, t = (side.float() for side in pair)
    for loss in (
        lambda f, a, b: wpdc(a, b, f, ids),
        lambda f, a, b: weighted(a, b, f),
        lambda _, a, b: unweighted(a, b),
        lambda f, a, b: vdc(a, b, f, ids),
    ):
        found = loss(small, q, t)
        assert found.dtype == torch.float32 and found.shape == (FACES,)
        torch.testing.assert_close(found.double(), loss(large, *pair), rtol=1e-4, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):  # as a network under autocast hands them over
        assert vdc(q.bfloat16(), t, small, ids).dtype == wpdc(q.bfloat16(), t, small, ids).dtype == torch.float32


def test_tz_costs_nothing(face: TorchFace, ids: Tensor, pair: tuple[Tensor, Tensor]) -> None:
    q, t = pair
    far = q.clone()
    far[:, TZ] += 7
    for loss in (wpdc, vdc):
        torch.testing.assert_close(loss(far, t, face, ids), loss(q, t, face, ids))
    torch.testing.assert_close(weighted(far, t, face), weighted(q, t, face))
    torch.testing.assert_close(unweighted(far, t), unweighted(q, t))
    first, second = (face.landmarks(face.unwhiten(side)) for side in (q, far))
    assert float(self_3d(first, second, False).max()) < 1e-15


def test_perfect_and_degenerate_faces_give_zero_and_finite_gradients(
    face: TorchFace, ids: Tensor, pair: tuple[Tensor, Tensor]
) -> None:
    """The truth predicted; a face of no size (M = 0); and one vertex only."""
    truth = pair[1].clone()
    flat = face.unwhiten(truth).clone()
    flat[:, [0, 1, 2, 4, 5, 6, 8, 9, 10]] = 0
    nothing = face.whiten(flat)
    for target in (truth, nothing):
        for which in (ids, ids[:1]):
            q = target.clone().requires_grad_()
            losses = [wpdc(q, target, face, which), weighted(q, target, face), unweighted(q, target)]
            losses.append(vdc(q, target, face, which))
            landmarks = face.landmarks(face.unwhiten(q))
            losses.append(self_3d(landmarks, landmarks.clone(), False))
            assert all((loss == 0).all() for loss in losses)
            (gradient,) = torch.autograd.grad(torch.stack(losses).sum(), q)
            assert gradient.isfinite().all()
    off = nothing.clone().requires_grad_()
    total = wpdc(off, truth, face, ids) + weighted(off, truth, face) + wpdc(truth, off, face, ids)
    (gradient,) = torch.autograd.grad(total.sum(), off)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("loss", [self_2d, cycle])
def test_no_visible_point_means_no_loss_and_no_gradient(loss: Callable[..., Tensor]) -> None:
    given, visible, predicted = random_points(10)
    predicted.requires_grad_()
    found = loss(given, visible, predicted)
    assert found[-1] == 0
    (gradient,) = torch.autograd.grad(found.sum(), predicted)
    assert gradient.isfinite().all()
    assert (gradient[~visible] == 0).all() and (gradient[visible] != 0).all()


def test_a_pose_error_weighs_more_than_the_same_in_shape(face: TorchFace, ids: Tensor, whitening: Whitening) -> None:
    """The order that the weights are for: one standard deviation off in M counts more than in any component, and among
    M's entries the weights follow what they move."""
    truth = torch.from_numpy(whitening.whiten(invented(11, 1)))
    alone = torch.cat([truth, truth + torch.eye(C, dtype=truth.dtype)])  # row 1 + i: entry i off
    together = truth + 1.0
    weights = wpdc_slopes(together, truth, face, ids)[0]
    pose = [i for i in range(12) if i != TZ]
    assert weights[pose].median() > weights[12:].max()
    assert weights.max() == pytest.approx(1)
    moved = (face.landmarks(face.unwhiten(alone[1:])) - face.landmarks(face.unwhiten(truth))).flatten(1).norm(dim=1)
    order = torch.argsort(moved[pose])
    assert weights[pose][order[-1]] > 2 * weights[pose][order[0]]


def wpdc_slopes(q: Tensor, truth: Tensor, face: TorchFace, ids: Tensor) -> Tensor:
    """The weights, as the gradient shows them: C / 2 gradient / (q - q*)."""
    q = q.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(wpdc(q, truth, face, ids).sum(), q)
    return gradient * C / 2 / (q.detach() - truth)


# Gradients


def test_wpdc_gradient_leaves_the_weights_alone(
    face: TorchFace, toy_model: MorphableModel, ids: Tensor, pair: tuple[Tensor, Tensor]
) -> None:
    """Differences of sum w (q - q*)^2 with w held where it was."""
    found = wpdc_slopes(*pair, face, ids).numpy()
    for row, (q, t) in enumerate(zip(*(side.numpy() for side in pair), strict=True)):
        held = wpdc_weights(face, toy_model, ids, q, t)
        np.testing.assert_allclose(found[row], held, rtol=1e-6, atol=1e-12)
    step = 1e-6
    q, t = pair[0][:1], pair[1][:1]
    weights = torch.from_numpy(wpdc_weights(face, toy_model, ids, q[0].numpy(), t[0].numpy()))
    for i in (0, 3, 11, 12, 61):
        up, down = (((weights * (q + side * step * torch.eye(C)[i] - t) ** 2).sum() / C).item() for side in (1, -1))
        slope = found[0, i] * 2 / C * (q - t)[0, i].item()
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-9)


def test_weighted_gradient_leaves_the_weights_alone(face: TorchFace, pair: tuple[Tensor, Tensor]) -> None:
    """Then sum_i gradient_i (q_i - q*_i) is twice the loss, and the weights that it shows add up to 1."""
    q = pair[0].clone().requires_grad_()
    loss = weighted(q, pair[1], face)
    (gradient,) = torch.autograd.grad(loss.sum(), q)
    off = (q - pair[1]).detach()
    torch.testing.assert_close((gradient * off).sum(dim=1), 2 * loss.detach())
    torch.testing.assert_close((gradient / off / 2).sum(dim=1), torch.ones(FACES, dtype=torch.float64))


def test_gradients_are_those_of_differences(face: TorchFace, ids: Tensor, pair: tuple[Tensor, Tensor]) -> None:
    q = pair[0].clone().requires_grad_()
    given, visible, predicted = random_points(12)
    predicted.requires_grad_()
    first = torch.randn(FACES, 68, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 10
    second = (first.flip(0) + 1).requires_grad_()
    first.requires_grad_()
    logits = torch.tensor([-2.0, 0.3, 2.0], dtype=torch.float64, requires_grad=True)
    few = ids[:80]
    check = torch.autograd.gradcheck
    assert check(lambda x: unweighted(x, pair[1]), (q,))
    assert check(lambda x: vdc(x, pair[1], face, few), (q,), eps=1e-5, rtol=1e-5, atol=1e-5)
    assert check(lambda x: self_2d(given, visible, x), (predicted,))
    assert check(lambda x: cycle(given, visible, x, 120), (predicted,))
    assert check(lambda a, b: self_3d(a, b, False), (first, second))
    for kind in ("hinge", "bce"):
        fake = logits.detach().clone().requires_grad_()
        assert check(lambda x, y, kind=kind: critic_loss(x, y, kind), (logits, fake))
        assert check(lambda x, kind=kind: generator_loss(x, kind), (logits,))


def through_points(face: TorchFace, q: Tensor) -> Tensor:
    return face.points18(face.landmarks(face.unwhiten(q)))


def test_points_have_gradients(face: TorchFace, pair: tuple[Tensor, Tensor]) -> None:
    q = pair[0][:1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: through_points(face, x), (q,), eps=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["binary", "gauss"])
def test_no_gradient_passes_the_rasteriser(face: TorchFace, pair: tuple[Tensor, Tensor], kind: MapKind) -> None:
    q = pair[0].clone().requires_grad_()
    drawn = rasterise(through_points(face, q), torch.ones(FACES, 18, dtype=torch.bool), kind)
    assert drawn is not None
    assert not drawn.requires_grad


@pytest.fixture
def passes(face: TorchFace, whitening: Whitening) -> tuple[nn.Module, nn.Module, Tensor, Tensor, Tensor]:
    """Two networks in place of the two passes of one, so that it shows which gets a gradient; the given points, and the
    landmarks (B, 68, 3) of both passes."""
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(120 * 120, C)).double() for _ in range(2)]
    given = through_points(face, torch.from_numpy(whitening.whiten(invented(13))))
    seen = torch.ones(FACES, 18, dtype=torch.bool)
    landmarks, points = [], given
    for network in networks:
        drawn = rasterise(points, seen, "binary")
        assert drawn is not None
        landmarks.append(face.landmarks(face.unwhiten(0.1 * network(drawn.double()))))
        points = face.points18(landmarks[-1])
    return networks[0], networks[1], given, landmarks[0], landmarks[1]


def reached(network: nn.Module) -> bool:
    return all(p.grad is not None and bool((p.grad != 0).any()) for p in network.parameters())


def untouched(network: nn.Module) -> bool:
    return all(p.grad is None for p in network.parameters())


def test_cycle_trains_the_second_pass_only(face: TorchFace, passes: tuple) -> None:
    first, second, given, _, after = passes
    cycle(given, torch.ones(FACES, 18, dtype=torch.bool), face.points18(after)).sum().backward()
    assert untouched(first) and reached(second)


def test_self_2d_trains_the_first_pass(face: TorchFace, passes: tuple) -> None:
    first, second, given, before, _ = passes
    self_2d(given, torch.ones(FACES, 18, dtype=torch.bool), face.points18(before)).sum().backward()
    assert reached(first) and untouched(second)


def test_self_3d_trains_both_passes(passes: tuple) -> None:
    first, second, _, before, after = passes
    self_3d(before, after, stop_gradient=False).sum().backward()
    assert reached(first) and reached(second)


def test_self_3d_with_a_stopped_gradient_trains_the_second(passes: tuple) -> None:
    first, second, _, before, after = passes
    self_3d(before, after, stop_gradient=True).sum().backward()
    assert untouched(first) and reached(second)


# The landmark map


def awkward_landmarks() -> np.ndarray:
    """Random faces, and points on the borders and beyond them, or not finite: (B, 68, 2) float32."""
    rng = np.random.default_rng(14)
    landmarks = rng.uniform(-20, 140, (60, 68, 2))
    borders = np.array([0, -0.0, -1e-6, -0.5, 0.5, 119, 119.5, 119.99999, 120, 120.5, -1, 1e9, np.nan, np.inf, -np.inf])
    landmarks[10:40] = rng.choice(borders, (30, 68, 2))
    landmarks[40:] = np.round(landmarks[40:])
    return landmarks.astype(np.float32)


def test_binary_map_is_the_numpy_map(face: TorchFace) -> None:
    landmarks = awkward_landmarks()
    points = TorchFace.points18(face, torch.from_numpy(landmarks))
    drawn = rasterise(points, torch.ones(len(points), 18, dtype=torch.bool), "binary")
    assert drawn is not None and drawn.dtype == torch.float32 and drawn.shape == (60, 1, 120, 120)
    for image, one in zip(drawn[:, 0].numpy(), landmarks, strict=True):
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(image, landmark_map(one))


def test_invisible_points_are_left_out(face: TorchFace) -> None:
    """As a map whose invisible landmarks lie outside."""
    landmarks = np.random.default_rng(15).uniform(0, 120, (1, 68, 2)).astype(np.float32)
    points = TorchFace.points18(face, torch.from_numpy(landmarks))
    visible = torch.ones(1, 18, dtype=torch.bool)
    visible[0, [0, 7, 16]] = False
    hidden = landmarks.copy()
    hidden[:, [index for point in (0, 7, 16) for index in POINTS[point]]] = -1000
    drawn = rasterise(points, visible, "binary")
    assert drawn is not None
    np.testing.assert_array_equal(drawn[0, 0], landmark_map(hidden[0]))


def test_gauss_map_against_loops(face: TorchFace) -> None:
    landmarks = awkward_landmarks()[[0, 15, 50]]
    points = TorchFace.points18(face, torch.from_numpy(landmarks))
    visible = torch.from_numpy(np.random.default_rng(16).uniform(size=(3, 18)) < 0.8)
    drawn = rasterise(points, visible, "gauss")
    assert drawn is not None and drawn.dtype == torch.float32
    rows, columns = np.mgrid[:120, :120]
    for image, places, seen in zip(drawn[:, 0].numpy(), points.numpy().astype(np.float64), visible, strict=True):
        expected = np.full((120, 120), -1.0)
        for (x, y), shown in zip(places, seen, strict=True):
            if shown and 0 <= x < 120 and 0 <= y < 120:
                hill = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.5**2))
                expected = np.maximum(expected, 2 * hill - 1)
        np.testing.assert_allclose(image, expected, atol=1e-5)


def test_a_point_on_a_pixel_is_its_peak() -> None:
    points = torch.tensor([[[30.0, 50.0]] * 18])
    drawn = rasterise(points, torch.ones(1, 18, dtype=torch.bool), "gauss")
    assert drawn is not None
    assert drawn[0, 0, 50, 30] == 1 and drawn.min() == -1
    assert rasterise(points, torch.ones(1, 18, dtype=torch.bool), "none") is None
