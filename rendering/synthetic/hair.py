"""Head hair: its colour, its cut, and where it grows. Lengths in mm of the model frame."""

from dataclasses import dataclass

import numpy as np

from .head import Head
from .masks import azimuth, smoothstep

# sRGB, from black over browns and reds to blond, grey and white; a few dyed ones.
COLORS = ((14, 11, 10), (26, 19, 15), (44, 30, 22), (66, 44, 30), (92, 62, 40), (122, 86, 54), (160, 120, 78),
          (196, 160, 112), (220, 192, 148), (118, 52, 24), (150, 72, 34), (120, 116, 112), (170, 168, 165),
          (215, 213, 210))  # fmt: skip
COLOR_SHARES = np.array([6, 6, 5, 4, 3, 2.5, 2, 2, 1.5, 1.2, 1, 1.5, 1, 0.7])


@dataclass(frozen=True)
class Cut:
    """How hair is worn. kind: bald, short, medium, long, back (tied behind), curly. All lengths mm.

    hairline: height of the front hairline over the brows' level. recession: of the temples. curtain: azimuth (radians)
    that hair which falls in front keeps off the face by. length: of a strand.
    part: x of the parting. fringe: length of strands combed over the forehead, 0 for none. lift: how far strands
    stand off, 0..1. curl: how far strands swing, wave: the length of a swing. thickness: of the whole. grey: share.
    """

    kind: str
    color: np.ndarray
    hairline: float
    recession: float
    length: float
    part: float
    fringe: float
    lift: float
    curl: float
    wave: float
    thickness: float
    gloss: float
    curtain: float


def draw_cut(rng: np.random.Generator, lightness: float) -> Cut:
    """lightness: of the skin, linear; dark skin comes with dark or grey hair mostly."""
    kinds = ("bald", "short", "medium", "long", "back", "curly")
    kind = str(rng.choice(kinds, p=(0.07, 0.32, 0.16, 0.26, 0.1, 0.09)))
    shares = COLOR_SHARES * np.where(
        (np.arange(len(COLORS)) > 3) & (np.arange(len(COLORS)) < 11), min(1, 4 * lightness**1.5), 1
    )
    color = np.array(COLORS[int(rng.choice(len(COLORS), p=shares / shares.sum()))], float)
    if rng.random() < 0.03:
        color = rng.uniform(20, 200, 3)
    color = linear(np.clip(color * rng.uniform(0.8, 1.2) + rng.normal(0, 4, 3), 6, 240))
    length = {
        "bald": 0.0, "short": float(np.exp(rng.uniform(np.log(3), np.log(38)))), "medium": rng.uniform(60, 130),
        "long": rng.uniform(150, 330), "back": rng.uniform(60, 110), "curly": rng.uniform(25, 110),
    }[kind]  # fmt: skip
    fringe = 0.0
    if kind in ("medium", "long") and rng.random() < 0.35:
        fringe = rng.uniform(35, 75)
    elif kind in ("short", "back") and rng.random() < 0.2:
        fringe = rng.uniform(20, 50)
    receding = kind in ("short", "bald") and rng.random() < 0.35
    curly = kind == "curly"
    return Cut(
        kind=kind,
        color=color,
        hairline=rng.uniform(46, 66) + (rng.uniform(8, 30) if receding else 0),
        recession=rng.uniform(0, 6) + (rng.uniform(4, 18) if receding else 0),
        length=length,
        part=float(rng.choice([rng.normal(0, 4), rng.uniform(-38, 38)])),
        fringe=fringe,
        lift=rng.uniform(0.15, 0.7) if kind == "short" else rng.uniform(0.3, 1) if curly else rng.uniform(0.1, 0.35),
        curl=rng.uniform(3, 7) if curly else rng.gamma(1.2, 1.2),
        wave=rng.uniform(12, 28) if curly else rng.uniform(45, 140),
        thickness={"bald": 0.0, "short": 2.0, "back": 2.5, "curly": 8.0}.get(kind, rng.uniform(3, 7)),
        gloss=rng.uniform(0.15, 0.9),
        curtain=rng.uniform(0.75, 1.45),
    )


def linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB 0..255 to linear light 0..1."""
    share = np.asarray(srgb, np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def above_hairline(rest: np.ndarray, cut: Cut, brow_height: float) -> np.ndarray:
    """How far above (inside) the hairline places of the mean head lie: (n,) mm, about."""
    front = brow_height + cut.hairline
    angles = np.array([0, 0.35, 0.62, 0.9, 1.18, 1.3, 1.4, 1.75, 1.92, 2.2, 2.6, np.pi])
    heights = np.array(
        [front, front - 2, front - 6 + cut.recession, 78 + 0.4 * cut.recession, 56, 22, 64, 64, 14, -25, -42, -50]
    )
    return rest[:, 1] - np.interp(azimuth(rest), angles, heights)


def scalp_cover(rng: np.random.Generator, head: Head, cut: Cut) -> np.ndarray:
    """How much hair covers the scalp: (N,) float32, 0 on the face."""
    if cut.kind == "bald":
        return np.zeros(len(head.rest), np.float32)
    noise = head.field(rng, 1) + 0.7 * head.field(rng, 2)
    inside = above_hairline(head.rest, cut, float(head.landmarks[17:27, 1].mean())) + 3.0 * noise
    on_skin = head.of_part("face") | head.of_part("head")
    return np.where(on_skin, smoothstep(inside, -1.0, 5.0) * (1 - head.masks["ears"]), 0).astype(np.float32)
