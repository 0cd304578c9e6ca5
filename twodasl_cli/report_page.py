"""The page of a report: what stands in it and in which order."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .main import versions

if TYPE_CHECKING:
    from twodasl.evaluation.compare import Comparison
    from twodasl.evaluation.measured import Measured
    from twodasl.evaluation.result import NmeResult
    from twodasl.rendering.page import Figure, Page, Picture, Section

    from .report_faces import Scored

HEADLINES = 6  # numbers on top
PROTOCOL = "Everything that decided the numbers; others are not comparable."

CURVES = {
    "ced": (
        "Cumulative error",
        "The share of all images whose error is at most so much. An image without a prediction is a miss: its curve "
        "ends below 100 %. AUC is the area up to 10 %.",
    ),
    "yaw": ("Error by yaw", "A running median over neighbours in |yaw|, and the middle half of their errors."),
    "original": (
        "As the original plots it",
        "The number of images against NME, with the original's axis limits and colours, counted from 0 as there. "
        "Failures are not in it.",
    ),
    "heat": (
        "Where on the face",
        "The mean error of each vertex over the images, on the model's mean face; one scale for all methods of a kind.",
    ),
}


def nme_page(
    results: "Sequence[NmeResult]",
    comparisons: "Sequence[Comparison]",
    scored: "Scored | None",
    worst: Sequence[str],
    figures: "dict[str, list[Figure | Picture]]",
    files: Sequence[str],
    step: Callable[[int], None],
) -> "Page":
    """A report of NMEs. worst: the images that are drawn; step: told of each one done while the page is written."""
    from twodasl.evaluation.report import grouped
    from twodasl.rendering.page import Page, Section

    groups = grouped(results)
    sections = [*(_scores(group) for group in groups), _protocol(groups), *_differences(comparisons)]
    for kind, (title, text) in CURVES.items():
        if figures[kind]:
            sections.append(Section(title, [text], pictures=figures[kind], picture_size="large"))
    if scored is not None:
        sections.append(_faces(results, scored, worst, step))
    protocol = results[0].choices
    return Page(
        title=_title(results),
        intro=f"{len(results[0].names)} images, protocol {protocol['name']}: {protocol['summary']}.",
        sections=[*sections, *_ending(files)],
        numbers=_headlines(groups),
        notes=_first_to_know(results),
        terms=_terms(scored),
    )


def measured_page(
    results: "Sequence[Measured]", comparisons: "Sequence[Comparison]", figure: "Figure", files: Sequence[str]
) -> "Page":
    """A report of a pose, scan or jitter evaluation."""
    from twodasl.evaluation.measured import summary_cell
    from twodasl.rendering.page import Page, Section, Table

    first = results[0]
    columns = list(first.summary)
    head = [first.metric, *(result.label for result in results)]
    rows = [[column.replace("_", " "), *(summary_cell(one.summary[column]) for one in results)] for column in columns]
    left_out = [
        f"{one.label}: {what}: {', '.join(names)}"
        for one in results
        for what, names in (("without a valid prediction", one.failed), ("left out", one.excluded))
        if names
    ]
    choices = [(key.replace("_", " "), str(value)) for key, value in first.choices.items()]
    return Page(
        title=f"{first.metric.capitalize()}: {_title(results)}",
        intro=f"{len(first.names)} items, {first.unit}.",
        sections=[
            Section("Scores", left_out, table=Table(head, rows, first.unit)),
            Section("Curve", pictures=[figure], picture_size="large"),
            *_differences(comparisons),
            Section("Protocol", [PROTOCOL], facts=choices),
            *_ending(files),
        ],
        notes=_first_to_know(results),
    )


def _title(results: "Sequence[NmeResult | Measured]") -> str:
    methods = list(dict.fromkeys(result.label for result in results))
    return " · ".join(methods) if len(methods) <= 4 else f"{len(methods)} methods"


def _headlines(groups: "Sequence[Sequence[NmeResult]]") -> list[tuple[str, str]]:
    """The mean of images of each method, of as many kinds of error as fit on top."""
    from twodasl.evaluation.report import percent, title

    several = len(groups[0]) > 1
    numbers = [
        (f"{f'{result.label}: ' if several else ''}{title(result)}, mean of images", result.summary.mean_over_images)
        for group in groups
        for result in group
    ]
    kept = len(groups[0]) * max(1, HEADLINES // len(groups[0]))
    return [(name, f"{percent(value)} %") for name, value in numbers[:kept]]


def _first_to_know(results: "Sequence[NmeResult | Measured]") -> list[str]:
    """Oracles and deviations, then what the methods' inputs have to say of themselves."""
    from twodasl.evaluation.result import NmeResult

    known = []
    if any(result.oracle_input for result in results):
        known.append("Oracle input: these predictions were made from annotations; their errors are a floor, no result.")
    for result in results:
        if isinstance(result, NmeResult):
            known += [f"DEVIATION from the protocol: {text}" for text in result.deviations]
            if result.choices.get("truth_own_error") is not None:
                known.append(f"Dense truth: {result.choices['truth']}.")
    methods = list(dict.fromkeys(result.method for result in results))
    for text in dict.fromkeys(text for result in results for text in result.notes):
        about = [method for method in methods if any(one.method == method and text in one.notes for one in results)]
        known.append(text if about == methods else f"{', '.join(about)}: {text}")
    return list(dict.fromkeys(known))


