"""Training sets out of pictures: labelled by conversion or by a fit, or wild, with 2D points only."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from ..boxes import BoxKind, box_from_landmarks, crop_from_image_exact
from ..coefficients import split
from ..errors import FileError, ShapeError, TwodaslError
from ..fitting.runs import landmark_list, preset
from ..fitting.settings import GROUPS, FitSettings
from ..morphable import LANDMARKS, MorphableModel
from ..photos import cut_crop, decode_photo
from ..pose import CROP_SIZE
from ..visibility import unhidden
from .faces import Face, OnSkip
from .labels import FULL_EXPRESSION, FULL_IDENTITY, SAME_BASIS_NME, converted, converts, fitted
from .sets import Example, SetInfo, write_set
from .tddfa_lists import TddfaSource

LabelSource = Literal["auto", "convert", "fit", "none"]
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

JPG_QUALITY = 95
BLOCK = 32  # faces whose vertices are computed at once


@dataclass(frozen=True)
class PrepareSettings:
    """How faces become a set.

    source: `convert` the annotations' own coefficients, `fit` the points, `none`: keep the points only, or `auto`:
    convert where that gives the annotated landmarks back, else fit 68 points, and keep AFLW's 21 as they are.
    n_identity, n_expression: coefficients of a label, at most the model's; a converted one is exact with 199 + 29.
    landmark_list: which of the model's (None: `transferred`, where it has several). annotations: points are followed,
    not doubted. box_kind: what is known of the boxes of pictures that are crops.
    """

    source: LabelSource = "auto"
    n_identity: int = 40
    n_expression: int = 10
    landmark_list: str | None = None
    annotations: bool = False
    box_kind: BoxKind = "clipped"


def skip_silently(_name: str, _why: str) -> None:
    """For callers who count what was written."""


def no_progress(_text: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
    """For callers who show none."""
    return nullcontext(lambda _done: None)


def prepare_set(
    faces: Sequence[Face],
    model: MorphableModel,
    output: Path,
    settings: PrepareSettings,
    on_skip: OnSkip = skip_silently,
    progress: Progress = no_progress,
) -> tuple[SetInfo, int]:
    """Write the training set of these faces; returns what holds for it and how many faces it has.

    `on_skip` is told of faces that cannot be used. Raises FileError where that is all of them, or where a conversion
    is asked for but the annotations are not of the model's basis.
    """
    chosen = landmark_list(model, settings.landmark_list)
    model = model.with_points(chosen) if chosen else model
    source = _source(faces, model, settings.source)
    fit = replace(
        preset(faces[0].points.shape[1], settings.annotations or faces[0].annotation is not None),
        n_identity=min(settings.n_identity, model.n_identity),
        n_expression=min(settings.n_expression, model.n_expression),
    )
    info = _info(faces, model, settings, source, fit, chosen)
    if source == "fit":
        with progress("fitting", len(faces)) as on_done:
            faces = fitted(faces, model, fit, chosen, on_skip, on_done)
    with progress("crops", len(faces)) as on_done:
        examples = _examples(faces, info, on_skip, on_done)
        if info.labelled:
            examples = _without_hidden(examples, info, model, source == "fit" and fit.contour)
        return info, write_set(output, info, examples)


def prepare_list(
    source: TddfaSource,
    model: MorphableModel,
    output: Path,
    on_skip: OnSkip = skip_silently,
    progress: Progress = no_progress,
) -> tuple[SetInfo, int]:
    """Write the training set of 3DDFA's labels; returns what holds for it and how many faces it has.

    `on_skip` is told of crops that cannot be used. Raises FileError where that is all of them.
    """
    with progress("crops", len(source)) as on_done:

        def examples() -> Iterator[Example]:
            count, first = 0, ""
            for index, name in enumerate(source.names):
                try:
                    example = source.example(index)
                    made = replace(example, jpg=_crop_jpg(example.jpg, name))
                except TwodaslError as error:
                    on_skip(name, str(error))
                    first = first or f"{name} ({error})"
                else:
                    count += 1
                    yield made
                on_done(1)
            if count == 0:
                raise FileError(f"none of the {len(source)} crops can be used; the first is {first}")

        return source.info, write_set(output, source.info, _without_hidden(examples(), source.info, model, False))


def _source(faces: Sequence[Face], model: MorphableModel, asked: LabelSource) -> LabelSource:
    """What `auto` comes to. Raises FileError for a source that these faces do not allow."""
    of_68 = len(faces[0].points) == LANDMARKS
    if asked == "auto" and not of_68:
        return "none"
    if asked == "fit" and not of_68:
        raise FileError(
            f"{len(faces[0].points)} points are no landmarks of a face model; --labels none keeps them as they are"
        )
    if asked in ("auto", "convert") and not converts(faces, model):
        if asked == "auto":
            return "fit"
        raise FileError(
            f"the faces have no annotations of {model.name!r} (converted, landmarks within {100 * SAME_BASIS_NME:g} % of "
            "the face); --labels fit fits that model to the landmarks"
        )
    return "convert" if asked == "auto" else asked


def _info(
    faces: Sequence[Face],
    model: MorphableModel,
    settings: PrepareSettings,
    source: LabelSource,
    fit: FitSettings,
    landmarks: str,
) -> SetInfo:
    wild, cropped = source == "none", faces[0].cropped
    complete = (fit.n_identity, fit.n_expression) == (FULL_IDENTITY, FULL_EXPRESSION)
    boxed = any(np.isfinite(face.box).all() for face in faces)
    return SetInfo(
        basis_id="" if wild else model.basis_id,
        n_identity=0 if wild else fit.n_identity,
        n_expression=0 if wild else fit.n_expression,
        convention="3ddfa",
        labels="none" if wild else "fitted" if source == "fit" else "exact" if complete else "truncated",
        model_name="" if wild else model.name,
        terms=("" if wild else f"face model: {model.terms}; ") + "photos: as their owners say",
        settings={
            "source": source,
            "cropped": cropped,
            "jpg_quality": JPG_QUALITY,
            "fit": fit.as_dict() if source == "fit" else None,
        },
        points="68" if len(faces[0].points) == LANDMARKS else "21",
        landmark_list="" if wild else landmarks,
        box_kind="cut" if not cropped else settings.box_kind if boxed else "none",
    )


def _examples(
    faces: Sequence[Face], info: SetInfo, on_skip: OnSkip, on_done: Callable[[int], None]
) -> Iterator[Example]:
    count, first = 0, ""
    for face in faces:
        try:
            made = _example(face, info)
        except TwodaslError as error:
            on_skip(face.name, str(error))
            first = first or f"{face.name} ({error})"
        else:
            count += 1
            yield made
        on_done(1)
    if count == 0:
        raise FileError(f"none of the {len(faces)} faces can be used; the first is {first}")


def _example(face: Face, info: SetInfo) -> Example:
    """The crop and its points; seen are those inside it."""
    data = face.picture.read()
    photo = decode_photo(data, str(face.picture.path))
    box, coefficients = face.box, face.coefficients
    if face.cropped:
        jpg = _crop_jpg(data, str(face.picture.path))
        points = face.points - [1, 1, 0][: face.points.shape[1]]
    else:
        if not np.isfinite(box).all():
            box = _box_of(face.points)
        jpg = _as_jpg(cut_crop(photo, box))
        points = crop_from_image_exact(face.points, box, "3ddfa-v2")  # counted from 0
    if info.labels in ("exact", "truncated") and face.annotation is not None:
        coefficients = converted(face.annotation, photo.shape[0], box, info)
    landmarks = np.full((info.n_points, 3), np.nan, np.float32)
    landmarks[:, : points.shape[1]] = points
    inside = np.all((points[:, :2] >= 0) & (points[:, :2] <= CROP_SIZE - 1), axis=1)
    if not inside.any():
        raise ShapeError("none of its points lies in the crop: are they of this picture, and in its pixels?")
    return Example(face.name, jpg, coefficients.astype(np.float32), landmarks, inside, box)


def _box_of(points: np.ndarray) -> np.ndarray:
    """3DDFA's box around 68 points that are all there. Raises ShapeError for others."""
    there = int(np.isfinite(points[:, :2]).all(axis=1).sum())
    if there < LANDMARKS:
        raise ShapeError(f"{there} points do not say where its crop is; hand over --boxes")
    return box_from_landmarks(points)


