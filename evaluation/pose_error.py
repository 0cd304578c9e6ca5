"""Head pose: errors of yaw, pitch and roll, and the angle between rotations (`twodasl eval pose`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ..models.errors import FileError, NamesError
from ..models.files import read_mat
from ..models.library import open_model
from ..models.pose import angles_from_rotation, decompose, rotation_from_angles, similarity
from ..models.tables import shorten
from .measured import Measured, mean_or_none, median_or_none
from .nme import YAW_BINS, yaw_bin
from .prediction import Coefficients, Prediction
from .truth import annotation_folder

LARGEST_ANGLE = 99.0  # degrees: what the field leaves out beyond
ANGLES = ("yaw", "pitch", "roll")
PoseProtocol = Literal["standard", "exact"]
POSE_PROTOCOLS: dict[PoseProtocol, str] = {
    "standard": "as 3DDFA reads them off the camera, R = Rz(roll) Ry(yaw) Rx(pitch)",
    "exact": "of the rotation nearest to the camera, in the annotation's own order, R = Rx(pitch) Ry(yaw) Rz(roll)",
}


def read_truth_angles(path: Path, names: Sequence[str]) -> np.ndarray:
    """(yaw, pitch, roll) in degrees (n, 3) of AFLW2000-3D annotations, as they are written: nothing is wrapped.

    Raises NamesError for an image without an annotation, FileError for one without a pose.
    """
    folder = annotation_folder(path)
    missing = [name for name in names if not (folder / f"{name}.mat").is_file()]
    if missing:
        raise NamesError(f"{folder} holds no annotation (.mat) of {shorten(missing)}")
    angles = np.empty((len(names), 3))
    for row, name in enumerate(names):
        file = folder / f"{name}.mat"
        pose = read_mat(file, "Pose_Para")["Pose_Para"].astype(np.float64).ravel()
        if pose.size < 3 or not np.isfinite(pose[:3]).all():
            raise FileError(f"{file}: Pose_Para is {pose.size} numbers; pitch, yaw and roll, all finite, are expected")
        angles[row] = np.rad2deg(pose[[1, 0, 2]])
    return angles


def camera_matrices(prediction: Prediction, model_path: Path | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The camera matrices (n, 3, 3), about a scaled rotation, model to camera, y up, NaN without a prediction; and what
    to know of them.

    Coefficients state their pose; of points alone it is the rotation of the similarity that takes the mean face's 68
    points nearest to them.
    """
    upright = np.array([1.0, 1, 1]) if prediction.in_crop else np.array([1.0, -1, 1])
    n = len(prediction.names)
    found = np.full((n, 3, 3), np.nan)
    if isinstance(prediction.meshes, Coefficients):
        return prediction.meshes.cameras[:, :, :3] * upright[:, None], ()
    if prediction.points.shape[2] < 3:
        raise FileError(f"{prediction.name} has landmarks in 2D only; a pose needs coefficients or 3D points")
    model = prediction.meshes.model if prediction.meshes is not None else open_model(model_path)
    mean = model.mean[model.landmark_ids].astype(np.float64)
    for row in np.flatnonzero(np.isfinite(prediction.points).all(axis=(1, 2))):
        found[row] = similarity(mean, prediction.points[row] * upright)[1]
    return found, ("the pose is fitted to the 68 points, as the input does not state it",)


def angles_3ddfa(matrices: np.ndarray) -> np.ndarray:
    """(yaw, pitch, roll) in degrees (n, 3) as 3DDFA reads them off camera matrices (n, 3, 3).

    Its rotation has the first two rows, normalised, and their cross product; its angles are of R = Rz(roll) Ry(yaw)
    Rx(pitch). The annotations are of the reverse order, so that even a perfect pose has errors; the field's numbers
    were made so. Signs are the annotation's.
    """
    first, second = (row / np.linalg.norm(row, axis=1, keepdims=True) for row in (matrices[:, 0], matrices[:, 1]))
    third = np.cross(first, second)
    yaw = np.arcsin(np.clip(third[:, 0], -1, 1))
    pitch = -np.arctan2(third[:, 1], third[:, 2])
    roll = -np.arctan2(second[:, 0], first[:, 0])
    return np.rad2deg(np.stack([yaw, pitch, roll], axis=1))


def score_pose(
    prediction: Prediction,
    truth_degrees: np.ndarray,
    protocol: PoseProtocol = "standard",
    model_path: Path | None = None,
) -> Measured:
    """Errors of head angles against the truth's (n, 3) of the same images; `values` is the angle between rotations.

    An angle's error counts where that true angle is within 99 degrees as the annotation writes it, nothing wrapped;
    `usual_` means count only images of which all three are. Images beyond in yaw are left out altogether.
    """
    matrices, notes = camera_matrices(prediction, model_path)
    good = np.isfinite(matrices).all(axis=(1, 2))
    within = np.abs(truth_degrees) <= LARGEST_ANGLE
    kept, usual = within[:, 0], within.all(axis=1)
    counted = kept & good
    errors, turned = np.full((len(good), 3), np.nan), np.full(len(good), np.nan)
    if counted.any():
        shown = matrices[counted]
        nearest = decompose(np.concatenate([shown, np.zeros_like(shown[:, :, :1])], axis=2))[1]
        angles = angles_3ddfa(shown) if protocol == "standard" else angles_from_rotation(nearest)
        errors[counted] = np.abs((angles - truth_degrees[counted] + 180) % 360 - 180)
        true_rotations = rotation_from_angles(truth_degrees[counted])
        cosine = (np.einsum("nij,nij->n", nearest, true_rotations) - 1) / 2
        turned[counted] = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    bins = yaw_bin(truth_degrees[:, 0])
    summary: dict[str, float | int | None] = {}
    for column, angle in enumerate(ANGLES):
        summary[f"{angle}_mae"] = mean_or_none(errors[within[:, column], column])
    for column, angle in enumerate(ANGLES):
        summary[f"usual_{angle}_mae"] = mean_or_none(errors[usual, column])
    summary |= {
        "usual_mae": mean_or_none(errors[usual].mean(axis=1)),
        "geodesic_mean": mean_or_none(turned),
        "geodesic_median": median_or_none(turned),
        **{f"yaw_mae_{label}": mean_or_none(errors[bins == index, 0]) for index, label in enumerate(YAW_BINS)},
        "n": int(counted.sum()),
        "n_usual": int((usual & good).sum()),
        "n_failed": int((kept & ~good).sum()),
    }
    names = np.array(prediction.names)
    return Measured(
        metric="pose",
        method=prediction.name,
        unit="degrees",
        choices={
            "name": protocol,
            "angles": POSE_PROTOCOLS[protocol],
            "counted": f"each angle where the true one is within +-{LARGEST_ANGLE:g} degrees; usual: where all three are",
            "error": "absolute difference of angles, by the shorter way round; geodesic: angle between rotations",
        },
        names=prediction.names,
        values=turned,
        summary=summary,
        columns={f"{angle}_error": errors[:, column] for column, angle in enumerate(ANGLES)},
        failed=tuple(names[kept & ~good].tolist()),
        excluded=tuple(names[~kept].tolist()),
        notes=prediction.notes + notes,
        oracle_input=prediction.oracle_input,
    )
