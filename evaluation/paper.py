"""The numbers of a report as tables for papers: LaTeX and Markdown, the protocol with each."""

import re
from collections.abc import Sequence

from .compare import LEVEL, RESAMPLES, SEED, Comparison
from .report import COLUMNS, failure_lines, grouped, headline, protocol_lines, table_rows, title
from .result import NmeResult

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "±": r"$\pm$", "·": r"$\cdot$", "°": r"$^\circ$",
}  # fmt: skip
DIFFERENCES = ("error", "methods", "images", "difference", "from", "to")


def latex_escape(text: str) -> str:
    """Text as LaTeX shows it, in one line."""
    return "".join(_LATEX.get(letter, letter) for letter in _line(text))


def markdown_escape(text: str) -> str:
    """Text as Markdown shows it, in one line, also inside a table."""
    return re.sub(r"([\\`*_{}\[\]<>|~$&#!])", r"\\\1", _line(text))


def _line(text: str) -> str:
    return " ".join(text.split())


def latex_tables(results: Sequence[NmeResult], comparisons: Sequence[Comparison]) -> str:
    """A `table` for each kind of error, and one of the paired differences; nothing but plain LaTeX is needed."""
    parts = []
    for group in grouped(results):
        caption = ". ".join([headline(group[0]), *_stated(group[0])])
        rows = [[label, *cells] for label, cells in table_rows(group)]
        parts.append(_latex(["", *COLUMNS], rows, caption, [*protocol_lines(group[0]), *failure_lines(group)]))
    if comparisons:
        parts.append(_latex(DIFFERENCES, difference_rows(comparisons), differences_caption(), []))
    return "\n".join(parts)


def _stated(result: NmeResult) -> list[str]:
    """What a reader of the caption alone must know."""
    protocol = f"Protocol {result.choices['name']}: {result.choices['summary']}"
    truth = [f"Truth: {result.choices['truth']}"] if "truth" in result.choices else []
    return [protocol, *truth, *(f"DEVIATION: {text}" for text in result.deviations)]


def _latex(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, comments: Sequence[str]) -> str:
    # No spaces that indent a label in text: LaTeX drops them.
    lines = [f"% {_line(text)}" for text in comments]
    lines += [r"\begin{table}", r"\centering", rf"\caption{{{latex_escape(caption)}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\hline"]
    lines += [" & ".join(map(latex_escape, head)) + r" \\", r"\hline"]
    for row in rows:
        indent = r"\quad " if row[0].startswith(" ") else ""
        lines.append(indent + " & ".join(map(latex_escape, row)) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", r"\end{table}", ""])


def markdown_tables(results: Sequence[NmeResult], comparisons: Sequence[Comparison]) -> str:
    """The same as a page of Markdown, with the sentences that the differences allow."""
    parts = []
    for group in grouped(results):
        parts.append(f"## {markdown_escape(title(group[0]))}\n\n{markdown_escape(headline(group[0]))}\n")
        parts.append(_markdown(["", *COLUMNS], [[label, *cells] for label, cells in table_rows(group)]))
        parts += [f"{markdown_escape(text)}\n" for text in failure_lines(group)]
        parts.append("".join(f"    {_line(text)}\n" for text in protocol_lines(group[0])))
    if comparisons:
        parts.append(f"## Paired differences\n\n{markdown_escape(differences_caption())}\n")
        parts.append(_markdown(DIFFERENCES, difference_rows(comparisons)))
        parts.append("".join(f"- {markdown_escape(f'{kind(found)}: {found.sentence()}')}\n" for found in comparisons))
    return "\n".join(parts)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(markdown_escape, head)) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(map(markdown_escape, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def kind(found: Comparison) -> str:
    """Which error two methods were compared by."""
    return f"{found.metric.removeprefix('nme_')}{f' {found.dims}D' if found.dims else ''}"


def difference_rows(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """One row for each pair of methods, under DIFFERENCES."""
    rows = []
    for found in comparisons:
        scale, unit = (100, "points") if found.unit == "fraction" else (1, found.unit)
        between = (found.difference.mean, found.difference.low, found.difference.high)
        numbers = [f"{scale * value:+.3f}" for value in between]
        rows.append([f"{kind(found)}, {unit}", " - ".join(found.methods), str(len(found.names)), *numbers])
    return rows


def differences_caption() -> str:
    return (
        f"First method's error minus the second's, mean of the images that both have, with its bootstrap {LEVEL} % "
        f"interval ({RESAMPLES} resamples of the images, seed {SEED}); negative: the first is better."
    )
