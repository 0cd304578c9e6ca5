"""Training sets out of photos with annotations: every label converted to, or fitted with, one face model.

300W-LP and AFLW2000-3D state a face as 7 pose numbers and 199 + 29 coefficients of the full Basel model. A network
learns 12 pose numbers of the crop and fewer coefficients. With the same basis the conversion is exact up to the
components left out; with another face model the annotated landmarks are fitted.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..annotations import ModelLabels, read_model_labels
from ..boxes import box_from_landmarks, crop_from_image_exact, crop_pose_from_photo
from ..coefficients import join, split
from ..errors import FileError, TwodaslError
from ..morphable import MorphableModel
from ..photos import cut_crop, read_photo
from ..pose import CROP_SIZE, crop_from_crop_up, crop_up_from_model
from ..tables import image_name
from .sets import Example, Labels, SetInfo, write_set

LabelSource = Literal["auto", "convert", "fit"]

JPG_QUALITY = 95
SAME_BASIS_NME = 0.02  # a conversion that misses the landmarks by more is of another face model's coefficients
FULL_IDENTITY, FULL_EXPRESSION = 199, 29


@dataclass(frozen=True, eq=False)
class Annotated:
    """One photo with its labels."""

    name: str
    photo: Path
    labels: ModelLabels


def read_annotated(photos: Sequence[Path], on_skip: Callable[[str, str], None]) -> list[Annotated]:
    """The photos that have an annotation `.mat` beside them; `on_skip` is told name and reason of the others."""
    found = []
    for photo in photos:
        try:
            found.append(Annotated(image_name(photo), photo, read_model_labels(photo.with_suffix(".mat"))))
        except FileError as error:
            on_skip(image_name(photo), str(error))
    if not found:
        raise FileError("none of the photos has a usable annotation (.mat) beside it")
    return found


def prepare_set(
    annotated: Sequence[Annotated],
    model: MorphableModel,
    output: Path,
    source: LabelSource = "auto",
    components: tuple[int, int] = (40, 10),
    on_skip: Callable[[str, str], None] = lambda _name, _why: None,
    on_done: Callable[[int], None] = lambda _: None,
) -> tuple[SetInfo, int]:
    """Write the training set of these photos; returns what holds for it and how many faces it has.

    source: `convert` the annotations' own coefficients, `fit` the landmarks, or `auto`: convert where that gives the
    landmarks back. components: how many identity and expression coefficients a label has, at most the model's; a
    converted label is exact with 199 + 29. `on_skip` is told of photos that cannot be read. Raises FileError where a conversion is asked for
    but the model is of another basis.
    """
    fits = source == "fit" or (source == "auto" and not converts(annotated, model))
    if source == "convert" and not converts(annotated, model):
        raise FileError(
            f"the annotations are not of {model.name!r}: converted, their landmarks are off by more than "
            f"{100 * SAME_BASIS_NME:g} % of the face; --labels fit fits that model to the landmarks"
        )
    n_identity, n_expression = min(components[0], model.n_identity), min(components[1], model.n_expression)
    complete = (n_identity, n_expression) == (FULL_IDENTITY, FULL_EXPRESSION)
    labels: Labels = "fitted" if fits else "exact" if complete else "truncated"
    info = SetInfo(
        basis_id=model.basis_id,
        n_identity=n_identity,
        n_expression=n_expression,
        convention="3ddfa",
        labels=labels,
        model_name=model.name,
        terms=f"face model: {model.terms}; photos: as their owners say",
        settings={"labels": labels, "crop_rule": "3ddfa", "jpg_quality": JPG_QUALITY},
    )
    placed = _fitted(annotated, model, info, on_skip) if fits else ((face, None) for face in annotated)
    return info, write_set(output, info, _examples(placed, info, on_skip, on_done))


def converts(annotated: Sequence[Annotated], model: MorphableModel) -> bool:
    """Whether the annotations' own coefficients, put through the model, give their landmarks back (median face of
    up to 50): then they are of its basis."""
    errors = []
    for face in annotated[:: max(1, len(annotated) // 50)]:
        labels = face.labels
        camera = labels.camera(0)  # any height: the landmarks are compared about their means
        identity = labels.identity[: min(FULL_IDENTITY, model.n_identity)]
        expression = labels.expression[: min(FULL_EXPRESSION, model.n_expression)]
        points = crop_up_from_model(model.landmarks(identity, expression), camera)[:, :2] * [1, -1]
        truth = labels.landmarks[:, :2]
        off = (points - points.mean(axis=0)) - (truth - truth.mean(axis=0))
        errors.append(np.linalg.norm(off, axis=1).mean() / np.sqrt(np.ptp(truth, axis=0).prod()))
    return bool(np.median(errors) < SAME_BASIS_NME)


def _fitted(
    annotated: Sequence[Annotated], model: MorphableModel, info: SetInfo, on_skip: Callable[[str, str], None]
) -> Iterator[tuple[Annotated, np.ndarray]]:
    """Each face with its fitted coefficients: 12 of a camera to the photo (from 1, y up), identity, expression."""
    from ..fitting.fit import fit_landmarks
    from ..fitting.settings import ANNOTATED

    for dims in (2, 3):
        faces = [face for face in annotated if face.labels.landmarks.shape[1] == dims]
        if not faces:
            continue
        settings = replace(ANNOTATED, n_identity=info.n_identity, n_expression=info.n_expression)
        fit = fit_landmarks(np.stack([face.labels.landmarks for face in faces]), model, settings)
        for row, face in enumerate(faces):
            if fit.status[row] != "ok":
                on_skip(face.name, f"{fit.status[row]}: {fit.messages[row]}")
                continue
            yield face, join(fit.pose[row], fit.identity[row], fit.expression[row])


def _examples(
    placed: "Iterator[tuple[Annotated, np.ndarray | None]]",
    info: SetInfo,
    on_skip: Callable[[str, str], None],
    on_done: Callable[[int], None],
) -> Iterator[Example]:
    for face, fitted in placed:
        try:
            yield _example(face, fitted, info)
        except TwodaslError as error:
            on_skip(face.name, str(error))
        on_done(1)


def _example(face: Annotated, fitted: np.ndarray | None, info: SetInfo) -> Example:
    from PIL import Image

    photo = read_photo(face.photo)
    labels = face.labels
    box = box_from_landmarks(labels.landmarks)
    if fitted is None:
        camera, identity, expression = labels.camera(photo.shape[0]), labels.identity, labels.expression
    else:
        camera, identity, expression = split(fitted, info.n_identity)
    jpg = io.BytesIO()
    Image.fromarray(cut_crop(photo, box)).save(jpg, "jpeg", quality=JPG_QUALITY)
    points = crop_from_image_exact(labels.landmarks, box, "3ddfa-v2")  # counted from 0
    coefficients = join(crop_pose_from_photo(camera, box), identity[: info.n_identity], expression[: info.n_expression])
    landmarks = np.full((68, 3), np.nan, np.float32)
    landmarks[:, : points.shape[1]] = points
    inside = np.all((points[:, :2] >= 0) & (points[:, :2] <= CROP_SIZE - 1), axis=1)
    return Example(face.name, jpg.getvalue(), coefficients.astype(np.float32), landmarks, np.asarray(inside), box)


def label_error(coefficients: np.ndarray, landmarks: np.ndarray, info: SetInfo, model: MorphableModel) -> np.ndarray:
    """How far the labels' own landmarks lie from the annotated ones, as NME in 2D: (n,) fractions.

    coefficients: (n, C), landmarks: (n, 68, 3) crop pixels from 0.
    """
    pose, identity, expression = split(coefficients.astype(np.float64), info.n_identity)
    points = crop_from_crop_up(crop_up_from_model(model.landmarks(identity, expression), pose), info.convention)
    off = points[..., :2] - 1 - landmarks[..., :2]  # the convention counts from 1
    size = np.sqrt(np.ptp(landmarks[..., :2], axis=1).prod(axis=1))
    return np.linalg.norm(off, axis=2).mean(axis=1) / size
