"""The faces to draw: a run, coefficients, or vertex files, each giving its vertices in the frame that is asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ..models.boxes import crop_from_image, image_from_crop
from ..models.coefficients import split
from ..models.errors import FileError, NamesError, ShapeError
from ..models.inputs import RUN_STATES, RUN_SUFFIXES, InputOptions, refuse_unread, run_from_table
from ..models.library import load_model, open_model
from ..models.mesh_files import MESH_SUFFIXES, read_mesh
from ..models.morphable import LANDMARKS, MorphableModel
from ..models.photos import SUFFIXES, read_photo
from ..models.pose import CONVENTIONS, CROP_SIZE, crop_from_crop_up, crop_up_from_crop, similarity
from ..models.runs import OK, Run, photo_from_crop
from ..models.tables import Table, check_unique, read_table
from ..models.vertex_files import Frame, mat_names, named_count, read_vertex_file, recognise_frame
from ..models.video import FrameReader, is_frame
from .colors import srgb_from_light
from .meshes import Skin
from .texture import texture_at

MICROMETRES = 1000.0  # a model's units in a millimetre
MILLIMETRES = 1000.0  # in a metre


class Faces(Protocol):
    """n faces. `failed` names those that cannot be drawn, and why."""

    names: tuple[str, ...]
    failed: dict[str, str]
    terms: str

    @property
    def model(self) -> MorphableModel:
        """The face model of all of them. Raises FileError for bare meshes without one."""

    def triangles(self, index: int) -> np.ndarray:
        """(T, 3) int32, counter-clockwise seen from outside."""

    def model_vertices(self, index: int) -> np.ndarray:
        """(N, 3) float64 in the model's own axes, x right, y up, z to the viewer: mm, for bare meshes `unit`."""

    def picture_name(self, index: int) -> str:
        """The name of the photo the face is in; faces of one photo share it."""

    def photo_vertices(self, index: int) -> np.ndarray:
        """(N, 3) float64, photo pixels from 0, y down: where the face lies, for pictures."""

    def file_vertices(self, index: int, frame: Frame) -> np.ndarray:
        """(N, 3) float64 as the original's files have them: `photo` pixels from 1, y down, or the `crop`, y up."""

    def photo_path(self, index: int) -> Path | None:
        """The photo of a face, if the input says which it is."""

    def photo_size(self, index: int) -> tuple[int, int] | None:
        """Width and height of the photo a face is placed in, pixels, if the input says them."""


class RunFaces:
    """The faces of a run (or of coefficients)."""

    def __init__(self, run: Run, model: MorphableModel) -> None:
        self.model, self.terms = model, run.info.terms
        rows = range(len(run))
        labels = [run.names[i] if run.face[i] == 0 else f"{run.names[i]}_{run.face[i]}" for i in rows]
        check_unique(labels, "this input")
        self._rows = [i for i in rows if run.status[i] == OK]
        self.names = tuple(labels[i] for i in self._rows)
        self.failed = {labels[i]: run.status[i] for i in rows if run.status[i] != OK}
        self._run = run

    def triangles(self, index: int) -> np.ndarray:
        return self.model.triangles

    def model_vertices(self, index: int) -> np.ndarray:
        run = self._run
        _, identity, expression = split(run.coefficients[self._rows[index]].astype(np.float64), run.info.n_identity)
        return self.model.vertices(identity, expression).astype(np.float64) / MICROMETRES

    def picture_name(self, index: int) -> str:
        return self._run.names[self._rows[index]]

    def photo_vertices(self, index: int) -> np.ndarray:
        return self._run.vertices(self._rows[index], self.model)

    def file_vertices(self, index: int, frame: Frame) -> np.ndarray:
        row = self._rows[index]
        if frame == "crop":
            return self._run.crop_up_vertices(row, self.model)
        if self._run.box_kind[row] == "none":
            raise FileError(
                f"{self.names[index]} has no box, so no place in a photo: 'render mat --frame crop' writes it as it is; "
                "coefficients take --boxes, and so does infer"
            )
        return self._run.matlab_vertices(row, self.model)

    def photo_path(self, index: int) -> Path | None:
        """The file the face was found in, unless that was a crop of the photo the face is placed in."""
        row = self._rows[index]
        cropped = self._run.info.settings.get("cropped", False) and self._run.box_kind[row] != "none"
        return Path(self._run.paths[row]) if self._run.paths[row] and not cropped else None

    def photo_size(self, index: int) -> tuple[int, int] | None:
        row = self._rows[index]
        width, height = (int(side) for side in self._run.image_size[row])
        if width and height:
            return width, height
        return (CROP_SIZE, CROP_SIZE) if self._run.box_kind[row] == "none" else None


