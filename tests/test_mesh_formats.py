"""Meshes written here and read again: by us, by other readers, and by a parser of the glTF specification of our own."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import map_coordinates

from tests.toy import toy_face_model
from twodasl.models.errors import DegenerateFaceError, FileError, ShapeError, TwodaslError
from twodasl.models.mesh_files import read_mesh
from twodasl.rendering.faces import MeshFaces, Photos
from twodasl.rendering.gltf import write_glb
from twodasl.rendering.mesh_export import MeshOptions, place
from twodasl.rendering.meshes import Skin, write_obj, write_ply

# A grid, a triangle without area, one that names a vertex twice, and a last vertex that none names.
GRID = toy_face_model(8, 9)
TRIANGLES = np.concatenate([GRID.triangles, [(0, 1, 1), (7, 7, 7)]]).astype(np.int32)
TEXTURE = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
TERMS = "academic only"
SUFFIXES = ("obj", "ply", "glb")
LOOKS = ("plain", "colors", "skin")
SAME_FACES = settings(max_examples=12, deadline=None)


def some_vertices(seed: int, scale: float) -> np.ndarray:
    """(73, 3) float32."""
    vertices = np.concatenate([GRID.mean, [(1.5e5, 2e5, -3e5)]]) * (scale / 1e5)
    vertices[7] = vertices[8]  # two vertices in one place stay two
    return (vertices + np.random.default_rng(seed).normal(0, 0.01 * scale, (73, 1))).astype(np.float32)


def write(path: Path, vertices: np.ndarray, look: str, seed: int = 0) -> dict[str, np.ndarray]:
    """The mesh in the format of the suffix; what stands in it beside the vertices."""
    rng = np.random.default_rng(seed)
    colors, uv = rng.uniform(size=(len(vertices), 3)), rng.uniform(size=(len(vertices), 2))
    shown = colors if look == "colors" else None
    skin = Skin(uv, TEXTURE) if look == "skin" else None
    if path.suffix == ".obj":
        write_obj(path, vertices, TRIANGLES, shown, ["a face", f"terms: {TERMS}"], skin)
    elif path.suffix == ".ply":
        write_ply(path, vertices, TRIANGLES, shown, ["a face", f"terms: {TERMS}"])
    else:
        write_glb(path, vertices, TRIANGLES, shown, TERMS, skin, {"unit": "metre"})
    return {"colors": colors, "uv": uv}


def linear(colors: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, written out once more."""
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


# --- read by us ---------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("suffix", SUFFIXES)
@SAME_FACES
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_a_mesh_comes_back(suffix: str, look: str, seed: int, scale: float, tmp_path_factory: Any) -> None:
    """Vertices to the last bit of float32, their order and triangles; colours to their format's step."""
    path = tmp_path_factory.mktemp("meshes") / f"face.{suffix}"
    vertices = some_vertices(seed, scale)
    given_looks = write(path, vertices, look, seed)
    mesh = read_mesh(path)
    np.testing.assert_array_equal(mesh.vertices.astype(np.float32), vertices)
    np.testing.assert_array_equal(mesh.triangles, TRIANGLES)
    assert mesh.terms == TERMS
    assert (mesh.colors is not None) == (look == "colors")
    if mesh.colors is not None:
        colors = linear(given_looks["colors"]) if suffix == "glb" else given_looks["colors"]
        step = {"obj": 1e-4, "ply": 1 / 255, "glb": 1e-6}[suffix]
        np.testing.assert_allclose(mesh.colors, colors, atol=0.501 * step)
    if look == "skin" and suffix != "ply":
        assert mesh.uv is not None
        named = np.unique(TRIANGLES)  # an OBJ says of the others which they are nowhere
        np.testing.assert_allclose(mesh.uv[named], given_looks["uv"][named], atol=6e-7)


# --- glTF, from its specification ---------------------------------------------------------------


def glb_parts(path: Path) -> tuple[dict[str, Any], bytes]:
    """The tree and the binary part of a .glb: a header of 12 bytes, then two chunks."""
    data = path.read_bytes()
    assert data[:4] == b"glTF"
    version, total, length = (int.from_bytes(data[i : i + 4], "little") for i in (4, 8, 12))
    assert (version, total, data[16:20]) == (2, len(data), b"JSON")
    rest = data[20 + length :]
    assert (int.from_bytes(rest[:4], "little"), rest[4:8]) == (len(rest) - 8, b"BIN\0")
    assert length % 4 == 0
    assert len(rest) % 4 == 0
    return json.loads(data[20 : 20 + length]), rest[8:]


