"""The ground truth of AFLW2000-3D: landmarks, yaw and crop boxes, from a folder of `.mat` or of benchmark arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..models.annotations import read_annotation
from ..models.boxes import box_from_landmarks, clip_box
from ..models.errors import FileError, NamesError
from ..models.files import read_npy
from ..models.photos import SUFFIXES
from ..models.tables import Table, read_names, read_table, shorten

Labels = Literal["original", "reannotated"]
LABELS: tuple[Labels, ...] = ("original", "reannotated")

AFLW2000_SIDE = 450  # every photo of AFLW2000-3D is 450 x 450 pixels

LIST, ARRAYS, ANNOTATIONS = "AFLW2000-3D_crop.list", "test.configs", "AFLW-2000-3D"


@dataclass(frozen=True, eq=False)
class Truth:
    """n annotated faces, photo pixels from 1, y down.

    landmarks: (n, 68, 2 or 3) float64. yaw_degrees: (n,); newer_yaw_degrees: (n,) of 3DDFA's later file, None where
    there is none. given_box: (n, 4) crop boxes as published, clipped to the photo; cut_box: as the rule cuts them.
    """

    names: tuple[str, ...]
    labels: Labels
    landmarks: np.ndarray
    yaw_degrees: np.ndarray
    newer_yaw_degrees: np.ndarray | None
    given_box: np.ndarray
    cut_box: np.ndarray

    def take(self, rows: np.ndarray) -> "Truth":
        """The faces `rows`, (m,) int, alone."""
        newer = self.newer_yaw_degrees
        return replace(
            self,
            names=tuple(self.names[row] for row in rows.tolist()),
            landmarks=self.landmarks[rows],
            yaw_degrees=self.yaw_degrees[rows],
            newer_yaw_degrees=None if newer is None else newer[rows],
            given_box=self.given_box[rows],
            cut_box=self.cut_box[rows],
        )


def open_truth(path: Path, labels: Labels, names: Sequence[str]) -> Truth:
    """The truth of these images, in their order.

    path: a folder of AFLW2000-3D `.mat` files, or one laid out like the benchmark (the list, `test.configs` arrays).
    Raises FileError where it is neither or lacks the labels asked for, NamesError naming images it does not hold.
    """
    if (path / ARRAYS / "AFLW2000-3D.pts68.npy").is_file():
        return _from_arrays(path, labels, names)
    folder = annotation_folder(path)
    if not folder.is_dir():
        raise FileError(f"{folder} is not a folder; one of AFLW2000-3D .mat files is expected as the truth")
    if labels == "reannotated":
        raise FileError(
            f"{folder} holds the original labels only; the reannotated ones are in a folder with "
            f"{ARRAYS}/AFLW2000-3D-Reannotated.pts68.npy"
        )
    return _from_annotations(folder, names)


def annotation_folder(path: Path) -> Path:
    """Where the `.mat` annotations lie: in the benchmark's own folder for them, or in `path` itself."""
    return path / ANNOTATIONS if (path / ANNOTATIONS).is_dir() else path


def names_in_truth(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that `open_truth` finds at this path, in their order."""
    if (path / ARRAYS / "AFLW2000-3D.pts68.npy").is_file():
        held = set(read_names(path / LIST))
        return tuple(name for name in names if name in held)
    folder = annotation_folder(path)
    return tuple(name for name in names if (folder / f"{name}.mat").is_file())


def _from_annotations(folder: Path, names: Sequence[str]) -> Truth:
    missing = [name for name in names if not (folder / f"{name}.mat").is_file()]
    if missing:
        raise NamesError(f"{folder} holds no annotation (.mat) of {shorten(missing)}")
    annotations = [read_annotation(folder / f"{name}.mat") for name in names]
    landmarks = np.stack([annotation.landmarks for annotation in annotations])
    cut = box_from_landmarks(landmarks)
    sizes = np.array([photo_size(folder, name) for name in names])
    return Truth(
        names=tuple(names),
        labels="original",
        landmarks=landmarks,
        yaw_degrees=np.array([annotation.yaw_degrees for annotation in annotations]),
        newer_yaw_degrees=None,
        given_box=clip_box(cut, sizes[:, 0], sizes[:, 1]),
        cut_box=cut,
    )


def photo_size(folder: Path, name: str) -> tuple[int, int]:
    """Width and height of the photo beside an annotation; AFLW2000-3D's own size where the photo is absent."""
    from PIL import Image, UnidentifiedImageError

    for suffix in SUFFIXES:
        photo = folder / f"{name}{suffix}"
        if photo.is_file():
            try:
                with Image.open(photo) as image:
                    return image.size
            except (UnidentifiedImageError, OSError):
                break
    return AFLW2000_SIDE, AFLW2000_SIDE


def _from_arrays(path: Path, labels: Labels, names: Sequence[str]) -> Truth:
    arrays, listed = path / ARRAYS, path / LIST
    landmarks = _landmark_rows(arrays / "AFLW2000-3D.pts68.npy", listed, names)
    yaw = _rows(arrays / "AFLW2000-3D.pose.npy", listed, names, "yaw angles")
    newer = arrays / "AFLW2000-3D-new.pose.npy"
    return Truth(
        names=tuple(names),
        labels=labels,
        landmarks=landmarks
        if labels == "original"
        else _landmark_rows(arrays / "AFLW2000-3D-Reannotated.pts68.npy", listed, names),
        yaw_degrees=yaw,
        newer_yaw_degrees=_rows(newer, listed, names, "yaw angles") if newer.is_file() else None,
        given_box=read_table(arrays / "AFLW2000-3D_crop.roi_box.npy", listed, (4,), "boxes").rows(names),
        cut_box=box_from_landmarks(landmarks),
    )


def _landmark_rows(path: Path, listed: Path, names: Sequence[str]) -> np.ndarray:
    rows = read_table(path, listed, (136, 204), "landmarks").rows(names)
    if not np.isfinite(rows).all():
        raise FileError(f"{path} holds landmarks that are not finite")
    return rows.reshape(len(rows), 68, -1)


def _rows(path: Path, listed: Path, names: Sequence[str], what: str) -> np.ndarray:
    """Rows of a one-dimensional array."""
    values, listed_names = read_npy(path), read_names(listed)
    if values.shape != (len(listed_names),):
        raise NamesError(f"{path} is {values.shape} but {listed} has {len(listed_names)} names; one of {what} each")
    return Table(listed_names, values[:, None].astype(np.float64), path).rows(names)[:, 0]
