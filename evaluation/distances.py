"""How far one mesh is from another: by index, to the nearest vertex, to the surface, or both ways."""

from typing import Any, Literal

import numpy as np

from ..models.errors import ShapeError, TwodaslError
from .nearest import find

Distance = Literal["index", "point", "plane", "symmetric"]
DISTANCES: dict[Distance, str] = {
    "index": "between vertices of equal index",
    "point": "from each truth vertex to the nearest predicted vertex",
    "plane": "from each truth vertex to the predicted surface, its nearest triangle",
    "symmetric": "between nearest vertices, the mean of both directions",
}


def mesh_distances(truth: np.ndarray, predicted: np.ndarray, triangles: np.ndarray, kind: Distance) -> np.ndarray:
    """Distances (N,) of aligned meshes (N, 3) and (M, 3), one for each truth vertex. triangles: of the predicted one.

    For `symmetric` both meshes have the same vertices, and vertex i gets the mean of its two nearest distances.
    Raises ShapeError where `index` or `symmetric` is asked of meshes of different vertices.
    """
    if kind in ("index", "symmetric") and truth.shape != predicted.shape:
        raise ShapeError(f"{len(predicted)} and {len(truth)} vertices; --distance {kind} compares the same vertices")
    if kind == "index":
        return np.linalg.norm(truth - predicted, axis=1)
    if kind == "plane":
        return surface_distances(truth, predicted, triangles)
    there = nearest_distances(truth, predicted)
    return there if kind == "point" else (there + nearest_distances(predicted, truth)) / 2


def nearest_distances(points: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """From each of the points (N, 3) to the nearest of the cloud (M, 3): (N,)."""
    from scipy.spatial import KDTree

    return find(KDTree(cloud), points, 1)[0][:, 0]


def surface_distances(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """From each of the points (N, 3) to the nearest triangle of a mesh: (N,), exact to single precision.

    Raises ShapeError for a mesh without triangles, TwodaslError where open3d, whose search it is, cannot be imported.
    """
    if len(triangles) == 0:
        raise ShapeError("a cloud without triangles has no surface to measure to; --distance point needs none")
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise TwodaslError(
            f"distances to a surface need open3d, which cannot be imported: {str(error).splitlines()[0]}"
        ) from error
    tensor: Any = open3d.core.Tensor
    centre = vertices.mean(axis=0)
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(tensor((vertices - centre).astype(np.float32)), tensor(triangles.astype(np.uint32)))
    distances: np.ndarray = scene.compute_distance(tensor((points - centre).astype(np.float32))).numpy()
    return distances.astype(np.float64)
