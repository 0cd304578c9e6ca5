"""Every kind of `twodasl render` on every kind of input: where files go, units, several faces, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence
from scipy.io import loadmat, savemat

from tests.command import run_command
from tests.test_mesh_formats import glb_parts, values
from tests.toy_faces import HEIGHT, WIDTH, ToyFaces
from tests.toy_infer import make_toy_job
from twodasl.models.errors import FileError
from twodasl.models.mesh_files import read_mesh
from twodasl.models.morphable import MorphableModel
from twodasl.models.photos import read_photo
from twodasl.rendering.contact import contact_sheet
from twodasl.rendering.meshes import write_ply

NAMES = ["ann", "bob", "cyd"]
PICTURES = {
    "mask": "jpg",
    "points": "jpg",
    "landmarks": "jpg",
    "pose": "jpg",
    "depth": "png",
    "pncc": "png",
    "normals": "png",
}
MESHES = ("obj", "ply", "glb", "mat")
EACH = {**PICTURES, "uv": "png", "turntable": "gif", **{kind: kind for kind in MESHES}}  # one file a face
PLY_HEAD = "ply\nformat ascii 1.0\nelement vertex {}\n" + "".join(f"property float {axis}\n" for axis in "xyz")
SMALL = {"turntable": ["--frames", "3", "--size", "48"], "uv": ["--size", "64"], "glb": ["--plain"]}
NEED_A_MODEL = ("landmarks", "pncc", "uv")


@pytest.fixture
def faces(toy_model: MorphableModel) -> ToyFaces:
    return ToyFaces(toy_model)


@pytest.fixture(autouse=True)
def toy_path(toy_model: MorphableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy model as the face model of every command that names none."""
    path = tmp_path / "toy.h5"
    toy_model.save(path)
    monkeypatch.setenv("TWODASL_MODEL", str(path))
    return path


@pytest.fixture
def run(faces: ToyFaces, tmp_path: Path) -> Path:
    """A run of three faces whose photos are where it says."""
    faces.write_photos(tmp_path)
    return Path(faces.write_run(tmp_path)[0])


def render(*arguments: Any, code: int = 0) -> str:
    """What `twodasl render ARGUMENTS` says on stderr: whole lines, no traceback, nothing on stdout."""
    got, out, err = run_command("render", *arguments)
    assert (got, out) == (code, ""), err
    assert "Traceback" not in err
    return err


def refused(*arguments: Any) -> str:
    """The one line of an error that the user can put right."""
    err = render(*arguments, code=1)
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    return err


