"""From landmarks to a face without any network: pose, identity and expression of many faces at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import SettingsError, ShapeError
from ..morphable import LANDMARKS, MorphableModel
from ..pose import crop_up_from_model
from ..runs import OK
from .cameras import camera_unknowns
from .contour import jaw_sides, known_jaw_paths
from .first_pose import first_faces, undetermined
from .least_squares import Faces, Problem, Shape, solve
from .settings import GROUPS, FitSettings

ABSURD_SIGMAS = 5.0
UNSEEN = "none of its landmarks is finite"
UNSETTLED = "the fit did not converge"

_MM = 1e-3  # of the model's micrometres


@dataclass(frozen=True, eq=False)
class Fit:
    """n fitted faces. A face whose `status` is not ok holds NaN; `messages` say why.

    pose: (n, 3, 4), model units to the points' pixels but with y up. identity: (n, K), expression: (n, L).
    landmarks: (n, 68, 3), the model's own, in the points' pixels, y down; z as the points have it, or about the head's
    own middle where they have none. error_mm: (n,), root mean square distance to the points on the face.
    sigmas: (n,), the largest coefficient in units of its spread; NaN where the model states no spread.
    """

    pose: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    landmarks: np.ndarray
    status: tuple[str, ...]
    messages: tuple[str, ...]
    error_mm: np.ndarray
    sigmas: np.ndarray


def fit_landmarks(
    points: np.ndarray,
    model: MorphableModel,
    settings: FitSettings,
    which: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    on_done: Callable[[int], None] = lambda _: None,
) -> Fit:
    """Fit the model to landmarks (n, P, 2 or 3), pixels, x right, y down, z to the viewer with any offset.

    which: (P,), the landmarks that the points are, from 0; without, P is 68. weights: (n, P), of each squared
    distance, 0 where a point is not seen; a point that is not finite is not seen either. A fit does not depend on
    where the points are counted from. `on_done` is told of faces done.
    Raises ShapeError for arrays that do not fit together, SettingsError for a prior with a model without spreads.
    """
    chosen = np.arange(LANDMARKS) if which is None else np.asarray(which)
    if points.ndim != 3 or points.shape[1] != len(chosen) or points.shape[2] not in (2, 3):
        raise ShapeError(f"the points are {points.shape}; (faces, {len(chosen)}, 2 or 3) is expected")
    if weights is not None and (weights.shape != points.shape[:2] or not (np.isfinite(weights) & (weights >= 0)).all()):
        raise ShapeError(f"the weights are {weights.shape}; {points.shape[:2]} numbers of 0 or more are expected")
    finite = np.isfinite(points).all(axis=2)
    trust = np.where(finite, settings.group_weights()[chosen], 0.0) * (1.0 if weights is None else weights)
    frame = _Frame.around(points, finite)
    problem = Problem(_shape(model, settings, chosen), frame.from_points(points, finite), trust, settings)
    messages = undetermined(problem, camera_unknowns(settings.camera, points.shape[2]))
    messages = [UNSEEN if not seen else text for seen, text in zip(finite.any(axis=1), messages, strict=True)]
    faces = _solve_those(problem, messages, on_done)
    return _fit(problem, faces, frame, messages, model)


@dataclass(frozen=True, eq=False)
class _Frame:
    """Where each face is solved: about its points' middle (n, 3), their spread (n,) as the unit, y up. So neither the
    place nor the size of a face in its picture changes a digit that counts."""

    middle: np.ndarray
    size: np.ndarray

    @classmethod
    def around(cls, points: np.ndarray, seen: np.ndarray) -> "_Frame":
        kept = np.where(seen[..., None], points, 0.0).astype(np.float64)
        counts = np.maximum(seen.sum(axis=1), 1)
        middle = np.zeros((len(points), 3))
        middle[:, : points.shape[2]] = kept.sum(axis=1) / counts[:, None]
        off = np.where(seen[..., None], kept - middle[:, None, : points.shape[2]], 0.0)
        size = np.sqrt((off**2).sum(axis=(1, 2)) / counts)
        return cls(middle * [1, -1, 1], np.where(size > 0, size, 1.0))

    def from_points(self, points: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Points (n, P, d) with y down as (n, d, P) in this frame; 0 where not seen."""
        dims = points.shape[2]
        turned = points * np.array([1.0, -1.0, 1.0])[:dims] - self.middle[:, None, :dims]
        return np.swapaxes(np.where(seen[..., None], turned / self.size[:, None, None], 0.0), 1, 2)

    def pose(self, faces: Faces) -> np.ndarray:
        """Model units to the points' pixels, y up: (n, 3, 4)."""
        t = faces.t * self.size[:, None] + self.middle
        return np.concatenate([faces.M * (self.size[:, None, None] * _MM), t[..., None]], axis=2)


