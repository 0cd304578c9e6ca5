"""A face as a mesh to write: in the frame and scale that is asked for, with the photo's colours, and what it says."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..models.errors import DegenerateFaceError, NamesError
from .faces import MILLIMETRES, Faces, MeshFaces, Photos
from .images import vertex_colors
from .meshes import Skin
from .texture import face_colors, face_texture, layout

MeshFrame = Literal["photo", "model"]
# Between adults' pupils, the usual mean: what a photo's pixels are scaled by where metres are due.
EYE_DISTANCE_MM = 63.0
EYES = (slice(36, 42), slice(42, 48))


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
    facts: the same by name, for the file in metres."""

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
    bare, model_frame = isinstance(faces, MeshFaces), options.frame == "model"
    vertices = faces.model_vertices(index) if model_frame else faces.photo_vertices(index) * [1, -1, 1]
    unit = faces.unit if isinstance(faces, MeshFaces) else "mm" if model_frame else "pixels"
    millimetres, scale = vertices, [] if unit in ("mm", "pixels") else ["one of the file's units is taken as 1 mm"]
    if options.eye_distance_mm is not None or unit == "pixels":
        wanted = options.eye_distance_mm or EYE_DISTANCE_MM
        millimetres = vertices * (wanted / eye_distance(vertices, faces))
        scale = [f"the eyes' centres are {wanted:g} mm apart"]
    said = [f"unit: {unit}"]
    if options.eye_distance_mm is not None:
        vertices, said = millimetres, ["unit: mm", *scale]
    colors, skin = looks(faces, index, photos, colors=options.colors, texture=options.texture)
    whose = "the file's own" if bare else "the face model's own" if model_frame else "the photo's"
    axes = f"{whose} axes: x right, y up, z to the viewer"
    start = [] if bare or model_frame else ["0 is the centre of the first pixel, rows below it are negative"]
    name = "none, a mesh of its own" if isinstance(faces, MeshFaces) and not faces.has_model else faces.model.name
    comments = (
        f"{faces.names[index]}, written by twodasl",
        "; ".join([*said, axes, *start]),
        f"face model: {name}",
        f"terms: {faces.terms}",
    )
    facts = {"name": faces.names[index], "face model": name, "unit": "metre", "axes": axes}
    return Placed(
        vertices=vertices,
        metres=millimetres / MILLIMETRES,
        triangles=faces.triangles(index),
        colors=colors,
        skin=skin,
        terms=faces.terms,
        comments=comments,
        facts=facts | ({"scale": scale[0]} if scale else {}),
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
    """The vertices' colours (N, 3), sRGB 0..1, or the texture of a face, or neither. A mesh file keeps its
    own, unless a folder of photos was handed over.

    Raises NamesError where the photo is needed and not found.
    """
    own, skin = (faces.colors, faces.skin) if isinstance(faces, MeshFaces) else (None, None)
    if texture and skin is not None and photos.folder is None:
        return None, skin
    if (not texture and not colors) or (colors and own is not None and photos.folder is None):
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
