"""Wavefront OBJ read as it stands: every vertex, in the file's order, whatever materials and groups cut it into."""

from pathlib import Path

import numpy as np

from .errors import FileError
from .files import read_bytes

Corner = tuple[int, int]  # vertex and texture coordinate from 0, the second -1 where there is none


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Vertices (N, 3) float64, triangles (T, 3) int64 from 0, colours (N, 3) 0..1 and uv (N, 2), v up, or None each.

    Polygons become fans. A vertex on a seam has the texture coordinate that the file names first. Materials are not
    opened here. Raises FileError for a file that is no OBJ, a line that cannot be read, an index that no vertex has.
    """
    points: list[list[str]] = []
    places: list[list[str]] = []
    corners: list[Corner] = []
    triangles: list[tuple[int, int, int]] = []  # rows of `corners`
    for number, line in enumerate(read_bytes(path).decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        kind = words[0] if words else ""
        if kind == "v":
            points.append(words[1:])
        elif kind == "vt":
            places.append(words[1:3])
        elif kind == "f":
            first, last = len(corners), len(corners) + len(words) - 2
            try:
                corners += [_corner(word, len(points), len(places)) for word in words[1:]]
            except ValueError as error:
                raise FileError(f"{path}, line {number}: '{line.strip()[:60]}' is no face of an OBJ") from error
            triangles += [(first, second, second + 1) for second in range(first + 1, last)]
    if not points:
        raise FileError(f"{path} is no OBJ: it holds no vertices ('v x y z')")
    rows = _numbers(points, path, "v")
    if rows.shape[1] < 3:
        raise FileError(f"{path}: vertices have {rows.shape[1]} numbers; x y z is expected")
    wrong = next((vertex for vertex, _ in corners if not 0 <= vertex < len(rows)), None)
    if wrong is not None:
        said = f"vertex {wrong + 1}" if wrong >= 0 else "a vertex before the first"
        raise FileError(f"{path}: a face points at {said}; there are {len(rows)}, from 1")
    where = np.array([(vertex, min(place, len(places))) for vertex, place in corners], np.int64).reshape(-1, 2)
    faces = where[:, 0][np.array(triangles, np.int64).reshape(-1, 3)]
    colors = rows[:, 3:6] if rows.shape[1] >= 6 else None
    if colors is not None and colors.max() > 1:
        colors = colors / 255
    return rows[:, :3], faces, colors, _uv(places, where, len(rows), path)


def _corner(word: str, points: int, places: int) -> Corner:
    """`5`, `5/7`, `5//2` or `5/7/2`, from 1, or from the last one on backwards where negative."""
    first, _, rest = word.partition("/")
    second = rest.partition("/")[0]
    vertex, place = int(first), int(second) if second else 0
    return vertex - 1 if vertex >= 0 else points + vertex, place - 1 if place >= 0 else places + place


def _uv(places: list[list[str]], corners: np.ndarray, count: int, path: Path) -> np.ndarray | None:
    if not places or not len(corners) or corners[:, 1].max() < 0:
        return None
    table = _numbers(places, path, "vt")
    if table.shape[1] != 2 or corners[:, 1].max() >= len(table):
        raise FileError(f"{path}: a face points at a texture coordinate that is not there; it has {len(table)}")
    uv = np.zeros((count, 2))
    named = corners[corners[:, 1] >= 0][::-1]  # written from the last to the first, which stays
    uv[named[:, 0]] = table[named[:, 1]]
    return uv


def _numbers(rows: list[list[str]], path: Path, kind: str) -> np.ndarray:
    """(N, C) float64; rows of different lengths keep what all of them have."""
    width = min(map(len, rows))
    try:
        return np.array([[float(word) for word in row[:width]] for row in rows])
    except ValueError as error:
        raise FileError(f"{path}: a line '{kind}' does not hold numbers ({error})") from error


def texture_of(path: Path) -> Path | None:
    """The picture that an OBJ's material gives its surface, where it and the material are files beside it.

    Nothing elsewhere is opened on a mesh file's word: folders in the names are left out.
    """
    for library in _named(path, "mtllib"):
        for picture in _named(library, "map_Kd"):
            return picture
    return None


def _named(path: Path, key: str) -> list[Path]:
    """The files beside `path` that its lines of this kind name last."""
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    words = [line.strip().partition(" ") for line in lines if line.lstrip().startswith(key)]
    names = [name.replace("\\", "/").rpartition("/")[2].strip() for word, _, name in words if word == key]
    return [beside for name in names if name and (beside := path.parent / name).is_file()]
