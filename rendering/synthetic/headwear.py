"""Hats, caps, hoods and scarves: the scalp pushed outward in cloth, and brims."""

from dataclasses import dataclass

import numpy as np

from .body import Cloth, draw_cloth
from .head import Head
from .masks import azimuth, smoothstep

SHARES = {"": 0.88, "beanie": 0.04, "cap": 0.035, "hat": 0.02, "scarf": 0.025}
BRIM_STEPS = 40


@dataclass(frozen=True, eq=False)
class Headwear:
    """cover: (N,) float32, 1 where cloth lies over the head. thickness: (N,) float32, mm that it stands off. cloth: its
    look. pattern: (N, 3) float32 places on the cloth. brim: (B, 3) float32 mm, model frame, rows of BRIM_STEPS points,
    none for most."""

    cover: np.ndarray
    thickness: np.ndarray
    cloth: Cloth
    pattern: np.ndarray
    brim: np.ndarray


def draw_headwear(rng: np.random.Generator, head: Head) -> Headwear | None:
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    if not kind:
        return None
    rest = head.rest
    brow = float(head.landmarks[17:27, 1].mean())
    cloth = draw_cloth(rng)
    around = azimuth(rest)
    brim = np.empty((0, 3), np.float32)
    outer = head.of_part("face") | head.of_part("head")
    if kind == "scarf":
        edge = 0.95 + 0.25 * smoothstep(-rest[:, 1], -60, 40) + rng.normal(0, 0.06)
        above = rest[:, 1] - (brow + rng.uniform(28, 52))
        below = -70 - rest[:, 1] - 30 * smoothstep(rest[:, 2], 30, 70)
        inside = np.maximum(np.maximum((around - edge) * 60, above), below)
        cover, stand = smoothstep(inside, -1, 1), 5.0 + 0 * around
    else:
        front, back = brow + rng.uniform(18, 44), brow + rng.uniform(-45, -5)
        height = np.interp(rest[:, 2], [-100, 90], [back, front])
        inside = rest[:, 1] - height
        cover = smoothstep(inside, -0.8, 0.8)
        high = {"beanie": rng.uniform(4, 14), "cap": rng.uniform(3, 9), "hat": rng.uniform(14, 40)}[kind]
        stand = 5 + high * smoothstep(inside, 0, 45) * (1 if kind == "beanie" else smoothstep(rest[:, 1], 60, 130))
        if kind != "beanie":
            brim = _brim(rng, kind, front, back)
    stand = stand + (0.8 * head.field(rng, 0) + 0.5 * head.field(rng, 1))
    pattern = np.stack([around, rest[:, 1], 0 * around], axis=1)
    return Headwear(
        (cover * outer).astype(np.float32),
        (cover * outer * stand).astype(np.float32),
        cloth,
        pattern.astype(np.float32),
        brim,
    )


def _brim(rng: np.random.Generator, kind: str, front: float, back: float) -> np.ndarray:
    """Two rows of points: the inner rim on the head, the outer before or around it."""
    if kind == "cap":
        turn, wide = np.linspace(-1.15, 1.15, BRIM_STEPS), rng.uniform(50, 75)
        reach = wide * np.sqrt(np.maximum(1 - (turn / 1.25) ** 2, 0))
        sink = rng.uniform(4, 26) + 18 * (turn / 1.25) ** 2
    else:
        turn, wide = np.linspace(-np.pi, np.pi, BRIM_STEPS), rng.uniform(35, 80)
        reach, sink = np.full(BRIM_STEPS, wide), rng.uniform(-10, 25) - 15 * np.cos(2 * turn)
    inner = np.stack([78 * np.sin(turn), 0 * turn, 98 * np.cos(turn) + 2], axis=1)
    inner[:, 1] = np.interp(inner[:, 2], [-100, 90], [back, front])
    outer = inner + np.stack([0.75 * reach * np.sin(turn), -sink * reach / 60, reach * np.cos(turn)], axis=1)
    return np.concatenate([inner, outer]).astype(np.float32)


def brim_triangles(first: int) -> np.ndarray:
    """The triangles of a brim whose first vertex is number `first`: (T, 3) int32."""
    a = first + np.arange(BRIM_STEPS - 1)
    b, c, d = a + 1, a + BRIM_STEPS, a + BRIM_STEPS + 1
    return np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)]).astype(np.int32)
