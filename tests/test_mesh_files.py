"""Meshes and point clouds of other programs: read as the file has them, or refused in one line."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twodasl.models.errors import FileError, NotFiniteError
from twodasl.models.mesh_files import MESH_SUFFIXES, Mesh, read_mesh

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
PLY_HEAD = "ply\nformat ascii 1.0\n{comments}element vertex 3\n" + "".join(f"property float {axis}\n" for axis in "xyz")
PLY_FACE = "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n1 1 0\n"


def mesh_of(folder: Path, name: str, content: str | bytes) -> Mesh:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_mesh(folder / name)


# --- OBJ ----------------------------------------------------------------------------------------


def test_obj_vertices_keep_their_order_whatever_the_faces_name(tmp_path: Path) -> None:
    """Unused ones too, and materials, groups and objects cut nothing apart."""
    mesh = mesh_of(
        tmp_path, "a.obj",
        "# note\nmtllib none.mtl\no one\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 5 5 5\nv 1 1 0\n"
        "usemtl b\ng left\ns 1\nf 2 5 3\nusemtl a\nf 1 2 3\nl 1 2\n",
    )  # fmt: skip
    np.testing.assert_array_equal(mesh.vertices, [(0, 0, 0), (1, 0, 0), (0, 1, 0), (5, 5, 5), (1, 1, 0)])
    np.testing.assert_array_equal(mesh.triangles, [(1, 4, 2), (0, 1, 2)])
    assert mesh.triangles.dtype == np.int32
    assert (mesh.colors, mesh.uv, mesh.terms) == (None, None, "")


@pytest.mark.parametrize(
    ("lines", "triangles"),
    [
        ("f 1 2 3 4\n", [(0, 1, 2), (0, 2, 3)]),  # a polygon becomes a fan
        ("f -4 -3 -2\n", [(0, 1, 2)]),  # from the end, as some writers count
        ("f 1// 2// 3//\nf 4//7 2//8 3//9\n", [(0, 1, 2), (3, 1, 2)]),
        ("f 1 1 2\nf 3 3 3\n", [(0, 0, 1), (2, 2, 2)]),  # without area: somebody's, kept
        ("f 1 2\nf 3\n", []),  # lines and points are no surface
        ("", []),
    ],
)
def test_obj_faces(lines: str, triangles: list[tuple[int, int, int]], tmp_path: Path) -> None:
    found = mesh_of(tmp_path, "a.obj", SQUARE + lines).triangles
    np.testing.assert_array_equal(found, np.array(triangles).reshape(-1, 3))


def test_obj_texture_coordinates_go_to_their_vertices(tmp_path: Path) -> None:
    """In the order of the vertices, not of the `vt` lines; a vertex on a seam has the first it is named with."""
    places = "vt 0 0\nvt 1 0\nvt 0.25 0.5\nvt 0 1\nvt 0.5 0.5 0\n"
    mesh = mesh_of(tmp_path, "a.obj", SQUARE + places + "vn 0 0 1\nf 4/1/1 3/2/1 2/3/1\nf 4/4 2/5 1/-2\n")
    assert mesh.uv is not None
    np.testing.assert_array_equal(mesh.uv, [(0, 1), (0.25, 0.5), (1, 0), (0, 0)])
    np.testing.assert_array_equal(mesh.triangles, [(3, 2, 1), (3, 1, 0)])


@pytest.mark.parametrize("scale", [1, 255])
def test_obj_colors(scale: float, tmp_path: Path) -> None:
    """Of 0..1, or of grey levels as some writers have them."""
    colors = np.array([(0, 0.2, 1), (0.4, 0.6, 0.8), (1, 0, 0)])
    lines = "".join(f"v {i} 0 {i * i} {' '.join(map(str, scale * color))}\n" for i, color in enumerate(colors))
    mesh = mesh_of(tmp_path, "a.obj", lines + "f 1 2 3\n")
    assert mesh.colors is not None
    np.testing.assert_allclose(mesh.colors, colors)
    np.testing.assert_array_equal(mesh.vertices, [(0, 0, 0), (1, 0, 1), (2, 0, 4)])


def test_obj_as_other_systems_write_it(tmp_path: Path) -> None:
    mesh = mesh_of(
        tmp_path, "A.OBJ", b"# caf\xe9\r\nv\t1e-3 -2.5E+2  3 1.0\r\n\r\nv 0 0 0 1.0\r\nv 1 1 1 1.0\r\nf 1 2 3\r\n"
    )
    np.testing.assert_array_equal(mesh.vertices, [(1e-3, -250, 3), (0, 0, 0), (1, 1, 1)])
    assert mesh.colors is None  # four numbers are x y z w


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello\n", "is no OBJ: it holds no vertices"),
        ("\x00\x01\x02" * 50, "is no OBJ"),
        (SQUARE + "f 1 2 9\n", "a face points at vertex 9; there are 4, from 1"),
        (SQUARE + "f 0 1 2\n", "a face points at"),
        (SQUARE + "f -9 1 2\n", "a face points at"),
        (SQUARE + "f 1 2 three\n", "line 5: 'f 1 2 three' is no face"),
        (SQUARE + "vt 0 0\nf 1/1 2/2 3/1\n", "texture coordinate that is not there; it has 1"),
        (SQUARE + "v 1 2\n", "vertices have 2 numbers; x y z is expected"),
        (SQUARE + "v 1 2 x\n", "a line 'v' does not hold numbers"),
    ],
)
def test_an_obj_that_is_none(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=message) as raised:
        mesh_of(tmp_path, "a.obj", content)
    assert "a.obj" in str(raised.value)
    assert "\n" not in str(raised.value)


# --- PLY and the others -------------------------------------------------------------------------


def test_ply_of_another_writer(tmp_path: Path) -> None:
    """ASCII, a polygon, more properties than are read."""
    head = (
        PLY_HEAD.format(comments="comment made by hand\n").replace("vertex 3", "vertex 4") + "property float quality\n"
    )
    mesh = mesh_of(
        tmp_path, "a.ply",
        head + "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        "0 0 0 9\n1 0 0 9\n1 1 0 9\n0 1 0 9\n4 0 1 2 3\n",
    )  # fmt: skip
    np.testing.assert_array_equal(mesh.vertices, [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)])
    assert mesh.triangles.shape == (2, 3)


def test_a_cloud_has_no_triangles(tmp_path: Path) -> None:
    colored = PLY_HEAD.format(comments="") + "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    mesh = mesh_of(tmp_path, "a.ply", colored + "end_header\n0 0 0 255 0 0\n1 0 0 0 51 0\n1 1 0 0 0 255\n")
    np.testing.assert_array_equal(mesh.vertices, [(0, 0, 0), (1, 0, 0), (1, 1, 0)])
    assert mesh.triangles.shape == (0, 3)
    assert mesh.colors is not None
    np.testing.assert_allclose(mesh.colors, np.array([(1, 0, 0), (0, 0.2, 0), (0, 0, 1)]))


def test_terms_are_read_where_they_are_stated(tmp_path: Path) -> None:
    comments = "comment by hand\ncomment terms: academic only\n"
    assert (
        mesh_of(tmp_path, "a.ply", PLY_HEAD.format(comments=comments) + PLY_FACE + "3 0 1 2\n").terms == "academic only"
    )
    assert mesh_of(tmp_path, "a.obj", f"# terms: © some one\n{SQUARE}f 1 2 3\n").terms == "© some one"
    assert mesh_of(tmp_path, "b.obj", f"{SQUARE}f 1 2 3\n").terms == ""


def test_off_and_stl(tmp_path: Path) -> None:
    off = mesh_of(tmp_path, "a.off", "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n")
    np.testing.assert_array_equal(off.triangles, [(0, 1, 2), (0, 2, 3)])
    corner = "vertex 0 0 0\nvertex 1 0 0\nvertex 1 1 0\n"
    stl = mesh_of(
        tmp_path, "a.stl", f"solid a\nfacet normal 0 0 1\nouter loop\n{corner}endloop\nendfacet\nendsolid a\n"
    )
    np.testing.assert_array_equal(stl.vertices, [(0, 0, 0), (1, 0, 0), (1, 1, 0)])


@pytest.mark.parametrize("suffix", sorted(MESH_SUFFIXES))
@pytest.mark.parametrize("content", [b"", b"a letter to a friend\n" * 3, bytes(range(256))])
def test_files_that_hold_something_else(suffix: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(FileError) as raised:
        mesh_of(tmp_path, f"a{suffix}", content)
    assert f"a{suffix}" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("row", ["3 0 1 3", "3 0 -1 2"])
def test_triangles_of_vertices_that_are_not_there(row: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a\.ply: a triangle points at a vertex that is not there; it has 3"):
        mesh_of(tmp_path, "a.ply", PLY_HEAD.format(comments="") + PLY_FACE + row + "\n")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_vertices_that_are_not_finite(value: str, tmp_path: Path) -> None:
    bad = PLY_FACE.replace("1 0 0", f"1 {value} 0")
    with pytest.raises(NotFiniteError, match=r"a\.ply: vertex 1 \(from 0\) is not finite"):
        mesh_of(tmp_path, "a.ply", PLY_HEAD.format(comments="") + bad + "3 0 1 2\n")
    with pytest.raises(NotFiniteError, match=r"a\.obj: vertex 3 \(from 0\) is not finite"):
        mesh_of(tmp_path, "a.obj", SQUARE.replace("v 0 1 0", f"v 0 {value} 0") + "f 1 2 3\n")
    with pytest.raises(NotFiniteError, match=r"a\.txt: vertex 1 "):
        mesh_of(tmp_path, "a.txt", f"0 0 0\n{value} 1 2\n")


# --- points -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.xyz", "a.asc", "a.csv"])
@pytest.mark.parametrize("separator", [" ", ", ", ";", "\t"])
def test_points_as_text(name: str, separator: str, tmp_path: Path) -> None:
    lines = ["# x y z", "// of a scanner", *(separator.join(row) for row in ("012", "345")), "", separator.join("678")]
    mesh = mesh_of(tmp_path, name, "\n".join(lines))
    np.testing.assert_array_equal(mesh.vertices, np.arange(9).reshape(3, 3))
    assert mesh.triangles.shape == (0, 3)


def test_points_as_arrays(tmp_path: Path) -> None:
    points = np.arange(30, dtype=np.float32).reshape(10, 3)
    for array in (points, points.T, np.column_stack([points, points]), points.astype(np.int16)):
        np.save(tmp_path / "a.npy", array)
        found = read_mesh(tmp_path / "a.npy").vertices
        np.testing.assert_array_equal(found, points)
        assert found.dtype == np.float64
    for wrong in (points[:, :2], points.ravel(), points[:0], points.astype(complex), points.astype(str)):
        np.save(tmp_path / "a.npy", wrong)
        with pytest.raises(FileError, match=r"a\.npy is .*; \(N, 3\) numbers are expected"):
            read_mesh(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(FileError, match=r"a\.npy"):
        read_mesh(tmp_path / "a.npy")


@pytest.mark.parametrize("content", ["x y z\n1 2 3\n", "1 2 3\n4 5\n", "1 2\n3 4\n", "# nothing\n"])
def test_text_that_holds_no_points(content: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a\.txt"):
        mesh_of(tmp_path, "a.txt", content)


def test_other_files_are_no_meshes(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a\.fbx is no mesh or point cloud in a known format \(\.asc, .*\.xyz\)"):
        mesh_of(tmp_path, "a.fbx", "x")
    with pytest.raises(FileError, match=r"cannot read .*gone\.ply: No such file"):
        read_mesh(tmp_path / "gone.ply")


def test_a_mesh_opens_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an OBJ names as its material may be anything on the reader's disk."""
    opened: list[str] = []
    real = io.open

    def recorded(file: Any, *arguments: Any, **more: Any) -> Any:
        opened.append(str(file))
        return real(file, *arguments, **more)

    (tmp_path / "a.mtl").write_text("newmtl x\nmap_Kd a.png\n")
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{SQUARE}usemtl x\nf 1 2 3\n")
    with monkeypatch.context() as patched:
        patched.setattr("io.open", recorded)
        patched.setattr("builtins.open", recorded)
        read_mesh(tmp_path / "a.obj")
    assert set(opened) == {str(tmp_path / "a.obj")}
