"""Anybody's predictions once they are read: landmarks, what the dense faces are made of, and where they lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..models.boxes import BoxKind, image_from_crop, image_from_crop_exact
from ..models.errors import NamesError
from ..models.morphable import MorphableModel
from ..models.pose import Convention, crop_from_crop_up, crop_up_from_model
from ..models.vertex_files import Frame
from .protocols import Protocol
from .truth import Truth


@dataclass(frozen=True, eq=False)
class Coefficients:
    """n faces of a linear model. cameras: (n, 3, 4) float64, model units to the prediction's own frame.
    identity: (n, K), expression: (n, L) float64. A face without a prediction has NaN cameras."""

    model: MorphableModel
    cameras: np.ndarray
    identity: np.ndarray
    expression: np.ndarray

    def take(self, rows: np.ndarray) -> "Coefficients":
        """These rows, (m,) int; -1 is a face without a prediction."""
        cameras = np.where((rows < 0)[:, None, None], np.nan, self.cameras[rows])
        return replace(self, cameras=cameras, identity=self.identity[rows], expression=self.expression[rows])


@dataclass(frozen=True, eq=False)
class MeshFiles:
    """n vertex files of one frame and size; None for a face without a file. vertex_ids: which vertices of the model
    the files hold, None where all."""

    model: MorphableModel
    paths: tuple[Path | None, ...]
    frame: Frame
    count: int
    vertex_ids: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "MeshFiles":
        return replace(self, paths=tuple(None if row < 0 else self.paths[row] for row in rows.tolist()))


@dataclass(frozen=True, eq=False)
class Prediction:
    """n faces in the frame their method gives them. Faces without a prediction hold NaN.

    points: (n, 68, 2 or 3) float64: crop pixels, y up, where `in_crop`, else photo pixels, y down, counted from
    `origin`. boxes (n, 4) and box_kinds place crops; None takes the published boxes of the truth.
    mean_face: (n, 68, 3), the model's mean face at each face's pose, in the same frame, or None, as its own notes say.
    meshes: what the dense faces are made of, in the same frame; None for landmarks alone.
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
    meshes: Coefficients | MeshFiles | None = None
    notes: tuple[str, ...] = ()
    mean_face_notes: tuple[str, ...] = ()
    oracle_input: bool = False

    def select(self, names: Sequence[str]) -> "Prediction":
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
            self,
            names=tuple(names),
            points=points,
            boxes=pick(self.boxes),
            box_kinds=kinds,
            mean_face=pick(self.mean_face),
            meshes=None if self.meshes is None else self.meshes.take(rows),
        )

    def in_photo(self, protocol: Protocol, truth: Truth) -> np.ndarray:
        """The landmarks (n, 68, 2 or 3) where `protocol` places them: photo pixels, in the count it compares in."""
        return self.place(self.points, protocol, truth)

    def mean_face_in_photo(self, protocol: Protocol, truth: Truth) -> np.ndarray | None:
        """The mean face's landmarks (n, 68, 3), placed alike."""
        return None if self.mean_face is None else self.place(self.mean_face, protocol, truth)

    def place(self, points: np.ndarray, protocol: Protocol, truth: Truth | None) -> np.ndarray:
        """Any points (n, P, 2 or 3) of these faces, in their own frame, placed in the photo as `protocol` says.

        truth: of the same images; needed only where points lie in crops. Raises NamesError where it is missing.
        """
        if not self.in_crop:
            shift = 1 - self.origin if protocol.origin == "counted from 1" else 0
            return points + np.array([shift, shift, 0])[: points.shape[-1]]
        if truth is None:
            raise NamesError(
                f"{self.name} lies in crops, and a truth of vertex files does not say where those are in the photos: "
                "--normalise-from names the annotations that do"
            )
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


def moved_cameras(cameras: np.ndarray, move: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Cameras (n, 3, 4) followed by an affine change of frame: `move` takes points (n, P, 3) of each face to points.

    It is read off the camera's own frame: where the model's origin and three points 0.1 m along its axes come to lie.
    """
    reach = 1e5  # micrometres, the size of a face, so that no digits are lost
    corners = np.concatenate([np.zeros((1, 3)), reach * np.eye(3)])
    placed = move(crop_up_from_model(corners, cameras))
    axes = np.swapaxes(placed[:, 1:] - placed[:, :1], 1, 2) / reach
    return np.concatenate([axes, placed[:, 0, :, None]], axis=2)
