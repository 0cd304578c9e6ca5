"""`twodasl render` end to end: every kind of input, both frames, pictures, what is refused, and the published files."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from tests.command import run_command
from tests.toy import toy_face_model
from tests.toy_faces import HEIGHT, WIDTH, ToyFaces
from twodasl.models.morphable import MorphableModel
from twodasl.models.photos import read_photo
from twodasl.models.runs import run_from_coefficients
from twodasl.rendering.depth import visible_vertices
from twodasl.rendering.images import landmarks_overlay, mask_overlay
from twodasl.rendering.shading import vertex_normals
from twodasl.rendering.texture import face_colors

INPUTS = ["write_run", "write_coefficients", "write_photo_mats", "write_crop_mats"]
NAMES = ["ann", "bob", "cyd"]


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


def render(*arguments: Any, code: int = 0) -> str:
    """What `twodasl render ARGUMENTS` says on stderr; stdout stays empty, and no traceback is shown."""
    got, out, err = run_command("render", *arguments)
    assert (got, out) == (code, ""), err
    assert "Traceback" not in err
    return err


def read_obj(path: Path) -> Any:
    import trimesh

    return trimesh.load(path, process=False)


def listing(folder: Path) -> list[str]:
    """Everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


# --- vertices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("write", INPUTS)
def test_obj_is_y_up_in_photo_pixels_counted_from_0(write: str, faces: ToyFaces, tmp_path: Path) -> None:
    err = render("obj", *getattr(faces, write)(tmp_path), "-o", tmp_path / "out")
    assert "3 written to" in err
    assert "Terms: " in err
    assert "invented, free to use" in err
    assert listing(tmp_path / "out") == ["ann.obj", "bob.obj", "cyd.obj"]
    for index, name in enumerate(NAMES):
        mesh = read_obj(tmp_path / "out" / f"{name}.obj")
        # Vertex files in the photo frame say where their maker put the face.
        where = faces.matlab_photo(index) - [1, 1, 0] if write == "write_photo_mats" else faces.photo(index)
        np.testing.assert_allclose(mesh.vertices, where * [1, -1, 1], atol=3e-5)
        np.testing.assert_array_equal(mesh.faces, faces.model.triangles)
        assert mesh.face_normals[:, 2].mean() > 0.3  # it looks at the viewer
    head = (tmp_path / "out" / "ann.obj").read_text().splitlines()[:4]
    assert head[0] == "# ann, written by twodasl"
    assert head[2:] == ["# face model: toy face", *[line for line in head if "free to use" in line]]