def listing(folder: Path) -> list[str]:
    """Everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def names_file(folder: Path, *names: str) -> Path:
    (folder / "only.list").write_text("".join(f"{name}\n" for name in names))
    return folder / "only.list"


def mesh_file(faces: ToyFaces, folder: Path, name: str = "face.ply") -> Path:
    """The second toy face as `render ply` writes it."""
    write_ply(folder / name, faces.photo(1) * [1, -1, 1], faces.model.triangles, comments=["terms: as agreed"])
    return folder / name


# --- every kind ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EACH)
def test_a_run_to_a_folder(kind: str, run: Path, tmp_path: Path) -> None:
    out, suffix = tmp_path / "out", EACH[kind]
    err = render(kind, run, "-o", out, *SMALL.get(kind, []))
    assert "3 written to" in err
    assert "Terms: invented, free to use" in err
    assert listing(out) == [f"{name}.{suffix}" for name in NAMES]
    if kind in PICTURES:
        for name in NAMES:
            picture = read_photo(out / f"{name}.{suffix}")
            assert picture.shape == (HEIGHT, WIDTH, 3)
            assert picture.std() > 10


@pytest.mark.parametrize("kind", EACH)
def test_a_folder_keeps_what_it_has(kind: str, run: Path, tmp_path: Path) -> None:
    out, suffix = tmp_path / "out", EACH[kind]
    out.mkdir()
    (out / f"bob.{suffix}").write_text("kept")
    arguments = [kind, run, "-o", out, *SMALL.get(kind, [])]
    only = ["--only", names_file(tmp_path, "ann", "bob")]
    err = render(*arguments, *only)
    assert "1 files were there already and are kept; --overwrite" in err
    assert listing(out) == [f"ann.{suffix}", f"bob.{suffix}"]
    assert (out / f"bob.{suffix}").read_text() == "kept"
    before = (out / f"ann.{suffix}").read_bytes()
    assert "2 written to" in render(*arguments, *only, "--overwrite")
    assert (out / f"ann.{suffix}").read_bytes() == before  # the same face is the same bytes
    assert (out / f"bob.{suffix}").read_bytes() != b"kept"


@pytest.mark.parametrize("kind", EACH)
def test_one_vertex_file_to_a_file(kind: str, faces: ToyFaces, tmp_path: Path) -> None:
    photos, (folder,) = faces.write_photos(tmp_path), faces.write_photo_mats(tmp_path)
    target = tmp_path / "new" / f"face.{EACH[kind]}"
    given = ["--photos", photos] if kind != "mat" else []
    arguments = [kind, Path(folder) / "bob.mat", "-o", target, *given, *SMALL.get(kind, [])]
    render(*arguments)
    assert listing(target.parent) == [target.name]
    before = target.read_bytes()
    assert f"{target} exists already; --overwrite replaces it" in refused(*arguments)
    assert target.read_bytes() == before
    render(*arguments, "--overwrite")


@pytest.mark.parametrize("to_file", [False, True])
@pytest.mark.parametrize("with_model", [False, True])
@pytest.mark.parametrize("kind", EACH)
def test_one_mesh(kind: str, with_model: bool, to_file: bool, faces: ToyFaces, tmp_path: Path) -> None:
    """Its own triangles do for most; landmarks, codes and textures need to know whose vertices they are."""
    source, photos = mesh_file(faces, tmp_path), faces.write_photos(tmp_path, ["face"])
    model = ["--model", tmp_path / "toy.h5"] if with_model else []
    given = ["--photos", photos] if kind == "uv" else []
    target = tmp_path / "out" / f"drawn.{EACH[kind]}" if to_file else tmp_path / "out"
    arguments = [kind, source, "-o", target, *model, *given, *SMALL.get(kind, [])]
    if kind in NEED_A_MODEL and not with_model:
        err = render(*arguments, code=1)
        assert "face.ply is a mesh of 1020 vertices: hand over the face model it belongs to with --model" in err
        assert not (tmp_path / "out").exists() or listing(tmp_path / "out") == []
        return
    assert "Terms: as agreed" in render(*arguments)
    assert listing(tmp_path / "out") == [target.name if to_file else f"face.{EACH[kind]}"]


def test_a_mesh_stands_in_the_middle_of_its_picture(faces: ToyFaces, tmp_path: Path) -> None:
    """On white, 512 pixels or --size; on its photo where --photos says which."""
    source = mesh_file(faces, tmp_path)
    render("mask", source, "-o", tmp_path / "a.png")
    render("mask", source, "-o", tmp_path / "b.png", "--size", "100")
    for name, size in (("a.png", 512), ("b.png", 100)):
        picture = read_photo(tmp_path / name)
        assert picture.shape == (size, size, 3)
        rows, columns = np.nonzero((picture != 255).any(axis=2))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(0.8 * size, abs=2)
        assert rows.min() + rows.max() == pytest.approx(size - 1, abs=2)
        assert columns.min() + columns.max() == pytest.approx(size - 1, abs=2)
    photos = faces.write_photos(tmp_path, ["face"])
    render("mask", source, "--photos", photos, "-o", tmp_path / "c.png")
    changed = (read_photo(tmp_path / "c.png") != faces.picture()).any(axis=2)
    columns = np.nonzero(changed)[1]
    expected = np.clip(faces.photo(1)[:, 0], 0, WIDTH - 1)
    np.testing.assert_allclose([columns.min(), columns.max()], [expected.min(), expected.max()], atol=1)


def test_what_was_drawn_of_a_mesh_is_not_its_photo(faces: ToyFaces, tmp_path: Path) -> None:
    """Pictures of the mesh's name beside it: its texture, or what was drawn before."""
    source = mesh_file(faces, tmp_path)
    render("depth", source, "-o", tmp_path / "face.png")
    render("mask", source, "-o", tmp_path / "first.png")
    assert (read_photo(tmp_path / "first.png")[0] == 255).all()
    assert "no photo of face is known: hand over --photos" in refused(
        "obj", source, "--model", tmp_path / "toy.h5", "--texture", "-o", tmp_path / "t.obj"
    )


@pytest.mark.parametrize("kind", ["depth", "pncc", "normals"])
def test_maps_need_no_photo(kind: str, faces: ToyFaces, tmp_path: Path) -> None:
    """A run says how large its photos are; --size changes that."""
    run = faces.write_run(tmp_path)
    render(kind, *run, "-o", tmp_path / "out", "--size", "80")
    for index, name in enumerate(NAMES):
        picture = read_photo(tmp_path / "out" / f"{name}.png")
        assert picture.shape == (70, 80, 3)
        rows, columns = np.nonzero(picture.any(axis=2))
        expected = np.clip((faces.photo(index)[:, :2] + 0.5) / 2 - 0.5, 0, (79, 69))
        # To a pixel, and another one at the rim, of which what turns away is not drawn.
        np.testing.assert_allclose([columns.min(), rows.min()], expected.min(axis=0), atol=1.5)
        np.testing.assert_allclose([columns.max(), rows.max()], expected.max(axis=0), atol=1.5)


