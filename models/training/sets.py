"""Training set files: crops with landmarks and visibility, and with coefficients where they are known, in one HDF5.

A *labelled* set has coefficients of one face model and their whitening; a *wild* one (labels `none`) has 2D points only.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ..boxes import BOX_KINDS, BoxKind
from ..coefficients import Whitening
from ..errors import FileError, ShapeError
from ..files import open_h5, whole_file
from ..morphable import MorphableModel, check_basis
from ..pose import Convention
from .points import COUNTS, Points

FORMAT = "twodasl-set"
VERSION = 2  # 1 had labelled sets of 68 points only; it is read as such

Labels = Literal["exact", "truncated", "fitted", "synthetic", "none"]
BLOCK = 256  # faces written at once


@dataclass(frozen=True)
class SetInfo:
    """What holds for every face of a set.

    labels: `exact`: coefficients converted from annotations of the same basis with all components; `truncated`: with
    the first ones only; `fitted`: of another model, fitted to landmarks; `synthetic`: drawn from them; `none`: 2D
    points only. basis_id, n_identity, n_expression, convention, landmark_list: of the face model the coefficients
    belong to and of its landmarks (empty: its only list); empty or 0 in a wild set. points: which points a face is
    annotated with. box_kind: what is known of the boxes.
    """

    basis_id: str
    n_identity: int
    n_expression: int
    convention: Convention
    labels: Labels
    model_name: str = ""
    terms: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    points: Points = "68"
    landmark_list: str = ""
    box_kind: BoxKind = "cut"

    def __post_init__(self) -> None:
        for name, known in (("labels", get_args(Labels)), ("points", COUNTS), ("box_kind", BOX_KINDS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {', '.join(known)} is expected")

    @property
    def labelled(self) -> bool:
        return self.labels != "none"

    @property
    def n_coefficients(self) -> int:
        return 12 + self.n_identity + self.n_expression if self.labelled else 0

    @property
    def n_points(self) -> int:
        return COUNTS[self.points]

    def own_model(self, model: MorphableModel, what: str) -> MorphableModel:
        """The model with the labels' list of landmarks. Raises BasisError where it is of another basis."""
        check_basis(self.basis_id, model, what)
        return model.with_points(self.landmark_list) if self.landmark_list else model


@dataclass(frozen=True, eq=False)
class Example:
    """One face of a set.

    jpg: the crop's bytes. coefficients: (C,) float32, un-whitened, 120-pixel crop, y up; none in a wild set.
    landmarks: (P, 3) float32, crop pixels from 0, y down: the annotated points, NaN where unknown (z of 2D points, a
    point that was not annotated). visible: (P,) bool: inside the crop, and seen as far as is known. box: (4,) float64,
    photo pixels from 1, NaN where unknown.
    """

    name: str
    jpg: bytes
    coefficients: np.ndarray
    landmarks: np.ndarray
    visible: np.ndarray
    box: np.ndarray


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """An opened set; crops are read one by one. whitening: of its own labels, None in a wild set."""

    path: Path
    info: SetInfo
    names: tuple[str, ...]
    coefficients: np.ndarray
    landmarks: np.ndarray
    visible: np.ndarray
    box: np.ndarray
    whitening: Whitening | None

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def open(cls, path: Path) -> "TrainingSet":
        """Read everything but the crops. Raises FileError if the file is no set, newer than this program or damaged."""
        with open_h5(path, FORMAT, VERSION) as file:
            try:
                info = SetInfo(**json.loads(file.attrs["info"]))
                names = tuple(file["names"].asstr()[()])
                n, shapes = len(names), _shapes(info)
                arrays = {name: file[name][()] for name in shapes}
                arrays.setdefault("coefficients", np.empty((n, 0), np.float32))
                whitening = None
                if info.labelled:
                    whitening = Whitening(file["whitening_mean"][()], file["whitening_std"][()])
                opened = cls(path=path, info=info, names=names, whitening=whitening, **arrays)
                crops = file["jpg"].shape
            except (KeyError, ValueError, TypeError, OSError, ShapeError) as error:
                raise FileError(f"{path} is a damaged training set: {error}") from error
        for name, (shape, _) in shapes.items():
            if arrays[name].shape != (n, *shape):
                raise FileError(
                    f"{path} is a damaged training set: {name} is {arrays[name].shape}; {(n, *shape)} is expected"
                )
        if crops != (n,):
            raise FileError(f"{path} is a damaged training set: it has {crops[0]} crops for {n} names")
        return opened

    def crops(self, rows: Iterable[int] | None = None) -> Iterator[bytes]:
        """The jpg bytes of these faces, or of all, in order."""
        with open_h5(self.path, FORMAT, VERSION) as file:
            for row in range(len(self)) if rows is None else rows:
                yield file["jpg"][row].tobytes()


def _shapes(info: SetInfo) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape of a face and type of every array."""
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "coefficients": ((info.n_coefficients,), "<f4"),
        "landmarks": ((info.n_points, 3), "<f4"),
        "visible": ((info.n_points,), bool),
        "box": ((4,), "<f8"),
    }
    if not info.labelled:
        del shapes["coefficients"]
    return shapes


def write_set(path: Path, info: SetInfo, examples: Iterable[Example]) -> int:
    """Write the examples as they come, with the whitening of their labels; returns how many.

    The file appears whole or not at all. Raises FileError where there are none.
    """
    import h5py

    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(format=FORMAT, version=VERSION, info=json.dumps(asdict(info), sort_keys=True))
        shapes = _shapes(info)
        for name, (shape, dtype) in shapes.items():
            file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(BLOCK, *shape))
        file.create_dataset("names", (0,), h5py.string_dtype(), maxshape=(None,))
        file.create_dataset("jpg", (0,), h5py.vlen_dtype(np.uint8), maxshape=(None,))
        count = 0
        remaining = iter(examples)
        while block := list(islice(remaining, BLOCK)):
            rows = slice(count, count + len(block))
            for name in (*shapes, "names", "jpg"):
                file[name].resize(rows.stop, axis=0)
            for name in shapes:
                file[name][rows] = np.stack([getattr(example, name) for example in block])
            file["names"][rows] = [example.name for example in block]
            for row, example in enumerate(block, count):
                file["jpg"][row] = np.frombuffer(example.jpg, np.uint8)
            count = rows.stop
        if count == 0:
            raise FileError(f"{path} would hold no faces; it is not written")
        if info.labelled:
            labels = file["coefficients"][()].astype(np.float64)
            spread = labels.std(axis=0)
            file["whitening_mean"] = labels.mean(axis=0).astype(np.float32)
            file["whitening_std"] = np.where(spread > 0, spread, 1).astype(np.float32)
    return count
