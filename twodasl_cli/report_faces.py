"""The worst faces of a report: what each method predicted over the photo, beside the truth."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from twodasl.evaluation.meshes import Meshes
    from twodasl.evaluation.methods import NmeSettings
    from twodasl.evaluation.prediction import Prediction
    from twodasl.evaluation.result import Metric, NmeResult
    from twodasl.evaluation.truth import Truth
    from twodasl.models.inputs import InputOptions
    from twodasl.models.morphable import MorphableModel
    from twodasl.rendering.page import Card

WORST = 50  # faces drawn


@dataclass(frozen=True, eq=False)
class Scored:
    """What was scored, so that it can be drawn. photos: a folder; None looks beside the truth's annotations."""

    predictions: "Sequence[Prediction]"
    truth: Path
    settings: "NmeSettings"
    options: "InputOptions"
    photos: Path | None

    @property
    def model(self) -> "MorphableModel | None":
        """The face model of the methods' meshes."""
        return next((one.meshes.model for one in self.predictions if one.meshes is not None), None)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Faces in photo pixels from 1. points: (n, 68, 2 or 3), NaN for none. meshes: None for landmarks alone."""

    label: str
    points: "np.ndarray"
    meshes: "Meshes | None"


def worst_names(results: "Sequence[NmeResult]", count: int = WORST) -> list[str]:
    """The images on which a method has its largest errors of the first kind measured, the worst first; one that a
    method has no valid prediction of is worse than any other."""
    import numpy as np

    first = [one for one in results if (one.metric, one.dims) == (results[0].metric, results[0].dims)]
    errors = np.stack([np.nan_to_num(result.values, nan=np.inf) for result in first]).max(axis=0)
    return [results[0].names[row] for row in np.argsort(-errors, kind="stable")[:count]]


def error_names(results: "Sequence[NmeResult]") -> list[str]:
    """What the cards' errors are called: one for each kind of error and dimension."""
    return [f"{metric.removeprefix('nme_')} {dims}D" for metric, dims in _kinds(results)]


def _kinds(results: "Sequence[NmeResult]") -> "list[tuple[Metric, int]]":
    return list(dict.fromkeys((result.metric, result.dims) for result in results))


def face_cards(
    names: Sequence[str], results: "Sequence[NmeResult]", scored: Scored, step: Callable[[int], None]
) -> "Iterator[Card]":
    """For each image a card of every method, and before them one of the truth where that is a mesh. step: told of
    each image done."""
    import numpy as np

    from twodasl.rendering.page import Card
    from twodasl.rendering.page.faces import placed_card

    truth, methods = _open(names, scored)
    rows = {name: row for row, name in enumerate(results[0].names)}
    errors = {(one.method, (one.metric, one.dims)): one.values for one in results}
    yaws = results[0].yaw_degrees
    for place, name in enumerate(names):
        photo = _photo(name, scored)
        note = "no photo found" if photo is None else ""
        marks = truth.points[place, :, :2] - 1
        yaw = None if yaws is None else float(yaws[rows[name]])
        found = [_finite(method.points[place, :, :2] - 1) for method in methods]
        frame = _frame(marks, found)
        if truth.meshes is not None:
            card = Card(f"{name} · truth", note=note, yaw_degrees=yaw, truth=marks)
            yield placed_card(card, photo, frame, *_surface(truth.meshes, place))
        for prediction, method, points in zip(scored.predictions, methods, found, strict=True):
            values = [errors[prediction.name, kind][rows[name]] for kind in _kinds(results)]
            failed = bool(np.isnan(values).any())
            card = Card(
                name=f"{name} · {method.label}",
                status="failed" if failed else "ok",
                note="; ".join(text for text in ("no valid prediction" if failed else "", note) if text),
                yaw_degrees=yaw,
                errors=[None if np.isnan(value) else 100 * float(value) for value in values],
                landmarks=points,
                truth=marks,
            )
            yield placed_card(card, photo, frame, *_surface(method.meshes, place))
        step(1)


def _open(names: Sequence[str], scored: Scored) -> tuple[_Drawn, list[_Drawn]]:
    """The truth and every method of these images, placed as they were scored."""
    from twodasl.evaluation.meshes import placed_meshes
    from twodasl.evaluation.methods import mesh_truth
    from twodasl.evaluation.truth import open_truth

    settings = scored.settings
    chosen = [prediction.select(names) for prediction in scored.predictions]
    beside: Truth | None = None
    if settings.dense or settings.recon is not None:
        opened = mesh_truth(scored.truth, tuple(names), chosen, settings, scored.options)
        beside = opened.annotation
        truth = _Drawn("truth", opened.landmarks, opened.meshes)
    if settings.sparse:
        beside = open_truth(scored.truth, settings.labels, names)
        truth = _Drawn("truth", beside.landmarks, truth.meshes if settings.dense or settings.recon else None)
    methods = [
        _Drawn(
            f"{one.name} (oracle input)" if one.oracle_input else one.name,
            one.place(one.points, settings.protocol, beside),
            None if one.meshes is None else placed_meshes(one, settings.protocol, beside),
        )
        for one in chosen
    ]
    return truth, methods


def _photo(name: str, scored: Scored) -> "np.ndarray | None":
    """The photo of an image; None where none is found or it cannot be read."""
    from twodasl.evaluation.truth import annotation_folder
    from twodasl.models.errors import TwodaslError
    from twodasl.models.photos import read_photo
    from twodasl.rendering.faces import find_photo

    beside = [annotation_folder(path) for path in (scored.truth, scored.settings.normalise_from) if path is not None]
    for folder in beside if scored.photos is None else [scored.photos]:
        path = find_photo(folder, name)
        if path is not None:
            try:
                return read_photo(path)
            except TwodaslError:
                continue
    return None


def _finite(points: "np.ndarray") -> "np.ndarray | None":
    import numpy as np

    return points if np.isfinite(points).all() else None


def _frame(truth: "np.ndarray", found: "Sequence[np.ndarray | None]") -> "np.ndarray":
    """What all pictures of one image show, (M, 2): the true points, and predicted ones no further off than half the
    face's size."""
    import numpy as np

    low, high = truth.min(axis=0), truth.max(axis=0)
    room = (high - low).max() / 2
    return np.concatenate([truth, *(np.clip(one, low - room, high + room) for one in found if one is not None)])


def _surface(meshes: "Meshes | None", place: int) -> "tuple[np.ndarray | None, np.ndarray | None]":
    """Vertices (N, 3), photo pixels from 0, and triangles of one face; None for a face without a surface."""
    import numpy as np

    if meshes is None:
        return None, None
    vertices = meshes.block(np.array([place]))[:, 0].T.astype(np.float64) - [1, 1, 0]
    triangles = meshes.model.triangles
    if meshes.vertex_ids is not None:
        index = np.full(len(meshes.model.mean), -1)
        index[meshes.vertex_ids] = np.arange(len(meshes.vertex_ids))
        triangles = index[triangles]
        triangles = triangles[(triangles >= 0).all(axis=1)]
    if not np.isfinite(vertices).all() or len(triangles) == 0:
        return None, None
    return vertices, triangles.astype(np.int32)
