"""From photos to a run: which inputs there are, their boxes and landmarks, and the loop over them."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .annotations import read_annotation
from .boxes import BoxKind, box_from_face_box, box_from_landmarks, check_box, crop_from_image_exact, round_half_away
from .errors import DegenerateFaceError, FileError, NamesError
from .files import check_output, open_h5
from .journal import Journal
from .morphable import LANDMARKS, MorphableModel
from .photos import SUFFIXES, cut_crop, read_photo
from .predictor import Predictor
from .runs import FORMAT, OK, STATUSES, VERSION, Run, RunInfo, landmarks_in_photo, read_info, write_run
from .tables import image_name, read_names, read_table

BoxSource = Literal["boxes", "truth", "landmarks", "none"]


@dataclass(frozen=True)
class InferenceSettings:
    """How photos become crops; saved with the run.

    cropped: the inputs are crops already. box_source: where boxes come from. face_boxes: boxes are a face detector's,
    not the crop's. origin: the first pixel of handed-over landmarks. batch_size: inputs to a batch, on which the last
    bits of a result depend. device: torch's name of it.
    """

    cropped: bool = False
    box_source: BoxSource = "none"
    box_kind: BoxKind = "clipped"
    face_boxes: bool = False
    origin: int = 0
    batch_size: int = 32
    device: str = "cpu"

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Input:
    """One photo to do. box: (4,) and landmarks: (68, 2), as handed over, or None."""

    name: str
    path: Path
    box: np.ndarray | None = None
    landmarks: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """One photo made ready. crop: (120, 120, 3) uint8, None where `status` is not ok; `message` says why."""

    status: str
    message: str = ""
    crop: np.ndarray | None = None
    box: np.ndarray | None = None
    box_kind: BoxKind = "none"
    image_size: tuple[int, int] = (0, 0)
    landmarks: np.ndarray | None = None


class _NotReadyError(Exception):
    """A photo cannot be made ready: its status and why."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


# --- which inputs -------------------------------------------------------------------------------


def list_photos(folder: Path) -> list[Path]:
    """The pictures in a folder, sorted by name. Raises FileError if there are none."""
    if not folder.exists():
        raise FileError(f"cannot read {folder}: no such file or folder")
    try:
        photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise FileError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    if not photos:
        raise FileError(f"{folder} holds no photos ({', '.join(sorted(SUFFIXES))})")
    return photos


def collect_inputs(
    paths: Sequence[Path],
    boxes: Path | None = None,
    landmarks: Path | None = None,
    rows: Path | None = None,
    only: Path | None = None,
) -> list[Input]:
    """Pair photos with the boxes and landmarks of their names, in the order of `paths`.

    Raises NamesError where two photos have one name, or `only` leaves none.
    """
    names = [image_name(path) for path in paths]
    if len(set(names)) < len(names):
        _refuse_doubles(names, paths)
    if only is not None:
        chosen = set(read_names(only))
        kept = [(name, path) for name, path in zip(names, paths, strict=True) if name in chosen]
        if not kept:
            raise NamesError(f"none of the {len(chosen)} names in {only} is among the {len(paths)} photos")
        names, paths = [name for name, _ in kept], [path for _, path in kept]
    box_table = None if boxes is None else read_table(boxes, rows, (4,), "boxes")
    point_table = (
        None if landmarks is None else read_table(landmarks, rows, (2 * LANDMARKS, 3 * LANDMARKS), "landmarks")
    )
    return [
        Input(
            name,
            path,
            None if box_table is None else box_table.row(name),
            None if point_table is None else _points(point_table.row(name)),
        )
        for name, path in zip(names, paths, strict=True)
    ]


def _points(row: np.ndarray | None) -> np.ndarray | None:
    return None if row is None else row.reshape(LANDMARKS, -1)[:, :2]


def _refuse_doubles(names: Sequence[str], paths: Sequence[Path]) -> None:
    first: dict[str, Path] = {}
    for name, path in zip(names, paths, strict=True):
        if first.get(name) == path:
            raise NamesError(f"{path} is handed over twice; each photo stands once")
        if name in first:
            raise NamesError(
                f"two inputs are called '{name}': {first[name]} and {path}; names pair photos with boxes and truth, "
                "so each stands once"
            )
        first[name] = path


# --- one photo ----------------------------------------------------------------------------------


def prepare(item: Input, settings: InferenceSettings, needs_landmarks: bool) -> Sample:
    """Read one photo and make the network's input of it. What is wrong with it becomes its status."""
    try:
        photo = read_photo(item.path)
    except FileError as error:
        return Sample("unreadable", str(error))
    return prepare_photo(photo, item, settings, needs_landmarks)


def prepare_photo(photo: np.ndarray, item: Input, settings: InferenceSettings, needs_landmarks: bool) -> Sample:
    """The network's input out of a photo (H, W, 3) uint8 that is read already; the rest as in `prepare`."""
    try:
        return _prepare(photo, item, settings, needs_landmarks)
    except _NotReadyError as error:
        return Sample(error.status, str(error))


