"""The faces that `render` draws: their frames, what a vertex file may hold, photos by name, and where files go."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from tests.toy_faces import HEIGHT, WIDTH, ToyFaces
from twodasl.models.errors import FileError, NamesError, ShapeError, TwodaslError
from twodasl.models.inputs import InputOptions
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import CONVENTIONS
from twodasl.models.vertex_files import mat_names, read_vertex_file, recognise_frame
from twodasl.rendering.faces import Photos, RunFaces, VertexFaces, find_photo, open_faces
from twodasl.rendering.output import Output

PATH = Path("face.mat")


@pytest.fixture
def faces(toy_model: MorphableModel) -> ToyFaces:
    return ToyFaces(toy_model)


@pytest.fixture
def model_path(toy_model: MorphableModel, tmp_path: Path) -> Path:
    path = tmp_path / "toy.h5"
    toy_model.save(path)
    return path


# --- frames -------------------------------------------------------------------------------------


def test_a_run_gives_its_faces_in_every_frame(faces: ToyFaces) -> None:
    """The model computes in float32: micrometres to 0.008, so crop pixels to 4e-6, and a little more in the photo."""
    drawn = RunFaces(faces.run(), faces.model)
    assert drawn.names == faces.names
    for index in range(3):
        np.testing.assert_allclose(drawn.photo_vertices(index), faces.photo(index), atol=1e-5)
        np.testing.assert_allclose(drawn.file_vertices(index, "photo"), faces.matlab_photo(index), atol=1e-5)
        np.testing.assert_allclose(drawn.file_vertices(index, "crop"), faces.crop_up(index), atol=1e-5)


def test_the_landmarks_of_a_run_lie_on_its_dense_faces(faces: ToyFaces) -> None:
    run = faces.run()
    for index in range(3):
        dense = RunFaces(run, faces.model).photo_vertices(index)
        np.testing.assert_allclose(run.landmarks[index], dense[faces.model.landmark_ids], atol=1e-5)


def test_crop_and_photo_files_say_the_same(faces: ToyFaces, model_path: Path, tmp_path: Path) -> None:
    """Each can be turned into the other; float32 files of pixels near 150 are good to 8e-6."""
    _, _, boxes = faces.write_crop_mats(tmp_path)
    faces.write_photo_mats(tmp_path)
    options = InputOptions(model=model_path, boxes=Path(boxes))
    in_crop, in_photo = (open_faces(tmp_path / name, options) for name in ("crop_mats", "photo_mats"))
    for index in range(3):
        np.testing.assert_allclose(in_crop.file_vertices(index, "photo"), faces.matlab_photo(index), atol=2e-5)
        np.testing.assert_allclose(in_photo.file_vertices(index, "crop"), faces.crop_up(index), atol=2e-5)
        np.testing.assert_allclose(in_crop.photo_vertices(index), faces.photo(index), atol=2e-5)
        # A photo-frame file says where its maker put the face, in pixels from 1: that is believed.
        np.testing.assert_allclose(in_photo.photo_vertices(index), faces.matlab_photo(index) - [1, 1, 0], atol=2e-5)


def test_the_convention_moves_crop_files_in_the_photo(faces: ToyFaces, model_path: Path, tmp_path: Path) -> None:
    """(x, 121 - y) counted from 1 and (x - 1, 120 - y) counted from 0 are the same place; only the original's own rule,
    which leaves the count out, moves by a crop pixel."""
    _, _, boxes = faces.write_crop_mats(tmp_path)
    placed = {}
    for convention in CONVENTIONS:
        options = InputOptions(model=model_path, boxes=Path(boxes), convention=convention)
        opened = open_faces(tmp_path / "crop_mats", options)
        placed[convention] = opened.photo_vertices(0), opened.file_vertices(0, "photo")
    np.testing.assert_allclose(placed["3ddfa"][0], placed["3ddfa-v2"][0], atol=1e-9)
    shift = placed["3ddfa"][1] - placed["3ddfa-v2"][1]
    np.testing.assert_allclose(shift, np.tile([89 / 120, 109 / 120, 0], (len(shift), 1)), atol=1e-9)  # the box


@given(angle=st.floats(-180, 180), yaw=st.floats(-85, 85), scale=st.floats(1.5e-4, 6e-4))
def test_the_frame_is_recognised_however_the_head_is_turned(
    toy_model: MorphableModel, angle: float, yaw: float, scale: float
) -> None:
    """Up and down alone tell nothing of a head that lies on its side or hangs: the mirror image does."""
    a, b = np.deg2rad([angle, yaw])
    roll = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    crop_up = toy_model.mean @ (scale * roll @ turn).T + [60, 60, 0]
    assert recognise_frame(crop_up, toy_model, PATH) == "crop"
    assert recognise_frame(crop_up * [3, -3, 3] + [40, 400, 0], toy_model, PATH) == "photo"


def test_a_frame_that_does_not_show_is_an_error(faces: ToyFaces) -> None:
    in_large_photo = faces.matlab_photo(0) * 3
    up = in_large_photo * [1, -1, 1] + [0, 451, 0]  # the annotations' own frame: photo pixels, y up
    with pytest.raises(FileError, match=r"face\.mat: its frame is not recognised: y points up.*--frame-in"):
        recognise_frame(up, faces.model, PATH)
    for flat in (faces.crop_up(0) * [1, 1, 0], np.ones_like(up), faces.crop_up(0) * 0):
        with pytest.raises(FileError, match="in a plane or a point"):
            recognise_frame(flat, faces.model, PATH)


# --- vertex files -------------------------------------------------------------------------------


def test_vertices_are_read_lying_or_standing_and_of_any_number_type(tmp_path: Path) -> None:
    vertices = np.arange(21).reshape(7, 3)
    for array in (vertices, vertices.T, vertices.T.astype(np.uint8), vertices.astype(np.float32)):
        savemat(tmp_path / "face.mat", {"vertex": array})
        read = read_vertex_file(tmp_path / "face.mat", 7)
        assert read.dtype == np.float64
        np.testing.assert_array_equal(read, vertices)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"vertices": np.zeros((3, 5))}, "no variable 'vertex'; it has vertices"),
        ({"vertex": np.zeros((2, 5))}, r"float64 \(2, 5\); \(3, N\)"),
        ({"vertex": np.zeros((15, 1))}, r"\(15, 1\)"),
        ({"vertex": np.zeros((1, 15))}, r"\(1, 15\)"),
        ({"vertex": np.zeros((3, 5, 2))}, r"\(3, 5, 2\)"),
        ({"vertex": np.zeros((0, 3))}, "has 0 vertices"),
        ({"vertex": np.zeros((3, 5), complex)}, "complex128"),
        ({"vertex": "face"}, "<U4"),
        ({"vertex": {"x": 1.0}}, r"\(1, 1\)"),
        ({"vertex": np.where(np.eye(3, 5), np.nan, 1)}, "not finite"),
        ({"vertex": np.where(np.eye(3, 5), np.inf, 1)}, "not finite"),
        ({"vertex": np.zeros((3, 4))}, "has 4 vertices; the face model has 5"),
        ({"vertex": np.zeros((3, 38365))}, "38365 vertices .*3DDFA_V2's Basel model without neck.*--model"),
        ({"vertex": np.zeros((3, 35709))}, "35709 vertices .*Deep3DFaceRecon"),
        ({"vertex": np.zeros((43867, 3))}, "43867 vertices .*PRNet"),
        ({"vertex": np.zeros((3, 53215))}, "53215 vertices .*2DASL"),
    ],
)
def test_a_vertex_file_that_is_none(variables: dict[str, Any], message: str, tmp_path: Path) -> None:
    savemat(tmp_path / "face.mat", variables)
    with pytest.raises(FileError, match=message) as raised:
        read_vertex_file(tmp_path / "face.mat", 5)
    assert "face.mat" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"no matlab file", "not a readable MATLAB"), (b"MATLAB 5.0".ljust(200), "not a readable")],
)
def test_a_damaged_vertex_file(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "face.mat").write_bytes(content)
    with pytest.raises(FileError, match=message):
        read_vertex_file(tmp_path / "face.mat")


def test_a_truncated_vertex_file(faces: ToyFaces, tmp_path: Path) -> None:
    faces.write_photo_mats(tmp_path)
    path = tmp_path / "photo_mats" / "ann.mat"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FileError, match=r"ann\.mat is not a readable MATLAB file"):
        read_vertex_file(path)


def test_files_of_a_folder_are_sorted_by_name(tmp_path: Path) -> None:
    for name in ("image10", "image02", "note"):
        (tmp_path / f"{name}.{'txt' if name == 'note' else 'mat'}").touch()
    assert mat_names(tmp_path) == ("image02", "image10")


def test_the_other_frame_needs_the_box(faces: ToyFaces, model_path: Path, tmp_path: Path) -> None:
    faces.write_crop_mats(tmp_path)
    opened = VertexFaces([tmp_path / "crop_mats" / "ann.mat"], InputOptions(model=model_path))
    np.testing.assert_allclose(opened.file_vertices(0, "crop"), faces.crop_up(0), atol=1e-5)
    for ask in (lambda: opened.file_vertices(0, "photo"), lambda: opened.photo_vertices(0)):
        with pytest.raises(FileError, match=r"ann\.mat is of one frame only.*--boxes"):
            ask()


def test_boxes_pair_by_name(faces: ToyFaces, model_path: Path, tmp_path: Path) -> None:
    faces.write_crop_mats(tmp_path)
    (tmp_path / "one.csv").write_text("bob,1,1,9,9\n")
    opened = open_faces(tmp_path / "crop_mats", InputOptions(model=model_path, boxes=tmp_path / "one.csv"))
    with pytest.raises(NamesError, match=r"one\.csv has no row for ann"):
        opened.photo_vertices(0)


# --- runs ---------------------------------------------------------------------------------------


def test_faces_of_one_photo_have_names_of_their_own(faces: ToyFaces) -> None:
    run = replace(faces.run(failed=["cyd"]), names=("ann", "ann", "ann"), face=np.arange(3, dtype=np.int32))
    drawn = RunFaces(run, faces.model)
    assert drawn.names == ("ann", "ann_1")
    assert drawn.failed == {"ann_2": "unreadable"}
    np.testing.assert_allclose(drawn.photo_vertices(1), faces.photo(1), atol=1e-5)
    with pytest.raises(NamesError, match="'ann_1' twice"):
        RunFaces(replace(run, names=("ann", "ann", "ann_1"), face=np.array([0, 1, 0])), faces.model)


def test_faces_behind_a_failed_one_keep_their_rows(faces: ToyFaces) -> None:
    drawn = RunFaces(faces.run(paths=["a.jpg", "b.jpg", "c.jpg"], failed=["ann"]), faces.model)
    assert drawn.names == ("bob", "cyd")
    assert drawn.photo_path(0) == Path("b.jpg")
    np.testing.assert_allclose(drawn.photo_vertices(1), faces.photo(2), atol=1e-5)


def test_the_photo_of_a_face_from_a_crop(faces: ToyFaces) -> None:
    """A crop with a known box is not the photo the face is placed in; one without is."""
    run = faces.run(paths=["a.jpg", "b.jpg", "c.jpg"])
    info = replace(run.info, settings={"cropped": True})
    assert RunFaces(replace(run, info=info), faces.model).photo_path(0) is None
    boxless = replace(faces.run(paths=["a.jpg", "b.jpg", "c.jpg"], boxes=False), info=info)
    drawn = RunFaces(boxless, faces.model)
    assert drawn.photo_path(0) == Path("a.jpg")
    assert drawn.photo_size(0) == (120, 120)
    expected = faces.crop_up(0) * [1, -1, 1] + [-1, 121 - 1, 0]
    np.testing.assert_allclose(drawn.photo_vertices(0), expected, atol=1e-5)
    with pytest.raises(FileError, match="ann has no box, so no place in a photo"):
        drawn.file_vertices(0, "photo")


@pytest.mark.parametrize(
    ("write", "given", "message"),
    [
        ("write_run", {"boxes": PATH}, "--boxes cannot be given for .*run.h5, a run"),
        ("write_run", {"convention": "3ddfa", "whitening": PATH}, "--whitening and --convention"),
        ("write_run", {"frame_in": "crop"}, "--frame-in"),
        ("write_photo_mats", {"whitening": PATH}, "--whitening cannot be given for .*vertex files"),
        ("write_coefficients", {"frame_in": "photo"}, "--frame-in cannot be given for .*coefficients"),
    ],
)
def test_options_that_would_not_be_read_are_refused(
    write: str, given: dict[str, Any], message: str, faces: ToyFaces, model_path: Path, tmp_path: Path
) -> None:
    arguments = getattr(faces, write)(tmp_path)
    with pytest.raises(TwodaslError, match=message):
        open_faces(Path(arguments[0]), InputOptions(model=model_path, **given))


# --- photos -------------------------------------------------------------------------------------


def test_photos_are_found_by_name_whatever_their_kind(tmp_path: Path) -> None:
    for name in ("ann.jpg", "bob.JPG", "ann.v2.png", "cyd.txt"):
        (tmp_path / name).touch()
    (tmp_path / "cyd.png").mkdir()
    assert find_photo(tmp_path, "ann") == tmp_path / "ann.jpg"
    assert find_photo(tmp_path, "bob") == tmp_path / "bob.JPG"
    assert find_photo(tmp_path, "ann.v2") == tmp_path / "ann.v2.png"
    assert find_photo(tmp_path, "cyd") is None


def test_the_photo_has_the_size_the_face_was_found_in(faces: ToyFaces, tmp_path: Path) -> None:
    """Crops, or photos resized since, would put the face anywhere."""
    photos = faces.write_photos(tmp_path)
    drawn = RunFaces(faces.run(), faces.model)
    assert Photos(photos).under(drawn, 0, faces.photo(0)).shape == (HEIGHT, WIDTH, 3)
    Image.new("RGB", (120, 120)).save(photos / "ann.png")
    with pytest.raises(ShapeError, match=r"ann\.png is 120 x 120 pixels; ann is placed in a picture of 160 x 140"):
        Photos(photos).under(drawn, 0, faces.photo(0))


def test_a_face_outside_its_photo_has_another_photo(faces: ToyFaces, tmp_path: Path) -> None:
    """The annotated photos and their 120-pixel crops have the same names, in two folders."""
    photos, drawn = faces.write_photos(tmp_path), RunFaces(faces.run(), faces.model)
    point = np.array([[0.0, 0, 0]])
    for inside in ([-0.4, -0.4, 9], [WIDTH - 0.6, HEIGHT - 0.6, -9]):
        Photos(photos).under(drawn, 0, point + inside)
    for outside in ([-0.6, 5, 0], [5, -0.6, 0], [WIDTH - 0.4, 5, 0], [5, HEIGHT - 0.4, 0]):
        with pytest.raises(ShapeError, match=r"ann lies at .* outside .*ann\.png of 160 x 140 pixels"):
            Photos(photos).under(drawn, 0, point + outside)


def test_photos_that_are_not_there(faces: ToyFaces, tmp_path: Path) -> None:
    drawn = RunFaces(faces.run(), faces.model)
    with pytest.raises(NamesError, match="no photo of ann is known: hand over --photos"):
        Photos().under(drawn, 0, faces.photo(0))
    with pytest.raises(NamesError, match=f"no photo of ann is in {tmp_path}"):
        Photos(tmp_path).under(drawn, 0, faces.photo(0))
    with pytest.raises(FileError, match="not a folder"):
        Photos(tmp_path / "missing")
    (tmp_path / "ann.jpg").write_text("no picture")
    with pytest.raises(FileError, match="not a picture"):
        Photos(tmp_path).under(drawn, 0, faces.photo(0))


# --- where files go -----------------------------------------------------------------------------


def test_a_file_for_one_and_a_folder_for_many(tmp_path: Path) -> None:
    one, many = Output(tmp_path / "face.PNG", (".jpg", ".png")), Output(tmp_path / "new" / "out.v2", (".jpg", ".png"))
    assert one.file("ann") == tmp_path / "face.PNG"
    assert many.file("ann") == tmp_path / "new" / "out.v2" / "ann.jpg"
    one.prepare(["ann"])
    many.prepare(["ann", "bob"])
    assert many.path.is_dir()
    with pytest.raises(NamesError, match="2 faces do not go into the one file"):
        one.prepare(["ann", "bob"])
    with pytest.raises(FileError, match=r"face\.ply: \.obj is written here, not \.ply"):
        Output(tmp_path / "face.ply", (".obj",)).prepare(["ann"])
    (tmp_path / "odd.obj").mkdir()
    assert Output(tmp_path / "odd.obj", (".obj",)).file("ann") == tmp_path / "odd.obj" / "ann.obj"


def test_a_folder_keeps_its_files_and_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "ann.obj").touch()
    folder = Output(tmp_path, (".obj",))
    assert folder.done("ann")
    assert not folder.done("bob")
    assert not Output(tmp_path, (".obj",), overwrite=True).done("ann")
    with pytest.raises(FileError, match="exists already; --overwrite"):
        Output(tmp_path / "ann.obj", (".obj",)).prepare(["ann"])
    Output(tmp_path / "ann.obj", (".obj",), overwrite=True).prepare(["ann"])


@pytest.mark.parametrize("name", ["../ann", "/tmp/ann", "a/b"])
def test_names_of_somebody_elses_run_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(NamesError, match="cannot be the name of a file"):
        Output(tmp_path, (".obj",)).file(name)
