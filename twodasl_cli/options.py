"""Options that mean the same in every command."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


class _File(click.Path):
    """A path; an empty one, as of a shell variable that is not set, would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty; a file or folder is expected", param, ctx)
        return super().convert(value, param, ctx)


class NumberRange(click.FloatRange):
    """Numbers in a range; nan, which compares with nothing, and infinity are in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


FILE = _File(path_type=Path)

model_option = click.option(
    "--model", "model_path", type=FILE, help="Face model file (else TWODASL_MODEL, else the registered one that fits)."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what -o names if it exists.")
rows_option = click.option(
    "--rows", type=FILE, help="List of names, one a line: the names of the rows of every array handed over."
)
only_option = click.option("--only", type=FILE, help="List of names, one a line: take only these images.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, one line per image.")


def output_option(text: str, required: bool = True) -> Callable[[Command], Command]:
    """`-o`: a file name writes one file, a folder many."""
    return click.option("-o", "--output", type=FILE, required=required, help=text)


def note(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    click.echo(text, err=True)


@contextmanager
def progress(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's stderr; yields what is told of each step done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, redirect_stdout=False) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done: bar.advance(task, done)
