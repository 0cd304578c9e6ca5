"""The cards of a run: each face's pictures and its mesh, drawn when they are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...models.boxes import round_half_away
from ...models.coefficients import split
from ...models.errors import TwodaslError
from ...models.morphable import MorphableModel
from ...models.photos import read_photo
from ...models.pose import crop_from_crop_up, crop_up_from_model, decompose, head_angles
from ...models.runs import OK, STATUSES, Run, photo_from_crop
from ..depth import depth_picture, visible_vertices
from ..faces import Photos, RunFaces, find_photo
from ..images import mask_overlay
from .content import Card, FaceMesh, SharedMesh

SIDE = 320  # pixels of a card's pictures, the longer side
MARGIN = 0.2  # of the face's size, seen around it
FACE_ROOM = 0.38  # of the landmarks' size, seen around them: they leave out the forehead
MICROMETRES = 1000.0  # in a millimetre
EMPTY = 128  # grey of the picture under a face whose photo is missing


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a face from its truth. errors: percent. truth: (68, 2) float, photo pixels from 0, y down."""

    errors: Sequence[float | None]
    truth: np.ndarray | None = None


NOTHING = Known(errors=())


def mean_mesh(run: Run, model: MorphableModel) -> SharedMesh:
    """What a run's faces share; they are stored as differences from their mean."""
    numbers = run.coefficients[run.valid].astype(np.float64)
    _, identity, expression = split(numbers.mean(axis=0), run.info.n_identity)
    listed = run.info.settings.get("landmark_list", "")
    return SharedMesh(
        reference=model.vertices(identity, expression) / MICROMETRES,
        triangles=model.triangles,
        landmark_ids=model.named_landmarks.get(listed, model.landmark_ids),
        name=model.name,
        terms=f"Terms: {run.info.terms}",
    )


def run_cards(
    run: Run, model: MorphableModel, rows: Sequence[int], photos: Photos, known: dict[int, Known]
) -> Iterator[Card]:
    """A card for each of these rows of a run, the failed ones included. known: by row. Raises BasisError."""
    faces = RunFaces(run, model)
    index = {int(row): place for place, row in enumerate(np.flatnonzero(run.valid))}
    for row in rows:
        facts = known.get(row, NOTHING)
        if run.status[row] == OK:
            yield _face_card(run, faces, row, index[row], photos, facts)
        else:
            yield _failed_card(run, row, photos, facts)


def _failed_card(run: Run, row: int, photos: Photos, known: Known) -> Card:
    """An input without a face: its photo, if there is one to read, and why."""
    name, status = run.names[row], run.status[row]
    path = find_photo(photos.folder, name) if photos.folder is not None else Path(run.paths[row])
    picture = None
    if path is not None and path.is_file():
        try:
            photo = read_photo(path)
            picture = _resized(photo, (0, 0, photo.shape[1], photo.shape[0]))
        except TwodaslError:
            picture = None  # the status says so
    return Card(name=name, status=status, note=STATUSES.get(status, ""), errors=known.errors, photo=picture)


def _face_card(run: Run, faces: RunFaces, row: int, index: int, photos: Photos, known: Known) -> Card:
    model, name = faces.model, faces.names[index]
    pose, identity, expression = split(run.coefficients[row].astype(np.float64), run.info.n_identity)
    yaw = float(head_angles(pose)[0])
    face = model.vertices(identity, expression).astype(np.float64) / MICROMETRES
    photo_camera = _camera(run, row, pose)
    in_photo = _placed(face, photo_camera)
    note, photo = "", None
    try:
        photo = photos.under(faces, index, in_photo)
    except TwodaslError as error:
        note = str(error)
    window = _window(in_photo, photo)
    camera = _zoomed(photo_camera, window)
    vertices = _placed(face, camera)
    width, height = _size(window)
    under = np.full((height, width, 3), EMPTY, np.uint8) if photo is None else _resized(photo, window)
    return Card(
        name=name,
        note=note,
        yaw_degrees=yaw,
        errors=known.errors,
        photo=None if photo is None else under,
        mask=mask_overlay(under, vertices, model.triangles),
        depth=depth_picture(vertices, model.triangles, width, height),
        landmarks=_zoom(run.landmarks[row, :, :2], window),
        truth=None if known.truth is None else _zoom(known.truth, window),
        mesh=FaceMesh(
            vertices=face,
            seen=visible_vertices(vertices, model.triangles, width, height) & (photo is not None),
            camera=camera[:2],
            rotation=decompose(pose)[1],
        ),
    )


