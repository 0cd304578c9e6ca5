"""Reconstructions that come in other files than runs: coefficient tables, with what is needed to read them."""

from dataclasses import dataclass
from pathlib import Path

from .coefficients import read_whitening
from .errors import TwodaslError
from .library import open_model
from .morphable import MorphableModel
from .pose import Convention
from .runs import Run, run_from_coefficients
from .tables import Table, read_table
from .vertex_files import Frame

RUN_SUFFIXES = frozenset({".h5", ".hdf5"})

# What a run states itself, so that an option could only contradict it.
RUN_STATES = ("whitening", "boxes", "convention", "frame_in")


@dataclass(frozen=True)
class InputOptions:
    """How to read an input that does not say everything itself; None leaves it to the input or to the default.

    rows: the list that names the rows of arrays. whitening: of raw network outputs. boxes: crop boxes. model: the
    face model. convention: of crop points. frame_in: of vertex files. origin: the first pixel of landmarks.
    points: which of the model's lists of 68 landmarks.
    """

    rows: Path | None = None
    whitening: Path | None = None
    boxes: Path | None = None
    model: Path | None = None
    convention: Convention | None = None
    frame_in: Frame | None = None
    origin: int | None = None
    points: str | None = None


def run_from_table(table: Table, options: InputOptions) -> tuple[Run, MorphableModel]:
    """The run that a table of coefficients stands for, and the model they belong to.

    Without `options.boxes` the faces stay in their crops (box kind `none`).
    """
    model = open_model(options.model)
    values = table.values
    if options.whitening is not None:
        values = read_whitening(options.whitening).unwhiten(values)
    boxes = None
    if options.boxes is not None:
        boxes = read_table(options.boxes, options.rows, (4,), "boxes").rows(table.names)
    return run_from_coefficients(table.names, values, model, options.convention or "3ddfa", boxes), model


def refuse_unread(options: InputOptions, unread: tuple[str, ...], what: str) -> None:
    """Raise TwodaslError for options that were given but that reading `what` would leave unread."""
    given = [f"--{name.replace('_', '-')}" for name in unread if getattr(options, name) is not None]
    if given:
        raise TwodaslError(f"{' and '.join(given)} cannot be given for {what}")