def test_two_faces_of_one_photo_end_in_one_picture(faces: ToyFaces, tmp_path: Path) -> None:
    """Numbers 0 and 1 of one name: one picture of both, a mesh of each, the photo found by its own name."""
    photos = faces.write_photos(tmp_path, ["ann", "cyd"])
    run = replace(faces.run(), names=("ann", "ann", "cyd"), face=np.array([0, 1, 0], np.int32))
    run.save(tmp_path / "run.h5")
    arguments = [tmp_path / "run.h5", "--photos", photos, "--format", "png"]
    render("mask", *arguments, "-o", tmp_path / "both")
    assert listing(tmp_path / "both") == ["ann.png", "cyd.png"]
    drawn = {}
    for name in ("ann", "ann_1"):
        only = ["--only", names_file(tmp_path, name)]
        render("mask", *arguments, *only, "-o", tmp_path / f"{name}.png")
        drawn[name] = (read_photo(tmp_path / f"{name}.png") != faces.picture()).any(axis=2)
    both = (read_photo(tmp_path / "both" / "ann.png") != faces.picture()).any(axis=2)
    np.testing.assert_array_equal(both, drawn["ann"] | drawn["ann_1"])
    assert both.sum() > max(one.sum() for one in drawn.values())
    for kind in ("obj", "uv"):
        render(kind, tmp_path / "run.h5", "--photos", photos, "-o", tmp_path / kind, *SMALL.get(kind, []))
        assert [Path(name).stem for name in listing(tmp_path / kind)] == ["ann", "ann_1", "cyd"]


# --- many in one --------------------------------------------------------------------------------


def test_a_contact_sheet_in_small() -> None:
    """Row by row, each picture in the middle of its square, of its own shape."""
    shapes = ((10, 20), (20, 10), (40, 40))
    pictures = [np.full((*shape, 3), level, np.uint8) for shape, level in zip(shapes, (10, 90, 170), strict=True)]
    sheet = contact_sheet(pictures, ["a", "b", "a very long name indeed"], columns=2, cell=40)
    assert sheet.shape == (6 + 2 * (40 + 12 + 6), 6 + 2 * (40 + 6), 3)
    levels = sheet[..., 0]
    assert (levels[16:36, 6:46] == 10).all()
    assert (levels[6:46, 62:82] == 90).all()
    assert (levels[64:104, 6:46] == 170).all()
    assert (levels[6:16, 6:46] == 250).all()
    assert (levels[46:64] < 200).any()  # names
    with pytest.raises(FileError, match="no pictures"):
        contact_sheet([], [])


