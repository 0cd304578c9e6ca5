"""The figures of a report as files, and as its page shows them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from twodasl.evaluation.result import NmeResult
    from twodasl.models.morphable import MorphableModel
    from twodasl.rendering.page import Figure, Picture


def write_nme_figures(
    stage: Path,
    results: "Sequence[NmeResult]",
    model: "MorphableModel | None",
    original_curve: bool,
    step: Callable[[int], None],
) -> "dict[str, list[Figure | Picture]]":
    """Write every figure, and return what the page shows by kind: `ced`, `yaw`, `original`, `heat`. model: the mean
    face, None for no heat. step: told of each result done."""
    from twodasl.evaluation.plots import about, ced_figure, original_figure, yaw_figure
    from twodasl.evaluation.report import grouped

    groups = grouped(results)
    keys = file_names([f"{group[0].metric.removeprefix('nme_')}_{group[0].dims}d" for group in groups])
    shown: dict[str, list[Figure | Picture]] = {"ced": [], "yaw": [], "original": [], "heat": []}
    for key, group in zip(keys, groups, strict=True):
        drawings = {"ced": ced_figure(group), "yaw": yaw_figure(group)}
        if original_curve:
            drawings["original"] = original_figure(group)
        for kind, drawing in drawings.items():
            if drawing is not None:
                shown[kind].append(write_curve(stage / f"{kind}_{key}", drawing, about(group[0])))
        if model is not None:
            shown["heat"] += _write_heat(stage, key, group, model)
        step(len(group))
    return shown


def write_curve(path: Path, drawing: "Drawing", about: Sequence[str]) -> "Figure":
    """Write a figure as `.png` and `.pdf`; the same as the page shows it, captioned by its name."""
    from twodasl.evaluation.plots import svg_text, write_figure
    from twodasl.rendering.page import Figure

    for suffix in (".png", ".pdf"):
        write_figure(path.with_name(path.name + suffix), drawing, about)
    return Figure(svg_text(drawing), f"{path.name}.png, {path.name}.pdf")


def _write_heat(
    stage: Path, key: str, group: "Sequence[NmeResult]", model: "MorphableModel"
) -> "list[Figure | Picture]":
    """The error on the mean face of each method of a group, on one scale."""
    import numpy as np

    from twodasl.evaluation.plots import about, write_figure
    from twodasl.models.photos import read_photo
    from twodasl.rendering.page import Picture

    from .report_heat import heat_figure, heat_limit

    found = [result for result in group if result.per_vertex is not None]
    if not found or len(model.triangles) == 0:
        return []
    limit = heat_limit(found)
    shown: list[Figure | Picture] = []
    for name, result in zip(file_names([result.method for result in found]), found, strict=True):
        path = stage / f"heat_{key}_{name}.png"
        write_figure(path, heat_figure(model, result, limit), about(result))
        shown.append(Picture(np.ascontiguousarray(read_photo(path)), path.name))
    return shown


def file_names(names: Sequence[str]) -> list[str]:
    """Names as parts of file names: letters that any system takes, each name another one."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9.+-]+", "_", name).strip("._") or "method"
        taken = {one.lower() for one in found}
        choices = (plain, *(f"{plain}_{number}" for number in range(2, len(names) + 2)))
        found.append(next(choice for choice in choices if choice.lower() not in taken))
    return found
