"""The table and the chart of an ablation: rows of trainings, their means over seeds, and what each row adds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .plots import COLORS, DPI, SOFT
from .seeds import LEVEL, SeedMean, paired, seed_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES = {
    "validation": "held-out faces",
    "bins": "test photos, mean of bins",
    "images": "test photos, mean of images",
}
DECIDING = ("bins", "images", "validation")  # differences are shown of the first that every training has
KINDS = ("", "human", "detector-like")


@dataclass(frozen=True, eq=False)
class RowScores:
    """One row: how it was trained, and what came of it, NME fractions by measure and seed.

    before: the row it is compared with, "" for none. points: what is known of wild faces' points, "" without any.
    share, faces: of labelled faces. losses: weights of the terms. seconds: of training, by seed.
    """

    name: str
    before: str
    points: str
    share: float
    faces: int
    losses: Mapping[str, float]
    scores: dict[str, dict[int, float]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def mean(self, measure: str) -> SeedMean | None:
        values = self.scores.get(measure)
        return seed_mean(list(values.values())) if values else None


def deciding(rows: Sequence[RowScores]) -> str:
    """The measure that every training has so far: of test photos where there are some."""
    seeds = {row.name: set(row.seconds) for row in rows}
    return next(
        (name for name in DECIDING if all(set(row.scores.get(name, ())) == seeds[row.name] for row in rows)),
        DECIDING[-1],
    )


def document(rows: Sequence[RowScores], planned: int, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything for programs: every seed's number, means, intervals, paired differences; fractions."""
    by_name = {row.name: row for row in rows}
    return {
        "format": "twodasl-ablation",
        "version": 1,
        "unit": "fraction",
        "interval": f"{LEVEL} % t interval over seeds",
        "trainings": {"planned": planned, "done": sum(len(row.seconds) for row in rows)},
        "deciding": deciding(rows),
        **about,
        "rows": [
            {
                "name": row.name,
                "before": row.before,
                "wild_points": row.points,
                "labelled_share": row.share,
                "labelled_faces": row.faces,
                "losses": dict(row.losses),
                "seconds": {str(seed): value for seed, value in row.seconds.items()},
                "seeds": {
                    name: {str(seed): value for seed, value in values.items()} for name, values in row.scores.items()
                },
                "means": {name: _dict(row.mean(name)) for name in MEASURES},
                "difference": {name: _dict(_difference(row, by_name, name)) for name in MEASURES},
            }
            for row in rows
        ],
        "together": _together(rows),
        "labels": _labels(rows),
    }


def _dict(mean: SeedMean | None) -> dict[str, Any] | None:
    return None if mean is None else mean.as_dict()


def _difference(row: RowScores, by_name: Mapping[str, RowScores], measure: str) -> SeedMean | None:
    if row.before not in by_name:
        return None
    return paired(row.scores.get(measure, {}), by_name[row.before].scores.get(measure, {}))


def _together(rows: Sequence[RowScores]) -> list[dict[str, Any]]:
    """What all terms up to a row's bring, against the first row with wild photos: by kind of points, and over all of
    them, as pairs of one seed and one kind."""
    measure = deciding(rows)
    arms: dict[str, list[RowScores]] = {}
    for row in rows:
        if row.points and row.share == 1:
            arms.setdefault(row.points, []).append(row)
    found = []
    for place in range(1, min((len(arm) for arm in arms.values()), default=0)):
        first: dict[int, float] = {}
        last: dict[int, float] = {}
        by_points = {}
        for number, (points, arm) in enumerate(arms.items()):
            scores = arm[0].scores.get(measure, {}), arm[place].scores.get(measure, {})
            by_points[points] = _dict(paired(scores[1], scores[0]))
            for pooled, values in zip((first, last), scores, strict=True):
                pooled |= {len(arms) * seed + number: value for seed, value in values.items()}
        name = next(iter(arms.values()))[place].name.removesuffix(f"-{next(iter(arms))}")
        found.append({"row": name, "by_points": by_points, "all": _dict(paired(last, first))})
    return found


