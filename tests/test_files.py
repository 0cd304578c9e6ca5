"""Files appear whole or not at all, and nothing handed over is executed."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from twodasl.models.errors import FileError, NamesError
from twodasl.models.files import check_output, read_mat, read_npy, read_pickle, whole_file
from twodasl.models.tables import image_name, read_names, read_table


class Bomb:
    """Runs a command when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "bomb.pkl", tmp_path / "exploded"
    path.write_bytes(pickle.dumps({"param_mean": Bomb(marker)}))
    with pytest.raises(FileError, match="nothing in it was executed"):
        read_pickle(path)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_arrays_is_read(tmp_path: Path, protocol: int) -> None:
    content = {"param_mean": np.arange(3.0, dtype=np.float32), "names": ["a", ("b", 2)], "scale": np.float64(0.5)}
    path = tmp_path / "arrays.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    read = read_pickle(path)
    np.testing.assert_array_equal(read["param_mean"], content["param_mean"])
    assert read["names"] == content["names"]
    assert read["scale"] == 0.5


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(FileError, match=r"objects\.npy"):
        read_npy(tmp_path / "objects.npy")


def test_a_file_is_left_as_it_was_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("before")

    def write_half() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half of")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_output_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("x")
    with pytest.raises(FileError, match="--overwrite"):
        check_output(path)
    check_output(path, overwrite=True)
    with pytest.raises(FileError, match="is a folder"):
        check_output(tmp_path)


def test_output_under_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot create the folder"):
        check_output(tmp_path / "file" / "run.h5")


def test_mat_without_the_field_names_what_it_has(tmp_path: Path) -> None:
    from scipy.io import savemat

    savemat(tmp_path / "a.mat", {"pt2d": np.zeros((2, 21))})
    with pytest.raises(FileError, match="no variable 'vertex'; it has pt2d"):
        read_mat(tmp_path / "a.mat", "vertex")
    (tmp_path / "b.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:140])
    with pytest.raises(FileError, match="not a readable MATLAB file"):
        read_mat(tmp_path / "b.mat")


# --- tables: rows paired by name ----------------------------------------------------------------


def test_image_names() -> None:
    assert image_name("some/folder/image00002.jpg") == "image00002"
    assert image_name("C:\\photos\\frame.0001.PNG") == "frame.0001"
    assert image_name("plain") == "plain"


def test_npy_rows_take_their_names_from_the_list(tmp_path: Path) -> None:
    np.save(tmp_path / "boxes.npy", np.arange(8).reshape(2, 4))
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\n")
    table = read_table(tmp_path / "boxes.npy", tmp_path / "list.txt", (4,), "boxes")
    np.testing.assert_array_equal(table.rows(["b", "a"]), [[4, 5, 6, 7], [0, 1, 2, 3]])
    with pytest.raises(NamesError, match="no row for c"):
        table.rows(["a", "c"])


def test_npy_without_rows_or_with_another_list_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "boxes.npy", np.zeros((2, 4)))
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\nc.jpg\n")
    with pytest.raises(NamesError, match="--rows"):
        read_table(tmp_path / "boxes.npy", None, (4,), "boxes")
    with pytest.raises(NamesError, match="2 rows but .* 3 names"):
        read_table(tmp_path / "boxes.npy", tmp_path / "list.txt", (4,), "boxes")


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\na.png\n")
    with pytest.raises(NamesError, match="'a' twice"):
        read_names(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("boxes.csv", "name,left,top,right,bottom\na.jpg,1,2,3,4\nb.jpg,5,6,7,8\n"),
        ("boxes.csv", "a,1,2,3,4,\nb,5,6,7,8,\n"),
        ("boxes.txt", "a.jpg,1,2,3,4\n1081\nb.jpg,5,6,7,8\n"),
        ("boxes.jsonl", '{"name": "a", "box": [1, 2, 3, 4]}\n{"name": "b.jpg", "box": [5, 6, 7, 8]}\n'),
    ],
)
def test_text_tables(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    table = read_table(tmp_path / file, None, (4,), "boxes")
    assert table.names == ("a", "b")
    np.testing.assert_array_equal(table.values, [[1, 2, 3, 4], [5, 6, 7, 8]])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("boxes.csv", "a,1,2,3\n", "3 numbers; 4 are expected"),
        ("boxes.csv", "a,1,2,3,4\nb,1,2,x,4\n", "line 2"),
        ("boxes.jsonl", '{"box": [1, 2, 3, 4]}\n', "line 1"),
        ("boxes.jsonl", "[1, 2]\n", "line 1"),
        ("boxes.csv", "", "0 bytes"),
        ("boxes.csv", "\n\n", "holds no boxes"),
    ],
)
def test_bad_text_tables(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(FileError, match=message):
        read_table(tmp_path / file, None, (4,), "boxes")
