"""A face as a mesh to write: in the frame and scale that is asked for, with the photo's colours, and what it says."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..models.errors import DegenerateFaceError, NamesError
from .faces import Faces, MeshFaces, Photos
from .images import vertex_colors
from .meshes import Skin
from .texture import face_colors, face_texture, layout

MeshFrame = Literal["photo", "model"]
EYE_DISTANCE_MM = (
    63.0  # between adults' pupils, the usual mean: what a photo's pixels are scaled by where metres are due
)
EYES = (slice(36, 42), slice(42, 48))
MILLIMETRES = 1000.0  # in a metre


@dataclass(frozen=True)
class MeshOptions:
    """frame: `photo`, pixels with y up, or `model`, mm in the model's own axes. eye_distance_mm: scale to it.
    colors: of each vertex. texture: True, False, or `auto`: where there is a photo."""

    frame: MeshFrame = "photo"
    eye_distance_mm: float | None = None
    colors: bool = False
    texture: bool | Literal["auto"] = False


@dataclass(frozen=True, eq=False)
class Placed:
    """A mesh ready to write. vertices: (N, 3), in `unit`. metres: the same for glTF. comments: for the file's head.
    facts: the same, by name."""

    vertices: np.ndarray
    metres: np.ndarray
    triangles: np.ndarray
    colors: np.ndarray | None
    skin: Skin | None
    terms: str
    comments: tuple[str, ...]
    facts: dict[str, str]


def place(faces: Faces, index: int, photos: Photos, options: MeshOptions) -> Placed:
    """The mesh of one face. Raises NamesError where colours are asked for and there is no photo, DegenerateFaceError
    for eyes in one place."""
    model_frame = options.frame == "model"
    vertices = faces.model_vertices(index) if model_frame else faces.photo_vertices(index) * [1, -1, 1]
    bare = isinstance(faces, MeshFaces)
    unit = "the file's own" if bare else "mm" if options.frame == "model" else "pixels"
    millimetres = vertices
    if options.eye_distance_mm is not None or (options.frame == "photo" and not bare):
        factor = (options.eye_distance_mm or EYE_DISTANCE_MM) / eye_distance(vertices, faces)
        millimetres = vertices * factor
    if options.eye_distance_mm is not None:
        vertices, unit = millimetres, "mm"
    colors, skin = looks(faces, index, photos, colors=options.colors, texture=options.texture)
    axes = "x right, y up, z to the viewer"
    where = {
        "model": "the face model's own axes",
        "photo": "the photo's axes, 0 is the first row's centre, rows below are negative",
    }[options.frame]
    name = "none, a mesh of its own" if bare else faces.model.name
    facts = {
        "name": faces.names[index],
        "face model": name,
        "unit": unit,
        "frame": f"{where}: {axes}",
    }
    if options.eye_distance_mm is not None:
        facts["scale"] = f"the eyes' centres are {options.eye_distance_mm:g} mm apart"
    comments = (f"{faces.names[index]}, written by twodasl", f"unit: {unit}; {where}: {axes}", f"face model: {name}")
    return Placed(
        vertices=vertices,
        metres=millimetres / MILLIMETRES,
        triangles=faces.triangles(index),
        colors=colors,
        skin=skin,
        terms=faces.terms,
        comments=(*comments, f"terms: {faces.terms}"),
        facts=facts,
    )


def eye_distance(vertices: np.ndarray, faces: Faces) -> float:
    """How far the middles of the eyes' landmarks are apart, in the vertices' unit."""
    landmarks = vertices[faces.model.landmark_ids]
    one, other = (landmarks[eye].mean(axis=0) for eye in EYES)
    distance = float(np.linalg.norm(one - other))
    if not distance > 0:
        raise DegenerateFaceError("the eyes lie in one place: there is no scale to take from them")
    return distance


def looks(
    faces: Faces, index: int, photos: Photos, *, colors: bool = False, texture: bool | Literal["auto"] = False
) -> tuple[np.ndarray | None, Skin | None]:
    """The vertices' colours (N, 3), sRGB 0..1, or the texture of a face, or neither; a mesh file keeps its own colours.

    Raises NamesError where the photo is needed and not found.
    """
    own = faces.colors if isinstance(faces, MeshFaces) else None
    if not colors and not texture:
        return own, None
    there = faces.photo_vertices(index)
    try:
        photo = photos.under(faces, index, there)
    except NamesError:
        if texture == "auto":
            return own, None
        raise
    if texture:
        return None, Skin(layout(faces.model), face_texture(photo, there, faces.model))
    if isinstance(faces, MeshFaces) and not faces.has_model:
        return vertex_colors(photo, there), None
    return face_colors(photo, there, faces.model), None
