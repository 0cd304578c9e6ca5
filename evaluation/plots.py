"""The figures of a report: error curves, errors against yaw, the original's plot. The same input gives the same bytes."""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.files import whole_file
from .curves import ORIGINAL_X, ORIGINAL_Y, cumulative, original_counts, running_median
from .measured import Measured
from .report import protocol_lines, title
from .result import NmeResult
from .summary import FAILURE_THRESHOLD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (5.2, 3.9)
DPI = 200  # of PNG
COLORS = ("#0b7d7d", "#d1495b", "#3d5a98", "#e08e1b", "#6b4e9b", "#5a8f29", "#8c564b", "#444444")
LINES = ("-", "--", "-.", ":")
ORIGINAL_COLORS = {"PRNet": "cyan", "2DASL": "green", "3DDFA": "red", "DeFA": "blue", "VRN": "yellow"}
POINTS_SHOWN = 300  # images of a method; with more, dots would hide the curve
INK, SOFT, GRID = "#17262e", "#54666f", "#dcd8cf"


@contextmanager
def style() -> Iterator[None]:
    """Settings that figures are made and written under."""
    from matplotlib import rc_context

    settings: Any = {  # matplotlib's stubs want its own names as literals
        "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9, "legend.fontsize": 8,
        "axes.edgecolor": SOFT, "axes.labelcolor": INK, "axes.titlecolor": INK, "xtick.color": SOFT,
        "ytick.color": SOFT, "text.color": INK, "grid.color": GRID, "grid.linewidth": 0.6, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "axes.titlelocation": "left",
        "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
        "text.parse_math": False, "text.usetex": False, "svg.hashsalt": "twodasl", "svg.fonttype": "path", "pdf.fonttype": 42,
    }  # fmt: skip
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a method's name in a script we lack
        yield


def ced_figure(results: Sequence[NmeResult]) -> "Figure":
    """The share of all images whose error is at most so much; images without a prediction are misses."""
    figure, axes = _empty(results[0])
    limit = 100 * FAILURE_THRESHOLD
    for number, result in enumerate(results):
        errors, shares = cumulative(result.values)
        summary = result.summary
        label = f"{_shown(result)}   AUC {100 * summary.auc:.2f} %, failures {100 * summary.failure_rate:.2f} %"
        x = np.concatenate([[0], 100 * errors, [max(limit, *(100 * errors[-1:]), 0) + 1]])
        y = 100 * np.concatenate([[0], shares, shares[-1:] if len(shares) else [0]])
        axes.step(x, y, where="post", label=label, **_line(number))
    axes.set(xlim=(0, limit), ylim=(0, 101), xlabel="NME, %", ylabel="images with at most this error, %")
    axes.set_title(f"{title(results[0])}: all {len(results[0].names)} images, failures are misses")
    axes.legend(loc="lower right")
    return figure


