"""Dense evaluation: the metric on paper, both kinds of truth, failures, and the published numbers on real data."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from tests.command import run_command
from tests.toy import toy_face_model
from twodasl.evaluation.dense import blocks, common_vertices, restrict, vertex_distances
from twodasl.evaluation.meshes import LinearMeshes
from twodasl.evaluation.prediction import Coefficients, moved_cameras
from twodasl.models.library import register
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import rotation_from_angles

# --- the metric ---------------------------------------------------------------------------------


def test_distances_on_paper() -> None:
    """Two vertices of one face, (3, 4, 12) px off; 3D counts z from each mesh's own minimum, so a z shift is nothing."""
    truth = np.zeros((3, 1, 2))
    truth[2, 0] = [0, 10]
    predicted = truth + np.array([3.0, 4.0, 100.0]).reshape(3, 1, 1)
    predicted[2, 0, 1] += 12
    distances = vertex_distances(predicted, truth, (2, 3))
    np.testing.assert_allclose(distances[2], [[5, 5]])
    np.testing.assert_allclose(distances[3], [[5, 13]])


faces = st.integers(0, 10_000).map(lambda seed: np.random.default_rng(seed).uniform(0, 100, (2, 3, 4, 30)))


@given(pair=faces, order=st.permutations(range(4)), scale=st.floats(0.1, 10), shift=st.floats(-100, 100))
@settings(max_examples=50, deadline=None)
def test_what_distances_depend_on(pair: np.ndarray, order: list[int], scale: float, shift: float) -> None:
    """They grow with the picture, move with their images, and do not know in which blocks or type they came."""
    predicted, truth = pair
    whole = vertex_distances(predicted, truth, (2, 3))
    scaled = vertex_distances(scale * predicted + shift, scale * truth + shift, (2, 3))
    permuted = vertex_distances(predicted[:, order], truth[:, order], (2, 3))
    single = vertex_distances(predicted.astype(np.float32), truth.astype(np.float32), (2, 3))
    for dims, distances in whole.items():
        np.testing.assert_allclose(scaled[dims], scale * distances, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(permuted[dims], distances[order])
        np.testing.assert_allclose(single[dims], distances, atol=1e-4)
        parts = [vertex_distances(predicted[:, rows], truth[:, rows], (2, 3))[dims] for rows in blocks(4, 3)]
        np.testing.assert_array_equal(np.concatenate(parts), distances)


def test_linear_meshes_are_the_models_faces(toy_model: MorphableModel) -> None:
    """A block is what the model and the camera give one face at a time, also with fewer components than it has."""
    rng = np.random.default_rng(0)
    cameras = rng.normal(size=(3, 3, 4)) * [5e-4, 5e-4, 5e-4, 60]
    identity, expression = rng.normal(size=(3, 7)) * 1e4, rng.normal(size=(3, 10))
    cameras[1] = np.nan
    block = LinearMeshes(Coefficients(toy_model, cameras, identity, expression)).block(np.arange(3))
    assert block.shape == (3, 3, len(toy_model.mean))
    assert np.isnan(block[:, 1]).all()
    for face in (0, 2):
        vertices = toy_model.vertices(identity[face], expression[face]).astype(np.float64)
        expected = vertices @ cameras[face, :, :3].T + cameras[face, :, 3]
        np.testing.assert_allclose(block[:, face].T, expected, atol=1e-3)


def test_moved_cameras_follow_any_affine_change() -> None:
    rng = np.random.default_rng(1)
    cameras, points = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 3))
    affine, shift = rng.normal(size=(3, 3)), rng.normal(size=3)
    moved = moved_cameras(cameras, lambda posed: posed @ affine.T + shift)
    for camera, after in zip(cameras, moved, strict=True):
        posed = points @ camera[:, :3].T + camera[:, 3]
        np.testing.assert_allclose(points @ after[:, :3].T + after[:, 3], posed @ affine.T + shift, atol=1e-8)


def test_common_vertices_of_partial_meshes() -> None:
    held, other = np.array([4, 0, 2]), np.array([2, 3, 4])
    common = common_vertices(held, other)
    assert common is not None
    assert common.tolist() == [2, 4]
    assert common_vertices(None, None) is None
    block = np.arange(3.0).reshape(1, 1, 3)
    np.testing.assert_array_equal(restrict(block, held, common), [[[2, 0]]])
    np.testing.assert_array_equal(restrict(np.arange(5.0).reshape(1, 1, 5), None, common), [[[2, 4]]])


