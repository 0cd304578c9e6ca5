"""Points of pictures as people hand them over: tables, folders of `.mat`, and `.npz` archives with visibility."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..boxes import crop_from_image_exact
from ..errors import FileError
from ..files import read_npz
from ..fitting.runs import read_annotations
from ..fitting.settings import GROUPS, landmark_indices
from ..morphable import LANDMARKS
from ..tables import check_unique, image_name, read_names, read_table
from .points import COUNTS, Points

NOT_SEEN = -1.0  # both coordinates of one of AFLW's 21 points that was not annotated


@dataclass(frozen=True, eq=False)
class PointLabels:
    """The points of n pictures, keyed by name.

    points: (n, P, 2 or 3) float64, pixels of the picture handed over, counted from 1, y down; NaN where not annotated.
    scheme: which points they are. cropped: the pictures are 120-pixel crops already. boxes: (n, 4), photo pixels from
    1, of the crops or to cut them by, NaN for a face without one; None where none were handed over. annotations: the
    points are 3D annotations, to be followed. problems: why a picture's points cannot be read, by name.
    """

    names: tuple[str, ...]
    points: np.ndarray
    scheme: Points
    cropped: bool
    source: Path
    boxes: np.ndarray | None = None
    annotations: bool = False
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TableOptions:
    """What a table of points does not say itself; None leaves the default.

    rows: the list that names the rows of arrays. subset: the landmarks a row holds, if not all. boxes: crop boxes.
    cropped: the pictures are crops, and the points in their pixels. origin: the first pixel of the points.
    """

    rows: Path | None = None
    subset: tuple[str, ...] | None = None
    boxes: Path | None = None
    cropped: bool = False
    origin: int | None = None


def read_point_labels(path: Path, options: TableOptions) -> PointLabels:
    """Read 68 points (2 or 3 numbers each), AFLW's 21, or a named subset of the 68.

    path: a table (`tables.read_table`), a folder of AFLW2000-3D `.mat`, or `.npz` (`_read_archive`). An empty, NaN or
    infinite number, and -1, -1 among AFLW's points, marks a point that was not annotated.
    Raises FileError or NamesError as reading them does, and FileError for options that the file leaves no place for.
    """
    if path.suffix.lower() == ".npz":
        _refuse(path, options, "subset", "boxes", "cropped", "origin")
        return _read_archive(path, options.rows)
    if path.is_dir():
        _refuse(path, options, "cropped", "origin")
        labels = _read_folder(path, options)
    else:
        labels = _read_table(path, options)
    if options.boxes is None:
        return labels
    table = read_table(options.boxes, options.rows, (4,), "boxes")
    rows = [table.row(name) for name in labels.names]
    return replace(labels, boxes=np.array([np.full(4, np.nan) if row is None else row for row in rows]))


def _refuse(path: Path, options: TableOptions, *unread: str) -> None:
    given = [f"--{name}" for name in unread if getattr(options, name) not in (None, False)]
    if given:
        raise FileError(f"{path} leaves no place for {' and '.join(given)}: it says itself what its points are")


def _read_folder(path: Path, options: TableOptions) -> PointLabels:
    which = landmark_indices(options.subset or list(GROUPS))
    read = read_annotations(path, which)
    problems = {read.names[row]: why for row, (_, why) in read.problems.items()}
    points = _among_68(read.points, which)
    return PointLabels(read.names, points, "68", False, path, annotations=True, problems=problems)


def _read_table(path: Path, options: TableOptions) -> PointLabels:
    if options.subset is None:
        widths, what = [2 * COUNTS["21"], 2 * LANDMARKS, 3 * LANDMARKS], "21 (x, y) or 68 (x, y or x, y, z) points"
        which = np.arange(LANDMARKS)
    else:
        which = landmark_indices(options.subset)
        widths, what = [2 * len(which), 3 * len(which)], f"{len(which)} points"
    table = read_table(path, options.rows, widths, what)
    scheme: Points = "21" if options.subset is None and table.values.shape[1] == widths[0] else "68"
    count = COUNTS["21"] if scheme == "21" else len(which)
    points = table.values.reshape(len(table.names), count, -1)
    points = _without_unseen(points, scheme)
    points[..., :2] += 1 - (options.origin or 0)
    if scheme == "68":
        points = _among_68(points, which)
    return PointLabels(table.names, points, scheme, options.cropped, path)


def _among_68(points: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Points (n, P, d) that are the landmarks `which` as all 68, NaN where there is none."""
    whole = np.full((len(points), LANDMARKS, points.shape[2]), np.nan)
    whole[:, which] = points
    return whole


