"""Two clouds brought together, and everything that there is to say of it (`twodasl align`)."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..models.mesh_files import Mesh
from .distances import nearest_distances
from .icp import align_points
from .original_icp import align_as_original

AlignMethod = Literal["icp", "plane", "2dasl"]
TRACES: dict[AlignMethod, str] = {
    "icp": "root mean square distance to the nearest points, at each step",
    "plane": "root mean square distance to the planes of the nearest points, at each step",
    "2dasl": "mean squared distance to the nearest points, before each step",
}


@dataclass(frozen=True, eq=False)
class CloudAlignment:
    """moved = (source - centre) @ rotation + place: (M, 3), in the target's frame.

    determinant: of rotation; 1 unless the method is the original's. trace: as TRACES says, with the number of points
    that each step used. rmse: of the moved points to their nearest target points. index_mean, index_max: distances of
    points of equal index, None where the clouds have different sizes.
    """

    method: AlignMethod
    moved: np.ndarray
    rotation: np.ndarray
    centre: np.ndarray
    place: np.ndarray
    trace: tuple[float, ...]
    points: tuple[int, ...]
    iterations: int
    rmse: float
    index_mean: float | None
    index_max: float | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "iterations": self.iterations,
            "trace": list(self.trace),
            "trace_is": TRACES[self.method],
            "trace_points": list(self.points),
            "rotation": self.rotation.tolist(),
            "determinant": float(np.linalg.det(self.rotation)),
            "source_centre": self.centre.tolist(),
            "place": self.place.tolist(),
            "moved_is": "(source - source_centre) @ rotation + place",
            "rmse_to_nearest": self.rmse,
            "mean_indexwise_distance": self.index_mean,
            "max_indexwise_distance": self.index_max,
        }


def align_clouds(target: Mesh, source: Mesh, method: AlignMethod = "icp") -> CloudAlignment:
    """Move the source onto the target. Raises AlignmentError where that does not converge, DegenerateFaceError for
    clouds that determine no rotation."""
    centre, points = source.vertices.mean(axis=0), target.vertices
    if method == "2dasl":
        original = align_as_original(points, source.vertices)
        rotation, place = original.rotation, points.mean(axis=0)
        moved, trace, iterations = original.moved + place, original.trace, original.steps
        used = (len(points),) * iterations
    else:
        found = align_points(source.vertices, points, "plane" if method == "plane" else "point", target.triangles)
        rotation, place = found.rotation.T, found.rotation @ centre + found.translation
        moved, iterations = found.apply(source.vertices), found.iterations
        used, trace = (tuple(column) for column in zip(*found.trace, strict=True))
    same = len(moved) == len(points)
    apart = np.linalg.norm(moved - points, axis=1) if same else np.empty(0)
    return CloudAlignment(
        method=method,
        moved=moved,
        rotation=rotation,
        centre=centre,
        place=place,
        trace=trace,
        points=used,
        iterations=iterations,
        rmse=float(np.sqrt((nearest_distances(moved, points) ** 2).mean())),
        index_mean=float(apart.mean()) if same else None,
        index_max=float(apart.max()) if same else None,
    )
