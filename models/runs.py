"""Many reconstructions in one file: what `infer` writes and everything else reads."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .boxes import WHOLE_CROP, BoxKind, crop_from_image_exact, image_from_crop, image_from_crop_exact
from .coefficients import POSE, split
from .errors import FileError, NamesError, ShapeError
from .files import check_space, open_h5, whole_file
from .morphable import LANDMARKS, MorphableModel, check_basis
from .pose import Convention, crop_from_crop_up, crop_up_from_crop, crop_up_from_model, head_angles

FORMAT = "twodasl-run"
VERSION = 1

_TEXTS = ("names", "paths", "status", "box_kind")
_NUMBERS = ("face", "box", "image_size", "coefficients", "landmarks")

OK = "ok"
STATUSES = {
    OK: "reconstructed",
    "unreadable": "the photo is missing, empty, truncated or no picture",
    "no-box": "no box was handed over for this name",
    "bad-box": "the box has no area or is not finite",
    "no-annotation": "the .mat beside the photo is missing or does not hold what it should",
    "no-landmarks": "the network takes landmarks and there are none for this name, or they are not finite",
    "no-face": "no face was found in the photo",
    "not-finite": "the network's output is not finite",
    "no-fit": "the landmarks determine no face: too few, on a line, mirrored, or the fit did not converge",
}


@dataclass(frozen=True)
class RunInfo:
    """What holds for every face of a run: whose coefficients they are, and how they were made."""

    basis_id: str
    n_identity: int
    n_expression: int
    convention: Convention
    weights_id: str = ""
    weights_name: str = ""
    model_name: str = ""
    terms: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Run:
    """n faces, keyed by image name and face number.

    names, paths, status, box_kind: n strings each. face: (n,) int32, from 0 within its photo.
    box: (n, 4) float64, photo pixels from 1, both ends inside; a face of kind `none` has the crop itself.
    image_size: (n, 2) int32, width and height of the photo; 0 where it is not known.
    coefficients: (n, 12 + K + L) float32 (float64 where they were handed over so), un-whitened, 120-pixel crop, y up.
    landmarks: (n, 68, 3) float64, photo pixels from 0, y down, where the points lie (`image_from_crop_exact`).
    landmarks_in: (n, 68, 2) float32, crop pixels from 0, what the network was shown; None if it takes none.
    Faces that failed hold NaN; `status` says why (STATUSES).
    """

    info: RunInfo
    names: tuple[str, ...]
    paths: tuple[str, ...]
    status: tuple[str, ...]
    box_kind: tuple[BoxKind, ...]
    face: np.ndarray
    box: np.ndarray
    image_size: np.ndarray
    coefficients: np.ndarray
    landmarks: np.ndarray
    landmarks_in: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def valid(self) -> np.ndarray:
        """(n,) bool: which faces were reconstructed."""
        return np.array([status == OK for status in self.status], bool)

    def crop_up_landmarks(self) -> np.ndarray:
        """The landmarks (n, 68, 3) float64 in crop pixels, y up: as the coefficients place them, without the model."""
        crop = crop_from_photo(self.landmarks, self.box, self.info.convention)
        return crop_up_from_crop(crop, self.info.convention)

    def crop_up_vertices(self, index: int, model: MorphableModel) -> np.ndarray:
        """Vertices (N, 3) float64 of one face in crop pixels, y up. Raises BasisError for another basis' model."""
        check_basis(self.info.basis_id, model, "this run")
        pose, identity, expression = split(self.coefficients[index].astype(np.float64), self.info.n_identity)
        return crop_up_from_model(model.vertices(identity, expression).astype(np.float64), pose)

    def vertices(self, index: int, model: MorphableModel) -> np.ndarray:
        """Vertices (N, 3) float64 of one face in photo pixels from 0, y down, where they lie."""
        crop = crop_from_crop_up(self.crop_up_vertices(index, model), self.info.convention)
        return photo_from_crop(crop, self.box[index], self.info.convention)

    def matlab_vertices(self, index: int, model: MorphableModel) -> np.ndarray:
        """Vertices (N, 3) float64 of one face as the original's MATLAB files have them: photo pixels from 1, y down,
        by the original's own rule (`image_from_crop`, Q8)."""
        crop = crop_from_crop_up(self.crop_up_vertices(index, model), self.info.convention)
        return image_from_crop(crop, self.box[index])

    def save(self, path: Path) -> None:
        """Write the run as HDF5; the file appears whole or not at all."""
        write_run(path, self.info, len(self), self.landmarks_in is not None, [self], dtype=self.coefficients.dtype)

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read a run. Raises FileError if it is none, is newer than this program, or is damaged."""
        with open_h5(path, FORMAT, VERSION) as file:
            try:
                texts: dict[str, Any] = {name: _read_texts(file[name]) for name in _TEXTS}
                numbers: dict[str, Any] = {name: file[name][()] for name in _NUMBERS}
                landmarks_in = file["landmarks_in"][()] if "landmarks_in" in file else None
                run = cls(info=read_info(file), landmarks_in=landmarks_in, **texts, **numbers)
            except (KeyError, ValueError, TypeError, AttributeError, OSError, RuntimeError) as error:
                raise FileError(f"{path} is a damaged run: {error}") from error
        shapes = _shapes(run.info, landmarks_in is not None)
        for name, tail in (*dict.fromkeys(_TEXTS, ()).items(), *shapes.items()):
            found = np.shape(getattr(run, name))
            if found != (len(run), *tail):
                raise FileError(f"{path} is a damaged run: {name} is {found}; {(len(run), *tail)} is expected")
        return run


def _shapes(info: RunInfo, with_landmarks_in: bool) -> dict[str, tuple[int, ...]]:
    """The shape of each array of numbers, after the face count."""
    width = POSE + info.n_identity + info.n_expression
    shapes = {"face": (), "box": (4,), "image_size": (2,), "coefficients": (width,), "landmarks": (LANDMARKS, 3)}
    return shapes | ({"landmarks_in": (LANDMARKS, 2)} if with_landmarks_in else {})


def _read_texts(dataset: Any) -> tuple[str, ...]:
    return tuple(dataset.asstr(errors="surrogateescape")[()])  # file names need not be UTF-8


def _write_texts(dataset: Any, rows: slice, texts: Sequence[str]) -> None:
    dataset[rows] = [text.encode("utf-8", "surrogateescape") for text in texts]


def photo_from_crop(points: np.ndarray, box: np.ndarray, convention: Convention) -> np.ndarray:
    """Crop pixels (..., N, 2 or 3) to where they lie in the photo, counted from 0, y down."""
    photo = image_from_crop_exact(points, box, convention)
    photo[..., :2] -= 1
    return photo


def crop_from_photo(points: np.ndarray, box: np.ndarray, convention: Convention) -> np.ndarray:
    """The inverse of `photo_from_crop`."""
    counted_from_1 = points.copy()
    counted_from_1[..., :2] += 1
    return crop_from_image_exact(counted_from_1, box, convention)


def landmarks_in_photo(
    coefficients: np.ndarray, n_identity: int, box: np.ndarray, convention: Convention, model: MorphableModel
) -> np.ndarray:
    """Landmarks (n, 68, 3) float64 of coefficients (n, C) with boxes (n, 4): photo pixels from 0, y down."""
    pose, identity, expression = split(coefficients.astype(np.float64), n_identity)
    crop_up = crop_up_from_model(model.landmarks(identity, expression), pose)
    return photo_from_crop(crop_from_crop_up(crop_up, convention), box, convention)


def run_from_coefficients(
    names: Sequence[str],
    coefficients: np.ndarray,
    model: MorphableModel,
    convention: Convention,
    boxes: np.ndarray | None = None,
    paths: Sequence[str] = (),
) -> Run:
    """A run of coefficients (n, 12 + K + L) that somebody else predicted, 40 of them identity.

    boxes: (n, 4), as published (`clipped`); without, the faces stay in their crops (`none`). A row that is not finite
    is a face without a prediction. Raises ShapeError where coefficients look whitened still.
    """
    n = len(names)
    finite = np.isfinite(coefficients).all(axis=1)
    check_unwhitened(coefficients[finite])
    box = np.tile(WHOLE_CROP, (n, 1)) if boxes is None else boxes
    n_identity = min(40, model.n_identity)
    info = RunInfo(
        basis_id=model.basis_id,
        n_identity=n_identity,
        n_expression=coefficients.shape[1] - POSE - n_identity,
        convention=convention,
        model_name=model.name,
        terms=model.terms,
    )
    return Run(
        info=info,
        names=tuple(names),
        paths=tuple(paths) or ("",) * n,
        status=tuple(OK if good else "not-finite" for good in finite),
        box_kind=("none" if boxes is None else "clipped",) * n,
        face=np.zeros(n, np.int32),
        box=box,
        image_size=np.zeros((n, 2), np.int32),
        coefficients=coefficients,
        landmarks=landmarks_in_photo(coefficients, n_identity, box, convention, model),
    )


def check_unwhitened(coefficients: np.ndarray) -> None:
    """Raise ShapeError if coefficients cannot be un-whitened: the matrix takes micrometres to pixels of a 120-pixel
    crop, about 5e-4, while a network's raw outputs are about 1."""
    if len(coefficients) == 0:
        return
    scale = np.median(np.linalg.norm(coefficients[:, [0, 1, 2]], axis=1))
    if scale > 0.05:
        raise ShapeError(
            f"these coefficients look whitened (a camera scale of {scale:.2g} px per micrometre, about 5e-4 is "
            "expected): hand over the network's --whitening"
        )
    if scale < 5e-6:
        raise ShapeError(f"a camera scale of {scale:.2g} px per micrometre is no face in a 120-pixel crop")