# --- invented data --------------------------------------------------------------------------------

NAMES = ("ann", "bob", "cyd")
YAWS = (0.0, 40.0, -351.0)


def annotate(folder: Path, model: MorphableModel, identity: int = 40, expression: int = 10) -> np.ndarray:
    """AFLW2000-3D-like annotations of toy faces whose later components are zero: the vertices, (3, N, 3), y down."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    meshes = []
    for name, yaw in zip(NAMES, YAWS, strict=True):
        shape = np.r_[rng.normal(0, 2e4, identity), np.zeros(199 - identity)]
        mouth = np.r_[rng.normal(0, 0.5, expression), np.zeros(29 - expression)]
        rotation = rotation_from_angles(np.array([yaw, 5, -3]))
        vertices = model.vertices(shape[:40], mouth[:10]).astype(np.float64)
        posed = 1e-3 * vertices @ rotation.T + [225, 240, -60]
        posed[:, 1] = 451 - posed[:, 1]
        pose = [*np.deg2rad([5, yaw, -3]), 225, 240, -60, 1e-3]
        savemat(
            folder / f"{name}.mat",
            {
                "pt3d_68": posed[model.landmark_ids].T,
                "Pose_Para": np.array([pose]),
                "Shape_Para": shape[:, None],
                "Exp_Para": mouth[:, None],
            },
        )
        meshes.append(posed)
    return np.stack(meshes)


def write_meshes(folder: Path, meshes: np.ndarray, names: tuple[str, ...] = NAMES) -> Path:
    folder.mkdir()
    for name, vertices in zip(names, meshes, strict=True):
        savemat(folder / f"{name}.mat", {"vertex": vertices.T})
    return folder


@pytest.fixture
def truth(tmp_path: Path, toy_model: MorphableModel) -> np.ndarray:
    toy_model.save(tmp_path / "toy.h5")
    return annotate(tmp_path / "truth", toy_model)


def evaluate(tmp_path: Path, *arguments: str | Path) -> tuple[int, str, str]:
    """With `truth` for the truth and the toy model, where nothing else is said."""
    given = [str(argument) for argument in arguments]
    rest: list[str | Path] = [] if "--truth" in given else ["--truth", tmp_path / "truth"]
    return run_command("eval", "nme", "--dense", *given, *rest, "--model", tmp_path / "toy.h5")


def documents(tmp_path: Path, *arguments: str | Path) -> list[dict]:
    code, out, err = evaluate(tmp_path, *arguments, "--json")
    assert code == 0, err
    found = json.loads(out)
    return found if isinstance(found, list) else [found]


def test_a_known_shift(tmp_path: Path, truth: np.ndarray, toy_model: MorphableModel) -> None:
    """Every vertex (3, 4) px off and z by 50: 5 px over the landmark box in 2D and in 3D, in every output truncated."""
    folder = write_meshes(tmp_path / "shifted", truth + [3, 4, 50])
    flat, deep = documents(tmp_path, folder, "--dims", "2,3")
    size = np.sqrt(np.ptp(truth[0, toy_model.landmark_ids, :2], axis=0).prod())
    for document in (flat, deep):
        assert document["per_image"]["ann"] == pytest.approx(5 / size, rel=1e-5)
        assert document["protocol"]["labels"] == "truncated truth"
        assert "40 + 10 of their 199 + 29" in document["protocol"]["truth"]
        assert document["protocol"]["truth_own_error"] == pytest.approx(0, abs=1e-6)
        assert document["summary"]["bin_counts"] == {"0-30": 1, "30-60": 1, "60-90": 1}  # -351 is not wrapped (Q22)
    _, out, _ = evaluate(tmp_path, folder)
    assert "truncated truth" in out
    assert "in the last bin: cyd (-351)" in out
    _, out, _ = evaluate(tmp_path, folder, "--csv")
    assert out.splitlines()[1].split(",")[3] == "truncated truth"


def test_an_exact_truth(tmp_path: Path) -> None:
    """A model with all 199 + 29 components has an exact truth, and says so."""
    rng = np.random.default_rng(2)
    small = toy_face_model(columns=12, rows=12)
    n = len(small.mean)
    identity, expression = rng.normal(size=(n, 3, 199)), rng.normal(size=(n, 3, 29)) * 1e3
    identity[:, :, :40] += small.identity_basis
    full = MorphableModel(
        small.mean, identity.astype(np.float32), expression.astype(np.float32), small.triangles, small.landmark_ids
    )
    full.save(tmp_path / "toy.h5")
    meshes = annotate(tmp_path / "truth", full)
    (document,) = documents(tmp_path, write_meshes(tmp_path / "meshes", meshes))
    assert document["protocol"]["labels"] == "exact truth"
    assert document["summary"]["mean_over_images"] == pytest.approx(0, abs=1e-6)


def test_coefficients_and_meshes_of_the_same_faces_score_alike(
    tmp_path: Path, truth: np.ndarray, toy_model: MorphableModel
) -> None:
    """Coefficients placed by each protocol against the vertices of the same protocol, computed one by one."""
    from tests.toy_faces import ToyFaces

    faces = ToyFaces(toy_model)
    coefficients = faces.write_coefficients(tmp_path)
    photo = faces.write_photo_mats(tmp_path)
    by_numbers = documents(tmp_path, *coefficients, "--protocol", "2dasl", "--dims", "2,3")
    by_files = documents(tmp_path, *photo, "--protocol", "2dasl", "--dims", "2,3")
    for numbers, files in zip(by_numbers, by_files, strict=True):
        assert numbers["per_image"] == pytest.approx(files["per_image"], abs=1e-6)
    crop = faces.write_crop_mats(tmp_path)
    by_crops = documents(tmp_path, *crop, "--protocol", "2dasl", "--dims", "2,3")
    assert by_crops[1]["per_image"] == pytest.approx(by_files[1]["per_image"], abs=1e-6)


def test_vertex_files_as_truth(tmp_path: Path, truth: np.ndarray) -> None:
    """Without annotations the truth's own landmarks normalise and there is no yaw; with them both are given."""
    meshes = write_meshes(tmp_path / "files", truth)
    shifted = write_meshes(tmp_path / "shifted", truth + [3, 4, 0])
    (plain,) = documents(tmp_path, shifted, "--truth", meshes)
    (beside,) = documents(tmp_path, shifted, "--truth", meshes, "--normalise-from", tmp_path / "truth")
    assert plain["per_image"] == pytest.approx(beside["per_image"], rel=1e-9)
    assert plain["summary"]["bins"]["0-30"] is None
    assert any("states no yaw" in text for text in plain["notes"])
    assert beside["summary"]["bins"]["0-30"] == pytest.approx(beside["per_image"]["ann"])
    assert plain["protocol"]["labels"] == "vertex files"


