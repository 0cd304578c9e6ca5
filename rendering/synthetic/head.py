"""What all synthetic faces share: the open model's whole head, and fields on it that never change.

Lengths are millimetres of the model frame (x right, y up, z to the viewer); "rest" is the mean head.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ...models.morphable import MorphableModel
from ...models.open_face.asset import OpenFaceFile, load_open_face
from . import fields, masks

MM = 1e-3  # millimetres a micrometre
NOISE = 1 << 20  # random numbers kept
BROW_REACH = 6.0  # mm
ROOTS = 40_000  # places where hair may grow, over the whole head


@dataclass(frozen=True, eq=False)
class Roots:
    """Random places on the skin, evenly spread, in random order. corners: (n, 3) vertex indices. weights: (n, 3)
    float32, of the corners. rest: (n, 3) float32, mm, on the mean head."""

    corners: np.ndarray
    weights: np.ndarray
    rest: np.ndarray

    def pick(self, chosen: np.ndarray) -> "Roots":
        return Roots(self.corners[chosen], self.weights[chosen], self.rest[chosen])

    def on(self, values: np.ndarray) -> np.ndarray:
        """Values of the vertices (N, C) at the roots: (n, C)."""
        return np.einsum("nk,nkc->nc", self.weights, values[self.corners])


@dataclass(frozen=True, eq=False)
class BrowRoots:
    """Where brows may grow. away: (n,) mm from their line. along: (n,) 0..1 from the nose outwards."""

    roots: Roots
    away: np.ndarray
    along: np.ndarray


@dataclass(frozen=True, eq=False)
class Head:
    """The open model with all its parts, and fields of its vertices.

    model: with parts, in the drawn level. truth: the level 1 model that labels are of. file: the model's file.
    part: (N,) int8, index into part_names. rest, normals: (N, 3) float32. masks: soft regions by name, (N,) float32,
    0..1. fields: one (N, F) float32 for each of FIELD_SCALES, random and smooth, of unit spread. openness: (N,) float32,
    the share of light that gets to each vertex. places: (N, 3) float32, mm: of eyes the direction from their centre, of
    the rest where they are. normal_sum: (N, T) sparse, adds triangles' normals up at vertices; vertices on a seam share.
    roots, brows: where hair may grow. rim: the vertices around the end of the neck, in order. landmarks: (68, 3)
    float32, mm, semantic, on the mean head. brow_distance: (N,) float32, mm to the nearer brow's line. table: noise.
    """

    model: MorphableModel
    truth: MorphableModel
    file: OpenFaceFile
    part: np.ndarray
    part_names: tuple[str, ...]
    rest: np.ndarray
    normals: np.ndarray
    masks: dict[str, np.ndarray]
    fields: tuple[np.ndarray, ...]
    normal_sum: sparse.csr_array
    roots: Roots
    rim: np.ndarray
    landmarks: np.ndarray
    brow_distance: np.ndarray
    brows: BrowRoots
    openness: np.ndarray
    places: np.ndarray
    table: np.ndarray

    def field(self, rng: np.random.Generator, scale: int) -> np.ndarray:
        """A new random smooth field of unit spread: (N,) float32."""
        weights = rng.normal(size=fields.FIELDS_PER_SCALE).astype(np.float32)
        return self.fields[scale] @ (weights / np.linalg.norm(weights))

    def noise(self, rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
        """Noise of unit spread, (rows, columns) float32: a piece of a table, many times as fast as drawing it."""
        start = int(rng.integers(len(self.table)))
        return self.table.take(np.arange(start, start + rows * columns), mode="wrap").reshape(rows, columns)

    def vertex_normals(self, vertices: np.ndarray) -> np.ndarray:
        """Outward unit normals (N, 3) float32 of vertices (N, 3), y up."""
        return normals_of(vertices, self.model.triangles, self.normal_sum)

    def of_part(self, name: str) -> np.ndarray:
        """Which vertices are the part's: (N,) bool."""
        return self.part == self.part_names.index(name)


def normals_of(vertices: np.ndarray, triangles: np.ndarray, normal_sum: sparse.csr_array) -> np.ndarray:
    a = vertices[triangles[:, 0]]
    u, v = vertices[triangles[:, 1]] - a, vertices[triangles[:, 2]] - a
    flat = np.empty_like(u)
    for axis in range(3):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        flat[:, axis] = u[:, one] * v[:, two] - u[:, two] * v[:, one]
    normals = normal_sum @ flat
    return normals / np.maximum(np.sqrt(np.einsum("nc,nc->n", normals, normals)), 1e-12)[:, None]


