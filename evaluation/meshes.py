"""Dense faces in the photo, a block of images at a time, so that memory does not grow with their number.

A block is (3, b, N): the x, the y and the z of all vertices of b faces, each face a contiguous row.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from ..models.errors import FileError, NotFiniteError
from ..models.morphable import MorphableModel
from ..models.vertex_files import read_vertex_file
from .prediction import Coefficients, MeshFiles, Prediction, moved_cameras
from .protocols import Protocol as EvaluationProtocol
from .truth import Truth


class Meshes(Protocol):
    """n faces, photo pixels, y down. vertex_ids: which vertices of the model they have, None where all."""

    model: MorphableModel
    vertex_ids: np.ndarray | None

    def block(self, rows: np.ndarray) -> np.ndarray:
        """Faces `rows`, (b,) int, in the photo: (3, b, N) float; a face without a prediction is NaN."""


class LinearMeshes:
    """Faces of a linear model. Every coordinate of a posed face is linear in the products of the camera's entries with
    1 and the coefficients, so that a block of faces is one matrix product; float32."""

    vertex_ids: np.ndarray | None = None

    def __init__(self, meshes: Coefficients) -> None:
        self.model = meshes.model
        ones = np.ones((len(meshes.cameras), 1))
        absent_identity = np.zeros((len(ones), self.model.n_identity - meshes.identity.shape[1]))
        absent_expression = np.zeros((len(ones), self.model.n_expression - meshes.expression.shape[1]))
        shape = np.concatenate([ones, meshes.identity, absent_identity, meshes.expression, absent_expression], axis=1)
        products = meshes.cameras[:, :, :3, None] * shape[:, None, None, :]
        flat = products.reshape(len(ones), 3, -1)
        self._weights = np.concatenate([flat, meshes.cameras[:, :, 3:]], axis=2).astype(np.float32)
        self._features = _features(self.model)

    def block(self, rows: np.ndarray) -> np.ndarray:
        weights = self._weights[rows].swapaxes(0, 1)  # (3, b, F)
        return (weights.reshape(-1, weights.shape[2]) @ self._features).reshape(3, len(rows), -1)


@lru_cache(maxsize=2)
def _features(model: MorphableModel) -> np.ndarray:
    """(F, N) float32: what the weights of a posed coordinate multiply: for each model axis the mean and the basis
    columns, and a row of ones for the translation."""
    columns = [
        part
        for axis in range(3)
        for part in (model.mean[:, axis, None], model.identity_basis[:, axis], model.expression_basis[:, axis])
    ]
    return np.ascontiguousarray(np.concatenate([*columns, np.ones((len(model.mean), 1), np.float32)], axis=1).T)


class FileMeshes:
    """Faces of vertex files, float64; `place` moves the points (b, N, 3) of faces `rows` into the photo."""

    def __init__(self, meshes: MeshFiles, place: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self.model, self.vertex_ids = meshes.model, meshes.vertex_ids
        self._files, self._place = meshes, place

    def block(self, rows: np.ndarray) -> np.ndarray:
        points = np.full((len(rows), self._files.count, 3), np.nan)
        for place, row in enumerate(rows.tolist()):
            path = self._files.paths[row]
            if path is not None:
                with suppress(NotFiniteError):  # a failure, which the prediction's notes name
                    points[place] = read_vertex_file(path, self._files.count)
        return np.moveaxis(self._place(points, rows), -1, 0)


def placed_meshes(prediction: Prediction, protocol: EvaluationProtocol, truth: Truth | None) -> Meshes:
    """The dense faces of a prediction where `protocol` places them; `truth` is of the same images.

    Raises FileError where the prediction has landmarks only.
    """
    meshes = prediction.meshes
    if meshes is None:
        why = "".join(f" ({note.removeprefix('no mean-face row: ')})" for note in prediction.mean_face_notes)
        raise FileError(f"{prediction.name} has 68 landmarks and no mesh{why}; --dense and --recon compare meshes")
    if isinstance(meshes, Coefficients):
        return LinearMeshes(
            replace(
                meshes,
                cameras=moved_cameras(meshes.cameras, lambda points: prediction.place(points, protocol, truth)),
            )
        )

    def place(points: np.ndarray, rows: np.ndarray) -> np.ndarray:
        part = prediction.select([prediction.names[row] for row in rows])
        return part.place(points, protocol, None if truth is None else truth.take(rows))

    return FileMeshes(meshes, place)