def _crop_jpg(data: bytes, what: str) -> bytes:
    """A crop's picture as it is, where it is an upright colour JPEG; else made one. Raises ShapeError for another size."""
    photo = decode_photo(data, what)
    if photo.shape[:2] != (CROP_SIZE, CROP_SIZE):
        raise ShapeError(f"it is {photo.shape[1]} x {photo.shape[0]} pixels; a crop of 120 x 120 is expected")
    return data if _is_plain_jpg(data) else _as_jpg(photo)


def _as_jpg(crop: np.ndarray) -> bytes:
    from PIL import Image

    jpg = io.BytesIO()
    Image.fromarray(crop).save(jpg, "jpeg", quality=JPG_QUALITY)
    return jpg.getvalue()


def _is_plain_jpg(data: bytes) -> bool:
    """Whether the bytes of a picture can be kept as they are: an upright colour JPEG."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return image.format == "JPEG" and image.mode == "RGB" and image.getexif().get(0x0112, 1) == 1


def _without_hidden(
    examples: Iterable[Example], info: SetInfo, model: MorphableModel, jaw_is_contour: bool
) -> Iterator[Example]:
    """The examples, their landmarks not seen where the labelled face hides them; a jaw that marks the contour of what
    is seen hides nothing of itself."""
    remaining = iter(examples)
    while block := list(islice(remaining, BLOCK)):
        coefficients = np.stack([example.coefficients for example in block])
        pose, identity, expression = split(coefficients, info.n_identity)
        vertices = model.vertices(identity, expression)
        for example, posed, camera in zip(block, vertices, pose, strict=True):
            seen = unhidden(posed @ camera[:, :3].T, model.triangles, model.landmark_ids)
            if jaw_is_contour:
                seen[list(GROUPS["jaw"])] = True
            yield replace(example, visible=example.visible & seen)
