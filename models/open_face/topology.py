"""Which of the base mesh's quads make the face and its parts: cut along edge loops, so that every rim is smooth."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .makehuman import BaseMesh

# The face's rim on the right side (x < 0): below the chin along the jaw, up in the crease behind the ear, and over the
# hairline, every step along an edge of hm08, on three of its edge loops. The left side is its mirror image.
RIM = (
    *(783, 781, 782, 926, 923, 784, 3694, 927, 775, 761, 762, 745, 748, 996, 738),
    *(932, 5761, 5768, 5753, 5762, 5764, 5770, 5757, 5749, 5747, 5766, 5751, 5760, 5748, 5758, 5756, 5767, 5755, 5765),
    *(5769, 5564, 5563, 5562, 5552, 5551, 5548, 5549, 5555, 5560, 5556, 5554),
)
# One edge of each edge loop that bounds a part: behind the lid margins, inside the lips, in the throat, on the collar.
LID_EDGE, LIP_EDGE, THROAT_EDGE, COLLAR_EDGE = (1106, 1101), (537, 538), (656, 657), (803, 799)
IN_FACE, IN_MOUTH, IN_HEAD = 294, 622, 881  # a vertex of each region
PART_GROUPS = {
    "right_eye": "helper-r-eye",
    "left_eye": "helper-l-eye",
    "upper_teeth": "helper-upper-teeth",
    "lower_teeth": "helper-lower-teeth",
    "tongue": "helper-tongue",
}
PARTS = ("face", *PART_GROUPS, "mouth_bag", "head")


@dataclass(frozen=True, eq=False)
class Layout:
    """The model's vertices and quads, part after part, in the order of PARTS.

    sources: (N,) int64, the hm08 vertex each vertex is; rims are shared by two parts and stand in each.
    quads: (Q, 4) int32, into the model's vertices. symmetry: (N,) int32. uv: (N, 2) float64.
    vertex_ranges, quad_ranges: (P, 2) int32, first and behind the last of each part.
    """

    sources: np.ndarray
    quads: np.ndarray
    symmetry: np.ndarray
    uv: np.ndarray
    vertex_ranges: np.ndarray
    quad_ranges: np.ndarray

    def place(self, part: str = "face") -> dict[int, int]:
        """hm08 vertex -> the model's vertex, in one part."""
        start, stop = self.vertex_ranges[PARTS.index(part)]
        return {int(source): int(start) + i for i, source in enumerate(self.sources[start:stop])}


def lay_out(mesh: BaseMesh) -> Layout:
    """Cut the face and its parts out of the base mesh."""
    chosen = part_quads(mesh)
    sources, quads, symmetry, uv, vertex_ranges, quad_ranges = [], [], [], [], [], []
    start = quad_start = 0
    for part in PARTS:
        rows = chosen[part]
        ids, corners = np.unique(mesh.quads[rows], return_inverse=True)
        place = np.full(len(mesh.vertices), -1)
        place[ids] = start + np.arange(len(ids))
        texture = np.zeros((len(mesh.vertices), 2))
        texture[mesh.quads[rows][::-1].ravel()] = mesh.uv[mesh.uv_quads[rows][::-1].ravel()]
        sources.append(ids)
        quads.append(start + corners.reshape(-1, 4))
        symmetry.append(place[mesh.mirror[ids]])
        uv.append(texture[ids])
        vertex_ranges.append((start, start + len(ids)))
        quad_ranges.append((quad_start, quad_start + len(rows)))
        start, quad_start = start + len(ids), quad_start + len(rows)
    return Layout(
        np.concatenate(sources),
        np.concatenate(quads).astype(np.int32),
        _across_eyes(np.concatenate(symmetry), vertex_ranges, sources, mesh).astype(np.int32),
        np.concatenate(uv),
        np.array(vertex_ranges, np.int32),
        np.array(quad_ranges, np.int32),
    )


def part_quads(mesh: BaseMesh) -> dict[str, np.ndarray]:
    """The rows of `mesh.quads` of each part, (Q,) int64, sorted."""
    body = np.flatnonzero(mesh.groups == "body")
    quads = mesh.quads[body]
    loops = [edge_loop(quads, *edge) for edge in (LID_EDGE, LIP_EDGE, THROAT_EDGE, COLLAR_EDGE)]
    rim = (*RIM, *(int(mesh.mirror[vertex]) for vertex in RIM[-2:0:-1]))
    other_lids = [int(mesh.mirror[vertex]) for vertex in loops[0]]
    walls = set[tuple[int, int]]().union(*map(walls_of, (rim, other_lids, *loops)))
    found = {part: np.flatnonzero(mesh.groups == group) for part, group in PART_GROUPS.items()}
    for part, seed in (("face", IN_FACE), ("mouth_bag", IN_MOUTH), ("head", IN_HEAD)):
        found[part] = body[flood(quads, seed, walls)]
    return found


def edge_loop(quads: np.ndarray, first: int, second: int) -> list[int]:
    """The vertices met by walking on from the edge (first, second), straight across every regular vertex, until the
    loop closes or meets a vertex without four edges."""
    faces_of = defaultdict(set)
    next_to: dict = defaultdict(set)
    for i, face in enumerate(quads.tolist()):
        for k in range(4):
            faces_of[face[k]].add(i)
            next_to[face[k]] |= {face[k - 1], face[(k + 1) % 4]}
    loop = [first, second]
    while len(next_to[loop[-1]]) == 4:
        beside = {vertex for i in faces_of[loop[-2]] & faces_of[loop[-1]] for vertex in quads[i].tolist()}
        ahead = next_to[loop[-1]] - beside
        if len(ahead) != 1 or ahead == {loop[0]}:
            break
        loop += ahead
    return loop


def flood(quads: np.ndarray, vertex: int, walls: set[tuple[int, int]]) -> np.ndarray:
    """The quads reached from those around `vertex` without crossing an edge of `walls`: (K,) int64, sorted."""
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2)
    sides.sort(axis=2)
    beside = defaultdict(list)
    for i, face in enumerate(sides.tolist()):
        for side in face:
            beside[tuple(side)].append(i)
    reached = {int(i) for i in np.flatnonzero((quads == vertex).any(axis=1))}
    waiting = list(reached)
    while waiting:
        for side in map(tuple, sides[waiting.pop()].tolist()):
            if side not in walls:
                new = set(beside[side]) - reached
                reached |= new
                waiting += new
    return np.array(sorted(reached))


def walls_of(loop: Sequence[int]) -> set[tuple[int, int]]:
    """The edges of a closed loop, each with its smaller vertex first."""
    following: Iterable[int] = (*loop[1:], loop[0])
    return {(min(pair), max(pair)) for pair in zip(loop, following, strict=True)}


def _across_eyes(
    symmetry: np.ndarray, ranges: list[tuple[int, int]], sources: list[np.ndarray], mesh: BaseMesh
) -> np.ndarray:
    """The mirror map with each eye's vertices sent to the other eye."""
    right, left = PARTS.index("right_eye"), PARTS.index("left_eye")
    whole = symmetry.copy()
    for here, there in ((right, left), (left, right)):
        images = mesh.mirror[sources[here]]
        whole[slice(*ranges[here])] = ranges[there][0] + np.searchsorted(sources[there], images)
    return whole
