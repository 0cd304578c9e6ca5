"""Which loss, noise and jaw weight suit detected landmarks? Chosen on AFLW, as AFLW2000-3D is what is scored.

    python benchmarks/fit_weights.py --model bfm.h5 --labels DATA/aflw/labels.npz [--count 800] [--json]

No detector's 68 points of AFLW are to be had. So each crop's 68 points are those of its teacher's parameters; the jaw is
moved to the silhouette, where detectors see it, and noise is added whose median and 90th percentile grow with yaw as a
detector's do (2DASL page, section 5), half of it common to a group of points. What is scored is the distance to the
unmoved points without noise. The settings in `fit_settings.DETECTED` are the best of this table that keep the jaw below
the other points' weight.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from twodasl.evaluation.nme import YAW_BINS, nme, yaw_bin
from twodasl.models.coefficients import split
from twodasl.models.fitting.contour import jaw_paths, jaw_sides, silhouette
from twodasl.models.fitting.fit import fit_landmarks
from twodasl.models.fitting.settings import ANNOTATED, DETECTED, GROUPS, Robust
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import crop_from_crop_up, crop_up_from_model

MEDIAN_PX = np.array([2.13, 2.48, 2.90])  # by yaw bin, crop pixels
FREEDOM = np.array([2.5, 1.4, 1.0])  # of the Student-t whose 90th percentiles are 5.6, 9.7 and 17.5 px


def crops(labels: Path, model: MorphableModel, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True points (n, 68, 2), seen points (n, 68, 2), crop pixels from 0, y down, and the yaw bin of each crop."""
    rng = np.random.default_rng(0)
    with np.load(labels, allow_pickle=False) as file:
        chosen = np.sort(rng.choice(len(file["yaw"]), count, replace=False))
        coefficients, yaw = file["mb05_params"][chosen].astype(np.float64), file["yaw"][chosen]
    bins = yaw_bin(yaw)
    pose, identity, expression = split(coefficients, 40)
    true = crop_from_crop_up(crop_up_from_model(model.landmarks(identity, expression), pose), "3ddfa-v2")[..., :2]
    seen = true.copy()
    seen[:, : len(GROUPS["jaw"])] = _visible_jaw(model, pose, identity, expression)
    return true, seen + _noise(bins, rng), bins


def _visible_jaw(model: MorphableModel, pose: np.ndarray, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
    paths = jaw_paths(model)
    candidates = model.mean[paths].astype(np.float64)
    candidates = candidates + np.einsum("jsdk,nk->njsd", model.identity_basis[paths][..., :40], identity)
    candidates += np.einsum("jsdk,nk->njsd", model.expression_basis[paths][..., :10], expression)
    posed = np.einsum("nde,njse->ndjs", pose[:, :2, :3], candidates)
    chosen = silhouette(posed, pose[:, :2, 1], jaw_sides(model))
    jaw = np.take_along_axis(candidates, chosen[:, :, None, None], axis=2)[:, :, 0]
    return crop_from_crop_up(crop_up_from_model(jaw, pose), "3ddfa-v2")[..., :2]


def _noise(bins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    freedom = FREEDOM[bins]
    scale = MEDIAN_PX[bins] / np.sqrt(freedom * (2 ** (2 / freedom) - 1))
    noise = np.zeros((len(bins), 68, 2))
    for group in map(list, GROUPS.values()):
        shared = np.sqrt(freedom / rng.chisquare(freedom)).clip(0, 10)[:, None, None]
        own = np.sqrt(freedom[:, None] / rng.chisquare(np.tile(freedom[:, None], (1, len(group))))).clip(0, 10)
        noise[:, group] = shared * rng.normal(size=(len(bins), 1, 2)) + own[..., None] * rng.normal(
            size=(len(bins), len(group), 2)
        )
    return noise * (scale / np.sqrt(2))[:, None, None]


def by_bin(points: np.ndarray, true: np.ndarray, bins: np.ndarray) -> list[float]:
    values = nme(points, true).clip(0, 1)
    return [100 * float(np.nanmean(values[bins == index])) for index in range(len(YAW_BINS))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--count", type=int, default=800)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    model = MorphableModel.load(arguments.model)
    true, seen, bins = crops(arguments.labels, model, arguments.count)
    settings = {"plain least squares": replace(ANNOTATED, prior=0), "MAP, 1 mm": ANNOTATED}
    losses: tuple[tuple[Robust, float], ...] = (("huber", 1.5), ("geman-mcclure", 3.0), ("student-t", 2.0))
    for robust, scale in losses:
        for noise in (2.0, 3.0, 4.0):
            for jaw in (1.0, 0.5, 0.3, 0.1):
                for contour in (False, True):
                    name = f"{robust} {scale:g}, {noise:g} mm, jaw {jaw:g}{', contour' if contour else ''}"
                    settings[name] = replace(
                        DETECTED, robust=robust, robust_scale=scale, noise_mm=noise, jaw=jaw, contour=contour
                    )
    rows = {"the points themselves": by_bin(seen, true, bins)}
    for name, each in settings.items():
        fit = fit_landmarks(seen, model, each)
        rows[name] = by_bin(fit.landmarks[..., :2], true, bins)
    if arguments.json:
        print(json.dumps({name: {"bins": row, "mean_over_bins": float(np.mean(row))} for name, row in rows.items()}))
        return
    print(f"{'2D NME, percent':45}" + "".join(f"{name:>9}" for name in (*YAW_BINS, "mean")))
    for name, row in rows.items():
        print(f"{name:45}" + "".join(f"{value:9.2f}" for value in (*row, np.mean(row))))


if __name__ == "__main__":
    main()
