"""Cameras and coefficients of many faces at once: Levenberg-Marquardt on landmarks, with a prior and a robust loss.

Frame: *picture*, pixels, x right, y up, z to the viewer. Arrays of points lie as (n, d, P), so that the posed basis of
a block of faces is a single matrix product. Lengths of the model are millimetres, coefficients in units of their spread.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .cameras import camera_columns, camera_unknowns, moved_camera
from .contour import silhouette
from .settings import FitSettings

BLOCK = 64  # faces solved together: their Jacobian stays within a few megabytes
CONTOUR_MOVES = 12  # iterations after which the jaw stays where it slid to, so that the sum it is part of may settle
TOLERANCE_MM = 1e-3  # a step that moves a landmark by less is the last
TOLERANCE = 1e-9  # or one that lowers the sum by no more than this share
MAX_DAMPING = 1e10


@dataclass(frozen=True, eq=False)
class Shape:
    """The landmarks as linear functions of the coefficients: mean (3, P) and basis (3, P, C), whose last `identity`
    columns are the identity's.

    Jaw landmarks may slide: paths_mean (3, J, steps) and paths_basis (3, J, steps, C) of their candidates, sides (J,),
    and `jaw`, their places among the P; no J where they do not.
    """

    mean: np.ndarray
    basis: np.ndarray
    identity: int
    jaw: np.ndarray
    sides: np.ndarray
    paths_mean: np.ndarray
    paths_basis: np.ndarray

    @property
    def count(self) -> int:
        return self.basis.shape[-1]

    def rigid(self) -> "Shape":
        """The mean face alone, its jaw where it is."""
        nothing = np.empty(0, int)
        return replace(self, basis=self.basis[..., :0], identity=0, jaw=nothing, sides=nothing)


@dataclass(frozen=True, eq=False)
class Faces:
    """The unknowns of n faces: M (n, 3, 3) pixels per millimetre, t (n, 3) pixels, a (n, C)."""

    M: np.ndarray
    t: np.ndarray
    a: np.ndarray

    def rows(self, rows: np.ndarray | slice) -> "Faces":
        return Faces(self.M[rows], self.t[rows], self.a[rows])

    def scale(self) -> np.ndarray:
        """Pixels per millimetre, (n,): the root mean square of the first two rows, which the picture shows."""
        return np.sqrt((self.M[:, :2] ** 2).sum(axis=(1, 2)) / 2)


@dataclass(frozen=True, eq=False)
class Problem:
    """n faces to fit: points (n, d, P) picture, weights (n, P) (0 where unseen), and what to minimise."""

    shape: Shape
    points: np.ndarray
    weights: np.ndarray
    settings: FitSettings

    def rows(self, rows: np.ndarray | slice) -> "Problem":
        return replace(self, points=self.points[rows], weights=self.weights[rows])


@dataclass(frozen=True, eq=False)
class _Held:
    """What an iteration takes as given: noise in pixels (n,), and the jaw's chosen candidates (n, J)."""

    noise: np.ndarray
    chosen: np.ndarray

    def rows(self, rows: np.ndarray | slice) -> "_Held":
        return _Held(self.noise[rows], self.chosen[rows])


def solve(
    problem: Problem,
    faces: Faces,
    on_done: Callable[[int], None] = lambda _: None,
    tolerance_mm: float = TOLERANCE_MM,
) -> tuple[Faces, np.ndarray, np.ndarray]:
    """The best faces from these starts: faces, their cost (n,), and whether they settled (n,) bool.

    `on_done` is told of the faces done, a block at a time.
    """
    if problem.settings.same_person:
        return _solve_together(problem, faces, on_done, tolerance_mm)
    parts = []
    for start in range(0, len(faces.t), BLOCK):
        rows = slice(start, start + BLOCK)
        parts.append(_solve_block(problem.rows(rows), faces.rows(rows), tolerance_mm))
        on_done(len(parts[-1][1]))
    found = Faces(*(np.concatenate([getattr(part[0], name) for part in parts]) for name in ("M", "t", "a")))
    return found, np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])


def _solve_block(problem: Problem, faces: Faces, tolerance_mm: float) -> tuple[Faces, np.ndarray, np.ndarray]:
    """Each face on its own; a face that has settled leaves the block."""
    n = len(faces.t)
    M, t, a = faces.M.copy(), faces.t.copy(), faces.a.copy()
    final, settled = np.full(n, np.inf), np.zeros(n, bool)
    active, damping, now = np.arange(n), np.full(n, 1e-3), faces
    held: _Held | None = None
    for iteration in range(problem.settings.iterations):
        part = problem.rows(active)
        held = _hold(part, now, held if iteration >= CONTOUR_MOVES else None)
        normal, gradient, cost = _linearise(part, now, held)
        step = _damped_step(normal, gradient, damping)
        after, moved = _advance(part, now, step)
        lower = _cost(part, after, held)
        better = lower <= cost
        now = Faces(*(_choose(better, new, old) for new, old in ((after.M, now.M), (after.t, now.t), (after.a, now.a))))
        damping = np.where(better, damping * 0.1, damping * 10).clip(1e-12)
        quiet = ((moved < tolerance_mm) | (better & (lower >= (1 - TOLERANCE) * cost))) & (iteration > 0)
        stays = ~(quiet | (damping > MAX_DAMPING))
        M[active], t[active], a[active], final[active] = now.M, now.t, now.a, cost
        settled[active[~stays]] = True
        active, damping, now, held = active[stays], damping[stays], now.rows(stays), held.rows(stays)
        if len(active) == 0:
            break
    return Faces(M, t, a), final, settled