def _scores(group: "Sequence[NmeResult]") -> "Section":
    from twodasl.evaluation.report import COLUMNS, failure_lines, headline, table_rows, title
    from twodasl.rendering.page import Section, Table

    rows = [
        [f"\u2003{label.strip()}" if label.startswith(" ") else label, *cells] for label, cells in table_rows(group)
    ]
    return Section(
        title(group[0]), [f"{headline(group[0])}.", *failure_lines(group)], table=Table(["", *COLUMNS], rows)
    )


def _protocol(groups: "Sequence[Sequence[NmeResult]]") -> "Section":
    """The protocol block: every choice, said of all kinds of error at once where they share it."""
    from twodasl.evaluation.report import UNSHOWN, title
    from twodasl.rendering.page import Section

    facts = []
    for key in dict.fromkeys(key for group in groups for key in group[0].choices):
        kinds: dict[str, list[str]] = {}
        for group in groups:
            if key in group[0].choices and key not in (*UNSHOWN, "dims"):
                kinds.setdefault(str(group[0].choices[key]), []).append(title(group[0]))
        for value, of in kinds.items():
            facts.append((_key(key) if len(of) == len(groups) else f"{_key(key)} · {'; '.join(of)}", value))
    facts += [(f"DEVIATION · {title(group[0])}", text) for group in groups for text in group[0].deviations]
    return Section("Protocol", [PROTOCOL], facts=facts)


def _key(key: str) -> str:
    return "protocol" if key == "name" else key.replace("_", " ")


def _differences(comparisons: "Sequence[Comparison]") -> "list[Section]":
    from twodasl.evaluation.paper import DIFFERENCES, difference_rows, differences_caption, kind
    from twodasl.rendering.page import Section, Table

    if not comparisons:
        return []
    return [
        Section(
            "Method against method",
            [f"{kind(found)}: {found.sentence()}." for found in comparisons],
            table=Table(DIFFERENCES, difference_rows(comparisons), differences_caption()),
        )
    ]


def _faces(
    results: "Sequence[NmeResult]", scored: "Scored", worst: Sequence[str], step: Callable[[int], None]
) -> "Section":
    from twodasl.evaluation.report import title
    from twodasl.rendering.page import Gallery, Section

    from .report_faces import error_names, face_cards

    text = (
        f"The {len(worst)} images on which any method has its largest errors ({title(results[0])}), the worst first, "
        "every method of an image after the other; predicted points are blue, the truth's yellow. They lie where the "
        "protocol puts them. Search for a method or an image; yaw is the truth's."
    )
    return Section(
        "Worst faces", [text], Gallery(face_cards(worst, results, scored, step), error_names(results), points=True)
    )


def _ending(files: Sequence[str]) -> "list[Section]":
    from twodasl.rendering.page import Section

    return [
        Section("Files", ["Beside this page, each with its protocol:"], links=[(name, name) for name in files]),
        Section("Versions", facts=versions()),
    ]


def _terms(scored: "Scored | None") -> list[tuple[str, str]]:
    """What the page's contents may be used for."""
    if scored is None:
        return []
    model = scored.model
    faces = [] if model is None else [("Faces", model.terms)]
    return [
        *faces,
        ("Photos", "This file holds the photos themselves: whoever has the rights to them decides who may have it."),
    ]