def part(tree: dict[str, Any], binary: bytes, number: int) -> bytes:
    view = tree["bufferViews"][number]
    assert view["buffer"] == 0
    assert view["byteOffset"] + view["byteLength"] <= tree["buffers"][0]["byteLength"] <= len(binary)
    return binary[view["byteOffset"] :][: view["byteLength"]]


def values(tree: dict[str, Any], binary: bytes, number: int) -> np.ndarray:
    """An accessor's numbers, (count, width)."""
    accessor = tree["accessors"][number]
    kind = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]
    assert tree["bufferViews"][accessor["bufferView"]]["byteOffset"] % 4 == 0
    array = np.frombuffer(part(tree, binary, accessor["bufferView"]), kind).reshape(-1, width)
    assert len(array) == accessor["count"]
    if "min" in accessor:
        np.testing.assert_array_equal(np.array(accessor["min"], np.float32), array.min(axis=0))
        np.testing.assert_array_equal(np.array(accessor["max"], np.float32), array.max(axis=0))
    return array


@pytest.mark.parametrize("look", LOOKS)
def test_a_glb_holds_what_the_specification_asks_for(look: str, tmp_path: Path) -> None:
    """Read without any library. The normals have length 1 also where no triangle has an area."""
    path, vertices = tmp_path / "face.glb", some_vertices(1, 0.1)
    looks = write(path, vertices, look)
    tree, binary = glb_parts(path)
    assert tree["asset"] == {
        "version": "2.0", "generator": "twodasl", "copyright": TERMS, "extras": {"unit": "metre"},
    }  # fmt: skip
    ((primitive,),) = [mesh["primitives"] for mesh in tree["meshes"]]
    assert tree["nodes"] == [{"mesh": 0}]  # no turn, no scale
    assert tree["scenes"][tree["scene"]] == {"nodes": [0]}
    attributes = {name: values(tree, binary, number) for name, number in primitive["attributes"].items()}
    assert set(attributes) == {"POSITION", "NORMAL"} | {"colors": {"COLOR_0"}, "skin": {"TEXCOORD_0"}}.get(look, set())
    np.testing.assert_array_equal(attributes["POSITION"], vertices)
    assert "min" in tree["accessors"][primitive["attributes"]["POSITION"]]  # which the specification asks for
    indices = values(tree, binary, primitive["indices"])
    np.testing.assert_array_equal(indices.reshape(-1, 3), TRIANGLES)
    assert primitive.get("mode", 4) == 4
    np.testing.assert_allclose(np.linalg.norm(attributes["NORMAL"], axis=1), 1, atol=1e-6)
    assert attributes["NORMAL"][:72, 2].mean() > 0.5  # outwards: the face looks along z
    targets = [view.get("target") for view in tree["bufferViews"]]
    assert targets[: len(attributes) + 1] == [34962] * len(attributes) + [34963]
    surface = tree["materials"][primitive["material"]]["pbrMetallicRoughness"]
    assert surface["metallicFactor"] == 0  # which is 1 where it is not said
    if look == "colors":
        np.testing.assert_allclose(attributes["COLOR_0"], linear(looks["colors"]), atol=1e-6)
    if look == "skin":
        np.testing.assert_allclose(attributes["TEXCOORD_0"], looks["uv"] * [1, -1] + [0, 1], atol=1e-6)
        image = tree["images"][tree["textures"][surface["baseColorTexture"]["index"]]["source"]]
        assert image["mimeType"] == "image/png"
        with Image.open(io.BytesIO(part(tree, binary, image["bufferView"]))) as picture:
            np.testing.assert_array_equal(np.asarray(picture), TEXTURE)


def test_parts_of_a_glb_are_filled_up_to_four_bytes(tmp_path: Path) -> None:
    """Whatever the lengths of its texts and of its picture."""
    for size in range(4, 12):
        skin = Skin(np.zeros((73, 2)), np.random.default_rng(size).integers(0, 256, (size, 6, 3), dtype=np.uint8))
        write_glb(tmp_path / "a.glb", some_vertices(0, 1), TRIANGLES, terms="x" * size, skin=skin)
        tree, _ = glb_parts(tmp_path / "a.glb")
        assert tree["asset"]["copyright"] == "x" * size


