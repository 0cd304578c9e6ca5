"""Fields on the mean head that no face changes: random relief, how open to the light places are. Lengths in mm."""

import numpy as np

from ..rasterizer import rasterize

FIELD_SCALES = (26.0, 9.0, 3.5)  # mm, how far the random fields reach
FIELDS_PER_SCALE = 12
OCCLUSION_LIGHTS, OCCLUSION_SIDE, OCCLUSION_SLACK = 64, 160, 2.5  # directions, pixels, mm
EYES = ("right_eye", "left_eye")
INSIDE = {"mouth_bag": 0.12, "tongue": 0.35, "upper_teeth": 0.6, "lower_teeth": 0.5}  # the light that gets in


def random_fields(rest: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Sums of waves of random direction: (N, FIELDS_PER_SCALE) float32 of unit spread."""
    waves = 24
    fields = np.empty((len(rest), FIELDS_PER_SCALE), np.float32)
    for column in range(FIELDS_PER_SCALE):
        directions = rng.normal(size=(3, waves)).astype(np.float32) / np.float32(scale)
        phases = rng.uniform(0, 2 * np.pi, waves).astype(np.float32)
        fields[:, column] = np.cos(rest @ directions + phases).sum(axis=1) * np.sqrt(2 / waves)
    return fields


def occlusion(rest: np.ndarray, normals: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The cosine-weighted share of all directions from which each vertex is seen: (N,) float32."""
    steps = np.arange(OCCLUSION_LIGHTS) + 0.5
    height, turn = 1 - 2 * steps / OCCLUSION_LIGHTS, np.pi * (1 + 5**0.5) * steps
    flat = np.sqrt(1 - height**2)
    lights = np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], axis=1)
    seen, possible = np.zeros(len(rest)), np.zeros(len(rest))
    centre, scale = rest.mean(axis=0), OCCLUSION_SIDE / 330
    for light in lights:
        across = np.cross([0.0, 1.0, 0.0], light)
        across /= np.linalg.norm(across)
        axes = np.stack([across, np.cross(light, across), light])
        turned = (rest - centre) @ axes.T
        image = turned * [scale, -scale, 1] + [OCCLUSION_SIDE / 2, OCCLUSION_SIDE / 2, 0]
        depth = rasterize(image, triangles, OCCLUSION_SIDE, OCCLUSION_SIDE).depth
        column, row = np.clip(np.rint(image[:, :2]).astype(int), 0, OCCLUSION_SIDE - 1).T
        facing = np.maximum(normals @ light, 0)
        seen += facing * (turned[:, 2] >= depth[row, column] - OCCLUSION_SLACK)
        possible += facing
    return (seen / np.maximum(possible, 1e-9)).astype(np.float32)


def openness(rest: np.ndarray, part: np.ndarray, names: tuple[str, ...], occlusion: np.ndarray) -> np.ndarray:
    """The share of the light around that reaches each vertex, more than straight lines say: it is reflected too."""
    openness = 0.25 + 0.75 * occlusion
    for number, name in enumerate(names):
        inside = part == number
        if name in INSIDE:
            openness[inside] = INSIDE[name]
        elif name in EYES:
            height = rest[inside, 1] - rest[inside, 1].mean()
            openness[inside] = np.interp(height, [-6, 0, 5.5], [0.75, 0.65, 0.2])  # under the upper lid
    return openness.astype(np.float32)


def places(rest: np.ndarray, part: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    places = rest.copy()
    for name in EYES:
        eye = part == names.index(name)
        places[eye] -= (rest[eye].max(axis=0) + rest[eye].min(axis=0)) / 2
    return places
