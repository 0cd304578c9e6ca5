"""Soft regions of the open face, as weights 0..1 of its vertices: loops of the mesh, or fields around measured points."""

import numpy as np

from .makehuman import BaseMesh
from .topology import Layout, edge_loop, flood, walls_of

NAMES = ("skin", "lips", "lids", "ears", "nose", "mouth", "forehead", "brows", "cheeks", "chin", "jaw")
# One edge of each loop around the lips and around the right eye, and how much of the region it is.
LIP_LOOPS = {(455, 454): 0.5, (466, 463): 1.0}
LID_LOOPS = {(4891, 4875): 0.25, (101, 65): 0.6, (100, 64): 1.0}
EAR_LOOPS = {(5765, 5769): 0.25, (5739, 5745): 0.7}
IN_LIPS, IN_LIDS, IN_EAR = 468, 4872, 5601


def region_weights(mesh: BaseMesh, layout: Layout, mean: np.ndarray, points: dict[str, np.ndarray]) -> np.ndarray:
    """(N, R) float64, columns as in NAMES; 0 off the face part. mean: (N, 3) mm; points: measured on it."""
    loops = {
        "lips": _inside(mesh, layout, LIP_LOOPS, IN_LIPS),
        "lids": _inside(mesh, layout, LID_LOOPS, IN_LIDS),
        "ears": _inside(mesh, layout, EAR_LOOPS, IN_EAR),
    }
    fields = _fields(mean, points)
    face = np.arange(len(mean)) < layout.vertex_ranges[0, 1]
    free = face * (1 - loops["ears"])
    regions = {name: field * free for name, field in fields.items()} | loops
    regions["skin"] = face * (1 - loops["lips"])
    return np.stack([regions[name] for name in NAMES], axis=1)


def _inside(mesh: BaseMesh, layout: Layout, loops: dict[tuple[int, int], float], seed: int) -> np.ndarray:
    """Weights (N,): 1 inside the last of the loops, its own weight on each, and the same on the left side."""
    quads = mesh.quads[mesh.groups == "body"]
    by_source = np.zeros(len(mesh.vertices))
    rings = {edge: edge_loop(quads, *edge) for edge in loops}
    innermost = list(rings.values())[-1]
    by_source[quads[flood(quads, seed, walls_of(innermost))]] = 1
    for edge, ring in rings.items():
        by_source[ring] = loops[edge]
    by_source = np.maximum(by_source, by_source[mesh.mirror])
    face = np.arange(len(layout.sources)) < layout.vertex_ranges[0, 1]
    return by_source[layout.sources] * face


def _fields(mean: np.ndarray, points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    across, height = np.abs(mean[:, 0]), mean[:, 1]
    side = {name: abs(point[0]) for name, point in points.items()}
    level = {name: point[1] for name, point in points.items()}
    nose_width = np.interp(
        height, [level["subnasale"], level["alare"], level["sellion"]], [side["alare"], side["alare"] + 2, 9.0]
    )
    brow_height = level["glabella"] + 4 - ((across - 30) / 30) ** 2 * 5
    nose = (
        _below(across, nose_width, 3) * _above(height, level["subnasale"], 2) * _below(height, level["sellion"] + 4, 5)
    )
    mouth = (
        _below(across, side["cheilion"] + 5, 5)
        * _above(height, level["sublabiale"], 4)
        * _below(height, level["subnasale"], 3)
    )
    front = _above(mean[:, 2], points["tragion"][2] + 15, 15)
    chin = _below(across, side["cheilion"], 8) * _below(height, level["sublabiale"], 4)
    return {
        "nose": nose,
        "mouth": mouth,
        "forehead": _above(height, level["glabella"] + 8, 6) * front,
        "brows": _below(np.abs(height - brow_height), 5.0, 3)
        * _above(across, 9.0, 3)
        * _below(across, 54.0, 5)
        * front,
        "cheeks": _below(height, level["lid_lower"] - 8, 5)
        * _above(height, level["stomion_upper"], 8)
        * (1 - np.maximum(nose, mouth))
        * _above(across, side["endocanthion"] - 4, 4)
        * front,
        "chin": chin,
        "jaw": _below(height, level["stomion_upper"] - 8, 8) * (1 - chin) * (1 - mouth),
    }


def _above(values: np.ndarray, limit: float | np.ndarray, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-4 * (values - limit) / width))


def _below(values: np.ndarray, limit: float | np.ndarray, width: float) -> np.ndarray:
    return _above(-values, -limit, width)
