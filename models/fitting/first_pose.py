"""Where a head stands, from its landmarks and the mean face alone: the start of a fit, and what cannot be fitted.

Frame and layout as in `least_squares`: picture pixels with y up, points (n, d, P), model in millimetres.
"""

from dataclasses import replace

import numpy as np

from ..pose import rotation_from_angles
from .cameras import third_row
from .least_squares import Faces, Problem, solve
from .settings import FitSettings

# Without the third coordinate a head is also started from these yaws; its roll is found with each.
YAWS = (-60.0, 0.0, 60.0)

# The mean face is no nearer to a person than this, so a landmark further off is taken for an outlier.
RIGID = FitSettings(n_identity=0, n_expression=0, noise_mm=5.0, prior=0.0, robust="student-t", iterations=20)

CHUNK = 512  # faces looked at together
REWEIGHTINGS = 4
ROUGH_MM = 0.05  # a start need not be finer

# A mirrored face is told from a poor one by an error at most this share of the unmirrored one's.
MIRRORED_SHARE = 0.5
# Turned this far from the viewer no landmark is seen: the points are mirrored.
TURNED_AWAY_DEGREES = 120.0


MIRRORED = (
    "the landmarks fit the face's mirror image: left and right stand in each other's place (mirrored order), or y "
    "points up (y down is expected)"
)
DEPTH_TURNED = "the landmarks fit the face's mirror image: z grows away from the viewer (larger z nearer is expected)"


def first_faces(problem: Problem) -> tuple[Faces, list[str]]:
    """The mean face at each face's best pose (a = 0), and why a face cannot go on from there (empty texts: it can)."""
    parts = [_first_faces(problem.rows(slice(i, i + CHUNK))) for i in range(0, len(problem.points), CHUNK)]
    M, t, a = (np.concatenate([getattr(faces, name) for faces, _ in parts]) for name in ("M", "t", "a"))
    return Faces(M, t, a), [text for _, texts in parts for text in texts]


def _first_faces(problem: Problem) -> tuple[Faces, list[str]]:
    rigid = replace(problem, shape=problem.shape.rigid(), settings=RIGID)
    if problem.points.shape[1] == 3:
        starts, mirror = _aligned(rigid)
        faces, _, _ = solve(rigid, starts, tolerance_mm=ROUGH_MM)
    else:
        faces = _best_of(rigid, _flat_starts(rigid))
        faces.M[:, 2] = third_row(faces.M)
        away = faces.M[:, 2, 2] < np.cos(np.deg2rad(TURNED_AWAY_DEGREES)) * faces.scale()
        mirror = [MIRRORED if turned else "" for turned in away]
    return Faces(faces.M, faces.t, np.zeros((len(faces.t), problem.shape.count))), mirror


def undetermined(problem: Problem, camera_unknowns: int) -> list[str]:
    """Why each face cannot be fitted, or an empty string: too few points, or points on a line."""
    dims, settings = problem.points.shape[1], problem.settings
    seen = problem.weights > 0
    counts = seen.sum(axis=1)
    unknowns = camera_unknowns + (problem.shape.count if settings.prior == 0 else 0)
    reasons = []
    for count, points, which in zip(counts, problem.points, seen, strict=True):
        if count * dims < unknowns:
            reasons.append(
                f"{count} landmarks are {count * dims} numbers, fewer than the {unknowns} unknowns"
                + ("" if settings.prior else " of a fit without a prior")
            )
        elif _on_a_line(points[:, which]):
            reasons.append("the landmarks lie on a line or in one place")
        elif settings.camera == "affine" and _rank(problem.shape.mean[:, which]) < 3:
            reasons.append("landmarks in a plane determine no affine camera")
        else:
            reasons.append("")
    return reasons


def _on_a_line(points: np.ndarray) -> bool:
    return _rank(points) < 2


def _rank(points: np.ndarray) -> int:
    spread = np.linalg.svd(points - points.mean(axis=1, keepdims=True), compute_uv=False)
    return int((spread > 0.01 * spread[0]).sum()) if spread[0] > 0 else 0


