"""Dense evaluation: the NME over all vertices of the face model (`twodasl eval nme --dense`; original pipeline, 11.5)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..models.errors import BasisError, DegenerateFaceError
from ..models.morphable import MorphableModel
from .mesh_truth import NORMALISERS, MeshTruth, Normalise
from .meshes import placed_meshes
from .prediction import Prediction
from .protocols import Protocol
from .result import Metric, NmeResult
from .summary import summarise

BLOCK_VERTICES = 8 * 53215  # of one block: about 8 faces of the Basel model, 5 MB a side


def score_dense(
    prediction: Prediction,
    truth: MeshTruth,
    protocol: Protocol,
    dims: tuple[int, ...] = (2,),
    normalise: Normalise = "landmark-box",
    step: Callable[[int], None] = lambda done: None,
) -> list[NmeResult]:
    """Score a prediction of the same images as the truth, in the same order: a result for each of `dims`.

    The mean distance of equal vertices over the truth's size; in 3D each mesh's z is counted from its own smallest.
    step: told of each image done.
    """
    meshes = placed_meshes(prediction, protocol, truth.annotation)
    check_same_model(meshes.model, truth.meshes.model, prediction.name)
    ids = common_vertices(meshes.vertex_ids, truth.meshes.vertex_ids)
    n, count = len(truth.names), len(truth.meshes.model.mean) if ids is None else len(ids)
    values = {size: np.empty(n) for size in dims}
    sums = {size: np.zeros(count) for size in dims}
    for rows in blocks(n, max(1, BLOCK_VERTICES // count)):
        predicted = restrict(meshes.block(rows), meshes.vertex_ids, ids)
        target = restrict(truth.meshes.block(rows), truth.meshes.vertex_ids, ids)
        for size, distances in vertex_distances(predicted, target, dims).items():
            scale = truth.sizes(normalise, target, rows, size)
            check_sizes(scale, truth.names, rows)
            values[size][rows] = distances.mean(axis=1) / scale
            good = np.isfinite(values[size][rows])
            sums[size] += (1 / scale[good]).astype(distances.dtype) @ distances[good]
        step(len(rows))
    results = []
    for size in dims:
        valid = int(np.isfinite(values[size]).sum())
        results.append(
            mesh_result(
                "nme_dense",
                prediction,
                truth,
                values[size],
                size,
                dense_choices(truth, protocol, size, normalise, count),
                dense_deviations(normalise, count, len(truth.meshes.model.mean)),
                per_vertex=sums[size] / valid if valid else None,
                vertex_ids=ids,
            )
        )
    return results


def vertex_distances(predicted: np.ndarray, truth: np.ndarray, dims: tuple[int, ...]) -> dict[int, np.ndarray]:
    """Distances (b, N) of equal vertices of meshes (3, b, N), in x, y (2) or with z counted from each mesh's own
    smallest z (3), for each of `dims`."""
    difference = predicted - truth
    if 3 in dims:
        shift = predicted[2].min(axis=1) - truth[2].min(axis=1)
        difference[2] -= shift[:, None]
    np.square(difference, out=difference)
    flat = np.add(difference[0], difference[1], out=difference[0])
    distances = {}
    if 3 in dims:
        distances[3] = np.sqrt(np.add(flat, difference[2], out=difference[2]), out=difference[2])
    if 2 in dims:
        distances[2] = np.sqrt(flat, out=flat)
    return distances


def blocks(count: int, size: int) -> Iterator[np.ndarray]:
    """Row numbers 0 .. count - 1, `size` at a time."""
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def check_same_model(model: MorphableModel, truth: MorphableModel, name: str) -> None:
    """Raise BasisError where a method's face model is not the truth's: their vertices are not the same points."""
    if model is not truth and (model.basis_id != truth.basis_id or len(model.mean) != len(truth.mean)):
        raise BasisError(
            f"{name} has faces of {model.name!r} ({len(model.mean)} vertices), the truth is made with {truth.name!r} "
            f"({len(truth.mean)}): vertices are compared within one face model"
        )


def common_vertices(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """The vertices of the model that two meshes both have, None for all."""
    if first is None or second is None:
        return second if first is None else first
    return np.intersect1d(first, second)


def restrict(block: np.ndarray, held: np.ndarray | None, wanted: np.ndarray | None) -> np.ndarray:
    """The vertices `wanted` of a block (3, b, N) of meshes that hold the vertices `held` of the model."""
    if wanted is None or (held is not None and held is wanted):
        return block
    if held is None:
        return block[:, :, wanted]
    order = np.argsort(held)
    return block[:, :, order[np.searchsorted(held, wanted, sorter=order)]]


def check_sizes(sizes: np.ndarray, names: tuple[str, ...], rows: np.ndarray) -> None:
    """Raise DegenerateFaceError naming the image whose truth has no size."""
    wrong = np.flatnonzero(~(sizes > 0))
    if len(wrong):
        raise DegenerateFaceError(f"the truth of {names[rows[wrong[0]]]} has no extent; NME divides by its size")


def dense_choices(truth: MeshTruth, protocol: Protocol, dims: int, normalise: Normalise, count: int) -> dict[str, Any]:
    """Everything that decided a dense number, for reports."""
    chosen = protocol.placement() | {
        "points": count,
        "dims": dims,
        "labels": truth.label,
        "truth": truth.description,
        "normaliser": NORMALISERS[normalise],
        "yaw_bins": "|yaw| <= 30, <= 60, beyond, by the older yaw file",
    }
    if truth.own_error is not None:
        chosen["truth_own_error"] = truth.own_error
    if dims == 3:
        chosen["z"] = "each mesh's smallest z over all its vertices subtracted"
    return chosen


def dense_deviations(normalise: Normalise, count: int, whole: int) -> tuple[str, ...]:
    deviations = []
    if normalise != "landmark-box":
        deviations.append(f"--normalise {normalise}: every protocol divides dense errors by the landmark box")
    if count < whole:
        deviations.append(f"{count} of the model's {whole} vertices: those that both meshes have")
    return tuple(deviations)


def mesh_result(
    metric: Metric,
    prediction: Prediction,
    truth: MeshTruth,
    values: np.ndarray,
    dims: int,
    choices: dict[str, Any],
    deviations: tuple[str, ...],
    extra: dict[str, np.ndarray] | None = None,
    per_vertex: np.ndarray | None = None,
    vertex_ids: np.ndarray | None = None,
) -> NmeResult:
    """The result of errors (n,), fractions."""
    beside = truth.annotation
    yaw = None if beside is None else beside.yaw_degrees
    notes = prediction.notes if beside is not None else (*prediction.notes, "no yaw bins: the truth states no yaw")
    return NmeResult(
        metric=metric,
        method=prediction.name,
        choices=choices,
        dims=dims,
        names=truth.names,
        yaw_degrees=yaw,
        values=values,
        summary=summarise(values, yaw, None if beside is None else beside.newer_yaw_degrees),
        notes=notes,
        deviations=deviations,
        oracle_input=prediction.oracle_input,
        extra=extra or {},
        per_vertex=per_vertex,
        vertex_ids=vertex_ids,
    )