def _solve_together(
    problem: Problem, faces: Faces, on_done: Callable[[int], None], tolerance_mm: float
) -> tuple[Faces, np.ndarray, np.ndarray]:
    """All faces with one identity (their identity coefficients start equal). The unknowns of each face are eliminated
    from the sum, so that only the identity is solved for jointly, and memory holds a small matrix for each face."""
    n, shared, prior = len(faces.t), problem.shape.identity, problem.settings.prior
    own = problem.shape.count - shared

    def total(costs: np.ndarray, at: Faces) -> float:
        return float(costs.sum() - (n - 1) * prior * (at.a[0, own:] ** 2).sum())  # one person, one prior

    blocks = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
    damping, settled, costs = 1e-3, False, np.full(n, np.inf)
    held: _Held | None = None
    for iteration in range(problem.settings.iterations):
        held = _hold(problem, faces, held if iteration >= CONTOUR_MOVES else None)
        parts = [_linearise(problem.rows(rows), faces.rows(rows), held.rows(rows)) for rows in blocks]
        normal, gradient, costs = (np.concatenate([part[i] for part in parts]) for i in range(3))
        step = _shared_step(normal, gradient, damping, faces.a[0, own:], prior)
        after, moved = _advance(problem, faces, step)
        before, lower = total(costs, faces), total(_cost(problem, after, held), after)
        better = lower <= before
        faces = after if better else faces
        damping = max(damping * (0.1 if better else 10), 1e-12)
        quiet = moved.max() < tolerance_mm or (better and lower >= (1 - TOLERANCE) * before)
        settled = bool(quiet and iteration > 0) or damping > MAX_DAMPING
        if settled:
            break
    on_done(n)
    return faces, costs, np.full(n, settled)


def _choose(which: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.where(which.reshape(-1, *[1] * (first.ndim - 1)), first, second)


def _damped_step(normal: np.ndarray, gradient: np.ndarray, damping: np.ndarray) -> np.ndarray:
    diagonal = np.einsum("nuu->nu", normal)
    # The floor keeps a system solvable whose unknown nothing depends on (a component that moves no seen landmark).
    raised = normal.copy()
    np.einsum("nuu->nu", raised)[:] += diagonal * damping[:, None] + 1e-12 * diagonal.max(axis=1, keepdims=True)
    return -np.linalg.solve(raised, gradient[..., None])[..., 0]


def _shared_step(
    normal: np.ndarray, gradient: np.ndarray, damping: float, shared: np.ndarray, prior: float
) -> np.ndarray:
    """One step of all faces in which the last unknowns, now `shared`, are the same for each (Schur complement)."""
    own, once = normal.shape[1] - len(shared), (len(normal) - 1) * prior  # each face's sums hold the prior
    mine, coupling = normal[:, :own, :own].copy(), normal[:, :own, own:]
    diagonal = np.einsum("nuu->nu", mine)
    diagonal += diagonal * damping + 1e-12 * diagonal.max(axis=1, keepdims=True)
    solved = np.linalg.solve(mine, np.concatenate([coupling, gradient[:, :own, None]], axis=2))
    reduced = (normal[:, own:, own:] - np.swapaxes(coupling, 1, 2) @ solved[..., :-1]).sum(axis=0)
    right = (gradient[:, own:] - np.einsum("nou,no->nu", coupling, solved[..., -1])).sum(axis=0) - once * shared
    places = np.arange(len(shared))
    reduced[places, places] = (reduced[places, places] - once) * (1 + damping) + 1e-12
    common = -np.linalg.solve(reduced, right)
    return np.concatenate([-solved[..., -1] - solved[..., :-1] @ common, np.tile(common, (len(normal), 1))], axis=1)


def _hold(problem: Problem, faces: Faces, earlier: _Held | None) -> _Held:
    shape = problem.shape
    noise = problem.settings.noise_mm * faces.scale()
    if earlier is not None or len(shape.jaw) == 0:
        chosen = np.empty((len(noise), 0), int) if earlier is None else earlier.chosen
        return _Held(noise, chosen)
    candidates = shape.paths_mean + np.tensordot(faces.a, shape.paths_basis, axes=(1, 3))  # (n, 3, J, steps)
    seen = np.einsum("ndk,nkjs->ndjs", faces.M[:, :2], candidates)
    return _Held(noise, silhouette(seen, faces.M[:, :2, 1], shape.sides))


def _sliding(problem: Problem, held: _Held) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n, 3, J) and basis (n, 3, J, C) of the jaw's chosen candidates."""
    shape, places = problem.shape, np.arange(len(problem.shape.jaw))
    mean = shape.paths_mean[:, places, held.chosen]  # (3, n, J)
    return np.swapaxes(mean, 0, 1), np.swapaxes(shape.paths_basis[:, places, held.chosen], 0, 1)


