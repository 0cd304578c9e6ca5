"""Photos as arrays, and the crop a network sees."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .boxes import round_half_away
from .errors import DegenerateFaceError, FileError
from .files import read_bytes
from .pose import CROP_SIZE

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
LARGEST_SIDE = 20_000  # of a box, in pixels
LARGEST_RATIO = 10  # of a box to its photo


def read_photo(path: Path) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB, upright as its EXIF orientation says.

    Grey, 16-bit, palette, CMYK and RGBA files are turned into 8-bit RGB (alpha is dropped, 16 bits keep their upper
    eight). Raises FileError for a file that is missing, empty, truncated, no picture, of floating-point values or too
    large to decode (Pillow's limit, 179 million pixels).
    """
    return decode_photo(read_bytes(path), str(path))


def decode_photo(data: bytes, path: str) -> np.ndarray:
    """The same of a file's bytes; `path` says in messages where they come from."""
    import io

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "F":
                raise FileError(f"{path} holds floating-point values; a picture of 8 or 16 bits is expected")
            if upright.mode.startswith("I;16") or upright.mode == "I":
                upright = Image.fromarray((np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
            return np.asarray(upright.convert("RGB"))
    except UnidentifiedImageError as error:
        raise FileError(f"{path} is not a picture in a known format") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise FileError(f"cannot read {path} as a picture: {error}") from error


def cut_crop(photo: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The network's crop of a photo (H, W, 3) uint8: (120, 120, 3) uint8.

    The box (4,), photo pixels from 1, is cut with both ends inside and not clipped; what lies outside the photo is
    black; resized bicubically with antialiasing, as MATLAB's imresize does (original pipeline, section 4).
    Raises DegenerateFaceError for a box without area, beside the photo, or many times its size.
    """
    height, width = photo.shape[:2]
    shown = "the box (" + ", ".join(f"{value:g}" for value in box) + f") in a photo of {width} x {height} pixels"
    if not np.isfinite(box).all() or box[2] < box[0] or box[3] < box[1]:
        raise DegenerateFaceError(f"{shown} has no area")
    if max(box[2:] - box[:2]) > min(LARGEST_SIDE, LARGEST_RATIO * max(width, height)):
        raise DegenerateFaceError(f"{shown} is too large for it")
    left, top, right, bottom = (int(value) for value in round_half_away(box))
    if right < 1 or bottom < 1 or left > width or top > height:
        raise DegenerateFaceError(f"{shown} lies outside it")
    cut = Image.fromarray(photo).crop((left - 1, top - 1, right, bottom))
    return np.asarray(cut.resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BICUBIC))
