"""3DDFA's training labels: a list of crops, an array of their coefficients, and points where there are any."""

from pathlib import Path

import numpy as np

from ..boxes import WHOLE_CROP
from ..coefficients import Whitening, split
from ..errors import FileError, NamesError, ShapeError
from ..files import read_bytes, read_npy, read_pickle
from ..morphable import LANDMARKS, MorphableModel
from ..pose import CROP_SIZE, crop_from_crop_up, crop_up_from_model
from ..tables import check_unique, image_name, read_table
from .check import label_error
from .sets import Example, SetInfo
from .sources import check_labels, label_whitening

BLOCK = 4096  # labels put through the model at once
SAMPLE = 200  # faces whose labels are held against their points
FAR_OFF = 0.07  # of the face's size, median: 2DASL's own predictions lie 2.6 % from detected points, 8.6 % with V2's whitening


class TddfaSource:
    """The 120-pixel crops in `root` that a file list names, one a line, and row by row their coefficients (n, 12 + K + L)
    in a `.npy` or `.pkl`: whitened ones with the `whitening` they are made so by.

    model: whose coefficients they are. landmarks: a table (docs/files.md) of 68 points in 2D or 3D, crop pixels counted
    from `origin`; without it they are the labels' own. Seen is what lies inside the crop; what a face hides of itself is
    not known. whitening: of all the labels.
    Raises FileError or NamesError for files that cannot be read or do not belong together, NotFiniteError for labels
    that are not finite, ShapeError for a whitening of another length.
    """

    def __init__(
        self,
        file_list: Path,
        coefficients: Path,
        root: Path,
        model: MorphableModel,
        *,
        landmarks: Path | None = None,
        whitening: Whitening | None = None,
        n_identity: int = 40,
        n_expression: int = 10,
        origin: int = 0,
    ) -> None:
        if not root.is_dir():
            raise FileError(f"{root} is no folder; {file_list} names files in one")
        self._root, self._files = root, _read_list(file_list)
        self.names = tuple(image_name(file) for file in self._files)
        check_unique(self.names, str(file_list))
        self.info = SetInfo(
            basis_id=model.basis_id,
            n_identity=n_identity,
            n_expression=n_expression,
            convention="3ddfa",
            labels="truncated",
            model_name=model.name,
            terms=f"face model: {model.terms}; photos: as their owners say",
            settings={"source": file_list.name, "whitened": whitening is not None},
            box_kind="none",
        )
        labels = _read_rows(coefficients, self.info.n_coefficients)
        if len(labels) != len(self.names):
            raise NamesError(f"{coefficients} has {len(labels)} rows but {file_list} has {len(self.names)} names")
        labels = labels if whitening is None else whitening.unwhiten(labels)
        check_labels(labels, self.names, str(coefficients))
        self._labels = labels.astype(np.float32)
        self._model = model
        starts = range(0, len(labels), BLOCK)
        self._inside = np.concatenate([self._own_inside(np.arange(len(labels))[k : k + BLOCK]) for k in starts])
        self._points = None if landmarks is None else self._read_points(landmarks, origin)
        self._check_places(coefficients, landmarks)
        self.whitening = label_whitening(self._labels[self._inside > 0])

    def __len__(self) -> int:
        return len(self.names)

    def example(self, index: int) -> Example:
        if self._inside[index] == 0:
            raise ShapeError("none of the landmarks of its label lies in the crop")
        landmarks = self._landmarks(np.array([index]))[0]
        return Example(
            name=self.names[index],
            jpg=read_bytes(self._root / self._files[index]),
            coefficients=self._labels[index],
            landmarks=landmarks,
            visible=np.all((landmarks[:, :2] >= 0) & (landmarks[:, :2] <= CROP_SIZE - 1), axis=1),
            box=WHOLE_CROP.copy(),
        )

    def _landmarks(self, rows: np.ndarray) -> np.ndarray:
        """Those at hand, else the labels' own: (n, 68, 3) float32, crop pixels from 0, y down."""
        if self._points is None:
            return self._own_landmarks(rows)
        points = self._points[rows]
        landmarks = np.full((*points.shape[:2], 3), np.nan, np.float32)
        landmarks[..., : points.shape[2]] = points
        return landmarks

    def _own_landmarks(self, rows: np.ndarray) -> np.ndarray:
        pose, identity, expression = split(self._labels[rows], self.info.n_identity)
        with np.errstate(over="ignore", invalid="ignore"):  # of labels that are no faces
            posed = crop_up_from_model(self._model.landmarks(identity, expression), pose)
            return crop_from_crop_up(posed, "3ddfa-v2").astype(np.float32)

    def _own_inside(self, rows: np.ndarray) -> np.ndarray:
        """(n,) which share of the landmarks of a label lies in the crop."""
        own = self._own_landmarks(rows)[..., :2]
        return ((own >= 0) & (own <= CROP_SIZE)).all(axis=2).mean(axis=1)

    def _read_points(self, path: Path, origin: int) -> np.ndarray:
        """(n, 68, 2 or 3) float32, crop pixels from 0."""
        values = read_table(path, None, [2 * LANDMARKS, 3 * LANDMARKS], "68 points").rows(self.names)
        points = values.reshape(len(values), LANDMARKS, -1).astype(np.float32)
        points[..., :2] -= origin
        return points

    def _check_places(self, labels: Path, landmarks: Path | None) -> None:
        """Raise FileError where labels, put through the model, give no faces in the crop, or miss the points at hand."""
        rows = np.arange(0, len(self), max(1, len(self) // SAMPLE))
        inside, name = self._inside.mean(), self._model.name
        if not inside > 0.5:
            raise FileError(
                f"{labels}: {100 * inside:.0f} % of the landmarks that {name!r} makes of its coefficients lie in the "
                "crop; are they whitened, or of another face model?"
            )
        rows = rows[self._inside[rows] > 0]
        if landmarks is not None:
            error = np.nanmedian(label_error(self._labels[rows], self._landmarks(rows), self.info, self._model))
            if not error <= FAR_OFF:
                raise FileError(
                    f"the points in {landmarks} lie {100 * error:.0f} % of the face's size from where {labels} and "
                    f"{name!r} say (median; {100 * FAR_OFF:g} % are allowed)"
                )


def _read_list(path: Path) -> list[str]:
    try:
        lines = read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not a list of files: it is not text") from error
    files = [line.strip() for line in lines if line.strip()]
    if not files:
        raise FileError(f"{path} names no files")
    return files


def _read_rows(path: Path, width: int) -> np.ndarray:
    rows = read_npy(path) if path.suffix.lower() == ".npy" else read_pickle(path)
    if not isinstance(rows, np.ndarray) or rows.dtype.kind != "f" or rows.ndim != 2 or rows.shape[1] != width:
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise FileError(f"{path} is {found}; an array of {width} numbers for each file is expected")
    return rows