def _solve_those(problem: Problem, messages: list[str], on_done: Callable[[int], None]) -> Faces:
    """Fit the faces without a message; the others hold NaN, and those that come to nothing get a message."""
    n, count = len(messages), problem.shape.count
    faces = Faces(np.full((n, 3, 3), np.nan), np.full((n, 3), np.nan), np.full((n, count), np.nan))
    rows = np.array([row for row, text in enumerate(messages) if not text], int)
    if len(rows):
        starts, mirror = first_faces(problem.rows(rows))
        for row, text in zip(rows, mirror, strict=True):
            messages[row] = text
        upright = np.array([not text for text in mirror], bool)
        rows, starts = rows[upright], starts.rows(upright)
    on_done(n - len(rows))
    if len(rows):
        found, _, settled = solve(problem.rows(rows), starts, on_done)
        faces.M[rows], faces.t[rows], faces.a[rows] = found.M, found.t, found.a
        finite = np.isfinite(found.M).all(axis=(1, 2)) & np.isfinite(found.a).all(axis=1)
        for row in rows[~(settled & finite)]:
            messages[row] = UNSETTLED
    return faces


def _counts(model: MorphableModel, settings: FitSettings) -> tuple[int, int]:
    return min(settings.n_identity, model.n_identity), min(settings.n_expression, model.n_expression)


def _spreads(model: MorphableModel, settings: FitSettings) -> np.ndarray:
    """What one unit of each unknown is: the coefficient's spread, else what moves the landmarks by 1 mm. (L + K,)"""
    k, count = _counts(model, settings)
    if model.identity_sigma is not None and model.expression_sigma is not None:
        return np.concatenate([model.expression_sigma[:count], model.identity_sigma[:k]]).astype(np.float64)
    if settings.prior > 0:
        raise SettingsError(
            f"the prior needs to know how far coefficients spread, and {model.name!r} states no spreads (import it with "
            "its param_whitening.pkl): hand over another model, or fit without a prior (--prior 0)"
        )
    basis = _landmark_basis(model, settings, np.arange(LANDMARKS))
    return 1 / np.maximum(np.sqrt((basis**2).sum(axis=0).mean(axis=0)), 1e-12)


def _landmark_basis(model: MorphableModel, settings: FitSettings, which: np.ndarray) -> np.ndarray:
    return _basis(model, settings, model.landmark_ids[which])


def _basis(model: MorphableModel, settings: FitSettings, ids: np.ndarray) -> np.ndarray:
    """(3, ..., L + K) float64, millimetres per unit of coefficient, at vertices `ids`."""
    k, count = _counts(model, settings)
    columns = np.concatenate([model.expression_basis[ids][..., :count], model.identity_basis[ids][..., :k]], axis=-1)
    return np.moveaxis(columns, -2, 0).astype(np.float64) * _MM


def _shape(model: MorphableModel, settings: FitSettings, which: np.ndarray) -> Shape:
    spreads = _spreads(model, settings)
    jaw = np.flatnonzero(which < len(GROUPS["jaw"])) if settings.contour else np.empty(0, int)
    paths = known_jaw_paths(model)[which[jaw]] if len(jaw) else np.empty((0, 1), int)
    return Shape(
        mean=model.mean[model.landmark_ids[which]].T.astype(np.float64) * _MM,
        basis=_landmark_basis(model, settings, which) * spreads,
        identity=_counts(model, settings)[0],
        jaw=jaw,
        sides=jaw_sides(model)[which[jaw]],
        paths_mean=np.moveaxis(model.mean[paths], -1, 0).astype(np.float64) * _MM,
        paths_basis=_basis(model, settings, paths) * spreads,
    )


def _fit(problem: Problem, faces: Faces, frame: _Frame, messages: list[str], model: MorphableModel) -> Fit:
    _, count = _counts(model, problem.settings)
    failed = np.array([bool(text) for text in messages], bool)
    spreads = _spreads(model, problem.settings)
    coefficients = faces.a * spreads
    expression, identity = coefficients[:, :count], coefficients[:, count:]
    pose = frame.pose(faces)
    for array in (pose, expression, identity):
        array[failed] = np.nan
    landmarks = crop_up_from_model(model.landmarks(identity, expression), pose) * [1, -1, 1]
    known = model.identity_sigma is not None and faces.a.shape[1] > 0
    return Fit(
        pose=pose,
        identity=identity,
        expression=expression,
        landmarks=landmarks,
        status=tuple(OK if not text else "no-landmarks" if text == UNSEEN else "no-fit" for text in messages),
        messages=tuple(messages),
        error_mm=np.where(failed, np.nan, _error_mm(problem, faces)),
        sigmas=np.where(failed, np.nan, np.abs(faces.a).max(axis=1)) if known else np.full(len(failed), np.nan),
    )


def _error_mm(problem: Problem, faces: Faces) -> np.ndarray:
    unposed = problem.shape.mean + (problem.shape.basis @ faces.a.T).transpose(2, 0, 1)
    dims = problem.points.shape[1]
    off = faces.M[:, :dims] @ unposed + faces.t[:, :dims, None] - problem.points
    seen = problem.weights > 0
    squared = ((off**2).sum(axis=1) * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.sqrt(squared) / faces.scale()
