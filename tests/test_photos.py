"""Photos of every kind: the right pixels, or one clear sentence."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from twodasl.models.errors import DegenerateFaceError, FileError
from twodasl.models.photos import cut_crop, read_photo

# Pillow's warnings on odd files, which the command line leaves out: the pixels are what counts.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

ROWS, COLUMNS = 30, 40
GREY = (np.arange(ROWS)[:, None] * 5 + np.arange(COLUMNS)).astype(np.uint8)  # no two neighbours alike
COLOUR = np.stack([GREY, 255 - GREY, GREY[::-1]], axis=-1)
DEEP = GREY.astype(np.uint16) * 256 + GREY[::-1, ::-1]  # 16 bits: the lower eight differ from the upper ones


def as_grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1)


def test_lossless_pictures_keep_their_pixels(tmp_path: Path) -> None:
    for suffix in (".png", ".bmp", ".tif", ".tiff", ".ppm", ".PNG"):
        Image.fromarray(COLOUR).save(tmp_path / f"a{suffix}")
        photo = read_photo(tmp_path / f"a{suffix}")
        assert (photo.dtype, photo.shape) == (np.uint8, (ROWS, COLUMNS, 3))
        np.testing.assert_array_equal(photo, COLOUR)
    Image.fromarray(COLOUR).save(tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.webp"), COLOUR)


def test_jpeg_is_near(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    np.testing.assert_allclose(read_photo(tmp_path / "a.jpg").astype(int), COLOUR, atol=6)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".pgm", ".bmp"])
def test_grey(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"a{suffix}", quality=95)
    photo = read_photo(tmp_path / f"a{suffix}")
    assert (photo[..., 0] == photo[..., 1]).all()
    np.testing.assert_allclose(photo.astype(int), as_grey(GREY), atol=4 if suffix == ".jpg" else 0)


def test_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), as_grey(np.where(GREY > 100, 255, 0)))


def test_alpha_is_dropped(tmp_path: Path) -> None:
    """Pixels keep their colour however transparent they are; nothing is laid on white or black."""
    alpha = GREY[..., ::-1, None]
    Image.fromarray(np.concatenate([COLOUR, alpha], axis=-1)).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "rgba.png"), COLOUR)
    Image.fromarray(np.concatenate([GREY[..., None], alpha], axis=-1)).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "la.png"), as_grey(GREY))


@pytest.mark.parametrize("transparent", [None, 3, bytes(range(0, 250, 10))])
def test_palette(tmp_path: Path, transparent: int | bytes | None) -> None:
    indices = GREY % 25
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette(colours.tobytes())
    options: dict[str, Any] = {} if transparent is None else {"transparency": transparent}
    picture.save(tmp_path / "a.png", **options)
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.mode == "P"
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), colours[indices])


def test_cmyk_jpeg(tmp_path: Path) -> None:
    """Black ink darkens all three: white less cyan, magenta, yellow and black."""
    inks = np.zeros((ROWS, COLUMNS, 4), np.uint8)
    inks[:10, :, 0], inks[10:20, :, 1], inks[20:, :, 3] = 255, 255, 200
    Image.frombytes("CMYK", (COLUMNS, ROWS), inks.tobytes()).save(tmp_path / "a.jpg", quality=95)
    photo = read_photo(tmp_path / "a.jpg").astype(int)
    for row, colour in ((4, (0, 255, 255)), (14, (255, 0, 255)), (26, (55, 55, 55))):
        np.testing.assert_allclose(photo[row, 20], colour, atol=6)


# --- 16 bits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_keeps_its_upper_eight(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(DEEP).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_photo(tmp_path / f"a{suffix}"), as_grey(GREY))


def png_16(channels: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG, which Pillow does not write in colour."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    head = struct.pack(">IIBBBBB", channels.shape[1], channels.shape[0], 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def tiff_16(channels: np.ndarray, order: str) -> bytes:
    """An uncompressed 16-bit RGB TIFF, in either byte order."""
    height, width, count = channels.shape
    pixels = channels.astype(f"{order}u2").tobytes()
    bits_at = 8 + len(pixels)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, count, bits_at), (259, 4, 1, 1), (262, 4, 1, 2),
        (273, 4, 1, 8), (277, 4, 1, count), (278, 4, 1, height), (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", bits_at + 2 * count)
    listed = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    return (
        head + pixels + struct.pack(f"{order}{count}H", *[16] * count)
        + struct.pack(f"{order}H", len(entries)) + listed + bytes(4)
    )  # fmt: skip


@pytest.mark.parametrize(
    "encode", [lambda a: png_16(a, 2), lambda a: tiff_16(a, "<"), lambda a: tiff_16(a, ">")], ids=["png", "II", "MM"]
)
def test_16_bit_colour_keeps_its_upper_eight(tmp_path: Path, encode: Callable[[np.ndarray], bytes]) -> None:
    """Within one grey level: Pillow drops the lower eight bits when it decodes, or rounds."""
    deep = COLOUR.astype(np.uint16) * 256 + COLOUR[::-1]
    (tmp_path / "a.img").write_bytes(encode(deep))
    np.testing.assert_allclose(read_photo(tmp_path / "a.img").astype(int), COLOUR, atol=1)


def test_16_bit_with_alpha(tmp_path: Path) -> None:
    deep = np.concatenate([COLOUR, GREY[..., None]], axis=-1).astype(np.uint16) * 257
    (tmp_path / "a.png").write_bytes(png_16(deep, 6))
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), COLOUR)


def test_floating_point_is_refused(tmp_path: Path) -> None:
    """0..1 would become black, silently."""
    Image.fromarray(GREY.astype(np.float32) / 255).save(tmp_path / "a.tif")
    with pytest.raises(FileError, match=r"a\.tif holds floating-point values"):
        read_photo(tmp_path / "a.tif")


# --- turned by EXIF -------------------------------------------------------------------------------

# How the stored picture becomes the one that is shown, by EXIF orientation.
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
def test_pictures_are_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    Image.fromarray(DEEP).save(tmp_path / "deep.png", exif=exif)
    shown = TURNS[orientation](COLOUR)
    assert shown.shape[:2] == ((ROWS, COLUMNS) if orientation < 5 else (COLUMNS, ROWS))
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), shown)
    np.testing.assert_allclose(read_photo(tmp_path / "a.jpg").astype(int), shown, atol=6)
    np.testing.assert_array_equal(read_photo(tmp_path / "deep.png"), as_grey(TURNS[orientation](GREY)))


# --- what is no picture ---------------------------------------------------------------------------


def test_no_picture_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("<html>not found</html>")
    (tmp_path / "zeros.png").write_bytes(bytes(1000))
    (tmp_path / "folder.jpg").mkdir()
    for name, message in (
        ("absent.jpg", "cannot read .*absent.jpg: No such file"),
        ("empty.jpg", r"empty.jpg is empty \(0 bytes\)"),
        ("text.jpg", "text.jpg is not a picture in a known format"),
        ("zeros.png", "zeros.png is not a picture in a known format"),
        ("folder.jpg", "cannot read .*folder.jpg: Is a directory"),
    ):
        with pytest.raises(FileError, match=message) as caught:
            read_photo(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp", ".ppm"])
def test_truncated_pictures_are_refused(tmp_path: Path, suffix: str) -> None:
    """Wherever they end: never a picture that is half grey."""
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(3).integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    for length in (1, 10, 30, len(whole) // 4, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match=f"a\\{suffix}"):
            read_photo(path)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_damage_anywhere_raises_nothing_else(tmp_path: Path, format_name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, format_name, **({} if format_name == "BMP" else {"exif": exif}))
    rng = np.random.default_rng(1)
    path = tmp_path / "a.img"
    outcomes = set()
    for trial in range(150):
        data = bytearray(buffer.getvalue())
        near = min(len(data), 200 if trial % 2 else len(data))
        for place in rng.integers(0, near, 1 + trial % 8):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            photo = read_photo(path)
            assert (photo.dtype, photo.ndim) == (np.uint8, 3)
            outcomes.add("read")
        except FileError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_a_picture_larger_than_memory_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """A small file that says 60,000 x 60,000 pixels, 10 GB decoded."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    with pytest.raises(FileError, match=r"cannot read .*a\.png as a picture: .*exceeds limit"):
        read_photo(tmp_path / "a.png")