class VertexFaces:
    """The faces of a folder of vertex files, or of one."""

    def __init__(self, paths: list[Path], options: InputOptions) -> None:
        self.model = open_model(options.model)
        self.terms = f"face model: {self.model.terms}"
        self.names = tuple(path.stem for path in paths)
        self.failed: dict[str, str] = {}
        self._paths, self._frame = paths, options.frame_in
        self._convention = options.convention or CONVENTIONS[0]
        self._boxes: Table | None = None
        if options.boxes is not None:
            self._boxes = read_table(options.boxes, options.rows, (4,), "boxes")

    def _read(self, index: int) -> tuple[np.ndarray, Frame]:
        path = self._paths[index]
        vertices = read_vertex_file(path, len(self.model.mean))
        return vertices, self._frame or recognise_frame(vertices, self.model, path)

    def _box(self, index: int) -> np.ndarray:
        if self._boxes is None:
            raise FileError(f"{self._paths[index]} is of one frame only: the other one needs the crop's --boxes")
        return self._boxes.rows([self.names[index]])[0]

    def photo_vertices(self, index: int) -> np.ndarray:
        vertices, frame = self._read(index)
        if frame == "photo":
            return vertices - [1, 1, 0]
        crop = crop_from_crop_up(vertices, self._convention)
        return photo_from_crop(crop, self._box(index), self._convention)

    def file_vertices(self, index: int, frame: Frame) -> np.ndarray:
        vertices, own = self._read(index)
        if own == frame:
            return vertices
        if frame == "photo":
            return image_from_crop(crop_from_crop_up(vertices, self._convention), self._box(index))
        return crop_up_from_crop(crop_from_image(vertices, self._box(index)), self._convention)

    def triangles(self, index: int) -> np.ndarray:
        return self.model.triangles

    def model_vertices(self, index: int) -> np.ndarray:
        """By the similarity that takes the face nearest to the model's mean."""
        turned = self.photo_vertices(index) * [1, -1, 1]
        mean = self.model.mean.astype(np.float64) / MICROMETRES
        scale, rotation, shift = similarity(turned, mean)
        return scale * turned @ rotation.T + shift

    def picture_name(self, index: int) -> str:
        return self.names[index]

    def own_vertices(self, index: int) -> np.ndarray:
        """As the file has them, whatever their frame."""
        return self._read(index)[0]

    def photo_path(self, index: int) -> Path | None:
        return find_photo(self._paths[index].parent, self.names[index])

    def photo_size(self, index: int) -> tuple[int, int] | None:
        return None


class MeshFaces:
    """One mesh file: y up, as `render obj|ply|glb` write them, with its own triangles. `--model` says whose vertices
    they are, which landmarks, codes and textures need."""

    def __init__(self, path: Path, model: Path | None) -> None:
        self._path, self._mesh = path, read_mesh(path, textured=True)
        self._in_metres = path.suffix.lower() == ".glb"  # and its colours are linear light, as glTF has both
        self.names: tuple[str, ...] = (path.stem,)
        self.failed: dict[str, str] = {}
        self._model = None if model is None else load_model(model)
        self.terms = self._mesh.terms or "mesh: as its owner says"
        if self._model is not None and len(self._model.mean) != len(self._mesh.vertices):
            raise FileError(
                f"{path} has {named_count(len(self._mesh.vertices))}; {model} has {named_count(len(self._model.mean))}"
            )

    @property
    def model(self) -> MorphableModel:
        if self._model is None:
            count = named_count(len(self._mesh.vertices))
            raise FileError(f"{self._path} is a mesh of {count}: hand over the face model it belongs to with --model")
        return self._model

    @property
    def has_model(self) -> bool:
        return self._model is not None

    @property
    def colors(self) -> np.ndarray | None:
        """(N, 3) sRGB 0..1 of the file's vertices, or of its texture there, or None."""
        if self._mesh.colors is None and self.skin is not None:
            return texture_at(self.skin)
        if self._mesh.colors is None or not self._in_metres:
            return self._mesh.colors
        return srgb_from_light(self._mesh.colors)

    @property
    def skin(self) -> Skin | None:
        """The file's own texture."""
        mesh = self._mesh
        return None if mesh.texture is None or mesh.uv is None else Skin(mesh.uv, mesh.texture)

    def triangles(self, index: int) -> np.ndarray:
        return self._mesh.triangles if len(self._mesh.triangles) else self.model.triangles

    @property
    def unit(self) -> str:
        return "mm" if self._in_metres else "the file's own"

    def model_vertices(self, index: int) -> np.ndarray:
        return self._mesh.vertices * (MILLIMETRES if self._in_metres else 1)

    def photo_vertices(self, index: int) -> np.ndarray:
        return self.model_vertices(index) * [1, -1, 1]

    def file_vertices(self, index: int, frame: Frame) -> np.ndarray:
        if frame == "crop":
            raise FileError(f"{self._path} is a mesh in photo pixels: it does not say the crop")
        return self.photo_vertices(index) + np.array([1, 1, 0])

    def picture_name(self, index: int) -> str:
        return self.names[index]

    def photo_path(self, index: int) -> Path | None:
        """None: pictures of its name beside a mesh are its texture, or what was drawn of it."""
        return None

    def photo_size(self, index: int) -> tuple[int, int] | None:
        return None


