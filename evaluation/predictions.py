"""Anybody's predictions, whatever file they come in, as landmarks that a protocol can place in the photo."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..models.boxes import BoxKind, image_from_crop, image_from_crop_exact
from ..models.coefficients import POSE, split
from ..models.errors import BasisError, FileError, NamesError
from ..models.fitting.runs import landmark_list
from ..models.inputs import RUN_STATES, RUN_SUFFIXES, InputOptions, refuse_unread, run_from_table
from ..models.library import open_model
from ..models.morphable import MorphableModel
from ..models.pose import Convention, crop_from_crop_up, crop_up_from_model
from ..models.runs import Run, check_scorable, landmarks_in_photo
from ..models.tables import Table, check_unique, read_table, shorten
from ..models.vertex_files import mat_names, read_vertex_file, recognise_frame
from .protocols import Protocol
from .truth import Truth

PRNET_SUFFIX = "_kpt.txt"


@dataclass(frozen=True, eq=False)
class Prediction:
    """n faces' landmarks in the frame their method gives them. Faces without a prediction hold NaN.

    points: (n, 68, 2 or 3) float64: crop pixels, y up, where `in_crop`, else photo pixels, y down, counted from
    `origin`. boxes (n, 4) and box_kinds place crops; None takes the published boxes of the truth.
    mean_face: (n, 68, 3), the model's mean face at each face's pose, in the same frame, or None, as `notes` say.
    oracle_input: they were made from annotations, so their errors are a floor and no method's.
    """

    name: str
    names: tuple[str, ...]
    points: np.ndarray
    in_crop: bool
    convention: Convention = "3ddfa"
    boxes: np.ndarray | None = None
    box_kinds: tuple[BoxKind, ...] = ()
    origin: int = 1
    mean_face: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    oracle_input: bool = False

    def select(self, names: tuple[str, ...]) -> "Prediction":
        """These images only, in this order; images without a prediction become NaN faces."""
        index = {name: row for row, name in enumerate(self.names)}
        rows = np.array([index.get(name, -1) for name in names])
        absent = rows < 0

        def pick(array: np.ndarray | None) -> np.ndarray | None:
            if array is None:
                return None
            picked = array[rows]
            picked[absent] = np.nan
            return picked

        points = pick(self.points)
        assert points is not None
        kinds: tuple[BoxKind, ...] = ()
        if self.box_kinds:
            kinds = tuple("none" if row < 0 else self.box_kinds[row] for row in rows)
        return replace(
            self, names=names, points=points, boxes=pick(self.boxes), box_kinds=kinds, mean_face=pick(self.mean_face)
        )

    def in_photo(self, protocol: Protocol, truth: Truth) -> np.ndarray:
        """The landmarks (n, 68, 2 or 3) where `protocol` places them: photo pixels, in the count it compares in."""
        return self._place(self.points, protocol, truth)

    def mean_face_in_photo(self, protocol: Protocol, truth: Truth) -> np.ndarray | None:
        """The mean face's landmarks (n, 68, 3), placed alike."""
        return None if self.mean_face is None else self._place(self.mean_face, protocol, truth)

    def _place(self, points: np.ndarray, protocol: Protocol, truth: Truth) -> np.ndarray:
        if not self.in_crop:
            shift = 1 - self.origin if protocol.origin == "counted from 1" else 0
            return points + np.array([shift, shift, 0])[: points.shape[-1]]
        convention = self.convention if protocol.convention == "own" else "3ddfa"
        crop = crop_from_crop_up(points, convention)
        boxes = truth.given_box if self.boxes is None else self.boxes
        if protocol.boxes == "rederived":
            clipped = np.array([kind == "clipped" for kind in self.box_kinds], bool) if self.box_kinds else True
            boxes = np.where(np.reshape(clipped, (-1, 1)), truth.cut_box, boxes)
        else:
            # A box taken from the truth stands for the published one of the same rule: same photo, same mapping.
            from_truth = (boxes == truth.cut_box).all(axis=1, keepdims=True)
            boxes = np.where(from_truth, truth.given_box, boxes)
        if protocol.mapping == "exact":
            return image_from_crop_exact(crop, boxes, convention)
        return image_from_crop(crop, boxes)


