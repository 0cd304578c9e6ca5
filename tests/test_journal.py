"""The journal of an unfinished run: appended to, cut short anywhere, continued, and refused for other work."""

from pathlib import Path

import numpy as np
import pytest

from twodasl.models.errors import FileError
from twodasl.models.journal import Journal

RECORD = np.dtype([("index", "<i8"), ("status", "U16"), ("landmarks", "<f8", (68, 3))])


def records(first: int, count: int) -> np.ndarray:
    made = np.zeros(count, RECORD)
    made["index"] = np.arange(first, first + count)
    made["status"] = "ok"
    made["landmarks"] = np.random.default_rng(first).normal(size=(count, 68, 3))
    return made


def stored(journal: Journal, size: int = 256) -> list[int]:
    return [int(index) for block in journal.blocks(size) for index in block["index"]]


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "new" / "a.part", "key", RECORD) as journal:
        assert (len(journal), stored(journal)) == (0, [])
        journal.append(records(0, 5))
        journal.append(records(5, 0))
        journal.append(records(5, 3))
        assert len(journal) == 8
        assert stored(journal) == stored(journal, 1) == stored(journal, 3) == list(range(8))
        (block,) = journal.blocks()
        np.testing.assert_array_equal(block, np.concatenate([records(0, 5), records(5, 3)]))


def test_it_goes_on_and_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    with Journal(path, "key", RECORD) as journal:
        journal.append(records(0, 4))
    with Journal(path, "key", RECORD) as journal:
        assert len(journal) == 4
        journal.append(records(4, 2))
        assert stored(journal) == list(range(6))
        journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_records_are_down_before_the_next_is_made(tmp_path: Path) -> None:
    """Read by another handle while the journal is open: a kill loses nothing that was appended."""
    path = tmp_path / "a.part"
    with Journal(path, "key", RECORD) as journal:
        empty = path.stat().st_size
        journal.append(records(0, 3))
        assert path.stat().st_size == empty + 3 * RECORD.itemsize


@pytest.mark.parametrize("lost", [1, 100, RECORD.itemsize - 1])
def test_a_record_cut_short_is_dropped(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "a.part"
    with Journal(path, "key", RECORD) as journal:
        journal.append(records(0, 3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    with Journal(path, "key", RECORD) as journal:
        assert stored(journal) == [0, 1]
        journal.append(records(2, 1))
        assert stored(journal) == [0, 1, 2]
    with Journal(path, "key", RECORD) as journal:
        assert stored(journal) == [0, 1, 2]


def test_a_header_cut_short_starts_anew(tmp_path: Path) -> None:
    """Killed while the first line was written: nothing is lost, and nobody has to say --overwrite."""
    path = tmp_path / "a.part"
    with Journal(path, "key", RECORD):
        pass
    header = path.read_bytes()
    for length in (0, 1, len(header) - 1, len(header)):
        path.write_bytes(header[:length])
        with Journal(path, "key", RECORD) as journal:
            assert len(journal) == 0
        assert path.read_bytes() == header


def test_other_work_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    with Journal(path, "key", RECORD) as journal:
        journal.append(records(0, 3))
    before = path.read_bytes()
    wider = np.dtype([*RECORD.descr, ("more", "<f8")])
    for key, dtype in (("another", RECORD), ("key", wider)):
        with pytest.raises(FileError, match=r"a\.part is of a run begun with other inputs.*--overwrite starts anew"):
            Journal(path, key, dtype)
        assert path.read_bytes() == before
    with Journal(path, "another", RECORD, overwrite=True) as journal:
        assert len(journal) == 0


def test_overwrite_goes_on_with_the_same_work(tmp_path: Path) -> None:
    """`--overwrite` is of the finished file; the same command, --overwrite included, continues what it began."""
    path = tmp_path / "a.part"
    with Journal(path, "key", RECORD, overwrite=True) as journal:
        journal.append(records(0, 3))
    with Journal(path, "key", RECORD, overwrite=True) as journal:
        assert len(journal) == 3


def test_a_file_that_is_no_journal_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    path.write_bytes(b"\xff\xfe half a download")
    with pytest.raises(FileError, match="--overwrite"):
        Journal(path, "key", RECORD)
    assert path.read_bytes() == b"\xff\xfe half a download"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot create the folder"):
        Journal(tmp_path / "file" / "a.part", "key", RECORD)
    (tmp_path / "a.part").mkdir()
    with pytest.raises(FileError, match=r"cannot write .*a\.part: Is a directory"):
        Journal(tmp_path / "a.part", "key", RECORD)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device without space is known on Linux only")
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.part", "key", RECORD) as journal:
        journal._file.close()
        with open("/dev/full", "r+b", buffering=0) as full:  # noqa: PTH123
            journal._file = full
            with pytest.raises(FileError, match=r"cannot write .*a\.part: No space left"):
                journal.append(records(0, 1))
        assert len(journal) == 0
