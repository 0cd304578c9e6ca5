"""From light to a JPEG: blur, exposure, colour, noise, compression, as cameras and the web do it."""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import convolve1d, gaussian_filter

GREY_SHARE, BORDER_SHARE = 0.07, 0.05  # of photos without colour, of crops that reach over the photo's border
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def develop(rng: np.random.Generator, light: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """A photo of the light (S, S, 3) float32, linear RGB, exposed for the subject (S, S) 0..1: (S, S, 3) uint8."""
    size = light.shape[0] / 120  # lengths below are those of a 120-pixel crop
    light = _blurred(rng, light, size)
    bright = (light @ LUMA)[subject > 0.5]
    level = float(np.mean(bright)) if bright.size else 0.2
    exposure = np.exp(rng.normal(np.log(0.28), 0.32)) * (level / 0.27) ** 0.55 / max(level, 1e-4)
    balance = np.exp(rng.normal(0, 0.05, 3)) * np.exp(rng.normal(0.05, 0.08) * np.array([1, 0, -1]))
    light = light * (exposure * balance).astype(np.float32)
    if rng.random() < 0.2:  # haze, or light in the lens
        light += rng.uniform(0, 0.05) * rng.uniform(0.6, 1, 3).astype(np.float32)
    photons = np.exp(rng.uniform(np.log(600), np.log(20000)))
    grain = rng.normal(size=light.shape).astype(np.float32)
    if rng.random() < 0.5:  # noise of a picture that was larger or smaller before
        grain = gaussian_filter(grain, (0.7 * size, 0.7 * size, 0)) * 2
    light = light + grain * np.sqrt(np.maximum(light, 0) / photons + 2e-6)
    srgb = _tone(rng, light)
    if rng.random() < GREY_SHARE:
        srgb = np.repeat((srgb @ LUMA)[..., None], 3, axis=2)
        srgb = srgb * (1 + rng.normal(0, 0.03, 3)).astype(np.float32) if rng.random() < 0.3 else srgb
    else:
        grey = (srgb @ LUMA)[..., None]
        srgb = grey + (srgb - grey) * np.float32(np.exp(rng.normal(0.12, 0.18)))
    picture = np.rint(255 * srgb.clip(0, 1)).astype(np.uint8)
    return _coarser(rng, picture) if rng.random() < 0.3 else picture


def draw_border(rng: np.random.Generator, side: int) -> np.ndarray:
    """What lies inside the photo, (side, side) bool: now and then a crop reaches beyond it."""
    kept = np.ones((side, side), bool)
    if rng.random() < BORDER_SHARE:
        width = int(side * rng.uniform(0.03, 0.22))
        edge = int(rng.integers(4))
        rotated = np.rot90(kept, edge)
        rotated[:width] = False
    return kept


def jpeg(rng: np.random.Generator, picture: np.ndarray) -> bytes:
    """The picture's bytes, of varied quality."""
    quality = int(np.clip(100 - rng.gamma(2.2, 7), 38, 97))
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "jpeg", quality=quality, subsampling=int(rng.choice([0, 2])))
    return out.getvalue()


def _blurred(rng: np.random.Generator, light: np.ndarray, size: float) -> np.ndarray:
    blur = float(rng.choice([0, rng.uniform(0.2, 0.6), rng.uniform(0.6, 1.5)], p=(0.35, 0.45, 0.2))) * size
    if blur:
        light = gaussian_filter(light, (blur, blur, 0), truncate=3)
    if rng.random() < 0.08:
        length = max(2, round(rng.uniform(2, 6) * size))
        light = convolve1d(light, np.full(length, 1 / length, np.float32), axis=int(rng.integers(2)))
    return light


def _tone(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """sRGB 0..1 of linear light, with a shoulder where it nears white, and a contrast curve."""
    light = np.maximum(light, 0)
    knee = np.float32(rng.uniform(0.55, 0.95))
    over = np.maximum(light - knee, 0)
    light = np.minimum(light, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-6) ** np.float32(1 / 2.4) - 0.055)
    contrast = rng.normal(0.12, 0.25)
    curve = srgb * srgb * (3 - 2 * srgb)
    return (srgb + np.float32(contrast) * (curve - srgb)).astype(np.float32)


def _coarser(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The picture as enlarged from a smaller one."""
    side = picture.shape[0]
    small = max(24, round(side * rng.uniform(0.4, 0.95)))
    ways = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    image = Image.fromarray(picture).resize((small, small), Image.Resampling.BOX)
    return np.asarray(image.resize((side, side), ways[int(rng.integers(2))]))
