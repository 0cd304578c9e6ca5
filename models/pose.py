"""From the face model to the crop: the camera, its two point conventions, and the head's angles.

Frames (docs/conventions.md): *model* is micrometres, y up. *crop_up* is the 120-pixel crop with y up, as the camera
matrix gives it. *crop* is y down, in the convention of the weights: `3ddfa` keeps x and takes y to 121 - y, which
counts pixels from 1; `3ddfa-v2` takes (x, y) to (x - 1, 120 - y), which counts from 0.
"""

from typing import Literal

import numpy as np

CROP_SIZE = 120

Convention = Literal["3ddfa", "3ddfa-v2"]
CONVENTIONS: tuple[Convention, ...] = ("3ddfa", "3ddfa-v2")

# Points are counted from this index by each convention.
INDEX_BASE = {"3ddfa": 1, "3ddfa-v2": 0}


def crop_up_from_model(vertices: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Pose faces: (..., N, 3) model units by (..., 3, 4) `[M | t]` to (..., N, 3) pixels of the crop, y up."""
    return vertices @ np.swapaxes(pose[..., :3], -1, -2) + pose[..., None, :, 3]


def crop_from_crop_up(points: np.ndarray, convention: Convention) -> np.ndarray:
    """Turn y down: (..., 3) or (..., 2) crop pixels. `3ddfa`: y' = 121 - y; `3ddfa-v2`: x' = x - 1, y' = 120 - y."""
    turned = points.copy()
    turned[..., 1] = CROP_SIZE + INDEX_BASE[convention] - points[..., 1]
    turned[..., 0] += INDEX_BASE[convention] - 1
    return turned


def crop_up_from_crop(points: np.ndarray, convention: Convention) -> np.ndarray:
    """The inverse of `crop_from_crop_up`."""
    turned = points.copy()
    turned[..., 1] = CROP_SIZE + INDEX_BASE[convention] - points[..., 1]
    turned[..., 0] -= INDEX_BASE[convention] - 1
    return turned


def decompose(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale (...,), rotation (..., 3, 3) and translation (..., 3) nearest to the free matrix `[M | t]` (..., 3, 4).

    M is about s R but not constrained to it (paper page, section 1): R is its nearest rotation (SVD) and s the mean of
    its singular values, pixels per micrometre. For reporting only: points are placed with the free matrix.
    """
    u, singular, vt = np.linalg.svd(pose[..., :3].astype(np.float64))
    signs = np.ones_like(singular)
    signs[..., 2] = np.linalg.det(u @ vt)
    return singular.mean(axis=-1), (u * signs[..., None, :]) @ vt, pose[..., 3]


def rotation_from_angles(degrees: np.ndarray) -> np.ndarray:
    """Rotation (..., 3, 3) of (yaw, pitch, roll) in degrees (..., 3).

    R = Rx(pitch) Ry(yaw) Rz(roll) with AFLW2000-3D's signs (original pipeline, section 3.1).
    """
    yaw, pitch, roll = np.moveaxis(np.deg2rad(degrees), -1, 0)
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*rows: tuple[np.ndarray, ...]) -> np.ndarray:
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    about_x = matrix((one, zero, zero), (zero, np.cos(pitch), np.sin(pitch)), (zero, -np.sin(pitch), np.cos(pitch)))
    about_y = matrix((np.cos(yaw), zero, -np.sin(yaw)), (zero, one, zero), (np.sin(yaw), zero, np.cos(yaw)))
    about_z = matrix((np.cos(roll), np.sin(roll), zero), (-np.sin(roll), np.cos(roll), zero), (zero, zero, one))
    return about_x @ about_y @ about_z


def angles_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """(yaw, pitch, roll) in degrees (..., 3) of rotations (..., 3, 3); yaw in [-90, 90].

    Where the head looks exactly sideways (|yaw| = 90) only pitch -+ roll is defined: roll is given as 0 there.
    """
    sin_yaw = np.clip(-rotation[..., 0, 2], -1, 1)
    yaw = np.arcsin(sin_yaw)
    locked = np.hypot(rotation[..., 0, 0], rotation[..., 0, 1]) < 1e-6
    sideways = np.arctan2(np.sign(sin_yaw) * rotation[..., 1, 0], rotation[..., 1, 1])
    pitch = np.where(locked, sideways, np.arctan2(rotation[..., 1, 2], rotation[..., 2, 2]))
    roll = np.where(locked, 0.0, np.arctan2(rotation[..., 0, 1], rotation[..., 0, 0]))
    return np.rad2deg(np.stack([yaw, pitch, roll], axis=-1))


def head_angles(pose: np.ndarray) -> np.ndarray:
    """(yaw, pitch, roll) in degrees (..., 3) of pose matrices (..., 3, 4); AFLW2000-3D's signs."""
    return angles_from_rotation(decompose(pose)[1])


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation (3, 3) and shift (3,) that take points (N, 3) nearest to others: target ~ s R source + t.

    Least squares, never a reflection (Umeyama 1991). Points that all lie in one place have scale 1 and no rotation.
    """
    here, there = source.mean(axis=0), target.mean(axis=0)
    u, singular, vt = np.linalg.svd((target - there).T @ (source - here))
    signs = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    spread = float(((source - here) ** 2).sum())
    rotation = (u * signs) @ vt if spread > 0 else np.eye(3)
    scale = float((singular * signs).sum()) / spread if spread > 0 else 1.0
    return scale, rotation, there - scale * rotation @ here
