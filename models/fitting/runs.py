"""Landmarks in files to a run of fitted faces: which inputs there are, their boxes, and what is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..annotations import read_annotation
from ..boxes import WHOLE_CROP, BoxKind, box_from_landmarks, check_box
from ..coefficients import join
from ..errors import DegenerateFaceError, FileError, NamesError
from ..morphable import LANDMARKS, MorphableModel
from ..photos import SUFFIXES
from ..pose import Convention, crop_up_from_crop
from ..runs import OK, Run, RunInfo, crop_from_photo, landmarks_in_photo
from ..tables import read_table
from .fit import Fit, fit_landmarks
from .settings import ANNOTATED, DETECTED, FitSettings

Frame = Literal["photo", "crop"]

LABEL_LIST = "transferred"


@dataclass(frozen=True, eq=False)
class FitInputs:
    """n images to fit, keyed by name.

    points: (n, P, 2 or 3), pixels of the photo or of the 120-pixel crop (`frame`), counted from `origin`, y down; NaN
    where not seen. which: (P,), the landmarks they are. boxes: (n, 4), of the crops, NaN where none was handed over;
    None where none were. oracle: the points are annotations. paths and image_sizes (n, 2) of the photos, empty and 0
    where unknown. problems: why an image cannot be read, by row: status and message.
    """

    names: tuple[str, ...]
    points: np.ndarray
    frame: Frame
    origin: int
    oracle: bool
    which: np.ndarray
    paths: tuple[str, ...]
    image_sizes: np.ndarray
    problems: dict[int, tuple[str, str]]
    boxes: np.ndarray | None = None
    box_kind: BoxKind = "cut"
    source: str = ""

    @property
    def settings(self) -> FitSettings:
        """What suits these points: an annotation is followed, a detection doubted; 2D ones mark the visible jaw."""
        return preset(self.points.shape[2], self.oracle)


def preset(dims: int, oracle: bool) -> FitSettings:
    if oracle:
        return ANNOTATED
    return DETECTED if dims == 2 else replace(DETECTED, contour=False)


def read_annotations(folder: Path, which: np.ndarray, only: Sequence[str] | None = None) -> FitInputs:
    """The `pt3d_68` of a folder of AFLW2000-3D `.mat`. A damaged file is a problem of its row.

    Raises FileError where there are none, or none of `only`.
    """
    try:
        listed = sorted(folder.iterdir())
    except OSError as error:
        raise FileError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    chosen = None if only is None else set(only)
    files = [path for path in listed if path.suffix.lower() == ".mat" and (chosen is None or path.stem in chosen)]
    if not files:
        raise FileError(f"{folder} holds no annotations (.mat){'' if chosen is None else ' of the images asked for'}")
    photos = {path.stem: path for path in listed if path.suffix.lower() in SUFFIXES}
    points, problems = np.full((len(files), LANDMARKS, 3), np.nan), {}
    for row, file in enumerate(files):
        try:
            points[row] = read_annotation(file).landmarks
        except FileError as error:
            problems[row] = ("no-annotation", str(error))
    beside = [photos.get(file.stem) for file in files]
    return FitInputs(
        names=tuple(file.stem for file in files),
        points=points[:, which],
        frame="photo",
        origin=1,
        oracle=True,
        which=which,
        paths=tuple("" if photo is None else str(photo) for photo in beside),
        image_sizes=np.array([_size(photo) for photo in beside], np.int32),
        problems=problems,
        source=str(folder),
    )


def _size(photo: Path | None) -> tuple[int, int]:
    """Width and height of a photo as it is shown, from its header; 0 where it has none."""
    from PIL import Image, UnidentifiedImageError

    if photo is None:
        return 0, 0
    try:
        with Image.open(photo) as image:
            turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientation: on its side
            return (image.height, image.width) if turned else (image.width, image.height)
    except (UnidentifiedImageError, OSError):
        return 0, 0


def read_points(
    path: Path,
    rows: Path | None,
    which: np.ndarray,
    frame: Frame,
    origin: int,
    oracle: bool = False,
    only: Sequence[str] | None = None,
) -> FitInputs:
    """Landmarks in a table (`tables.read_table`): 2 or 3 numbers for each of `which`. Raises as that does."""
    count = len(which)
    table = read_table(path, rows, (2 * count, 3 * count), f"{count} landmarks")
    chosen = None if only is None else set(only)
    kept = [name for name in table.names if chosen is None or name in chosen]
    if not kept:
        raise NamesError(f"{path} has none of the images asked for")
    return FitInputs(
        names=tuple(kept),
        points=table.rows(kept).reshape(len(kept), count, -1),
        frame=frame,
        origin=origin,
        oracle=oracle,
        which=which,
        paths=("",) * len(kept),
        image_sizes=np.zeros((len(kept), 2), np.int32),
        problems={},
        box_kind="none" if frame == "crop" else "cut",
        source=str(path),
    )


def with_boxes(inputs: FitInputs, boxes: Path, rows: Path | None, kind: BoxKind) -> FitInputs:
    """The same inputs with the boxes of a table; an image without one, or with one that has no area, is a problem."""
    table = read_table(boxes, rows, (4,), "boxes")
    values, problems = np.full((len(inputs.names), 4), np.nan), dict(inputs.problems)
    for row, name in enumerate(inputs.names):
        box = table.row(name)
        if box is None:
            problems.setdefault(row, ("no-box", f"no box was handed over for {name}"))
            continue
        try:
            check_box(box, name)
        except DegenerateFaceError as error:
            problems.setdefault(row, ("bad-box", str(error)))
        else:
            values[row] = box
    return replace(inputs, boxes=values, box_kind=kind, problems=problems)


def landmark_list(model: MorphableModel, name: str | None) -> str:
    """Which of the model's lists of landmarks to fit: `name`, else the one nearest to the labels of 300W-LP and
    AFLW2000-3D (`transferred`); empty for a model's only one."""
    return name or (LABEL_LIST if LABEL_LIST in model.named_landmarks else "")


