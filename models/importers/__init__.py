"""Readers of other programs' face model files. To add a format, write a module with `recognises` and `read_model`
and list it in `IMPORTERS`."""

from pathlib import Path
from typing import Protocol

from ..errors import FileError
from ..morphable import MorphableModel
from . import tddfa


class Importer(Protocol):
    """One format: `NAME` for people, `WANTS` says what a folder of it holds."""

    NAME: str
    WANTS: str

    @staticmethod
    def recognises(folder: Path) -> bool: ...

    @staticmethod
    def read_model(folder: Path) -> MorphableModel: ...


IMPORTERS: tuple[Importer, ...] = (tddfa.TddfaImporter,)


def import_model(folder: Path) -> MorphableModel:
    """The face model in `folder`, whichever known format it has. Raises FileError if it has none."""
    for importer in IMPORTERS:
        if importer.recognises(folder):
            return importer.read_model(folder)
    known = "; ".join(f"{importer.NAME}: {importer.WANTS}" for importer in IMPORTERS)
    raise FileError(f"{folder} holds no face model in a known format ({known})")
