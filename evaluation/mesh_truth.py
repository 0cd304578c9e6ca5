"""The dense truth: annotations put through a face model, or a folder of vertex files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..models.annotations import read_model_labels
from ..models.errors import BasisError, FileError, NamesError
from ..models.files import read_mat
from ..models.morphable import MorphableModel
from ..models.pose import crop_up_from_model
from ..models.tables import shorten
from ..models.vertex_files import frame_of_landmarks, mat_names, read_vertex_file
from .meshes import FileMeshes, LinearMeshes, Meshes
from .nme import box_size, nme
from .prediction import Coefficients, MeshFiles
from .topology import ids_in_model, places_of, vertex_count
from .truth import Truth, annotation_folder, open_truth, photo_size

ANNOTATED_IDENTITY, ANNOTATED_EXPRESSION = 199, 29
FOREIGN_MODEL = 0.05  # a truth this far from its own landmarks was not made with this face model

Normalise = Literal["landmark-box", "mesh-box", "outer-eye"]
NORMALISERS: dict[Normalise, str] = {
    "landmark-box": "sqrt(width * height) of the x-y box of the truth's 68 points",
    "mesh-box": "sqrt(width * height) of the x-y box of all vertices of the truth",
    "outer-eye": "distance of the truth's outer eye corners (points 37 and 46, from 1), in x, y or x, y, z as compared",
}
OUTER_EYES = (36, 45)


@dataclass(frozen=True, eq=False)
class MeshTruth:
    """n dense faces, photo pixels from 1, y down.

    landmarks: (n, 68, 3), what normalises: annotated where there is an annotation, else the mesh's own.
    annotation: what is known beside the mesh (yaw, crop boxes), None where nothing is. kind: `exact`: the annotation
    through all 199 + 29 components it has numbers for; `truncated`: through fewer; `files`. own_error: of a truncated
    truth, its 2D NME at the 68 annotated points, mean of images, a fraction.
    """

    names: tuple[str, ...]
    meshes: Meshes
    landmarks: np.ndarray
    annotation: Truth | None
    kind: Literal["exact", "truncated", "files"]
    description: str
    own_error: float | None = None

    @property
    def label(self) -> str:
        """The truth in a word or two, for table heads and columns."""
        return {"exact": "exact truth", "truncated": "truncated truth", "files": "vertex files"}[self.kind]

    def sizes(self, normalise: Normalise, block: np.ndarray, rows: np.ndarray, dims: int) -> np.ndarray:
        """What errors of faces `rows` are divided by, (b,); block: their vertices (3, b, N)."""
        if normalise == "mesh-box":
            return box_size(np.moveaxis(block[:2], 0, -1))
        if normalise == "landmark-box":
            return box_size(self.landmarks[rows])
        left, right = (self.landmarks[rows, eye, :dims] for eye in OUTER_EYES)
        return np.linalg.norm(left - right, axis=1)


def open_mesh_truth(path: Path, names: Sequence[str], model: MorphableModel, normalise_from: Path | None) -> MeshTruth:
    """The dense truth of these images, in their order.

    path: AFLW2000-3D annotations (in any layout `open_truth` reads), or a folder of vertex files in the photo.
    normalise_from: a folder of annotations whose landmarks, yaw and boxes stand beside vertex files.
    Raises FileError where it is neither, NamesError for an image without a truth, BasisError where the annotations
    were not made with this face model.
    """
    folder = annotation_folder(path)
    missing = [name for name in names if not (folder / f"{name}.mat").is_file()]
    if missing:
        raise NamesError(f"{folder} holds no truth (.mat) of {shorten(missing)}")
    beside = None if normalise_from is None else open_truth(normalise_from, "original", names)
    if "vertex" in read_mat(folder / f"{names[0]}.mat"):
        return _from_files(folder, tuple(names), model, beside)
    return _from_annotations(folder, tuple(names), model, beside or open_truth(path, "original", names))


def _from_annotations(folder: Path, names: tuple[str, ...], model: MorphableModel, annotation: Truth) -> MeshTruth:
    labels = [read_model_labels(folder / f"{name}.mat") for name in names]
    cameras = np.stack([label.camera(photo_size(folder, name)[1]) for name, label in zip(names, labels, strict=True)])
    cameras[:, 1] *= -1  # y down
    identity = np.stack([label.identity for label in labels])[:, : model.n_identity]
    expression = np.stack([label.expression for label in labels])[:, : model.n_expression]
    landmarks = np.stack([label.landmarks for label in labels])
    own = crop_up_from_model(model.landmarks(identity, expression), cameras)
    own_error = float(nme(own[..., :2], landmarks[..., :2]).mean())
    if own_error > FOREIGN_MODEL:
        raise BasisError(
            f"{folder}: through {model.name!r} the annotations miss their own landmarks by {100 * own_error:.1f} %: "
            "they were made with another face model (AFLW2000-3D's are of the Basel one)"
        )
    exact = identity.shape[1] == ANNOTATED_IDENTITY and expression.shape[1] == ANNOTATED_EXPRESSION
    used = f"{identity.shape[1]} + {expression.shape[1]}"
    whole = f"{ANNOTATED_IDENTITY} + {ANNOTATED_EXPRESSION}"
    description = f"the annotations through all {whole} components"
    if not exact:
        description = (
            f"TRUNCATED: the annotations through {used} of their {whole} components; this truth itself is "
            f"{100 * own_error:.2f} % off the annotated 68 points (2D, mean of images)"
        )
    return MeshTruth(
        names=names,
        meshes=LinearMeshes(Coefficients(model, cameras, identity, expression)),
        landmarks=annotation.landmarks,
        annotation=annotation,
        kind="exact" if exact else "truncated",
        description=description,
        own_error=own_error,
    )


def _from_files(folder: Path, names: tuple[str, ...], model: MorphableModel, beside: Truth | None) -> MeshTruth:
    paths = tuple(folder / f"{name}.mat" for name in names)
    count = vertex_count(paths[0])
    ids = ids_in_model(count, model, paths[0])
    landmark_ids = model.landmark_ids if ids is None else places_of(model.landmark_ids, ids, paths[0])
    landmarks = np.empty((len(names), 68, 3))
    for row, path in enumerate(paths):
        landmarks[row] = read_vertex_file(path, count)[landmark_ids]
        if frame_of_landmarks(landmarks[row], model, path) != "photo":
            raise FileError(f"{path} lies in the crop, y up; a truth lies in the photo, y down")
    normaliser = "the files' own landmarks" if beside is None else "the annotations of --normalise-from"
    return MeshTruth(
        names=names,
        meshes=FileMeshes(MeshFiles(model, paths, "photo", count, ids), lambda points, _rows: points),
        landmarks=landmarks if beside is None else beside.landmarks,
        annotation=beside,
        kind="files",
        description=f"the vertex files of {folder.name}; landmarks and yaw: {normaliser}",
    )


def truth_names(path: Path) -> tuple[str, ...]:
    """The names of the `.mat` files that a truth folder holds."""
    return mat_names(annotation_folder(path))