@dataclass(frozen=True, eq=False)
class FittedRun:
    """A run, why each face failed (empty texts elsewhere), and the fit it came from, for reports."""

    run: Run
    messages: tuple[str, ...]
    fit: Fit


def fit_run(
    inputs: FitInputs,
    model: MorphableModel,
    settings: FitSettings,
    points: str | None = None,
    on_done: Callable[[int], None] = lambda _: None,
) -> FittedRun:
    """Fit every image and lay the faces into crops, as a network's are. points: see `landmark_list`.

    Photo points go to the crop of the box handed over, else of 3DDFA's rule around the fitted landmarks, in the
    convention `3ddfa`. Crop points stay in their crop as counted: from 0 is the convention `3ddfa-v2`, from 1 `3ddfa`.
    """
    listed = landmark_list(model, points)
    if listed:
        model = model.with_points(listed)
    aims = inputs.points.copy()
    aims[list(inputs.problems)] = np.nan
    fit = fit_landmarks(aims, model, settings, inputs.which, on_done=on_done)
    status, messages = list(fit.status), list(fit.messages)
    for row, (what, why) in inputs.problems.items():
        status[row], messages[row] = what, why
    good = np.array([text == OK for text in status], bool)
    convention: Convention = "3ddfa-v2" if inputs.frame == "crop" and inputs.origin == 0 else "3ddfa"
    boxes = _boxes(inputs, fit)
    coefficients = join(_crop_pose(fit.pose, inputs, boxes, convention), fit.identity, fit.expression)
    coefficients[~good] = np.nan
    coefficients = coefficients.astype(np.float32)
    kinds: tuple[BoxKind, ...] = (inputs.box_kind,) * len(status)
    run = Run(
        info=RunInfo(
            basis_id=model.basis_id,
            n_identity=fit.identity.shape[1],
            n_expression=fit.expression.shape[1],
            convention=convention,
            model_name=model.name,
            terms=f"face model: {model.terms}",
            settings={
                "fit": settings.as_dict(),
                "oracle_input": inputs.oracle,
                "frame": inputs.frame,
                "cropped": inputs.frame == "crop",
                "origin": inputs.origin,
                "landmark_list": listed,
                "landmarks_used": inputs.which.tolist(),
                "dims": inputs.points.shape[2],
                "source": inputs.source,
            },
        ),
        names=inputs.names,
        paths=inputs.paths,
        status=tuple(status),
        box_kind=kinds,
        face=np.zeros(len(status), np.int32),
        box=boxes,
        image_size=inputs.image_sizes,
        coefficients=coefficients,
        landmarks=landmarks_in_photo(coefficients, fit.identity.shape[1], boxes, convention, model),
    )
    return FittedRun(run, tuple(messages), fit)


def _boxes(inputs: FitInputs, fit: Fit) -> np.ndarray:
    if inputs.boxes is not None:
        return inputs.boxes
    if inputs.frame == "crop":
        return np.tile(WHOLE_CROP, (len(inputs.names), 1))
    return box_from_landmarks(fit.landmarks + (1 - inputs.origin))


def _crop_pose(pose: np.ndarray, inputs: FitInputs, boxes: np.ndarray, convention: Convention) -> np.ndarray:
    """Poses (n, 3, 4) from the points' pixels with y up to the crop's: the way of a point is scale and shift in each
    axis, so it is read off at two points."""

    def crop_up(points: np.ndarray) -> np.ndarray:
        turned = points * [1, -1, 1]
        if inputs.frame == "photo":
            turned = crop_from_photo(turned - [inputs.origin, inputs.origin, 0], boxes, convention)
        return crop_up_from_crop(turned, convention)

    shift = crop_up(np.zeros((len(pose), 1, 3)))[:, 0]
    scale = crop_up(np.ones((len(pose), 1, 3)))[:, 0] - shift
    laid = pose * scale[..., None]
    laid[..., 3] += shift
    return laid
