"""Between what pictures store (sRGB) and light itself, in which colours are mixed."""

import numpy as np

STEPS = 1 << 16  # of light between 0 and 1: finer than a grey level of the darkest shades


def light_from_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light 0..1 of sRGB values 0..1, any shape: float64 (IEC 61966-2-1)."""
    values = np.asarray(values, np.float64)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_from_light(light: np.ndarray) -> np.ndarray:
    """sRGB values 0..1 of linear light 0..1, any shape: float64."""
    light = np.asarray(light, np.float64)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.clip(light, 0, None) ** (1 / 2.4) - 0.055)


LIGHT = light_from_srgb(np.arange(256) / 255)  # of every 8-bit level
LEVELS = np.rint(255 * srgb_from_light(np.arange(STEPS) / (STEPS - 1))).astype(np.uint8)


def levels_from_light(light: np.ndarray) -> np.ndarray:
    """8-bit sRGB levels of linear light 0..1, any shape: uint8."""
    return LEVELS[(light * (STEPS - 1) + 0.5).astype(np.int64)]


def blend(under: np.ndarray, over: np.ndarray, share: np.ndarray) -> np.ndarray:
    """A picture with colours over it, mixed as light: (H, W, 3) uint8, a new array.

    under: (H, W, 3) uint8 sRGB. over: (..., 3) float, linear light 0..1. share: (H, W) 0..1 of `over` in each pixel.
    """
    mixed = LIGHT[under] * (1 - share[..., None]) + over * share[..., None]
    return np.where((share > 0)[..., None], levels_from_light(np.clip(mixed, 0, 1)), under)
