"""What curves are made of: shares below each error, medians along an angle, the original's counts."""

from dataclasses import dataclass

import numpy as np

# Where the original's "number of images vs NME" plots end, percent (original pipeline, 11.7).
ORIGINAL_X = {
    ("nme_sparse", 2): 8,
    ("nme_sparse", 3): 10,
    ("nme_dense", 2): 10,
    ("nme_dense", 3): 15,
    ("nme_recon", 3): 5,
}
ORIGINAL_Y = 40  # its number of images
WINDOW_SHARE, SMALLEST_WINDOW = 12, 5  # a window holds one in 12 of the images, and no fewer than five


@dataclass(frozen=True, eq=False)
class RunningMedian:
    """Medians and the middle half of windows of neighbours: each (m,), `at` the windows' own median position."""

    at: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    window: int


def cumulative(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cumulative error distribution of all values (n,): the errors in order (m,), and the share of the n values up
    to each (m,). NaN is a miss: it is among the n and below no error."""
    errors = np.sort(values[~np.isnan(values)])
    return errors, np.arange(1, len(errors) + 1) / len(values)


def running_median(positions: np.ndarray, values: np.ndarray) -> RunningMedian | None:
    """The median of values (n,), NaN left out, along positions (n,): of every window of neighbours in position.

    None where there are fewer values than a window needs.
    """
    valid = ~np.isnan(values)
    order = np.argsort(positions[valid], kind="stable")
    at, errors = positions[valid][order], values[valid][order]
    window = max(SMALLEST_WINDOW, round(len(errors) / WINDOW_SHARE))
    if len(errors) < window:
        return None
    low, median, high = np.percentile(np.lib.stride_tricks.sliding_window_view(errors, window), [25, 50, 75], axis=1)
    middles = np.median(np.lib.stride_tricks.sliding_window_view(at, window), axis=1)
    return RunningMedian(middles, median, low, high, window)


def original_counts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The original's curve of errors (n,), fractions: NME in percent in order, and 0, 1, ..., so that the last image
    stands at n - 1 (Q16). Failures have no NME and are not in it."""
    errors = 100 * np.sort(values[~np.isnan(values)])
    return errors, np.arange(len(errors))
