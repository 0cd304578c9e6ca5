"""Photos as arrays, and the crop a network sees."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import DegenerateFaceError, FileError
from .files import read_bytes
from .pose import CROP_SIZE

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
LARGEST_SIDE = 20_000


def read_photo(path: Path) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB, upright as its EXIF orientation says.

    Grey, 16-bit, palette, CMYK and RGBA files are turned into 8-bit RGB (alpha is dropped, 16 bits keep their upper
    eight). Raises FileError for a file that is missing, empty, truncated or no picture.
    """
    import io

    data = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF or palettes: the pixels are what counts
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
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
    Raises DegenerateFaceError for a box without area or larger than any photo.
    """
    left, top, right, bottom = (round(float(value)) for value in box)
    if right < left or bottom < top or max(right - left, bottom - top) > LARGEST_SIDE:
        raise DegenerateFaceError(f"the box ({left}, {top}, {right}, {bottom}) cannot be cut from a photo")
    cut = Image.fromarray(photo).crop((left - 1, top - 1, right, bottom))
    return np.asarray(cut.resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BICUBIC))
