"""How long does a batch take in all losses, beside a loop over its faces, and what do both cost beside a network?

    python benchmarks/losses.py [--model bfm.h5] [--batch 32] [--repeats 20] [--json]

Without a model, the package's own face. Forward and backward of every loss from whitened coefficients, with a landmark
map of either kind, on one thread; the fastest of the repeats in processor time. Checked first: the loop, in NumPy and
float64, gives every forward value.
"""

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twodasl.models.coefficients import Whitening, join, split
from twodasl.models.landmark_map import landmark_map, map_points
from twodasl.models.library import bundled_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.networks import Architecture
from twodasl.models.pose import crop_from_crop_up, crop_up_from_model, rotation_from_angles
from twodasl.models.training.face import TorchFace
from twodasl.models.training.losses import POINT_WEIGHTS, TZ, cycle, self_2d, self_3d, unweighted, vdc, weighted, wpdc
from twodasl.models.training.maps import rasterise

Losses = dict[str, Callable[[], Tensor]]


def fastest(work: Callable[[], Any], repeats: int) -> float:
    """Milliseconds of processor time."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def invent(model: MorphableModel, count: int) -> np.ndarray:
    """Coefficients (count, 62) of faces in the crop."""
    rng = np.random.default_rng(0)
    rotation = rotation_from_angles(rng.uniform([-80, -20, -20], [80, 20, 20], (count, 3)))
    pose = np.concatenate([5e-4 * rotation, rng.normal(60, 5, (count, 3, 1))], axis=2)
    sigmas = [np.ones(n) if s is None else s[:n] for s, n in ((model.identity_sigma, 40), (model.expression_sigma, 10))]
    return join(pose, rng.normal(size=(count, 40)) * sigmas[0], rng.normal(size=(count, 10)) * sigmas[1])


class Loop:
    """The losses as one would write them first: NumPy, float64, one face after another."""

    def __init__(self, model: MorphableModel, whitening: Whitening, ids: np.ndarray) -> None:
        self.whitening, self.ids = whitening, ids
        self.mean = model.mean[ids].astype(np.float64)
        bases = (model.identity_basis[ids, :, :40], model.expression_basis[ids, :, :10])
        self.basis = np.concatenate(bases, axis=2).astype(np.float64)

    def shape(self, p: np.ndarray) -> np.ndarray:
        return self.mean + self.basis @ p[12:]

    def points(self, p: np.ndarray) -> np.ndarray:
        return crop_from_crop_up(crop_up_from_model(self.shape(p), split(p, 40)[0]), "3ddfa-v2")

    def wpdc(self, q: np.ndarray, t: np.ndarray) -> float:
        p, truth = self.whitening.unwhiten(q), self.whitening.unwhiten(t)
        extents = np.linalg.norm(self.shape(truth), axis=0)
        kappa = np.linalg.norm(split(truth, 40)[0][:, :3]) / np.sqrt(3)
        weights = np.abs(p - truth)
        for i in range(62):
            if i >= 12:
                weights[i] *= kappa * np.linalg.norm(self.basis[:, :, i - 12])
            else:
                weights[i] *= np.sqrt(len(self.ids)) if i % 4 == 3 else extents[i % 4]
        weights[TZ] = 0
        weights = (weights + 1e-6) / (weights.max() + 1e-6)
        weights[TZ] = 0
        return float((weights * (q - t) ** 2).mean())

    def weighted(self, q: np.ndarray, t: np.ndarray) -> float:
        p, truth = self.whitening.unwhiten(q), self.whitening.unwhiten(t)
        there, moved = self.points(truth)[:68], np.zeros(62)
        for i in range(62):
            one = truth.copy()
            one[i] = truth[i] if i == TZ else p[i]
            moved[i] = np.linalg.norm(self.points(one)[:68] - there)
        return float(moved / moved.sum() @ (q - t) ** 2)

    def unweighted(self, q: np.ndarray, t: np.ndarray) -> float:
        return float(np.delete((q - t) ** 2, TZ).sum() / 62)

    def vdc(self, q: np.ndarray, t: np.ndarray) -> float:
        p, truth = self.whitening.unwhiten(q), self.whitening.unwhiten(t)
        p[TZ] = truth[TZ]
        return float(((self.points(p) - self.points(truth)) ** 2).mean())

    def landmarks(self, q: np.ndarray) -> np.ndarray:
        return self.points(self.whitening.unwhiten(q))[:68]

    def flat(self, given: np.ndarray, q: np.ndarray) -> float:
        off = map_points(given) - map_points(self.landmarks(q))
        return float(np.average((off**2).sum(axis=1), weights=POINT_WEIGHTS))

    def solid(self, q: np.ndarray, t: np.ndarray) -> float:
        off = self.landmarks(q) - self.landmarks(t)
        off[:, 2] -= off[:, 2].mean()
        return float((off**2).sum(axis=1).mean())


def measure(model: MorphableModel, batch: int, repeats: int) -> dict[str, Any]:
    labels = invent(model, 1000)
    whitening = Whitening(labels.mean(axis=0).astype(np.float32), labels.std(axis=0).astype(np.float32))
    face = TorchFace(model, whitening, 40, 10, "3ddfa-v2")
    ids = face.resample_ids(torch.Generator().manual_seed(0))
    truth = torch.from_numpy(whitening.whiten(labels[:batch])).float()
    other = torch.from_numpy(whitening.whiten(labels[batch : 2 * batch])).float()
    q = (truth + 0.3 * (other - truth)).requires_grad_()
    second = truth + 0.1
    seen = torch.ones(batch, 18, dtype=torch.bool)
    given = face.landmarks(face.unwhiten(truth))

    def points(whitened: Tensor) -> Tensor:
        return face.points18(face.landmarks(face.unwhiten(whitened)))

    losses: Losses = {
        "wpdc": lambda: wpdc(q, truth, face, ids),
        "weighted": lambda: weighted(q, truth, face),
        "unweighted": lambda: unweighted(q, truth),
        "vdc": lambda: vdc(q, truth, face, ids),
        "self_2d": lambda: self_2d(face.points18(given), seen, points(q)),
        "self_3d": lambda: self_3d(face.landmarks(face.unwhiten(q)), face.landmarks(face.unwhiten(second)), False),
        "cycle": lambda: cycle(face.points18(given), seen, points(q)),
    }
    loop = Loop(model, whitening, ids.numpy())
    rows = [tuple(side[row].detach().double().numpy() for side in (q, truth, second)) for row in range(batch)]
    places = given.double().numpy()
    plain: dict[str, Callable[[], list[float]]] = {
        "wpdc": lambda: [loop.wpdc(a, t) for a, t, _ in rows],
        "weighted": lambda: [loop.weighted(a, t) for a, t, _ in rows],
        "unweighted": lambda: [loop.unweighted(a, t) for a, t, _ in rows],
        "vdc": lambda: [loop.vdc(a, t) for a, t, _ in rows],
        "self_2d": lambda: [loop.flat(p, a) for p, (a, _, _) in zip(places, rows, strict=True)],
        "self_3d": lambda: [loop.solid(a, s) for a, _, s in rows],
        "cycle": lambda: [loop.flat(p, a) for p, (a, _, _) in zip(places, rows, strict=True)],
    }
    for name, loss in losses.items():
        np.testing.assert_allclose(loss().detach().numpy(), plain[name](), rtol=2e-3, err_msg=name)

    def with_gradient(loss: Callable[[], Tensor]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(loss().mean(), q)

    with torch.no_grad():
        forward = {name: fastest(loss, repeats) for name, loss in losses.items()}
    both = {name: fastest(with_gradient(loss), repeats) for name, loss in losses.items()}
    looped = {name: fastest(work, 3) for name, work in plain.items()}
    flat = points(truth).detach()
    maps = {kind: fastest(lambda kind=kind: rasterise(flat, seen, kind), repeats) for kind in ("binary", "gauss")}  # type: ignore[misc]
    maps["numpy loop"] = fastest(lambda: [landmark_map(one[:, :2]) for one in places], 3)
    network, images = Architecture("mobilenet-v1", 0.5).build(), torch.rand(batch, 4, 120, 120)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "hardware": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "model": model.name,
        "vertices": len(model.mean),
        "batch": batch,
        "forward_ms": forward,
        "forward_backward_ms": both,
        "loop_forward_ms": looped,
        "maps_ms": maps,
        "loop_over_batch": sum(looped.values()) / sum(forward.values()),
        "smallest_network_forward_backward_ms": fastest(lambda: network(images).sum().backward(), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = MorphableModel.load(arguments.model) if arguments.model else bundled_model()
    measured = measure(model, arguments.batch, arguments.repeats)
    if arguments.json:
        print(json.dumps(measured))
        return
    print(
        f"{measured['batch']} faces of {measured['model']} ({measured['vertices']} vertices), torch {measured['torch']}"
    )
    print(f"commit {measured['commit']}, {measured['hardware']}, one thread, processor time\n")
    print(f"{'':12}{'forward':>12}{'and backward':>16}{'loop, forward':>17}")
    for name, value in measured["forward_ms"].items():
        both, looped = measured["forward_backward_ms"][name], measured["loop_forward_ms"][name]
        print(f"{name:12}{value:9.2f} ms{both:13.2f} ms{looped:14.1f} ms")
    total = sum(measured["forward_backward_ms"].values())
    print(
        f"\nall losses, forward: {measured['loop_over_batch']:.0f} times as fast as the loop; with gradients {total:.1f} ms"
    )
    print("maps: " + ", ".join(f"{kind} {value:.2f} ms" for kind, value in measured["maps_ms"].items()))
    print(f"one pass of mobilenet-v1 x0.5, with gradients: {measured['smallest_network_forward_backward_ms']:.0f} ms")


if __name__ == "__main__":
    main()
