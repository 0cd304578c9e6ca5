"""What lies behind a face: made up, or cut out of the user's photos. Pictures are (S, S, 3) float32, linear RGB."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ...models.errors import FileError
from ...models.photos import SUFFIXES, read_photo
from .hair import linear

KEPT_SIDE = 512  # photos are kept this large, shorter side, pixels
TO_LINEAR = linear(np.arange(256)).astype(np.float32)


def list_backgrounds(folder: Path) -> tuple[Path, ...]:
    """The photos of a folder, by name. Raises FileError where there are none."""
    if not folder.is_dir():
        raise FileError(f"{folder} is no folder; --backgrounds names a folder of photos")
    found = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES))
    if not found:
        raise FileError(f"{folder} holds no photos ({', '.join(sorted(SUFFIXES))})")
    return found


@lru_cache(maxsize=64)
def _photo(path: Path) -> Image.Image:
    image = Image.fromarray(read_photo(path))
    ratio = KEPT_SIDE / min(image.size)
    if ratio >= 1:
        return image
    return image.resize((max(1, round(image.width * ratio)), max(1, round(image.height * ratio))), Image.Resampling.BOX)


def photo_patch(rng: np.random.Generator, photos: tuple[Path, ...], side: int) -> np.ndarray:
    """A random square of a random photo. Raises FileError for a photo that cannot be read."""
    image = _photo(photos[int(rng.integers(len(photos)))])
    span = min(image.size) * rng.uniform(0.3, 1)
    left, top = rng.uniform(0, image.width - span), rng.uniform(0, image.height - span)
    cut = image.resize((side, side), Image.Resampling.BILINEAR, (left, top, left + span, top + span))
    if rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return TO_LINEAR[np.asarray(cut)]


def draw_background(rng: np.random.Generator, side: int, photos: tuple[Path, ...] = ()) -> np.ndarray:
    if photos and rng.random() < 0.85:
        return photo_patch(rng, photos, side)
    kind = rng.choice(("plain", "noise", "shapes", "lights", "foliage"), p=(0.3, 0.15, 0.42, 0.07, 0.06))
    base = _gradient(rng, side)
    if kind == "plain":
        return TO_LINEAR[_bytes(base + rng.uniform(0, 8) * _noise(rng, side, 5)[..., None])]
    if kind == "noise":
        rough = rng.uniform(8, 40)
        base = base + rng.uniform(10, 70) * _noise(rng, side, rough)[..., None] * rng.normal(0.7, 0.4, 3)
        return TO_LINEAR[_bytes(base + rng.uniform(0, 12) * _noise(rng, side, rough / 4)[..., None])]
    if kind == "foliage":
        leaves = 0.5 * _noise(rng, side, rng.uniform(2.5, 9)) + 0.8 * _noise(rng, side, 22)
        dark, bright = rng.uniform((10, 20, 8), (60, 80, 50)), rng.uniform((90, 110, 50), (200, 210, 160))
        return TO_LINEAR[_bytes(dark + (bright - dark) * (0.45 + 0.3 * leaves[..., None]).clip(0, 1))]
    return TO_LINEAR[np.asarray(_shapes(rng, _bytes(base), str(kind)))]


def _shapes(rng: np.random.Generator, base: np.ndarray, kind: str) -> Image.Image:
    """Blurred furniture, walls and people, or lamps out of focus."""
    side = base.shape[0]
    image = Image.fromarray(base)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 14))):
        color = tuple(int(value) for value in np.clip(rng.uniform(0, 255) + rng.normal(0, 35, 3), 0, 255))
        x, y = rng.uniform(-0.2, 1.1, 2) * side
        if kind == "lights":
            r = side * rng.uniform(0.02, 0.09)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(min(255, value + 80) for value in color))
        elif rng.random() < 0.5:
            w, h = side * rng.uniform(0.05, 0.8, 2)
            draw.rectangle((x, y, x + w, y + h), fill=color)
        elif rng.random() < 0.5:
            w, h = side * rng.uniform(0.1, 0.6, 2)
            draw.ellipse((x, y, x + w, y + h), fill=color)
        else:
            corners = np.stack([x, y]) + side * rng.uniform(-0.5, 0.5, (4, 2))
            draw.polygon([(float(a), float(b)) for a, b in corners], fill=color)
    blur = side * float(rng.choice([rng.uniform(0.002, 0.01), rng.uniform(0.015, 0.07)]))
    return image.filter(ImageFilter.GaussianBlur(blur if kind == "shapes" else blur * 0.3))


def _gradient(rng: np.random.Generator, side: int) -> np.ndarray:
    """Two colours that run into each other, (side, side, 3), 0..255; often near white, grey or black."""
    grey = float(rng.choice([rng.uniform(0, 50), rng.uniform(40, 210), rng.uniform(215, 255)], p=(0.25, 0.5, 0.25)))
    one = grey + rng.normal(0, 1, 3) * rng.choice([3, 40])
    two = one + rng.normal(0, 30) + rng.normal(0, 12, 3)
    turn = rng.uniform(0, 2 * np.pi)
    ramp = np.linspace(-0.7, 0.7, side)
    share = (0.5 + np.add.outer(np.sin(turn) * ramp, np.cos(turn) * ramp)).clip(0, 1)[..., None]
    return one + share * (two - one)


def _noise(rng: np.random.Generator, side: int, grain: float) -> np.ndarray:
    """Smooth noise of about unit spread with grains of so many 120ths of the side: (side, side) float32."""
    cells = int(np.clip(120 / grain, 2, side)) + 3
    coarse = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC, (1, 1, cells - 1, cells - 1)))


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture, 0, 255).astype(np.uint8)
