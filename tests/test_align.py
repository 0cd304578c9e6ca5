"""`twodasl align`, and the original's iteration step by step against the numbers of the original code."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.command import run_command
from twodasl.evaluation.clouds import read_cloud
from twodasl.evaluation.original_icp import _nearest_first, align_as_original
from twodasl.models.errors import DegenerateFaceError
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import rotation_from_angles
from twodasl.rendering.meshes import write_obj, write_ply

TURN = rotation_from_angles(np.array([12.0, -8, 5]))


def face(toy_model: MorphableModel) -> np.ndarray:
    """Lopsided, millimetres."""
    points = toy_model.mean.astype(np.float64) / 1000
    return points + 8 * np.sin(points[:, [1, 2, 0]] / 20)


# --- the original's iteration ---------------------------------------------------------------------


def plain_original(target: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """The iteration written once more: all distances, Horn's quaternion as a power iteration's fixed point."""
    g, q, errors, last = target - target.mean(0), source - source.mean(0), [], 0.0
    while True:
        squared = ((g[:, None] - q[None]) ** 2).sum(axis=2)
        errors.append(float(squared.min(axis=1).mean()))
        v = g.T @ q[squared.argmin(axis=1)] / len(g)
        a = v - v.T
        m = np.zeros((4, 4))
        m[0, 0], m[0, 1:], m[1:, 0] = np.trace(v), (a[1, 2], a[2, 0], a[0, 1]), (a[1, 2], a[2, 0], a[0, 1])
        m[1:, 1:] = v + v.T - np.trace(v) * np.eye(3)
        shifted, w = m + 10 * np.abs(m).sum() * np.eye(4), np.ones(4)
        for _ in range(20_000):
            w = shifted @ w
            w /= np.linalg.norm(w)
        cross = np.array([[0, -w[3], w[2]], [w[3], 0, -w[1]], [-w[2], w[1], 0]])
        r = (w[0] ** 2 - w[1:] @ w[1:]) * np.eye(3) + 2 * np.outer(w[1:], w[1:]) + 2 * w[0] * cross
        r[2, 2] -= 2 * w[3] ** 2
        q = q @ r
        q = q - q.mean(0)
        if abs(errors[-1] - last) <= 0.01:
            return q, errors
        last = errors[-1]


def test_the_originals_iteration_on_a_small_cloud(toy_model: MorphableModel) -> None:
    target = face(toy_model)[::9]
    source = (target + np.random.default_rng(0).normal(0, 1, target.shape)) @ TURN.T + 30
    found = align_as_original(target, source)
    moved, errors = plain_original(target, source)
    assert found.steps == len(errors) > 2
    np.testing.assert_allclose(found.trace, errors, rtol=1e-6)
    np.testing.assert_allclose(found.moved, moved, atol=1e-4)
    assert np.linalg.det(found.rotation) < 1 - 1e-6  # its wrong sign takes depth away (Q14)


def test_of_equally_near_points_the_first_is_the_partner() -> None:
    """All corners of a cube are as near to its centre, whatever their order."""
    corners = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    for seed in range(5):
        nearest, error = _nearest_first(np.zeros((1, 3)), np.random.default_rng(seed).permutation(corners))
        assert nearest.tolist() == [0]
        assert error == pytest.approx(3)


def test_an_exact_copy_stops_at_once() -> None:
    """Below 0.01 the first step is the last (Q15)."""
    cloud = np.array([[0.0, 0, 0], [4, 0, 0], [0, 3, 0], [0, 0, 2], [4, 0, 0]])
    found = align_as_original(cloud, cloud)
    assert found.trace == (0.0,)
    np.testing.assert_allclose(found.rotation, np.eye(3), atol=1e-12)
    with pytest.raises(DegenerateFaceError, match="on a line"):
        align_as_original(np.outer(np.arange(5.0), [1, 1, 1]), cloud)


def check_trace(document: dict, reference: dict) -> None:
    assert document["iterations"] == reference["iterations"]
    np.testing.assert_allclose(document["trace"], reference["mean_sq_nn_distance_per_iteration"], atol=1e-8)
    np.testing.assert_allclose(document["rotation"], reference["accumulated_R"], atol=1e-8)
    for key in ("mean", "max"):
        assert document[f"{key}_indexwise_distance"] == pytest.approx(
            reference[f"{key}_indexwise_distance_after"], abs=1e-8
        )


def test_sample_clouds_step_by_step(data: Path, parity: dict) -> None:
    """face1 against face2: 8 steps."""
    code, out, err = run_command(
        "align", data / "icp" / "face1.asc", data / "icp" / "face2.txt", "--method", "2dasl", "--json"
    )
    assert code == 0, err
    check_trace(json.loads(out), parity["icp_sample_clouds"]["face1_vs_face2"])


def test_the_authors_own_run(data: Path, parity: dict, tmp_path: Path) -> None:
    """53,215 points, 14 steps: what MATLAB wrote, to 1e-9 (their output is centred)."""
    folder = data / "icp"
    code, out, err = run_command(
        "align", folder / "ori_vertexes.mat:data_g", folder / "ori_vertexes.mat:data_p", "--method", "2dasl",
        "-o", tmp_path / "moved.ply", "--json",
    )  # fmt: skip
    assert code == 0, err
    document = json.loads(out)
    assert document["iterations"] == 14
    check_trace(document, parity["icp_sample_clouds"]["ori_full"])
    moved = read_cloud(tmp_path / "moved.ply").vertices - document["place"]
    np.testing.assert_allclose(moved, read_cloud(folder / "icp_vertexes.mat:data_p").vertices, atol=1e-9)


# --- the command ----------------------------------------------------------------------------------


def write_text(path: Path, points: np.ndarray, _triangles: np.ndarray) -> None:
    np.savetxt(path, points, fmt="%.17g")


def write_npy(path: Path, points: np.ndarray, _triangles: np.ndarray) -> None:
    np.save(path, points)


def write_mat(path: Path, points: np.ndarray, _triangles: np.ndarray) -> None:
    savemat(path, {"vertex": points.T, "other": points})


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.ply", write_ply),
        ("a.obj", write_obj),
        ("a.asc", write_text),
        ("a.txt", write_text),
        ("a.npy", write_npy),
        ("a.mat", write_mat),
    ],
)
@pytest.mark.parametrize("method", ["icp", "plane"])
def test_any_two_clouds(tmp_path: Path, toy_model: MorphableModel, name: str, write: Callable, method: str) -> None:
    points = face(toy_model)
    write(tmp_path / name, points, toy_model.triangles)
    np.savetxt(tmp_path / "b.txt", points @ TURN.T + [3, 4, 5], fmt="%.17g")
    code, out, err = run_command(
        "align", tmp_path / name, tmp_path / "b.txt", "--method", method, "-o", tmp_path / "moved.npy", "--json"
    )
    assert code == 0, err
    document = json.loads(out)
    moved = np.load(tmp_path / "moved.npy")
    np.testing.assert_allclose(moved, points, atol=0.05)
    np.testing.assert_allclose(document["rotation"], TURN, atol=2e-3)
    again = (np.loadtxt(tmp_path / "b.txt") - document["source_centre"]) @ document["rotation"] + document["place"]
    np.testing.assert_allclose(again, moved, atol=1e-9)
    assert document["determinant"] == pytest.approx(1)
    assert len(document["trace"]) == len(document["trace_points"])


def test_moved_meshes_keep_their_triangles(tmp_path: Path, toy_model: MorphableModel) -> None:
    write_ply(tmp_path / "a.ply", face(toy_model) + 9, toy_model.triangles)
    np.savetxt(tmp_path / "b.txt", face(toy_model), fmt="%.17g")
    arguments = ["align", tmp_path / "b.txt", tmp_path / "a.ply", "-o", tmp_path / "moved.ply"]
    code, out, err = run_command(*arguments)
    assert code == 0, err
    assert "converged after" in out
    moved = read_cloud(tmp_path / "moved.ply")
    np.testing.assert_array_equal(moved.triangles, toy_model.triangles)
    np.testing.assert_allclose(moved.vertices, face(toy_model), atol=1e-2)
    code, _, err = run_command(*arguments)
    assert code == 1
    assert "--overwrite" in err
    assert run_command(*arguments, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("target", "source", "extra", "message"),
    [
        ("missing.ply", "cloud.txt", [], "No such file"),
        ("cloud.txt", "two.txt", [], "the source needs three or more points"),
        ("line.txt", "cloud.txt", [], "the target lies on a line"),
        ("line.txt", "cloud.txt", ["--method", "2dasl"], "the target lies on a line"),
        ("cloud.txt", "nan.npy", [], "not finite"),
        ("cloud.txt", "words.txt", [], "no point cloud"),
        ("several.mat", "cloud.txt", [], "name one as several.mat:NAME"),
        ("several.mat:c", "cloud.txt", [], "(a, b)"),
        ("cloud.txt", "cloud.txt", ["-o", "moved.stl"], ".npy, .ply"),
    ],
)
def test_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, source: str, extra: list[str], message: str
) -> None:
    cloud = np.random.default_rng(0).normal(size=(30, 3))
    np.savetxt(tmp_path / "cloud.txt", cloud)
    np.savetxt(tmp_path / "two.txt", cloud[:2])
    np.savetxt(tmp_path / "line.txt", np.outer(np.arange(9.0), [1, 2, 3]))
    np.save(tmp_path / "nan.npy", np.where(cloud > 2, np.nan, cloud) * [np.nan, 1, 1])
    (tmp_path / "words.txt").write_text("no numbers here\n")
    savemat(tmp_path / "several.mat", {"a": cloud, "b": cloud})
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command("align", target, source, *extra)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "moved.stl").exists()
