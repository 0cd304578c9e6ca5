"""Results as text: tables for people, CSV for spreadsheets, JSON for programs."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..models.tables import shorten
from .compare import Comparison, compare, worst
from .measured import Measured
from .nme import YAW_BINS
from .regions import REGIONS
from .result import NmeResult
from .summary import BinMeans, Summary, summarise

COLUMNS = (*YAW_BINS, "mean of bins", "std", "mean of images", "median", "AUC@10%", "fail@10%")
UNSHOWN = ("truth_own_error",)  # stands in words in `truth`
_HEADS = {
    "nme_sparse": "of 68 points",
    "nme_aflw": "of 21 points",
    "nme_dense": "of {points} vertices",
    "nme_recon": "after alignment",
}
_TITLES = {
    "nme_sparse": "68 points",
    "nme_aflw": "AFLW, 21 points",
    "nme_dense": "Dense",
    "nme_recon": "Reconstruction",
}


def title(result: NmeResult) -> str:
    """What was measured, in a word or two."""
    return f"{_TITLES[result.metric]}, {result.dims}D"


def grouped(results: Sequence[NmeResult]) -> list[list[NmeResult]]:
    """The results that may stand in one table: of one metric, dimension and set of choices."""
    groups: dict[str, list[NmeResult]] = {}
    for result in results:
        groups.setdefault(repr((result.metric, result.choices, result.deviations)), []).append(result)
    return list(groups.values())


def protocol_lines(result: NmeResult) -> list[str]:
    """The protocol, stated on top of every output, and what departs from it."""
    choices = dict(result.choices)
    lines = [f"protocol {choices.pop('name')}: {choices.pop('summary')}"]
    lines += [f"  {key.replace('_', ' ')}: {value}" for key, value in choices.items() if key not in UNSHOWN]
    lines += [f"  DEVIATION: {text}" for text in result.deviations]
    return lines


def tables(results: Sequence[NmeResult]) -> list[str]:
    """Every result, those of one metric and one set of choices in one table."""
    return [table(*group) for group in grouped(results)]


def table_rows(results: Sequence[NmeResult]) -> list[tuple[str, list[str]]]:
    """Results of one set of choices as rows: a label and a cell for each of COLUMNS, percent. A label that begins with
    spaces belongs to the row above."""
    rows: list[tuple[str, list[str]]] = []
    for result in results:
        summary = result.summary
        rows.append((result.label, _cells(summary.by_yaw, summary)))
        if result.mean_face is not None:
            rows.append(("  mean face at its pose", _cells(result.mean_face.by_yaw, result.mean_face)))
        if summary.by_newer_yaw is not None:
            rows.append(("  bins by the newer yaw file", [*_bin_cells(summary.by_newer_yaw), "", "", "", ""]))
        for name in REGIONS:
            if name in result.extra:
                part = summarise(result.extra[name], result.yaw_degrees)
                rows.append((f"  {name}", _cells(part.by_yaw, part)))
    return rows


def table(*results: NmeResult) -> str:
    """Results of one set of choices as a table in percent, the protocol on top."""
    rows = table_rows(results)
    width = max(28, *(len(label) for label, _ in rows))
    lines = [*protocol_lines(results[0]), "", headline(results[0])]
    lines.append(" " * width + "".join(f"{column:>16}" for column in COLUMNS))
    lines += [f"{label:{width}}" + "".join(f"{cell:>16}" for cell in cells) for label, cells in rows]
    lines += failure_lines(results)
    for result in results:
        if len(results) > 1:
            shown = ", ".join(f"{name} {100 * value:.2f}" for name, value in worst(result))
            lines.append(f"{result.method}: worst images: {shown}")
    yaws = results[0].yaw_degrees
    if yaws is not None and (np.abs(yaws) > 90).any():
        beyond = [f"{results[0].names[row]} ({yaws[row]:.0f})" for row in np.flatnonzero(np.abs(yaws) > 90)]
        lines.append(f"yaw beyond 90 degrees as it is written, in the last bin: {shorten(beyond)}")
    return "\n".join(lines)


def failure_lines(results: Sequence[NmeResult]) -> list[str]:
    """The images without a valid prediction, a line for each method that has some."""
    failing = [result for result in results if result.failed]
    several = len(results) > 1
    return [
        f"{f'{result.method}: ' if several else ''}without a valid prediction: {', '.join(result.failed)}"
        for result in failing
    ]


def headline(result: NmeResult) -> str:
    """What the numbers are of: which error, against what, over how many images."""
    summary = result.summary
    scored = f"{summary.n} of {summary.n + summary.n_failed} images"
    of = _HEADS[result.metric].format(points=result.choices.get("points"))
    against = "" if result.metric in ("nme_sparse", "nme_aflw") else f" against {result.choices['labels']}"
    yaw = ""
    if result.yaw_degrees is not None:
        yaw = f", by yaw {' / '.join(str(count) for count in summary.by_yaw.counts.values())}"
    return f"{result.dims}D NME {of}{against}, percent; {scored}{yaw}"


def csv_text(results: Sequence[NmeResult], choices: bool = False) -> str:
    """One line per image, method, metric and dimension, fractions; an empty cell for a failed image or no yaw.

    choices: every line also holds the whole protocol block, in a column of its own.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["name", "method", "protocol", "labels", "dims", "yaw_degrees", "nme", "metric"]
    writer.writerow([*head, "choices"] if choices else head)
    for result in results:
        block = ["; ".join(line.strip() for line in protocol_lines(result))] if choices else []
        fixed = (result.label, result.choices["name"], result.choices["labels"], result.dims)
        yaws = [""] * len(result.names) if result.yaw_degrees is None else [f"{yaw:.4f}" for yaw in result.yaw_degrees]
        for name, yaw, value in zip(result.names, yaws, result.values, strict=True):
            writer.writerow([name, *fixed, yaw, "" if np.isnan(value) else repr(float(value)), result.metric, *block])
    return text.getvalue()


def document(results: Sequence[NmeResult | Measured]) -> Any:
    """Results for programs: one result as it is; several as a list; several methods with their comparisons."""
    whole = report_document(results, compare(results))
    if len({result.method for result in results}) > 1:
        return whole
    documents = whole["results"]
    return documents[0] if len(documents) == 1 else documents


def report_document(results: Sequence[NmeResult | Measured], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Every number, protocol block and comparison, in one form whatever the number of methods."""
    return {
        "results": [result.as_dict() | {"worst": dict(worst(result))} for result in results],
        "comparisons": [found.as_dict() for found in comparisons],
    }


def _cells(bins: BinMeans, summary: Summary) -> list[str]:
    rest = (summary.mean_over_images, summary.median, summary.auc, summary.failure_rate)
    return [*_bin_cells(bins), *(percent(value) for value in rest)]


def _bin_cells(bins: BinMeans) -> list[str]:
    return [percent(value) for value in (*bins.bins.values(), bins.mean_over_bins, bins.std_over_bins)]


def percent(value: float | None) -> str:
    """A fraction as every table shows it."""
    return "-" if value is None else f"{100 * value:.3f}"
