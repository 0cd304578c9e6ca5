"""`twodasl train`: from labelled faces and plain photos to weights."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .main import EXIT_INTERRUPTED
from .options import FILE, NumberRange, note, output_option, overwrite_option
from .train_ablate import ablate
from .train_options import recipe_options, work_options

if TYPE_CHECKING:
    from twodasl.models.training.trainer import Report, Trainer


@click.group()
def train() -> None:
    """Train a network: labelled faces teach it coefficients, plain photos with 2D points teach it to check itself.

    A training is a folder. It can be stopped at any time (Ctrl-C, SIGTERM, kill) and gone on with from its last save,
    to the same weights. torchrun starts it on several processes, GPUs or machines.
    """


minutes_option = click.option(
    "--minutes", type=NumberRange(0, min_open=True), help="Train for about this long from now."
)


@train.command()
@recipe_options
@output_option("Folder of the training.")
@click.option("--seed", type=click.IntRange(0))
@work_options
@minutes_option
@overwrite_option
def start(output: Path, overwrite: bool, **options: Any) -> None:
    """Begin a training. What --steps or --minutes leave open is the preset's."""
    from twodasl.models.training.run import Asked, start_training

    asked = Asked(**options)
    start_training(output, asked, overwrite=overwrite, drive=_drive)


@train.command()
@click.argument("folder", type=FILE)
@work_options
@minutes_option
def resume(folder: Path, **options: Any) -> None:
    """Go on with a training where it was saved last: to its planned end, or for --minutes, or to --steps."""
    from twodasl.models.training.run import resume_training

    resume_training(folder, drive=_drive, **options)


train.add_command(ablate)


def _drive(trainer: "Trainer", seconds: float | None) -> None:
    """Train, showing how it goes; stop on Ctrl-C and SIGTERM; say what came out."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from twodasl.models.training.log import Log
    from twodasl.models.training.state import BEST, LAST
    from twodasl.models.training.trainer import Budget

    first = trainer.world.first
    for text in trainer.task.notes if first else ():
        note(text)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    stopped_by: list[int] = []

    def ask_to_stop(number: int, _frame: Any) -> None:
        if stopped_by:  # asked twice: at once
            raise KeyboardInterrupt
        stopped_by.append(number)
        trainer.stop()
        if first:
            note("Stopping after this step; once more stops at once, without saving.")

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Progress(*columns, console=console, disable=not (first and console.is_terminal)) as bar:
            task = bar.add_task("training", total=trainer.progress.steps, completed=trainer.progress.step)

            def report(made: "Report") -> None:
                best = trainer.progress.best
                text = f"loss {made.loss:.4f}  {made.images_per_second:.0f} images/s"
                text += "" if best is None else f"  best NME {100 * best:.2f} %"
                bar.update(task, description=text, completed=made.step, total=made.steps)

            if first:
                with Log(trainer.folder, trainer.progress.step) as log:
                    done = trainer.train(log, Budget(seconds), report)
            else:
                done = trainer.train(None, Budget(seconds))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if first:
        progress = trainer.progress
        reached = "done" if done else "stopped; 'twodasl train resume' goes on"
        note(f"{progress.step} of {progress.steps} steps in {progress.seconds:.0f} s of training: {reached}")
        if progress.best is not None:
            click.echo(
                f"{trainer.folder / BEST}: NME {100 * progress.best:.3f} % on held-out faces, step {progress.best_step}"
            )
        note(f"last: {trainer.folder / LAST}")
        note(f"Terms: {trainer.task.terms}")
    if stopped_by:
        sys.exit(EXIT_INTERRUPTED if stopped_by[0] == signal.SIGINT else 128 + stopped_by[0])
