"""Light: a coloured sky and one to three lamps, soft shadows, skin that lets light in, highlights.

All colours are linear RGB, directions are unit vectors of the view frame (x right, y up, z to the viewer).
"""

from dataclasses import dataclass

import numpy as np

from ..rasterizer import rasterize
from .strands import draw_strands

SHADOW_SIDE, SHADOW_REACH = 168, 190.0  # pixels of the shadow map, mm from its middle to its border
BIAS = 3.5  # mm that something must be nearer to the lamp to throw shadow
TURNS, GOLDEN = 4, 2.399963  # directions that neighbours look for shadow in; radians between one's own looks
WRAP = np.array([0.32, 0.18, 0.13], np.float32)  # how far light creeps around skin, by colour


@dataclass(frozen=True)
class Lamp:
    """direction: to the lamp. color: linear RGB, strength included."""

    direction: np.ndarray
    color: np.ndarray


@dataclass(frozen=True)
class Lighting:
    """sky, ground: linear RGB of light from above and below. side, side_color: light that comes from one half.
    lamps: the first one throws shadows. softness: mm that its shadows' borders are wide. exponent: of highlights."""

    sky: np.ndarray
    ground: np.ndarray
    side: np.ndarray
    side_color: np.ndarray
    lamps: tuple[Lamp, ...]
    softness: float
    exponent: float


def draw_lighting(rng: np.random.Generator) -> Lighting:
    def tinted(strength: float, spread: float) -> np.ndarray:
        warmth = rng.normal(0, spread)
        color = np.array([1 + warmth, 1 + 0.15 * rng.normal(0, spread), 1 - warmth])
        return (strength * color.clip(0.15, 2)).astype(np.float32)

    flat = rng.beta(1.5, 1.5)  # 0: one hard lamp, 1: all from the sky
    bold = 0.35 if rng.random() < 0.06 else 0.12
    turn = np.deg2rad(rng.normal(0, 50))
    rise = np.deg2rad(rng.normal(32, 22))
    lamps = [Lamp(_direction(turn, rise), tinted((1 - 0.75 * flat) * rng.uniform(0.8, 1.25), bold))]
    if rng.random() < 0.5:
        other = turn - np.sign(turn) * np.deg2rad(rng.uniform(50, 130))
        lamps.append(Lamp(_direction(other, np.deg2rad(rng.normal(15, 20))), tinted(rng.uniform(0.05, 0.4), bold)))
    if rng.random() < 0.3:  # from behind: a bright rim
        behind = np.deg2rad(rng.uniform(110, 165)) * rng.choice([-1, 1])
        lamps.append(Lamp(_direction(behind, np.deg2rad(rng.uniform(0, 50))), tinted(rng.uniform(0.3, 1.6), bold)))
    amount = 0.1 + 0.75 * flat
    return Lighting(
        sky=tinted(amount * rng.uniform(0.7, 1.1), 0.1),
        ground=tinted(amount * rng.uniform(0.2, 0.7), 0.12),
        side=_direction(rng.uniform(-np.pi, np.pi), rng.uniform(-0.4, 0.8)),
        side_color=tinted(rng.uniform(0, 0.3), 0.15),
        lamps=tuple(lamps),
        softness=float(np.exp(rng.uniform(np.log(1.5), np.log(14)))),
        exponent=rng.uniform(10, 34),
    )


def _direction(turn: float, rise: float) -> np.ndarray:
    """From the front, turned to the right and raised, radians: (3,) float32."""
    return np.array([np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)], np.float32)


