"""Training set files: crops with coefficients of one face model, landmarks and visibility, in one HDF5 file."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..coefficients import Whitening
from ..errors import FileError
from ..files import open_h5, whole_file
from ..morphable import LANDMARKS
from ..pose import Convention

FORMAT = "twodasl-set"
VERSION = 1

Labels = Literal["exact", "truncated", "fitted"]


@dataclass(frozen=True)
class SetInfo:
    """What holds for every face of a set.

    labels: `exact`: coefficients converted from annotations of the same basis with all components; `truncated`: with
    the first ones only; `fitted`: of another model, fitted to landmarks. basis_id: whose coefficients they are.
    """

    basis_id: str
    n_identity: int
    n_expression: int
    convention: Convention
    labels: Labels
    model_name: str = ""
    terms: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def n_coefficients(self) -> int:
        return 12 + self.n_identity + self.n_expression


@dataclass(frozen=True, eq=False)
class Example:
    """One face of a set.

    jpg: the crop's bytes. coefficients: (C,) float32, un-whitened, 120-pixel crop, y up. landmarks: (68, 3) float32,
    crop pixels from 0, y down: the annotated points. visible: (68,) bool. box: (4,) float64, photo pixels from 1.
    """

    name: str
    jpg: bytes
    coefficients: np.ndarray
    landmarks: np.ndarray
    visible: np.ndarray
    box: np.ndarray


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """An opened set; crops are read one by one. whitening: of its own labels."""

    path: Path
    info: SetInfo
    names: tuple[str, ...]
    coefficients: np.ndarray
    landmarks: np.ndarray
    visible: np.ndarray
    box: np.ndarray
    whitening: Whitening

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def open(cls, path: Path) -> "TrainingSet":
        """Read everything but the crops. Raises FileError if the file is no set, newer than this program or damaged."""
        with open_h5(path, FORMAT, VERSION) as file:
            try:
                info = SetInfo(**json.loads(file.attrs["info"]))
                n = len(file["names"])
                arrays = {name: file[name][()] for name in ("coefficients", "landmarks", "visible", "box")}
                opened = cls(
                    path=path,
                    info=info,
                    names=tuple(file["names"].asstr()[()]),
                    whitening=Whitening(file["whitening_mean"][()], file["whitening_std"][()]),
                    **arrays,
                )
                crops = file["jpg"].shape
            except (KeyError, ValueError, TypeError, OSError) as error:
                raise FileError(f"{path} is a damaged training set: {error}") from error
        expected = {"coefficients": (n, info.n_coefficients), "landmarks": (n, LANDMARKS, 3), "visible": (n, LANDMARKS)}
        for name, shape in (expected | {"box": (n, 4)}).items():
            if arrays[name].shape != shape:
                raise FileError(
                    f"{path} is a damaged training set: {name} is {arrays[name].shape}; {shape} is expected"
                )
        if crops != (n,):
            raise FileError(f"{path} is a damaged training set: it has {crops[0]} crops for {n} names")
        return opened

    def crops(self) -> Iterable[bytes]:
        """The crops' jpg bytes, in order."""
        with open_h5(self.path, FORMAT, VERSION) as file:
            for row in range(len(self)):
                yield file["jpg"][row].tobytes()


def write_set(path: Path, info: SetInfo, examples: Iterable[Example]) -> int:
    """Write the examples as they come, with the whitening of their labels; returns how many.

    The file appears whole or not at all. Raises FileError where there are none.
    """
    import h5py

    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(format=FORMAT, version=VERSION, info=json.dumps(asdict(info), sort_keys=True))
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            "coefficients": ((info.n_coefficients,), "<f4"),
            "landmarks": ((LANDMARKS, 3), "<f4"),
            "visible": ((LANDMARKS,), bool),
            "box": ((4,), "<f8"),
        }
        for name, (shape, dtype) in shapes.items():
            file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(256, *shape))
        file.create_dataset("names", (0,), h5py.string_dtype(), maxshape=(None,))
        file.create_dataset("jpg", (0,), h5py.vlen_dtype(np.uint8), maxshape=(None,))
        count = 0
        for example in examples:
            for name in (*shapes, "names", "jpg"):
                file[name].resize(count + 1, axis=0)
            for name in shapes:
                file[name][count] = getattr(example, name)
            file["names"][count] = example.name
            file["jpg"][count] = np.frombuffer(example.jpg, np.uint8)
            count += 1
        if count == 0:
            raise FileError(f"{path} would hold no faces; it is not written")
        labels = file["coefficients"][()].astype(np.float64)
        spread = labels.std(axis=0)
        file["whitening_mean"] = labels.mean(axis=0).astype(np.float32)
        file["whitening_std"] = np.where(spread > 0, spread, 1).astype(np.float32)
    return count
