"""Neck and shoulders below the head, in cloth: rings of points that hang from the neck's lower end."""

from dataclasses import dataclass

import numpy as np

from ...models.pose import rotation_from_angles
from .hair import linear

# Of each ring: mm below the neck's end, half width, half depth, how far it follows the body and not the head.
RINGS = np.array([(0, 56, 50, 0.0), (10, 58, 54, 0.3), (22, 68, 60, 0.7), (34, 105, 72, 1.0), (48, 150, 82, 1.0),
                  (72, 184, 92, 1.0), (120, 196, 100, 1.0), (220, 200, 105, 1.0), (420, 200, 105, 1.0)])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Body:
    """vertices: (B, 3) float32, mm, view frame, the first ring is the neck's end. triangles: (T, 3) int32, counted
    from the body's first vertex. pattern: (B, 3) float32: angle around, mm below, 0. cloth: (B,) share of cloth."""

    vertices: np.ndarray
    triangles: np.ndarray
    pattern: np.ndarray
    cloth: np.ndarray


@dataclass(frozen=True)
class Cloth:
    """colors: (2, 3) linear RGB. stripes: (3,) waves around, waves a mm down, sharpness; 0 for plain cloth."""

    colors: np.ndarray
    stripes: tuple[float, float, float]

    def paint(self, pattern: np.ndarray) -> np.ndarray:
        """Albedo (P, 3) float32 of places (P, 3) of the pattern."""
        around, down, sharp = self.stripes
        wave = np.sin(pattern[:, 0] * around) * (around > 0) + np.sin(pattern[:, 1] * down) * (down > 0)
        share = (0.5 + sharp * wave).clip(0, 1)[:, None] if sharp else 0.0
        return (self.colors[0] + share * (self.colors[1] - self.colors[0])).astype(np.float32)


def draw_cloth(rng: np.random.Generator) -> Cloth:
    def color() -> np.ndarray:
        grey = rng.uniform(8, 245)
        return linear(np.clip(grey + rng.normal(0, 1, 3) * rng.choice([4, 45]), 4, 250))

    plain = rng.random() < 0.6
    stripes = (float(rng.choice([0, 24, 40])), float(rng.choice([0.0, 0.3, 0.6])), rng.uniform(0.3, 3))
    return Cloth(np.stack([color(), color()]), (0.0, 0.0, 0.0) if plain else stripes)


def hang_body(rng: np.random.Generator, rim: np.ndarray, angles: np.ndarray) -> Body:
    """rim: (n, 3) mm, view frame, around the neck's end. angles: the head's yaw, pitch and roll, degrees."""
    count = len(rim)
    turned = rotation_from_angles(angles * [rng.uniform(0.2, 1), rng.uniform(0, 0.35), rng.uniform(0, 0.5)]
                                  + rng.normal(0, [8, 3, 3]))  # fmt: skip
    around = 2 * np.pi * np.arange(count) / count - np.pi + np.pi / count
    centre = rim.mean(axis=0)
    slope = rng.uniform(0.8, 1.25)  # of the shoulders
    rings = []
    for drop, wide, deep, follow in RINGS:
        shoulder = 1 + (0.8 * np.sin(around) ** 2 if 22 < drop < 100 else 0 * around)
        own = np.stack([wide * np.sin(around), -drop * slope * shoulder, deep * np.cos(around) - 14], axis=1)
        hung = centre + own @ turned.T
        straight = rim + np.array([0, -drop, 0])
        rings.append(straight + follow * (hung - straight))
    vertices = np.concatenate(rings).astype(np.float32)
    ring, place = np.divmod(np.arange((len(RINGS) - 1) * count), count)
    a, b = ring * count + place, ring * count + (place + 1) % count
    triangles = np.concatenate([np.stack([a, a + count, b], axis=1), np.stack([b, a + count, b + count], axis=1)])
    below = np.repeat(RINGS[:, 0], count)
    front = np.tile(np.cos(around), len(RINGS))
    collar = rng.uniform(4, 16) if rng.random() < 0.6 else rng.uniform(16, 120)
    neckline = collar * (1 + rng.uniform(0, 1.6) * np.maximum(front, 0) ** 2)
    pattern = np.stack([np.tile(around, len(RINGS)), below, np.zeros(len(below))], axis=1)
    cloth = np.clip((below - neckline) / 6 + 0.5, 0, 1)
    return Body(vertices, triangles.astype(np.int32), pattern.astype(np.float32), cloth.astype(np.float32))
