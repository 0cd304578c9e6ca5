"""Results as text: a table for people, CSV for spreadsheets. Programs read `SparseResult.as_dict`."""

import csv
import io

import numpy as np

from .nme import YAW_BINS
from .sparse import BinMeans, SparseResult, Summary

_COLUMNS = (*YAW_BINS, "mean of bins", "std", "mean of images", "median", "AUC@10%", "fail@10%")


def protocol_lines(result: SparseResult) -> list[str]:
    """The protocol, stated on top of every output."""
    choices = result.protocol.choices(result.dims, result.labels, result.z_align)
    lines = [f"protocol {choices.pop('name')}: {choices.pop('summary')}"]
    lines += [f"  {key.replace('_', ' ')}: {value}" for key, value in choices.items()]
    return lines


def table(result: SparseResult) -> str:
    """The result as a table in percent, the protocol on top."""
    summary = result.summary
    rows = [(result.label, _cells(summary.by_yaw, summary))]
    if result.mean_face is not None:
        rows.append(("  mean face at its pose", _cells(result.mean_face.by_yaw, result.mean_face)))
    if summary.by_newer_yaw is not None:
        rows.append(("  bins by the newer yaw file", [*_bin_cells(summary.by_newer_yaw), "", "", "", ""]))
    width = max(28, *(len(label) for label, _ in rows))
    lines = [*protocol_lines(result), ""]
    scored = f"{summary.n} of {summary.n + summary.n_failed} images"
    counts = " / ".join(str(count) for count in summary.by_yaw.counts.values())
    lines.append(f"{result.dims}D NME of 68 points, percent; {scored}, by yaw {counts}")
    lines.append(" " * width + "".join(f"{column:>16}" for column in _COLUMNS))
    lines += [f"{label:{width}}" + "".join(f"{cell:>16}" for cell in cells) for label, cells in rows]
    if result.failed:
        lines.append(f"without a valid prediction: {', '.join(result.failed)}")
    return "\n".join(lines)


def csv_text(results: list[SparseResult]) -> str:
    """One line per image and dimension, fractions; an empty cell for a failed image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "method", "protocol", "labels", "dims", "yaw_degrees", "nme"])
    for result in results:
        fixed = (result.label, result.protocol.name, result.labels, result.dims)
        for name, yaw, value in zip(result.names, result.yaw_degrees, result.values, strict=True):
            writer.writerow([name, *fixed, f"{yaw:.4f}", "" if np.isnan(value) else repr(float(value))])
    return text.getvalue()


def _cells(bins: BinMeans, summary: Summary) -> list[str]:
    rest = (summary.mean_over_images, summary.median, summary.auc, summary.failure_rate)
    return [*_bin_cells(bins), *(_percent(value) for value in rest)]


def _bin_cells(bins: BinMeans) -> list[str]:
    return [_percent(value) for value in (*bins.bins.values(), bins.mean_over_bins, bins.std_over_bins)]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3f}"