def _prepare(photo: np.ndarray, item: Input, settings: InferenceSettings, needs_landmarks: bool) -> Sample:
    points = item.landmarks  # pixels of the picture handed over, photo or crop
    if points is not None and not np.isfinite(points).all():
        points = None
    if needs_landmarks and points is None:
        raise _NotReadyError("no-landmarks", f"{item.name} has no landmarks, which these weights need")
    size = (photo.shape[1], photo.shape[0])
    box, kind = _box(item, settings, size, points)
    cut = np.array([1.0, 1.0, *size]) if settings.cropped else box
    try:
        crop = cut_crop(photo, cut)
    except DegenerateFaceError as error:
        raise _NotReadyError("bad-box", f"{item.name}: {error}") from error
    landmarks = None
    if points is not None:
        landmarks = crop_from_image_exact(points + (1 - settings.origin), cut, "3ddfa-v2")
    if settings.cropped and kind != "none":
        size = (0, 0)  # the photo's is not known
    return Sample(OK, "", crop, box, kind, size, landmarks)


def _box(
    item: Input, settings: InferenceSettings, size: tuple[int, int], points: np.ndarray | None
) -> tuple[np.ndarray, BoxKind]:
    if settings.box_source == "none":
        return np.array([1.0, 1.0, *size]), "none"
    if settings.box_source == "truth":
        try:
            box = box_from_landmarks(read_annotation(item.path.with_suffix(".mat")).landmarks)
        except FileError as error:
            raise _NotReadyError("no-annotation", str(error)) from error
    elif settings.box_source == "landmarks":
        if points is None:
            raise _NotReadyError("no-landmarks", f"{item.name} has no landmarks to take its box from")
        box = box_from_landmarks(points + (1 - settings.origin))
    else:
        if item.box is None:
            raise _NotReadyError("no-box", f"no box was handed over for {item.name}")
        box = box_from_face_box(item.box) if settings.face_boxes else item.box
    if not settings.cropped:
        box = round_half_away(box)  # as it is cut
    try:
        check_box(box, item.name)
    except DegenerateFaceError as error:
        raise _NotReadyError("bad-box", str(error)) from error
    return box, settings.box_kind if settings.cropped else "cut"


# --- the loop -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of one input: a line of `infer --json`."""

    name: str
    path: str
    status: str
    message: str
    record: np.ndarray


def infer(
    inputs: Sequence[Input],
    predictor: Predictor,
    model: MorphableModel,
    output: Path,
    settings: InferenceSettings,
    *,
    overwrite: bool = False,
    dense: bool = False,
    jobs: int = 4,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
) -> None:
    """Predict every input and write the run; an interrupted one goes on where it stopped, to the same file.

    `on_outcome` is told of each input in order, those of an earlier, interrupted start included; `on_note` of what
    was there already. Raises FileError where `output` exists (made from other inputs) or cannot be written.
    """
    key = _work_key(inputs, predictor, model, settings)
    if output.exists() and not overwrite and _is_finished(output, key, dense):
        on_note(f"{output} holds all of this already; --overwrite makes it anew")
        for record in _records_of(Run.load(output), _record_type(predictor)):
            on_outcome(outcome_of(record, inputs))
        return
    check_output(output, overwrite)
    with Journal(part_path(output), key, _record_type(predictor), overwrite) as journal:
        if len(journal):
            on_note(f"{len(journal)} of {len(inputs)} are in {journal.path} already; going on from there")
        for number, record in enumerate(record for block in journal.blocks() for record in block):
            if record["index"] != number or number >= len(inputs):
                raise FileError(f"{journal.path} is damaged (two commands at once?): delete it to start anew")
            on_outcome(outcome_of(record, inputs))
        for records, messages in _predict(inputs, predictor, model, settings, len(journal), jobs):
            journal.append(records)
            for record, message in zip(records, messages, strict=True):
                on_outcome(outcome_of(record, inputs, message))
        info = run_info(predictor, model, settings, key)
        runs = (run_of_records(block, info, inputs) for block in journal.blocks())
        write_run(output, info, len(journal), predictor.needs_landmarks, runs, model if dense else None)
        journal.remove()


def part_path(output: Path) -> Path:
    """Where the faces done so far are kept until the run is whole."""
    return output.with_name(output.name + ".part")


