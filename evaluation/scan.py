"""Meshes against scans, NoW style: a similarity from landmarks, then every scan point's distance to the mesh
(`twodasl eval scan`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..models.errors import DegenerateFaceError, FileError, NamesError, NotFiniteError
from ..models.mesh_files import MESH_SUFFIXES, POINT_SUFFIXES, Mesh
from ..models.morphable import MorphableModel
from ..models.pose import similarity
from ..models.tables import shorten
from .clouds import check_cloud, read_cloud
from .distances import nearest_distances, surface_distances
from .icp import AlignmentError, align_points
from .measured import Measured, mean_or_none, median_or_none

ScanAlign = Literal["landmark7", "landmark7+icp", "icp"]
SEVEN = (36, 39, 42, 45, 33, 48, 54)  # outer and inner eye corners, nose base, mouth corners
MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
CURVE_MM = tuple(round(0.1 * step, 1) for step in range(71))  # 0 to 7 mm
SUFFIXES = MESH_SUFFIXES | POINT_SUFFIXES | {".mat"}


@dataclass(frozen=True)
class ScanSettings:
    """How meshes meet scans. unit: of the scans. align: a similarity from seven landmarks, the same refined by ICP
    (rigid, point to point), or ICP alone on meshes of the scan's own unit. radius_mm: only scan points this near to the
    middle of the scan's landmarks (of the scan, without landmarks) count; None counts all."""

    unit: str = "mm"
    align: ScanAlign = "landmark7"
    radius_mm: float | None = None


def cloud_files(path: Path) -> dict[str, Path]:
    """The meshes of a folder, or the one file, by name."""
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise FileError(f"cannot read {path}: no such file or folder")
    found = {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES}
    if not found:
        raise FileError(f"{path} holds no meshes ({', '.join(sorted(SUFFIXES))})")
    return found


def read_seven(path: Path) -> np.ndarray:
    """Seven landmarks, or those seven of 68: (7, 3)."""
    points = read_cloud(path).vertices
    if len(points) not in (7, 68):
        raise FileError(f"{path} has {len(points)} points; 7 landmarks, or 68, are expected")
    return points if len(points) == 7 else points[list(SEVEN)]


@dataclass(frozen=True, eq=False)
class Scans:
    """Scans by name, with the files of their landmarks (none for `icp` alone)."""

    files: dict[str, Path]
    landmarks: dict[str, Path]

    def names_of(self, meshes: dict[str, Path], what: Path) -> tuple[str, ...]:
        """The scans to score. One mesh and one scan are a pair whatever they are called."""
        if len(self.files) == len(meshes) == 1:
            return tuple(self.files)
        if not set(self.files) & set(meshes):
            raise NamesError(f"{what} has no mesh named as a scan is: {shorten(self.files)}")
        return tuple(self.files)


def score_scans(
    method: str,
    path: Path,
    scans: Scans,
    settings: ScanSettings = ScanSettings(),  # frozen
    model: MorphableModel | None = None,
    landmarks: Path | None = None,
    step: Callable[[int], None] = lambda done: None,
) -> Measured:
    """Distances from every point of every scan to the mesh of its name, in millimetres; `values` are medians per scan.

    A scan without a mesh, or whose mesh is not finite or does not align, is a failure. landmarks: of the meshes, a
    folder or a file; without, a mesh with the vertices of `model` has the model's. Mean, median and spread of the
    summary are over all points of all scans together, as NoW has them.
    """
    meshes = cloud_files(path)
    names = scans.names_of(meshes, path)
    own = {} if landmarks is None else cloud_files(landmarks)
    only = next(iter(meshes.values())) if len(meshes) == len(names) == 1 else None
    columns = {key: np.full(len(names), np.nan) for key in ("mean_mm", "std_mm", "points")}
    medians = np.full(len(names), np.nan)
    pooled: list[np.ndarray] = []
    reasons: dict[str, str] = {}
    for row, name in enumerate(names):
        file = only or meshes.get(name)
        step(1)
        if file is None:
            reasons[name] = "no mesh of this name"
            continue
        marks = next(iter(own.values())) if only and own else own.get(name)
        try:
            mesh = read_cloud(file)
            distances = _distances(mesh, _seven(mesh, marks, model, file, settings), name, scans, settings)
        except (NotFiniteError, AlignmentError, DegenerateFaceError) as error:
            reasons[name] = str(error)
            continue
        medians[row] = np.median(distances)
        columns["mean_mm"][row], columns["std_mm"][row] = distances.mean(), distances.std()
        columns["points"][row] = len(distances)
        pooled.append(distances)
    every = np.concatenate(pooled) if pooled else np.empty(0)
    return Measured(
        metric="scan",
        method=method,
        unit="millimetres",
        choices={
            "distance": "from each scan point to the mesh's surface (its nearest vertex, for a cloud)",
            "align": settings.align,
            "unit_of_scans": settings.unit,
            "counted": "all scan points" if settings.radius_mm is None else f"within {settings.radius_mm:g} mm",
            "mean, median, std": "over all points of all scans together",
        },
        names=names,
        values=medians,
        summary={
            "median": float(np.median(every)) if len(every) else None,
            "mean": float(every.mean()) if len(every) else None,
            "std": float(every.std()) if len(every) else None,
            "mean_of_medians": mean_or_none(medians),
            "median_of_medians": median_or_none(medians),
            **{f"within_{limit:g}_mm": float((every <= limit).mean()) if len(every) else None for limit in (1, 2, 5)},
            "n": int(np.isfinite(medians).sum()),
            "n_failed": len(reasons),
        },
        columns=columns,
        failed=tuple(reasons),
        notes=tuple(f"{name} failed: {reason}" for name, reason in reasons.items()),
        curve=(CURVE_MM, _shares(every)),
    )