@pytest.mark.parametrize("write", INPUTS)
@pytest.mark.parametrize("frame", ["photo", "crop"])
def test_mat_in_either_frame_from_either_frame(write: str, frame: str, faces: ToyFaces, tmp_path: Path) -> None:
    arguments = getattr(faces, write)(tmp_path)
    if write == "write_photo_mats" and frame == "crop":
        faces.write_coefficients(tmp_path)
        arguments += ["--boxes", tmp_path / "boxes.npy", "--rows", tmp_path / "rows.list"]
    render("mat", *arguments, "--frame", frame, "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == ["ann.mat", "bob.mat", "cyd.mat"]
    for index, name in enumerate(NAMES):
        stored = loadmat(tmp_path / "out" / f"{name}.mat")["vertex"]
        assert stored.dtype == np.float32
        expected = faces.matlab_photo(index) if frame == "photo" else faces.crop_up(index)
        np.testing.assert_allclose(stored.T, expected, atol=3e-5)


def test_mat_there_and_back(faces: ToyFaces, tmp_path: Path) -> None:
    arguments = faces.write_crop_mats(tmp_path)
    boxes = arguments[1:]
    render("mat", *arguments, "--frame", "photo", "-o", tmp_path / "there")
    render("mat", tmp_path / "there", *boxes, "--frame", "crop", "-o", tmp_path / "back")
    for name in NAMES:
        first, last = (loadmat(tmp_path / folder / f"{name}.mat")["vertex"] for folder in ("crop_mats", "back"))
        np.testing.assert_allclose(last, first, atol=3e-5)


def test_one_vertex_file(faces: ToyFaces, tmp_path: Path) -> None:
    faces.write_photo_mats(tmp_path)
    render("obj", tmp_path / "photo_mats" / "bob.mat", "-o", tmp_path / "new" / "face.obj")
    render("obj", tmp_path / "photo_mats" / "bob.mat", "-o", tmp_path / "out")
    assert listing(tmp_path / "new") == ["face.obj"]
    assert listing(tmp_path / "out") == ["bob.obj"]
    assert (tmp_path / "new" / "face.obj").read_bytes() == (tmp_path / "out" / "bob.obj").read_bytes()


@pytest.mark.parametrize("write", ["write_photo_mats", "write_crop_mats"])
def test_the_frame_of_vertex_files_can_be_said(write: str, faces: ToyFaces, tmp_path: Path) -> None:
    """Whatever is said is believed: nothing is converted between a frame and itself."""
    arguments = getattr(faces, write)(tmp_path)
    for name in ("photo", "crop"):
        render("mat", *arguments, "--frame-in", name, "--frame", name, "-o", tmp_path / name)
        stored = loadmat(tmp_path / name / "ann.mat")["vertex"]
        np.testing.assert_array_equal(stored, loadmat(Path(arguments[0]) / "ann.mat")["vertex"])


def test_coefficients_without_boxes_stay_in_the_crop(faces: ToyFaces, tmp_path: Path) -> None:
    arguments = faces.write_coefficients(tmp_path, boxes=False)
    render("mat", *arguments, "--frame", "crop", "-o", tmp_path / "crop")
    np.testing.assert_allclose(loadmat(tmp_path / "crop" / "cyd.mat")["vertex"].T, faces.crop_up(2), atol=3e-5)
    render("obj", *arguments, "-o", tmp_path / "obj")
    mesh = read_obj(tmp_path / "obj" / "cyd.obj")
    np.testing.assert_allclose(mesh.vertices, faces.crop_up(2) - [1, 120, 0], atol=3e-5)
    for command in (["mat"], ["obj", "--matlab"]):
        err = render(*command, *arguments, "-o", tmp_path / "out", code=1)
        assert "ann has no box, so no place in a photo" in err
        assert "--boxes" in err
        assert listing(tmp_path / "out") == []


def test_whitened_coefficients(faces: ToyFaces, tmp_path: Path) -> None:
    faces.write_coefficients(tmp_path)
    rng = np.random.default_rng(5)
    mean, std = rng.normal(size=62).astype(np.float32), rng.uniform(0.5, 2, 62).astype(np.float32)
    std[:12] = 1e-4
    np.save(tmp_path / "whitened.npy", (faces.coefficients - mean) / std)
    with (tmp_path / "whitening.pkl").open("wb") as file:
        pickle.dump({"param_mean": mean, "param_std": std}, file)
    arguments = ["mat", tmp_path / "whitened.npy", "--rows", tmp_path / "rows.list", "--frame", "crop"]
    render(*arguments, "--whitening", tmp_path / "whitening.pkl", "-o", tmp_path / "out")
    np.testing.assert_allclose(loadmat(tmp_path / "out" / "ann.mat")["vertex"].T, faces.crop_up(0), atol=3e-5)
    assert "look whitened" in render(*arguments, "-o", tmp_path / "raw", code=1)


@pytest.mark.parametrize("write", INPUTS)
def test_obj_of_the_original_is_in_the_frame_of_the_input(write: str, faces: ToyFaces, tmp_path: Path) -> None:
    """Photo frame for coefficients; vertex files as they are, their y untouched (Q19), in the source's winding."""
    turned = replace(faces.model, triangles_reversed=True)
    turned.save(tmp_path / "turned.h5")
    render("obj", "--matlab", *getattr(faces, write)(tmp_path), "--model", tmp_path / "turned.h5", "-o", tmp_path / "o")
    lines = (tmp_path / "o" / "bob.obj").read_text().splitlines()
    expected = faces.crop_up(1) if write == "write_crop_mats" else faces.matlab_photo(1)
    vertices = [line.split()[1:] for line in lines if line.startswith("v ")]
    np.testing.assert_allclose(np.array(vertices, float), expected, atol=3e-5)
    a, b, c = faces.model.triangles[0] + 1
    assert next(line for line in lines if line.startswith("f ")) == f"f {a}/{a} {c}/{c} {b}/{b}"


def test_the_same_face_is_the_same_bytes(faces: ToyFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """scipy writes the time into the head of a .mat; an hour later nothing differs here."""
    import time

    for kind in ("mat", "obj"):
        for folder, shown in (("first", "Fri Mar 22 10:00:00 2019"), ("second", "Fri Mar 22 11:00:00 2019")):
            monkeypatch.setattr(time, "asctime", lambda *_, shown=shown: shown)
            render(kind, *faces.write_run(tmp_path), "-o", tmp_path / folder)
        first, second = ((tmp_path / folder / f"ann.{kind}").read_bytes() for folder in ("first", "second"))
        assert first == second
    header = (tmp_path / "first" / "ann.mat").read_bytes()[:116]
    assert header.rstrip() == b"MATLAB 5.0 MAT-file, vertices of a face, written by twodasl"


# --- pictures -----------------------------------------------------------------------------------


def drawn_area(picture: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """left, top, right, bottom pixel that differ from the photo."""
    rows, columns = np.nonzero((picture != photo).any(axis=2))
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()])


@pytest.mark.parametrize("write", INPUTS)
def test_mask_lies_on_the_face(write: str, faces: ToyFaces, tmp_path: Path) -> None:
    photos = faces.write_photos(tmp_path)
    arguments = [*getattr(faces, write)(tmp_path), "--photos", photos, "--format", "png"]
    render("mask", *arguments, "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == ["ann.png", "bob.png", "cyd.png"]
    for index, name in enumerate(NAMES):
        where = faces.matlab_photo(index) - [1, 1, 0] if write == "write_photo_mats" else faces.photo(index)
        picture = read_photo(tmp_path / "out" / f"{name}.png")
        assert picture.shape == (HEIGHT, WIDTH, 3)
        low, high = where[:, :2].min(axis=0), where[:, :2].max(axis=0)
        inside = np.clip([*np.round(low), *np.round(high)], 0, [WIDTH - 1, HEIGHT - 1] * 2)
        np.testing.assert_allclose(drawn_area(picture, faces.picture()), inside, atol=1)
        expected = mask_overlay(faces.picture(), where, faces.model.triangles)
        assert (picture != expected).mean() < 1e-3  # float32 files turn a few pixels at edges


def test_mask_can_be_seen_through(faces: ToyFaces, tmp_path: Path) -> None:
    faces.write_photos(tmp_path)
    run = faces.write_run(tmp_path)
    render("mask", *run, "--alpha", "0.25", "-o", tmp_path / "face.png", "--only", names_file(tmp_path, "bob"))
    expected = mask_overlay(faces.picture(), faces.photo(1), faces.model.triangles, alpha=0.25)
    assert (read_photo(tmp_path / "face.png") != expected).mean() < 1e-3


@pytest.mark.parametrize("write", INPUTS)
def test_landmarks_lie_on_the_face(write: str, faces: ToyFaces, tmp_path: Path) -> None:
    photos = faces.write_photos(tmp_path)
    arguments = [*getattr(faces, write)(tmp_path), "--photos", photos, "--format", "png"]
    render("landmarks", *arguments, "-o", tmp_path / "out")
    for index, name in enumerate(NAMES):
        where = faces.matlab_photo(index) - [1, 1, 0] if write == "write_photo_mats" else faces.photo(index)
        points = where[faces.model.landmark_ids]
        picture = read_photo(tmp_path / "out" / f"{name}.png")
        visible = visible_vertices(where, faces.model.triangles, WIDTH, HEIGHT)[faces.model.landmark_ids]
        assert (picture != landmarks_overlay(faces.picture(), points, visible)).mean() < 1e-3
        columns, rows = np.round(points[:, :2]).astype(int).T
        seen = visible & (columns >= 0) & (columns < WIDTH) & (rows >= 0) & (rows < HEIGHT)
        assert seen.sum() > 40
        assert (picture[rows[seen], columns[seen]].min(axis=1) > 190).mean() > 0.9  # white dots sit on them


def test_pictures_are_jpeg_unless_said_otherwise(faces: ToyFaces, tmp_path: Path) -> None:
    faces.write_photos(tmp_path)
    run = faces.write_run(tmp_path)
    render("landmarks", *run, "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == ["ann.jpg", "bob.jpg", "cyd.jpg"]
    only = ["--only", names_file(tmp_path, "ann")]
    for name, kind in (("face.jpeg", "JPEG"), ("face.PNG", "PNG")):
        render("landmarks", *run, *only, "-o", tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert picture.format == kind


def test_photos_are_taken_from_where_the_input_says(faces: ToyFaces, tmp_path: Path) -> None:
    """A run knows its photos; vertex files have them beside them."""
    faces.write_photos(tmp_path)
    render("mask", *faces.write_run(tmp_path), "-o", tmp_path / "of_run")
    (folder,) = faces.write_photo_mats(tmp_path)
    for name in NAMES:
        Image.fromarray(faces.picture()).save(Path(folder) / f"{name}.jpg")
    render("mask", folder, "-o", tmp_path / "of_mats")
    assert listing(tmp_path / "of_run") == listing(tmp_path / "of_mats") == ["ann.jpg", "bob.jpg", "cyd.jpg"]
    err = render("mask", *faces.write_coefficients(tmp_path), "-o", tmp_path / "out", code=1)
    assert "no photo of ann is known: hand over --photos" in err


def test_colors_of_the_photo_on_the_mesh(faces: ToyFaces, tmp_path: Path) -> None:
    """The pictures' red and green say the column and row, so each vertex has its own place for colour."""
    faces.write_photos(tmp_path)
    render("obj", "--colors", *faces.write_run(tmp_path), "-o", tmp_path / "out")
    mesh = read_obj(tmp_path / "out" / "bob.obj")
    where = faces.photo(1)
    expected = 255 * face_colors(faces.picture(), where, faces.model)
    np.testing.assert_allclose(mesh.visual.vertex_colors[:, :3], expected, atol=1.02)
    shown = visible_vertices(where, faces.model.triangles, WIDTH, HEIGHT)
    shown &= vertex_normals(where, faces.model.triangles)[:, 2] > 0.2
    assert shown.sum() > 500
    np.testing.assert_allclose(mesh.visual.vertex_colors[shown, :2], where[shown, :2], atol=1.02)


# --- some faces, some files ---------------------------------------------------------------------


def names_file(folder: Path, *names: str) -> Path:
    (folder / "only.list").write_text("".join(f"{name}.jpg\n" for name in names))
    return folder / "only.list"


@pytest.mark.parametrize("write", INPUTS)
def test_only_these(write: str, faces: ToyFaces, tmp_path: Path) -> None:
    arguments = getattr(faces, write)(tmp_path)
    render("obj", *arguments, "--only", names_file(tmp_path, "cyd", "ann"), "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == ["ann.obj", "cyd.obj"]
    err = render("obj", *arguments, "--only", names_file(tmp_path, "bob", "dan"), "-o", tmp_path / "out", code=3)
    assert "1 not drawn: dan (not in the input)" in err
    assert listing(tmp_path / "out") == ["ann.obj", "bob.obj", "cyd.obj"]
    err = render("obj", *arguments, "--only", names_file(tmp_path, "dan", "eve"), "-o", tmp_path / "none", code=1)
    assert "2 not drawn: dan (not in the input), eve (not in the input)" in err
    assert not (tmp_path / "none").exists()


def test_faces_that_failed_are_named(faces: ToyFaces, tmp_path: Path) -> None:
    err = render("obj", *faces.write_run(tmp_path, failed=["ann", "cyd"]), "-o", tmp_path / "out", code=3)
    assert "2 not drawn: ann (unreadable), cyd (unreadable)" in err
    assert listing(tmp_path / "out") == ["bob.obj"]
    render("obj", tmp_path / "run.h5", "--only", names_file(tmp_path, "bob"), "-o", tmp_path / "one.obj")
    for target in ("none.obj", "none"):
        err = render("obj", *faces.write_run(tmp_path, failed=NAMES), "-o", tmp_path / target, code=1)
        assert "3 not drawn: ann (unreadable)" in err
        assert not (tmp_path / target).exists()


def test_coefficients_that_are_not_finite_are_named(faces: ToyFaces, tmp_path: Path) -> None:
    arguments = faces.write_coefficients(tmp_path)
    coefficients = faces.coefficients
    coefficients[1, 20] = np.nan
    np.save(tmp_path / "coefficients.npy", coefficients)
    assert "bob (not-finite)" in render("mat", *arguments, "-o", tmp_path / "out", code=3)
    assert listing(tmp_path / "out") == ["ann.mat", "cyd.mat"]


def test_a_folder_keeps_what_it_has(faces: ToyFaces, tmp_path: Path) -> None:
    run = faces.write_run(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (out / "bob.obj").write_text("kept")
    (out / "note.txt").write_text("somebody's")
    err = render("obj", *run, "-o", out)
    assert "1 files were there already and are kept; --overwrite" in err
    assert "2 written to" in err
    assert (out / "bob.obj").read_text() == "kept"
    assert "3 files were there already" in render("obj", *run, "-o", out)
    assert "3 written to" in render("obj", *run, "-o", out, "--overwrite")
    assert (out / "bob.obj").read_text().startswith("# bob")
    assert listing(out) == ["ann.obj", "bob.obj", "cyd.obj", "note.txt"]


def test_a_file_is_not_replaced(faces: ToyFaces, tmp_path: Path) -> None:
    arguments = [*faces.write_run(tmp_path), "--only", names_file(tmp_path, "bob"), "-o", tmp_path / "face.obj"]
    (tmp_path / "face.obj").write_text("kept")
    assert "exists already; --overwrite" in render("obj", *arguments, code=1)
    assert (tmp_path / "face.obj").read_text() == "kept"
    render("obj", *arguments, "--overwrite")
    assert (tmp_path / "face.obj").read_text().startswith("# bob")


def test_several_faces_do_not_go_into_one_file(faces: ToyFaces, tmp_path: Path) -> None:
    err = render("obj", *faces.write_run(tmp_path), "-o", tmp_path / "face.obj", code=1)
    assert "3 faces do not go into the one file" in err
    assert not (tmp_path / "face.obj").exists()


@pytest.mark.parametrize(("kind", "target"), [("obj", "face.ply"), ("mat", "face.npy"), ("mask", "face.webp")])
def test_a_file_of_another_kind_is_no_folder(kind: str, target: str, faces: ToyFaces, tmp_path: Path) -> None:
    err = render(kind, *faces.write_run(tmp_path), "-o", tmp_path / target, code=1)
    assert f"not {Path(target).suffix}; or -o names a folder" in err
    assert not (tmp_path / target).exists()


def test_where_nothing_can_be_written(faces: ToyFaces, tmp_path: Path) -> None:
    run = faces.write_run(tmp_path)
    (tmp_path / "file").write_text("in the way")
    for target in ("file", "file/out", "file/face.obj"):
        err = render("obj", *run, "--only", names_file(tmp_path, "ann"), "-o", tmp_path / target, code=1)
        assert "cannot create the folder" in err
    assert (tmp_path / "file").read_text() == "in the way"
    (tmp_path / "out" / "ann.obj").mkdir(parents=True)
    err = render("obj", *run, "-o", tmp_path / "out", code=3)
    assert "1 not drawn: ann (cannot write" in err
    assert listing(tmp_path / "out") == ["ann.obj", "bob.obj", "cyd.obj"]


@pytest.mark.parametrize(("stop", "code"), [(OSError(28, "No space left on device"), 3), (KeyboardInterrupt(), 130)])
def test_nothing_is_left_half_written(
    stop: BaseException, code: int, faces: ToyFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file fails when a part of it is on the disk; the same command then goes on."""
    run = faces.write_run(tmp_path)
    write_bytes = Path.write_bytes

    def write_part(path: Path, data: Any) -> int:
        if ".bob." in path.name:
            write_bytes(path, data[:1000])
            raise stop
        return write_bytes(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write_part)
        err = render("obj", *run, "-o", tmp_path / "out", code=code)
    assert ("No space left" if code == 3 else "Interrupted.") in err
    found = listing(tmp_path / "out")
    assert found == ["ann.obj", "cyd.obj"] or (code == 130 and found == ["ann.obj"])  # they are drawn side by side
    assert "are kept" in render("obj", *run, "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == ["ann.obj", "bob.obj", "cyd.obj"]


# --- bad input ----------------------------------------------------------------------------------


def test_missing_photos(faces: ToyFaces, tmp_path: Path) -> None:
    photos, run = faces.write_photos(tmp_path, ["bob"]), faces.write_run(tmp_path)
    for command in (["mask"], ["landmarks"], ["obj", "--colors"]):
        out = tmp_path / command[0]
        err = render(*command, *run, "--photos", photos, "-o", out, code=3)
        assert "2 not drawn: ann (no photo of ann is in" in err
        assert [path.stem for path in out.iterdir()] == ["bob"]
        assert "photos/ann.png" in render(*command, *run, "-o", tmp_path / f"{command[0]}_known", code=3)
    (tmp_path / "empty").mkdir()
    err = render("mask", *run, "--photos", tmp_path / "empty", "-o", tmp_path / "none", code=1)
    assert "0 written to" in err
    assert "3 not drawn" in err
    only = ["--only", names_file(tmp_path, "ann"), "-o", tmp_path / "face.jpg"]
    assert "Error: no photo of ann" in render("mask", *run, "--photos", photos, *only, code=1)
    assert "is not a folder" in render("mask", *run, "--photos", tmp_path / "nowhere", "-o", tmp_path / "x", code=1)


def test_photos_of_the_wrong_kind(faces: ToyFaces, tmp_path: Path) -> None:
    photos = faces.write_photos(tmp_path, ["cyd"])
    (photos / "ann.png").write_bytes((photos / "cyd.png").read_bytes()[:200])
    Image.new("RGB", (120, 120)).save(photos / "bob.png")
    err = render("mask", *faces.write_run(tmp_path), "-o", tmp_path / "out", code=3)
    assert "2 not drawn" in err
    assert "cannot read" in err
    assert "bob.png is 120 x 120 pixels; bob is placed in a picture of 160 x 140" in err
    assert listing(tmp_path / "out") == ["cyd.jpg"]


def test_crops_handed_over_as_photos(faces: ToyFaces, tmp_path: Path) -> None:
    (folder,) = faces.write_photo_mats(tmp_path)
    for name in NAMES:
        Image.new("RGB", (16, 12)).save(Path(folder) / f"{name}.jpg")
    for command in (["mask"], ["landmarks"], ["obj", "--colors"]):
        err = render(*command, folder, "-o", tmp_path / "out", code=1)
        assert "outside" in err
        assert "ann.jpg of 16 x 12 pixels: is it another picture" in err


def test_grey_and_transparent_photos_are_drawn_on(faces: ToyFaces, tmp_path: Path) -> None:
    photos = faces.write_photos(tmp_path)
    for name, mode in (("ann", "L"), ("bob", "RGBA"), ("cyd", "I;16")):
        Image.new(mode, (WIDTH, HEIGHT)).save(photos / f"{name}.png")
    render("mask", *faces.write_run(tmp_path), "-o", tmp_path / "out", "--format", "png")
    for name in NAMES:
        assert read_photo(tmp_path / "out" / f"{name}.png").shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("vertex", "message"),
    [
        (np.zeros((3, 38365), np.float32), "38365 vertices (3DDFA_V2's Basel model without neck)"),
        (np.zeros((3, 35709), np.float32), "35709 vertices (Deep3DFaceRecon's Basel model)"),
        (np.zeros((43867, 3), np.float32), "43867 vertices (PRNet's mesh)"),
        (np.zeros((4, 100)), "(4, 100); (3, N) numbers are expected"),
        ("text", "(3, N) numbers are expected"),
        (np.full((3, 1020), np.nan), "not finite"),
        (np.ones((3, 1020)), "in a plane or a point"),
    ],
)
@pytest.mark.parametrize("kind", ["obj", "mat"])
def test_a_bad_vertex_file_among_good_ones(
    vertex: Any, message: str, kind: str, faces: ToyFaces, tmp_path: Path
) -> None:
    (folder,) = faces.write_photo_mats(tmp_path)
    savemat(Path(folder) / "bad.mat", {"vertex": vertex})
    err = render(kind, folder, "-o", tmp_path / "out", code=3)
    assert "1 not drawn: bad (" in err
    assert message in err
    assert [path.stem for path in sorted((tmp_path / "out").iterdir())] == NAMES
    assert message in render(kind, Path(folder) / "bad.mat", "-o", tmp_path / f"bad.{kind}", code=1)
    assert not (tmp_path / f"bad.{kind}").exists()


def test_a_frame_that_is_not_recognised(faces: ToyFaces, tmp_path: Path) -> None:
    up = faces.matlab_photo(0) * [3, -3, 3] + [0, 451, 0]
    savemat(tmp_path / "up.mat", {"vertex": up.T})
    err = render("obj", tmp_path / "up.mat", "-o", tmp_path / "up.obj", code=1)
    assert "up.mat: its frame is not recognised" in err
    assert "--frame-in" in err
    render("mat", tmp_path / "up.mat", "--frame-in", "photo", "-o", tmp_path / "out")


def test_a_model_without_triangles_has_no_surface(faces: ToyFaces, tmp_path: Path) -> None:
    replace(faces.model, triangles=np.zeros((0, 3), np.int32)).save(tmp_path / "points.h5")
    faces.write_photos(tmp_path)
    arguments = [*faces.write_run(tmp_path), "--model", tmp_path / "points.h5"]
    for command in (["obj"], ["obj", "--matlab"], ["mask"]):
        err = render(*command, *arguments, "-o", tmp_path / "out", code=1)
        assert "Error: the face model 'toy face' has no triangles" in err
        assert not (tmp_path / "out").exists()
    render("mat", *arguments, "-o", tmp_path / "mats")
    render("landmarks", *arguments, "-o", tmp_path / "landmarks")


def test_another_models_run(faces: ToyFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = toy_face_model(seed=1)
    other.save(tmp_path / "other.h5")
    run = faces.write_run(tmp_path)
    err = render("obj", *run, "--model", tmp_path / "other.h5", "-o", tmp_path / "out", code=1)
    assert "run.h5 belongs to the face model with basis id" in err
    assert "--model" in err
    monkeypatch.delenv("TWODASL_MODEL")
    monkeypatch.setenv("TWODASL_HOME", str(tmp_path / "home"))
    assert "twodasl model import" in render("obj", *run, "-o", tmp_path / "out", code=1)
    assert "no face model" in render("obj", *faces.write_photo_mats(tmp_path), "-o", tmp_path / "out", code=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["obj", "missing.h5"], 1, "cannot read missing.h5: no such file"),
        (["obj", "missing/"], 1, "no such file or folder"),
        (["obj", "empty"], 1, "holds no vertex files (.mat)"),
        (["obj", "empty.h5"], 1, "empty.h5"),
        (["obj", "toy.h5"], 1, "holds a face model; a run is expected"),
        (["obj", "coefficients.npy"], 1, "--rows"),
        (["obj", "coefficients.npy", "--rows", "short.list"], 1, "3 rows but short.list has 2 names"),
        (["obj", "coefficients.npy", "--rows", "twice.list"], 1, "'ann' twice"),
        (["obj", "coefficients.npy", "--rows", "rows.list", "--boxes", "short.csv"], 1, "short.csv has no row for bob"),
        (["obj", "coefficients.npy", "--rows", "rows.list", "--frame-in", "crop"], 1, "--frame-in cannot be given"),
        (["obj", "landmarks.npy", "--rows", "rows.list"], 1, "landmarks.npy holds 204 numbers a row"),
        (["obj", "run.h5", "--boxes", "boxes.npy", "--rows", "rows.list"], 1, "--boxes cannot be given for run.h5"),
        (["obj", "run.h5", "--only", "missing.list"], 1, "missing.list"),
        (["obj", "run.h5", "--matlab", "--colors"], 2, "exclude each other"),
        (["mat", "run.h5", "--frame", "model"], 2, "model"),
        (["mask", "run.h5", "--alpha", "1.5"], 2, "1.5"),
        (["mask", "run.h5", "--format", "bmp"], 2, "bmp"),
        (["obj", "run.h5", "--model", "run.h5"], 1, "holds a run; a face model is expected"),
    ],
)
def test_bad_input(
    arguments: list[str], code: int, message: str, faces: ToyFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces.write_run(tmp_path)
    faces.write_coefficients(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.h5").touch()
    (tmp_path / "short.list").write_text("ann\nbob\n")
    (tmp_path / "twice.list").write_text("ann\nbob\nann.jpg\n")
    (tmp_path / "short.csv").write_text("ann,1,1,100,100\ncyd,1,1,100,100\n")
    np.save(tmp_path / "landmarks.npy", np.ones((3, 204)))
    monkeypatch.chdir(tmp_path)
    assert message in render(*arguments, "-o", "out", code=code)
    assert not (tmp_path / "out").exists()


def test_a_run_of_no_faces(faces: ToyFaces, tmp_path: Path) -> None:
    run_from_coefficients([], np.zeros((0, 62)), faces.model, "3ddfa", np.zeros((0, 4))).save(tmp_path / "run.h5")
    assert "run.h5 holds no faces" in render("obj", tmp_path / "run.h5", "-o", tmp_path / "out", code=1)
    assert not (tmp_path / "out").exists()


def test_where_to_write_must_be_said(faces: ToyFaces, tmp_path: Path) -> None:
    assert "--output" in render("obj", *faces.write_run(tmp_path), code=2)


@pytest.mark.parametrize("kind", ["", "obj", "mat", "mask", "landmarks"])
def test_help(kind: str) -> None:
    code, out, _ = run_command("render", *([kind] if kind else []), "--help")
    assert code == 0
    assert "--overwrite" in out or not kind


# --- real data ----------------------------------------------------------------------------------


@pytest.fixture
def evaluation(data: Path) -> Path:
    return data / "aflw2000" / "evaluation"


def test_published_mesh_as_the_original_writes_it(
    evaluation: Path, bfm_path: Path, parity: dict[str, Any], tmp_path: Path
) -> None:
    arguments = [evaluation / "3D_results_plot" / "image00074.mat", "--model", bfm_path, "-o", tmp_path / "out"]
    render("obj", "--matlab", *arguments)
    first, rest = (tmp_path / "out" / "image00074.obj").read_bytes().split(b"\n", 1)
    assert first.startswith(b"#")
    facts = parity["obj"]["image00074"]
    assert hashlib.sha256(rest).hexdigest() == facts["sha256_of_all_lines_after_the_first"]


def test_published_mesh_opens_in_trimesh(evaluation: Path, bfm_path: Path, tmp_path: Path) -> None:
    source = evaluation / "3D_results_plot" / "image00074.mat"
    render("obj", source, "--model", bfm_path, "-o", tmp_path / "face.obj")
    mesh = read_obj(tmp_path / "face.obj")
    assert mesh.vertices.shape == (53215, 3)
    assert mesh.faces.shape == (105840, 3)
    published = loadmat(source)["vertex"].T.astype(np.float64)
    np.testing.assert_allclose(mesh.vertices, (published - [1, 1, 0]) * [1, -1, 1], atol=1e-6)
    assert mesh.face_normals[:, 2].mean() > 0  # outwards: a face that looks at the viewer


def test_masks_of_the_papers_figure(data: Path, evaluation: Path, bfm_path: Path, tmp_path: Path) -> None:
    photos = data / "aflw2000" / "AFLW-2000-3D"
    source = evaluation / "3D_results_plot"
    render("mask", source, "--model", bfm_path, "--photos", photos, "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == [f"{path.stem}.jpg" for path in sorted(source.glob("*.mat"))]
    assert len(listing(tmp_path / "out")) == 6
    for path in (tmp_path / "out").iterdir():
        photo, picture = read_photo(photos / path.name).astype(int), read_photo(path).astype(int)
        landmarks = loadmat(photos / f"{path.stem}.mat")["pt3d_68"][:2].T - 1
        low, high = landmarks.min(axis=0).astype(int), landmarks.max(axis=0).astype(int)
        changed = np.abs(picture - photo).max(axis=2) > 30
        # The mask covers the annotated face, and of the photo not much more than the head.
        assert changed[low[1] : high[1], low[0] : high[0]].mean() > 0.7
        assert changed.mean() < 5 * np.prod(high - low) / changed.size


def largest_error(ours: Path, published: Path, names: list[str]) -> float:
    """Over all coordinates of all these vertex files."""
    pairs = [
        [loadmat(folder / f"{name}.mat")["vertex"].astype(float) for folder in (ours, published)] for name in names
    ]
    return max(float(np.abs(one - other).max()) for one, other in pairs)


def test_published_crop_vertices(data: Path, evaluation: Path, bfm_path: Path, tmp_path: Path) -> None:
    """2.3e-5 px measured: about three units in the last place of a float32 of 100 px."""
    names = ["image00002", "image00004", "image00006"]
    rows = data / "aflw2000" / "AFLW1998-3D_crop.list"
    arguments = [data / "peers" / "params_aflw2000_xgtu.npy", "--rows", rows, "--model", bfm_path]
    arguments += ["--whitening", data / "bfm" / "param_whitening.pkl", "--only", names_file(tmp_path, *names)]
    render("mat", *arguments, "--frame", "crop", "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == [f"{name}.mat" for name in names]
    assert rows.read_text().split()[:3] == [f"{name}.jpg" for name in names]
    assert largest_error(tmp_path / "out", evaluation / "AFLW-2000-3D_vertex", names) < 1e-4


@pytest.mark.parametrize("method", ["2DASL", "3DDFA"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_published_photo_vertices(
    method: str, dtype: type, data: Path, evaluation: Path, bfm_path: Path, tmp_path: Path
) -> None:
    """6.1e-5 px measured with either dtype, two units in the last place of a float32 of 400 px; the fit's own residual
    is 6e-5. Its cameras are in photo pixels: the published boxes take them back into the crop (section 10)."""
    fitted = np.load(evaluation / "fitted_params.npz")
    names = [str(name) for name in fitted["names"]]
    rows = (data / "aflw2000" / "AFLW2000-3D_crop.list").read_text().split()
    all_boxes = np.load(data / "aflw2000" / "test.configs" / "AFLW2000-3D_crop.roi_box.npy").astype(np.float64)
    boxes = all_boxes[[rows.index(f"{name}.jpg") for name in names]]
    scale = (boxes[:, 2:] - boxes[:, :2]) / 120
    camera = fitted[f"{method}_P"].copy()
    camera[:, :2, 3] -= boxes[:, :2]
    camera /= np.column_stack([scale, scale.mean(axis=1)])[:, :, None]
    camera[:, 1] = [0, 0, 0, 121] - camera[:, 1]
    with (data / "bfm" / "param_whitening.pkl").open("rb") as file:
        std = pickle.load(file)["param_std"][12:].astype(np.float64)  # noqa: S301  # the data kit's own
    shape = fitted[f"{method}_alpha_over_std"] * std
    np.save(tmp_path / "fitted.npy", np.concatenate([camera.reshape(20, 12), shape], axis=1).astype(dtype))
    np.save(tmp_path / "boxes.npy", boxes)
    arguments = [tmp_path / "fitted.npy", "--rows", names_file(tmp_path, *names), "--boxes", tmp_path / "boxes.npy"]
    render("mat", *arguments, "--model", bfm_path, "--frame", "photo", "-o", tmp_path / "out")
    assert listing(tmp_path / "out") == [f"{name}.mat" for name in names]
    assert largest_error(tmp_path / "out", evaluation / f"{method}_results", names) < 1e-4


def test_published_meshes_are_of_the_frame_they_are_in(evaluation: Path, bfm: MorphableModel) -> None:
    from twodasl.models.vertex_files import read_vertex_file, recognise_frame

    frames: dict[str, str] = {"2DASL_results": "photo", "3DDFA_results": "photo", "3D_results_plot": "photo"}
    frames["AFLW-2000-3D_vertex"] = "crop"
    for folder, frame in frames.items():
        for path in (evaluation / folder).glob("*.mat"):
            assert recognise_frame(read_vertex_file(path, 53215), bfm, path) == frame
