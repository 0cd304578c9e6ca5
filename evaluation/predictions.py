"""Anybody's predictions, whatever file they come in, as landmarks that a protocol can place in the photo."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..models.coefficients import POSE, split
from ..models.errors import BasisError, FileError, NamesError, NotFiniteError
from ..models.fitting.runs import landmark_list
from ..models.inputs import RUN_STATES, RUN_SUFFIXES, InputOptions, run_from_table
from ..models.library import open_model
from ..models.morphable import MorphableModel
from ..models.pose import crop_from_crop_up, crop_up_from_model
from ..models.runs import Run, check_scorable, landmarks_in_photo, photo_from_crop
from ..models.tables import Table, check_unique, read_table, shorten
from ..models.vertex_files import frame_of_landmarks, mat_names, read_vertex_file
from .prediction import Coefficients, MeshFiles, Prediction, moved_cameras
from .shared_options import readable
from .topology import ids_in_model, places_of, vertex_count

PRNET_SUFFIX = "_kpt.txt"


def open_prediction(
    path: Path, options: InputOptions, only: tuple[str, ...] | None = None, boxes_known: bool = False
) -> Prediction:
    """Read an input of any kind: a run, coefficients, vertex files, PRNet's `_kpt.txt`, or landmarks.

    `only` says which images will be asked for, so that a folder's other files are left unread. boxes_known: the truth
    has the boxes that the crops were cut from, so that a run need not state them.
    Raises FileError where it is none of these or an option it needs is missing.
    """
    if path.is_dir():
        return _from_folder(path, options, only)
    if not path.exists():
        raise FileError(f"cannot read {path}: no such file or folder")
    if path.suffix.lower() in RUN_SUFFIXES:
        return _from_run(path, options, boxes_known)
    return _from_table(path, options)


def _from_run(path: Path, options: InputOptions, boxes_known: bool) -> Prediction:
    options = readable(options, (*RUN_STATES, "origin"), f"{path}, a run, which states them itself")
    run = Run.load(path)
    if not boxes_known:
        check_scorable(run, str(path))
    check_unique(run.names, f"{path} (an image with several faces)")
    try:
        model: MorphableModel | None = open_model(options.model, run.info.basis_id, str(path))
        unknown: tuple[str, ...] = ()
    except BasisError as error:
        if options.model is not None:
            raise
        model, unknown = None, (f"no mean-face row: {error}",)
    notes: tuple[str, ...] = ()
    if model is not None:
        listed = landmark_list(model, options.points)
        if listed:
            model = model.with_points(listed)
            run = _with_landmarks_of(model, run)
            notes = (f"landmarks: the model's list '{listed}'",)
    elif options.points is not None:
        raise FileError(f"--points {options.points} needs the face model of {path}: hand it over with --model")
    return replace(_from_coefficients(path.stem, run, model, notes), mean_face_notes=unknown)


def _with_landmarks_of(model: MorphableModel, run: Run) -> Run:
    """The run with the landmarks that the model means by the 68 points."""
    info = run.info
    points = landmarks_in_photo(run.coefficients, info.n_identity, run.box, info.convention, model)
    return replace(run, landmarks=points)


def _from_coefficients(name: str, run: Run, model: MorphableModel | None, notes: tuple[str, ...]) -> Prediction:
    if run.info.settings.get("frame") == "photo":
        return _fitted_in_photo(name, run, model, notes)
    mean_face, meshes = None, None
    if model is not None:
        meshes = _meshes(run, model)
        mean_face = crop_up_from_model(model.mean[model.landmark_ids].astype(np.float64), meshes.cameras)
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
        meshes=meshes,
        notes=notes,
        oracle_input=is_oracle(run),
    )


def _meshes(run: Run, model: MorphableModel) -> Coefficients:
    """What the dense faces of a run are made of, crop pixels, y up."""
    pose, identity, expression = split(run.coefficients.astype(np.float64), run.info.n_identity)
    good = run.valid[:, None]
    return Coefficients(
        model,
        np.where(good[..., None], pose, np.nan),
        np.where(good, identity, 0.0),
        np.where(good, expression, 0.0),
    )


def _fitted_in_photo(name: str, run: Run, model: MorphableModel | None, notes: tuple[str, ...]) -> Prediction:
    """Faces fitted to points of the photo: they never were in a crop, so no protocol's crop mapping moves them."""
    mean_face, meshes = None, None
    if model is not None:
        mean = run.coefficients.copy()
        mean[:, POSE:] = 0
        mean_face = landmarks_in_photo(mean, run.info.n_identity, run.box, run.info.convention, model)
        mean_face[..., :2] += 1
        meshes = _meshes(run, model)

        def counted_from_1(points: np.ndarray) -> np.ndarray:
            crop = crop_from_crop_up(points, run.info.convention)
            return photo_from_crop(crop, run.box, run.info.convention) + np.array([1, 1, 0])

        meshes = replace(meshes, cameras=moved_cameras(meshes.cameras, counted_from_1))
    points = run.landmarks.copy()
    points[..., :2] += 1
    points[~run.valid] = np.nan
    return Prediction(
        name=name,
        names=run.names,
        points=points,
        in_crop=False,
        mean_face=mean_face,
        meshes=meshes,
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
    options = readable(options, ("frame_in", "origin"), f"{path}, coefficients")
    run, model = run_from_table(table, options)
    notes = (
        () if options.convention else ("coefficients are read in the convention '3ddfa'; --convention says otherwise",)
    )
    return _from_coefficients(path.stem, run, model, notes)


def _from_landmarks(path: Path, table: Table, options: InputOptions) -> Prediction:
    options = readable(options, RUN_STATES, f"{path}, landmarks")
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
        options = readable(options, RUN_STATES, f"{path}, PRNet's landmarks")
        return _from_prnet(path, [p for p in kpt if only is None or _prnet_name(p) in set(only)], options)
    names = tuple(name for name in mat_names(path) if only is None or name in set(only))
    if not names:
        raise FileError(f"{path} holds no predictions: vertex files (.mat) or PRNet's *{PRNET_SUFFIX} are expected")
    options = readable(options, ("whitening", "origin"), f"{path}, vertex files")
    return _from_vertices(path, names, options)


def _from_vertices(path: Path, names: tuple[str, ...], options: InputOptions) -> Prediction:
    model = open_model(options.model)
    files = tuple(path / f"{name}.mat" for name in names)
    count = vertex_count(files[0])
    ids = ids_in_model(count, model, files[0])
    landmark_ids = model.landmark_ids if ids is None else places_of(model.landmark_ids, ids, files[0])
    landmarks, frames, failed = np.full((len(names), 68, 3), np.nan), {}, []
    for row, (name, file) in enumerate(zip(names, files, strict=True)):
        try:
            vertices = read_vertex_file(file, count)
        except NotFiniteError:
            failed.append(name)
            continue
        landmarks[row] = vertices[landmark_ids]
        frames[name] = options.frame_in or frame_of_landmarks(landmarks[row], model, file)
    if not frames:
        raise FileError(f"{path}: none of its {len(names)} vertex files is finite")
    first = next(iter(frames))
    if len(set(frames.values())) > 1:
        odd = [name for name in frames if frames[name] != frames[first]]
        raise FileError(f"{path} mixes frames: {first} is {frames[first]}, {shorten(odd)} {frames[odd[0]]}")
    in_crop = frames[first] == "crop"
    boxes = None
    if in_crop and options.boxes is not None:
        boxes = read_table(options.boxes, options.rows, (4,), "boxes").rows(names)
    notes = (f"vertices that are not finite: {shorten(failed)}",) if failed else ()
    return _with_fitted_mean(
        Prediction(
            path.name,
            names,
            landmarks,
            in_crop=in_crop,
            convention=options.convention or "3ddfa",
            boxes=boxes,
            meshes=MeshFiles(model, files, frames[first], count, ids),
            notes=notes,
        ),
        options,
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
        return replace(prediction, mean_face_notes=(f"no mean-face row: {error}",))
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
        mean_face_notes=("the mean-face row takes the affine pose that fits each face's points best",),
    )
