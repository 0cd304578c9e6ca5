"""Pictures of the faces of an input: over their photos or on black, several faces of one photo in one picture."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..models.errors import DegenerateFaceError
from .depth import points_overlay, visible_vertices
from .faces import Faces, MeshFaces, Photos, check_inside
from .images import landmarks_overlay, mask_overlay, resized
from .maps import codes_of, depth_map, normals_map, pncc_map
from .meshes import check_finite
from .pose import pose_overlay
from .shading import TURQUOISE

PAPER = 255  # grey level under a mesh that has no photo
ALONE = 512  # pixels of a picture without photo and --size
HALF = np.array([0.5, 0.5, 0])  # pixel centres lie half a pixel inside the picture, whatever the pixels' size
FILLS = 0.8  # of such a picture that the mesh takes


@dataclass(frozen=True)
class Style:
    """alpha: of the mask, 1 is opaque. flat: one shade for each triangle."""

    alpha: float = 1.0
    flat: bool = False


@dataclass(frozen=True, eq=False)
class Posed:
    """One face, placed: row `index` of `faces`, its vertices (N, 3) in the picture's pixels from 0, y down."""

    faces: Faces
    index: int
    vertices: np.ndarray
    style: Style

    @property
    def triangles(self) -> np.ndarray:
        return self.faces.triangles(self.index)


Paint = Callable[[np.ndarray, Posed], np.ndarray]  # the picture so far and a face to the picture with it


def paint_mask(picture: np.ndarray, face: Posed) -> np.ndarray:
    material = replace(TURQUOISE, flat=face.style.flat)
    return mask_overlay(picture, face.vertices, face.triangles, face.style.alpha, material)


def paint_points(picture: np.ndarray, face: Posed) -> np.ndarray:
    return points_overlay(picture, face.vertices, face.triangles)


def paint_landmarks(picture: np.ndarray, face: Posed) -> np.ndarray:
    ids = face.faces.model.landmark_ids
    visible = None
    if len(face.triangles):
        visible = visible_vertices(face.vertices, face.triangles, picture.shape[1], picture.shape[0])[ids]
    return landmarks_overlay(picture, face.vertices[ids], visible)


def paint_pose(picture: np.ndarray, face: Posed) -> np.ndarray:
    model = face.faces.model_vertices(face.index)
    camera = camera_of(model, face.vertices)
    return pose_overlay(picture, camera, model.min(axis=0), model.max(axis=0))


def paint_depth(picture: np.ndarray, face: Posed) -> np.ndarray:
    return depth_map(picture, face.vertices, face.triangles)


def paint_pncc(picture: np.ndarray, face: Posed) -> np.ndarray:
    return pncc_map(picture, face.vertices, face.triangles, codes_of(face.faces.model))


def paint_normals(picture: np.ndarray, face: Posed) -> np.ndarray:
    return normals_map(picture, face.vertices, face.triangles)


def camera_of(model: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """The affine camera (3, 4) that takes a face in its own axes, (N, 3), to where it was placed, (N, 3)."""
    ones = np.ones((len(model), 1))
    return np.linalg.lstsq(np.concatenate([model, ones], axis=1), placed, rcond=None)[0].T


def pictures_of(
    faces: Faces, folder: Path | None, paint: Paint, style: Style, *, over_photo: bool = True, size: int | None = None
) -> Callable[[list[int]], np.ndarray]:
    """What makes the picture of the faces in some rows, which share a photo: (H, W, 3) uint8.

    folder: of the photos, else where the input says. over_photo: painted over the photo, else on black in its size.
    size: the longer side. Larger faces are painted later. A bare mesh without a photo stands in the middle.
    """
    photos = Photos(folder)

    def make(rows: list[int]) -> np.ndarray:
        placed = [(row, faces.photo_vertices(row)) for row in rows]
        for _, vertices in placed:
            check_finite(vertices)
        placed.sort(key=lambda one: float(np.ptp(one[1][:, 1])))
        if isinstance(faces, MeshFaces) and folder is None:
            picture, placed = _alone(placed, size or ALONE, PAPER if over_photo else 0)
            scale = 1.0
        else:
            picture, scale = _canvas(faces, photos, placed, over_photo), 1.0
            if size is not None:
                picture, scale = resized(picture, size)
        for row, vertices in placed:
            moved = vertices if scale == 1 else (vertices + HALF) * scale - HALF
            picture = paint(picture, Posed(faces, row, moved, style))
        return picture

    return make


def _canvas(faces: Faces, photos: Photos, placed: list[tuple[int, np.ndarray]], over_photo: bool) -> np.ndarray:
    row, vertices = placed[0]
    stated = faces.photo_size(row)
    if over_photo or stated is None:
        photo = photos.under(faces, row, vertices)
        return photo if over_photo else np.zeros_like(photo)
    check_inside(vertices, *stated, faces.names[row], "a photo")
    return np.zeros((stated[1], stated[0], 3), np.uint8)


def _alone(
    placed: list[tuple[int, np.ndarray]], size: int, level: int
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """A square of one grey level, and the faces in the middle of it."""
    every = np.concatenate([vertices for _, vertices in placed])
    low, high = every.min(axis=0), every.max(axis=0)
    reach = float((high - low)[:2].max())
    if not reach > 0:
        raise DegenerateFaceError("the mesh has no extent")
    scale = FILLS * size / reach
    shift = np.array([(size - 1) / 2, (size - 1) / 2, 0])
    moved = [(row, (vertices - (low + high) / 2) * scale + shift) for row, vertices in placed]
    return np.full((size, size, 3), level, np.uint8), moved
