"""The faces done so far, beside a run that is still being made: `<run>.part`.

Records of one fixed size are appended and never rewritten, so that a process may be killed at any moment: what is cut
short is the last record, and it is dropped. Memory does not grow with the number of faces.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from .errors import FileError
from .files import make_folder

FORMAT = "twodasl-journal"
VERSION = 1


class Journal:
    """An append-only file of records of one dtype, headed by the key of the work it belongs to."""

    def __init__(self, path: Path, key: str, dtype: np.dtype, overwrite: bool = False) -> None:
        """Open the journal at `path` to go on with it, or start it.

        One of other work (another `key`) is replaced where `overwrite` is set; else it raises FileError.
        """
        self.path, self.dtype = path, dtype
        header = json.dumps({"format": FORMAT, "version": VERSION, "key": key, "record": dtype.itemsize}) + "\n"
        self._start = len(header.encode())
        make_folder(path.parent)
        try:
            found = self._read_header()
            if found == header:
                self._count = (path.stat().st_size - self._start) // dtype.itemsize
            elif not overwrite and not header.startswith(found):
                raise FileError(
                    f"{path} is of a run begun with other inputs or settings; --overwrite starts anew, "
                    "the same command as then continues it"
                )
            else:
                path.write_bytes(header.encode())
                self._count = 0
            self._file = path.open("r+b", buffering=0)
            self._file.truncate(self._start + self._count * dtype.itemsize)
            self._file.seek(0, 2)
        except OSError as error:
            raise FileError(f"cannot write {path}: {error.strerror or error}") from error

    def _read_header(self) -> str:
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            return file.readline(4096).decode("utf-8", "replace")

    def __len__(self) -> int:
        return self._count

    def append(self, records: np.ndarray) -> None:
        """Add records at the end, down to the operating system."""
        data = memoryview(records.astype(self.dtype, copy=False).tobytes())
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._count += len(records)

    def blocks(self, size: int = 256) -> Iterator[np.ndarray]:
        """The records from the first, `size` at a time."""
        with self.path.open("rb") as file:
            file.seek(self._start)
            left = self._count
            while left:
                count = min(size, left)
                yield np.frombuffer(file.read(count * self.dtype.itemsize), self.dtype)
                left -= count

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """The work is done: delete the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