def open_faces(path: Path, options: InputOptions) -> "RunFaces | VertexFaces | MeshFaces":
    """The faces in a run, a coefficients table, a folder of vertex `.mat` or one such file, or a mesh file.

    Raises FileError where `path` is none of these, TwodaslError for options that mean nothing for it.
    """
    if not path.exists():
        raise FileError(f"cannot read {path}: no such file or folder")
    if path.is_dir() or path.suffix.lower() == ".mat":
        refuse_unread(options, ("whitening",), f"{path}, vertex files")
        paths = [path / f"{name}.mat" for name in mat_names(path)] if path.is_dir() else [path]
        if not paths:
            raise FileError(f"{path} holds no vertex files (.mat)")
        return VertexFaces(paths, options)
    if path.suffix.lower() in MESH_SUFFIXES:
        refuse_unread(options, ("rows", "whitening", "boxes", "convention", "frame_in"), f"{path}, a mesh")
        return MeshFaces(path, options.model)
    if path.suffix.lower() in RUN_SUFFIXES:
        refuse_unread(options, RUN_STATES, f"{path}, a run, which states them itself")
        run = Run.load(path)
        return RunFaces(run, open_model(options.model, run.info.basis_id, str(path)))
    refuse_unread(options, ("frame_in",), f"{path}, coefficients")
    table = read_table(path, options.rows, range(13, 1000), "coefficients")
    width = table.values.shape[1]
    if width in (2 * LANDMARKS, 3 * LANDMARKS):
        raise FileError(f"{path} holds {width} numbers a row, which are 68 landmarks; faces are drawn of coefficients")
    return RunFaces(*run_from_table(table, options))


def find_photo(folder: Path, name: str) -> Path | None:
    """The picture called `name` in a folder; its suffix may be in capitals."""
    suffixes = [spelling for suffix in sorted(SUFFIXES) for spelling in (suffix, suffix.upper())]
    return next((path for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()), None)


@dataclass(frozen=True)
class Photos:
    """Where photos are looked for: a folder, or the place the input itself names; frames are read of their video."""

    folder: Path | None = None
    frames: FrameReader = field(default_factory=FrameReader)

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise FileError(f"--photos {self.folder} is not a folder")

    def under(self, faces: Faces, index: int, vertices: np.ndarray) -> np.ndarray:
        """The photo under a face, (H, W, 3) uint8 RGB. vertices: (N, 3), its `photo_vertices`.

        Raises NamesError where there is none, FileError if unreadable, ShapeError if the face is of one of another size
        or lies outside.
        """
        name = faces.picture_name(index)
        path = faces.photo_path(index) if self.folder is None else find_photo(self.folder, name)
        if path is None:
            where = f"in {self.folder}" if self.folder is not None else "known: hand over --photos"
            raise NamesError(f"no photo of {name} is {where}")
        if not is_frame(path) and not path.is_file():
            raise NamesError(f"the photo of {name} is no longer at {path}: hand over --photos")
        photo = self.frames.read(path) if is_frame(path) else read_photo(path)
        expected = faces.photo_size(index)
        width, height = photo.shape[1], photo.shape[0]
        if expected is not None and expected != (width, height):
            raise ShapeError(
                f"{path} is {width} x {height} pixels; {name} is placed in a picture of {expected[0]} x {expected[1]}"
            )
        check_inside(vertices, width, height, faces.names[index], str(path))
        return photo


def check_inside(vertices: np.ndarray, width: int, height: int, name: str, where: str) -> None:
    """Raise ShapeError if no vertex of a face (N, 3), photo pixels from 0, lies in a picture of this size."""
    x, y = vertices[:, 0], vertices[:, 1]
    if not ((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)).any():
        raise ShapeError(
            f"{name} lies at {x.min():.0f}..{x.max():.0f} x {y.min():.0f}..{y.max():.0f}, outside {where} of "
            f"{width} x {height} pixels: is it another picture than the one the face was found in?"
        )
