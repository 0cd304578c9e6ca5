"""Files that appear whole or not at all, and containers read without executing anything in them."""

import hashlib
import io
import os
import pickle
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .errors import FileError

LARGEST_ARRAY = 1_000_000_000  # bytes of an array that is unpacked
PNG = {"compress_level": 3}  # Pillow's: a third of the time of its own 6, a tenth more bytes


def check_output(path: Path, overwrite: bool = False) -> None:
    """Raise FileError if `path` exists and may not be replaced, or if its folder cannot be made or written."""
    if path.is_dir():
        raise FileError(f"{path} is a folder; -o names a file here")
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists already; --overwrite replaces it")
    make_folder(path.parent)


def make_folder(folder: Path) -> Path:
    """Create `folder` and its parents. Raises FileError where that is not allowed or a file is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot create the folder {folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise FileError(f"cannot write into {folder}: permission denied")
    return folder


def check_space(path: Path, size: int) -> None:
    """Raise FileError if fewer than `size` bytes are free where `path` is to be written."""
    free = shutil.disk_usage(make_folder(path.parent)).free
    if free < size:
        raise FileError(f"cannot write {path}: it takes up to {size / 1e6:.1f} MB, {free / 1e6:.1f} MB are free there")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends, and is removed if it raises."""
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises FileError where it is missing, unreadable or empty."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise FileError(f"{path} is empty (0 bytes)")
    return data


def sha256(*parts: bytes | np.ndarray) -> str:
    """Hex digest of byte strings and arrays (little-endian, C order), one after another."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part, part.dtype.newbyteorder("<")).data)
        else:
            digest.update(part)
    return digest.hexdigest()


class _PlainUnpickler(pickle.Unpickler):
    """Builds numpy arrays and plain containers, and refuses every other name a pickle asks for."""

    ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),  # how Python 2 and protocol 2 spell a byte string
        }
    )
    ALLOWED_FUNCTIONS = frozenset({"_reconstruct", "scalar", "_frombuffer"})
    NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.ALLOWED:
            return super().find_class(module, name)
        if module in self.NUMPY_MODULES and name in self.ALLOWED_FUNCTIONS:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_pickle(path: Path) -> Any:
    """What a pickle holds, if that is numpy arrays in plain containers. Raises FileError for anything else."""
    try:
        return _PlainUnpickler(io.BytesIO(read_bytes(path)), encoding="latin1").load()
    except FileError:
        raise
    except Exception as error:
        raise FileError(
            f"{path} is not a pickle of numpy arrays: {error or type(error).__name__}; nothing in it was executed"
        ) from error


def read_npy(path: Path) -> np.ndarray:
    """The array of a `.npy` file. Raises FileError for a damaged file or one that holds Python objects."""
    data = read_bytes(path)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        reason = "it holds Python objects, or is of another kind" if "allow_pickle" in str(error) else error
        raise FileError(f"{path} is not a .npy array: {reason}") from error
    if not isinstance(array, np.ndarray):
        raise FileError(f"{path} is an archive of several arrays (.npz); a single .npy array is expected")
    return array


def read_npz(path: Path, fields: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of these arrays that a `.npz` archive holds. Raises FileError for a damaged file, Python objects, or an
    array of more than a gigabyte."""
    data = read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
        if any(sizes.get(f"{field}.npy", 0) > LARGEST_ARRAY for field in fields):
            raise FileError(f"{path} unpacks to more than {LARGEST_ARRAY / 1e9:g} GB an array")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {field: arrays[field] for field in fields if field in arrays}
    except (ValueError, EOFError, OSError, RuntimeError, MemoryError, zlib.error, zipfile.BadZipFile) as error:
        raise FileError(f"{path} is not an archive of arrays (.npz): {error}") from error


def read_mat(path: Path, *fields: str) -> dict[str, np.ndarray]:
    """The variables of a MATLAB 5 file. Raises FileError if it is damaged or a field of `fields` is missing."""
    from scipy.io import loadmat

    data = read_bytes(path)
    try:
        variables = loadmat(io.BytesIO(data))  # type: ignore[arg-type]  # the stubs know paths only
    except Exception as error:
        raise FileError(f"{path} is not a readable MATLAB file: {error or type(error).__name__}") from error
    variables = {name: value for name, value in variables.items() if not name.startswith("__")}
    for field in fields:
        if field not in variables:
            raise FileError(f"{path} holds no variable '{field}'; it has {', '.join(sorted(variables)) or 'none'}")
    return variables


def open_h5(path: Path, expected: str, version: int) -> Any:
    """Open one of twodasl's HDF5 files for reading. Raises FileError if it is another kind or a newer version."""
    import h5py

    kinds = {"twodasl-model": "a face model", "twodasl-run": "a run", "twodasl-set": "a training set"}
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = (
            "it is damaged or not HDF5" if path.is_file() else "it is a folder" if path.is_dir() else "no such file"
        )
        raise FileError(f"cannot read {path} as {kinds[expected]}: {reason}") from error
    found = file.attrs.get("format")
    if found != expected:
        file.close()
        holds = kinds.get(str(found), "HDF5 data of another program")
        raise FileError(f"{path} holds {holds}; {kinds[expected]} is expected")
    stated = file.attrs.get("version")
    if not isinstance(stated, int | np.integer) or stated > version:
        file.close()
        if not isinstance(stated, int | np.integer):
            raise FileError(f"{path} is damaged: its format version is {stated!r}")
        raise FileError(f"{path} has format version {stated}, this program reads up to {version}: update twodasl")
    return file