def _unposed(problem: Problem, faces: Faces, held: _Held) -> tuple[np.ndarray, np.ndarray]:
    """The landmarks (n, 3, P) in millimetres, and the sliding ones' basis."""
    shape = problem.shape
    points = shape.mean + (faces.a @ shape.basis.reshape(shape.mean.size, shape.count).T).reshape(-1, *shape.mean.shape)
    if len(shape.jaw) == 0:
        return points, np.empty(0)
    mean, basis = _sliding(problem, held)
    points[..., shape.jaw] = mean + np.einsum("ndjc,nc->ndj", basis, faces.a)
    return points, basis


def _posed(faces: Faces, unposed: np.ndarray, dims: int) -> np.ndarray:
    return faces.M[:, :dims] @ unposed + faces.t[:, :dims, None]


def _losses(problem: Problem, squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The robust loss of squared distances (n, P) in units of the noise, and its derivative: the weight of each."""
    scale = problem.settings.robust_scale
    if problem.settings.robust == "none":
        return squared, np.ones_like(squared)
    if problem.settings.robust == "huber":
        distance = np.sqrt(squared)
        beyond = distance > scale
        loss = np.where(beyond, 2 * scale * distance - scale**2, squared)
        return loss, np.where(beyond, scale / np.maximum(distance, scale), 1.0)
    bent = 1 + squared / scale**2
    if problem.settings.robust == "geman-mcclure":
        return squared / bent, bent**-2
    return scale**2 * np.log(bent), 1 / bent


def _cost(problem: Problem, faces: Faces, held: _Held) -> np.ndarray:
    unposed, _ = _unposed(problem, faces, held)
    residuals = _posed(faces, unposed, problem.points.shape[1]) - problem.points
    squared = (residuals**2).sum(axis=1) / held.noise[:, None] ** 2
    loss = (problem.weights * _losses(problem, squared)[0]).sum(axis=1)
    return loss + problem.settings.prior * (faces.a**2).sum(axis=1)


def _linearise(problem: Problem, faces: Faces, held: _Held) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal equations (n, U, U), gradient (n, U) and cost (n,) at `faces`. Unknowns: camera, expression, identity."""
    shape, settings = problem.shape, problem.settings
    n, dims, count = problem.points.shape
    unposed, sliding = _unposed(problem, faces, held)
    residuals = _posed(faces, unposed, dims) - problem.points
    squared = (residuals**2).sum(axis=1) / held.noise[:, None] ** 2
    loss, bend = _losses(problem, squared)
    camera = camera_columns(faces.M, unposed, dims, settings.camera)
    jacobian = np.empty((n, dims, count, camera.shape[-1] + shape.count))
    jacobian[..., : camera.shape[-1]] = camera
    posed_basis = faces.M[:, :dims].reshape(-1, 3) @ shape.basis.reshape(3, -1)
    jacobian[..., camera.shape[-1] :] = posed_basis.reshape(n, dims, count, shape.count)
    if len(shape.jaw):
        moved = faces.M[:, :dims] @ sliding.reshape(n, 3, -1)
        jacobian[:, :, shape.jaw, camera.shape[-1] :] = moved.reshape(n, dims, len(shape.jaw), shape.count)
    root = np.sqrt(problem.weights * bend) / held.noise[:, None]
    jacobian *= root[:, None, :, None]
    flat = jacobian.reshape(n, dims * count, -1)
    normal = np.swapaxes(flat, 1, 2) @ flat
    gradient = (np.swapaxes(flat, 1, 2) @ (residuals * root[:, None]).reshape(n, -1, 1))[..., 0]
    np.einsum("nuu->nu", normal)[:, camera.shape[-1] :] += settings.prior
    gradient[:, camera.shape[-1] :] += settings.prior * faces.a
    cost = (problem.weights * loss).sum(axis=1) + settings.prior * (faces.a**2).sum(axis=1)
    return normal, gradient, cost


def _advance(problem: Problem, faces: Faces, step: np.ndarray) -> tuple[Faces, np.ndarray]:
    """The faces after a step, and how far it moves a typical landmark, in millimetres (n,)."""
    dims, camera = problem.points.shape[1], problem.settings.camera
    count = camera_unknowns(camera, dims)
    M, t = moved_camera(faces.M, faces.t, step[:, :count], dims, camera)
    radius = np.sqrt((problem.shape.mean**2).sum(axis=0).mean())
    spread = np.sqrt((problem.shape.basis**2).sum(axis=0).mean(axis=0))
    scale = np.maximum(faces.scale(), 1e-12)
    moved = np.sqrt(((M - faces.M) ** 2).sum(axis=(1, 2))) / scale * radius
    moved += np.sqrt(((t - faces.t) ** 2).sum(axis=1)) / scale + np.abs(step[:, count:]) @ spread
    return Faces(M, t, faces.a + step[:, count:]), moved
