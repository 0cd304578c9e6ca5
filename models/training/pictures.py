"""Where the pictures of a training set come from: a folder, or a zip archive that is read in place."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from ..errors import FileError
from ..files import read_bytes
from ..inference import list_photos
from ..photos import SUFFIXES
from ..tables import check_unique, image_name

LARGEST = 1 << 28  # bytes of one picture in an archive, unpacked


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture. path: where it lies, for messages and to find what lies beside it. read: its bytes; raises
    FileError."""

    name: str
    path: Path
    read: Callable[[], bytes]


def list_pictures(folder: Path) -> list[Picture]:
    """The pictures in a folder, by name. Raises FileError if there are none, NamesError if two have one name."""
    paths = list_photos(folder)
    check_unique([image_name(path) for path in paths], str(folder))
    return [Picture(image_name(path), path, partial(read_bytes, path)) for path in paths]


@contextmanager
def open_pictures(path: Path) -> Iterator[list[Picture]]:
    """The pictures of a folder or of a zip archive, whatever folders it has; nothing is unpacked to disk, and each
    picture's bytes are read when asked for.

    Raises FileError for an archive that is damaged, encrypted or without pictures, NamesError if two have one name.
    """
    if path.is_file() and path.suffix.lower() != ".zip":
        raise FileError(f"{path} is neither a folder of photos nor a .zip")
    if path.suffix.lower() != ".zip" or path.is_dir():
        yield list_pictures(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise FileError(f"{path} is not a zip archive, or damaged: {error}") from error
    with archive:
        yield _members(archive, path)


def _members(archive: zipfile.ZipFile, path: Path) -> list[Picture]:
    pictures = []
    for member in archive.infolist():
        inner = PurePosixPath(member.filename)
        if member.is_dir() or inner.suffix.lower() not in SUFFIXES or inner.name.startswith("."):
            continue
        if member.flag_bits & 1:
            raise FileError(f"{path}: {member.filename} is encrypted; an archive without a password is expected")
        pictures.append(Picture(image_name(inner), path / inner, partial(_read_member, archive, member, path)))
    if not pictures:
        raise FileError(f"{path} holds no photos ({', '.join(sorted(SUFFIXES))})")
    check_unique([picture.name for picture in pictures], str(path))
    return pictures


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    """Not more than the size that the archive states is ever unpacked, and that is looked at first."""
    if member.file_size > LARGEST:
        raise FileError(
            f"{path}: {member.filename} unpacks to {member.file_size / 1e6:.0f} MB; a picture has {LARGEST / 1e6:.0f} at most"
        )
    try:
        data = archive.read(member)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise FileError(f"cannot read {member.filename} in {path}: {error}") from error
    if not data:
        raise FileError(f"{member.filename} in {path} is empty (0 bytes)")
    return data
