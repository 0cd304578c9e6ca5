"""How head hair grows: guides are combed, sink and stay outside of the head; the other strands follow the nearest two.

Lengths are mm of the model frame.
"""

import numpy as np
from scipy.spatial import cKDTree

from .hair import Cut
from .head import Head, Roots
from .masks import AXIS_Z, smoothstep
from .strands import Strands

CENTRE = np.array([0.0, 32.0, -5.0], np.float32)  # of the skull: strands are kept outside of it
AZIMUTH_BINS, HEIGHT_BINS = 48, 24
GUIDES = 220
STRANDS = 4000
POINTS = {"short": 5, "medium": 8, "long": 12}  # of a strand
SINKING = {"short": 0.02, "back": 0.004, "curly": 0.006}  # of each mm, by how much a strand turns to the ground
FALLING = 0.03  # of other cuts


def grow_hair(
    rng: np.random.Generator, head: Head, vertices: np.ndarray, normals: np.ndarray, cut: Cut, cover: np.ndarray,
    gravity: np.ndarray,
) -> Strands | None:  # fmt: skip
    """The strands of a cut, or None where there are none to speak of.

    vertices, normals: (N, 3) float32, mm, model frame. cover: (N,) where hair grows. gravity: (3,) unit, model frame.
    """
    if cut.kind == "bald":
        return None
    grows = cover[head.roots.corners[:, 0]] > rng.uniform(0.1, 0.9, len(head.roots.rest))
    roots = head.roots.pick(np.flatnonzero(grows)[:STRANDS])
    if len(roots.rest) < GUIDES:
        return None
    start, out = roots.on(vertices), roots.on(normals)
    lengths, comb, loose = _combed(rng, roots, out, cut)
    points = POINTS["short" if cut.length < 40 else "medium" if cut.length < 140 else "long"]
    few = slice(GUIDES)
    paths = _guide_paths(
        rng, start[few], comb[few], lengths[few], loose[few], cut, gravity, points, skull_radius(vertices)
    )
    first, second, pull = _nearest_guides(roots.rest)
    pull *= np.clip(lengths / lengths[first], 0.5, 1.5)[:, None]
    moved = paths - paths[:, :1]
    strands = start[:, None] + pull[:, :1, None] * moved[first] + pull[:, 1:, None] * moved[second]
    share = np.linspace(0, 1, points, dtype=np.float32)
    body = np.float32(0.5) * (rng.random(len(start), np.float32) + rng.random(GUIDES, np.float32)[first])
    strands += _loosened(rng, start, out, body, lengths, cut, share)
    shade = (1 + np.float32(0.12) * rng.standard_normal((len(start), 1), np.float32)) * (0.78 + 0.3 * share)
    colors = shade.clip(0.4, 1.7).astype(np.float32)[..., None] * cut.color.astype(np.float32)
    return Strands(strands, colors, cut.gloss, body)


