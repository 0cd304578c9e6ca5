"""The skin: colour, gloss and make-up of every vertex."""

from dataclasses import dataclass

import numpy as np

from .facial_hair import FacialHair, beard_mask
from .fields import EYES
from .hair import linear
from .head import Head

# sRGB of skin in plain light, from very light to very dark.
TONES = np.array([(242, 216, 204), (231, 197, 180), (214, 174, 154), (193, 150, 128), (164, 120, 98), (126, 89, 71),
                  (92, 64, 52), (63, 45, 38)], np.float64)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Surface:
    """What light meets. albedo: (N, 3) float32, linear RGB. gloss: (N,) float32, strength of the highlights."""

    albedo: np.ndarray
    gloss: np.ndarray


def draw_tone(rng: np.random.Generator) -> np.ndarray:
    """A skin colour, linear RGB (3,): a place on the ramp, warmer or cooler, redder or paler."""
    place = rng.uniform(0, len(TONES) - 1)
    tone = np.array([np.interp(place, np.arange(len(TONES)), TONES[:, c]) for c in range(3)])
    warm, red = rng.normal(0, 0.02), rng.normal(0, 0.015)
    return linear(np.clip(tone * [1 + warm + red, 1 - 0.3 * red, 1 - 1.6 * warm - 0.5 * red], 10, 250))


def paint_skin(rng: np.random.Generator, head: Head, tone: np.ndarray, hair: FacialHair) -> Surface:
    """Everything on the skin but hair of some length. tone: linear RGB of the cheek."""
    masks = head.masks
    light = float(tone.mean())  # 0.03 dark, 0.65 light: blood shows through light skin
    columns = np.tile(tone.astype(np.float32)[:, None], len(head.rest))
    albedo = columns.T
    age = rng.beta(1.2, 2.0)

    def tint(mask: np.ndarray, factor: tuple[float, float, float]) -> None:
        for channel, share in enumerate(factor):
            columns[channel] *= 1 + mask * np.float32(share - 1)

    blotches = 0.035 * head.field(rng, 0) + 0.03 * head.field(rng, 1) + 0.02 * head.field(rng, 2)
    tint(blotches.clip(-0.15, 0.15), (0.6, -0.3, -0.4))
    tint(0.05 * head.field(rng, 1), (0.3, 0.8, 0.8))
    blood = rng.uniform(0.1, 1.0) * (0.35 + light)
    tint(masks["cheek"] * blood, (1.02, 0.78, 0.78))
    tint(masks["nose_tip"] * blood, (1.0, 0.8, 0.8))
    tint(masks["ears"] * blood, (1.02, 0.78, 0.76))
    tint(masks["under_eye"] * rng.uniform(0, 0.8), (0.8, 0.72, 0.78))
    tint(masks["socket"] * rng.uniform(0.1, 0.6), (0.84, 0.76, 0.74))
    tint(masks["eyelid"] * rng.uniform(0.2, 0.9), (0.72, 0.62, 0.6))
    tint(masks["fold"] * (0.15 + 0.5 * age), (0.76, 0.68, 0.66))
    tint(masks["frown_lines"] * age * rng.uniform(0, 0.25), (0.75, 0.7, 0.7))
    if rng.random() < 0.25:  # freckles and moles
        spots = np.maximum(head.field(rng, 2) - rng.uniform(1.2, 2.2), 0) * masks["face"]
        tint(np.minimum(spots * rng.uniform(0.3, 1), 1), (0.72, 0.6, 0.5))
    _paint_lips(rng, albedo, masks, tone, hair.make_up)
    _paint_eyes(rng, albedo, masks, hair.make_up)
    _paint_stubble(rng, head, albedo, hair)
    brow = _brow_shadow(head, hair)
    albedo += (brow * 0.75)[:, None] * (hair.color.astype(np.float32) - albedo) * hair.brow_density
    oil = rng.uniform(0.25, 1.3)
    shine = 0.55 + 0.8 * masks["nose_tip"] + 0.35 * masks["forehead"] + 0.9 * masks["lips"] + 0.3 * masks["cheeks"]
    gloss = oil * shine * (1 + 0.25 * head.field(rng, 2)).clip(0.4, 1.6)
    _paint_inside(rng, head, albedo, gloss)
    return Surface(albedo.clip(0.002, 0.95), gloss.astype(np.float32))


def _paint_lips(
    rng: np.random.Generator, albedo: np.ndarray, masks: dict[str, np.ndarray], tone: np.ndarray, make_up: float
) -> None:
    natural = tone * [0.9, 0.52, 0.52] + [0.01, 0.0, 0.004]
    color, cover = natural * rng.uniform(0.75, 1.05), rng.uniform(0.55, 0.95)
    if make_up > 0.25 and rng.random() < 0.7:
        sticks = ((170, 25, 40), (120, 20, 40), (195, 95, 100), (170, 70, 62), (140, 60, 70), (90, 15, 35))
        color, cover = linear(np.array(sticks[int(rng.integers(len(sticks)))])), rng.uniform(0.4, 0.85)
    lips = (masks["lips"] * cover)[:, None]
    albedo += lips * (color.astype(np.float32) - albedo)


def _paint_eyes(rng: np.random.Generator, albedo: np.ndarray, masks: dict[str, np.ndarray], make_up: float) -> None:
    lids = np.maximum(masks["lids"], masks["lash_line"])
    albedo *= 1 - (0.35 + 0.5 * make_up) * masks["lash_line"][:, None]
    if make_up > 0.3:
        shadow = linear(rng.uniform((30, 20, 20), (150, 110, 120)))
        albedo += (0.6 * make_up * np.maximum(lids, 0.7 * masks["eyelid"]))[:, None] * (
            shadow.astype(np.float32) - albedo
        )


def _paint_stubble(rng: np.random.Generator, head: Head, albedo: np.ndarray, hair: FacialHair) -> None:
    if hair.beard == "none":
        return
    strength = hair.density * (0.55 if hair.beard == "stubble" else 0.8)
    grain = (1 + 0.2 * head.field(rng, 2) + 0.1 * head.field(rng, 1)).clip(0, 2)
    cover = (strength * beard_mask(head, hair) * grain).clip(0, 0.9)[:, None]
    albedo += cover * (hair.beard_color.astype(np.float32) - albedo) * (0.6 if hair.beard == "stubble" else 0.85)


def _brow_shadow(head: Head, hair: FacialHair) -> np.ndarray:
    """Under the brows' strands the skin is darker: (N,) float32."""
    away = head.brow_distance
    return np.exp(-((away / (0.62 * hair.brow_width)) ** 2)).astype(np.float32)


def _paint_inside(rng: np.random.Generator, head: Head, albedo: np.ndarray, gloss: np.ndarray) -> None:
    """The mouth: bag, tongue and teeth. Eyes are painted pixel by pixel."""
    colors = {"mouth_bag": (120, 45, 45), "tongue": (185, 95, 95), "upper_teeth": (232, 222, 205),
              "lower_teeth": (222, 210, 190)}  # fmt: skip
    stain = rng.uniform(0.8, 1.05)
    for name, color in colors.items():
        inside = head.of_part(name)
        albedo[inside] = linear(np.array(color) * (stain if "teeth" in name else 1.0))
        gloss[inside] = 0.8
    for name in EYES:
        gloss[head.of_part(name)] = 0.7
