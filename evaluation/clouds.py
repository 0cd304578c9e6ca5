"""Point clouds and meshes that people want aligned or compared, from the files they come in."""

from pathlib import Path

import numpy as np

from ..models.errors import DegenerateFaceError, FileError, NotFiniteError, ShapeError
from ..models.files import read_mat, whole_file
from ..models.mesh_files import Mesh, read_mesh

WRITTEN = frozenset({".ply", ".npy", ".txt", ".asc", ".xyz"})


def read_cloud(path: Path) -> Mesh:
    """A cloud or mesh from `.ply`, `.obj`, `.asc`, `.txt`, `.npy` and what else `read_mesh` knows, or from a `.mat`:
    its variable `vertex`, or its only (N, 3) or (3, N) one, or the one that FILE.mat:NAME names.

    Raises FileError for a file that holds no points, NotFiniteError for points that are not finite.
    """
    file, _, variable = str(path).partition(".mat:")
    if variable:
        return _from_mat(Path(f"{file}.mat"), variable)
    return _from_mat(path, None) if path.suffix.lower() == ".mat" else read_mesh(path)


def _from_mat(path: Path, variable: str | None) -> Mesh:
    held = {
        name: array
        for name, array in read_mat(path).items()
        if array.ndim == 2 and 3 in array.shape and array.dtype.kind in "fiu"
    }
    wanted = variable or ("vertex" if "vertex" in held else None)
    if wanted is None and len(held) == 1:
        wanted = next(iter(held))
    if wanted not in held:
        found = ", ".join(sorted(held)) or "none"
        raise FileError(
            f"{path}: {variable or 'which variable'} is not among its (N, 3) or (3, N) variables ({found}); "
            f"name one as {path.name}:NAME"
        )
    array = held[wanted].astype(np.float64)
    points = array.T if array.shape[0] == 3 and array.shape[1] != 3 else array
    if not np.isfinite(points).all():
        raise NotFiniteError(f"{path}: '{wanted}' holds values that are not finite")
    return Mesh(points)


def write_cloud(path: Path, mesh: Mesh) -> None:
    """Write points and what triangles there are as binary PLY (float64), or the points as `.npy` or text.

    The file appears whole or not at all. Raises FileError for another suffix.
    """
    suffix, points = path.suffix.lower(), np.ascontiguousarray(mesh.vertices, "<f8")
    if suffix not in WRITTEN:
        raise FileError(f"{path}: moved points are written as {', '.join(sorted(WRITTEN))}")
    with whole_file(path) as temporary:
        if suffix == ".npy":
            np.save(temporary, points)
        elif suffix == ".ply":
            faces = np.zeros(len(mesh.triangles), [("count", "u1"), ("corners", "<i4", (3,))])
            faces["count"], faces["corners"] = 3, mesh.triangles
            head = [
                "ply",
                "format binary_little_endian 1.0",
                f"element vertex {len(points)}",
                *(f"property double {axis}" for axis in "xyz"),
                f"element face {len(faces)}",
                "property list uchar int vertex_indices",
                "end_header",
            ]
            temporary.write_bytes(("\n".join(head) + "\n").encode() + points.tobytes() + faces.tobytes())
        else:
            np.savetxt(temporary, points, fmt="%.17g")


def check_cloud(points: np.ndarray, name: str) -> np.ndarray:
    """The points (N, 3) as contiguous float64. Raises ShapeError, or DegenerateFaceError for points that determine no
    rotation: fewer than three, not finite, or on one line."""
    if points.ndim != 2 or points.shape[1] != 3:
        raise ShapeError(f"{name} is {points.shape}; (N, 3) is expected")
    if len(points) < 3 or not np.isfinite(points).all():
        raise DegenerateFaceError(f"{name} needs three or more points, all finite; it has {len(points)}")
    cloud = np.array(points, np.float64, order="C")
    spread = np.linalg.eigvalsh(np.cov(cloud.T))
    if not spread[1] > 1e-12 * spread[2]:
        raise DegenerateFaceError(f"{name} lies on a line or in one point, so that no rotation is determined")
    return cloud
