"""Draw the open face model's pictures for its card: `python tools/draw_open_face.py [FOLDER]` (default docs/images)."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from twodasl.models.morphable import MorphableModel
from twodasl.models.open_face.asset import POINTS, OpenFaceFile, load_open_face, random_expressions
from twodasl.rendering.rasterizer import interpolate, rasterize
from twodasl.rendering.shading import Material, shade, vertex_normals

SKIN, LIPS, WHITE, IRIS = (0.86, 0.72, 0.62), (0.80, 0.52, 0.48), (0.95, 0.95, 0.95), (0.30, 0.22, 0.18)
PART_COLORS = {
    "face": SKIN,
    "right_eye": WHITE,
    "left_eye": WHITE,
    "upper_teeth": (0.95, 0.93, 0.85),
    "lower_teeth": (0.95, 0.93, 0.85),
    "tongue": (0.75, 0.35, 0.35),
    "mouth_bag": (0.45, 0.15, 0.15),
}
IRIS_ANGLE = 0.42  # radians from the eye's axis
LIGHT = (0.3, 0.35, 1.0)
CENTRE = np.array([0.0, 20.0, 30.0])  # mm


class Artist:
    """Draws faces of one loaded model with its parts, all but the rest of the head."""

    def __init__(self, points: str = "semantic") -> None:
        self.file = OpenFaceFile()
        self.model: MorphableModel = load_open_face(n_identity=80, n_expression=20, parts=True, points=points)
        sizes = [self.file.steps(part, 1)[0].matrix.shape[0] for part in PART_COLORS]
        self.colors = np.concatenate(
            [np.tile(PART_COLORS[part], (n, 1)) for part, n in zip(PART_COLORS, sizes, strict=True)]
        )
        start = 0
        for part, size in zip(PART_COLORS, sizes, strict=True):
            if part.endswith("eye"):
                eye = self.model.mean[start : start + size]
                axis = eye - (eye.max(axis=0) + eye.min(axis=0)) / 2
                axis /= np.linalg.norm(axis, axis=1, keepdims=True)
                self.colors[start : start + size][axis[:, 2] > np.cos(IRIS_ANGLE)] = IRIS
            start += size
        assert self.model.segments is not None
        self.colors[self.model.segments[:start, self.file.region_names.index("lips")]] = LIPS
        self.triangles = self.model.triangles[(self.model.triangles < start).all(axis=1)]
        self.count = start

    def face(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """(N, 3) float64, mm."""
        return self.model.vertices(identity, expression)[: self.count].astype(np.float64) / 1000

    def draw(
        self,
        face: np.ndarray,
        yaw: float = 0,
        size: tuple[int, int] = (150, 190),
        scale: float = 0.84,
        dots: bool = False,
    ) -> np.ndarray:
        """(H, W, 3) uint8; yaw in degrees, scale in pixels per mm. dots: the landmarks over it."""
        width, height = size
        angle = np.radians(yaw)
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        placed = (face - CENTRE) @ turn.T * scale * [1, -1, 1] + [width / 2, height / 2, 0]
        fragments = rasterize(2 * placed, self.triangles, 2 * width, 2 * height)
        normals = interpolate(fragments, self.triangles, vertex_normals(placed, self.triangles))[fragments.covered]
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9) * [1, -1, 1]
        light = shade(normals, Material(color=(1, 1, 1), ambient=0.25, diffuse=0.75, specular=0), LIGHT)
        picture = np.ones((2 * height, 2 * width, 3))
        picture[fragments.covered] = light * interpolate(fragments, self.triangles, self.colors)[fragments.covered]
        small = picture.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
        image = Image.fromarray(np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8))
        if dots:
            pen = ImageDraw.Draw(image)
            for x, y, _ in placed[self.model.landmark_ids]:
                pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(220, 20, 20))
        return np.asarray(image)


def sheet(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    rows = [np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, len(pictures), columns)]
    return np.concatenate(rows)


def one(component: int, value: float, count: int) -> np.ndarray:
    coefficients = np.zeros(count)
    coefficients[component] = value
    return coefficients


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "docs" / "images"
    artist = Artist()
    still = np.zeros(0)
    large = {"size": (330, 420), "scale": 1.8}
    mean = artist.face(still, still)
    pictures = {"mean": sheet([artist.draw(mean, yaw, **large) for yaw in (0, -45, -90)], 3)}  # type: ignore[arg-type]

    faces = [artist.face(one(k, s, 80), still) for k in range(5) for s in (-3, 3)]
    pictures["identity"] = sheet([artist.draw(face, yaw) for yaw in (0, -60) for face in faces], 10)
    faces = [artist.face(still, one(k, s, 20)) for k in range(3) for s in (-3, 3)]
    pictures["expression"] = sheet([artist.draw(face) for face in faces], 6)

    rng = np.random.default_rng(5)
    identities = rng.normal(size=(20, 40))
    expressions = random_expressions(rng, 20, artist.file)
    expressions[:10] = 0
    faces = [artist.face(*pair) for pair in zip(identities, expressions, strict=True)]
    pictures["random"] = sheet([artist.draw(face) for face in faces], 10)

    rows = []
    for points in POINTS:
        dotted = Artist(points)
        rows += [dotted.draw(mean, yaw, dots=True, **large) for yaw in (0, -45, -90)]  # type: ignore[arg-type]
    pictures["landmarks"] = sheet(rows, 3)

    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        path = folder / f"open-face-{name}.png"
        Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
