"""`-o`: a file name writes one file, a folder many."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..models.errors import FileError, NamesError
from ..models.files import check_output, make_folder
from ..models.photos import SUFFIXES

LONGEST_NAME = 230  # bytes; file systems take 255, and it is longer while it is being written

# A path that ends so is meant as a file: `-o face.ply` is not taken for a folder.
FILE_SUFFIXES = SUFFIXES | {
    ".obj",
    ".ply",
    ".stl",
    ".glb",
    ".gltf",
    ".mat",
    ".npy",
    ".h5",
    ".gif",
    ".mp4",
    ".pdf",
    ".svg",
}


@dataclass(frozen=True)
class Output:
    """Where the files of some names go. A single file where `path` ends in one of `suffixes`, else a folder."""

    path: Path
    suffixes: Sequence[str]
    overwrite: bool = False

    @property
    def is_file(self) -> bool:
        return self.path.suffix.lower() in self.suffixes and not self.path.is_dir()

    def prepare(self, names: Sequence[str]) -> None:
        """Raise NamesError for several faces into one file, FileError where it exists or cannot be written."""
        if not self.is_file:
            if self.path.suffix.lower() in FILE_SUFFIXES and not self.path.is_dir():
                written = ", ".join(self.suffixes)
                raise FileError(f"{self.path}: {written} is written here, not {self.path.suffix}; or -o names a folder")
            make_folder(self.path)
            return
        if len(names) != 1:
            raise NamesError(f"{len(names)} faces do not go into the one file {self.path}: -o names a folder for many")
        check_output(self.path, self.overwrite)

    def file(self, name: str) -> Path:
        """The file of a name; in a folder it has the first of the suffixes.

        Raises NamesError for a name that would leave the folder: runs come from other people too.
        """
        if self.is_file:
            return self.path
        if PurePath(name).name != name:
            raise NamesError(f"'{name}' cannot be the name of a file in {self.path}")
        if len(os.fsencode(f"{name}{self.suffixes[0]}")) > LONGEST_NAME:
            raise NamesError(f"'{name[:20]}...' is too long for the name of a file")
        return self.path / f"{name}{self.suffixes[0]}"

    def done(self, name: str) -> bool:
        """Whether a folder holds the file already and may keep it, so that a stopped command goes on."""
        return not self.is_file and not self.overwrite and self.file(name).is_file()
