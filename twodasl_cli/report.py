"""The files of `eval ... -o DIR`: numbers, figures, tables for papers and the page. The same input gives the same bytes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .main import versions
from .options import note, progress
from .report_faces import Scored

if TYPE_CHECKING:
    from twodasl.evaluation.compare import Comparison
    from twodasl.evaluation.measured import Measured
    from twodasl.evaluation.result import NmeResult

PAGE, NUMBERS, PER_IMAGE = "index.html", "report.json", "per_image.csv"


def check_report_folder(folder: Path | None, overwrite: bool) -> None:
    """Raise FileError where a report must not be written: a file is in the way, or there is a report and no
    --overwrite. Commands ask before they measure; None is no report."""
    from twodasl.models.errors import FileError

    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is a file; -o names a folder for the report")
    if not overwrite and folder.is_dir():
        for name in (PAGE, NUMBERS, PER_IMAGE):
            if (folder / name).exists():
                raise FileError(f"{folder / name} exists already; --overwrite replaces it")


@contextmanager
def report_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside `folder` to write into; its files move there when the block ends, the page last, and are
    gone if it raises. Raises FileError for a file that exists, without `overwrite`."""
    import tempfile

    from twodasl.models.errors import FileError
    from twodasl.models.files import check_output, make_folder

    check_report_folder(folder, overwrite)
    folder = folder.resolve()
    around = folder if folder.is_dir() else make_folder(folder.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".report.", dir=around) as hidden:
            yield Path(hidden)
            names = sorted((file.name for file in Path(hidden).iterdir()), key=lambda name: (name == PAGE, name))
            for name in names:
                check_output(folder / name, overwrite)
            for name in names:
                (Path(hidden) / name).replace(folder / name)
    except OSError as error:
        raise FileError(f"cannot write the report {folder}: {error.strerror or error}") from error


def write_nme_report(
    folder: Path,
    results: "Sequence[NmeResult]",
    comparisons: "Sequence[Comparison]",
    overwrite: bool,
    scored: Scored | None = None,
    original_curve: bool = False,
) -> None:
    """Write everything a report of NMEs holds. scored: what is drawn; None draws no faces and no mean face."""
    from twodasl.evaluation.paper import latex_tables, markdown_tables
    from twodasl.evaluation.plots import style
    from twodasl.evaluation.report import csv_text
    from twodasl.rendering.page import write_page

    from .report_faces import worst_names
    from .report_figures import write_nme_figures
    from .report_page import nme_page

    worst = [] if scored is None else worst_names(results)
    with report_folder(folder, overwrite) as stage:
        _write(stage / NUMBERS, _numbers(results, comparisons))
        _write(stage / PER_IMAGE, csv_text(results, choices=True))
        _write(stage / "tables.tex", latex_tables(results, comparisons))
        _write(stage / "tables.md", markdown_tables(results, comparisons))
        with style(), progress("figures", len(results)) as step:
            figures = write_nme_figures(stage, results, None if scored is None else scored.model, original_curve, step)
        files = sorted(file.name for file in stage.iterdir())
        with progress("worst faces", len(worst)) as step:
            write_page(stage / PAGE, nme_page(results, comparisons, scored, worst, figures, files, step))
    note(f"{len(files) + 1} files: open {folder / PAGE}")


def write_measured_report(
    folder: Path, results: "Sequence[Measured]", comparisons: "Sequence[Comparison]", overwrite: bool
) -> None:
    """Write the report of a pose, scan or jitter evaluation: numbers, one curve and the page."""
    from twodasl.evaluation.measured import measured_csv
    from twodasl.evaluation.plots import about, measured_figure, style
    from twodasl.rendering.page import write_page

    from .report_figures import write_curve
    from .report_page import measured_page

    with report_folder(folder, overwrite) as stage:
        _write(stage / NUMBERS, _numbers(results, comparisons))
        _write(stage / PER_IMAGE, measured_csv(results))
        with style():
            figure = write_curve(stage / "curve", measured_figure(results), about(results[0]))
        files = sorted(file.name for file in stage.iterdir())
        write_page(stage / PAGE, measured_page(results, comparisons, figure, files))
    note(f"{len(files) + 1} files: open {folder / PAGE}")


def _numbers(results: "Sequence[NmeResult | Measured]", comparisons: "Sequence[Comparison]") -> str:
    from twodasl.evaluation.report import report_document

    return json.dumps(report_document(results, comparisons) | {"versions": dict(versions())}, indent=1) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
