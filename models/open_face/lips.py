"""Closing the lips: the base mesh and its sliders leave a gap of up to 2 mm, through which a neutral face shows light.

One fixed linear operator on vertices brings the lips together, the same on every face, so the model stays linear.
"""

import numpy as np
from scipy import sparse

from .topology import Layout, edge_loop

# One edge on the midline of each loop around the mouth, from the skin inwards, and how far it follows the gap's middle.
LOOPS = {
    (455, 454): 0.0,
    (466, 463): 0.06,
    (467, 464): 0.2,
    (509, 508): 0.5,
    (468, 465): 0.85,
    (474, 473): 1.0,
    (520, 521): 1.0,
    (537, 538): 1.0,
    (554, 555): 0.8,
    (571, 572): 0.5,
    (588, 589): 0.25,
}
TOUCHING = (520, 521)  # the loop where the lips meet
LOOP_SIZE = 38  # vertices of each loop; the first is the middle of the upper lip
LOWER_MIDDLE = LOOP_SIZE // 2
CORNER = 12.0  # the loop's position of the mouth's corner, counted from the middle of the upper lip


def closing(quads: np.ndarray, base: np.ndarray, layout: Layout) -> sparse.csr_array:
    """The operator K: `K @ faces` closes the lips of faces (N, 3), moving heights only. Apply it to y alone.

    quads: hm08's body quads. base: (19158, 3) mm, the base mesh, on which each vertex of the touching loop is paired
    with the place opposite on the other lip.
    """
    touching = edge_loop(quads, *TOUCHING)
    upper = touching[: int(CORNER) + 1]
    lower = touching[LOWER_MIDDLE : int(CORNER) - 1 : -1]
    gaps = {}  # position on the loop -> (vertex, weight) rows of half the gap to the other lip, upwards
    for position in range(LOWER_MIDDLE + 1):
        vertex = touching[position]
        other = lower if position <= CORNER else upper
        gaps[position] = [(vertex, -0.5), *((v, 0.5 * w) for v, w in _opposite(base, vertex, other))]
    rows, columns, values = [], [], []
    places = [layout.place(part) for part in ("face", "mouth_bag")]
    source_place = places[0]
    for edge, share in LOOPS.items():
        loop = edge_loop(quads, *edge)
        for position in range(LOOP_SIZE):
            right = min(position, (LOOP_SIZE - position) % LOOP_SIZE)
            for vertex, weight in gaps[right]:
                source = source_place[vertex]
                if right != position:
                    source = int(layout.symmetry[source])
                for place in places:
                    if loop[position] in place:
                        rows.append(place[loop[position]])
                        columns.append(source)
                        values.append(share * weight)
    count = len(layout.sources)
    change = sparse.csr_array((values, (rows, columns)), shape=(count, count))
    return sparse.csr_array(sparse.eye_array(count) + change)


def _opposite(base: np.ndarray, vertex: int, other: list[int]) -> list[tuple[int, float]]:
    """The place on the loop piece `other` at the same distance from the midline: vertices and weights."""
    x = np.abs(base[other, 0])
    order = np.argsort(x)
    across = float(np.clip(abs(base[vertex, 0]), x[order[0]], x[order[-1]]))
    after = int(np.clip(np.searchsorted(x[order], across), 1, len(other) - 1))
    first, second = order[after - 1], order[after]
    share = (across - x[first]) / max(x[second] - x[first], 1e-9)
    return [(other[first], 1 - share), (other[second], share)]