def write_run(
    path: Path,
    info: RunInfo,
    count: int,
    with_landmarks_in: bool,
    blocks: Iterable[Run],
    dense_model: MorphableModel | None = None,
    dtype: np.dtype | str = "<f4",
) -> None:
    """Write `count` faces that arrive in blocks, so that memory does not grow with the number of faces.

    dense_model: also write the `vertices` of each face, (n, N, 3) float32, photo pixels from 0, y down.
    dtype: of the coefficients. Raises FileError where the disk has no room for the run.
    """
    import h5py

    text = h5py.string_dtype()
    shapes = _shapes(info, with_landmarks_in)
    face_bytes = 1000 + 8 * sum(map(math.prod, shapes.values()))
    if dense_model is not None:
        face_bytes += dense_model.mean.nbytes
    check_space(path, 50_000 + count * face_bytes)  # HDF5 crashes where the disk is full
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(format=FORMAT, version=VERSION, info=json.dumps(asdict(info), sort_keys=True))
        types = {"face": "<i4", "image_size": "<i4", "coefficients": dtype, "landmarks_in": "<f4"}
        for name in _TEXTS:
            file.create_dataset(name, (count,), text)
        for name, shape in shapes.items():
            file.create_dataset(name, (count, *shape), types.get(name, "<f8"))
        if dense_model is not None:
            face_shape = dense_model.mean.shape
            file.create_dataset(
                "vertices", (count, *face_shape), "<f4", chunks=(1, *face_shape),
                compression="gzip", compression_opts=1, shuffle=True, fillvalue=np.nan,
            )  # fmt: skip
        start = 0
        for block in blocks:
            if len(block) == 0:
                continue
            rows = slice(start, start + len(block))
            for name in _TEXTS:
                _write_texts(file[name], rows, getattr(block, name))
            for name in shapes:
                file[name][rows] = getattr(block, name)
            if dense_model is not None:
                for row in map(int, np.flatnonzero(block.valid)):
                    file["vertices"][start + row] = block.vertices(row, dense_model)
            start += len(block)
        if start != count:
            raise ShapeError(f"{start} faces arrived for a run of {count}")