def _centred(weights: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, d, P) less their weighted mean, and the mean (n, d)."""
    mean = np.einsum("np,ndp->nd", weights, points) / weights.sum(axis=1)[:, None]
    return points - mean[..., None], mean


def _aligned(problem: Problem) -> tuple[Faces, list[str]]:
    """The similarity that takes the mean face to 3D points (Umeyama), reweighted for outliers; how it is mirrored."""
    weights = problem.weights
    for _ in range(REWEIGHTINGS):
        source, source_mean = _centred(weights, np.broadcast_to(problem.shape.mean, problem.points.shape))
        target, target_mean = _centred(weights, problem.points)
        u, singular, vt = np.linalg.svd(np.einsum("np,ndp,nep->nde", weights, target, source))
        sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
        signs = np.stack([np.ones_like(sign), np.ones_like(sign), sign], axis=1)
        size = np.einsum("np,ndp->n", weights, source**2)
        M = ((singular * signs).sum(axis=1) / size)[:, None, None] * (u * signs[:, None]) @ vt
        distance = np.linalg.norm(M @ source - target, axis=1)
        weights = problem.weights / (1 + (distance / _typical(problem.weights, distance)[:, None]) ** 2)
    # Of Umeyama's two errors: size_target - (sum of signed singular values)^2 / size_source.
    total = np.einsum("np,ndp->n", weights, target**2)
    proper, mirror = (total - (singular * s).sum(axis=1) ** 2 / size for s in (signs, np.abs(signs)))
    mirrored = (sign < 0) & (mirror.clip(0) < MIRRORED_SHARE**2 * proper)
    t = target_mean - (M @ source_mean[..., None])[..., 0]
    from_behind = (u @ vt)[:, 2, 2] < 0
    texts = [
        "" if not is_mirrored else DEPTH_TURNED if behind else MIRRORED
        for is_mirrored, behind in zip(mirrored, from_behind, strict=True)
    ]
    return Faces(M, t, np.zeros((len(t), 0))), texts


def _typical(weights: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Twice the median distance of the seen points, (n,)."""
    return 2 * np.nanmedian(np.where(weights > 0, distance, np.nan), axis=1) + 1e-9


def _flat_starts(problem: Problem) -> list[Faces]:
    """Poses for 2D points: the mean face turned by each of YAWS and laid on the points, and the affine camera's."""
    starts = []
    source = problem.shape.mean
    target, target_mean = _centred(problem.weights, problem.points)
    for yaw in YAWS:
        rotation = rotation_from_angles(np.array([yaw, 0.0, 0.0]))
        turned, turned_mean = _centred(
            problem.weights, np.broadcast_to(rotation @ source, (len(target), *source.shape))
        )
        flat, aim = turned[:, 0] + 1j * turned[:, 1], target[:, 0] + 1j * target[:, 1]
        similar = (problem.weights * flat.conj() * aim).sum(axis=1) / (problem.weights * np.abs(flat) ** 2).sum(axis=1)
        scale, roll = np.abs(similar), np.angle(similar)
        M = scale[:, None, None] * _roll(roll) @ rotation
        starts.append(_placed(M, turned_mean, rotation, target_mean))
    if len(source[0]) >= 4:
        starts.append(_affine(problem))
    return starts


def _roll(angle: np.ndarray) -> np.ndarray:
    c, s, o = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    return np.stack([np.stack([c, -s, o], 1), np.stack([s, c, o], 1), np.stack([o, o, o + 1], 1)], axis=1)


def _placed(M: np.ndarray, turned_mean: np.ndarray, rotation: np.ndarray, target_mean: np.ndarray) -> Faces:
    t = -(M @ (rotation.T @ turned_mean[..., None]))[..., 0]
    t[:, :2] += target_mean
    t[:, 2] = 0
    return Faces(M, t, np.zeros((len(t), 0)))


def _affine(problem: Problem) -> Faces:
    """The scaled rotation nearest to the affine camera of the mean face, reweighted for outliers."""
    weights = problem.weights
    n, _, count = problem.points.shape
    source = np.broadcast_to(np.vstack([problem.shape.mean, np.ones(count)]), (n, 4, count))
    scale = np.sqrt((problem.shape.mean**2).mean())
    ridge = np.diag([1e-6, 1e-6, 1e-6, 1e-12]) * count * scale**2  # points in a plane leave a direction open
    for _ in range(REWEIGHTINGS):
        normal = np.einsum("np,nip,njp->nij", weights, source, source) + ridge
        right = np.einsum("np,nip,ndp->nid", weights, source, problem.points)
        camera = np.swapaxes(np.linalg.solve(normal, right), 1, 2)
        distance = np.linalg.norm(camera @ source - problem.points, axis=1)
        weights = problem.weights / (1 + (distance / _typical(problem.weights, distance)[:, None]) ** 2)
    u, singular, vt = np.linalg.svd(camera[..., :3], full_matrices=False)
    rows = singular.mean(axis=1)[:, None, None] * u @ vt
    M = np.concatenate([rows, np.zeros((n, 1, 3))], axis=1)
    M[:, 2] = third_row(M)
    t = np.concatenate([camera[..., 3], np.zeros((n, 1))], axis=1)
    return Faces(M, t, np.zeros((n, 0)))


def _best_of(problem: Problem, starts: list[Faces]) -> Faces:
    """Follow every start, all at once, and take for each face the end that explains its points best."""
    n, count = len(problem.points), len(starts)
    tried = Faces(*(np.concatenate([getattr(start, name) for start in starts]) for name in ("M", "t", "a")))
    ends, cost, _ = solve(problem.rows(np.tile(np.arange(n), count)), tried, tolerance_mm=ROUGH_MM)
    # The noise is a length on the face, so a start that shrank to a dot is not mistaken for a good one.
    best = np.nan_to_num(cost, nan=np.inf).reshape(count, n).argmin(axis=0)
    return ends.rows(best * n + np.arange(n))