def _shares(distances: np.ndarray) -> tuple[float, ...]:
    """The share of distances up to each millimetre of the cumulative curve."""
    if len(distances) == 0:
        return (0.0,) * len(CURVE_MM)
    return tuple((np.searchsorted(np.sort(distances), CURVE_MM, side="right") / len(distances)).tolist())


def _seven(
    mesh: Mesh, marks: Path | None, model: MorphableModel | None, file: Path, settings: ScanSettings
) -> np.ndarray | None:
    if settings.align == "icp":
        return None
    if marks is not None:
        return read_seven(marks)
    if model is not None and len(mesh.vertices) == len(model.mean):
        return mesh.vertices[model.landmark_ids[list(SEVEN)]]
    raise FileError(
        f"{file} has {len(mesh.vertices)} vertices and no landmarks: --landmarks names their files, or --model a face "
        "model of these vertices; --align icp needs none"
    )


def _distances(mesh: Mesh, seven: np.ndarray | None, name: str, scans: Scans, settings: ScanSettings) -> np.ndarray:
    scan = check_cloud(read_cloud(scans.files[name]).vertices, f"the scan {name}")
    vertices, middle = mesh.vertices, scan.mean(axis=0)
    if seven is not None:
        if name not in scans.landmarks:
            raise FileError(f"the scan {name} has no landmarks: --truth-landmarks names their files")
        marks = read_seven(scans.landmarks[name])
        scale, rotation, shift = similarity(check_cloud(seven, f"the landmarks of {name}"), marks)
        vertices, middle = scale * vertices @ rotation.T + shift, marks.mean(axis=0)
    if settings.radius_mm is not None:
        near = np.linalg.norm(scan - middle, axis=1) * MILLIMETRES[settings.unit] <= settings.radius_mm
        if not near.any():
            raise DegenerateFaceError(f"no point of the scan {name} is within {settings.radius_mm:g} mm of its middle")
        scan = scan[near]
    if settings.align != "landmark7":
        # The scan is the partial one, so it is what is moved; the distances are the same.
        scan = align_points(scan, vertices, start="here" if seven is not None else "centres").apply(scan)
    if len(mesh.triangles):
        distances = surface_distances(scan, vertices, mesh.triangles)
    else:
        distances = nearest_distances(scan, vertices)
    return distances * MILLIMETRES[settings.unit]


def open_scans(path: Path, landmarks: Path | None, names: Sequence[str] | None = None) -> Scans:
    """The scans of a folder (or file) and of their landmarks. Raises NamesError for an asked scan that is not there."""
    files = cloud_files(path)
    if names is not None:
        missing = [name for name in names if name not in files]
        if missing:
            raise NamesError(f"{path} holds no scan of {shorten(missing)}")
        files = {name: files[name] for name in names}
    marks = {} if landmarks is None else cloud_files(landmarks)
    if len(files) == len(marks) == 1:
        marks = dict(zip(files, marks.values(), strict=True))
    return Scans(files, marks)
