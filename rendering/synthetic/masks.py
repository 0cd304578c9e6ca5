"""Where on the head things are: soft regions of the mean head, as weights 0..1 of its vertices."""

from itertools import pairwise

import numpy as np

AXIS_Z = -5.0  # mm, the upright axis that azimuth is measured about


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 at `low`, 1 at `high`, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def azimuth(points: np.ndarray) -> np.ndarray:
    """How far to the side points (n, 3) lie: (n,), 0 in front, pi behind, the same left and right."""
    return np.arctan2(np.abs(points[:, 0]), points[:, 2] - AXIS_Z)


def curve_distance(points: np.ndarray, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of points (n, 3) to a polyline (k, 3), and how far along it the nearest place is, 0..1."""
    best, along = np.full(len(points), np.inf), np.zeros(len(points))
    for start, (a, b) in enumerate(pairwise(curve)):
        side = b - a
        share = np.clip((points - a) @ side / (side @ side), 0, 1)
        distance = np.linalg.norm(points - a - share[:, None] * side, axis=1)
        nearer = distance < best
        best[nearer], along[nearer] = distance[nearer], (start + share[nearer]) / (len(curve) - 1)
    return best.astype(np.float32), along.astype(np.float32)


def skin_masks(
    rest: np.ndarray, part: np.ndarray, regions: dict[str, np.ndarray], landmarks: np.ndarray
) -> dict[str, np.ndarray]:
    """Soft regions by name, (N,) float32 each. rest: (N, 3), mm. landmarks: (68, 3), mm, semantic."""

    def spot(centre: np.ndarray, reach: float) -> np.ndarray:
        return np.exp(-(np.linalg.norm(rest - centre, axis=1) ** 2) / (2 * reach**2))

    def line(curve: np.ndarray, reach: float) -> np.ndarray:
        return np.exp(-(curve_distance(rest, curve)[0] ** 2) / (2 * reach**2))

    def both_spots(centre: np.ndarray, reach: float) -> np.ndarray:
        return np.maximum(spot(centre, reach), spot(centre * [-1, 1, 1], reach))

    def mirrored(curve: np.ndarray, reach: float) -> np.ndarray:
        return np.maximum(line(curve, reach), line(curve * [-1, 1, 1], reach))

    face = (part == 0).astype(np.float32)
    eye = landmarks[36:42].mean(axis=0)  # the one at negative x
    bag = landmarks[[36, 41, 40, 39]] + [0, -6, 1]
    crease = landmarks[[36, 37, 38, 39]] + [0, 3.5, 1]
    fold = np.array([landmarks[31] + [-5, 4, 0], landmarks[31] + [-11, -8, 0], landmarks[48] + [-7, 2, 0]])
    upper_lip = line(np.array([landmarks[48] + [-3, -1, 0], landmarks[50] + [0, 6, 0], landmarks[52] + [0, 6, 0],
                               landmarks[54] + [3, -1, 0]]), 4.5)  # fmt: skip
    goatee = spot(landmarks[8] + [0, 6, 6], 15)
    jaw = np.maximum(regions["jaw"], regions["chin"])
    height = rest[:, 1]
    sides = smoothstep(azimuth(rest), 0.75, 1.1) * smoothstep(height, -60, -50) * smoothstep(-height, -22, -8)
    beard = np.clip(np.maximum(jaw, sides * (1 - regions["ears"])) * smoothstep(-height, -8, 22), 0, 1)
    forehead = smoothstep(height, 50, 62) * smoothstep(-azimuth(rest), -0.9, -0.5)
    found = {
        **regions,
        "face": face,
        "cheek": both_spots(eye + np.array([-8, -32, 0]), 16),
        "nose_tip": spot(landmarks[30], 11),
        "under_eye": mirrored(bag, 3.5),
        "eyelid": mirrored(crease, 3.5),
        "socket": both_spots(eye + np.array([0, 5, 4]), 14),
        "lash_line": mirrored(landmarks[36:40], 1.3),
        "fold": mirrored(fold, 2.2),
        "moustache": upper_lip * (1 - regions["lips"]) * face,
        "goatee": goatee * (1 - regions["lips"]),
        "beard": beard * (1 - regions["lips"]),
        "frown_lines": forehead * (0.5 + 0.5 * np.cos(height / 8.5 * 2 * np.pi + rest[:, 0] ** 2 / 400)),
    }
    return {name: np.asarray(weights, np.float32) for name, weights in found.items()}
