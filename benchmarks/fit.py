"""How long does fitting take, all faces at once and one alone, beside a plain scipy loop over the faces?

    python benchmarks/fit.py --model bfm.h5 --annotations FOLDER [--json]
    python benchmarks/fit.py [--count 2000]        (the tests' invented model and faces)

The result is checked first: where the loop ends, on the same sum of squares, the batch ends too, or lower.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from twodasl.models.fitting.fit import Fit, fit_landmarks
from twodasl.models.fitting.settings import ANNOTATED, DETECTED, FitSettings, landmark_indices
from twodasl.models.morphable import MorphableModel

SAMPLE = 20


def seconds(work: Callable[[], Any], runs: int = 3) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def invent(count: int) -> tuple[MorphableModel, np.ndarray]:
    """The toy model, and landmarks of its faces with 1 mm of noise: (count, 68, 3), photo pixels, y down."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from tests.toy import toy_face_model
    from twodasl.models.pose import rotation_from_angles

    sigmas = np.full(40, 1e5, np.float32), np.ones(10, np.float32)
    model = replace(toy_face_model(), identity_sigma=sigmas[0], expression_sigma=sigmas[1])
    rng = np.random.default_rng(0)
    shape = model.landmarks(rng.normal(size=(count, 40)) * 1e5, rng.normal(size=(count, 10)))
    rotation = rotation_from_angles(rng.uniform([-90, -30, -40], [90, 30, 40], (count, 3)))
    points = 1e-3 * shape @ np.swapaxes(rotation, 1, 2) + rng.normal(size=shape.shape)
    return model, points * [1, -1, 1] + [200, 200, 0]


class PlainFit:
    """One face, as one would write it first: residuals in a function, derivatives by differences, MAP with 1 mm."""

    def __init__(self, model: MorphableModel, points: np.ndarray) -> None:
        assert model.identity_sigma is not None
        assert model.expression_sigma is not None
        self.model, self.points = model, points * [1, -1, 1]
        self.sigmas = np.concatenate([model.identity_sigma[:40], model.expression_sigma[:10]]).astype(float)

    def posed(self, unknowns: np.ndarray) -> np.ndarray:
        from scipy.spatial.transform import Rotation

        coefficients = unknowns[7:] * self.sigmas
        shape = self.model.landmarks(coefficients[:40], coefficients[40:]) * 1e-3
        return np.exp(unknowns[0]) * shape @ Rotation.from_rotvec(unknowns[1:4]).as_matrix().T + unknowns[4:7]

    def residuals(self, unknowns: np.ndarray) -> np.ndarray:
        off = (self.posed(unknowns) - self.points) / np.exp(self.noise)
        return np.concatenate([off.ravel(), unknowns[7:]])

    def solve(self) -> np.ndarray:
        """As `fit_landmarks`: the noise is a length on the face, so its scale is held and solved for again."""
        from scipy.spatial.transform import Rotation

        mean = self.model.landmarks(np.zeros(40), np.zeros(10)) * 1e-3
        source, target = mean - mean.mean(axis=0), self.points - self.points.mean(axis=0)
        turn, _ = Rotation.align_vectors(target, source)
        scale = np.sqrt((target**2).sum() / (source**2).sum())
        shift = self.points.mean(axis=0) - scale * turn.apply(mean.mean(axis=0))
        unknowns = np.concatenate([[np.log(scale)], turn.as_rotvec(), shift, np.zeros(50)])
        for _ in range(4):
            self.noise = unknowns[0]
            unknowns = least_squares(self.residuals, unknowns, x_scale="jac", xtol=1e-10, ftol=1e-12).x
        return self.posed(unknowns) * [1, -1, 1]


def check(fit: Fit, points: np.ndarray, model: MorphableModel, rows: list[int]) -> float:
    """The loop and the batch end at the same landmarks: seconds a face of the loop."""
    start = time.perf_counter()
    plain = np.stack([PlainFit(model, points[row]).solve() for row in rows])
    taken = (time.perf_counter() - start) / len(rows)
    off = np.abs(plain - fit.landmarks[rows]).max()
    assert off < 0.05, f"the plain loop ends {off:.3f} px from the batch"
    return taken


def measure(model: MorphableModel, points: np.ndarray) -> dict[str, Any]:
    fit = fit_landmarks(points, model, ANNOTATED)
    good = [row for row, status in enumerate(fit.status) if status == "ok"]
    assert len(good) >= 0.99 * len(points), f"{len(points) - len(good)} faces failed"
    plain = check(fit, points, model, good[:: max(1, len(good) // SAMPLE)][:SAMPLE])
    flat = points[..., :2]
    inner = landmark_indices(["brows", "nose", "eyes", "mouth"])

    def each(settings: FitSettings, aims: np.ndarray) -> Callable[[], Any]:
        return lambda: fit_landmarks(aims, model, settings)

    together = {
        "3D, MAP": each(ANNOTATED, points),
        "3D, MAP, affine": each(replace(ANNOTATED, camera="affine"), points),
        "2D, MAP": each(ANNOTATED, flat),
        "2D, robust, contour": each(DETECTED, flat),
        "2D, robust, no jaw": lambda: fit_landmarks(flat[:, inner], model, replace(DETECTED, contour=False), inner),
    }
    alone = {
        "3D, MAP": each(ANNOTATED, points[good[:1]]),
        "2D, robust, contour": each(DETECTED, flat[good[:1]]),
    }
    batch = {name: seconds(work) for name, work in together.items()}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "hardware": platform.processor() or platform.machine(),
        "faces": len(points),
        "failed": len(points) - len(good),
        "seconds_together": batch,
        "milliseconds_alone": {name: 1000 * seconds(work, 20) for name, work in alone.items()},
        "plain_loop_milliseconds": 1000 * plain,
        "speedup_over_plain": plain * len(points) / batch["3D, MAP"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--annotations", type=Path, help="a folder of AFLW2000-3D .mat")
    parser.add_argument("--count", type=int, default=2000, help="invented faces")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.model and arguments.annotations:
        from twodasl.models.fitting.runs import read_annotations

        model = MorphableModel.load(arguments.model)
        points = read_annotations(arguments.annotations, np.arange(68)).points
    else:
        model, points = invent(arguments.count)
    measured = measure(model, points)
    if arguments.json:
        print(json.dumps(measured))
        return
    print(f"{measured['faces']} faces, commit {measured['commit']}, {measured['hardware']}")
    for name, value in measured["seconds_together"].items():
        print(f"  all at once: {name:22} {value:7.2f} s")
    for name, value in measured["milliseconds_alone"].items():
        print(f"  one alone:   {name:22} {value:7.2f} ms")
    print(f"  scipy, a face at a time:            {measured['plain_loop_milliseconds']:7.2f} ms a face")
    print(f"all at once is {measured['speedup_over_plain']:.0f} times as fast as the loop (3D, MAP)")


if __name__ == "__main__":
    main()