def yaw_figure(results: Sequence[NmeResult]) -> "Figure | None":
    """Errors against the truth's |yaw|: running median and the middle half. None where the truth states no yaw, or
    there are too few images for a window."""
    yaws = results[0].yaw_degrees
    if yaws is None:
        return None
    turned = np.minimum(np.abs(yaws), 90)
    found = [running_median(turned, 100 * result.values) for result in results]
    windows = sorted({one.window for one in found if one is not None})
    if not windows:
        return None
    figure, axes = _empty(results[0])
    top = 1e-3  # percent, of perfect predictions
    for number, (result, running) in enumerate(zip(results, found, strict=True)):
        look = _line(number)
        if np.isfinite(result.values).sum() <= POINTS_SHOWN:
            axes.plot(turned, 100 * result.values, ".", color=look["color"], alpha=0.35, markersize=4, clip_on=False)
            top = max(top, float(np.nan_to_num(100 * result.values).max()))
        if running is None:
            continue
        axes.fill_between(running.at, running.low, running.high, color=look["color"], alpha=0.13, linewidth=0)
        axes.plot(running.at, running.median, label=_shown(result), **look)
        top = max(top, float(running.high.max()))
    for edge in (30, 60):
        axes.axvline(edge, color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set(
        xlim=(0, 90),
        ylim=(0, 1.05 * top),
        xlabel="|yaw| of the truth, degrees (beyond 90 drawn at 90)",
        ylabel="NME, %",
    )
    shown = " / ".join(str(window) for window in windows)
    axes.set_title(f"{title(results[0])}: median and middle half of {shown} neighbours in yaw")
    axes.set_xticks(range(0, 91, 15))
    axes.legend(loc="upper left")
    return figure


def original_figure(results: Sequence[NmeResult]) -> "Figure | None":
    """The original's plot with its colours and axis limits: number of images against NME, failures not in it. None for
    what the original did not plot."""
    limit = ORIGINAL_X.get((results[0].metric, results[0].dims))
    if limit is None:
        return None
    figure, axes = _empty(results[0])
    spare = iter(color for color in COLORS)
    for result in results:
        color = ORIGINAL_COLORS.get(result.method) or next(spare, INK)
        axes.plot(*original_counts(result.values), color=color, linewidth=2, label=_shown(result))
    axes.minorticks_on()
    axes.grid(which="both", color="teal", linestyle="--", linewidth=0.5, alpha=0.5)
    axes.set(xlim=(0, limit), ylim=(0, max(ORIGINAL_Y, len(results[0].names))))
    axes.set_xlabel("NME normalized by bounding box", fontsize=12)
    axes.set_ylabel("Number of images", fontsize=12)
    axes.legend(loc="lower right")
    return figure


def measured_figure(results: Sequence[Measured]) -> "Figure":
    """Of pose, scans and jitter: the cumulative curve of the errors; of a video the values frame by frame."""
    first = results[0]
    figure, axes = _empty(first)
    if first.metric == "jitter":
        for number, result in enumerate(results):
            axes.plot(np.arange(len(result.values)), result.values, label=_shown(result), **_line(number))
        axes.set(xlabel="frame", ylabel=f"acceleration, {first.unit}", ylim=(0, None))
        axes.set_title("Jitter, frame by frame")
    else:
        for number, result in enumerate(results):
            if result.curve is not None:
                x, y = np.array(result.curve[0]), 100 * np.array(result.curve[1])
            else:
                counted = np.isin(result.names, result.excluded, invert=True)
                errors, shares = cumulative(result.values[counted])
                x, y = np.concatenate([[0], errors]), 100 * np.concatenate([[0], shares])
            axes.step(x, y, where="post", label=_shown(result), **_line(number))
        what = "angle between rotations" if first.metric == "pose" else "distance of scan points"
        axes.set(
            xlabel=f"{what}, {first.unit}", ylabel="share with at most this error, %", ylim=(0, 100), xlim=(0, None)
        )
        axes.set_title(f"{first.metric.capitalize()}: cumulative error")
    axes.legend(loc="best" if first.metric == "jitter" else "lower right")
    return figure


def _empty(result: NmeResult | Measured) -> "tuple[Figure, Axes]":
    """A figure with its axes, and the protocol in small print under them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True)
    small_print(figure, result)
    return figure, axes


def small_print(figure: "Figure", result: NmeResult | Measured, note: str = "") -> None:
    """The protocol, its main choices and every deviation at the foot of a figure."""
    kept = ("labels", "truth", "normaliser", "z", "align", "distance", "angles", "counted", "size")
    choices = [f"{key}: {result.choices[key]}" for key in kept if key in result.choices]
    deviations = [f"DEVIATION: {text}" for text in result.deviations] if isinstance(result, NmeResult) else []
    name = [f"protocol {result.choices['name']}"] if "name" in result.choices else []
    text = "; ".join([*([note] if note else []), *name, *choices, *deviations])
    width = int(23 * figure.get_figwidth())
    figure.supxlabel(textwrap.fill(text, width), x=0.02, ha="left", fontsize=5.5, color=SOFT)


def _shown(result: NmeResult | Measured) -> str:
    """A legend leaves out labels that begin with an underscore."""
    return f" {result.label}" if result.label.startswith("_") else result.label


def _line(number: int) -> dict[str, Any]:
    """Colour and dashes of a method, the same in every figure."""
    return {
        "color": COLORS[number % len(COLORS)],
        "linestyle": LINES[number // len(COLORS) % len(LINES)],
        "linewidth": 1.8,
    }


def write_figure(path: Path, figure: "Figure", about: Sequence[str]) -> None:
    """Write a figure as `.png` or `.pdf`; `about` stands inside the file, as its description or subject."""
    text = "\n".join(about)
    pdf = path.suffix == ".pdf"
    metadata = {"CreationDate": None, "Subject": text} if pdf else {"Description": text}
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)


def svg_text(figure: "Figure") -> str:
    """A figure as SVG."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def about(result: NmeResult | Measured) -> list[str]:
    """The whole protocol block, for a file's description."""
    if isinstance(result, NmeResult):
        return [title(result), *protocol_lines(result)]
    return [result.metric, *(f"{key}: {value}" for key, value in result.choices.items())]