def read_info(file: Any) -> RunInfo:
    """The header of an open run."""
    return RunInfo(**json.loads(file.attrs["info"]))


def check_scorable(run: Run, what: str) -> None:
    """Raise NamesError if faces of a run have no place in a photo, so that nothing can be measured there."""
    unplaced = [
        name for name, kind, good in zip(run.names, run.box_kind, run.valid, strict=True) if kind == "none" and good
    ]
    if unplaced:
        raise NamesError(
            f"{what} was made from crops without boxes ({unplaced[0]}, {len(unplaced)} in all): its landmarks lie in "
            "the crop, not in the photo; run infer again with --boxes"
        )


def face_facts(coefficients: np.ndarray, box: np.ndarray, box_kind: str, image_size: np.ndarray) -> dict[str, Any]:
    """What a person asks of one face, ready for JSON: head angles in degrees, box, photo size; None where undefined."""
    facts: dict[str, Any] = {"yaw_degrees": None, "pitch_degrees": None, "roll_degrees": None}
    if np.isfinite(coefficients).all():
        angles = head_angles(coefficients[:POSE].reshape(3, 4))
        facts = dict(zip(facts, (round(float(angle), 4) for angle in angles), strict=True))
    placed = bool(np.isfinite(box).all())
    facts["box"] = [float(value) for value in box] if placed else None
    facts["box_kind"] = box_kind if placed else None
    facts["image_size"] = [int(side) for side in image_size] if (image_size > 0).all() else None
    return facts
