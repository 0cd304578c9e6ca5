"""`twodasl render page`: one self-contained HTML file of a run's faces."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .main import EXIT_SOME_FAILED
from .options import FILE, model_option, note, only_option, output_option, overwrite_option, progress

if TYPE_CHECKING:
    from twodasl.evaluation.result import NmeResult
    from twodasl.models.morphable import MorphableModel
    from twodasl.models.runs import Run
    from twodasl.rendering.page import Card, Page, Section
    from twodasl.rendering.page.faces import Known

    Scores = tuple[list[NmeResult], dict[int, Known]]  # by metric; what is known of each row

PAGES = (".html", ".htm")


@click.command()
@click.argument("run_path", metavar="RUN", type=FILE)
@output_option("Folder for index.html, or an .html file.")
@click.option("--truth", type=FILE, help="AFLW2000-3D: a folder of .mat, or of the benchmark's arrays; shows errors.")
@click.option(
    "--protocol", "protocol_name", type=click.Choice(["standard", "2dasl", "exact"]), default="standard",
    show_default=True, help="Of the errors; 'twodasl eval protocols' lists them.",
)  # fmt: skip
@click.option(
    "--points", type=click.Choice(["semantic", "transferred"]),
    help="Of the errors: which of the model's lists of 68 landmarks [default: transferred, where it has several].",
)  # fmt: skip
@click.option("--photos", type=FILE, help="Folder of the photos, by name [default: where the run says].")
@model_option
@only_option
@click.option("--limit", type=click.IntRange(min=1), help="Take only the first so many.")
@overwrite_option
def page(
    run_path: Path,
    output: Path,
    truth: Path | None,
    protocol_name: str,
    points: str | None,
    photos: Path | None,
    model_path: Path | None,
    only: Path | None,
    limit: int | None,
    overwrite: bool,
) -> None:
    """A page of the faces of RUN to look through: search, sort, filter, and turn each in 3D.

    One HTML file that needs nothing from outside. It holds the photos and the reconstructed meshes: their terms hold
    for it too, and stand in its foot.
    """
    from twodasl.models.errors import DegenerateFaceError
    from twodasl.models.files import check_output
    from twodasl.models.library import open_model
    from twodasl.models.runs import Run
    from twodasl.models.tables import shorten
    from twodasl.rendering.faces import Photos
    from twodasl.rendering.page import write_page
    from twodasl.rendering.page.faces import run_cards

    run = Run.load(run_path)
    model = open_model(model_path, run.info.basis_id, str(run_path))
    if len(model.triangles) == 0:
        raise DegenerateFaceError(f"the face model {model.name!r} has no triangles, so there is no surface to draw")
    rows = _rows(run, run_path, only, limit)
    pictures = Photos(photos)
    scores = score_rows(run, run_path, rows, truth, protocol_name, points, model_path)
    target = output if output.suffix.lower() in PAGES else output / "index.html"
    check_output(target, overwrite)
    unpictured: list[str] = []

    def watched() -> "Iterator[Card]":
        with progress("faces", len(rows)) as step:
            for card in run_cards(run, model, rows, pictures, scores[1]):
                if card.status == "ok" and card.photo is None:
                    unpictured.append(card.name)
                yield card
                step(1)

    write_page(target, _page(run_path.stem, run, model, rows, watched(), scores))
    failed = sum(run.status[row] != "ok" for row in rows)
    note(f"{len(rows) - failed} faces, {failed} failed, {target.stat().st_size / 1e6:.1f} MB: open {target}")
    note(f"Terms: {run.info.terms}")
    if unpictured:
        note(f"{len(unpictured)} without their photo: {shorten(unpictured)}")
    if failed or unpictured:
        sys.exit(EXIT_SOME_FAILED)


def _page(
    title: str, run: "Run", model: "MorphableModel", rows: list[int], cards: "Iterator[Card]", scores: "Scores"
) -> "Page":
    from twodasl.rendering.page import Gallery, Page, Section
    from twodasl.rendering.page.faces import mean_mesh

    results, known = scores
    by = f" by {run.info.weights_name}" if run.info.weights_name else ""
    failed = sum(run.status[row] != "ok" for row in rows)
    notes = []
    if any(result.oracle_input for result in results):
        notes.append("Oracle input: these faces were made from annotations, so their errors are a floor, no result.")
    if results and len(known) < len(rows):
        notes.append(f"The truth knows {len(known)} of these {len(rows)} images; the others have no error.")
    return Page(
        title=title,
        intro=f"Faces of {model.name}, reconstructed from photos{by}.",
        sections=[
            Section("Faces", gallery=Gallery(cards, error_names(results), mean_mesh(run, model))),
            *score_sections(results),
            _settings_section(run),
        ],
        numbers=[
            ("faces", f"{len(rows) - failed}"),
            *([("failed", f"{failed}")] if failed else []),
            *score_numbers(results),
        ],
        notes=notes,
        terms=page_terms(run.info.terms),
    )


def _rows(run: "Run", path: Path, only: Path | None, limit: int | None) -> list[int]:
    """The rows to show. Raises NamesError where none of them is a face."""
    from twodasl.models.errors import NamesError
    from twodasl.models.tables import read_names, shorten

    rows = list(range(len(run)))
    if only is not None:
        chosen = read_names(only)
        absent = sorted(set(chosen) - set(run.names))
        if absent:
            raise NamesError(f"{path} has no image called {shorten(absent)}, which {only} asks for")
        rows = [row for row in rows if run.names[row] in set(chosen)]
    rows = rows[:limit]
    if not any(run.status[row] == "ok" for row in rows):
        why = shorten(sorted({run.status[row] for row in rows})) or "it is empty"
        raise NamesError(f"{path} holds no face to show among {len(rows)} inputs ({why})")
    return rows


def score_rows(
    run: "Run", path: Path, rows: list[int], truth_path: Path | None, protocol: str, points: str | None,
    model_path: Path | None,
) -> "Scores":  # fmt: skip
    """The errors of the rows that the truth knows, in 2D and where it has depth in 3D; and what the cards show."""
    if truth_path is None:
        return [], {}
    from twodasl.evaluation.predictions import open_prediction
    from twodasl.evaluation.protocols import PROTOCOLS
    from twodasl.evaluation.sparse import score
    from twodasl.evaluation.truth import names_in_truth, open_truth
    from twodasl.models.inputs import InputOptions
    from twodasl.rendering.page.faces import Known

    names = tuple(dict.fromkeys(run.names[row] for row in rows))
    annotated = names_in_truth(truth_path, names) or names  # none: open_truth says what is wrong
    truth = open_truth(truth_path, "original", annotated)
    prediction = open_prediction(path, InputOptions(model=model_path, points=points)).select(annotated)
    dims = (2, 3) if truth.landmarks.shape[-1] == 3 else (2,)
    results = [score(prediction, truth, PROTOCOLS[protocol], count) for count in dims]
    place = {name: index for index, name in enumerate(annotated)}
    known = {
        row: Known(
            [None if result.values[i] != result.values[i] else 100 * float(result.values[i]) for result in results],
            truth.landmarks[i, :, :2] - 1,
        )
        for row in rows
        if (i := place.get(run.names[row], -1)) >= 0
    }
    return results, known


def error_names(results: "list[NmeResult]") -> list[str]:
    """What the errors are called on the cards."""
    return [_label(result) for result in results]


def _label(result: "NmeResult") -> str:
    return f"{result.dims}D NME"


def score_numbers(results: "list[NmeResult]") -> list[tuple[str, str]]:
    """The means over the images, as the few numbers on top of a page."""
    return [
        (
            f"{_label(result)}, mean of images, protocol {result.choices['name']}",
            _percent(result.summary.mean_over_images),
        )
        for result in results
    ]


def score_sections(results: "list[NmeResult]") -> "list[Section]":
    """The scores by yaw bin, and the protocol they were taken by."""
    from twodasl.rendering.page import Section, Table

    if not results:
        return []
    first = results[0]
    bins = first.summary.by_yaw.counts
    head = ["68 points, percent", *(f"{name}° ({count})" for name, count in bins.items())]
    rows = [
        [
            f"{result.label}, {_label(result)}",
            *(_percent(value) for value in result.summary.by_yaw.bins.values()),
            _percent(result.summary.by_yaw.mean_over_bins),
            _percent(result.summary.mean_over_images),
            _percent(result.summary.median),
        ]
        for result in results
    ]
    scored = first.summary
    table = Table(
        [*head, "mean of bins", "mean of images", "median"],
        rows,
        f"{scored.n} of {scored.n + scored.n_failed} images have a prediction; the means are of those.",
    )
    facts = [(key.replace("_", " "), str(value)) for key, value in results[-1].choices.items() if key != "dims"]
    return [
        Section("Scores", first.notes, table=table),
        Section("Protocol", ["Everything that decided the numbers; others are not comparable."], facts=facts),
    ]


def _settings_section(run: "Run") -> "Section":
    """How a run was made."""
    import json

    from twodasl.rendering.page import Section

    info = run.info
    facts = [("face model", info.model_name), ("weights", info.weights_name), ("convention", info.convention)]
    facts += [
        (key.replace("_", " "), _shown(value, json.dumps)) for key, value in info.settings.items() if key != "work"
    ]
    return Section("Settings", facts=[(name, value) for name, value in facts if value])


def _shown(value: Any, dumps: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {dumps(one)}" for name, one in value.items())
    if value == list(range(68)):
        return "all 68"
    return value if isinstance(value, str) else dumps(value)


def page_terms(terms: str) -> list[tuple[str, str]]:
    """What a page's contents may be used for."""
    return [
        ("Faces", terms),
        ("Photos", "This file holds the photos themselves: whoever has the rights to them decides who may have it."),
        ("3D view", "three.js 0.170.0, MIT licence, inside this file."),
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3f} %"
