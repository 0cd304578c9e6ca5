"""MATLAB `vertex` files: one mesh of a known face model each, in one of two frames (Q2)."""

from pathlib import Path
from typing import Literal

import numpy as np

from .errors import FileError, NotFiniteError
from .files import read_mat
from .morphable import MorphableModel
from .pose import CROP_SIZE

# `photo`: pixels from 1, y down, as the original's *_results folders; `crop`: the 120-pixel crop, y up, as its
# python code saves them.
Frame = Literal["photo", "crop"]
FRAMES: tuple[Frame, ...] = ("photo", "crop")

KNOWN_SIZES = {
    53215: "3DDFA's and 2DASL's Basel model",
    38365: "3DDFA_V2's Basel model without neck",
    35709: "Deep3DFaceRecon's Basel model",
    43867: "PRNet's mesh",
}


def named_count(vertices: int) -> str:
    """'53215 vertices (3DDFA's and 2DASL's Basel model)', the name where the number tells it."""
    known = KNOWN_SIZES.get(vertices)
    return f"{vertices} vertices" + (f" ({known})" if known else "")


def read_vertex_file(path: Path, vertices: int | None = None) -> np.ndarray:
    """The mesh of a `vertex` file (3, N) or (N, 3): (N, 3) float64, in the file's own frame.

    Raises FileError where it is no such file or has not `vertices` rows, NotFiniteError where some are not finite.
    """
    array = read_mat(path, "vertex")["vertex"]
    if array.ndim != 2 or 3 not in array.shape or array.dtype.kind not in "fiu":
        raise FileError(f"{path}: 'vertex' is {array.dtype} {array.shape}; (3, N) numbers are expected")
    points = (array.T if array.shape[0] == 3 else array).astype(np.float64)
    if vertices is not None and len(points) != vertices:
        raise FileError(
            f"{path} has {named_count(len(points))}; the face model has {named_count(vertices)}: hand over the mesh's "
            "own --model"
        )
    if not np.isfinite(points).all():
        raise NotFiniteError(f"{path}: 'vertex' holds values that are not finite")
    return points


def recognise_frame(points: np.ndarray, model: MorphableModel, path: Path) -> Frame:
    """The frame of a mesh (N, 3), from the mesh itself: a y-down picture is a mirror image of the face model, so the
    affine map between the two has a negative determinant. Raises FileError where neither frame fits, or a flat mesh
    does not tell."""
    return frame_of_landmarks(points[model.landmark_ids], model, path)


def frame_of_landmarks(target: np.ndarray, model: MorphableModel, path: Path) -> Frame:
    """The same from the mesh's 68 landmarks (68, 3)."""
    source = model.mean[model.landmark_ids].astype(np.float64)
    affine = np.linalg.lstsq(source - source.mean(axis=0), target - target.mean(axis=0), rcond=None)[0]
    stretch = np.linalg.svd(affine, compute_uv=False)
    if stretch[2] <= 1e-3 * stretch[0]:
        raise FileError(f"{path}: its vertices lie in a plane or a point; a face in the order of the model is expected")
    if np.linalg.det(affine) < 0:
        return "photo"
    low, high = target[:, :2].min(axis=0), target[:, :2].max(axis=0)
    if (low > -CROP_SIZE / 2).all() and (high < 1.5 * CROP_SIZE).all():
        return "crop"
    raise FileError(
        f"{path}: its frame is not recognised: y points up, as in the {CROP_SIZE}-pixel crop, but the landmarks span "
        f"{low[0]:.0f}..{high[0]:.0f} x {low[1]:.0f}..{high[1]:.0f}; say which frame it is with "
        "--frame-in"
    )


def mat_names(folder: Path) -> tuple[str, ...]:
    """The names of the `.mat` files in a folder, sorted (Q32)."""
    return tuple(sorted(path.stem for path in folder.glob("*.mat")))
