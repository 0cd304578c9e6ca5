"""AFLW2000-3D's annotation files, `imageNNNNN.mat` (original pipeline, section 3.1)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import FileError
from .files import read_mat
from .pose import rotation_from_angles


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
    landmarks, pose = _numbers(path, fields, "pt3d_68"), _numbers(path, fields, "Pose_Para").ravel()
    if landmarks.shape != (3, 68):
        raise FileError(f"{path}: pt3d_68 is {landmarks.shape}; (3, 68) is expected")
    if pose.size != 7:
        raise FileError(f"{path}: Pose_Para has {pose.size} numbers; 7 are expected")
    return Annotation(landmarks.T, float(np.rad2deg(pose[1])))


@dataclass(frozen=True, eq=False)
class ModelLabels:
    """What 300W-LP and AFLW2000-3D say of a face in their own Basel model, all float64.

    landmarks: (68, 2 or 3), photo pixels from 1, y down. pose_para: (7,): pitch, yaw, roll (radians), t_x, t_y, t_z
    (pixels, y up), f (pixels per micrometre). identity: (199,), expression: (29,).
    """

    landmarks: np.ndarray
    pose_para: np.ndarray
    identity: np.ndarray
    expression: np.ndarray

    def camera(self, height: int) -> np.ndarray:
        """The camera (3, 4) to photo pixels counted from 1 with y up (minus y), of a photo of this height.

        [f R | t] with y_photo = height + 1 - y (original pipeline, section 3.1).
        """
        pitch, yaw, roll = np.rad2deg(self.pose_para[:3])
        rotation = rotation_from_angles(np.array([yaw, pitch, roll]))
        translation = self.pose_para[3:6] - [0, height + 1, 0]
        return np.column_stack([self.pose_para[6] * rotation, translation])


def read_model_labels(path: Path) -> ModelLabels:
    """Read the model parameters and 68 landmarks (`pt3d_68`, or 300W-LP's `pt2d`) of an annotation.

    Raises FileError where a field is missing, of another size or not finite.
    """
    fields = read_mat(path, "Pose_Para", "Shape_Para", "Exp_Para")
    name = "pt3d_68" if "pt3d_68" in fields else "pt2d"
    if name not in fields:
        raise FileError(f"{path} holds neither pt3d_68 nor pt2d")
    landmarks = _numbers(path, fields, name)
    if landmarks.ndim != 2 or landmarks.shape[1] != 68 or landmarks.shape[0] not in (2, 3):
        raise FileError(f"{path}: {name} is {landmarks.shape}; (2 or 3, 68) is expected")
    sizes = {"Pose_Para": 7, "Shape_Para": 199, "Exp_Para": 29}
    vectors = {key: _numbers(path, fields, key).ravel() for key in sizes}
    for key, size in sizes.items():
        if vectors[key].size != size:
            raise FileError(f"{path}: {key} has {vectors[key].size} numbers; {size} are expected")
    return ModelLabels(landmarks.T, vectors["Pose_Para"], vectors["Shape_Para"], vectors["Exp_Para"])


def _numbers(path: Path, fields: dict[str, np.ndarray], name: str) -> np.ndarray:
    if fields[name].dtype.kind not in "fiu":
        raise FileError(f"{path}: {name} holds {fields[name].dtype}; numbers are expected")
    numbers = fields[name].astype(np.float64)
    if not np.isfinite(numbers).all():
        raise FileError(f"{path}: {name} holds values that are not finite")
    return numbers
