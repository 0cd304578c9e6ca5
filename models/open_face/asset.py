"""The open face model's file as a MorphableModel, at any level of subdivision."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ..errors import FileError, NamesError, SettingsError, ShapeError
from ..files import read_bytes
from ..morphable import MorphableModel
from .subdivision import Subdivision, catmull_clark, mirrored, triangulate

FORMAT, VERSION = "twodasl-open-face", 1
MODEL_NAME = "open face v1"
LEVELS = (0, 1, 2)
POINTS = ("semantic", "transferred")


class OpenFaceFile:
    """The model's file, read whole: `arrays` by name, `texts` (the attributes). docs/open-face.md lists them.

    Raises FileError for a missing, damaged or foreign file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(str(resources.files("twodasl.models") / "assets" / "open_face_v1.h5"))
        with _opened(self.path) as file:
            self.texts: dict[str, Any] = dict(file.attrs)
            self.arrays: dict[str, np.ndarray] = {}
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
            for name in names:
                self.arrays[name] = file[name][()]
            self.part_names, self.region_names, self.unit_names = (
                tuple(str(name) for name in self.texts[f"{kind}_names"]) for kind in ("part", "region", "unit")
            )

    def basis(self, kind: str, count: int | None = None) -> np.ndarray:
        """The first `count` shapes of `identity`, `expression` or `units`: (N, 3, count) float32, micrometres."""
        shapes, scales = self.arrays[kind], self.arrays[f"{kind}_scale"]
        count = len(shapes) if count is None else count
        if not 0 <= count <= len(shapes):
            raise SettingsError(f"{count} {kind} components were asked for; {MODEL_NAME} has {len(shapes)}")
        return np.moveaxis(shapes[:count].astype(np.float32) * scales[:count, None, None], 0, -1)

    def steps(self, part: str, level: int) -> tuple[Subdivision, ...]:
        """The Catmull-Clark steps of a part, from its base mesh up to `level`."""
        number = self.part_names.index(part)
        start, stop = self.arrays["part_vertices"][number]
        count, quads = int(stop - start), self.base_quads(part)
        steps: list[Subdivision] = []
        for _ in range(level):
            steps.append(catmull_clark(quads, count))
            count, quads = steps[-1].matrix.shape[0], steps[-1].quads
        return tuple(steps)

    def base_quads(self, part: str) -> np.ndarray:
        """The quads of a part's base mesh, (Q, 4) int32, counted from the part's first vertex."""
        number = self.part_names.index(part)
        first, last = self.arrays["part_quads"][number]
        return self.arrays["quads"][first:last] - self.arrays["part_vertices"][number, 0]

    @cached_property
    def landmark_lists(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Both lists at level 0: ids (68, 4) int32 and weights (68, 4) float32."""
        return {
            name: (self.arrays[f"landmarks/{name}/ids"], self.arrays[f"landmarks/{name}/weights"]) for name in POINTS
        }


def load_open_face(
    path: Path | None = None,
    level: int = 1,
    n_identity: int = 40,
    n_expression: int = 10,
    parts: bool = False,
    points: str = "semantic",
) -> MorphableModel:
    """The open face model: from `path`, or the one in the package.

    level: Catmull-Clark steps, 0, 1 or 2: 2,790, 10,982 or 43,566 vertices. n_identity, n_expression: the first
    components, up to 80 and 20. parts: also eyes, teeth, tongue, mouth bag and the rest of the head, after the face's
    vertices. points: the list of the 68 landmarks, `semantic` (features as seen) or `transferred` (as in BFM labels).
    Raises FileError for a missing, damaged or foreign file.
    """
    _check_choices(level, points)
    file = OpenFaceFile(path)
    try:
        return _model(file, level, n_identity, n_expression, parts, points)
    except (KeyError, ValueError, IndexError, ShapeError) as error:
        raise FileError(f"{file.path} is a damaged open face model: {error}") from error


def landmark_points(level: int = 1, name: str = "semantic", path: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The 68 landmarks at a level as weighted vertices: ids (68, k) int32, weights (68, k) float32, rows sum to 1.

    At level 0 k is 4: a landmark is a vertex, the middle of an edge or of a quad. From level 1 on k is 1.
    """
    _check_choices(level, name)
    file = OpenFaceFile(path)
    ids, weights = file.landmark_lists[name]
    if level == 0:
        return ids, weights
    step = file.steps("face", 1)[0]
    found = _vertices_of(ids, weights, step, file.base_quads("face"))
    return found[:, None], np.ones((68, 1), np.float32)


def random_expressions(rng: np.random.Generator, count: int, file: OpenFaceFile, n_expression: int = 10) -> np.ndarray:
    """Believable expression coefficients, (count, n_expression) float64: mixes of the named units, none negative."""
    from .expressions import draw_amounts

    return draw_amounts(rng, count, file.unit_names) @ file.arrays["unit_coefficients"][:, :n_expression]


def _model(
    file: OpenFaceFile, level: int, n_identity: int, n_expression: int, parts: bool, points: str
) -> MorphableModel:
    shapes = [
        file.arrays["mean"][:, :, None],
        file.basis("identity", n_identity),
        file.basis("expression", n_expression),
    ]
    base = np.concatenate(shapes, axis=2)
    chosen = file.part_names if parts else file.part_names[:1]
    meshes = [_part(file, part, level, base) for part in chosen]
    starts = dict(zip(chosen, np.cumsum([0, *(len(mesh.shapes) for mesh in meshes)])[:-1].tolist(), strict=True))
    together = np.concatenate([mesh.shapes for mesh in meshes])
    mean, basis = np.ascontiguousarray(together[:, :, 0]), np.ascontiguousarray(together[:, :, 1:])
    low, high = meshes[0].shapes[:, :, 0].min(axis=0), meshes[0].shapes[:, :, 0].max(axis=0)
    lists = {name: _landmark_ids(file, name, level) for name in POINTS}
    return MorphableModel(
        mean=mean,
        identity_basis=basis[:, :, :n_identity],
        expression_basis=basis[:, :, n_identity:],
        triangles=np.concatenate([mesh.triangles + starts[part] for part, mesh in zip(chosen, meshes, strict=True)]),
        landmark_ids=lists[points],
        named_landmarks=lists,
        basis_landmark_ids=lists["semantic"],
        uv=np.concatenate([mesh.uv for mesh in meshes]),
        pncc=np.clip((mean - low) / (high - low), 0, 1),
        symmetry=np.concatenate([mesh.images + starts[mesh.image] for mesh in meshes]).astype(np.int32),
        segments=np.concatenate([mesh.regions > 0.5 for mesh in meshes]),
        segment_names=file.region_names,
        identity_sigma=np.ones(n_identity, np.float32),
        expression_sigma=np.ones(n_expression, np.float32),
        name=str(file.texts["name"]),
        source=str(file.texts["provenance"]),
        terms=str(file.texts["licence"]),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """A part at one level. shapes: (n, 3, 1 + K + L) float32, mean and bases. uv: (n, 2). regions: (n, R) 0..1.
    triangles: (t, 3), from 0. image: the part that is its mirror image; images: (n,), each vertex's in that part."""

    shapes: np.ndarray
    uv: np.ndarray
    regions: np.ndarray
    triangles: np.ndarray
    image: str
    images: np.ndarray


def _part(file: OpenFaceFile, part: str, level: int, base: np.ndarray) -> _Part:
    start, stop = file.arrays["part_vertices"][file.part_names.index(part)]
    steps = file.steps(part, level)
    matrix = sparse.csr_array(sparse.eye_array(int(stop - start)))
    for step in steps:
        matrix = sparse.csr_array(step.matrix @ matrix)
    single = matrix.astype(np.float32)
    shapes = (single @ base[start:stop].reshape(stop - start, -1)).reshape(-1, 3, base.shape[2])
    quads = steps[-1].quads if steps else file.base_quads(part)
    return _Part(
        shapes,
        np.asarray(single @ file.arrays["uv"][start:stop]),
        np.asarray(single @ (file.arrays["regions"][start:stop] / np.float32(255))),
        triangulate(quads, shapes[:, :, 0]),
        *_part_symmetry(file, part, steps),
    )


def _landmark_ids(file: OpenFaceFile, name: str, level: int) -> np.ndarray:
    """One vertex for each landmark, (68,) int32: exact from level 1 on, a corner of its edge or quad at level 0."""
    ids, weights = file.landmark_lists[name]
    if level == 0:
        return ids[:, 0]
    return _vertices_of(ids, weights, file.steps("face", 1)[0], file.base_quads("face"))


def _vertices_of(ids: np.ndarray, weights: np.ndarray, step: Subdivision, quads: np.ndarray) -> np.ndarray:
    """The vertex after one step for each vertex, edge or quad, given by 1, 2 or 4 ids: (L,) int32."""
    count = step.matrix.shape[0] - len(step.edges) - len(quads)
    edge_number = {tuple(edge): i for i, edge in enumerate(step.edges.tolist())}
    quad_number = {tuple(sorted(quad)): i for i, quad in enumerate(quads.tolist())}
    found = []
    for row, shares in zip(ids.tolist(), weights, strict=True):
        used = tuple(sorted(vertex for vertex, share in zip(row, shares, strict=True) if share))
        if len(used) == 1:
            found.append(used[0])
        elif len(used) == 2:
            found.append(count + edge_number[used])
        else:
            found.append(count + len(step.edges) + quad_number[used])
    return np.array(found, np.int32)


def _part_symmetry(file: OpenFaceFile, part: str, steps: tuple[Subdivision, ...]) -> tuple[str, np.ndarray]:
    """Which part is this one's mirror image, and each vertex's image in it, counted from that part's first vertex."""
    ranges = file.arrays["part_vertices"]
    start, stop = ranges[file.part_names.index(part)]
    images = file.arrays["symmetry"][start:stop]
    other = file.part_names[int(np.flatnonzero((images[0] >= ranges[:, 0]) & (images[0] < ranges[:, 1]))[0])]
    current = images - ranges[file.part_names.index(other), 0]
    theirs = steps if other == part else file.steps(other, len(steps))
    mine_quads, their_quads = file.base_quads(part), file.base_quads(other)
    for mine, their in zip(steps, theirs, strict=True):
        current = mirrored(mine, mine_quads, their, their_quads, current)
        mine_quads, their_quads = mine.quads, their.quads
    return other, current


def _check_choices(level: int, points: str) -> None:
    if level not in LEVELS:
        raise SettingsError(f"level is {level}; the open face model has levels {', '.join(map(str, LEVELS))}")
    if points not in POINTS:
        raise NamesError(f"the open face model has no landmarks called '{points}'; it has {', '.join(POINTS)}")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py

    read_bytes(path)  # says so where the file is missing, unreadable or empty
    try:
        with h5py.File(path, "r") as file:
            found, version = file.attrs.get("format"), file.attrs.get("version")
            if found != FORMAT:
                raise FileError(f"{path} holds no open face model: its format is {found!r}, {FORMAT!r} is expected")
            if not isinstance(version, int | np.integer) or version > VERSION:
                raise FileError(f"{path} has format version {version}, this program reads up to {VERSION}")
            yield file
    except (OSError, KeyError) as error:
        raise FileError(f"{path} is damaged: {error}") from error
