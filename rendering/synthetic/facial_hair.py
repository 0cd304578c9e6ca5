"""Brows, lashes and beards, as strands. Lengths in mm of the model frame."""

from dataclasses import dataclass

import numpy as np

from .head import BrowRoots, Head, Roots
from .strands import Strands

BEARDS = ("none", "stubble", "moustache", "goatee", "full")


@dataclass(frozen=True)
class FacialHair:
    """beard: one of BEARDS. length, density: of beard strands, mm and 0..1. brow_width: mm, half of it at the widest.
    brow_density: 0..1. lashes: length, mm. make_up: 0..1, how dark lids and lashes are painted. color, beard_color:
    linear RGB."""

    beard: str
    length: float
    density: float
    brow_width: float
    brow_density: float
    lashes: float
    make_up: float
    color: np.ndarray
    beard_color: np.ndarray


def draw_facial_hair(rng: np.random.Generator, color: np.ndarray, long_hair: bool) -> FacialHair:
    """color: of the head's hair, linear RGB. Long hair goes with beards less often, and with make-up more often."""
    bearded = rng.random() < (0.08 if long_hair else 0.5)
    beard = str(rng.choice(BEARDS[1:], p=(0.4, 0.14, 0.16, 0.3))) if bearded else "none"
    painted = rng.random() < (0.6 if long_hair else 0.08)
    return FacialHair(
        beard=beard,
        length=rng.uniform(2.5, 7) if rng.random() < 0.7 else rng.uniform(7, 26),
        density=rng.uniform(0.3, 1.0),
        brow_width=rng.uniform(2.2, 4.6),
        brow_density=rng.uniform(0.35, 1.0),
        lashes=rng.uniform(2.5, 4.5) if not painted else rng.uniform(4.5, 7.5),
        make_up=rng.uniform(0.2, 1.0) if painted else 0.0,
        color=np.minimum(color, [0.3, 0.24, 0.18]) * rng.uniform(0.3, 0.8) + 0.004,
        beard_color=color * rng.uniform(0.45, 1.0) + rng.uniform(0, 0.02),
    )


def grow_brows(
    rng: np.random.Generator, brows: BrowRoots, vertices: np.ndarray, normals: np.ndarray, style: FacialHair
) -> Strands:
    half = style.brow_width * np.interp(brows.along, [0, 0.25, 0.7, 1], [0.75, 1, 0.75, 0.3])
    chosen = (brows.away < half) & (rng.random(len(half)) < style.brow_density)
    roots, along = brows.roots.pick(np.flatnonzero(chosen)), brows.along[chosen]
    outward = np.sign(roots.rest[:, 0])
    up = np.interp(along, [0, 0.3, 1], [1.0, 0.25, -0.35])
    heading = np.stack([outward * np.interp(along, [0, 0.3, 1], [0.4, 1, 1]), up, 0 * up], axis=1)
    return _short(rng, roots, vertices, normals, heading, rng.uniform(4, 8, len(along)), 0.12, style.color, 0.06)


def grow_beard(
    rng: np.random.Generator, head: Head, vertices: np.ndarray, normals: np.ndarray, style: FacialHair
) -> Strands | None:
    if style.beard in ("none", "stubble"):
        return None
    weight = head.roots.on(beard_mask(head, style)[:, None])[:, 0]
    chosen = np.flatnonzero(weight * style.density > rng.random(len(weight)))
    roots = head.roots.pick(chosen)
    heading = np.stack([0.006 * roots.rest[:, 0], -1 + 0 * roots.rest[:, 0], 0 * roots.rest[:, 0]], axis=1)
    lengths = style.length * rng.uniform(0.6, 1.2, len(chosen)) * (0.5 + 0.5 * weight[chosen])
    return _short(rng, roots, vertices, normals, heading, lengths, 0.45, style.beard_color, 0.2)


def beard_mask(head: Head, style: FacialHair) -> np.ndarray:
    """Where the beard of this style grows: (N,) float32, 0..1."""
    masks = head.masks
    if style.beard == "moustache":
        return masks["moustache"]
    if style.beard == "goatee":
        return np.maximum(masks["moustache"], masks["goatee"])
    if style.beard == "none":
        return np.zeros_like(masks["beard"])
    return np.maximum(masks["beard"], masks["moustache"])


def grow_lashes(rng: np.random.Generator, landmarks: np.ndarray, style: FacialHair) -> Strands:
    """Lashes of the upper lids, and short ones of the lower. landmarks: (68, 3) mm, model frame, semantic."""
    starts, headings, sizes = [], [], []
    for first, outward in ((36, -1.0), (42, 1.0)):
        corners = landmarks[first : first + 6]
        upper, lower = corners[:4], corners[[0, 5, 4, 3]]
        for lid, up, longest, count in ((upper, 1.0, style.lashes, 26), (lower, -0.7, 0.35 * style.lashes, 8)):
            share = np.sort(rng.uniform(0.04, 1, count)) if outward > 0 else np.sort(rng.uniform(0, 0.96, count))
            starts.append(curve_points(lid, share))
            fan = (share - 0.5) * 1.1
            headings.append(np.stack([fan + 0.15 * outward, np.full(count, 0.55 * up), np.full(count, 0.85)], axis=1))
            sizes.append(longest * rng.uniform(0.6, 1.1, count))
    start, heading, length = np.concatenate(starts), np.concatenate(headings), np.concatenate(sizes)
    share = np.linspace(0, 1, 4)[:, None]
    bend = np.array([0, 1.0, 0]) * np.sign(heading[:, 1:2]) * 0.35
    points = start[:, None] + length[:, None, None] * (share * heading[:, None] + share**2 * bend[:, None])
    points[:, :, 2] += 0.6
    dark = np.minimum(style.color, 0.03) * (1 - 0.7 * style.make_up)
    colors = np.broadcast_to(dark.astype(np.float32), points.shape)
    return Strands(points.astype(np.float32), colors, 0.0, np.ones(len(points), np.float32))


def curve_points(corners: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Places on the cubic through four corners (4, 3), 0 at the first and 1 at the last: (n, 3)."""
    t = share[:, None] * 3
    weights = [
        -(t - 1) * (t - 2) * (t - 3) / 6,
        t * (t - 2) * (t - 3) / 2,
        -t * (t - 1) * (t - 3) / 2,
        t * (t - 1) * (t - 2) / 6,
    ]
    return sum(weight * corner for weight, corner in zip(weights, corners, strict=True))


def _short(
    rng: np.random.Generator, roots: Roots, vertices: np.ndarray, normals: np.ndarray, heading: np.ndarray,
    lengths: np.ndarray, lift: float, color: np.ndarray, gloss: float,
) -> Strands:  # fmt: skip
    """Short strands that lean out of the skin by `lift` and lie along `heading` (n, 3)."""
    start, out = roots.on(vertices), roots.on(normals)
    heading = heading + rng.normal(0, 0.22, heading.shape)
    flat = heading - (heading * out).sum(axis=1, keepdims=True) * out
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    share = np.linspace(0, 1, 4)[:, None]
    points = start[:, None] + lengths[:, None, None] * (
        share * (flat + lift * out)[:, None] - 0.15 * share**2 * out[:, None]
    )
    points += 0.4 * out[:, None]
    shade = rng.normal(1, 0.2, (len(start), 1, 1)).clip(0.5, 1.6)
    colors = np.broadcast_to(color * shade, points.shape)
    return Strands(points.astype(np.float32), colors.astype(np.float32), gloss, np.ones(len(start), np.float32))
