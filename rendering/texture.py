"""The photo's colours laid out on the face's surface: the unwrapped texture, and the texture of a mesh file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from ..models.errors import ShapeError
from ..models.files import PNG, whole_file
from ..models.morphable import MorphableModel
from .depth import visible_vertices
from .images import check_photo, vertex_colors
from .meshes import Skin, check_finite, check_mesh
from .rasterizer import interpolate, rasterize
from .shading import vertex_normals

MARGIN = 0.02  # free border of the layout
TURNED = 0.12  # cosine; a surface turned further away has no colours worth taking
SLACK = 0.01  # of the face's size, that something may lie in front of a point before it counts as hidden
SOFT = 12.0  # texels over which a filled place runs into its neighbours, in a texture of 1024


@dataclass(frozen=True, eq=False)
class Texture:
    """colors: (S, S, 3) uint8 RGB, the first row is the top of the layout (v = 1). seen: (S, S) bool, where the photo
    shows the surface. inside: (S, S) bool, where the layout has surface at all."""

    colors: np.ndarray
    seen: np.ndarray
    inside: np.ndarray


def layout(model: MorphableModel) -> np.ndarray:
    """Texture coordinates (N, 2) 0..1 that show the face upright and as large as it goes, v up.

    From the model's own, turned and stretched evenly; a model without any is rolled out from a cylinder around its
    vertical axis.
    """
    mean = model.mean.astype(np.float64)
    if model.uv is not None:
        uv = model.uv.astype(np.float64)
        # Which way of turning and mirroring by quarter turns takes u to x and v to y.
        slope = np.linalg.lstsq(np.column_stack([mean[:, :2], np.ones(len(mean))]), uv, rcond=None)[0][:2]
        order = [0, 1] if abs(slope[0, 0]) + abs(slope[1, 1]) >= abs(slope[0, 1]) + abs(slope[1, 0]) else [1, 0]
        uv = uv[:, order] * np.sign(np.diag(slope[:, order]))
    else:
        depth = mean[:, 2] - mean[:, 2].max() + np.ptp(mean[:, 0]) / 2 + 0.15 * np.ptp(mean[:, 2])
        angle = np.arctan2(mean[:, 0], depth)
        uv = np.column_stack([angle * np.ptp(mean[:, 0]) / 2, mean[:, 1]])
    low, high = uv.min(axis=0), uv.max(axis=0)
    size = (high - low).max() / (1 - 2 * MARGIN)
    return (uv - (low + high) / 2) / size + 0.5


def unwrap(
    photo: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    uv: np.ndarray,
    size: int,
    wanted: np.ndarray | None = None,
) -> Texture:
    """The photo laid out on the surface.

    photo: (H, W, 3) uint8 RGB. vertices: (N, 3) photo pixels from 0, y down, larger z nearer. triangles: (T, 3).
    uv: (N, 2) 0..1, v up. size: texels along each side. A texel is seen where its surface turns to the viewer with
    nothing in front of it, inside the photo. wanted: (S, S) bool, the texels to look for [default: all].
    """
    check_photo(photo)
    check_mesh(vertices, triangles)
    check_finite(vertices)
    if uv.shape != (len(vertices), 2):
        raise ShapeError(f"uv is {uv.shape}; ({len(vertices)}, 2), one row per vertex, is expected")
    height, width = photo.shape[:2]
    depth = rasterize(vertices, triangles, width, height).depth
    normals = vertex_normals(vertices, triangles)
    flat = _flat(uv, vertices[:, 2], size)
    drawn = rasterize(flat, triangles, size, size)
    inside = drawn.covered
    values = interpolate(drawn, drawn.corners, np.column_stack([vertices, normals[:, 2]]))
    turned = values[..., 3] > TURNED
    texels = np.flatnonzero((inside if wanted is None else inside & wanted) & turned)
    x, y, z, facing = values.reshape(-1, 4)[texels].T
    column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    within = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
    # The z-buffer knows the depth at the pixel's centre, up to 0.7 pixels away: a slope adds that much of its own.
    slope = np.sqrt(np.clip(1 - facing**2, 0, 1)) / facing
    slack = SLACK * float(np.ptp(vertices, axis=0).max()) + 0.75 * slope
    shown = within & (z >= depth[row, column] - slack)
    colors, seen = np.zeros((size * size, 3), np.uint8), np.zeros(size * size, bool)
    seen[texels[shown]] = True
    if shown.any():
        colors[texels[shown]] = np.rint(255 * vertex_colors(photo, np.stack([x[shown], y[shown]], axis=1)))
    return Texture(colors.reshape(size, size, 3), seen.reshape(size, size), inside)


def complete(texture: Texture, mirrored: Texture | None) -> np.ndarray:
    """The texture with its hidden places filled: (S, S, 3) uint8.

    From the other half of the face where that is seen (`mirrored`: the same layout, every vertex in the place of its
    mirror image), else from the nearest place that has a colour; so is the layout's outside, for renderers that look
    across its border.
    """
    from scipy.ndimage import distance_transform_edt

    colors, known = texture.colors.copy(), texture.seen.copy()
    if mirrored is not None:
        borrowed = mirrored.seen & ~known
        colors[borrowed] = mirrored.colors[borrowed]
        known |= borrowed
    if not known.any():
        return texture.colors
    away, (row, column) = distance_transform_edt(~known, return_indices=True)
    filled = colors[row, column]
    sigma = SOFT * len(colors) / 1024
    smooth = np.asarray(Image.fromarray(filled).filter(ImageFilter.GaussianBlur(sigma)))
    # Seen places keep their colours; borrowed ones run into them over a few texels, far fillings are smooth.
    edge = np.clip(away / sigma, 0, 1)
    own = distance_transform_edt(~texture.seen)
    seam = np.where(texture.seen, 0, np.exp(-own / sigma))
    share = np.maximum(edge, seam)[..., None]
    return np.rint(filled * (1 - share) + smooth * share).astype(np.uint8)


def face_texture(photo: np.ndarray, vertices: np.ndarray, model: MorphableModel, size: int = 1024) -> np.ndarray:
    """The complete texture of a face in a photo, for a mesh file: (S, S, 3) uint8, to be read at `layout(model)`."""
    uv = layout(model)
    texture = unwrap(photo, vertices, model.triangles, uv, size)
    if model.symmetry is None:
        return complete(texture, None)
    return complete(texture, unwrap(photo, vertices, model.triangles, uv[model.symmetry], size, ~texture.seen))


def texture_at(skin: Skin) -> np.ndarray:
    """What a texture shows at each vertex: (N, 3) float64, sRGB 0..1."""
    height, width = skin.texture.shape[:2]
    return vertex_colors(skin.texture, np.stack([skin.uv[:, 0], 1 - skin.uv[:, 1]], axis=1) * [width, height] - 0.5)


def face_colors(photo: np.ndarray, vertices: np.ndarray, model: MorphableModel) -> np.ndarray:
    """The colour of each vertex of a face in a photo: (N, 3) float64, sRGB 0..1.

    A vertex that the photo does not show has its mirror image's colour, where that is shown, else the nearest
    vertex's that is. Where none is, all have the colours of what lies over them.
    """
    from scipy.spatial import KDTree

    colors = vertex_colors(photo, vertices)
    facing = vertex_normals(vertices, model.triangles)[:, 2] > TURNED
    known = facing & visible_vertices(vertices, model.triangles, photo.shape[1], photo.shape[0])
    if model.symmetry is not None:
        borrowed = known[model.symmetry] & ~known
        colors[borrowed] = colors[model.symmetry][borrowed]
        known = known | borrowed
    if known.any() and not known.all():
        colors[~known] = colors[known][KDTree(model.mean[known]).query(model.mean[~known])[1]]
    return colors


def _flat(uv: np.ndarray, depth: np.ndarray, size: int) -> np.ndarray:
    """The surface rolled out as a mesh of texels, (N, 3): where it overlaps itself the front is seen."""
    return np.column_stack([uv[:, 0] * size - 0.5, (1 - uv[:, 1]) * size - 0.5, depth])


def write_texture(path: Path, texture: Texture) -> None:
    """Write a texture as PNG with an alpha channel: opaque where the photo shows the surface."""
    rgba = np.dstack([texture.colors, np.where(texture.seen, 255, 0).astype(np.uint8)])
    with whole_file(path) as temporary:
        Image.fromarray(rgba).save(temporary, "png", **PNG)