def test_other_normalisers_are_deviations(tmp_path: Path, truth: np.ndarray, toy_model: MorphableModel) -> None:
    shifted = write_meshes(tmp_path / "shifted", truth + [3, 4, 0])
    (by_mesh,) = documents(tmp_path, shifted, "--normalise", "mesh-box")
    size = np.sqrt(np.ptp(truth[0, :, :2], axis=0).prod())
    assert by_mesh["per_image"]["ann"] == pytest.approx(5 / size, rel=1e-5)
    (by_eyes,) = documents(tmp_path, shifted, "--normalise", "outer-eye")
    eyes = truth[0, toy_model.landmark_ids[[36, 45]], :2]
    assert by_eyes["per_image"]["ann"] == pytest.approx(5 / np.linalg.norm(eyes[0] - eyes[1]), rel=1e-5)
    assert "outer-eye" in by_eyes["deviations"][0]
    _, out, _ = evaluate(tmp_path, shifted, "--normalise", "mesh-box")
    assert "DEVIATION: --normalise mesh-box" in out


def test_a_truth_without_size_is_refused(tmp_path: Path, truth: np.ndarray, toy_model: MorphableModel) -> None:
    """Both outer eye corners of one truth at one place."""
    left, right = toy_model.landmark_ids[[36, 45]]
    meshes = truth.copy()
    meshes[1, left] = meshes[1, right]
    folder = write_meshes(tmp_path / "meshes", meshes)
    code, _, err = evaluate(tmp_path, folder, "--truth", folder, "--normalise", "outer-eye")
    assert code == 1
    assert "truth of bob has no extent" in err


def test_failures_are_named(tmp_path: Path, truth: np.ndarray) -> None:
    broken = truth.copy()
    broken[1, 7] = np.nan
    folder = write_meshes(tmp_path / "broken", broken)
    code, out, err = evaluate(tmp_path, folder, "--json")
    assert code == 0
    document = json.loads(out)
    assert document["failed"] == ["bob"]
    assert (document["summary"]["n"], document["summary"]["n_failed"]) == (2, 1)
    assert "bob" in err