def test_terms_in_any_script(tmp_path: Path) -> None:
    write_glb(tmp_path / "a.glb", some_vertices(0, 1), TRIANGLES, terms="© Übung, 学術のみ")
    assert glb_parts(tmp_path / "a.glb")[0]["asset"]["copyright"] == "© Übung, 学術のみ"
    assert read_mesh(tmp_path / "a.glb").terms == "© Übung, 学術のみ"
    write_glb(tmp_path / "a.glb", some_vertices(0, 1), TRIANGLES)
    assert glb_parts(tmp_path / "a.glb")[0]["asset"] == {"version": "2.0", "generator": "twodasl"}


def test_the_same_mesh_is_the_same_bytes(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        for name in ("a", "b"):
            write(tmp_path / name / f"face.{suffix}", some_vertices(0, 1), "colors")
        first, second = ((tmp_path / name / f"face.{suffix}").read_bytes() for name in ("a", "b"))
        assert first == second


@pytest.mark.parametrize("cut", [0.05, 0.3, 0.99])
@pytest.mark.parametrize("look", LOOKS)
def test_a_truncated_glb(cut: float, look: str, tmp_path: Path) -> None:
    write(tmp_path / "a.glb", some_vertices(0, 1), look)
    data = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "a.glb").write_bytes(data[: int(cut * len(data))])
    with pytest.raises(FileError, match=r"a\.glb cannot be read as GLB: .") as raised:
        read_mesh(tmp_path / "a.glb")
    assert len(str(raised.value).splitlines()) == 1


# --- other readers ------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_open3d_reads_them(suffix: str, look: str, tmp_path: Path) -> None:
    """Counts and box only: it reorders and merges vertices as it likes."""
    import open3d

    path, vertices = tmp_path / f"face.{suffix}", some_vertices(2, 1)[:72]  # every vertex of some triangle
    write(path, vertices, look)
    mesh = open3d.io.read_triangle_mesh(path)
    found = np.asarray(mesh.vertices)
    assert len(mesh.triangles) == len(TRIANGLES)
    np.testing.assert_allclose(found.min(axis=0), vertices.min(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.max(axis=0), vertices.max(axis=0), rtol=1e-6)
    if suffix != "obj":
        assert len(found) == len(vertices)
        assert mesh.has_vertex_colors() == (look == "colors")
    if suffix == "obj" and look == "skin":
        assert mesh.has_triangle_uvs()
        (picture,) = (texture for texture in mesh.textures if not texture.is_empty())
        np.testing.assert_array_equal(np.asarray(picture)[::-1], TEXTURE)  # its first row is at v = 0


@pytest.mark.parametrize("look", LOOKS)
def test_trimesh_reads_them_in_order(look: str, tmp_path: Path) -> None:
    """An OBJ with its material and picture, found through the file names that stand in it."""
    import trimesh

    vertices = some_vertices(3, 1)[:72]
    for suffix in SUFFIXES:
        path = tmp_path / f"face.{suffix}"
        looks = write(path, vertices, look)
        mesh: Any = trimesh.load(path, process=False, force="mesh", maintain_order=True)
        np.testing.assert_array_equal(np.asarray(mesh.vertices, np.float32), vertices)
        np.testing.assert_array_equal(mesh.faces, TRIANGLES)
        if look == "skin" and suffix != "ply":
            np.testing.assert_allclose(mesh.visual.uv, looks["uv"], atol=6e-7)
            material = mesh.visual.material
            picture = material.image if suffix == "obj" else material.baseColorTexture
            np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), TEXTURE)
        if look == "colors" and suffix == "ply":
            np.testing.assert_allclose(mesh.visual.vertex_colors[:, :3], 255 * looks["colors"], atol=0.51)


def test_a_textured_obj_line_by_line(tmp_path: Path) -> None:
    """Read by its words: each corner has its vertex and the texture coordinate of the same number."""
    path, vertices = tmp_path / "my face.v2.obj", some_vertices(4, 1)
    looks = write(path, vertices, "skin")
    assert sorted(found.name for found in tmp_path.iterdir()) == [
        "my face.v2.mtl", "my face.v2.obj", "my face.v2.png",
    ]  # fmt: skip
    rows: dict[str, list[list[str]]] = {}
    for line in path.read_text().splitlines():
        kind, *words = line.split(" ")
        rows.setdefault(kind, []).append(words)
    assert rows["mtllib"] == [["my", "face.v2.mtl"]]
    assert len(rows["v"]) == len(rows["vt"]) == 73
    np.testing.assert_allclose(np.array(rows["vt"], float), looks["uv"], atol=6e-7)
    np.testing.assert_array_equal(np.array(rows["v"], np.float32), vertices)
    corners = [[word.split("/") for word in words] for words in rows["f"]]
    assert all(vertex == place for row in corners for vertex, place in row)
    np.testing.assert_array_equal(np.array([[int(a) - 1 for a, _ in row] for row in corners]), TRIANGLES)
    material = path.with_suffix(".mtl").read_text()
    assert f"newmtl {rows['usemtl'][0][0]}\n" in material
    assert "map_Kd my face.v2.png\n" in material
    assert f"terms: {TERMS}" in material
    with Image.open(path.with_suffix(".png")) as picture:
        np.testing.assert_array_equal(np.asarray(picture), TEXTURE)


