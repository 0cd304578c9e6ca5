"""What hides parts of a face: glasses, caps' brims, hands, sticks and patches, drawn into the picture and its depth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.draw import polygon

from .backgrounds import draw_background
from .camera import Camera
from .hair import linear
from .light import Lighting, shade
from .strands import draw_strands

IN_FRONT = 1e4  # the depth of what is held before the face


@dataclass(frozen=True, eq=False)
class Layer:
    """The picture as drawn so far, changed in place. picture: (S, S, 3) float32, linear RGB. depth: (S, S) float64,
    pixels, larger is nearer, -inf where only the background is seen."""

    picture: np.ndarray
    depth: np.ndarray


def draw_glasses(
    rng: np.random.Generator, layer: Layer, landmarks: np.ndarray, camera: Camera, lighting: Lighting, compiled: bool
) -> None:
    """Frames and lenses on the nose. landmarks: (68, 3) float32, mm, model frame, semantic."""
    dark = rng.random() < 0.4
    right, left = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    across = (left - right) / np.linalg.norm(left - right)
    wide, high = rng.uniform(20, 29), rng.uniform(14, 25)
    square, drop, forward = rng.uniform(2, 4.5), rng.uniform(-2, 5), rng.uniform(11, 17)
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    outline /= (np.abs(outline) ** square).sum(axis=1, keepdims=True) ** (1 / square)
    tint = rng.uniform(0.005, 0.05, 3) if dark else np.full(3, 0.4)
    color = linear(rng.uniform(10, 200) + rng.normal(0, 20, 3)) if rng.random() < 0.4 else rng.uniform(0.004, 0.03, 3)
    light_level = float((lighting.sky + lighting.lamps[0].color).mean())
    rings = []
    for centre, outward in ((right, -1.0), (left, 1.0)):
        shifted = centre + across * outward * rng.uniform(0, 3) + [0, -drop, forward]
        ring = shifted + outline[:, :1] * wide * across + outline[:, 1:] * high * np.array([0, 1, -0.12])
        ring[:, 2] -= 0.004 * (ring[:, 0]) ** 2  # wrapped around the face
        rings.append(ring)
        _draw_lens(rng, layer, camera, ring, tint * light_level if dark else None)
    bridge = np.linspace(rings[0][0], rings[1][24], 6)
    bridge[:, 1] += 2
    ears = [np.linspace(rings[0][24], [rings[0][24][0] - 6, right[1] + 4, 0], 8),
            np.linspace(rings[1][0], [rings[1][0][0] + 6, left[1] + 4, 0], 8)]  # fmt: skip
    thick = max(1, round(rng.uniform(0.6, 3.0) * camera.scale * layer.depth.shape[0] / 120))
    for line in (*(np.vstack([ring, ring[:1]]) for ring in rings), bridge, *ears):
        points = camera.image_from_view((line @ camera.rotation.T)[None].astype(np.float32), layer.depth.shape[0])
        shine = np.full(points.shape, color * light_level * rng.uniform(0.5, 1.2), np.float32)
        draw_strands(points, shine, thick, layer.depth, layer.picture, compiled)


def _draw_lens(
    rng: np.random.Generator, layer: Layer, camera: Camera, ring: np.ndarray, dark: np.ndarray | None
) -> None:
    image = camera.image_from_view((ring @ camera.rotation.T).astype(np.float32), layer.depth.shape[0])
    row, column = polygon(image[:, 1], image[:, 0], layer.depth.shape)
    near = float(image[:, 2].mean())
    front = layer.depth[row, column] < near
    row, column = row[front], column[front]
    if not len(row):
        return
    height = (row - row.min()) / max(1, np.ptp(row))
    reflected = rng.uniform(0, 0.25) * (1 - height)[:, None] * rng.uniform(0.6, 1, 3)
    if dark is None:
        layer.picture[row, column] = 0.9 * layer.picture[row, column] + 0.15 * reflected
        return
    layer.picture[row, column] = 0.12 * layer.picture[row, column] + dark + reflected
    layer.depth[row, column] = near


def draw_hand(rng: np.random.Generator, layer: Layer, tone: np.ndarray, lighting: Lighting, scale: float) -> None:
    """Fingers and a palm that come from a border of the picture. scale: drawn pixels a mm."""
    side = layer.depth.shape[0]
    tip = side * np.array([0.5, 0.55]) + side * rng.uniform(0.12, 0.42) * _unit(rng.uniform(0, 2 * np.pi))
    away = _unit(rng.uniform(0.15, 0.85) * np.pi)  # towards the picture's lower border
    aside = np.array([-away[1], away[0]])
    fingers = int(rng.integers(2, 5))
    for number in range(fingers):
        start = tip + (number - fingers / 2) * 19 * scale * aside + rng.uniform(-9, 9) * scale * away
        bend = start + rng.uniform(32, 45) * scale * (away + rng.normal(0, 0.12, 2))
        _capsule(rng, layer, start, bend, rng.uniform(7, 9) * scale, tone, lighting, number)
        _capsule(rng, layer, bend, tip + 75 * scale * away + (number - fingers / 2) * 17 * scale * aside,
                 9.5 * scale, tone, lighting, number)  # fmt: skip
    palm = tip + 95 * scale * away
    _capsule(rng, layer, palm, palm + 200 * scale * away, 36 * scale, tone, lighting, -1)


def draw_stick(rng: np.random.Generator, layer: Layer, lighting: Lighting, scale: float) -> None:
    """A microphone, pen, cup, railing: one thick line across the picture."""
    side = layer.depth.shape[0]
    one = side * (0.5 + rng.uniform(0.15, 0.45) * _unit(rng.uniform(0, 2 * np.pi)))
    color = linear(np.clip(rng.uniform(10, 230) + rng.normal(0, 40, 3), 4, 245))
    other = one + side * 1.5 * _unit(rng.uniform(0, np.pi))
    _capsule(rng, layer, one, other, rng.uniform(3, 22) * scale, color, lighting, 0)


def draw_patch(rng: np.random.Generator, layer: Layer, photos: tuple[Path, ...]) -> None:
    """A piece of something else, with a straight or a round outline."""
    side = layer.depth.shape[0]
    corners = int(rng.integers(4, 9))
    turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
    centre = side * (0.5 + rng.uniform(0.2, 0.5) * _unit(rng.uniform(0, 2 * np.pi)))
    reach = side * rng.uniform(0.1, 0.32) * rng.uniform(0.7, 1.2, corners)
    outline = centre + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    row, column = polygon(outline[:, 1], outline[:, 0], layer.depth.shape)
    layer.picture[row, column] = draw_background(rng, side, photos)[row, column]
    layer.depth[row, column] = IN_FRONT


def _unit(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])


def _capsule(
    rng: np.random.Generator, layer: Layer, start: np.ndarray, end: np.ndarray, radius: float, color: np.ndarray,
    lighting: Lighting, number: int,
) -> None:  # fmt: skip
    """A rounded bar in front of everything, lit as the face is. start, end: (2,) pixels."""
    side = layer.depth.shape[0]
    low = np.clip(np.floor(np.minimum(start, end) - radius), 0, side).astype(int)
    high = np.clip(np.ceil(np.maximum(start, end) + radius) + 1, 0, side).astype(int)
    if (high <= low).any():
        return
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    line = end - start
    share = np.clip(((x - start[0]) * line[0] + (y - start[1]) * line[1]) / max(float(line @ line), 1e-6), 0, 1)
    dx, dy = (x - start[0] - share * line[0]) / radius, (y - start[1] - share * line[1]) / radius
    squared = dx * dx + dy * dy
    near = IN_FRONT + number * 0.01 * radius + radius * np.sqrt(np.maximum(1 - squared, 0))
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    inside = (squared <= 1) & (near > layer.depth[window])
    normals = np.stack([dx, -dy, np.sqrt(np.maximum(1 - squared, 0))], axis=-1)[inside].astype(np.float32)
    count = len(normals)
    albedo = np.broadcast_to(color.astype(np.float32), (count, 3)) * rng.normal(1, 0.03, (count, 1)).astype(np.float32)
    shaded = shade(normals, albedo, np.full(count, 0.4, np.float32), np.zeros(0, int),
                   (0.5 + 0.5 * normals[:, 2]), np.full(count, 0.8, np.float32), lighting)  # fmt: skip
    layer.picture[window][inside] = shaded
    layer.depth[window][inside] = near[inside]