def test_partial_meshes_are_mapped_where_the_map_is_known(
    tmp_path: Path, truth: np.ndarray, toy_model: MorphableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the vertices, in an order of their own: refused, until a registered model says which they are."""
    monkeypatch.setenv("TWODASL_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(6)
    others = np.setdiff1d(np.arange(len(toy_model.mean)), toy_model.landmark_ids)
    ids = rng.permutation(np.r_[toy_model.landmark_ids, rng.choice(others, 400, replace=False)])
    folder = write_meshes(tmp_path / "part", (truth + [3, 4, 0])[:, ids])
    code, out, err = evaluate(tmp_path, folder)
    assert (code, out) == (1, "")
    assert "has 468 vertices; the face model has 1020" in err
    register(toy_model.with_ids(ids, name="part"))
    (document,) = documents(tmp_path, folder)
    size = np.sqrt(np.ptp(truth[0, toy_model.landmark_ids, :2], axis=0).prod())
    assert document["per_image"]["ann"] == pytest.approx(5 / size, rel=1e-5)
    assert "468 of the model's 1020 vertices" in document["deviations"][0]


def test_faces_of_two_models_are_not_compared(
    tmp_path: Path, truth: np.ndarray, toy_model: MorphableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs, each of its own registered model: the truth is of the first one's."""
    from tests.toy_faces import ToyFaces

    monkeypatch.setenv("TWODASL_HOME", str(tmp_path / "home"))
    runs = []
    for name, model in {"one": toy_model, "two": toy_face_model(columns=20, rows=20, seed=4)}.items():
        register(model)
        ToyFaces(model).run().save(tmp_path / f"{name}.h5")
        runs.append(f"{name}={tmp_path / name}.h5")
    for kind in ("--dense", "--recon"):
        code, out, err = run_command("eval", "nme", kind, *runs, "--truth", tmp_path / "truth")
        assert (code, out) == (1, "")
        assert "two has faces of 'toy face' (400 vertices), the truth is made with 'toy face' (1020)" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["points.csv"], 1, "no mesh"),
        (["meshes", "--truth", "crops"], 1, "lies in the crop"),
        (["crops", "--truth", "meshes"], 1, "--normalise-from"),
        (["meshes", "--truth", "empty"], 1, "holds no truth (.mat) of ann, bob, cyd"),
        (["meshes", "--only", "dan.list"], 1, "holds no predictions"),
        (["empty"], 1, "holds no predictions"),
        (["A=meshes", "A=meshes"], 1, "'A' twice"),
        (["meshes", "--labels", "reannotated"], 2, "for --sparse"),
        (["meshes", "--z-align", "none"], 2, "--sparse"),
        (["meshes", "--truth", "nopose"], 1, "no variable 'Pose_Para'"),
        (["meshes", "--truth", "foreign"], 1, "another face model"),
        (["meshes", "--truth", "flat"], 1, "in a plane"),
    ],
)
def test_bad_input(
    tmp_path: Path,
    truth: np.ndarray,
    toy_model: MorphableModel,
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from scipy.io import loadmat

    write_meshes(tmp_path / "meshes", truth)
    write_meshes(tmp_path / "crops", truth * [0.3, -0.3, 0.3] + [0, 120, 0])
    write_meshes(tmp_path / "flat", truth * [1, 1e-9, 1])
    (tmp_path / "empty").mkdir()
    (tmp_path / "dan.list").write_text("dan\n")
    landmarks = truth[:, toy_model.landmark_ids]
    lines = [f"{name},{','.join(map(str, row.ravel()))}" for name, row in zip(NAMES, landmarks, strict=True)]
    (tmp_path / "points.csv").write_text("\n".join(lines))
    for kind in ("nopose", "foreign"):
        (tmp_path / kind).mkdir()
        for name in NAMES:
            fields = {key: value for key, value in loadmat(tmp_path / "truth" / f"{name}.mat").items() if key[0] != "_"}
            if kind == "nopose":
                del fields["Pose_Para"]
            else:
                fields["Pose_Para"][0, 3] += 100
            savemat(tmp_path / kind / f"{name}.mat", fields)
    monkeypatch.chdir(tmp_path)
    got, out, err = evaluate(tmp_path, *arguments)
    assert (got, out) == (code, ""), err
    assert message in err
    assert "Traceback" not in err


# --- the published numbers, on real data ----------------------------------------------------------


def test_published_parameters_against_the_truncated_truth(data: Path, bfm_path: Path) -> None:
    """Every tenth of the 1998 images, as the plain script of one face at a time below computes them; the whole takes
    seconds more and is what benchmarks/dense.py checks."""
    folder = data / "aflw2000"
    names = (folder / "AFLW1998-3D_crop.list").read_text().split()
    only = bfm_path.parent / "tenth.list"
    only.write_text("\n".join(names[::10]))
    code, out, err = run_command(
        "eval", "nme", "--dense", "--dims", "2,3", data / "peers" / "params_aflw2000_xgtu.npy", "--rows",
        folder / "AFLW1998-3D_crop.list", "--whitening", data / "bfm" / "param_whitening.pkl", "--model", bfm_path,
        "--truth", folder, "--only", only, "--json",
    )  # fmt: skip
    assert code == 0, err
    flat, deep = json.loads(out)
    plain = plain_dense(data, names[::40])
    for name, (in_2d, in_3d) in plain.items():
        assert flat["per_image"][name] == pytest.approx(in_2d, abs=1e-6)
        assert deep["per_image"][name] == pytest.approx(in_3d, abs=1e-6)
    assert 0.008 < flat["protocol"]["truth_own_error"] < 0.0095


def plain_dense(data: Path, jpgs: list[str]) -> dict[str, tuple[float, float]]:
    """Dense 2D and 3D NME, one face at a time in float64, the truth from the kit's own truncated parameters."""
    from twodasl.models.files import read_pickle

    folder, arrays = data / "aflw2000", data / "aflw2000" / "test.configs"
    mean = (np.load(data / "bfm" / "u_shp.npy") + np.load(data / "bfm" / "u_exp.npy")).astype(np.float64)
    basis = np.concatenate(
        [np.load(data / "bfm" / f"w_{part}_sim.npy").astype(np.float64) for part in ("shp", "exp")], axis=1
    )
    whitening = read_pickle(data / "bfm" / "param_whitening.pkl")
    rows_1998 = (folder / "AFLW1998-3D_crop.list").read_text().split()
    rows_2000 = (folder / "AFLW2000-3D_crop.list").read_text().split()
    predicted = np.load(data / "peers" / "params_aflw2000_xgtu.npy").astype(np.float64)
    predicted = predicted * whitening["param_std"] + whitening["param_mean"]
    truth = np.load(folder / "params_gt_trunc62.npy").astype(np.float64)
    boxes = np.load(arrays / "AFLW2000-3D_crop.roi_box.npy").astype(np.float64)
    landmarks = np.load(arrays / "AFLW2000-3D.pts68.npy").astype(np.float64)

    def placed(numbers: np.ndarray, box: np.ndarray) -> np.ndarray:
        camera = numbers[:12].reshape(3, 4)
        x, y, z = ((mean + basis @ numbers[12:, None]).reshape(-1, 3) @ camera[:, :3].T + camera[:, 3]).T
        across, down = (box[2:] - box[:2]) / 120
        z = z * (across + down) / 2
        return np.stack([x * across + box[0], (121 - y) * down + box[1], z - z.min()])

    values = {}
    for jpg in jpgs:
        row = rows_2000.index(jpg)
        difference = placed(predicted[rows_1998.index(jpg)], boxes[row]) - placed(truth[row], boxes[row])
        size = np.sqrt(np.ptp(landmarks[row, 0]) * np.ptp(landmarks[row, 1]))
        values[jpg[:-4]] = tuple(np.linalg.norm(difference[:count], axis=0).mean() / size for count in (2, 3))
    return values


@pytest.mark.parametrize("dims", [2, 3])
def test_matlab_parity(data: Path, bfm_path: Path, parity: dict, dims: int) -> None:
    """Every dense value of the original's own scripts within 1e-9, one method standing in for the truth."""
    (reference,) = [metric for metric in parity["metrics"] if metric["metric"] == f"dense_nme_{dims}d_standin"]
    results = data / "aflw2000" / "evaluation"
    code, out, err = run_command(
        "eval", "nme", "--dense", "--dims", str(dims), results / "2DASL_results", "--truth", results / "3DDFA_results",
        "--normalise-from", data / "aflw2000" / "AFLW-2000-3D", "--model", bfm_path, "--protocol", "2dasl", "--json",
    )  # fmt: skip
    assert code == 0, err
    document = json.loads(out)
    assert len(reference["values"]) == 20
    for name, value in reference["values"].items():
        assert document["per_image"][name] == pytest.approx(value["double"], abs=1e-9)
    assert document["summary"]["mean_over_images"] == pytest.approx(reference["mean_double"], abs=1e-9)