def open_prediction(path: Path, options: InputOptions, only: tuple[str, ...] | None = None) -> Prediction:
    """Read an input of any kind: a run, coefficients, vertex files, PRNet's `_kpt.txt`, or landmarks.

    `only` says which images will be asked for, so that a folder's other files are left unread.
    Raises FileError where it is none of these or an option it needs is missing.
    """
    if path.is_dir():
        return _from_folder(path, options, only)
    if not path.exists():
        raise FileError(f"cannot read {path}: no such file or folder")
    if path.suffix.lower() in RUN_SUFFIXES:
        return _from_run(path, options)
    return _from_table(path, options)


def _from_run(path: Path, options: InputOptions) -> Prediction:
    refuse_unread(options, (*RUN_STATES, "origin"), f"{path}, a run, which states them itself")
    run = Run.load(path)
    check_scorable(run, str(path))
    check_unique(run.names, f"{path} (an image with several faces)")
    try:
        model: MorphableModel | None = open_model(options.model, run.info.basis_id, str(path))
        notes: tuple[str, ...] = ()
    except BasisError as error:
        if options.model is not None:
            raise
        model, notes = None, (f"no mean-face row: {error}",)
    if model is not None:
        listed = landmark_list(model, options.points)
        if listed:
            model = model.with_points(listed)
            run = _with_landmarks_of(model, run)
            notes = (*notes, f"landmarks: the model's list '{listed}'")
    elif options.points is not None:
        raise FileError(f"--points {options.points} needs the face model of {path}: hand it over with --model")
    return _from_coefficients(path.stem, run, model, notes)


def _with_landmarks_of(model: MorphableModel, run: Run) -> Run:
    """The run with the landmarks that the model means by the 68 points."""
    info = run.info
    points = landmarks_in_photo(run.coefficients, info.n_identity, run.box, info.convention, model)
    return replace(run, landmarks=points)


def _from_coefficients(name: str, run: Run, model: MorphableModel | None, notes: tuple[str, ...]) -> Prediction:
    if run.info.settings.get("frame") == "photo":
        return _fitted_in_photo(name, run, model, notes)
    mean_face = None
    if model is not None:
        pose = split(run.coefficients.astype(np.float64), run.info.n_identity)[0]
        mean_face = crop_up_from_model(model.mean[model.landmark_ids].astype(np.float64), pose)
    placed = all(kind != "none" for kind, good in zip(run.box_kind, run.valid, strict=True) if good)
    points = run.crop_up_landmarks()
    points[~run.valid] = np.nan
    return Prediction(
        name=name,
        names=run.names,
        points=points,
        in_crop=True,
        convention=run.info.convention,
        boxes=run.box if placed else None,
        box_kinds=run.box_kind if placed else (),
        mean_face=mean_face,
        notes=notes,
        oracle_input=is_oracle(run),
    )


def _fitted_in_photo(name: str, run: Run, model: MorphableModel | None, notes: tuple[str, ...]) -> Prediction:
    """Faces fitted to points of the photo: they never were in a crop, so no protocol's crop mapping moves them."""
    mean_face = None
    if model is not None:
        mean = run.coefficients.copy()
        mean[:, POSE:] = 0
        mean_face = landmarks_in_photo(mean, run.info.n_identity, run.box, run.info.convention, model)
        mean_face[..., :2] += 1
    points = run.landmarks.copy()
    points[..., :2] += 1
    points[~run.valid] = np.nan
    return Prediction(
        name=name,
        names=run.names,
        points=points,
        in_crop=False,
        mean_face=mean_face,
        notes=(*notes, "fitted to points of the photo: compared there, counted from 1, whatever the protocol"),
        oracle_input=is_oracle(run),
    )


def is_oracle(run: Run) -> bool:
    """Whether a run was made from annotations."""
    return bool(run.info.settings.get("oracle_input", False))


def _from_table(path: Path, options: InputOptions) -> Prediction:
    """Coefficients or landmarks, told apart by their width: 136 and 204 numbers are 68 points."""
    table = read_table(path, options.rows, range(13, 1000), "coefficients or landmarks")
    width = table.values.shape[1]
    if width in (136, 204):
        return _from_landmarks(path, table, options)
    refuse_unread(options, ("frame_in", "origin"), f"{path}, coefficients")
    run, model = run_from_table(table, options)
    notes = (
        () if options.convention else ("coefficients are read in the convention '3ddfa'; --convention says otherwise",)
    )
    return _from_coefficients(path.stem, run, model, notes)


