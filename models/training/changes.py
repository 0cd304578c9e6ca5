"""One example as the trainer gets it: decoded, changed with its points and its coefficients, shown with noisy points."""

from dataclasses import dataclass

import numpy as np

from ..coefficients import POSE
from ..errors import FileError, NotFiniteError, ShapeError
from ..landmark_map import POINTS as MAP_OF_68
from ..morphable import MorphableModel
from ..pose import CROP_SIZE
from .augment import Move, change_look, decode_crop, draw_move
from .data import DataSettings
from .mirror import IMAGES, Mirror, NoMirrorError, find_mirror
from .noise import DetectorNoise, detector_noise
from .points import MAP_OF_21
from .sampler import Place
from .sets import Example
from .sources import Source

MAP_POINTS = len(MAP_OF_68)
FEWEST = 4  # points that a camera of eight numbers takes


@dataclass(frozen=True, eq=False)
class ChangedFace:
    """One face of a batch.

    picture: (120, 120, 3) uint8 RGB. points: (P, 3), as annotated; known, shown: (P, 2), as they are known, and as the
    network is shown them: float64, pixels of the changed crop from 0, y down, NaN where there is none. visible: (P,)
    bool. kept: (18,) bool, the map's points that are not left out. coefficients: (C,) float64. index: in its source.
    """

    picture: np.ndarray
    points: np.ndarray
    known: np.ndarray
    shown: np.ndarray
    visible: np.ndarray
    kept: np.ndarray
    coefficients: np.ndarray
    index: int


class Changer:
    """Turns the examples of one source into changed faces.

    note: why labelled faces are not mirrored though the settings say so, else "". Raises FileError for a source without
    examples or labels of other than 68 points, BasisError for labels of another model, ShapeError for more
    coefficients than it has.
    """

    def __init__(self, source: Source, settings: DataSettings, model: MorphableModel) -> None:
        self.source, self.info, self._settings = source, source.info, settings
        if len(source) == 0:
            raise FileError(
                f"there are no {'labelled' if self.info.labelled else 'wild'} faces; one or more is expected"
            )
        if self.info.labelled:
            model = self._own_model(model)
        self._flip, self.note = settings.flip, ""
        self._mirror: Mirror | None = None
        if self.info.labelled and settings.augment and settings.flip:
            try:
                self._mirror = find_mirror(model, self.info.n_identity, self.info.n_expression)
            except NoMirrorError as error:
                self._flip, self.note = 0.0, f"labelled faces are not mirrored: {error}"
        mean = model.landmarks(np.zeros(0), np.zeros(0))
        self._plain, self._mean = np.arange(len(mean)), mean  # the points whose yaw is looked for, and the mean face's
        if self.info.points == "21":
            self._plain = np.concatenate(MAP_OF_21)
            self._mean = np.stack([mean[list(ids)].mean(axis=0) for ids in MAP_OF_68])

    def _own_model(self, model: MorphableModel) -> MorphableModel:
        info = self.info
        if info.points != "68":
            raise FileError(f"the labelled faces have {info.points} points; 68 are expected")
        if info.n_identity > model.n_identity or info.n_expression > model.n_expression:
            raise ShapeError(
                f"the labels have {info.n_identity} + {info.n_expression} coefficients, {model.name!r} has "
                f"{model.n_identity} + {model.n_expression}"
            )
        return info.own_model(model, "the set of labelled faces")

    def face(self, place: Place) -> ChangedFace:
        """The example of a place, changed as it is there. Raises FileError or ShapeError, with its name, for a crop that
        does not decode, NotFiniteError for such a label."""
        settings, rng = self._settings, place.rng(self._settings.seed)
        example = self.source.example(place.index)
        _check(example, self.info.n_coefficients)
        crop = decode_crop(example.jpg, f"'{example.name}'")
        points = example.landmarks.astype(np.float64)
        known, fixed = points[:, :2], self.info.labels == "none" and settings.wild_points == "detector-like"
        noisy = settings.augment and settings.noise.times > 0 and not fixed
        yaw = self._yaw_degrees(example) if fixed or noisy else 0.0
        if fixed:
            known = detector_noise(place.known_rng(settings.seed), known, yaw, DetectorNoise())
        visible, coefficients, kept = example.visible, example.coefficients, np.ones(MAP_POINTS, bool)
        if settings.augment:
            move = draw_move(rng, settings, self._flip)
            if move.mirrored:
                images = IMAGES[self.info.points]
                points, known, visible = _mirrored(points)[images], _mirrored(known)[images], visible[images]
                if self._mirror is not None:
                    coefficients = self._mirror.coefficients(coefficients)
            points, known, coefficients = move.points(points), move.points(known), _moved(move, coefficients)
            crop = change_look(rng, move.picture(crop), settings)
            kept = (rng.random(MAP_POINTS) >= settings.point_dropout) & (rng.random() >= settings.map_dropout)
        return ChangedFace(
            picture=np.asarray(crop),
            points=points,
            known=known,
            shown=detector_noise(rng, known, yaw, settings.noise) if noisy else known,
            visible=visible & _inside(points),
            kept=kept,
            coefficients=coefficients,
            index=place.index,
        )

    def _yaw_degrees(self, example: Example) -> float:
        """The face's yaw: as labelled, or as a camera says that takes the mean face's points to the annotated ones."""
        if self.info.labelled:
            return _yaw_of_row(example.coefficients[:3])
        points = example.landmarks[self._plain, :2]
        seen = np.isfinite(points[:, 0])
        return yaw_of_points(points[seen], self._mean[seen])


def yaw_of_points(points: np.ndarray, face: np.ndarray) -> float:
    """Yaw in degrees of the camera that takes face (n, 3) nearest to points (n, 2), crop pixels, y down.

    90 for fewer points than say it: so few are seen from the side.
    """
    if len(points) < FEWEST:
        return 90.0
    face, across = face - face.mean(axis=0), points[:, 0] - points[:, 0].mean()
    return _yaw_of_row(np.linalg.lstsq(face, across, rcond=None)[0])


def _yaw_of_row(across: np.ndarray) -> float:
    """Yaw in degrees of a pose whose first row is (3,), about a scaled rotation's."""
    size = float(np.sqrt(across @ across))
    return float(np.rad2deg(np.arcsin(np.clip(-across[2] / size, -1, 1)))) if size else 90.0


def _check(example: Example, n_coefficients: int) -> None:
    if len(example.coefficients) != n_coefficients:
        raise ShapeError(
            f"the label of '{example.name}' has {len(example.coefficients)} coefficients; {n_coefficients} are expected"
        )
    if not np.isfinite(example.coefficients).all():
        raise NotFiniteError(f"the coefficients of '{example.name}' are not finite; numbers are expected")


def _mirrored(points: np.ndarray) -> np.ndarray:
    turned = points.copy()
    turned[:, 0] = CROP_SIZE - 1 - points[:, 0]
    return turned


def _moved(move: Move, coefficients: np.ndarray) -> np.ndarray:
    moved = coefficients.astype(np.float64)
    if len(moved):
        moved[:POSE] = move.pose(moved[:POSE].reshape(3, 4)).ravel()
    return moved


def _inside(points: np.ndarray) -> np.ndarray:
    return np.all((points[:, :2] >= 0) & (points[:, :2] <= CROP_SIZE - 1), axis=1)