def _labels(rows: Sequence[RowScores]) -> list[dict[str, Any]]:
    """What wild photos are worth at each share of the labelled faces: the last row of each kind of points with them,
    against the row without."""
    measure = deciding(rows)
    without = {row.share: row for row in rows if not row.points}
    curve = {row.faces: found.mean for row in without.values() if (found := row.mean(measure)) is not None}
    whole = {(row.points, row.share): row for row in rows if row.points}  # later rows replace earlier ones
    labels = []
    for (points, share), row in sorted(whole.items(), key=lambda item: (-item[0][1], item[0][0])):
        mean, base = row.mean(measure), without[share]
        if mean is not None and base.mean(measure) is not None:
            labels.append(
                {
                    "labelled_share": share,
                    "labelled_faces": row.faces,
                    "wild_points": points,
                    "row": row.name,
                    "without": _dict(base.mean(measure)),
                    "with": mean.as_dict(),
                    "difference": _dict(paired(row.scores[measure], base.scores[measure])),
                    "worth_faces": worth(mean.mean, curve),
                }
            )
    return labels


def worth(error: float, curve: Mapping[int, float]) -> float | str | None:
    """The fewest labelled faces that alone give this error: where `curve` (faces to error) first comes down to it,
    linear in the logarithm of the faces; in words where it is there from the start, or never. None where there is one
    number only."""
    faces = sorted(curve)
    if len(faces) < 2:
        return None
    if error > curve[faces[0]]:
        return f"fewer than {faces[0]}"
    for fewer, more in pairwise(faces):
        if curve[more] <= error:
            way = (curve[fewer] - error) / (curve[fewer] - curve[more]) if curve[fewer] > curve[more] else 0.0
            return float(fewer * (more / fewer) ** way)
    return f"more than {faces[-1]}" if error < curve[faces[0]] else float(faces[0])


# --- for people ---------------------------------------------------------------------------------


def text(rows: Sequence[RowScores], planned: int, lines: Sequence[str]) -> str:
    """The tables as Markdown, lined up so that they read on a terminal too. lines: what was done, above them."""
    by_name, measure = {row.name: row for row in rows}, deciding(rows)
    done = sum(len(row.seconds) for row in rows)
    shown = [name for name in MEASURES if any(row.scores.get(name) for row in rows)]
    head = ["row", "labelled", "seeds", *(MEASURES[name] for name in shown), "minutes", "against", "difference"]
    cells = [
        [
            row.name,
            str(row.faces),
            str(len(row.seconds)),
            *(_cell(row.mean(name)) for name in shown),
            f"{np.mean(list(row.seconds.values())) / 60:.1f}" if row.seconds else "-",
            row.before or "-",
            _cell(_difference(row, by_name, measure), sign=True),
        ]
        for row in rows
    ]
    parts = [
        *lines,
        "",
        f"{done} of {planned} trainings. NME in percent, mean over seeds and half of its {LEVEL} % t interval; differences "
        f"are paired by seed, of: {MEASURES[measure]}. A difference whose interval holds 0 is marked (0).",
        *(
            ["One seed has no interval: what it shows may be chance."]
            if any(len(row.seconds) == 1 for row in rows)
            else []
        ),
        "",
        *_table(head, cells),
    ]
    together = _together(rows)
    if together:
        first = next(row.name.removesuffix(f"-{row.points}") for row in rows if row.points)
        arms = list(together[0]["by_points"])
        head = ["up to row", *arms, *(["all"] if len(arms) > 1 else [])]
        parts += ["", f"What the terms bring together, against row {first}:", ""]
        parts += _table(head, [_together_cells(entry, len(arms) > 1) for entry in together])
    labels = _labels(rows)
    if len({row.share for row in rows}) > 1 and labels:
        head = ["labelled", "wild points", "without wild", "with wild", "difference", "worth labelled faces"]
        parts += ["", "What wild photos are worth:", "", *_table(head, [_label_cells(found) for found in labels])]
    return "\n".join(parts) + "\n"