def placed_card(
    card: Card,
    photo: np.ndarray | None,
    frame: np.ndarray,
    vertices: np.ndarray | None = None,
    triangles: np.ndarray | None = None,
) -> Card:
    """A card of a face that lies in its photo, without a 3D view: the card with pictures, its points moved into them.

    photo: (H, W, 3) uint8, None for grey. frame: (M, 2) float, what the pictures show with some room around it; it,
    the card's landmarks and truth, and vertices (N, 3) are photo pixels from 0, y down. triangles: (T, 3) int.
    """
    window = _window(frame, photo, FACE_ROOM)
    width, height = _size(window)
    under = np.full((height, width, 3), EMPTY, np.uint8) if photo is None else _resized(photo, window)
    mask = None
    if vertices is not None and triangles is not None:
        near = np.column_stack([_zoom(vertices, window), vertices[:, 2] * _scale(window).mean()])
        mask = mask_overlay(under, near, triangles)
    return replace(
        card,
        photo=None if photo is None and mask is not None else under,
        mask=mask,
        landmarks=None if card.landmarks is None else _zoom(card.landmarks[:, :2], window),
        truth=None if card.truth is None else _zoom(card.truth[:, :2], window),
    )


def _camera(run: Run, row: int, pose: np.ndarray) -> np.ndarray:
    """The way from millimetres of the model to photo pixels from 0, y down: (3, 4), read off where it takes the
    origin and a point 100 mm along each axis."""
    reach = 100.0
    corners = np.concatenate([np.zeros((1, 3)), reach * np.eye(3)])
    crop = crop_from_crop_up(crop_up_from_model(MICROMETRES * corners, pose), run.info.convention)
    placed = photo_from_crop(crop, run.box[row], run.info.convention)
    return np.column_stack([(placed[1:] - placed[0]).T / reach, placed[0]])


def _placed(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    return points @ camera[:, :3].T + camera[:, 3]


# --- the part of a photo that a card shows: left, top, right, bottom in whole pixels, the last two behind it ----------

Window = tuple[int, int, int, int]


def _window(vertices: np.ndarray, photo: np.ndarray | None, margin: float = MARGIN) -> Window:
    """A square around the face with a margin, cut to the photo."""
    low, high = vertices[:, :2].min(axis=0), vertices[:, :2].max(axis=0)
    half = (0.5 + margin) * float((high - low).max())
    centre = (low + high) / 2
    left, top, right, bottom = (int(side) for side in round_half_away(np.concatenate([centre - half, centre + half])))
    if photo is not None:
        height, width = photo.shape[:2]
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _size(window: Window) -> tuple[int, int]:
    """Width and height of the card's pictures."""
    width, height = window[2] - window[0], window[3] - window[1]
    scale = SIDE / max(width, height)
    return max(1, round(scale * width)), max(1, round(scale * height))


def _scale(window: Window) -> np.ndarray:
    """Picture pixels per photo pixel, (2,)."""
    return np.array(_size(window)) / [window[2] - window[0], window[3] - window[1]]


def _zoom(points: np.ndarray, window: Window) -> np.ndarray:
    """Photo pixels (N, 2) to the card's, both from 0: a picture begins half a pixel before its first centre."""
    return (points[:, :2] - window[:2] + 0.5) * _scale(window) - 0.5


def _zoomed(camera: np.ndarray, window: Window) -> np.ndarray:
    """A camera (3, 4) to photo pixels as one to the card's; depth grows with the mean of both scales."""
    scale = _scale(window)
    shift = np.array([*(0.5 - np.array(window[:2])), 0.0])
    zoomed = camera.copy()
    zoomed[:, 3] += shift
    zoomed *= np.array([*scale, scale.mean()])[:, None]
    zoomed[:2, 3] -= 0.5
    return zoomed


def _resized(photo: np.ndarray, window: Window) -> np.ndarray:
    from PIL import Image

    cut = Image.fromarray(photo).crop(window)
    return np.asarray(cut.resize(_size(window), Image.Resampling.BICUBIC, reducing_gap=3))
