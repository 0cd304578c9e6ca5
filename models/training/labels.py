"""The coefficients of faces: converted from annotations of the same basis, or fitted to points.

300W-LP and AFLW2000-3D state a face as 7 pose numbers and 199 + 29 coefficients of the full Basel model. A network
learns 12 pose numbers of the crop and fewer coefficients. With the same basis the conversion is exact up to the
components left out; with another face model the annotated landmarks are fitted.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..annotations import ModelLabels
from ..boxes import crop_pose_from_photo
from ..coefficients import join
from ..errors import FileError
from ..fitting.runs import FitInputs, fit_run
from ..fitting.settings import FitSettings
from ..morphable import LANDMARKS, MorphableModel
from ..pose import crop_up_from_model
from ..runs import OK, Run
from .faces import Face, OnSkip
from .sets import SetInfo

SAME_BASIS_NME = 0.02  # a conversion that misses the landmarks by more is of another face model's coefficients
FULL_IDENTITY, FULL_EXPRESSION = 199, 29


def converts(faces: Sequence[Face], model: MorphableModel) -> bool:
    """Whether the annotations' own coefficients, put through the model, give their landmarks back (median face of
    up to 50): then they are of its basis."""
    errors = []
    for face in faces[:: max(1, len(faces) // 50)]:
        labels = face.annotation
        if labels is None:
            return False
        camera = labels.camera(0)  # any height: the landmarks are compared about their means
        identity = labels.identity[: min(FULL_IDENTITY, model.n_identity)]
        expression = labels.expression[: min(FULL_EXPRESSION, model.n_expression)]
        points = crop_up_from_model(model.landmarks(identity, expression), camera)[:, :2] * [1, -1]
        truth = labels.landmarks[:, :2]
        off = (points - points.mean(axis=0)) - (truth - truth.mean(axis=0))
        errors.append(np.linalg.norm(off, axis=1).mean() / np.sqrt(np.ptp(truth, axis=0).prod()))
    return bool(np.median(errors) < SAME_BASIS_NME)


def converted(labels: ModelLabels, height: int, box: np.ndarray, info: SetInfo) -> np.ndarray:
    """An annotation's coefficients (C,) for the crop of a box, from a photo of this height."""
    camera = crop_pose_from_photo(labels.camera(height), box)
    return join(camera, labels.identity[: info.n_identity], labels.expression[: info.n_expression])


def fitted(
    faces: Sequence[Face],
    model: MorphableModel,
    settings: FitSettings,
    landmark_list: str,
    on_skip: OnSkip,
    on_done: Callable[[int], None],
) -> list[Face]:
    """The faces with fitted coefficients, and with the box of the fitted landmarks where they have none.

    `on_skip` is told of those that cannot be fitted. Raises FileError where none can.
    """
    kept, first = [], ""
    for dims in (2, 3):
        group = [face for face in faces if face.points.shape[1] == dims]
        if not group:
            continue
        run, messages = _fit(group, model, settings, landmark_list, on_done)
        for row, face in enumerate(group):
            if run.status[row] == OK:
                box = face.box if face.cropped else run.box[row]
                kept.append(replace(face, coefficients=run.coefficients[row], box=box))
            else:
                on_skip(face.name, f"{run.status[row]}: {messages[row]}")
                first = first or f"{face.name} ({messages[row]})"
    if not kept:
        raise FileError(f"none of the {len(faces)} faces can be fitted; the first is {first}")
    return kept


def _fit(
    faces: Sequence[Face],
    model: MorphableModel,
    settings: FitSettings,
    landmark_list: str,
    on_done: Callable[[int], None],
) -> tuple[Run, Sequence[str]]:
    boxes = np.stack([face.box for face in faces])
    inputs = FitInputs(
        names=tuple(face.name for face in faces),
        points=np.stack([face.points for face in faces]),
        frame="crop" if faces[0].cropped else "photo",
        origin=1,
        oracle=False,
        which=np.arange(LANDMARKS),
        paths=("",) * len(faces),
        image_sizes=np.zeros((len(faces), 2), np.int32),
        problems={},
        boxes=boxes if np.isfinite(boxes).all() and not faces[0].cropped else None,
    )
    fit = fit_run(inputs, model, settings, landmark_list or None, on_done)
    return fit.run, fit.messages
