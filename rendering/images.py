"""Pictures of faces: the mesh or the landmarks over the photo, and the photo's colours on the mesh."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..models.errors import FileError, ShapeError, TwodaslError
from ..models.files import PNG, whole_file
from .colors import blend, light_from_srgb
from .meshes import check_finite, check_mesh
from .rasterizer import rasterize
from .shading import TURQUOISE, Material, lit, triangle_normals, vertex_normals

FINE = 1 << 20  # photo pixels; a mesh that spreads over no more is drawn at twice the size and averaged down
BAND = 1 << 18  # photo pixels drawn at once, which bounds the memory on large photos
LARGEST_DRAWING = 4000  # pixels; landmarks are drawn at up to four times their size, and no larger than this
FARTHEST = 1e5  # pixels; landmarks further out are drawn as if there, as Pillow counts in 32-bit integers

# First and last point of each line (iBUG order), and whether it ends where it began: eyes and lips do.
LANDMARK_LINES = (
    (0, 16, False),
    (17, 21, False),
    (22, 26, False),
    (27, 30, False),
    (31, 35, False),
    (36, 41, True),
    (42, 47, True),
    (48, 59, True),
    (60, 67, True),
)
JPEG_MOST = 65500  # pixels along a side that Pillow's encoder writes
WHITE, BLUE = (255, 255, 255), (20, 90, 255)

# What each kind of file is written with. Full colour resolution: lines and outlines stay sharp.
FORMATS: dict[str, dict[str, Any]] = {
    ".png": PNG,
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
}


def mask_overlay(
    photo: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    alpha: float = 1.0,
    material: Material = TURQUOISE,
) -> np.ndarray:
    """The photo with the shaded mesh over it, as in the paper's figures: (H, W, 3) uint8, a new array.

    photo: (H, W, 3) uint8 RGB. vertices: (N, 3) float, photo pixels, the first pixel's centre at 0, y down, larger z
    nearer. triangles: (T, 3) int, counter-clockwise seen from outside. alpha: 0 leaves the photo, 1 is opaque.
    Light and photo are mixed as light, not as grey levels. The outline is antialiased, except on faces of more than a million pixels. The inside of the surface is not drawn:
    an open mouth shows the photo.

    Raises ShapeError, DegenerateFaceError for vertices that are not finite, TwodaslError for another alpha.
    """
    check_photo(photo)
    check_mesh(vertices, triangles)
    check_finite(vertices)
    if not 0 <= alpha <= 1:
        raise TwodaslError(f"alpha is {alpha:g}; 0 (photo only) to 1 (opaque mesh) is expected")
    normals = (triangle_normals if material.flat else vertex_normals)(vertices, triangles)
    picture = photo.copy()
    left, top, right, bottom = _window(vertices, 1, photo)
    if left == right:
        return picture
    subpixels = 2 if (right - left) * (bottom - top) <= FINE else 1
    half = np.array([0.5, 0.5, 0])  # pixel centres lie half a pixel inside the picture, whatever the pixels' size
    rows = max(1, BAND // (right - left))
    for start in range(top, bottom, rows):
        band = picture[start : min(start + rows, bottom), left:right]
        fine = (vertices - (left, start, 0) + half) * (subpixels, subpixels, 1) - half
        fragments = rasterize(fine, triangles, band.shape[1] * subpixels, band.shape[0] * subpixels, cull=True)
        coverage, light = lit(fragments, normals, subpixels, material)
        band[:] = blend(band, light, alpha * coverage)
    return picture


def landmarks_overlay(photo: np.ndarray, landmarks: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """The photo with the 68 landmarks over it, white lines and dots edged blue: (H, W, 3) uint8, a new array.

    photo: (H, W, 3) uint8 RGB. landmarks: (68, 2 or 3) float, photo pixels, the first pixel's centre at 0, y down.
    visible: (68,) bool; hidden points are small and pale, and so are lines between two of them.
    Jaw, brows, nose and nostrils are open lines. Eyes and lips are closed, as such pictures usually show them; the
    original code left them open. Lines and dots grow with the face.

    Raises ShapeError, and DegenerateFaceError for landmarks that are not finite.
    """
    check_photo(photo)
    if landmarks.shape not in ((68, 2), (68, 3)):
        raise ShapeError(f"landmarks is {landmarks.shape}; (68, 2) or (68, 3) is expected")
    check_finite(landmarks, "landmarks")
    seen = np.ones(68, bool) if visible is None else np.asarray(visible, bool)
    if seen.shape != (68,):
        raise ShapeError(f"visible is {seen.shape}; (68,) is expected")
    points = np.clip(np.asarray(landmarks[:, :2], np.float64), -FARTHEST, FARTHEST)
    size = min(float(np.ptp(points, axis=0).max()), float(max(photo.shape)))
    line, dot = max(size / 130, 1.0), max(size / 75, 1.6)  # width, radius
    picture = photo.copy()
    left, top, right, bottom = _window(points, 2 * dot + 2, photo)
    if left == right or top == bottom:
        return picture
    area = picture[top:bottom, left:right]
    place = points - (left, top)

    def lines(which: np.ndarray) -> Callable[[ImageDraw.ImageDraw, int], None]:
        def draw_lines(draw: ImageDraw.ImageDraw, scale: int) -> None:
            for first, last, closed in LANDMARK_LINES:
                ids = [*range(first, last + 1), *([first] if closed else [])]
                path = np.rint((place[ids] + 0.5) * scale - 0.5).astype(int)  # Pillow would cut the fractions off
                for piece in _stretches(which[ids[:-1]] | which[ids[1:]]):
                    points = [(int(x), int(y)) for x, y in path[piece.start : piece.stop + 1]]
                    draw.line(points, fill=255, width=max(1, round(line * scale)), joint="curve")

        return draw_lines

    def dots(which: np.ndarray, radius: float) -> Callable[[ImageDraw.ImageDraw, int], None]:
        def draw_dots(draw: ImageDraw.ImageDraw, scale: int) -> None:
            for x, y in (place[which] + 0.5) * scale - 0.5:
                r = radius * scale
                draw.ellipse([round(float(side)) for side in (x - r, y - r, x + r, y + r)], fill=255)

        return draw_dots

    layers = [
        (lines(seen), WHITE, 0.7),
        (dots(seen, dot), BLUE, 0.9),
        (dots(seen, 0.62 * dot), WHITE, 1.0),
    ]
    if not seen.all():
        layers = [(lines(np.ones(68, bool)), WHITE, 0.25), (dots(~seen, 0.6 * dot), BLUE, 0.5), *layers]
    for what, color, alpha in layers:
        share = alpha * _stencil(what, area.shape[1], area.shape[0])
        area[:] = blend(area, light_from_srgb(np.asarray(color) / 255), share)
    return picture


def _stretches(wanted: np.ndarray) -> list[range]:
    """The runs of True in (K,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(int)))
    return [range(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _stencil(draw: Callable[[ImageDraw.ImageDraw, int], None], width: int, height: int) -> np.ndarray:
    """How much of each pixel a drawing covers: (H, W) 0..1, drawn at up to four times the size."""
    scale = max(1, min(4, LARGEST_DRAWING // max(width, height)))
    image = Image.new("L", (width * scale, height * scale))
    draw(ImageDraw.Draw(image), scale)
    return np.asarray(image.reduce(scale), np.float64) / 255


def write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG or JPEG (quality 95), by the path's suffix, whole or not at all.

    Raises FileError for another suffix or where the file cannot be written.
    """
    check_photo(image)
    options = FORMATS.get(path.suffix.lower())
    if options is None:
        raise FileError(f"{path}: pictures are written as {', '.join(FORMATS)}, not as '{path.suffix}'")
    if "quality" in options and max(image.shape[:2]) > JPEG_MOST:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise FileError(f"{path}: a JPEG has up to {JPEG_MOST} pixels along a side, not {size}; a PNG holds them")
    with whole_file(path) as temporary:
        Image.fromarray(image).save(temporary, **options)


def vertex_colors(photo: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """The photo's colour under each vertex: (N, 3) float64, RGB 0..1.

    photo: (H, W, 3) uint8 RGB. vertices: (N, 2 or 3) float, photo pixels, the first pixel's centre at 0, y down.
    Interpolated between the four nearest pixels; outside the photo its border's colour. Hidden vertices have the
    colour of what hides them. Raises ShapeError, and DegenerateFaceError for vertices that are not finite.
    """
    check_photo(photo)
    if vertices.ndim != 2 or vertices.shape[1] not in (2, 3):
        raise ShapeError(f"vertices is {vertices.shape}; (N, 2) or (N, 3) is expected")
    check_finite(vertices)
    height, width = photo.shape[:2]
    x = np.clip(np.asarray(vertices[:, 0], np.float64), 0, width - 1)
    y = np.clip(np.asarray(vertices[:, 1], np.float64), 0, height - 1)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[:, None], (y - top)[:, None]
    pixels, top, bottom = photo.reshape(-1, 3), top * width, bottom * width
    above = pixels.take(top + left, 0) * (1 - across) + pixels.take(top + right, 0) * across
    below = pixels.take(bottom + left, 0) * (1 - across) + pixels.take(bottom + right, 0) * across
    return (above * (1 - down) + below * down) / 255


def check_photo(photo: np.ndarray) -> None:
    """Raise ShapeError unless this is a picture (H, W, 3) uint8 with at least one pixel."""
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or photo.size == 0:
        raise ShapeError(f"the picture is {photo.shape} {photo.dtype}; (H, W, 3) uint8 RGB is expected")


def _window(points: np.ndarray, margin: float, photo: np.ndarray) -> tuple[int, int, int, int]:
    """The part of the photo around points (N, 2 or 3): left, top, and behind its right and bottom pixel."""
    limits = np.array([photo.shape[1], photo.shape[0]])
    start = np.clip(np.floor(points[:, :2].min(axis=0) - margin), 0, limits)
    end = np.clip(np.ceil(points[:, :2].max(axis=0) + margin) + 1, 0, limits)
    left, top, right, bottom = (int(value) for value in (*start, *end))
    return left, top, right, bottom


def resized(photo: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """The picture with its longer side `side` pixels, and by how much it grew."""
    scale = side / max(photo.shape[:2])
    width, height = (max(1, round(length * scale)) for length in photo.shape[1::-1])
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS)), scale
