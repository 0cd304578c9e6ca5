"""Meshes that hold a part of the face model's vertices, as 3DDFA_V2's neckless ones do."""

from pathlib import Path

import numpy as np

from ..models.errors import FileError
from ..models.files import read_mat
from ..models.library import registered
from ..models.morphable import MorphableModel
from ..models.vertex_files import KNOWN_SIZES


def vertex_count(path: Path) -> int:
    """How many vertices a `vertex` file has."""
    return max(read_mat(path, "vertex")["vertex"].shape)


def ids_in_model(count: int, model: MorphableModel, path: Path) -> np.ndarray | None:
    """Which vertices of the model a mesh of `count` vertices holds: (count,) int; None for all of them in order.

    The map is known where a registered model with that many vertices has the same basis: each vertex of its mean face
    is one of the model's. Raises FileError where there is none: meshes of different vertices are not compared.
    """
    if count == len(model.mean):
        return None
    for entry in registered():
        if entry.basis_id == model.basis_id:
            part = MorphableModel.load(entry.path)
            if len(part.mean) == count < len(model.mean):
                return _same_points(part, model)
    named = f" ({KNOWN_SIZES[count]})" if count in KNOWN_SIZES else ""
    raise FileError(
        f"{path} has {count} vertices{named}; the face model has {len(model.mean)}, and no registered model says which "
        "of them these are: hand over the mesh's own --model, or import it once with 'twodasl model import'"
    )


def _same_points(part: MorphableModel, model: MorphableModel) -> np.ndarray:
    from scipy.spatial import KDTree

    distances, ids = (np.asarray(found) for found in KDTree(model.mean).query(part.mean))
    if distances.max() > 1e-3 or len(np.unique(ids)) < len(ids):
        raise FileError(f"{part.name!r} has the basis of {model.name!r}, but its mean face has other vertices")
    return ids


def places_of(wanted: np.ndarray, ids: np.ndarray, path: Path) -> np.ndarray:
    """Where vertices `wanted` of the model stand among the vertices `ids` that a mesh holds."""
    place = np.full(max(wanted.max(), ids.max()) + 1, -1)
    place[ids] = np.arange(len(ids))
    if (place[wanted] < 0).any():
        raise FileError(f"{path} leaves out some of the model's 68 landmarks")
    return place[wanted]
