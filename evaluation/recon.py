"""Reconstruction error: meshes aligned to the truth, then measured (`twodasl eval nme --recon`; original pipeline, 11.6)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..models.errors import DegenerateFaceError, ShapeError
from ..models.pose import similarity
from .dense import check_same_model, check_sizes, common_vertices, mesh_result, restrict
from .distances import DISTANCES, Distance, mesh_distances
from .icp import AlignmentError, align_points
from .mesh_truth import NORMALISERS, MeshTruth, Normalise
from .meshes import placed_meshes
from .original_icp import align_as_original
from .prediction import Prediction
from .protocols import Protocol
from .regions import region_ids
from .result import NmeResult

Align = Literal["2dasl", "icp", "plane", "landmark7"]
ALIGNMENTS: dict[Align, str] = {
    "2dasl": "the original's iteration on every 50th vertex, its rotation with a wrong sign (Q14), centred, no scale",
    "icp": "iterated closest points on all vertices, point to point, proper rotation, no scale",
    "plane": "iterated closest points on all vertices, point to plane, proper rotation, no scale",
    "landmark7": "rotation, scale and shift that fit seven landmarks (eye corners, nose base, mouth corners)",
}
STRIDE = 50  # of the original's subset
SEVEN = (36, 39, 42, 45, 33, 48, 54)


@dataclass(frozen=True)
class ReconSettings:
    """How meshes are brought together and measured. None leaves a choice to the protocol; regions: also the error of
    each region, after the same alignment. jobs: images at a time."""

    align: Align | None = None
    distance: Distance | None = None
    normalise: Normalise | None = None
    regions: bool = False
    jobs: int = 1


@dataclass(frozen=True, eq=False)
class Pair:
    """A prediction moved onto its truth: distances per truth vertex (n,), of the vertices `ids` of the model.
    steps: of the iteration; rmse: to the nearest points after it, pixels; NaN where there is none."""

    distances: np.ndarray
    ids: np.ndarray
    steps: float
    rmse: float


def score_recon(
    prediction: Prediction,
    truth: MeshTruth,
    protocol: Protocol,
    settings: ReconSettings = ReconSettings(),  # frozen
    step: Callable[[int], None] = lambda done: None,
) -> NmeResult:
    """Score a prediction of the same images as the truth, in the same order: one result, 3D.

    A face whose alignment does not converge or is not determined is a failure, and the notes say why.
    step: told of each image done.
    """
    meshes = placed_meshes(prediction, protocol, truth.annotation)
    model = truth.meshes.model
    check_same_model(meshes.model, model, prediction.name)
    common = common_vertices(meshes.vertex_ids, truth.meshes.vertex_ids)
    ids = np.arange(len(model.mean)) if common is None else common
    measure = _Measure(settings, protocol, model.triangles, model.landmark_ids, ids)
    normalise = settings.normalise or "mesh-box"
    regions = region_ids(model) if settings.regions else {}
    members = {name: np.isin(ids, region) for name, region in regions.items()}
    n = len(truth.names)
    values = np.full(n, np.nan)
    extra = {name: np.full(n, np.nan) for name in ("steps", "rmse_px", *members)}
    reasons: dict[str, str] = {}

    def score_image(row: int) -> Pair | None:
        """The image's errors; their distances over its size, None where it fails."""
        rows = np.array([row])
        block = restrict(truth.meshes.block(rows), truth.meshes.vertex_ids, common).astype(np.float64)
        predicted = restrict(meshes.block(rows), meshes.vertex_ids, common)[:, 0].T.astype(np.float64)
        size = truth.sizes(normalise, block, rows, 3)
        check_sizes(size, truth.names, rows)
        if not np.isfinite(predicted).all():
            return None
        try:
            pair = measure(block[:, 0].T, predicted)
        except (AlignmentError, DegenerateFaceError) as error:
            reasons[truth.names[row]] = str(error)
            return None
        values[row] = pair.distances.mean() / size[0]
        extra["steps"][row], extra["rmse_px"][row] = pair.steps, pair.rmse
        for name, member in members.items():
            chosen = pair.distances[member[pair.ids]]
            extra[name][row] = chosen.mean() / size[0] if len(chosen) else np.nan
        return replace(pair, distances=pair.distances / size[0])

    total: np.ndarray | None = None
    measured = ids
    pool = ThreadPoolExecutor(settings.jobs)
    try:
        for scaled in pool.map(score_image, range(n)):  # in the images' order, whatever --jobs is
            if scaled is not None:
                total = scaled.distances if total is None else total + scaled.distances
                measured = ids[scaled.ids]
            step(1)
    finally:
        pool.shutdown(cancel_futures=True)
    notes = tuple(f"{name} failed: {reasons[name]}" for name in truth.names if name in reasons)
    return mesh_result(
        "nme_recon", replace(prediction, notes=prediction.notes + notes), truth, values, 3,
        measure.choices(truth, protocol, normalise),
        measure.deviations(protocol, normalise, len(ids), len(model.mean)),
        extra={name: numbers for name, numbers in extra.items() if not np.isnan(numbers).all()},
        per_vertex=None if total is None else total / np.isfinite(values).sum(),
        vertex_ids=measured,
    )  # fmt: skip


