"""AFLW2000-3D's annotation files, `imageNNNNN.mat` (original pipeline, section 3.1)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import FileError
from .files import read_mat


@dataclass(frozen=True, eq=False)
class Annotation:
    """landmarks: (68, 3) float64, photo pixels from 1, y down, z with its own offset. yaw_degrees: of Pose_Para."""

    landmarks: np.ndarray
    yaw_degrees: float


def read_annotation(path: Path) -> Annotation:
    """Read one annotation; all numbers become float64 whatever the file stores (its types vary from file to file).

    Raises FileError where `pt3d_68` or `Pose_Para` is missing, of another shape or not finite.
    """
    fields = read_mat(path, "pt3d_68", "Pose_Para")
    for name in ("pt3d_68", "Pose_Para"):
        if fields[name].dtype.kind not in "fiu":
            raise FileError(f"{path}: {name} holds {fields[name].dtype}; numbers are expected")
    landmarks, pose = fields["pt3d_68"].astype(np.float64), fields["Pose_Para"].astype(np.float64).ravel()
    if landmarks.shape != (3, 68):
        raise FileError(f"{path}: pt3d_68 is {landmarks.shape}; (3, 68) is expected")
    if pose.size != 7:
        raise FileError(f"{path}: Pose_Para has {pose.size} numbers; 7 are expected")
    if not np.isfinite(landmarks).all() or not np.isfinite(pose).all():
        raise FileError(f"{path}: pt3d_68 or Pose_Para holds values that are not finite")
    return Annotation(landmarks.T, float(np.rad2deg(pose[1])))
