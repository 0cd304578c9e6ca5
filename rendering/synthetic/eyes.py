"""Eyes and teeth, painted pixel by pixel."""

from dataclasses import dataclass

import numpy as np

from .hair import linear

IRIS = ((46, 28, 18), (72, 44, 26), (98, 66, 36), (110, 98, 56), (88, 108, 84), (84, 116, 142), (118, 140, 156))
IRIS_SHARES = np.array([4, 4, 2.5, 1.2, 0.8, 1.2, 0.8])


@dataclass(frozen=True)
class Eyes:
    """gaze: (3,) unit, the head's frame. iris, pupil: their half angles as seen from the eye's centre, radians.
    iris_color, white: linear RGB."""

    gaze: np.ndarray
    iris: float
    pupil: float
    iris_color: np.ndarray
    white: np.ndarray


def draw_eyes(rng: np.random.Generator, turned_degrees: tuple[float, float], lightness: float) -> Eyes:
    """turned_degrees: the head's yaw and pitch; eyes often look back at the camera. lightness: of the skin, linear;
    dark skin comes with brown eyes mostly."""
    yaw, pitch = turned_degrees
    back = rng.uniform(0, 1) if rng.random() < 0.6 else 0.0
    across = np.clip(np.deg2rad(yaw) * back + rng.normal(0, 0.12), -0.55, 0.55)
    up = np.clip(np.deg2rad(-pitch) * 0.5 * back + rng.normal(-0.02, 0.07), -0.3, 0.25)
    gaze = np.array([np.sin(across), np.sin(up), np.cos(across)])
    shares = IRIS_SHARES * np.where(np.arange(len(IRIS)) > 1, min(1, 4 * lightness**1.5), 1)
    color = np.array(IRIS[int(rng.choice(len(IRIS), p=shares / shares.sum()))], float)
    return Eyes(
        gaze=(gaze / np.linalg.norm(gaze)).astype(np.float32),
        iris=rng.uniform(0.44, 0.5),
        pupil=rng.uniform(0.13, 0.24),
        iris_color=linear(color * rng.uniform(0.8, 1.25, 3) ** 0.5),
        white=linear(np.array([206, 198, 192]) * rng.uniform(0.82, 1.05) + rng.normal(0, 3, 3)),
    )


def paint_eyes(direction: np.ndarray, eyes: Eyes) -> np.ndarray:
    """Albedo of the eyeball seen in these directions from its centre, (P, 3) float32, the head's frame: (P, 3)."""
    unit = direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
    angle = np.arccos(np.clip(unit @ eyes.gaze, -1, 1))
    turn = np.arctan2(unit[:, 1] - eyes.gaze[1], unit[:, 0] - eyes.gaze[0])
    fibres = 1 + 0.18 * np.sin(turn * 23) * np.sin(turn * 9 + 1)
    across = angle / eyes.iris
    shade = (fibres * np.interp(across, [0, 0.45, 0.8, 1.0], [0.75, 1.25, 0.95, 0.3]))[:, None]
    iris = eyes.iris_color * shade
    pink = np.clip((angle - 0.75) * 1.3, 0, 0.6)[:, None]
    white = eyes.white * (1 - pink * [0.1, 0.45, 0.42])
    albedo = np.where((across < 1.04)[:, None], iris, white)
    albedo = np.where((angle < eyes.pupil)[:, None], 0.004, albedo)
    return albedo.astype(np.float32)


def tooth_gaps(rest: np.ndarray) -> np.ndarray:
    """How light teeth are between their gaps: (P,) float32. rest: (P, 3) mm, the mean head's frame."""
    along = np.abs(rest[:, 0])
    width = np.interp(along, [0, 10, 20, 34], [8.4, 7.0, 7.4, 9.0])
    phase = np.abs(np.mod(along / width, 1.0) - 0.5) * 2  # 1 at a gap
    return (1 - 0.5 * np.clip((phase - 0.8) / 0.2, 0, 1)).astype(np.float32)
