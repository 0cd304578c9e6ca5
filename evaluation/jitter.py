"""Jitter: how much landmarks shake from frame to frame (`twodasl eval jitter`)."""

import numpy as np

from ..models.errors import NamesError
from ..models.runs import Run
from .measured import Measured, mean_or_none, median_or_none
from .nme import box_size


def score_jitter(run: Run, method: str, dims: int = 2) -> Measured:
    """The acceleration of the landmarks of a run whose rows are the frames of a video, in their order.

    Of each three frames in a row, |p(t - 1) - 2 p(t) + p(t + 1)|, mean of the 68 points, over the size of the middle
    frame's 68-point box; in percent per frame squared. Steady motion in a straight line has none. A frame without a
    face breaks the row: nothing is measured across it. Only the first face of each frame counts.
    Raises NamesError where no three frames follow one another.
    """
    first = run.face == 0
    points = np.where(run.valid[:, None, None], run.landmarks, np.nan)[first]
    names = tuple(name for name, kept in zip(run.names, first, strict=True) if kept)
    pixels, values = np.full(len(names), np.nan), np.full(len(names), np.nan)
    if len(names) > 2:
        moved = points[:-2] - 2 * points[1:-1] + points[2:]
        pixels[1:-1] = np.linalg.norm(moved[..., :dims], axis=2).mean(axis=1)
        values[1:-1] = 100 * pixels[1:-1] / box_size(points[1:-1])
    measured = ~np.isnan(values)
    if not measured.any():
        raise NamesError(f"{method} has no three frames with a face in a row; acceleration needs them")
    return Measured(
        metric="jitter",
        method=method,
        unit="percent of the face's size per frame squared",
        choices={
            "frames": "the rows of the run, in its order; the first face of each",
            "acceleration": "|p(t - 1) - 2 p(t) + p(t + 1)|, mean of 68 points",
            "size": "sqrt(width * height) of the x-y box of the predicted 68 points",
            "dims": dims,
        },
        names=names,
        values=values,
        summary={
            "mean": mean_or_none(values),
            "median": median_or_none(values),
            "p95": float(np.percentile(values[measured], 95)),
            "mean_px": mean_or_none(pixels),
            "n": int(measured.sum()),
            "n_frames": len(names),
        },
        columns={"acceleration_px": pixels},
        failed=tuple(name for name, good in zip(names, run.valid[first], strict=True) if not good),
    )
