"""The `train.configs` arrays of 3DDFA and 2DASL: a Basel face model with 40 + 10 components, as .npy and .pkl files.

Original pipeline, sections 3.2 to 3.5. Long `x y z x y z` vectors become (N, 3), indices from 1 become indices from 0,
and BFM's clockwise triangles are turned counter-clockwise seen from outside.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..files import read_mat, read_npy, read_pickle
from ..morphable import LANDMARKS, MorphableModel

TERMS = (
    "Basel Face Model 2009 (University of Basel) with a FaceWarehouse-derived expression basis: "
    "academic, non-commercial research only; no redistribution"
)
SEGMENT_NAMES = ("nose", "eyes", "mouth", "rest")


class TddfaImporter:
    NAME = "3DDFA / 2DASL train.configs"
    WANTS = "u_shp, u_exp, w_shp_sim, w_exp_sim and keypoints_sim as .npy or .pkl"

    @staticmethod
    def recognises(folder: Path) -> bool:
        return any(_array_file(folder, stem) for stem in ("u_shp", "w_shp_sim", "w_exp_sim"))

    @staticmethod
    def read_model(folder: Path) -> MorphableModel:
        """Read the folder. Raises FileError naming the file that is missing, damaged, or does not fit the others."""
        mean = _vector(folder, "u_shp") + _vector(folder, "u_exp")
        identity = _basis(folder, "w_shp_sim", len(mean))
        expression = _basis(folder, "w_exp_sim", len(mean))
        triangles, reversed_ = _outward(_triangles(folder, len(mean)), mean)
        optional: dict[str, Any] = {}
        for read in (_colors, _info, _uv, _pncc):
            optional.update(read(folder, len(mean)))
        optional.update(_sigmas(folder, identity.shape[2], expression.shape[2]))
        return MorphableModel(
            mean=mean.astype(np.float32),
            identity_basis=identity,
            expression_basis=expression,
            triangles=triangles,
            landmark_ids=_landmark_ids(folder, len(mean)),
            triangles_reversed=reversed_,
            name=f"BFM 2009, {identity.shape[2]} + {expression.shape[2]} components",
            source="3DDFA / 2DASL train.configs arrays",
            terms=TERMS,
            **optional,
        )


def _array_file(folder: Path, stem: str) -> Path | None:
    return next((path for ext in ("npy", "pkl") if (path := folder / f"{stem}.{ext}").is_file()), None)


def _array(folder: Path, stem: str) -> tuple[np.ndarray, Path]:
    path = _array_file(folder, stem)
    if path is None:
        raise FileError(f"{folder} holds no {stem}.npy or {stem}.pkl; a 3DDFA model needs {TddfaImporter.WANTS}")
    array = read_npy(path) if path.suffix == ".npy" else read_pickle(path)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise FileError(f"{path} holds {type(array).__name__}, not an array of numbers")
    if not np.isfinite(array).all():
        raise FileError(f"{path} holds values that are not finite")
    return array, path


def _vector(folder: Path, stem: str) -> np.ndarray:
    array, path = _array(folder, stem)
    if array.size % 3:
        raise FileError(f"{path} has {array.size} numbers; x, y, z of every vertex are expected")
    return array.reshape(-1, 3).astype(np.float32)


def _basis(folder: Path, stem: str, vertices: int) -> np.ndarray:
    array, path = _array(folder, stem)
    if array.ndim != 2 or len(array) != 3 * vertices:
        raise FileError(
            f"{path} is {array.shape}; ({3 * vertices}, components) is expected, as u_shp has {vertices} vertices"
        )
    return array.reshape(vertices, 3, -1).astype(np.float32)


def _landmark_ids(folder: Path, vertices: int) -> np.ndarray:
    """The 68 vertex indices of `keypoints_sim`: 204 indices into the flat vector, three in a row per landmark (Q1)."""
    array, path = _array(folder, "keypoints_sim")
    flat = array.ravel().astype(np.int64)
    if flat.size != 3 * LANDMARKS:
        raise FileError(f"{path} has {flat.size} indices; {3 * LANDMARKS} are expected, three for each landmark")
    triples = flat.reshape(LANDMARKS, 3)
    ids = triples[:, 0] // 3
    if (triples != 3 * ids[:, None] + np.arange(3)).any() or not (ids >= 0).all() or not (ids < vertices).all():
        raise FileError(f"{path} does not hold triples 3k, 3k+1, 3k+2 of {vertices} vertices counted from 0")
    return ids.astype(np.int32)


def _triangles(folder: Path, vertices: int) -> np.ndarray:
    path = next(
        (p for name in ("tri.mat", "Model_Shape_Sim.mat", "model_info.mat") if (p := folder / name).is_file()), None
    )
    if path is None:
        return np.empty((0, 3), np.int32)
    triangles = _points(read_mat(path, "tri")["tri"], path, "tri").astype(np.int64) - 1
    if triangles.min() < 0 or triangles.max() >= vertices:
        raise FileError(
            f"{path}: 'tri' runs from {triangles.min() + 1} to {triangles.max() + 1}; 1..{vertices} is expected"
        )
    return triangles.astype(np.int32)


def _points(array: np.ndarray, path: Path, field: str) -> np.ndarray:
    """(3, M) as MATLAB has it, or (M, 3), as (M, 3)."""
    if array.ndim == 2 and array.shape[0] == 3:
        return array.T
    if array.ndim == 2 and array.shape[1] == 3:
        return array
    raise FileError(f"{path}: '{field}' is {array.shape}; (3, M) is expected")


def _outward(triangles: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, bool]:
    """The triangles counter-clockwise seen from outside (a face's front looks along +z), and whether that turned them.

    The first vertex of each stays first, so turning again gives the source's triangles back exactly.
    """
    a, b, c = (mean[triangles[:, corner]].astype(np.float64) for corner in range(3))
    if np.cross(b - a, c - a)[:, 2].sum() >= 0:
        return triangles, False
    return np.ascontiguousarray(triangles[:, [0, 2, 1]]), True


def _colors(folder: Path, vertices: int) -> dict[str, np.ndarray]:
    path = folder / "Model_Shape_Sim.mat"
    if not path.is_file():
        return {}
    values = read_mat(path).get("mu_tex")
    if values is None:
        return {}
    return {"colors": (_rows(values.reshape(-1, 3), vertices, path, "mu_tex") / 255.0).clip(0, 1).astype(np.float32)}


def _info(folder: Path, vertices: int) -> dict[str, Any]:
    """Symmetry and segments of `model_info.mat`. The segments are of the untrimmed model: `trimIndex` picks ours."""
    path = folder / "model_info.mat"
    if not path.is_file():
        return {}
    info = read_mat(path, "symlist", "segbin", "trimIndex")
    pairs = info["symlist"].astype(np.int64) - 1
    symmetry = np.arange(vertices, dtype=np.int32)
    if pairs.shape[0] != 2 or pairs.min() < 0 or pairs.max() >= vertices:
        raise FileError(
            f"{path}: 'symlist' is {pairs.shape} up to {pairs.max() + 1}; (2, pairs) of 1..{vertices} is expected"
        )
    symmetry[pairs[0]], symmetry[pairs[1]] = pairs[1], pairs[0]
    kept = info["trimIndex"].ravel().astype(np.int64) - 1
    if kept.size != vertices or kept.min() < 0 or kept.max() >= len(info["segbin"]):
        raise FileError(
            f"{path}: 'trimIndex' has {kept.size} entries; one for each of the {vertices} vertices is expected"
        )
    segments = info["segbin"][kept].astype(bool)
    return {"symmetry": symmetry, "segments": segments, "segment_names": SEGMENT_NAMES[: segments.shape[1]]}


def _uv(folder: Path, vertices: int) -> dict[str, np.ndarray]:
    path = folder / "BFM_UV.mat"
    if not path.is_file():
        return {}
    return {"uv": _rows(read_mat(path, "UV")["UV"], vertices, path, "UV").astype(np.float32)}


def _pncc(folder: Path, vertices: int) -> dict[str, np.ndarray]:
    if _array_file(folder, "pncc_code") is None:
        return {}
    codes, path = _array(folder, "pncc_code")
    return {"pncc": _rows(_points(codes, path, "pncc_code"), vertices, path, "pncc_code").astype(np.float32)}


def _rows(array: np.ndarray, vertices: int, path: Path, field: str) -> np.ndarray:
    if len(array) != vertices:
        raise FileError(f"{path}: '{field}' has {len(array)} rows; one for each of the {vertices} vertices is expected")
    return array


def _sigmas(folder: Path, identity: int, expression: int) -> dict[str, np.ndarray]:
    """The spread of the coefficients over 3DDFA's training labels, from the whitening file where it lies beside."""
    path = folder / "param_whitening.pkl"
    if not path.is_file():
        return {}
    std = _whitening(path)
    if std.shape != (12 + identity + expression,):
        return {}
    return {"identity_sigma": std[12 : 12 + identity], "expression_sigma": std[12 + identity :]}


def _whitening(path: Path) -> np.ndarray:
    content = read_pickle(path)
    std = content.get("param_std") if isinstance(content, dict) else None
    if not isinstance(std, np.ndarray):
        raise FileError(f"{path} holds no 'param_std'")
    return std.astype(np.float32)