def _without_unseen(points: np.ndarray, scheme: Points, visible: np.ndarray | None = None) -> np.ndarray:
    """A copy with NaN for points that are not finite, not `visible` (n, P), or marked so in AFLW's way."""
    seen = np.isfinite(points).all(axis=2)
    if visible is not None:
        seen &= visible
    elif scheme == "21":
        seen &= (points[..., :2] != NOT_SEEN).any(axis=2)
    return np.where(seen[..., None], points, np.nan)


def _read_archive(path: Path, rows: Path | None) -> PointLabels:
    """A `.npz` with `names` (n) and `pts68` or `pts21` (n, P, 2 or 3; or coordinates before points), pixels of the photo
    counted from 1, or `pts68_crop` or `pts21_crop`, pixels of 120-pixel crops from 0; optional `visible` (n, P) bool
    and `roi_box` (n, 4), photo pixels from 1.

    Crop points: with the photo's points and boxes at hand those say where a crop's points lie, to the half pixel.
    """
    keys = [f"pts{count}{crop}" for count in COUNTS for crop in ("", "_crop")]
    arrays = read_npz(path, ["names", "visible", "roi_box", *keys])
    scheme: Points | None = next((key for key in COUNTS if f"pts{key}" in arrays or f"pts{key}_crop" in arrays), None)
    if scheme is None:
        raise FileError(f"{path} holds no points: an array called {', '.join(keys)} is expected")
    names = _names(path, arrays, rows)
    found = {key: _array(path, arrays, key, (len(names), COUNTS[scheme])) for key in keys if key in arrays}
    visible = boxes = None
    if "visible" in arrays:
        visible = _array(path, arrays, "visible", (len(names), COUNTS[scheme])).astype(bool)
    if "roi_box" in arrays:
        boxes = _array(path, arrays, "roi_box", (len(names), 4)).astype(np.float64)
    in_photo, in_crop = found.get(f"pts{scheme}"), found.get(f"pts{scheme}_crop")
    cropped = in_crop is not None
    if in_photo is not None:
        points = _without_unseen(in_photo, scheme, visible)
        if cropped and boxes is not None:
            points = crop_from_image_exact(points, boxes, "3ddfa")
    if in_crop is not None and (in_photo is None or boxes is None):
        points = _without_unseen(in_crop, scheme, visible)
        points[..., :2] += 1
    return PointLabels(names, points, scheme, cropped, path, boxes)


def _names(path: Path, arrays: Mapping[str, np.ndarray], rows: Path | None) -> tuple[str, ...]:
    if rows is not None:
        return read_names(rows)
    if "names" not in arrays or arrays["names"].dtype.kind not in "US" or arrays["names"].ndim != 1:
        raise FileError(f"{path} holds no texts called 'names', one a picture; or --rows names the list of them")
    names = arrays["names"].astype(str)
    check_unique(listed := tuple(image_name(name) for name in names), str(path))
    return listed


def _array(path: Path, arrays: Mapping[str, np.ndarray], key: str, expected: tuple[int, int]) -> np.ndarray:
    """One array of the archive, a row for each name: (n, P) or (n, P, 2 or 3); (n, 2 or 3, P) is turned."""
    array = arrays[key]
    dims = 3 if key.startswith("pts") else 2
    if dims == 3 and array.ndim == 3 and array.shape[1] in (2, 3) and array.shape[2] == expected[1]:
        array = np.swapaxes(array, 1, 2)
    fits = array.ndim == dims and array.shape[:2] == expected and (dims == 2 or array.shape[2] in (2, 3))
    if not fits or array.dtype.kind not in "fiub":
        wanted = f"({expected[0]} names, {expected[1]}{', 2 or 3' if dims == 3 else ''})"
        raise FileError(f"{path}: {key} is {arrays[key].dtype} {arrays[key].shape}; {wanted} numbers are expected")
    return array.astype(np.float64) if dims == 3 else array