@dataclass(frozen=True, eq=False)
class ShadowMap:
    """What a lamp sees: axes (3, 3) of its own frame as rows, centre (3,) mm, depth (S, S) mm towards the lamp."""

    axes: np.ndarray
    centre: np.ndarray
    depth: np.ndarray

    def lit(
        self, points: np.ndarray, normals: np.ndarray, softness: float, rng: np.random.Generator, taps: int = 5
    ) -> np.ndarray:
        """How much of the lamp points (P, 3) mm see: (P,) float32. Borders are smoothed over `softness` mm; taps: how
        many places are asked."""
        own = (points + 1.5 * normals - self.centre) @ self.axes.T.astype(np.float32)
        scale = np.float32(SHADOW_SIDE / (2 * SHADOW_REACH))
        column, row = own[:, 0] * scale + SHADOW_SIDE / 2, SHADOW_SIDE / 2 - own[:, 1] * scale
        turns, mine = rng.uniform(0, 2 * np.pi, TURNS), np.arange(len(points)) % TURNS
        reach = np.float32(softness * scale / 2)
        seen = np.zeros(len(points), np.float32)
        limit = own[:, 2] + np.float32(BIAS + 0.35 * softness)
        flat = self.depth.ravel()
        for step in range(taps):
            far = reach * np.sqrt(np.float32((step + 0.5) / taps)) * 2
            aside = (far * np.cos(turns + step * GOLDEN)).astype(np.float32)[mine]
            along = (far * np.sin(turns + step * GOLDEN)).astype(np.float32)[mine]
            x = np.clip(column + aside, 0, SHADOW_SIDE - 1).astype(np.int32)
            y = np.clip(row + along, 0, SHADOW_SIDE - 1).astype(np.int32)
            seen += flat[y * SHADOW_SIDE + x] <= limit
        return seen / taps


def cast_shadows(
    lamp: Lamp, vertices: np.ndarray, triangles: np.ndarray, strands: list[np.ndarray], centre: np.ndarray,
    compiled: bool = True,
) -> ShadowMap:  # fmt: skip
    """The shadow map of a mesh and of strands, (S, K, 3) each, view frame, mm."""
    aside = np.cross([0.0, 1.0, 0.02], lamp.direction)
    aside /= np.linalg.norm(aside)
    axes = np.stack([aside, np.cross(lamp.direction, aside), lamp.direction])
    scale = SHADOW_SIDE / (2 * SHADOW_REACH)
    turn = (axes * [[scale], [-scale], [1]]).astype(np.float32)
    shift = np.array([SHADOW_SIDE / 2, SHADOW_SIDE / 2, 0], np.float32)
    depth = rasterize(
        (vertices - centre) @ turn.T + shift, triangles, SHADOW_SIDE, SHADOW_SIDE, compiled=compiled
    ).depth
    for points in strands:
        draw_strands((points - centre) @ turn.T + shift, points, 1, depth, None, compiled)
    return ShadowMap(axes, centre.astype(np.float32), depth.astype(np.float32))


def shade(
    normals: np.ndarray, albedo: np.ndarray, gloss: np.ndarray, wet: np.ndarray, occlusion: np.ndarray, lit: np.ndarray,
    lighting: Lighting,
) -> np.ndarray:  # fmt: skip
    """Light that surfaces send to the viewer: (P, 3) float32, linear RGB.

    normals: (P, 3). albedo: (P, 3). gloss, occlusion, lit: (P,); lit is the share of the first lamp that is seen. wet:
    indices of the pixels with a mirror's small highlights, as eyes have.
    """
    # One colour after another, on whole columns: several times as fast as rows of three.
    x, y, z = np.ascontiguousarray(normals.T)
    colors = np.ascontiguousarray(albedo.T)
    up, sideways = 0.5 + 0.5 * y, _half_facing(x, y, z, lighting.side)
    shine = np.float32(0.3) * _squared(1 - z.clip(0, 1), 2) * gloss
    beams = [_beam(x, y, z, lamp, lighting.exponent, gloss, wet) for lamp in lighting.lamps]
    seen = [lit, *[np.sqrt(occlusion)] * (len(beams) - 1)]
    filled = occlusion * (1 - occlusion) * np.float32(0.35)  # light that went through skin fills its folds
    sent = np.empty_like(colors)
    for c in range(3):
        around = lighting.ground[c] + up * (lighting.sky[c] - lighting.ground[c]) + sideways * lighting.side_color[c]
        diffuse = around * (occlusion + filled * colors[c])
        highlight = around * occlusion * shine
        for lamp, share, (facing, glance) in zip(lighting.lamps, seen, beams, strict=True):
            wrapped = ((facing + WRAP[c]) / (1 + WRAP[c])).clip(0, None)
            soft = share * (1 - np.float32(0.1) * WRAP[c]) + np.float32(0.06) * WRAP[c]
            diffuse += lamp.color[c] * soft * wrapped * (np.float32(0.75) + np.float32(0.25) * wrapped)
            highlight += lamp.color[c] * share * glance
        sent[c] = colors[c] * diffuse + highlight
    return sent.T