class _Measure:
    """Brings a prediction (N, 3) onto its truth (N, 3) and measures; places in both are `ids` of the model."""

    def __init__(
        self, settings: ReconSettings, protocol: Protocol, triangles: np.ndarray, landmarks: np.ndarray, ids: np.ndarray
    ) -> None:
        self.align: Align = settings.align or protocol.align
        default: Distance = "plane" if self.align == "landmark7" else "index"
        self.distance: Distance = settings.distance or default
        place = np.full(max(ids.max(), triangles.max(), landmarks.max()) + 1, -1)
        place[ids] = np.arange(len(ids))
        kept = place[triangles]
        self._triangles = kept[(kept >= 0).all(axis=1)]
        self._seven = place[landmarks[list(SEVEN)]]
        if self.align == "landmark7" and (self._seven < 0).any():
            raise ShapeError("--align landmark7 needs all seven landmarks among the vertices that both meshes have")

    def __call__(self, truth: np.ndarray, predicted: np.ndarray) -> Pair:
        steps, rmse, ids = np.nan, np.nan, np.arange(len(truth))
        if self.align == "2dasl":
            found = align_as_original(truth[::STRIDE], predicted[::STRIDE])
            steps = found.steps
            if self.distance == "index":
                return Pair(np.linalg.norm(found.target - found.moved, axis=1), ids[::STRIDE], steps, rmse)
            moved = (predicted - predicted[::STRIDE].mean(axis=0)) @ found.rotation
            truth = truth - truth[::STRIDE].mean(axis=0)
        elif self.align == "landmark7":
            scale, rotation, shift = similarity(predicted[self._seven], truth[self._seven])
            moved = scale * predicted @ rotation.T + shift
        else:
            alignment = align_points(predicted, truth, "plane" if self.align == "plane" else "point", self._triangles)
            moved, steps, rmse = alignment.apply(predicted), alignment.iterations, alignment.rmse
        return Pair(mesh_distances(truth, moved, self._triangles, self.distance), ids, steps, rmse)

    def choices(self, truth: MeshTruth, protocol: Protocol, normalise: Normalise) -> dict[str, Any]:
        """Everything that decided a number, for reports."""
        chosen = protocol.placement() | {
            "dims": 3,
            "labels": truth.label,
            "truth": truth.description,
            "align": f"{self.align}: {ALIGNMENTS[self.align]}",
            "distance": f"{self.distance}: {DISTANCES[self.distance]}",
            "normaliser": NORMALISERS[normalise],
            "yaw_bins": "|yaw| <= 30, <= 60, beyond, by the older yaw file",
        }
        if truth.own_error is not None:
            chosen["truth_own_error"] = truth.own_error
        return chosen

    def deviations(self, protocol: Protocol, normalise: Normalise, count: int, whole: int) -> tuple[str, ...]:
        found = []
        if self.align != protocol.align:
            found.append(f"--align {self.align}: protocol {protocol.name} aligns by {protocol.align}")
        if self.distance != "index":
            found.append(f"--distance {self.distance}: every protocol measures between vertices of equal index")
        if normalise != "mesh-box":
            found.append(f"--normalise {normalise}: every protocol divides reconstruction errors by the mesh box")
        if count < whole:
            found.append(f"{count} of the model's {whole} vertices: those that both meshes have")
        return tuple(found)
