"""Where training examples come from: a set's file, or faces made when they are asked for."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..coefficients import Whitening
from ..errors import FileError, NotFiniteError
from ..files import open_h5
from ..tables import shorten
from .sets import FORMAT, VERSION, Example, SetInfo, TrainingSet

IN_MEMORY = 2_000_000_000  # bytes of a set's file that is kept whole


class Source(Protocol):
    """Examples by number. Any process may ask for any of them, and gets the same."""

    @property
    def info(self) -> SetInfo: ...

    @property
    def names(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def example(self, index: int) -> Example:
        """Raises FileError for one that cannot be read."""


class SetSource:
    """The examples of a training set's file; its crops are kept in memory where they are fewer than IN_MEMORY bytes.

    set: all but the crops. Raises FileError for a damaged set, NotFiniteError for labels that are not finite.
    """

    def __init__(self, path: Path, in_memory: int = IN_MEMORY) -> None:
        self.path, self._in_memory = path, in_memory
        self.set = TrainingSet.open(path)
        self.info, self.names = self.set.info, self.set.names
        check_labels(self.set.coefficients, self.names, str(path))
        self._file: tuple[int, Any] | None = None
        self._crops: tuple[np.ndarray, np.ndarray] | None = None
        if path.stat().st_size <= in_memory:
            crops = list(self.set.crops())
            ends = np.cumsum([len(crop) for crop in crops])
            self._crops = np.frombuffer(b"".join(crops), np.uint8), np.insert(ends, 0, 0)

    def __reduce__(self) -> tuple[type["SetSource"], tuple[Path, int]]:
        return SetSource, (self.path, self._in_memory)

    def __len__(self) -> int:
        return len(self.names)

    def example(self, index: int) -> Example:
        arrays = self.set
        return Example(
            name=self.names[index],
            jpg=self._jpg(index),
            coefficients=arrays.coefficients[index],
            landmarks=arrays.landmarks[index],
            visible=arrays.visible[index],
            box=arrays.box[index],
        )

    def _jpg(self, index: int) -> bytes:
        if self._crops is not None:
            data, ends = self._crops
            return data[ends[index] : ends[index + 1]].tobytes()
        if self._file is None or self._file[0] != os.getpid():  # an opened file is of no use to a forked process
            self._file = os.getpid(), open_h5(self.path, FORMAT, VERSION)
        try:
            return self._file[1]["jpg"][index].tobytes()
        except (KeyError, OSError, ValueError) as error:
            raise FileError(f"cannot read the crop of '{self.names[index]}' in {self.path}: {error}") from error


class GeneratedSource:
    """Faces that are made when they are asked for. `make` gives face number 0 to count - 1, the same one each time and in
    each process; it travels to worker processes."""

    def __init__(self, count: int, make: Callable[[int], Example], info: SetInfo) -> None:
        self.info, self.names = info, _Numbers(count)
        self._make = make

    def __len__(self) -> int:
        return len(self.names)

    def example(self, index: int) -> Example:
        return self._make(index)


class _Numbers(Sequence[str]):
    """Names of faces that nobody named: a million of them take no room."""

    def __init__(self, count: int) -> None:
        self._range = range(count)

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, index: Any) -> Any:
        return str(self._range[index])


def check_labels(coefficients: np.ndarray, names: Sequence[str], what: str) -> None:
    """Raise NotFiniteError where coefficients (n, C) are not finite."""
    wrong = np.flatnonzero(~np.isfinite(coefficients).all(axis=1))
    if len(wrong):
        raise NotFiniteError(
            f"{what}: the coefficients of {shorten(names[row] for row in wrong.tolist())} are not finite; numbers are expected"
        )


def label_whitening(coefficients: np.ndarray) -> Whitening:
    """Mean and spread of labels (n, C); a coefficient that never changes has spread 1."""
    spread = coefficients.std(axis=0, dtype=np.float64)
    mean = coefficients.mean(axis=0, dtype=np.float64)
    return Whitening(mean.astype(np.float32), np.where(spread > 0, spread, 1).astype(np.float32))