def _from_landmarks(path: Path, table: Table, options: InputOptions) -> Prediction:
    refuse_unread(options, RUN_STATES, f"{path}, landmarks")
    points = table.values.reshape(len(table.names), 68, -1)
    notes: tuple[str, ...] = ()
    if options.origin is None:
        notes = ("landmarks are read as counted from pixel 1 (MATLAB); --origin 0 says otherwise",)
    origin = 1 if options.origin is None else options.origin
    return _with_fitted_mean(
        Prediction(path.stem, table.names, points, in_crop=False, origin=origin, notes=notes), options
    )


def _from_folder(path: Path, options: InputOptions, only: tuple[str, ...] | None) -> Prediction:
    kpt = sorted(path.glob(f"*{PRNET_SUFFIX}"))
    if kpt:
        refuse_unread(options, RUN_STATES, f"{path}, PRNet's landmarks")
        return _from_prnet(path, [p for p in kpt if only is None or _prnet_name(p) in set(only)], options)
    names = tuple(name for name in mat_names(path) if only is None or name in set(only))
    if not names:
        raise FileError(f"{path} holds no predictions: vertex files (.mat) or PRNet's *{PRNET_SUFFIX} are expected")
    refuse_unread(options, ("whitening", "origin"), f"{path}, vertex files")
    return _from_vertices(path, names, options)


def _from_vertices(path: Path, names: tuple[str, ...], options: InputOptions) -> Prediction:
    model = open_model(options.model)
    landmarks, frames = np.full((len(names), 68, 3), np.nan), {}
    for row, name in enumerate(names):
        file = path / f"{name}.mat"
        vertices = read_vertex_file(file, len(model.mean))
        frames[name] = options.frame_in or recognise_frame(vertices, model, file)
        landmarks[row] = vertices[model.landmark_ids]
    if len(set(frames.values())) > 1:
        odd = [name for name in names if frames[name] != frames[names[0]]]
        raise FileError(f"{path} mixes frames: {names[0]} is {frames[names[0]]}, {shorten(odd)} {frames[odd[0]]}")
    in_crop = frames[names[0]] == "crop"
    boxes = None
    if in_crop and options.boxes is not None:
        boxes = read_table(options.boxes, options.rows, (4,), "boxes").rows(names)
    convention = options.convention or "3ddfa"
    return _with_fitted_mean(
        Prediction(path.name, names, landmarks, in_crop=in_crop, convention=convention, boxes=boxes), options
    )


def _prnet_name(path: Path) -> str:
    return path.name[: -len(PRNET_SUFFIX)]


def _from_prnet(path: Path, files: list[Path], options: InputOptions) -> Prediction:
    """PRNet's landmark files: 68 lines `x y z`, photo pixels from 0 (Q13)."""
    points = []
    for file in files:
        try:
            values = np.loadtxt(file, dtype=np.float64)
        except (ValueError, OSError) as error:
            raise FileError(f"{file} is not a PRNet landmark file: {error}") from error
        if values.shape != (68, 3):
            raise FileError(f"{file} is {values.shape}; 68 lines 'x y z' are expected")
        points.append(values)
    if not points:
        raise NamesError(f"{path} holds none of the images asked for")
    origin = 0 if options.origin is None else options.origin
    names = tuple(_prnet_name(file) for file in files)
    name = path.parent.name if path.name == "kpt" else path.name
    return _with_fitted_mean(Prediction(name, names, np.stack(points), in_crop=False, origin=origin), options)


def _with_fitted_mean(prediction: Prediction, options: InputOptions) -> Prediction:
    """Add the mean face at each face's pose; the pose is fitted to the points, as the input does not state it."""
    try:
        model = open_model(options.model)
    except FileError as error:
        return replace(prediction, notes=(*prediction.notes, f"no mean-face row: {error}"))
    source = np.column_stack([model.mean[model.landmark_ids].astype(np.float64), np.ones(68)])
    # One least-squares affine camera for all faces at once: (68, 4) onto the (68, n * dims) columns.
    n, _, dims = prediction.points.shape
    finite = np.isfinite(prediction.points).all(axis=(1, 2))
    targets = np.moveaxis(prediction.points[finite], 0, 1).reshape(68, -1)
    fitted = np.full((n, 68, dims), np.nan)
    placed = source @ np.linalg.lstsq(source, targets, rcond=None)[0]
    fitted[finite] = np.moveaxis(placed.reshape(68, -1, dims), 1, 0)
    return replace(
        prediction,
        mean_face=fitted,
        notes=(*prediction.notes, "the mean-face row takes the affine pose that fits each face's points best"),
    )
