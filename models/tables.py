"""Arrays keyed by image name: boxes, landmarks and coefficients as people hand them over.

Rows are paired by name, never by place: an array without names of its own takes them from a list (`--rows`), and two
arrays of different lists cannot be laid side by side by mistake (Q20).
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np

from .errors import FileError, NamesError
from .files import read_bytes, read_npy
from .photos import SUFFIXES

_STRIPPED = SUFFIXES | {".mat"}


def image_name(path: str | PurePath) -> str:
    """What an image is called everywhere: its file name without folder and without a picture's (or .mat) suffix."""
    name = PurePath(str(path).replace("\\", "/")).name
    suffix = PurePath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in _STRIPPED else name


def check_unique(names: Sequence[str], what: str) -> None:
    """Raise NamesError if a name stands twice."""
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise NamesError(f"{what} has the name '{twice}' twice; names pair images with their data, so each stands once")


def shorten(names: Iterable[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def read_names(path: Path) -> tuple[str, ...]:
    """The image names of a list file, one a line (suffixes allowed). Raises FileError or NamesError."""
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not a list of names: it is not text") from error
    names = tuple(image_name(line.strip()) for line in lines if line.strip())
    check_unique(names, str(path))
    return names


@dataclass(frozen=True, eq=False)
class Table:
    """One row of numbers for each image name: values (n, width) float64."""

    names: tuple[str, ...]
    values: np.ndarray
    source: Path

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def row(self, name: str) -> np.ndarray | None:
        """The row of an image, (width,), or None where there is none."""
        row = self._index.get(name)
        return None if row is None else self.values[row]

    def rows(self, names: Sequence[str]) -> np.ndarray:
        """The rows of these images, in their order. Raises NamesError naming the ones without a row."""
        missing = [name for name in names if name not in self]
        if missing:
            raise NamesError(f"{self.source} has no row for {shorten(missing)}")
        return self.values[[self._index[name] for name in names]]


def read_table(path: Path, rows: Path | None, widths: Sequence[int], what: str) -> Table:
    """Read a table of `what` (for messages), each row of one of these widths.

    `.npy` of (n, ...) with `rows`, the list that names its rows; `.csv` with the name first (a header line is allowed);
    `.jsonl` with "name" and one list of numbers; any other text as the detector lists of 3DDFA and 2DASL: name, then
    the numbers, comma-separated (a line of one number only marks an image without a detection and is left out).
    Raises FileError for another content and NamesError where rows and names do not pair.
    """
    if path.is_dir():
        raise FileError(f"{path} is a folder; a file with {what} is expected")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _from_npy(path, rows, widths, what)
    text = _read_text(path, what)
    entries = _json_lines(text, path, what) if suffix in {".jsonl", ".json"} else _comma_lines(text, path, what)
    if not entries:
        raise FileError(f"{path} holds no {what}")
    for line, (name, numbers) in enumerate(entries, 1):
        if len(numbers) not in widths:
            wanted = " or ".join(map(str, widths))
            raise FileError(
                f"{path}: {name} (entry {line}) has {len(numbers)} numbers; {wanted} are expected for {what}"
            )
    lengths = {len(numbers) for _, numbers in entries}
    if len(lengths) > 1:
        raise FileError(f"{path}: some entries have {min(lengths)} numbers and some {max(lengths)}")
    names = tuple(name for name, _ in entries)
    check_unique(names, str(path))
    return Table(names, np.array([numbers for _, numbers in entries], np.float64), path)


def _from_npy(path: Path, rows: Path | None, widths: Sequence[int], what: str) -> Table:
    array = read_npy(path)
    if rows is None:
        raise NamesError(f"{path} has rows without names: --rows names the list they are in the order of")
    if array.dtype.kind not in "fiu" or array.ndim < 2:
        raise FileError(f"{path} is {array.dtype} {array.shape}; one row of numbers per image is expected for {what}")
    names = read_names(rows)
    if len(array) != len(names):
        raise NamesError(f"{path} has {len(array)} rows but {rows} has {len(names)} names; they are of different lists")
    if array.ndim == 3 and array.shape[1] in (2, 3) and array.shape[2] > 3:  # (n, 2 or 3, points), as MATLAB has it
        array = np.swapaxes(array, 1, 2)
    values = array.reshape(len(array), -1).astype(np.float64)
    if values.shape[1] not in widths:
        wanted = " or ".join(map(str, widths))
        raise FileError(f"{path} is {array.shape}: {values.shape[1]} numbers a row; {wanted} are expected for {what}")
    return Table(names, values, path)


def _read_text(path: Path, what: str) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{path} does not hold {what}: it is neither text nor a .npy array") from error


def _comma_lines(text: str, path: Path, what: str) -> list[tuple[str, list[float]]]:
    entries = []
    reader = csv.reader(io.StringIO(text))
    try:
        lines = list(reader)
    except csv.Error as error:
        raise FileError(f"{path}, line {reader.line_num}: this is no table of {what}: {error}") from error
    for number, cells in enumerate(lines, 1):
        while cells and not cells[-1].strip():
            cells.pop()  # a trailing comma
        if not cells or (len(cells) == 1 and cells[0].strip().isdigit()):
            continue
        try:
            numbers = [float(cell) if cell.strip() else np.nan for cell in cells[1:]]
        except ValueError:
            if number == 1 and not any(map(_is_number, cells[1:])):
                continue  # a header
            raise FileError(f"{path}, line {number}: a name and then the numbers of {what} are expected") from None
        entries.append((image_name(cells[0].strip()), numbers))
    return entries


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _json_lines(text: str, path: Path, what: str) -> list[tuple[str, list[float]]]:
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            name = record["name"]
            lists = [value for key, value in record.items() if key != "name" and isinstance(value, list)]
            (numbers,) = lists
            entries.append((image_name(name), np.array(numbers, np.float64).ravel().tolist()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            wanted = f'{{"name": ..., "{what.rsplit(" ", maxsplit=1)[-1]}": [numbers]}}'
            raise FileError(f"{path}, line {number}: {wanted} is expected on a line of its own") from error
    return entries
