"""The linear face model (3D Morphable Model) and its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BasisError, FileError, NamesError, ShapeError
from .files import open_h5, sha256, whole_file

FORMAT = "twodasl-model"
VERSION = 1
LANDMARKS = 68
BASIS_IDENTITY, BASIS_EXPRESSION = 40, 10

# Optional arrays of a model, and the shape of each after the vertex count.
_PER_VERTEX: dict[str, tuple[int | None, ...]] = {
    "uv": (2,),
    "colors": (3,),
    "pncc": (3,),
    "symmetry": (),
    "segments": (None,),
}
_PER_COEFFICIENT = ("identity_sigma", "expression_sigma")


@dataclass(frozen=True, eq=False)
class MorphableModel:
    """A linear face model: a mean face plus weighted identity and expression offsets.

    Frame: x to the right of the picture, y up, z to the viewer. Unit: micrometres (BFM's).

    mean: (N, 3) float32. identity_basis: (N, 3, K) float32. expression_basis: (N, 3, L) float32, both model units
    per unit of coefficient. triangles: (T, 3) int32, vertex indices from 0, counter-clockwise seen from outside.
    landmark_ids: (68,) int32, vertex indices from 0 in iBUG order.
    Optional: uv (N, 2) 0..1; colors (N, 3) 0..1 RGB, of the mean face; pncc (N, 3) 0..1; symmetry (N,) int32, each
    vertex's mirror image; segments (N, S) bool with segment_names; identity_sigma (K,) and expression_sigma (L,),
    the spread of each coefficient. triangles_reversed: the source file had them clockwise. named_landmarks: other
    lists of 68 vertices, (68,) int32 each, for other meanings of the points (`with_points`). basis_landmark_ids: the
    list that `basis_id` is taken at, where that is not landmark_ids.

    Raises ShapeError where the arrays do not fit together.
    """

    mean: np.ndarray
    identity_basis: np.ndarray
    expression_basis: np.ndarray
    triangles: np.ndarray
    landmark_ids: np.ndarray
    uv: np.ndarray | None = None
    colors: np.ndarray | None = None
    pncc: np.ndarray | None = None
    symmetry: np.ndarray | None = None
    segments: np.ndarray | None = None
    segment_names: tuple[str, ...] = ()
    identity_sigma: np.ndarray | None = None
    expression_sigma: np.ndarray | None = None
    triangles_reversed: bool = False
    named_landmarks: Mapping[str, np.ndarray] = field(default_factory=dict)
    basis_landmark_ids: np.ndarray | None = None
    name: str = "face model"
    source: str = ""
    terms: str = ""
    _basis: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n = len(self.mean)
        k, num_expression = self.identity_basis.shape[-1], self.expression_basis.shape[-1]
        _check_shape("mean", self.mean, (n, 3))
        _check_shape("identity_basis", self.identity_basis, (n, 3, k))
        _check_shape("expression_basis", self.expression_basis, (n, 3, num_expression))
        _check_shape("triangles", self.triangles, (len(self.triangles), 3))
        _check_shape("landmark_ids", self.landmark_ids, (LANDMARKS,))
        for name, tail in _PER_VERTEX.items():
            array = getattr(self, name)
            if array is not None:
                _check_shape(name, array, (n, *tail))
        for name, count in zip(_PER_COEFFICIENT, (k, num_expression), strict=True):
            if getattr(self, name) is not None:
                _check_shape(name, getattr(self, name), (count,))
        for name, ids in self.named_landmarks.items():
            _check_shape(f"landmarks {name!r}", ids, (LANDMARKS,))
        lists = {f"landmarks {name!r}": ids for name, ids in self.named_landmarks.items()}
        for name in ("triangles", "landmark_ids", "symmetry", *lists):
            indices = lists[name] if name in lists else getattr(self, name)
            if indices is not None and indices.size and not 0 <= indices.min() <= indices.max() < n:
                raise ShapeError(
                    f"{name} of {self.name!r} points at vertex {indices.max()}; the model has {n} (0..{n - 1})"
                )
        # One (3N, K + L) matrix, so that any number of faces is a single product; the two bases are views of it.
        basis = self.identity_basis.base if self._shares_basis() else None
        if basis is None:
            basis = np.concatenate([self.identity_basis, self.expression_basis], axis=2, dtype=np.float32)
        object.__setattr__(self, "_basis", basis.reshape(3 * n, -1))
        object.__setattr__(self, "identity_basis", basis.reshape(n, 3, -1)[:, :, :k])
        object.__setattr__(self, "expression_basis", basis.reshape(n, 3, -1)[:, :, k:])
        object.__setattr__(self, "mean", np.ascontiguousarray(self.mean, np.float32))
        object.__setattr__(self, "triangles", np.ascontiguousarray(self.triangles, np.int32))
        object.__setattr__(self, "landmark_ids", np.ascontiguousarray(self.landmark_ids, np.int32))

    def _shares_basis(self) -> bool:
        base, k = self.identity_basis.base, self.identity_basis.shape[-1]
        return (
            isinstance(base, np.ndarray)
            and base is self.expression_basis.base
            and base.dtype == np.float32
            and base.flags.c_contiguous
            and base.shape == (*self.identity_basis.shape[:2], k + self.expression_basis.shape[-1])
        )

    @property
    def n_identity(self) -> int:
        return self.identity_basis.shape[-1]

    @property
    def n_expression(self) -> int:
        return self.expression_basis.shape[-1]

    def vertices(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """Faces of these coefficients, (..., k) and (..., l): (..., N, 3) float32, model units.

        k and l may be smaller than the model's K and L: the first components are used. One matrix product for
        the whole batch. Raises ShapeError for more coefficients than the model has components.
        """
        coefficients = self._coefficients(identity, expression)
        offsets = (coefficients.astype(np.float32) @ self._basis.T).reshape(*coefficients.shape[:-1], -1, 3)
        offsets += self.mean
        return offsets

    def landmarks(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """The 68 landmarks of these coefficients: (..., 68, 3) float64, model units, without the dense face."""
        mean, basis = self._landmark_basis
        coefficients = self._coefficients(identity, expression)
        return (coefficients.astype(np.float64) @ basis.T).reshape(*coefficients.shape[:-1], LANDMARKS, 3) + mean

    def _coefficients(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        k, count = identity.shape[-1], expression.shape[-1]
        if k > self.n_identity or count > self.n_expression:
            raise ShapeError(
                f"{k} identity and {count} expression coefficients were given; {self.name!r} has "
                f"{self.n_identity} and {self.n_expression}"
            )
        full = np.zeros((*identity.shape[:-1], self.n_identity + self.n_expression))
        full[..., :k] = identity
        full[..., self.n_identity : self.n_identity + count] = expression
        return full

    @cached_property
    def _landmark_basis(self) -> tuple[np.ndarray, np.ndarray]:
        rows = self._basis.reshape(len(self.mean), 3, -1)[self.landmark_ids].astype(np.float64)
        return self.mean[self.landmark_ids].astype(np.float64), rows.reshape(3 * LANDMARKS, -1)

    @cached_property
    def basis_id(self) -> str:
        """Which coefficients mean the same: sha256 of the mean and the first 40 identity and 10 expression columns
        at the 68 landmarks, as float32 (68, 3), (68, 3, 40), (68, 3, 10). Equal for a neckless, coarser or coloured
        variant of one basis."""
        ids = self.landmark_ids if self.basis_landmark_ids is None else self.basis_landmark_ids
        return sha256(
            self.mean[ids],
            np.ascontiguousarray(self.identity_basis[ids, :, :BASIS_IDENTITY]),
            np.ascontiguousarray(self.expression_basis[ids, :, :BASIS_EXPRESSION]),
        )

    @cached_property
    def file_id(self) -> str:
        """sha256 of everything in the model; informative only."""
        parts: list[bytes | np.ndarray] = []
        for name, array in self._arrays().items():
            parts += [f"{name} {array.dtype} {array.shape}".encode(), array]
        return sha256(*parts, json.dumps(self._texts(), sort_keys=True).encode())

    def with_points(self, name: str) -> "MorphableModel":
        """The same model, its 68 landmarks meaning another list; the basis id stays. Raises NamesError for a name that
        it has no list for (BFM has one list only)."""
        if name not in self.named_landmarks:
            known = ", ".join(sorted(self.named_landmarks)) or "one list only"
            raise NamesError(f"{self.name!r} has no landmarks called '{name}'; it has {known}")
        kept = self.landmark_ids if self.basis_landmark_ids is None else self.basis_landmark_ids
        return replace(self, landmark_ids=self.named_landmarks[name], basis_landmark_ids=kept)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = (
            "mean",
            "identity_basis",
            "expression_basis",
            "triangles",
            "landmark_ids",
            *_PER_VERTEX,
            *_PER_COEFFICIENT,
        )
        arrays = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.basis_landmark_ids is not None:
            arrays["basis_landmark_ids"] = self.basis_landmark_ids
        return arrays | {f"named_landmarks/{name}": ids for name, ids in sorted(self.named_landmarks.items())}

    def _texts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "source": self.source,
            "terms": self.terms,
            "segment_names": list(self.segment_names),
            "triangles_reversed": self.triangles_reversed,
        }

    def source_triangles(self) -> np.ndarray:
        """The triangles in the winding of the file they came from, first vertex kept: (T, 3) int32."""
        return self.triangles[:, [0, 2, 1]] if self.triangles_reversed else self.triangles

    def with_ids(self, ids: np.ndarray, **changes: Any) -> "MorphableModel":
        """The same model on a subset of its vertices, (M,) int, which must hold all 68 landmarks.

        Triangles with all three vertices in the subset stay. `changes` replaces fields (such as `name`).
        """
        place = np.full(len(self.mean), -1, np.int32)
        place[ids] = np.arange(len(ids), dtype=np.int32)
        lists = [self.landmark_ids, *self.named_landmarks.values()]
        if any((place[landmarks] < 0).any() for landmarks in lists):
            raise ShapeError(f"the {len(ids)} vertices kept leave out landmarks of {self.name!r}")
        triangles = place[self.triangles]
        parts = {name: getattr(self, name)[ids] for name in _PER_VERTEX if getattr(self, name) is not None}
        if "symmetry" in parts:
            parts["symmetry"] = place[parts["symmetry"]]
            if (parts["symmetry"] < 0).any():
                del parts["symmetry"]
                changes.setdefault("symmetry", None)
        if self.basis_landmark_ids is not None:
            parts["basis_landmark_ids"] = place[self.basis_landmark_ids]
        return replace(
            self,
            named_landmarks={name: place[list_] for name, list_ in self.named_landmarks.items()},
            mean=self.mean[ids],
            identity_basis=self.identity_basis[ids],
            expression_basis=self.expression_basis[ids],
            triangles=triangles[(triangles >= 0).all(axis=1)],
            landmark_ids=place[self.landmark_ids],
            **parts,
            **changes,
        )

    def save(self, path: Path) -> None:
        """Write the model as HDF5; the file appears whole or not at all."""
        import h5py

        with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs.update(
                format=FORMAT, version=VERSION, unit="micrometre", basis_id=self.basis_id, file_id=self.file_id
            )
            file.attrs.update(self._texts())
            for name, array in self._arrays().items():
                file.create_dataset(name, data=array)

    @classmethod
    def load(cls, path: Path) -> "MorphableModel":
        """Read a model file. Raises FileError if it is none, is newer than this program, or is damaged."""

        with open_h5(path, FORMAT, VERSION) as file:
            try:
                n, _, k = file["identity_basis"].shape
                basis = np.empty((n, 3, k + file["expression_basis"].shape[2]), np.float32)
                basis[:, :, :k] = file["identity_basis"][()]
                basis[:, :, k:] = file["expression_basis"][()]
                optional: dict[str, Any] = {
                    name: file[name][()] for name in (*_PER_VERTEX, *_PER_COEFFICIENT) if name in file
                }
                if "basis_landmark_ids" in file:
                    optional["basis_landmark_ids"] = file["basis_landmark_ids"][()]
                if "named_landmarks" in file:
                    optional["named_landmarks"] = {name: ids[()] for name, ids in file["named_landmarks"].items()}
                model = cls(
                    mean=file["mean"][()],
                    identity_basis=basis[:, :, :k],
                    expression_basis=basis[:, :, k:],
                    triangles=file["triangles"][()],
                    landmark_ids=file["landmark_ids"][()],
                    segment_names=tuple(str(name) for name in file.attrs["segment_names"]),
                    triangles_reversed=bool(file.attrs["triangles_reversed"]),
                    name=str(file.attrs["name"]),
                    source=str(file.attrs["source"]),
                    terms=str(file.attrs["terms"]),
                    **optional,
                )
                stored_id = str(file.attrs["basis_id"])
            except (KeyError, ValueError, TypeError, OSError) as error:
                raise FileError(f"{path} is a damaged model file: {error}") from error
        if model.basis_id != stored_id:
            raise FileError(f"{path} is a damaged model file: its arrays do not give the basis id it states")
        return model


def check_basis(expected: str, model: MorphableModel, what: str) -> None:
    """Raise BasisError if coefficients of basis id `expected` (those of `what`) are not the model's."""
    if expected != model.basis_id:
        raise BasisError(
            f"{what} belongs to the face model with basis id {expected[:12]}, but {model.name!r} has "
            f"{model.basis_id[:12]}: hand over that model with --model, or import it once with 'twodasl model import'"
        )


def _check_shape(name: str, array: np.ndarray, expected: tuple[int | None, ...]) -> None:
    fits = array.ndim == len(expected) and all(e is None or a == e for a, e in zip(array.shape, expected, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        raise ShapeError(f"{name} is {array.shape}; ({wanted}) is expected")
