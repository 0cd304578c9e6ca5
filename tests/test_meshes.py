"""OBJ and vertex files: the original's bytes, and reading back what was written."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twodasl.models.errors import DegenerateFaceError, FileError, ShapeError, TwodaslError
from twodasl.models.files import read_mat
from twodasl.models.morphable import MorphableModel
from twodasl.rendering.meshes import write_obj, write_obj_matlab, write_vertex_mat


@pytest.fixture(scope="module")
def photo_vertices(data: Path) -> np.ndarray:
    """The published dense face of image00074: (53215, 3) float32, photo frame, counted from 1."""
    return read_mat(data / "aflw2000" / "evaluation" / "3D_results_plot" / "image00074.mat", "vertex")["vertex"].T


def test_obj_of_the_original_byte_for_byte(
    photo_vertices: np.ndarray, bfm: MorphableModel, parity: dict[str, Any], tmp_path: Path
) -> None:
    """Hashes of the original MATLAB writer's file, made under Octave; line 1 depends on the machine there."""
    path = tmp_path / "face.obj"
    write_obj_matlab(path, photo_vertices, bfm.source_triangles())
    facts = parity["obj"]["image00074"]
    first, rest = path.read_bytes().split(b"\n", 1)
    assert first.startswith(b"#")
    assert hashlib.sha256(rest).hexdigest() == facts["sha256_of_all_lines_after_the_first"]
    assert rest.count(b"\n") + 1 == facts["lines_total"]


def test_obj_of_the_original_in_small(tmp_path: Path) -> None:
    path = tmp_path / "face.obj"
    write_obj_matlab(path, np.array([(0, 0.1, -2), (1, 0, 0), (0, 1, 0)], np.float32), np.array([(0, 2, 1)]))
    assert path.read_text().split("\n")[1:] == [
        "g",
        "# object curobj to come",
        "# 3 vertex",
        "v 0.000000 0.100000 -2.000000",
        "v 1.000000 0.000000 0.000000",
        "v 0.000000 1.000000 0.000000",
        "# 3 vertex texture",
        *["vt -1.000000 -1.000000"] * 3,
        "g curobj_export",
        "usemtl bump_map",
        "# 1 faces",
        "f 1/1 3/3 2/2",
        "",
    ]


def test_trimesh_reads_every_vertex_back_in_order(
    photo_vertices: np.ndarray, bfm: MorphableModel, tmp_path: Path
) -> None:
    """Nine digits give float32 back exactly; colours keep four decimals, of which trimesh makes eight bits."""
    import trimesh

    path, colors = tmp_path / "face.obj", np.random.default_rng(0).uniform(size=photo_vertices.shape)
    write_obj(path, photo_vertices, bfm.triangles, colors)
    mesh: Any = trimesh.load(path, process=False)
    np.testing.assert_array_equal(mesh.vertices.astype(np.float32), photo_vertices)
    np.testing.assert_array_equal(mesh.faces, bfm.triangles)
    np.testing.assert_allclose(mesh.visual.vertex_colors[:, :3], 255 * colors, atol=1.02)


def test_obj_lines_in_small(tmp_path: Path) -> None:
    path = tmp_path / "new" / "face.obj"
    vertices = np.array([(0, 0.1, -2), (123456.79, 0, 0), (0, 1, 0)], np.float32)
    write_obj(path, vertices, np.array([(0, 1, 2)], np.uint32), np.eye(3), ["face\nof 3", "y up, µm"])
    assert path.read_text(encoding="utf-8") == (
        "# face\n# of 3\n# y up, µm\n"
        "v 0 0.100000001 -2 1.0000 0.0000 0.0000\nv 123456.789 0 0 0.0000 1.0000 0.0000\nv 0 1 0 0.0000 0.0000 1.0000\n"
        "f 1 2 3\n"
    )
    write_obj(path, vertices, np.array([(0, 1, 2)]))
    assert path.read_text().splitlines() == ["v 0 0.100000001 -2", "v 123456.789 0 0", "v 0 1 0", "f 1 2 3"]


def test_float32_vertices_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "face.obj"
    rng = np.random.default_rng(0)
    vertices = (rng.normal(size=(2000, 3)) * 10.0 ** rng.integers(-6, 7, (2000, 3))).astype(np.float32)
    write_obj(path, vertices, np.array([(0, 1, 2)]))
    lines = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith("v ")]
    np.testing.assert_array_equal(np.array(lines, np.float64).astype(np.float32), vertices)


@pytest.mark.parametrize("name", ["face.mat", "face"])
def test_vertex_mat_is_the_originals(name: str, tmp_path: Path) -> None:
    path, vertices = tmp_path / name, np.random.default_rng(0).normal(size=(7, 3))
    write_vertex_mat(path, vertices)
    stored = read_mat(path)
    assert list(stored) == ["vertex"]
    assert stored["vertex"].dtype == np.float32
    np.testing.assert_array_equal(stored["vertex"], vertices.T.astype(np.float32))
    data = path.read_bytes()
    assert data.startswith(b"MATLAB 5.0")
    assert vertices.astype("<f4").tobytes() in data  # uncompressed, columns one after another


def test_a_real_vertex_mat_has_the_size_of_the_originals(
    data: Path, photo_vertices: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "face.mat"
    write_vertex_mat(path, photo_vertices)
    np.testing.assert_array_equal(read_mat(path, "vertex")["vertex"].T, photo_vertices)


V, T = np.random.default_rng(0).normal(size=(4, 3)), np.array([(0, 1, 2), (0, 2, 3)])
WITH_NAN = np.where(np.arange(12).reshape(4, 3) == 5, np.nan, V)
Writer = Callable[[Path, np.ndarray, np.ndarray], None]


@pytest.mark.parametrize("writer", [write_obj, write_obj_matlab])
@pytest.mark.parametrize(
    ("vertices", "triangles", "error", "message"),
    [
        (WITH_NAN, T, DegenerateFaceError, "1 of 4 vertices are NaN or infinite, the first is number 1"),
        (np.full((4, 3), np.inf), T, DegenerateFaceError, "4 of 4"),
        (V, T + 1, ShapeError, "vertex 4; there are 4"),
        (V, T - 1, ShapeError, "vertex -1"),
        (V, T[:0], DegenerateFaceError, "no triangles"),
        (V[:0], T[:0], DegenerateFaceError, "no vertices"),
        (V.T, T, ShapeError, r"vertices is \(3, 4\)"),
        (V, T.ravel(), ShapeError, r"\(T, 3\)"),
        (V, T.astype(float), ShapeError, "integers"),
    ],
)
def test_a_mesh_that_cannot_be_drawn_is_not_written(
    writer: Writer,
    vertices: np.ndarray,
    triangles: np.ndarray,
    error: type[TwodaslError],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        writer(tmp_path / "face.obj", vertices, triangles)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("colors", "message"),
    [(np.zeros((3, 3)), r"\(4, 3\)"), (np.full((4, 3), 128.0), "128"), (np.full((4, 3), np.nan), "nan")],
)
def test_colors_that_are_none_are_not_written(colors: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(TwodaslError, match=message):
        write_obj(tmp_path / "face.obj", V, T, colors)
    assert list(tmp_path.iterdir()) == []


def test_a_vertex_mat_of_bad_vertices_is_not_written(tmp_path: Path) -> None:
    for vertices, error in ((WITH_NAN, DegenerateFaceError), (V[:0], DegenerateFaceError), (V.T, ShapeError)):
        with pytest.raises(error):
            write_vertex_mat(tmp_path / "face.mat", vertices)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_file_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot create the folder"):
        write_obj(tmp_path / "file" / "face.obj", V, T)
