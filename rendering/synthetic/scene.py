"""One synthetic face: everything drawn by chance, rendered, and labelled."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...models.coefficients import join
from ...models.open_face.asset import random_expressions
from ...models.pose import CROP_SIZE
from ..rasterizer import rasterize
from . import develop
from .backgrounds import draw_background
from .body import draw_cloth, hang_body
from .camera import Camera, draw_camera
from .eyes import draw_eyes
from .facial_hair import draw_facial_hair, grow_beard, grow_brows, grow_lashes
from .growth import CENTRE, grow_hair
from .hair import draw_cut, scalp_cover
from .head import MM, Head
from .headwear import draw_headwear
from .light import ShadowMap, cast_shadows, draw_lighting, shade_strands
from .occluders import Layer, draw_glasses, draw_hand, draw_patch, draw_stick
from .settings import SynthSettings
from .skin import Surface, draw_tone, paint_skin
from .strands import Strands, draw_strands
from .surfaces import Fabrics, assemble, shade_pixels

FINE = 2  # drawn pixels along a pixel
SMILES = 0.3  # share of faces
SMILE = {
    "mouthSmileLeft": 0.9,
    "mouthSmileRight": 0.9,
    "cheekSquintLeft": 0.5,
    "cheekSquintRight": 0.5,
    "mouthUpperUpLeft": 0.4,
    "mouthUpperUpRight": 0.4,
    "jawOpen": 0.2,
}  # units and the most of each
HIDDEN_MM = 4.0  # a landmark is hidden where something is nearer by more
GLASSES, HANDS, STICKS, PATCHES = 0.13, 0.08, 0.03, 0.05  # shares of faces


@dataclass(frozen=True, eq=False)
class Face:
    """One face. picture: (S, S, 3) uint8 RGB. camera: to the 120-pixel crop, whatever the picture's size. identity,
    expression: coefficients. landmarks: (68, 3) float64, pixels of that crop from 0, y down. visible: (68,) bool."""

    picture: np.ndarray
    camera: Camera
    identity: np.ndarray
    expression: np.ndarray
    landmarks: np.ndarray
    visible: np.ndarray

    @property
    def coefficients(self) -> np.ndarray:
        return join(self.camera.pose, self.identity, self.expression).astype(np.float32)


def draw_face(
    rng: np.random.Generator, head: Head, settings: SynthSettings, photos: tuple[Path, ...] = (), side: int = CROP_SIZE,
    room: float = 1.0, compiled: bool = True,
) -> Face:  # fmt: skip
    """A random face on a picture `side` pixels wide, which shows `room` times as much as a crop does along each side.

    photos: the backgrounds. compiled: with numba where it can be imported, else NumPy alone, for the same picture.
    """
    identity = rng.normal(size=settings.identity)
    expression = _draw_expression(rng, head, settings.expression)
    landmarks = head.truth.landmarks(identity, expression) * MM
    camera = draw_camera(rng, landmarks, settings.max_yaw, room)
    scene = _Scene(rng, head, camera, head.model.vertices(identity, expression) * np.float32(MM), side, compiled)
    light, depth, cover = scene.render(photos)
    kept = develop.draw_border(rng, side)
    picture = develop.develop(rng, light, cover) * kept[..., None]
    turned = landmarks @ camera.rotation.T
    points = camera.image_from_view(turned, CROP_SIZE)
    visible = _not_hidden(camera, turned, depth) & _inside(points, kept)
    return Face(picture, camera, identity, expression, points, visible)


def _draw_expression(rng: np.random.Generator, head: Head, count: int) -> np.ndarray:
    """Coefficients (count,) of a mix of expression units, with the smiles that photos are full of."""
    coefficients = random_expressions(rng, 1, head.file, count)[0]
    if rng.random() < SMILES:
        coefficients = 0.5 * coefficients
        for unit, most in SMILE.items():
            amount = most * rng.beta(1.5, 1.2)
            coefficients += amount * head.file.arrays["unit_coefficients"][head.file.unit_names.index(unit), :count]
    return coefficients


def _not_hidden(camera: Camera, landmarks: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Which landmarks (68, 3), mm of the view frame, most of the 9 drawn pixels around show. depth: (S, S)."""
    side = len(depth)
    image = camera.image_from_view(landmarks, side)
    limit = image[:, 2] + HIDDEN_MM * camera.scale * side / CROP_SIZE
    column, row = np.rint(image[:, :2]).astype(int).T
    shifts = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    nearer = [depth[(row + dy).clip(0, side - 1), (column + dx).clip(0, side - 1)] > limit for dx, dy in shifts]
    return np.sum(nearer, axis=0) <= len(shifts) // 2


