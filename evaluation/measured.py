"""What an evaluation other than an NME found: one number per image or frame of one method, and what follows from it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .result import by_name


@dataclass(frozen=True, eq=False)
class Measured:
    """One method: values (n,), the number that methods are compared by, NaN where an item failed or is not counted.

    columns: further numbers per item, (n,) each. summary: what is printed, None where undefined. choices: everything
    that decided the numbers. failed: items without a valid prediction; excluded: items that a rule leaves out.
    curve: the cumulative curve of what is pooled over items: limits, and the share of errors up to each.
    """

    metric: str
    method: str
    unit: str
    choices: dict[str, Any]
    names: tuple[str, ...]
    values: np.ndarray
    summary: dict[str, float | int | None]
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    oracle_input: bool = False
    curve: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def label(self) -> str:
        """The method as tables name it; what was made from annotations is marked wherever it stands."""
        return f"{self.method} (oracle input)" if self.oracle_input else self.method

    def as_dict(self) -> dict[str, Any]:
        """The result for programs, None for what is undefined."""
        return {
            "metric": self.metric,
            "method": self.method,
            "oracle_input": self.oracle_input,
            "unit": self.unit,
            "protocol": self.choices,
            "summary": self.summary,
            "failed": list(self.failed),
            "excluded": list(self.excluded),
            "notes": list(self.notes),
            **({} if self.curve is None else {"curve": dict(zip(("limits", "shares"), self.curve, strict=True))}),
            "per_image": by_name(self.names, self.values),
            **{f"per_image_{key}": by_name(self.names, values) for key, values in self.columns.items()},
        }


def mean_or_none(values: np.ndarray) -> float | None:
    """The mean of what is not NaN; None for nothing: a mean over nothing is undefined."""
    valid = values[~np.isnan(values)]
    return float(valid.mean()) if len(valid) else None


def median_or_none(values: np.ndarray) -> float | None:
    valid = values[~np.isnan(values)]
    return float(np.median(valid)) if len(valid) else None


def measured_table(results: Sequence[Measured]) -> str:
    """Methods as rows, the summary as columns, the choices on top."""
    first = results[0]
    lines = [f"{first.metric}, {first.unit}"]
    lines += [f"  {key.replace('_', ' ')}: {value}" for key, value in first.choices.items()]
    columns = list(first.summary)
    labels = [result.label for result in results]
    width = max(12, *(len(label) for label in labels))
    widths = [max(10, len(column) + 2) for column in columns]
    lines += ["", " " * width + "".join(f"{c.replace('_', ' '):>{w}}" for c, w in zip(columns, widths, strict=True))]
    for result in results:
        cells = (summary_cell(result.summary[column]) for column in columns)
        lines.append(f"{result.label:{width}}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
    for result in results:
        of = "" if len(results) == 1 else f"{result.method}: "
        if result.failed:
            lines.append(f"{of}without a valid prediction: {', '.join(result.failed)}")
        if result.excluded:
            lines.append(f"{of}left out: {', '.join(result.excluded)}")
    return "\n".join(lines)


def measured_csv(results: Sequence[Measured]) -> str:
    """One line per item and method: its value, its further numbers, and everything that decided them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(results[0].columns)
    writer.writerow(["name", "method", results[0].metric, *columns, "unit", "choices"])
    for result in results:
        block = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in result.choices.items())
        numbers = np.column_stack([result.values, *(result.columns[column] for column in columns)])
        for name, row in zip(result.names, numbers.tolist(), strict=True):
            cells = ["" if np.isnan(value) else repr(value) for value in row]
            writer.writerow([name, result.label, *cells, result.unit, block])
    return text.getvalue()


def summary_cell(value: float | int | None) -> str:
    """A number of a summary as tables show it."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