def test_a_contact_sheet(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["contact", run, "--columns", "2", "--cell", "64"]
    assert "3 faces on" in render(*arguments, "-o", out)
    assert listing(out) == ["contact.jpg"]
    sheet = read_photo(out / "contact.jpg")
    assert sheet.shape == (6 + 2 * (64 + 12 + 6), 6 + 2 * (64 + 6), 3)
    assert (sheet[-70:-20, -64:] > 240).all()  # no fourth face
    assert sheet[40, 38].min() < 200
    assert "was there already and is kept" in render(*arguments, "-o", out)
    assert "3 faces on" in render(*arguments, "-o", out, "--overwrite", "--layer", "depth")
    only = ["--only", names_file(tmp_path, "bob", "dan")]
    assert "1 not drawn: dan (not in the input)" in render(*arguments, *only, "-o", tmp_path / "one.png", code=3)
    assert "exists already" in refused(*arguments, "-o", tmp_path / "one.png")
    (tmp_path / "photos" / "ann.png").unlink()
    assert "1 not drawn: ann (the photo of ann" in render(*arguments, "-o", tmp_path / "two.png", code=3)
    assert read_photo(tmp_path / "two.png").shape[1] == sheet.shape[1]
    (tmp_path / "empty").mkdir()
    err = render(*arguments, "--photos", tmp_path / "empty", "-o", tmp_path / "none.png", code=1)
    assert "nothing drawn" in err
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_a_turntable(suffix: str, run: Path, tmp_path: Path) -> None:
    if suffix == "mp4":
        pytest.importorskip("av", reason="PyAV, the extra 'video', is not installed")
    small = ["--frames", "4", "--size", "49", "--only", names_file(tmp_path, "bob")]
    render("turntable", run, *small, "--colors", "-o", tmp_path / f"bob.{suffix}")
    render("turntable", run, *small, "--colors", "--format", suffix, "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == [f"bob.{suffix}"]
    if suffix == "mp4":  # whose bytes differ from one encoding to the next
        assert (tmp_path / "bob.mp4").read_bytes()[4:8] == b"ftyp"
    else:
        assert (tmp_path / "out" / "bob.gif").read_bytes() == (tmp_path / "bob.gif").read_bytes()
        with Image.open(tmp_path / "bob.gif") as movie:
            assert movie.size == (49, 49)
            assert len(list(ImageSequence.Iterator(movie))) == 4
            movie.seek(0)
            middle = np.asarray(movie.convert("RGB"))[25, 25].astype(int)
        np.testing.assert_allclose(middle[:2], photo_middle(run), atol=30)  # red and green say where that was


def photo_middle(run: Path) -> np.ndarray:
    """Column and row of the middle of the second face."""
    from twodasl.models.runs import Run

    points = Run.load(run).landmarks[1]
    return (points.min(axis=0) + points.max(axis=0))[:2] / 2


def test_masks_as_a_movie(run: Path, tmp_path: Path) -> None:
    """One picture for each photo, in order; those that cannot be drawn are named."""
    assert "3 pictures in" in render("mask", run, "-o", tmp_path / "a.gif", "--fps", "10")
    with Image.open(tmp_path / "a.gif") as movie:
        assert movie.size == (WIDTH, HEIGHT)
        shown = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(movie)]
        assert movie.info["duration"] == 100
    assert len(shown) == 3
    render("mask", run, "-o", tmp_path / "out", "--format", "png")
    for frame, name in zip(shown, NAMES, strict=True):
        assert np.abs(frame - read_photo(tmp_path / "out" / f"{name}.png")).mean() < 6  # 256 colours
    assert "exists already" in refused("mask", run, "-o", tmp_path / "a.gif")
    (tmp_path / "photos" / "bob.png").unlink()
    err = render("landmarks", run, "-o", tmp_path / "b.gif", code=3)
    assert "2 pictures in" in err
    assert "1 not drawn: bob (the photo of bob is no longer at" in err
    (tmp_path / "empty").mkdir()
    err = render("points", run, "--photos", tmp_path / "empty", "-o", tmp_path / "c.gif", code=1)
    assert "nothing drawn" in err
    assert "3 not drawn: ann (no photo of ann is in" in err
    assert not (tmp_path / "c.gif").exists()


def test_photos_of_two_sizes_make_no_movie(faces: ToyFaces, tmp_path: Path) -> None:
    faces.write_photos(tmp_path)
    run = faces.run([str(tmp_path / "photos" / f"{name}.png") for name in NAMES])
    size = run.image_size.copy()
    size[1] = (120, 130)
    replace(run, image_size=size).save(tmp_path / "run.h5")
    Image.new("RGB", (120, 130)).save(tmp_path / "photos" / "bob.png")
    err = refused("mask", tmp_path / "run.h5", "-o", tmp_path / "a.gif")
    assert "picture 2 is 120 x 130 pixels, the first 160 x 140" in err
    assert not (tmp_path / "a.gif").exists()


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg", "jpg"])
def test_a_figure_of_two_methods(suffix: str, run: Path, faces: ToyFaces, tmp_path: Path) -> None:
    (folder,) = faces.write_photo_mats(tmp_path)
    arguments: list[Any] = [
        "figure",
        f"2DASL={run}",
        f"Ours={folder}",
        "--images",
        "ann,cyd.jpg",
        "--layers",
        "photo,mask,depth",
    ]
    arguments += ["--photos", tmp_path / "photos", "--size", "60", "-o", tmp_path / f"fig.{suffix}"]
    err = render(*arguments)
    assert "2 x 2 faces in" in err
    assert "Terms of 2DASL: " in err
    assert "Terms of Ours: " in err
    before = (tmp_path / f"fig.{suffix}").read_bytes()
    starts: dict[str, bytes] = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml", "jpg": b"\xff\xd8"}
    assert before.startswith(starts[suffix])
    if suffix == "png":
        picture = read_photo(tmp_path / "fig.png")
        assert picture.shape[1] == pytest.approx(5 * 60, abs=2)  # photo, then mask and depth of both
        assert picture[20:].std() > 20
    assert "exists already" in refused(*arguments)
    render(*arguments, "--overwrite")
    if suffix != "svg":
        assert (tmp_path / f"fig.{suffix}").read_bytes() == before  # no dates inside


def test_figures_that_cannot_be_made(run: Path, faces: ToyFaces, tmp_path: Path) -> None:
    target = tmp_path / "fig.png"
    err = refused("figure", f"A={run}", "--images", "ann,dan", "-o", target)
    assert "A has no face of dan: it has ann, bob, cyd" in err
    failed = faces.run([str(tmp_path / "photos" / "ann.png")] * 3, failed=["bob"])
    failed.save(tmp_path / "failed.h5")
    assert "B has no face of bob: unreadable" in refused(
        "figure", f"A={run}", f"B={tmp_path / 'failed.h5'}", "--images", "bob", "-o", target
    )
    assert "no image is named" in refused("figure", f"A={run}", "--images", ",", "-o", target)
    for wrong, message in (
        ([f"A={run}", f"A={run}", "--images", "ann", "-o", target], "two inputs are called A"),
        ([run, "--images", "ann", "--layers", "mask,fog", "-o", target], "photo, mask, points"),
        ([run, "--images", "ann", "-o", tmp_path / "fig.bmp"], "a figure is written as .pdf, .png, .svg, .jpg"),
    ):
        assert message in render("figure", *wrong, code=2)
    replace(faces.model, triangles=np.zeros((0, 3), np.int32)).save(tmp_path / "points.h5")
    model = ["--model", tmp_path / "points.h5", "--images", "ann"]
    assert "has no triangles" in refused("figure", run, *model, "-o", target)
    assert listing(tmp_path) == ["failed.h5", "photos", "points.h5", "run.h5", "toy.h5"]
    render("figure", run, *model, "--layers", "photo,pose,landmarks", "-o", target)
    render("contact", run, "--model", tmp_path / "points.h5", "--layer", "pose", "-o", tmp_path / "sheet.png")


# --- units and what files say -------------------------------------------------------------------


def eyes_apart(vertices: np.ndarray, model: MorphableModel) -> float:
    points = vertices[model.landmark_ids]
    return float(np.linalg.norm(points[36:42].mean(axis=0) - points[42:48].mean(axis=0)))


def test_the_model_frame_is_millimetres(faces: ToyFaces, tmp_path: Path) -> None:
    """Without the photo's pose: the face of the same coefficients, a thousandth of the model's micrometres."""
    render("ply", *faces.write_run(tmp_path), "--frame", "model", "-o", tmp_path / "out")
    for index, name in enumerate(NAMES):
        numbers = faces.coefficients[index]
        expected = faces.model.mean + faces.model.identity_basis @ numbers[12:52]
        expected = (expected + faces.model.expression_basis @ numbers[52:]) / 1000
        np.testing.assert_allclose(read_mesh(tmp_path / "out" / f"{name}.ply").vertices, expected, atol=1e-4)
    assert b"comment unit: mm; the face model's own axes: x right, y up" in (tmp_path / "out" / "ann.ply").read_bytes()
    # Vertex files have no coefficients: their face is laid on the mean.
    (folder,) = faces.write_photo_mats(tmp_path)
    render("ply", folder, "--frame", "model", "-o", tmp_path / "laid")
    laid = read_mesh(tmp_path / "laid" / "bob.ply").vertices
    assert np.abs(laid - faces.model.mean / 1000).mean() < 5
    assert np.abs(np.ptp(laid, axis=0) / np.ptp(faces.model.mean / 1000, axis=0) - 1).max() < 0.15


def test_the_bundled_face_is_of_a_persons_size(tmp_path: Path) -> None:
    """Its mean: eyes 60 to 65 mm apart, a photo's pixels do not matter."""
    from twodasl.models.library import bundled_model
    from twodasl.models.runs import run_from_coefficients

    model = bundled_model()
    numbers = np.zeros((1, 62))
    numbers[0, [0, 5, 10]] = 3e-4
    numbers[0, [3, 7]] = 60
    run_from_coefficients(["mean"], numbers, model, "3ddfa", np.array([[1.0, 1, 120, 120]])).save(tmp_path / "run.h5")
    model.save(tmp_path / "open.h5")
    arguments = [tmp_path / "run.h5", "--model", tmp_path / "open.h5"]
    render("ply", *arguments, "--frame", "model", "-o", tmp_path / "mm.ply")
    assert 60 < eyes_apart(read_mesh(tmp_path / "mm.ply").vertices, model) < 65
    render("glb", *arguments, "--plain", "-o", tmp_path / "m.glb")
    assert 0.060 < eyes_apart(read_mesh(tmp_path / "m.glb").vertices, model) < 0.065


@pytest.mark.parametrize("frame", ["photo", "model"])
@pytest.mark.parametrize("kind", ["obj", "ply", "glb"])
def test_the_eyes_are_as_far_apart_as_is_said(kind: str, frame: str, faces: ToyFaces, tmp_path: Path) -> None:
    """Millimetres in either frame; a GLB has metres, and says the scale."""
    run = faces.write_run(tmp_path)
    plain = ["--plain"] if kind == "glb" else []
    render(kind, *run, *plain, "--frame", frame, "--eye-distance-mm", "63", "-o", tmp_path / "out")
    for name in NAMES:
        vertices = read_mesh(tmp_path / "out" / f"{name}.{kind}").vertices * (1000 if kind == "glb" else 1)
        assert eyes_apart(vertices, faces.model) == pytest.approx(63, rel=1e-5)
    content = (tmp_path / "out" / "ann.ply" if kind == "ply" else tmp_path / "out" / f"ann.{kind}").read_bytes()
    assert b"the eyes' centres are 63 mm apart" in content
    assert (b"unit: mm" in content) == (kind != "glb")
    assert b"pixel" not in content.replace(b"centre of the first pixel", b"")


def test_a_glb_is_in_metres_and_says_whose_face_it_is(run: Path, faces: ToyFaces, tmp_path: Path) -> None:
    only = ["--only", names_file(tmp_path, "bob")]
    render("glb", run, "-o", tmp_path / "model", *only)
    render("glb", run, "--frame", "photo", "--colors", "-o", tmp_path / "photo", *only)
    tree, binary = glb_parts(tmp_path / "model" / "bob.glb")
    assert tree["asset"]["copyright"] == "invented, free to use"
    assert tree["asset"]["extras"] == {
        "name": "bob", "face model": "toy face", "unit": "metre",
        "axes": "the face model's own axes: x right, y up, z to the viewer",
    }  # fmt: skip
    height = np.ptp(values(tree, binary, 0)[:, 1])
    assert height == pytest.approx(np.ptp(faces.model.mean[:, 1]) / 1e6, rel=0.1)
    assert len(tree["images"]) == 1  # the photo is known
    tree, binary = glb_parts(tmp_path / "photo" / "bob.glb")
    assert "images" not in tree
    assert "COLOR_0" in tree["meshes"][0]["primitives"][0]["attributes"]
    assert tree["asset"]["extras"]["scale"] == "the eyes' centres are 63 mm apart"
    assert eyes_apart(values(tree, binary, 0), faces.model) == pytest.approx(0.063, rel=1e-5)


def test_a_glb_is_plain_where_there_is_no_photo(faces: ToyFaces, tmp_path: Path) -> None:
    """Photos that went since, and inputs that never knew any; asked for, they are missed."""
    run, boxes = faces.write_run(tmp_path), faces.write_coefficients(tmp_path)
    for arguments in (run, boxes):
        render("glb", *arguments, "-o", tmp_path / "out", "--overwrite")
        assert "images" not in glb_parts(tmp_path / "out" / "ann.glb")[0]
        assert "3 not drawn: ann (" in render("glb", *arguments, "--texture", "-o", tmp_path / "none", code=1)
        assert listing(tmp_path / "none") == []


def test_what_excludes_each_other(run: Path, tmp_path: Path) -> None:
    for kind, options in (
        ("obj", ["--colors", "--texture"]),
        ("glb", ["--colors", "--texture"]),
        ("glb", ["--plain", "--texture"]),
        ("obj", ["--matlab", "--texture"]),
        ("obj", ["--matlab", "--eye-distance-mm", "63"]),
    ):
        assert "exclude each other" in render(kind, run, *options, "-o", tmp_path / "out", code=2)
    for wrong in ("0", "-3", "x"):
        render("obj", run, "--eye-distance-mm", wrong, "-o", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()


def test_a_textured_obj_has_the_photos_colors(run: Path, faces: ToyFaces, tmp_path: Path) -> None:
    """Looked up as a viewer does, each visible vertex has the colour that says where it was in the photo."""
    import trimesh

    render("obj", run, "--texture", "--only", names_file(tmp_path, "bob"), "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == ["bob.mtl", "bob.obj", "bob.png"]
    mesh: Any = trimesh.load(tmp_path / "out" / "bob.obj", process=False, maintain_order=True)
    colors = mesh.visual.to_color().vertex_colors[:, :2].astype(int)
    middle = np.abs(faces.model.mean[:, :2]).max(axis=1) < 5e4
    np.testing.assert_allclose(colors[middle], faces.photo(1)[middle, :2], atol=3)


def test_a_texture_does_not_replace_a_photo(faces: ToyFaces, tmp_path: Path) -> None:
    """The picture of NAME.obj is NAME.png, which may be the photo itself."""
    (folder,) = map(Path, faces.write_photo_mats(tmp_path))
    for name in NAMES:
        Image.fromarray(faces.picture()).save(folder / f"{name}.png")
    before = {name: (folder / name).read_bytes() for name in listing(folder)}
    only = ["--only", names_file(tmp_path, "ann")]
    err = render("obj", folder, "--texture", "-o", folder, *only, code=1)
    assert "ann.png exists already; --overwrite replaces it" in err
    assert {name: (folder / name).read_bytes() for name in listing(folder)} == before
    render("obj", folder, "--texture", "-o", folder, *only, "--overwrite")
    assert read_photo(folder / "ann.png").shape == (1024, 1024, 3)


def test_an_obj_of_a_mesh_for_matlab(faces: ToyFaces, tmp_path: Path) -> None:
    source = mesh_file(faces, tmp_path)
    render("mat", source, "-o", tmp_path / "face.mat")
    expected = faces.photo(1) + [1, 1, 0]
    np.testing.assert_allclose(loadmat(tmp_path / "face.mat")["vertex"].T, expected, atol=2e-5)
    assert "does not say the crop" in refused("mat", source, "--frame", "crop", "-o", tmp_path / "crop.mat")


# --- bad input ----------------------------------------------------------------------------------


def ply(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    """A PLY file of whatever is handed over, checked by nobody."""
    head = (
        PLY_HEAD.format(len(vertices))
        + f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = [" ".join(map(str, row)) for row in vertices.tolist()]
    return (head + "\n".join(rows + [f"3 {a} {b} {c}" for a, b, c in triangles.tolist()]) + "\n").encode()


def broken(faces: ToyFaces, how: str) -> tuple[str, bytes]:
    """Name and content of a file that is no drawable mesh."""
    vertices, triangles = faces.photo(0) * [1, -1, 1], faces.model.triangles.copy()
    if how == "NaN":
        vertices[7, 1] = np.nan
    elif how == "too far":
        triangles[3, 1] = 1020
    elif how == "negative":
        triangles[3, 1] = -1
    elif how == "flat":
        vertices = vertices * 0 + 5
    if how == "text":
        return "bad.ply", b"dear diary\n"
    if how == "empty":
        return "bad.obj", b""
    content = ply(vertices, triangles)
    return ("bad.ply", content[: len(content) // 2]) if how == "truncated" else ("bad.ply", content)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("NaN", "vertex 7 (from 0) is not finite"),
        ("too far", "a triangle points at a vertex that is not there; it has 1020"),
        ("negative", "a triangle points at a vertex that is not there"),
        ("text", "cannot be read as PLY"),
        ("truncated", "cannot be read as PLY"),
        ("empty", "is empty (0 bytes)"),
    ],
)
@pytest.mark.parametrize("kind", ["mask", "depth", "turntable", "glb", "contact"])
def test_meshes_that_are_none(kind: str, how: str, message: str, faces: ToyFaces, tmp_path: Path) -> None:
    name, content = broken(faces, how)
    (tmp_path / name).write_bytes(content)
    target = tmp_path / f"out.{ {'contact': 'png'}.get(kind) or EACH[kind] }"
    for where in (target, tmp_path / "folder"):
        err = refused(kind, tmp_path / name, "-o", where)
        assert message in err
        assert name in err
        assert not where.exists()


def test_a_mesh_without_extent(faces: ToyFaces, tmp_path: Path) -> None:
    (tmp_path / "bad.ply").write_bytes(broken(faces, "flat")[1])
    assert "the mesh has no extent" in refused("mask", tmp_path / "bad.ply", "-o", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_a_truncated_glb_is_refused(run: Path, tmp_path: Path) -> None:
    render("glb", run, "--plain", "--only", names_file(tmp_path, "ann"), "-o", tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "a.glb").write_bytes(data[: len(data) // 2])
    assert "a.glb cannot be read as GLB" in refused("mask", tmp_path / "a.glb", "-o", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("kind", EACH)
def test_triangles_without_area_are_left_out(kind: str, run: Path, faces: ToyFaces, tmp_path: Path) -> None:
    """Some with two corners in one vertex, some on a line: the pictures are the same without them."""
    surplus = np.array([(5, 5, 9), (3, 3, 3), (0, 1, 2)], np.int32)  # 0, 1 and 2 stand in a row of the grid
    folder = tmp_path / "more"
    folder.mkdir()
    more = replace(faces.model, triangles=np.concatenate([faces.model.triangles, surplus[:2]]))
    more.save(folder / "more.h5")
    only = ["--only", names_file(tmp_path, "bob")]
    for name, model in (("with", ["--model", folder / "more.h5"]), ("without", [])):
        render(kind, run, *model, *only, "-o", folder / f"{name}.{EACH[kind]}", *SMALL.get(kind, []))
    if kind not in MESHES:
        assert (folder / f"with.{EACH[kind]}").read_bytes() == (folder / f"without.{EACH[kind]}").read_bytes()
    elif kind != "mat":
        assert len(read_mesh(folder / f"with.{kind}").triangles) == len(faces.model.triangles) + 2


@pytest.mark.parametrize("count", [53215, 38365, 35709, 43867])
def test_a_mesh_says_whose_vertices_it_could_have(count: int, tmp_path: Path) -> None:
    """Points without triangles, in the number of a known model."""
    whose = {53215: "2DASL", 38365: "3DDFA_V2", 35709: "Deep3DFaceRecon", 43867: "PRNet"}[count]
    points = np.random.default_rng(0).normal(size=(count, 3)).astype("<f4")
    head = PLY_HEAD.replace("ascii", "binary_little_endian").format(count)
    (tmp_path / "cloud.ply").write_bytes((head + "end_header\n").encode() + points.tobytes())
    err = refused("mask", tmp_path / "cloud.ply", "-o", tmp_path / "out.png")
    assert f"is a mesh of {count} vertices (" in err
    assert whose in err
    assert "--model" in err
    err = refused("mask", tmp_path / "cloud.ply", "--model", tmp_path / "toy.h5", "-o", tmp_path / "out")
    assert whose in err
    assert "toy.h5 has 1020 vertices" in err
    savemat(tmp_path / "cloud.mat", {"vertex": points.T})
    assert whose in refused("mask", tmp_path / "cloud.mat", "--frame-in", "photo", "-o", tmp_path / "out.png")


@pytest.mark.parametrize("kind", [*PICTURES, "uv"])
def test_a_face_outside_its_photo(kind: str, faces: ToyFaces, tmp_path: Path) -> None:
    """On black too: a black picture would say nothing."""
    photos = faces.write_photos(tmp_path)
    run = faces.run([str(photos / f"{name}.png") for name in NAMES])
    box = run.box.copy()
    box[1] += 900
    replace(run, box=box).save(tmp_path / "run.h5")
    err = render(kind, tmp_path / "run.h5", "-o", tmp_path / "out", code=3)
    assert "1 not drawn: bob (bob lies at 9" in err
    assert "of 160 x 140 pixels" in err
    assert [Path(name).stem for name in listing(tmp_path / "out")] == ["ann", "cyd"]


@pytest.mark.parametrize("kind", ["mask", "points", "landmarks", "pose", "uv"])
def test_photos_missing_and_of_another_size(kind: str, run: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "ann.png").unlink()
    Image.new("RGB", (80, 70)).save(tmp_path / "photos" / "bob.png")
    err = render(kind, run, "-o", tmp_path / "out", code=3)
    assert "2 not drawn: ann (the photo of ann is no longer at" in err
    assert "bob.png is 80 x 70 pixels; bob is placed in a picture of 160 x 140" in err
    assert [Path(name).stem for name in listing(tmp_path / "out")] == ["cyd"]


@pytest.mark.parametrize("kind", [*EACH, "contact", "figure"])
def test_a_full_disk_leaves_nothing(kind: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the file is on the disk when it is full."""
    target = tmp_path / "out" / f"face.{ {'contact': 'png', 'figure': 'pdf'}.get(kind) or EACH[kind] }"
    replaced = Path.replace

    def full(path: Path, target: Path) -> Path:
        if path.parent.name == "out":
            assert path.stat().st_size > 0
            raise OSError(28, "No space left on device")
        return replaced(path, target)

    arguments: list[Any] = [kind, run, "-o", target, *SMALL.get(kind, [])]
    arguments += ["--images", "bob"] if kind == "figure" else ["--only", names_file(tmp_path, "bob")]
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        assert f"cannot write {target}: No space left on device" in refused(*arguments)
    assert listing(target.parent) == []
    render(*arguments)
    assert listing(target.parent) == [target.name]


@pytest.mark.parametrize("name", ["face.gltf", "face.stl", "face.mp4", "face.svg"])
def test_files_of_other_kinds_are_no_folders(name: str, run: Path, tmp_path: Path) -> None:
    assert f"not {Path(name).suffix}; or -o names a folder" in refused("obj", run, "-o", tmp_path / name)
    assert not (tmp_path / name).exists()


# --- photos, through a network ------------------------------------------------------------------


def test_photos_are_drawn_with_weights(toy_model: MorphableModel, tmp_path: Path) -> None:
    """What `infer` and then `render` draw, in one command."""
    job = make_toy_job(tmp_path, toy_model, ["one", "two"])
    how = ["--model", tmp_path / "toy.h5"]
    assert job.infer(job.photos, "--boxes-from", "truth")[0] == 0
    assert run_command("render", "mask", tmp_path / "run.h5", *how, "-o", tmp_path / "a", "--format", "png")[0] == 0
    weights = ["--weights", tmp_path / "w3.safetensors"]
    drawn = ["render", "mask", job.photos, *how, *weights, "-o", tmp_path / "b", "--format", "png"]
    code, _, err = run_command(*drawn)
    assert (code, "where are the faces?" in err) == (2, True)
    code, _, err = run_command(*drawn, "--boxes-from", "truth")
    assert code == 0, err
    for name in ("one", "two"):
        assert (tmp_path / "a" / f"{name}.png").read_bytes() == (tmp_path / "b" / f"{name}.png").read_bytes()
    one = ["render", "landmarks", job.photos / "one.png", *how, *weights, "--boxes-from", "truth", "-o"]
    assert run_command(*one, tmp_path / "one.png")[0] == 0
    code, _, err = run_command(
        "render", "mask", tmp_path / "run.h5", *how, "--boxes-from", "truth", "-o", tmp_path / "c"
    )
    assert (code, "go with --weights" in err) == (2, True)
    need = ["--weights", tmp_path / "w4.safetensors", "--boxes-from", "truth", "-o", tmp_path / "d"]
    code, _, err = run_command("render", "mask", job.photos, *how, *need)
    assert (code, "fourth channel" in err) == (2, True)