# --- what is not written ------------------------------------------------------------------------

V = some_vertices(0, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("vertices", "triangles", "error", "message"),
    [
        (np.where(np.arange(219).reshape(73, 3) == 9, np.nan, V), TRIANGLES, DegenerateFaceError, "number 3"),
        (V, TRIANGLES + 2, ShapeError, "vertex 73; there are 73"),
        (V, TRIANGLES - 1, ShapeError, "vertex -1"),
        (V, TRIANGLES[:0], DegenerateFaceError, "no triangles"),
        (V[:0], TRIANGLES[:0], DegenerateFaceError, "no vertices"),
    ],
)
def test_bad_meshes_are_not_written(
    vertices: np.ndarray, triangles: np.ndarray, error: type[TwodaslError], message: str, suffix: str, tmp_path: Path
) -> None:
    writer: Any = {"obj": write_obj, "ply": write_ply, "glb": write_glb}[suffix]
    with pytest.raises(error, match=message):
        writer(tmp_path / f"a.{suffix}", vertices, triangles)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["obj", "glb"])
def test_bad_skins_are_not_written(suffix: str, tmp_path: Path) -> None:
    writer: Any = {"obj": write_obj, "glb": write_glb}[suffix]
    uv = np.zeros((73, 2))
    for skin, message in ((Skin(uv[:-1], TEXTURE), r"uv is \(72, 2\)"), (Skin(uv, TEXTURE / 255), "uint8 is expected")):
        with pytest.raises(ShapeError, match=message):
            writer(tmp_path / f"a.{suffix}", V, TRIANGLES, skin=skin)
    for colors in (np.full((73, 3), 1.5), np.full((73, 3), np.nan)):
        with pytest.raises(TwodaslError, match="0 to 1 is expected"):
            writer(tmp_path / f"a.{suffix}", V, TRIANGLES, colors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("full", [".png", ".mtl", ".obj"])
def test_a_textured_obj_appears_whole_or_not_at_all(full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at its first, second or third file; what was there before stays."""
    write(tmp_path / "a.obj", V, "skin")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real = Path.write_bytes

    def limited(path: Path, data: Any) -> int:
        if path.suffix == full:
            real(path, data[:40])
            raise OSError(28, "No space left on device")
        return real(path, data)

    def no_picture(image: Image.Image, path: Path, *_: Any, **_named: Any) -> None:
        real(path, b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", limited)
    if full == ".png":
        monkeypatch.setattr(Image.Image, "save", no_picture)
    with pytest.raises(FileError, match="cannot write .*No space left"):
        write(tmp_path / "a.obj", V * 2, "skin", seed=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# --- from file to file --------------------------------------------------------------------------


def convert(source: Path, target: Path) -> None:
    """As `render obj|ply|glb` does with a mesh file."""
    mesh = place(MeshFaces(source, None), 0, Photos(), MeshOptions())
    if target.suffix == ".glb":
        write_glb(target, mesh.metres, mesh.triangles, mesh.colors, mesh.terms, mesh.skin, mesh.facts)
    else:
        writer: Any = {".obj": write_obj, ".ply": write_ply}[target.suffix]
        writer(target, mesh.vertices, mesh.triangles, mesh.colors, mesh.comments)


def test_a_mesh_keeps_its_size_colors_and_terms_through_all_formats(tmp_path: Path) -> None:
    """Millimetres, metres in the GLBs; terms are not added to terms, and dark colours stay what they are."""
    vertices = some_vertices(5, 90)
    colors = np.linspace(0, 1, 219).reshape(73, 3)
    write_ply(tmp_path / "0.ply", vertices, TRIANGLES, colors, [f"terms: {TERMS}"])
    for step, suffix in enumerate(("glb", "obj", "glb", "ply"), start=1):
        (source,) = tmp_path.glob(f"{step - 1}.*")
        convert(source, tmp_path / f"{step}.{suffix}")
        mesh = read_mesh(tmp_path / f"{step}.{suffix}")
        unit = 1000 if suffix == "glb" else 1
        np.testing.assert_allclose(mesh.vertices * unit, vertices, rtol=1e-6, atol=1e-5)
        np.testing.assert_array_equal(mesh.triangles, TRIANGLES)
        assert mesh.colors is not None
        np.testing.assert_allclose(mesh.colors, linear(colors) if suffix == "glb" else colors, atol=1.3 / 255)
        assert mesh.terms == TERMS
    assert "unit: mm" in (tmp_path / "2.obj").read_text()
    assert glb_parts(tmp_path / "1.glb")[0]["asset"]["extras"] == {
        "name": "0", "face model": "none, a mesh of its own", "unit": "metre",
        "axes": "the file's own axes: x right, y up, z to the viewer", "scale": "one of the file's units is taken as 1 mm",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["obj", "glb"])
def test_a_mesh_keeps_its_texture(suffix: str, tmp_path: Path) -> None:
    """To GLB and textured OBJ as a texture, to PLY and a plain OBJ as its vertices' colours, as a viewer shows them."""
    uv = write(tmp_path / f"a.{suffix}", V, "skin")["uv"]
    named = np.unique(TRIANGLES)  # an OBJ says of the others which they are nowhere
    faces = MeshFaces(tmp_path / f"a.{suffix}", None)
    for options in (MeshOptions(texture="auto"), MeshOptions(texture=True)):
        skin = place(faces, 0, Photos(), options).skin
        assert skin is not None
        np.testing.assert_array_equal(skin.texture, TEXTURE)
        np.testing.assert_allclose(skin.uv[named], uv[named], atol=1e-6)
    height, width = TEXTURE.shape[:2]
    columns, rows = np.clip(uv[:, 0] * width - 0.5, 0, width - 1), np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1)
    expected = np.stack(
        [map_coordinates(TEXTURE[..., k].astype(float), [rows, columns], order=1) for k in range(3)], axis=1
    )
    for options in (MeshOptions(), MeshOptions(colors=True)):
        plain = place(faces, 0, Photos(), options)
        assert plain.skin is None
        assert plain.colors is not None
        np.testing.assert_allclose(255 * plain.colors[named], expected[named], atol=0.01)


def test_textures_elsewhere_are_not_opened(tmp_path: Path) -> None:
    """Only a material and a picture that lie beside the OBJ, whatever folder it says; without them it is plain."""
    folder = tmp_path / "mesh"
    folder.mkdir()
    write(folder / "a.obj", V, "skin")
    (folder / "a.png").rename(tmp_path / "a.png")
    (folder / "a.mtl").write_text("newmtl face\nmap_Kd ../a.png\n")
    assert read_mesh(folder / "a.obj", textured=True).texture is None
    (folder / "a.mtl").write_text(f"newmtl face\nmap_Kd {tmp_path / 'a.png'}\n")
    assert read_mesh(folder / "a.obj", textured=True).texture is None
    (tmp_path / "a.png").rename(folder / "a.png")
    assert read_mesh(folder / "a.obj").texture is None
    texture = read_mesh(folder / "a.obj", textured=True).texture
    assert texture is not None
    np.testing.assert_array_equal(texture, TEXTURE)
    (folder / "a.png").write_bytes(b"no picture")
    assert len(read_mesh(folder / "a.obj").vertices) == len(V)  # nobody asked for it
    (folder / "a.mtl").unlink()
    assert read_mesh(folder / "a.obj", textured=True).texture is None


@pytest.mark.parametrize("suffix", ["obj", "glb"])
def test_a_broken_texture_is_named(suffix: str, tmp_path: Path) -> None:
    write(tmp_path / f"a.{suffix}", V, "skin")
    file = tmp_path / ("a.png" if suffix == "obj" else "a.glb")
    content = file.read_bytes()
    start = content.index(b"IDAT") + 4
    file.write_bytes(content[:start] + bytes(60) + content[start + 60 :])
    with pytest.raises(FileError, match=r"(a\.png as a picture|a\.glb cannot be read as GLB): .*image"):
        read_mesh(tmp_path / f"a.{suffix}", textured=True)


def test_a_mesh_of_another_size_than_its_model(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", V, TRIANGLES)
    GRID.save(tmp_path / "model.h5")
    with pytest.raises(FileError, match=r"a\.ply has 73 vertices; .*model\.h5 has 72 vertices"):
        MeshFaces(tmp_path / "a.ply", tmp_path / "model.h5")
