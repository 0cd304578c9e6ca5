"""Where the 68 points of iBUG lie on the open face: two lists, chosen by looking at the mesh.

A point is one, two or four hm08 vertices: that vertex, the point of that edge, or the point of that quad after one
Catmull-Clark step, so that from level 1 on every landmark is a vertex. Only the right side and the midline are written
down; the left side is the mirror image.
"""

import numpy as np

from .makehuman import BaseMesh
from .topology import Layout

MIRRORED = {
    **{left: 16 - left for left in range(9, 17)},
    **{22 + i: 21 - i for i in range(5)},
    **{35: 31, 34: 32},
    **{42: 39, 43: 38, 44: 37, 45: 36, 46: 41, 47: 40},
    **{52: 50, 53: 49, 54: 48, 55: 59, 56: 58, 63: 61, 64: 60, 65: 67},
}
SEMANTIC = {
    # Jaw: even steps along the outline seen from the front, from the ear's notch (iBUG's first point lies 7 mm below the
    # outer canthi on average) to below the chin.
    0: (5402, 5411),
    1: (859,),
    2: (866, 869),
    3: (911, 912),
    4: (739, 740, 894, 895),
    5: (741, 742, 892, 893),
    6: (3696, 3697, 743, 891),
    7: (914, 921),
    8: (732,),
    # Brow: along the ridge.
    17: (261, 262),
    18: (225, 232),
    19: (222, 224),
    20: (205, 223),
    21: (208,),
    # Nose: sellion to tip in even steps; base from the foot of the wing to the septum.
    27: (133,),
    28: (131,),
    29: (201,),
    30: (297,),
    31: (286, 358),
    32: (313, 314),
    33: (317, 343),
    # Eye: canthi, and lid margins at thirds of the opening.
    36: (21,),
    37: (4848,),
    38: (4865,),
    39: (6764,),
    40: (47,),
    41: (41,),
    # Mouth, outside: commissure, and the border of the vermilion.
    48: (422,),
    49: (5354,),
    50: (450,),
    51: (455,),
    57: (492,),
    58: (486,),
    59: (406, 480),
    # Mouth, inside: where the lips meet.
    60: (433,),
    61: (471, 472),
    62: (474,),
    66: (493,),
    67: (487,),
}
TRANSFERRED = {
    0: (5739, 5427, 5566, 5745),
    1: (5727,),
    2: (866,),
    3: (911,),
    4: (739, 740),
    5: (741, 742),
    6: (891, 3697),
    7: (914,),
    8: (732, 5296),
    17: (261, 262),
    18: (225, 232),
    19: (222, 224),
    20: (222, 204, 205, 223),
    21: (205, 208),
    27: (134,),
    28: (164, 5063),
    29: (291, 5134),
    30: (297,),
    31: (333, 334),
    32: (285, 359, 314, 313),
    33: (317, 343),
    36: (86, 4881),
    37: (4850,),
    38: (1056,),
    39: (1076,),
    40: (6772, 6774),
    41: (37, 34, 35, 38),
    48: (3734, 3735, 425, 500),
    49: (447,),
    50: (450, 456),
    51: (455,),
    57: (492, 496),
    58: (486, 490),
    59: (477, 478, 484, 483),
    60: (430, 433),
    61: (462, 459, 471, 472),
    62: (468,),
    66: (493, 494),
    67: (487, 481, 482, 488),
}
LISTS = {"semantic": SEMANTIC, "transferred": TRANSFERRED}


def landmark_vertices(name: str, mesh: BaseMesh, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """The list's points as vertices of the face: ids (68, 4) int32, unused places 0, and weights (68, 4) float32."""
    place = layout.place()
    ids, weights = np.zeros((68, 4), np.int32), np.zeros((68, 4), np.float32)
    for landmark in range(68):
        sources = LISTS[name][MIRRORED.get(landmark, landmark)]
        if landmark in MIRRORED:
            sources = tuple(int(mesh.mirror[source]) for source in sources)
        ids[landmark, : len(sources)] = [place[source] for source in sources]
        weights[landmark, : len(sources)] = 1 / len(sources)
    return ids, weights
