"""Pictures paired with what is known of the face in them, before its label is made and its crop is cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..annotations import ModelLabels, read_model_labels
from ..boxes import box_from_landmarks, check_box, round_half_away
from ..errors import FileError, NamesError, TwodaslError
from .pictures import Picture
from .point_labels import PointLabels

OnSkip = Callable[[str, str], None]

UNKNOWN_BOX = np.full(4, np.nan)


@dataclass(frozen=True, eq=False)
class Face:
    """One picture and its face.

    points: (68 or 21, 2 or 3) float64, pixels of the picture from 1, y down, NaN where not annotated. box: (4,) photo
    pixels from 1: of the crop that the picture is (`cropped`), or to cut it by; NaN where it is not known.
    annotation: what 300W-LP and AFLW2000-3D say of it. coefficients: (C,), of the crop, once they are known.
    """

    picture: Picture
    points: np.ndarray
    box: np.ndarray
    cropped: bool = False
    annotation: ModelLabels | None = None
    coefficients: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def name(self) -> str:
        return self.picture.name


def read_annotated(pictures: Sequence[Picture], on_skip: OnSkip) -> list[Face]:
    """The photos that have an annotation `.mat` beside them; `on_skip` is told name and reason of the others.

    Raises FileError where there are none.
    """
    faces = []
    for picture in pictures:
        try:
            labels = read_model_labels(picture.path.with_suffix(".mat"))
        except FileError as error:
            on_skip(picture.name, str(error))
        else:
            faces.append(Face(picture, labels.landmarks, box_from_landmarks(labels.landmarks), annotation=labels))
    if not faces:
        raise FileError(
            "none of the photos has a usable annotation (.mat) beside it; --landmarks names a file of points"
        )
    return faces


def pair(
    pictures: Sequence[Picture], labels: PointLabels, where: Path, on_skip: OnSkip
) -> tuple[list[Face], list[str]]:
    """The pictures (of `where`) with points of their name, and the names that have points but no picture.

    `on_skip` is told of pictures that cannot be used: no points of their name, none annotated, no box to cut though
    boxes were handed over. Raises NamesError where no name is in both, FileError where no picture can be used.
    """
    rows = {name: row for row, name in enumerate(labels.names)}
    if not any(picture.name in rows for picture in pictures):
        raise NamesError(
            f"none of the {len(pictures)} pictures in {where} (the first is '{pictures[0].name}') is among the "
            f"{len(rows)} names in {labels.source} (the first is '{labels.names[0]}')"
        )
    faces, first = [], ""
    for picture in pictures:
        row = rows.pop(picture.name, None)
        if row is None:
            on_skip(picture.name, f"{labels.source} has no points for it")
            continue
        box = UNKNOWN_BOX if labels.boxes is None else labels.boxes[row]
        try:
            if picture.name in labels.problems:
                raise FileError(labels.problems[picture.name])
            if not np.isfinite(labels.points[row, :, :2]).any():
                raise FileError("none of its points is annotated")
            if labels.boxes is not None and not labels.cropped:
                check_box(box := round_half_away(box), picture.name)  # as it is cut
        except TwodaslError as error:
            on_skip(picture.name, str(error))
            first = first or f"{picture.name} ({error})"
        else:
            faces.append(Face(picture, labels.points[row], box, labels.cropped))
    if not faces:
        raise FileError(f"none of the {len(pictures)} pictures in {where} can be used; the first is {first}")
    return faces, list(rows)
