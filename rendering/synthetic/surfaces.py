"""The meshes of a scene as one: their looks at every vertex, and the light that each pixel sends."""

from dataclasses import dataclass

import numpy as np

from ..rasterizer import Fragments
from ..shading import vertex_normals
from .body import Body, Cloth
from .eyes import Eyes, paint_eyes, tooth_gaps
from .fields import EYES
from .head import Head
from .headwear import Headwear, brim_triangles
from .light import Lighting, ShadowMap, shade
from .skin import Surface

# Columns of the looks: normal, albedo, gloss, occlusion, a place (for eyes, teeth and cloth), share of cloth.
NORMAL, ALBEDO, GLOSS, OCCLUSION, PLACE, CLOTH = slice(0, 3), slice(3, 6), 6, 7, slice(8, 11), 11
COLUMNS = 12


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices: (V, 3) float32, mm, view frame. triangles: (T, 3) int32. looks: (V, COLUMNS) float32. part: (V,) int8:
    the head's parts, then body, then brim."""

    vertices: np.ndarray
    triangles: np.ndarray
    looks: np.ndarray
    part: np.ndarray


def assemble(
    head: Head, vertices: np.ndarray, normals: np.ndarray, skin: Surface, body: Body, brim: np.ndarray,
    wear: Headwear | None, tone: np.ndarray,
) -> Mesh:  # fmt: skip
    """vertices, normals: (N, 3) of the head, view frame. brim: (B, 3), view frame. tone: the skin's linear RGB."""
    count, last = len(vertices), len(head.part_names)
    pieces = [_head_looks(head, normals, skin), _body_looks(body, tone)]
    triangles = [head.model.triangles, body.triangles + count]
    part = [head.part, np.full(len(body.vertices), last, np.int8)]
    if wear is not None:
        looks = pieces[0]
        looks[:, PLACE] += wear.cover[:, None] * (wear.pattern - looks[:, PLACE])
        looks[:, CLOTH] = wear.cover
    if len(brim):
        looks = np.zeros((len(brim), COLUMNS), np.float32)
        triangles.append(brim_triangles(count + len(body.vertices)))
        looks[:, NORMAL] = vertex_normals(brim, brim_triangles(0), "model")
        looks[:, CLOTH], looks[:, OCCLUSION] = 1, 0.9
        pieces.append(looks)
        part.append(np.full(len(brim), last + 1, np.int8))
    return Mesh(
        np.concatenate([vertices, body.vertices, brim]),
        np.concatenate(triangles),
        np.concatenate(pieces),
        np.concatenate(part),
    )


def _head_looks(head: Head, normals: np.ndarray, skin: Surface) -> np.ndarray:
    looks = np.empty((len(normals), COLUMNS), np.float32)
    looks[:, NORMAL], looks[:, ALBEDO], looks[:, GLOSS] = normals, skin.albedo, skin.gloss
    looks[:, OCCLUSION] = head.openness
    looks[:, PLACE], looks[:, CLOTH] = head.places, 0
    return looks


def _body_looks(body: Body, tone: np.ndarray) -> np.ndarray:
    looks = np.empty((len(body.vertices), COLUMNS), np.float32)
    looks[:, NORMAL] = vertex_normals(body.vertices, body.triangles, "model")
    looks[:, ALBEDO], looks[:, GLOSS] = tone, 0.4
    looks[:, OCCLUSION] = np.interp(body.pattern[:, 1], [0, 40, 90], [0.5, 0.75, 0.95])
    looks[:, PLACE], looks[:, CLOTH] = body.pattern, body.cloth
    return looks


@dataclass(frozen=True, eq=False)
class Fabrics:
    """What the parts of a mesh are made of."""

    eyes: Eyes
    clothes: Cloth
    hat: Cloth | None


def shade_pixels(
    rng: np.random.Generator, head: Head, mesh: Mesh, drawn: Fragments, pixels: np.ndarray, points: np.ndarray,
    fabrics: Fabrics, shadows: ShadowMap, lighting: Lighting, bumps: float,
) -> np.ndarray:  # fmt: skip
    """Light of the pixels (P,), flat indices: (P, 3) float32, linear RGB. points: (P, 3) mm, where they lie.
    bumps: how much the finest relief turns normals."""
    corners = mesh.triangles[drawn.triangle.ravel()[pixels]]
    weights = _weights(drawn, corners, pixels)
    looks = np.zeros((len(pixels), COLUMNS), np.float32)
    for k in range(3):
        looks += mesh.looks.take(corners[:, k], axis=0) * weights[k][:, None]
    part = mesh.part[corners[:, 0]]
    normals, albedo, gloss, occlusion = looks[:, NORMAL], looks[:, ALBEDO], looks[:, GLOSS], looks[:, OCCLUSION]
    normals += np.float32(bumps) * head.noise(rng, len(pixels), 3)
    normals /= np.sqrt(np.einsum("pc,pc->p", normals, normals)).clip(1e-6)[:, None]
    eye_parts = [head.part_names.index(name) for name in EYES]
    wet = np.flatnonzero((part == eye_parts[0]) | (part == eye_parts[1]))
    albedo[wet] = paint_eyes(looks[wet, PLACE], fabrics.eyes)
    teeth = np.flatnonzero((part == eye_parts[1] + 1) | (part == eye_parts[1] + 2))
    albedo[teeth] *= tooth_gaps(looks[teeth, PLACE])[:, None]
    dressed = np.flatnonzero(looks[:, CLOTH] > 0)
    worn = part[dressed] == len(head.part_names)
    for cloth, chosen in ((fabrics.clothes, dressed[worn]), (fabrics.hat, dressed[~worn])):
        if cloth is not None and len(chosen):
            share = looks[chosen, CLOTH]
            albedo[chosen] += share[:, None] * (cloth.paint(looks[chosen, PLACE]) - albedo[chosen])
            gloss[chosen] *= 1 - 0.8 * share
    albedo *= 1 + np.float32(0.03) * head.noise(rng, len(pixels), 1)
    lit = shadows.lit(points, normals, lighting.softness, rng)
    away = normals[:, 2] < -0.05  # the inside of neck and collar
    return shade(
        normals, albedo, gloss, wet, np.where(away, 0.15 * occlusion, occlusion), np.where(away, 0, lit), lighting
    )


def _weights(drawn: Fragments, corners: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The weights of the pixels' corners, (3, P) float32: `drawn.barycentric`, single and of covered pixels only."""
    row, column = np.divmod(pixels, drawn.triangle.shape[1])
    x, y = drawn.vertices[:, :2].T.astype(np.float32)
    dx = [x.take(corners[:, k]) - column.astype(np.float32) for k in range(3)]
    dy = [y.take(corners[:, k]) - row.astype(np.float32) for k in range(3)]
    areas = np.stack([dx[k - 2] * dy[k - 1] - dx[k - 1] * dy[k - 2] for k in range(3)])
    return areas / areas.sum(axis=0)