def _nearest_guides(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two nearest of the first GUIDES roots to each root, (n,) int each, and how much each pulls, (n, 2)."""
    found = cKDTree(rest[:GUIDES]).query(rest, k=2)
    nearest, pull = np.asarray(found[1]), 1 / (np.asarray(found[0], np.float32) + 1)
    return nearest[:, 0], nearest[:, 1], pull / pull.sum(axis=1, keepdims=True)


def _loosened(
    rng: np.random.Generator, start: np.ndarray, out: np.ndarray, body: np.ndarray, lengths: np.ndarray, cut: Cut,
    share: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """How each strand leaves the guides' way, (n, points, 3): apart at the tip, off the head by `body`, curled."""
    apart = np.float32(min(0.05 * cut.length + 1.0, 7.0)) * rng.standard_normal((len(start), 3), np.float32)
    risen = np.sqrt(share) * (1 - np.float32(0.3) * share) * np.float32(cut.thickness)
    way = apart[:, None] * share[:, None] + out[:, None] * (body[:, None] * risen)[..., None]
    return way + _curls(rng, start, lengths, cut, share) if cut.curl > 0.3 else way


def skull_radius(vertices: np.ndarray) -> np.ndarray:
    """How far a head reaches from CENTRE in each direction bin: (AZIMUTH_BINS * HEIGHT_BINS,) float32, mm."""
    radius = np.zeros(AZIMUTH_BINS * HEIGHT_BINS, np.float32)
    np.maximum.at(radius, _direction_bins(vertices), np.linalg.norm(vertices - CENTRE, axis=1))
    grid = radius.reshape(AZIMUTH_BINS, HEIGHT_BINS)
    around = np.maximum(np.roll(grid, 1, axis=0), np.roll(grid, -1, axis=0))
    return np.where(grid > 0, grid, around).ravel()


def _direction_bins(points: np.ndarray) -> np.ndarray:
    """The bin of the direction from CENTRE of points (n, 3): (n,) int64."""
    x, y, z = (points - CENTRE).T
    column = np.arctan2(x, z) * (AZIMUTH_BINS / (2 * np.pi)) + AZIMUTH_BINS / 2
    row = (y / np.sqrt(x * x + y * y + z * z).clip(1e-6) + 1) * (HEIGHT_BINS / 2)
    return column.astype(np.int64).clip(0, AZIMUTH_BINS - 1) * HEIGHT_BINS + row.astype(np.int64).clip(
        0, HEIGHT_BINS - 1
    )


def _combed(
    rng: np.random.Generator, roots: Roots, out: np.ndarray, cut: Cut
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length (n,) and first direction (n, 3) of each strand, and which may fall over the face (n,)."""
    x, y, z = roots.rest.T
    front = smoothstep(z, 10, 60)
    lengths = cut.length * rng.uniform(0.8, 1.1, len(x))
    if cut.kind == "short":  # shorter at the sides
        lengths *= 0.35 + 0.65 * smoothstep(y, 40, 110)
    wish = np.stack(np.broadcast_arrays(*_style(cut, x, front)), axis=1).astype(np.float32)
    loose = np.full(len(x), cut.kind in ("short", "curly", "back"))
    if cut.fringe:
        fringe = np.flatnonzero((z > 45) & (np.abs(x) < 54))
        lean = np.clip(cut.part / 40, -0.6, 0.6)
        wish[fringe] = np.stack(np.broadcast_arrays(x[fringe] / 160 - lean, -0.4, 1.0), axis=1)
        lengths[fringe] = cut.fringe * rng.uniform(0.85, 1.1, len(fringe)) + 0.35 * (y[fringe] - 100).clip(0)
        loose[fringe] = True
    wish += np.float32(0.12) * rng.standard_normal(wish.shape, np.float32)
    flat = wish - np.einsum("nc,nc->n", wish, out)[:, None] * out
    comb = (1 - cut.lift) * _unit(flat) + cut.lift * out
    return lengths.astype(np.float32), _unit(comb), loose


def _style(
    cut: Cut, x: np.ndarray, front: np.ndarray
) -> tuple[np.ndarray | float, np.ndarray | float, np.ndarray | float]:
    """The direction that hair is combed in, from roots x mm to the right, front 0..1."""
    side = np.where(x > cut.part, 1.0, -1.0)
    if cut.kind == "back":
        return -0.25 * np.sign(x), 0.25, -1.0
    if cut.kind in ("medium", "long"):
        return side, 0.25 * front - 0.45 * (1 - front), -0.35 - 0.1 * (1 - front)
    if cut.kind == "curly":
        return x / 115, 0.2, 0.2 * front
    if cut.recession > 8 or cut.lift > 0.5:  # brushed up and back
        return 0.3 * side, 0.8 * front - 0.4, -0.7
    sweep = np.clip(cut.part / 20, -1, 1)
    return 0.5 * side * abs(sweep) + 0.3 * sweep, -0.5 * (1 - front), 0.9 * front + 0.1


def _guide_paths(
    rng: np.random.Generator, start: np.ndarray, comb: np.ndarray, lengths: np.ndarray, loose: np.ndarray, cut: Cut,
    gravity: np.ndarray, points: int, radius: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Paths of the guides, (n, points, 3) float32."""
    step = (lengths / (points - 1))[:, None]
    sinking = (SINKING.get(cut.kind, FALLING) * step * gravity).astype(np.float32)
    margin = 1.5 + cut.thickness * rng.uniform(0.2, 0.8, len(start)).astype(np.float32)
    path = np.empty((len(start), points, 3), np.float32)
    place, heading = start, comb
    for k in range(points):
        path[:, k] = place
        aim = place + step * heading
        away = aim - CENTRE
        limit = radius[_direction_bins(aim)] + margin * min(1.0, k / 2)
        reach = limit / np.sqrt(np.einsum("nc,nc->n", away, away)).clip(1e-6)
        aim = np.where((reach > 1)[:, None], CENTRE + away * reach[:, None], aim)
        heading = _unit(aim - place) + sinking
        # Hair that must not fall over the face is drawn aside.
        before = ~loose & (np.arctan2(np.abs(aim[:, 0]), aim[:, 2] - AXIS_Z) < cut.curtain)
        heading[before, 0] += 0.5 * np.sign(aim[before, 0])
        heading[before, 2] -= 0.3
        heading, place = _unit(heading), aim
    return path


def _curls(rng: np.random.Generator, start: np.ndarray, lengths: np.ndarray, cut: Cut, share: np.ndarray) -> np.ndarray:
    """Swings to the side that grow from the root on: (n, points, 3) float32."""
    together = 1 if cut.kind == "curly" else 0.25
    phase = np.float32(2 * np.pi * together) * rng.random((len(start), 1), np.float32) + start[:, :1] / 18
    angle = phase + np.float32(2 * np.pi / cut.wave) * lengths[:, None] * share
    swing = np.float32(cut.curl) * np.minimum(share * 3, 1)
    aside, around = swing * np.cos(angle), swing * np.sin(angle)
    return np.stack([aside, np.float32(0.4) * around, around], axis=2)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt(np.einsum("nc,nc->n", vectors, vectors)).clip(1e-6)[:, None]