def _beam(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, lamp: Lamp, exponent: float, gloss: np.ndarray, wet: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each normal: the cosine to the lamp, and the strength of its highlight (Blinn and Phong, with Fresnel)."""
    facing = lamp.direction[0] * x + lamp.direction[1] * y + lamp.direction[2] * z
    half = lamp.direction + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    cosine = (half[0] * x + half[1] * y + half[2] * z).clip(0, 1)
    glance = cosine ** np.float32(exponent) * np.float32((exponent + 8) / 8)
    glance[wet] = _squared(cosine[wet], 8) * 32
    fresnel = np.float32(0.035 + 0.5 * (1 - half[2]) ** 4)
    return facing, fresnel * gloss * glance * np.sqrt(facing.clip(0, 1))


def shade_strands(
    tangents: np.ndarray, colors: np.ndarray, gloss: float, occlusion: np.ndarray, lit: np.ndarray, out: np.ndarray,
    lighting: Lighting,
) -> np.ndarray:  # fmt: skip
    """Light that hairs send to the viewer (Kajiya and Kay 1989): (Q, 3) float32.

    tangents: (Q, 3) unit, from root to tip. out: (Q, 3) unit, away from the head. colors: (Q, 3). occlusion, lit: (Q,).
    """
    x, y, z = np.ascontiguousarray(out.T)
    tx, ty, tz = np.ascontiguousarray(tangents.T)
    albedo = np.ascontiguousarray(colors.T)
    up, sideways = 0.5 + 0.5 * y, _half_facing(x, y, z, lighting.side)
    view = np.sqrt((1 - tz * tz).clip(0, 1))
    beams = []
    for number, lamp in enumerate(lighting.lamps):
        one, two, three = lamp.direction
        along = one * tx + two * ty + three * tz
        across = np.sqrt((1 - along * along).clip(0, 1))
        strength = occlusion * (np.float32(0.35) + np.float32(0.65) * (one * x + two * y + three * z)).clip(0, 1)
        white = _squared((across * view - along * tz).clip(0, 1), 6)
        tinted = _squared((across * view - (along + np.float32(0.15)) * tz).clip(0, 1), 4)
        beams.append((strength * lit if number == 0 else strength, across, gloss * white, gloss * tinted))
    sent = np.empty_like(albedo)
    for c in range(3):
        around = lighting.ground[c] + up * (lighting.sky[c] - lighting.ground[c]) + sideways * lighting.side_color[c]
        sent[c] = albedo[c] * around * occlusion
        for lamp, (strength, across, white, tinted) in zip(lighting.lamps, beams, strict=True):
            shine = np.float32(0.14) * white + tinted * (np.float32(0.9) * albedo[c] + np.float32(0.02))
            sent[c] += lamp.color[c] * strength * (albedo[c] * across + shine)
    return sent.T


def _half_facing(x: np.ndarray, y: np.ndarray, z: np.ndarray, side: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * (side[0] * x + side[1] * y + side[2] * z)


def _squared(values: np.ndarray, times: int) -> np.ndarray:
    """values ** (2 ** times)."""
    for _ in range(times):
        values = values * values
    return values