def test_reading_leaves_the_warning_filters_alone(tmp_path: Path) -> None:
    """Photos are read by several threads, and a `catch_warnings` in each would mix up their filters."""
    from concurrent.futures import ThreadPoolExecutor

    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert all(photo.shape == COLOUR.shape for photo in pool.map(read_photo, [tmp_path / "a.png"] * 200))
    assert list(warnings.filters) == before


# --- crops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([5, 5, np.nan, 30], "has no area"),
        ([5, 5, np.inf, 30], "has no area"),
        ([30, 5, 5, 30], "has no area"),
        ([5, 30, 30, 5], "has no area"),
        ([41, 5, 60, 30], "lies outside it"),
        ([-20, 5, 0, 30], "lies outside it"),
        ([5, 31, 30, 60], "lies outside it"),
        ([5, -60, 30, 0], "lies outside it"),
        ([-300, -300, 300, 300], "is too large for it"),
        ([-1e300, -1e300, 1e300, 1e300], "is too large for it"),
    ],
)
def test_boxes_that_cannot_be_cut(box: list[float], message: str) -> None:
    with pytest.raises(DegenerateFaceError, match=rf"the box \(.*\) in a photo of 40 x 30 pixels {message}"):
        cut_crop(COLOUR, np.array(box))


def test_boxes_at_the_photos_edge_can() -> None:
    """One row of pixels inside is enough; the rest of the crop is black."""
    crop = cut_crop(np.full((30, 40, 3), 200, np.uint8), np.array([40.0, 30.0, 99.0, 89.0]))
    assert crop.shape == (120, 120, 3)
    assert (crop[:2, :2] > 100).all()
    assert (crop[10:] == 0).all()


def test_a_crop_of_its_own_size_is_itself() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut_crop(picture, np.array([1.0, 1, 120, 120])), picture)