def _predict(
    inputs: Sequence[Input],
    predictor: Predictor,
    model: MorphableModel,
    settings: InferenceSettings,
    start: int,
    jobs: int,
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Records and messages, a batch at a time. Batches lie at fixed places in the list, so that a continued run
    predicts each photo among the same neighbours, to the same bits."""
    if start == len(inputs):
        return
    size = settings.batch_size
    batches = [inputs[first : first + size] for first in range(start - start % size, len(inputs), size)]
    done = start % size
    with ThreadPoolExecutor(jobs) as pool:
        waiting: deque[list[Future[Sample]]] = deque()
        ahead = iter(batches)
        try:
            for number in range(len(batches)):
                while len(waiting) < 3 and (following := next(ahead, None)) is not None:
                    waiting.append(
                        [pool.submit(prepare, item, settings, predictor.needs_landmarks) for item in following]
                    )
                samples = [future.result() for future in waiting.popleft()]
                first = start - done + number * size
                records = records_of_samples(samples, predictor, model, first)
                skip = done if number == 0 else 0
                yield records[skip:], [sample.message for sample in samples][skip:]
        finally:
            for futures in waiting:
                for future in futures:
                    future.cancel()


def records_of_samples(
    samples: Sequence[Sample], predictor: Predictor, model: MorphableModel, first: int
) -> np.ndarray:
    weights = predictor.weights
    """What is kept of each sample: predicted, placed in its photo. first: the number of the first one."""
    records = np.zeros(len(samples), _record_type(predictor))
    records["index"] = np.arange(first, first + len(samples))
    records["status"] = [sample.status for sample in samples]
    records["box_kind"] = [sample.box_kind for sample in samples]
    records["image_size"] = [sample.image_size for sample in samples]
    for field in ("box", "coefficients", "landmarks", *(["landmarks_in"] if predictor.needs_landmarks else [])):
        records[field] = np.nan
    ready = np.array([row for row, sample in enumerate(samples) if sample.crop is not None], np.intp)
    if len(ready) == 0:
        return records
    crops = np.stack([sample.crop for sample in samples if sample.crop is not None])
    boxes = np.stack([sample.box for sample in samples if sample.crop is not None and sample.box is not None])
    landmarks = None
    if predictor.needs_landmarks:
        landmarks = np.stack([sample.landmarks for sample in samples if sample.landmarks is not None])
        records["landmarks_in"][ready] = landmarks
    coefficients = predictor.coefficients(crops, landmarks)
    records["box"][ready] = boxes
    finite = np.isfinite(coefficients).all(axis=1)
    records["status"][ready[~finite]] = "not-finite"
    good = ready[finite]
    records["coefficients"][good] = coefficients[finite]
    records["landmarks"][good] = landmarks_in_photo(
        coefficients[finite], weights.n_identity, boxes[finite], weights.convention, model
    )
    return records


def _record_type(predictor: Predictor) -> np.dtype:
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [
        ("index", "<i8"),
        ("status", "U16"),
        ("box_kind", "U8"),
        ("box", "<f8", (4,)),
        ("image_size", "<i4", (2,)),
        ("coefficients", "<f4", (len(predictor.weights.whitening.mean),)),
        ("landmarks", "<f8", (LANDMARKS, 3)),
    ]
    if predictor.needs_landmarks:
        fields.append(("landmarks_in", "<f4", (LANDMARKS, 2)))
    return np.dtype(fields)


def outcome_of(record: np.ndarray, inputs: Sequence[Input], message: str = "") -> Outcome:
    item, status = inputs[int(record["index"])], str(record["status"])
    if status != OK:
        message = message or STATUSES[status]
    return Outcome(item.name, str(item.path), status, message, record)


def run_of_records(records: np.ndarray, info: RunInfo, inputs: Sequence[Input]) -> Run:
    items = [inputs[index] for index in records["index"]]
    return Run(
        info=info,
        names=tuple(item.name for item in items),
        paths=tuple(str(item.path) for item in items),
        status=tuple(map(str, records["status"])),
        box_kind=tuple(records["box_kind"].tolist()),
        face=np.zeros(len(records), np.int32),
        box=records["box"],
        image_size=records["image_size"],
        coefficients=records["coefficients"],
        landmarks=records["landmarks"],
        landmarks_in=records["landmarks_in"] if "landmarks_in" in (records.dtype.names or ()) else None,
    )


def _records_of(run: Run, dtype: np.dtype) -> np.ndarray:
    records = np.zeros(len(run), dtype)
    records["index"] = np.arange(len(run))
    for field in (dtype.names or ())[1:]:
        records[field] = getattr(run, field)
    return records


def run_info(predictor: Predictor, model: MorphableModel, settings: InferenceSettings, key: str) -> RunInfo:
    weights = predictor.weights
    return RunInfo(
        basis_id=weights.basis_id,
        n_identity=weights.n_identity,
        n_expression=weights.n_expression,
        convention=weights.convention,
        weights_id=weights.weights_id,
        weights_name=weights.name,
        model_name=model.name,
        terms=f"face model: {model.terms}; weights: {weights.terms}",
        settings=settings.as_dict() | {"work": key},
    )


def _work_key(inputs: Sequence[Input], predictor: Predictor, model: MorphableModel, settings: InferenceSettings) -> str:
    """Which work this is: the weights, the settings, and every input with its box and landmarks."""
    head = [predictor.weights.weights_id, model.basis_id, settings.as_dict(), [item.name for item in inputs]]
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for item in inputs:
        digest.update(str(item.path).encode("utf-8", "surrogateescape"))
        for array in (item.box, item.landmarks):
            digest.update(b"-" if array is None else array.tobytes())
    return digest.hexdigest()


def _is_finished(path: Path, key: str, dense: bool) -> bool:
    """Whether a file is the run of this work, with vertices if they are asked for."""
    try:
        with open_h5(path, FORMAT, VERSION) as file:
            return read_info(file).settings.get("work") == key and (not dense or "vertices" in file)
    except (FileError, KeyError, TypeError, ValueError):
        return False