def _together_cells(entry: Mapping[str, Any], several: bool) -> list[str]:
    means = [*entry["by_points"].values(), *([entry["all"]] if several else [])]
    return [entry["row"], *(_cell(None if mean is None else SeedMean(**mean), sign=True) for mean in means)]


def _label_cells(found: Mapping[str, Any]) -> list[str]:
    amount = found["worth_faces"]
    return [
        f"{found['labelled_faces']} ({100 * found['labelled_share']:g} %)",
        found["wild_points"],
        _cell(SeedMean(**found["without"])),
        _cell(SeedMean(**found["with"])),
        _cell(None if found["difference"] is None else SeedMean(**found["difference"]), sign=True),
        f"{amount:.0f}" if isinstance(amount, float) else amount or "-",
    ]


def _cell(mean: SeedMean | None, sign: bool = False) -> str:
    if mean is None:
        return "-"
    shown = f"{100 * mean.mean:{'+' if sign else ''}.3f}"
    if mean.high is not None:
        shown += f" ± {100 * (mean.high - mean.mean):.3f}"
    return f"{shown} (0)" if sign and mean.high is not None and mean.undecided else shown


def _table(head: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in (head, *cells)) for column in range(len(head))]

    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(value.ljust(width) for value, width in zip(values, widths, strict=True)) + " |"

    return [line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *(line(row) for row in cells)]


def figure(rows: Sequence[RowScores]) -> "Figure":
    """Every row's mean with its interval and its seeds; beside it, where there are several shares of the labelled faces,
    the error against their number. Made inside `plots.style()`."""
    from matplotlib.figure import Figure

    measure = deciding(rows)
    kept = [row for row in rows if row.scores.get(measure)]
    several = len({row.share for row in kept}) > 1
    made = Figure(figsize=(9 if several else 5.6, 1.4 + 0.28 * max(len(kept), 6)), dpi=DPI, layout="constrained")
    axes = made.subplots(1, 2 if several else 1, squeeze=False)[0]
    _row_axes(axes[0], kept, measure)
    if several:
        _label_axes(axes[1], kept, measure)
    note = f"dots: seeds; bars: mean and {LEVEL} % t interval over seeds (none for one seed)"
    made.supxlabel(note, x=0.02, ha="left", fontsize=6.5, color=SOFT)
    return made


def _row_axes(axes: "Axes", rows: Sequence[RowScores], measure: str) -> None:
    for place, row in enumerate(rows):
        values = [100 * value for value in row.scores[measure].values()]
        color = COLORS[KINDS.index(row.points)]
        axes.plot(values, [place] * len(values), ".", color=color, alpha=0.4, markersize=5)
        _mark(axes, row.mean(measure), place, color)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.grid(True, axis="x")
    axes.set_xlabel("NME, %")
    axes.set_title(MEASURES[measure])


def _mark(axes: "Axes", mean: SeedMean | None, place: float, color: str) -> None:
    assert mean is not None
    axes.plot([100 * mean.mean], [place], "D", color=color, markersize=5)
    if mean.low is not None and mean.high is not None:
        axes.plot([100 * mean.low, 100 * mean.high], [place, place], "-", color=color, linewidth=1.6)


def _label_axes(axes: "Axes", rows: Sequence[RowScores], measure: str) -> None:
    for number, kind in enumerate(KINDS):
        line = {row.faces: row.mean(measure) for row in rows if row.points == kind}  # the last of each number
        if not line:
            continue
        faces = sorted(line)
        means = [mean for count in faces if (mean := line[count]) is not None]
        label = f"with wild photos, {kind} points" if kind else "labelled faces alone"
        axes.plot(faces, [100 * mean.mean for mean in means], "o-", color=COLORS[number], label=label, markersize=4)
        for count, mean in zip(faces, means, strict=True):
            if mean.low is not None and mean.high is not None:
                axes.plot([count, count], [100 * mean.low, 100 * mean.high], color=COLORS[number], linewidth=1)
    axes.set_xscale("log")
    counts = sorted({row.faces for row in rows})
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.grid(True)
    axes.set_xlabel("labelled faces")
    axes.set_ylabel("NME, %")
    axes.legend(loc="best")