def _inside(points: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Which points (68, 3) of the 120-pixel crop lie in it, and in the photo: kept (S, S)."""
    inside = np.all((points[:, :2] >= 0) & (points[:, :2] <= CROP_SIZE - 1), axis=1)
    column, row = (np.rint(points[inside, :2]).astype(int) * len(kept) // CROP_SIZE).T
    inside[inside] = kept[row, column]
    return inside


class _Scene:
    """The things of one picture, chosen and placed. Positions are mm of the view frame unless said otherwise."""

    def __init__(
        self, rng: np.random.Generator, head: Head, camera: Camera, vertices: np.ndarray, side: int, compiled: bool
    ) -> None:
        """vertices: (N, 3) float32, mm, model frame."""
        self.rng, self.head, self.camera, self.side, self.compiled = rng, head, camera, side, compiled
        self.turn = camera.rotation.T.astype(np.float32)
        self.landmarks = vertices[head.model.landmark_ids]
        self.tone = draw_tone(rng)
        lightness = float(self.tone.mean())
        cut = draw_cut(rng, lightness)
        facial = draw_facial_hair(rng, cut.color, cut.kind in ("medium", "long", "back"))
        self.lighting = draw_lighting(rng)
        self.wear = draw_headwear(rng, head)
        hat = None if self.wear is None else self.wear.cloth
        self.fabrics = Fabrics(draw_eyes(rng, (camera.angles[0], camera.angles[1]), lightness), draw_cloth(rng), hat)
        self.bumps, rough = rng.uniform(0, 0.05), np.float32(rng.uniform(0, 0.025))

        normals = head.vertex_normals(vertices)
        cover = scalp_cover(rng, head, cut)
        if self.wear is not None:
            cover *= 1 - self.wear.cover
        gravity = camera.rotation.T @ np.array([0, -1, 0]) + [0, -0.6, 0]
        gravity /= np.linalg.norm(gravity)
        self.hair = grow_hair(rng, head, vertices, normals, cut, cover, gravity)
        grown = [
            self.hair,
            grow_brows(rng, head.brows, vertices, normals, facial),
            grow_lashes(rng, self.landmarks, facial),
            grow_beard(rng, head, vertices, normals, facial),
        ]
        self.strands = [strands for strands in grown if strands is not None]
        skin = paint_skin(rng, head, self.tone, facial)
        root = (0.4 * cut.color).astype(np.float32)
        skin = Surface(skin.albedo + cover[:, None] * (root - skin.albedo), skin.gloss * (1 - cover))
        push = cover * (0.4 + 0.5 * cut.thickness)
        if self.wear is not None:
            push += self.wear.thickness
        brim = np.empty((0, 3), np.float32) if self.wear is None else self.wear.brim @ self.turn
        turned = (vertices + push[:, None] * normals) @ self.turn
        relief = rough * (head.fields[2][:, :3] + head.fields[1][:, 3:6])
        body = hang_body(rng, turned[head.rim], camera.angles)
        self.mesh = assemble(head, turned, normals @ self.turn + relief, skin, body, brim, self.wear, self.tone)

    def render(self, photos: tuple[Path, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The light of the picture (S, S, 3) float32; the depth as drawn, (FINE S, FINE S); how much of each pixel is
        no background, (S, S)."""
        fine, mesh = FINE * self.side, self.mesh
        image = self.camera.image_from_view(mesh.vertices, fine)
        drawn = rasterize(image, mesh.triangles, fine, fine, compiled=self.compiled)
        turned = [strands.points @ self.turn for strands in self.strands]
        shadows = cast_shadows(
            self.lighting.lamps[0],
            mesh.vertices,
            mesh.triangles,
            turned[:1] if self.hair is not None else [],
            CENTRE @ self.turn,
            self.compiled,
        )
        layer = Layer(np.zeros((fine, fine, 3), np.float32), drawn.depth)
        pixels = np.flatnonzero(drawn.covered)
        layer.picture.reshape(-1, 3)[pixels] = shade_pixels(
            self.rng, self.head, mesh, drawn, pixels, self.camera.view_from_image(pixels, layer.depth), self.fabrics,
            shadows, self.lighting, self.bumps,
        )  # fmt: skip
        for points, strands in zip(turned, self.strands, strict=True):
            colors = self._strand_colors(points, strands, shadows)
            placed = self.camera.image_from_view(points, fine)
            draw_strands(placed, colors, max(1, round(fine / 420)), layer.depth, layer.picture, self.compiled)
        self._occlude(layer, photos)
        seen = np.isfinite(layer.depth)
        cover = _smaller(seen.astype(np.float32))
        light = _smaller(np.where(seen[..., None], layer.picture, np.float32(0)))
        light += (1 - cover)[..., None] * draw_background(self.rng, self.side, photos)
        return light, layer.depth, cover

    def _strand_colors(self, points: np.ndarray, strands: Strands, shadows: ShadowMap) -> np.ndarray:
        """The light of strands at their points (S, K, 3): (S, K, 3) float32."""
        steps = np.diff(points, axis=1)
        tangents = _unit_rows(np.concatenate([steps, steps[:, -1:]], axis=1).reshape(-1, 3))
        places = points.reshape(-1, 3)
        out = _unit_rows(places - CENTRE @ self.turn)
        deep = np.repeat(0.45 + 0.55 * strands.body, points.shape[1])
        lit = shadows.lit(places, 2 * out, self.lighting.softness, self.rng, taps=1)
        colors = strands.colors.reshape(-1, 3)
        return shade_strands(tangents, colors, strands.gloss, deep, lit, out, self.lighting).reshape(points.shape)

    def _occlude(self, layer: Layer, photos: tuple[Path, ...]) -> None:
        rng, scale = self.rng, self.camera.scale * len(layer.depth) / CROP_SIZE
        if rng.random() < GLASSES:
            draw_glasses(rng, layer, self.landmarks, self.camera, self.lighting, self.compiled)
        if rng.random() < HANDS:
            draw_hand(rng, layer, self.tone, self.lighting, scale)
        if rng.random() < STICKS:
            draw_stick(rng, layer, self.lighting, scale)
        if rng.random() < PATCHES:
            draw_patch(rng, layer, photos)


def _smaller(picture: np.ndarray) -> np.ndarray:
    """The means of FINE x FINE pixels."""
    total = np.zeros_like(picture[::FINE, ::FINE])
    for row in range(FINE):
        for column in range(FINE):
            total += picture[row::FINE, column::FINE]
    return total / np.float32(FINE**2)


def _unit_rows(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt(np.einsum("pc,pc->p", vectors, vectors)).clip(1e-6)[:, None]
