"""The face model: one product for a batch, landmarks alone, ids, files."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from twodasl.models.errors import BasisError, FileError, NamesError, ShapeError
from twodasl.models.importers import import_model
from twodasl.models.library import open_model, register, registered
from twodasl.models.morphable import MorphableModel, check_basis


def coefficients(model: MorphableModel, count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, model.n_identity)) * 1e5, rng.normal(size=(count, model.n_expression))


def test_a_batch_is_the_faces_one_by_one_in_float64(toy_model: MorphableModel) -> None:
    identity, expression = coefficients(toy_model, 3)
    batch = toy_model.vertices(identity, expression)
    assert batch.shape == (3, len(toy_model.mean), 3)
    assert batch.dtype == np.float32
    for face in range(3):
        slow = toy_model.mean.astype(np.float64)
        slow = slow + toy_model.identity_basis.astype(np.float64) @ identity[face]
        slow = slow + toy_model.expression_basis.astype(np.float64) @ expression[face]
        np.testing.assert_allclose(batch[face], slow, rtol=1e-5, atol=1e-5 * np.ptp(slow))


def test_landmarks_are_vertices_of_the_dense_face(toy_model: MorphableModel) -> None:
    identity, expression = coefficients(toy_model, 2)
    dense = toy_model.vertices(identity, expression)[:, toy_model.landmark_ids]
    np.testing.assert_allclose(toy_model.landmarks(identity, expression), dense, rtol=1e-5, atol=2)


def test_fewer_coefficients_use_the_first_components(toy_model: MorphableModel) -> None:
    identity, expression = coefficients(toy_model, 1)
    padded = np.where(np.arange(40) < 7, identity, 0)
    np.testing.assert_array_equal(
        toy_model.vertices(identity[:, :7], expression), toy_model.vertices(padded, expression)
    )


def test_more_coefficients_than_components_are_refused(toy_model: MorphableModel) -> None:
    with pytest.raises(ShapeError, match="41 identity and 10 expression"):
        toy_model.vertices(np.zeros(41), np.zeros(10))


def test_basis_id_is_the_same_for_coarser_and_coloured_variants(toy_model: MorphableModel) -> None:
    kept = np.union1d(toy_model.landmark_ids, np.arange(0, len(toy_model.mean), 2))
    coarser = toy_model.with_ids(kept, name="coarser")
    plain = replace(toy_model, colors=None)
    assert coarser.basis_id == plain.basis_id == toy_model.basis_id
    assert len({coarser.file_id, plain.file_id, toy_model.file_id}) == 3
    np.testing.assert_array_equal(coarser.mean[coarser.landmark_ids], toy_model.mean[toy_model.landmark_ids])


def test_basis_id_changes_with_the_basis(toy_model: MorphableModel) -> None:
    moved = toy_model.expression_basis.copy()
    moved[toy_model.landmark_ids[0], 0, 0] += 1
    assert replace(toy_model, expression_basis=moved).basis_id != toy_model.basis_id


def test_other_meanings_of_the_points_keep_the_basis_id(toy_model: MorphableModel, tmp_path: Path) -> None:
    """A model may have several lists of 68 points; runs and weights of either belong together."""
    moved = (toy_model.landmark_ids + 1) % len(toy_model.mean)
    model = replace(toy_model, named_landmarks={"semantic": toy_model.landmark_ids, "moved": moved})
    other = model.with_points("moved")
    assert other.basis_id == model.basis_id == toy_model.basis_id
    np.testing.assert_array_equal(other.landmarks(np.zeros(40), np.zeros(10)), model.mean[moved])
    other.save(tmp_path / "other.h5")
    loaded = MorphableModel.load(tmp_path / "other.h5")
    assert (loaded.basis_id, loaded.file_id) == (other.basis_id, other.file_id)
    np.testing.assert_array_equal(loaded.with_points("semantic").landmark_ids, toy_model.landmark_ids)
    with pytest.raises(NamesError, match="no landmarks called 'transferred'; it has moved, semantic"):
        model.with_points("transferred")
    with pytest.raises(ShapeError, match="landmarks 'bad'"):
        replace(toy_model, named_landmarks={"bad": moved[:3]})


def test_saved_and_loaded_is_the_same(toy_model: MorphableModel, tmp_path: Path) -> None:
    toy_model.save(tmp_path / "toy.h5")
    loaded = MorphableModel.load(tmp_path / "toy.h5")
    assert (loaded.basis_id, loaded.file_id) == (toy_model.basis_id, toy_model.file_id)
    np.testing.assert_array_equal(loaded.identity_basis, toy_model.identity_basis)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.h5"]  # no temporary file is left


@pytest.mark.parametrize("damage", ["truncate", "not-hdf5", "other-kind", "newer", "changed"])
def test_damaged_files_are_refused(toy_model: MorphableModel, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "toy.h5"
    toy_model.save(path)
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "not-hdf5":
        path.write_text("solid face")
    else:
        with h5py.File(path, "a") as file:
            if damage == "other-kind":
                file.attrs["format"] = "twodasl-run"
            elif damage == "newer":
                file.attrs["version"] = 99
            else:
                file["mean"][int(toy_model.landmark_ids[3])] += 5
    with pytest.raises(FileError, match="toy.h5"):
        MorphableModel.load(path)


def test_wrong_model_says_what_to_do(toy_model: MorphableModel) -> None:
    with pytest.raises(BasisError, match="twodasl model import"):
        check_basis("0" * 64, toy_model, "these weights")


def test_arrays_that_do_not_fit_are_refused(toy_model: MorphableModel) -> None:
    with pytest.raises(ShapeError, match="triangles of 'toy face' points at vertex"):
        replace(toy_model, triangles=toy_model.triangles + len(toy_model.mean))
    with pytest.raises(ShapeError, match="landmark_ids"):
        replace(toy_model, landmark_ids=toy_model.landmark_ids[:67])


def test_registered_model_is_found_by_its_id(
    toy_model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWODASL_HOME", str(tmp_path))
    with pytest.raises(FileError, match="no face model"):
        open_model()
    register(toy_model)
    assert [entry.basis_id for entry in registered()] == [toy_model.basis_id]
    assert open_model(basis_id=toy_model.basis_id).file_id == toy_model.file_id
    with pytest.raises(BasisError, match="this run belongs to"):
        open_model(basis_id="0" * 64, what="this run")


def test_model_variable_overrides_the_registered(
    toy_model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWODASL_HOME", str(tmp_path))
    register(toy_model)
    other = replace(toy_model, name="named by the variable", colors=None)
    other.save(tmp_path / "other.h5")
    monkeypatch.setenv("TWODASL_MODEL", str(tmp_path / "other.h5"))
    assert open_model(basis_id=toy_model.basis_id).name == "named by the variable"


# --- import of the 3DDFA / 2DASL arrays ---------------------------------------------------------


def test_import_reads_the_basel_arrays(bfm: MorphableModel, data: Path) -> None:
    assert bfm.mean.shape == (53215, 3)
    assert bfm.triangles.shape == (105840, 3)
    assert (bfm.n_identity, bfm.n_expression) == (40, 10)
    keypoints = np.load(data / "bfm" / "keypoints_sim.npy")
    np.testing.assert_array_equal(bfm.landmark_ids, keypoints[::3] // 3)
    u = np.load(data / "bfm" / "u_shp.npy") + np.load(data / "bfm" / "u_exp.npy")
    np.testing.assert_array_equal(bfm.mean.ravel(), u.ravel())
    assert "academic" in bfm.terms


def test_import_turns_triangles_counter_clockwise_and_back(bfm: MorphableModel, data: Path) -> None:
    from scipy.io import loadmat

    a, b, c = (bfm.mean[bfm.triangles[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    nose = np.argmax(bfm.mean[bfm.triangles[:, 0], 2])
    assert normals[nose, 2] > 0
    original = loadmat(data / "bfm" / "tri.mat")["tri"].T.astype(np.int64) - 1
    np.testing.assert_array_equal(bfm.source_triangles(), original)
    assert (bfm.triangles[:, 0] == original[:, 0]).all()


def test_import_reads_symmetry_and_segments(bfm: MorphableModel) -> None:
    assert bfm.symmetry is not None
    assert bfm.segments is not None
    mirrored = bfm.mean[bfm.symmetry] * [-1, 1, 1]
    assert np.abs(mirrored - bfm.mean).mean() < 500  # micrometres, of a face 200,000 across
    # 14 vertices of the source's own list are the mirror image of a neighbour's mirror image.
    assert (bfm.symmetry[bfm.symmetry] != np.arange(53215)).sum() == 14
    nose = bfm.mean[bfm.segments[:, bfm.segment_names.index("nose")]]
    assert nose[:, 2].mean() > bfm.mean[:, 2].mean() + 40_000
    mouth = bfm.mean[bfm.segments[:, bfm.segment_names.index("mouth")]]
    assert mouth[:, 1].mean() < nose[:, 1].mean()


def test_neckless_model_of_3ddfa_v2_has_the_same_basis_id(bfm: MorphableModel, data: Path) -> None:
    neckless = bfm.with_ids(np.load(data / "bfm" / "noneck_indices.npy"))
    assert len(neckless.mean) == 38365
    assert len(neckless.triangles) == 76073
    assert neckless.basis_id == bfm.basis_id


def write_arrays(folder: Path, model: MorphableModel) -> None:
    """The toy model as train.configs arrays."""
    n = len(model.mean)
    np.save(folder / "u_shp.npy", model.mean.reshape(-1, 1))
    np.save(folder / "u_exp.npy", np.zeros((3 * n, 1), np.float32))
    np.save(folder / "w_shp_sim.npy", model.identity_basis.reshape(3 * n, -1))
    np.save(folder / "w_exp_sim.npy", model.expression_basis.reshape(3 * n, -1))
    np.save(folder / "keypoints_sim.npy", (3 * model.landmark_ids[:, None] + np.arange(3)).ravel())


def test_import_without_triangles_and_extras(toy_model: MorphableModel, tmp_path: Path) -> None:
    write_arrays(tmp_path, toy_model)
    imported = import_model(tmp_path)
    assert imported.basis_id == toy_model.basis_id
    assert imported.triangles.shape == (0, 3)
    assert imported.uv is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("w_exp_sim.npy", None, "no w_exp_sim.npy"),
        ("w_shp_sim.npy", np.zeros((30, 40), np.float32), r"w_shp_sim.npy is \(30, 40\)"),
        ("keypoints_sim.npy", np.arange(204) + 1, "triples 3k, 3k"),
        ("keypoints_sim.npy", np.arange(60), "60 indices; 204"),
        ("u_shp.npy", np.full((3060, 1), np.nan, np.float32), "not finite"),
        ("u_exp.npy", b"", r"empty \(0 bytes\)"),
        ("u_exp.npy", b"\x93NUMPY garbage", "not a .npy array"),
    ],
)
def test_import_names_the_file_that_is_wrong(
    toy_model: MorphableModel, tmp_path: Path, file: str, content: np.ndarray | bytes | None, message: str
) -> None:
    write_arrays(tmp_path, toy_model)
    if content is None:
        (tmp_path / file).unlink()
    elif isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    else:
        np.save(tmp_path / file, content)
    with pytest.raises(FileError, match=message):
        import_model(tmp_path)


def test_import_of_another_folder_lists_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="holds no face model in a known format"):
        import_model(tmp_path)