@lru_cache(maxsize=2)
def load_head(level: int = 1, identity: int = 40, expression: int = 10, points: str = "semantic") -> Head:
    """The head at a level of subdivision, with everything that does not depend on the face."""
    file = OpenFaceFile()
    model = load_open_face(level=level, n_identity=identity, n_expression=expression, parts=True)
    truth = load_open_face(level=1, points=points)  # all components: fewer would have another basis id
    rest = model.mean * np.float32(MM)
    regions, part = _soft_regions(file, level)
    normal_sum = _normal_sum(model.triangles, rest)
    normals = normals_of(rest, model.triangles, normal_sum)
    rng = np.random.default_rng(20)
    landmarks = (truth.with_points("semantic").landmarks(np.zeros(0), np.zeros(0)) * MM).astype(np.float32)
    roots = _roots(rest, model.triangles, part, rng)
    return Head(
        table=rng.standard_normal(NOISE, np.float32),
        model=model,
        truth=truth,
        file=file,
        part=part,
        part_names=file.part_names,
        rest=rest,
        normals=normals,
        masks=masks.skin_masks(rest, part, regions, landmarks),
        fields=tuple(fields.random_fields(rest, scale, rng) for scale in fields.FIELD_SCALES),
        openness=fields.openness(rest, part, file.part_names, fields.occlusion(rest, normals, model.triangles)),
        places=fields.places(rest, part, file.part_names),
        normal_sum=normal_sum,
        roots=roots,
        brows=_brow_roots(roots, landmarks),
        rim=_neck_rim(model.triangles, rest, part),
        landmarks=landmarks,
        brow_distance=_brow_distance(rest, landmarks),
    )


def _soft_regions(file: OpenFaceFile, level: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The file's regions as weights 0..1 of the vertices of a level, and each vertex's part."""
    columns, parts = [], []
    for number, part in enumerate(file.part_names):
        first, last = file.arrays["part_vertices"][number]
        weights = file.arrays["regions"][first:last].astype(np.float32) / 255
        for step in file.steps(part, level):
            weights = (step.matrix @ weights).astype(np.float32)
        columns.append(weights)
        parts.append(np.full(len(weights), number, np.int8))
    together = np.concatenate(columns)
    return {name: together[:, i] for i, name in enumerate(file.region_names)}, np.concatenate(parts)


def _normal_sum(triangles: np.ndarray, rest: np.ndarray) -> sparse.csr_array:
    _, seam = np.unique(np.rint(rest * 100).astype(np.int64), axis=0, return_inverse=True)
    rows = seam.ravel()[triangles.ravel()]
    columns = np.repeat(np.arange(len(triangles)), 3)
    summed = sparse.csr_array(
        (np.ones(len(rows), np.float32), (rows, columns)), shape=(int(seam.max()) + 1, len(triangles))
    )
    return sparse.csr_array(summed[seam.ravel()])


def _brow_roots(roots: Roots, landmarks: np.ndarray) -> BrowRoots:
    curve = landmarks[17:22][::-1]  # from the nose outwards, at negative x
    mirrored = roots.rest.copy()
    mirrored[:, 0] = -np.abs(mirrored[:, 0])
    near = np.flatnonzero(masks.curve_distance(mirrored, curve)[0] < BROW_REACH)
    return BrowRoots(roots.pick(near), *masks.curve_distance(mirrored[near], curve))


def _brow_distance(rest: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    left, right = landmarks[17:22], landmarks[22:27]
    return np.minimum(masks.curve_distance(rest, left)[0], masks.curve_distance(rest, right)[0])


def _roots(rest: np.ndarray, triangles: np.ndarray, part: np.ndarray, rng: np.random.Generator) -> Roots:
    skin = triangles[np.isin(part[triangles[:, 0]], (0, part.max()))]  # the face and the rest of the head
    a, b, c = (rest[skin[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(skin), ROOTS, p=area / area.sum())
    weights = rng.dirichlet((1, 1, 1), ROOTS).astype(np.float32)
    return Roots(skin[chosen], weights, np.einsum("nk,nkc->nc", weights, rest[skin[chosen]]))


def _neck_rim(triangles: np.ndarray, rest: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The vertices around the lower end of the neck, in order around it: (n,) int64."""
    sides = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, uses = np.unique(sides, axis=0, return_counts=True)
    seam = cKDTree(rest).query_pairs(0.005, output_type="ndarray")
    loose = np.setdiff1d(edges[uses == 1], seam)
    loose = loose[part[loose] == part.max()]
    centre = rest[loose].mean(axis=0)
    return loose[np.argsort(np.arctan2(rest[loose, 0] - centre[0], rest[loose, 2] - centre[2]))]
