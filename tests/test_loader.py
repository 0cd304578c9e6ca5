"""Batches: the same from any number of workers and processes, from any step on; clear errors for what cannot be used."""

import os
import pickle
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.toy_sets import (
    WILD,
    label_landmarks,
    labelled_example,
    labelled_info,
    wild_example,
    write_labelled,
    write_wild,
)
from twodasl.models.coefficients import Whitening
from twodasl.models.errors import (
    BasisError,
    FileError,
    NamesError,
    NotFiniteError,
    SettingsError,
    ShapeError,
    TwodaslError,
)
from twodasl.models.landmark_map import landmark_map
from twodasl.models.library import bundled_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.photos import decode_photo
from twodasl.models.training import batches, sources
from twodasl.models.training.batches import Batch, BatchStream
from twodasl.models.training.data import DataSettings
from twodasl.models.training.noise import DetectorNoise
from twodasl.models.training.sets import Example
from twodasl.models.training.sources import GeneratedSource, SetSource
from twodasl.models.training.tddfa_lists import TddfaSource

SETTINGS = DataSettings(batch_size=6, seed=5)
UNCHANGED = replace(SETTINGS, augment=False)
PARTS = ("images", "input18", "target18", "landmarks68", "coefficients")


@pytest.fixture(scope="module")
def face() -> MorphableModel:
    return bundled_model()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory, face: MorphableModel) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("sets")
    return write_labelled(folder / "labelled.h5", face), write_wild(folder / "wild.h5")


@pytest.fixture(scope="module")
def labelled(sets: tuple[Path, Path]) -> SetSource:
    return SetSource(sets[0])


@pytest.fixture(scope="module")
def wild(sets: tuple[Path, Path]) -> SetSource:
    return SetSource(sets[1])


def assert_same(one: Batch, two: Batch) -> None:
    for name, tensor in one.as_dict().items():
        assert torch.equal(torch.nan_to_num(tensor, 9e9), torch.nan_to_num(two.as_dict()[name], 9e9)), name


def changed_source(source: SetSource, change: Callable[[Example], Example]) -> GeneratedSource:
    return GeneratedSource(len(source), lambda index: change(source.example(index)), source.info)


# --- what a batch holds -----------------------------------------------------------------------


def test_a_batch_holds_what_the_sets_do(labelled: SetSource, wild: SetSource, face: MorphableModel) -> None:
    batch = BatchStream(labelled, wild, UNCHANGED, face).batch(0)
    assert batch.labelled.tolist() == [True] * 3 + [False] * 3
    for row in range(6):
        source = labelled if row < 3 else wild
        example = source.example(int(batch.index[row]))
        photo = decode_photo(example.jpg, "crop").astype(np.float32)
        expected = (np.moveaxis(photo[..., ::-1], 2, 0) - 127.5) / 128
        np.testing.assert_array_equal(batch.images[row].numpy(), expected)
        if row < 3:
            np.testing.assert_array_equal(batch.coefficients[row], example.coefficients)
            np.testing.assert_array_equal(batch.landmarks68[row], example.landmarks)
            inside = ((example.landmarks[:, :2] >= 0) & (example.landmarks[:, :2] <= 119)).all(axis=1)
            np.testing.assert_array_equal(batch.visible68[row], example.visible & inside)
            points = batch.input18[row].numpy()[batch.input_visible[row].numpy()]
            drawn = landmark_map(example.landmarks[:, :2]) > 0
            assert drawn[points[:, 1].astype(int), points[:, 0].astype(int)].all()
        else:
            kept = [index for index in range(21) if index not in (12, 16, 20)]
            np.testing.assert_array_equal(batch.target_visible[row], example.visible[kept])
            seen = batch.target_visible[row].numpy()
            np.testing.assert_array_equal(batch.target18[row].numpy()[seen], example.landmarks[kept, :2][seen])
            assert (batch.target18[row].numpy()[~seen] == 0).all()
            np.testing.assert_array_equal(batch.input18[row], batch.target18[row])
            assert torch.isnan(batch.coefficients[row]).all() and torch.isnan(batch.landmarks68[row]).all()
            assert not batch.visible68[row].any()


def test_the_same_crop_is_the_same_tensor_in_both_streams(labelled: SetSource, face: MorphableModel) -> None:
    """The original read labelled crops as B, G, R and wild ones as R, G, B."""
    jpg = labelled.example(0).jpg
    one = changed_source(labelled, lambda example: replace(example, jpg=jpg))
    two = GeneratedSource(3, lambda index: replace(wild_example(index), jpg=jpg), WILD)
    images = BatchStream(one, two, UNCHANGED, face).batch(0).images
    assert (images == images[0]).all()
    blue, _, red = images[0].mean(dim=(1, 2))
    assert red > blue + 0.2  # the toy crops are reddish


def test_labels_and_points_stay_together_in_changed_faces(labelled: SetSource, face: MorphableModel) -> None:
    settings = replace(SETTINGS, shift=0.1, scale=0.2, rotation_degrees=45, noise=DetectorNoise(times=0))
    stream = BatchStream(labelled, None, settings, face)
    assert stream.notes == ()
    for step in range(4):
        batch = stream.batch(step)
        expected = label_landmarks(batch.coefficients.numpy(), face)
        np.testing.assert_allclose(batch.landmarks68.numpy(), expected, atol=1e-3)
        shown = batch.input_visible.numpy()
        np.testing.assert_allclose(batch.input18.numpy()[shown], batch.target18.numpy()[shown], atol=1e-5)


def test_visibility_goes_with_its_point_in_the_mirror(labelled: SetSource, face: MorphableModel) -> None:
    """With mirroring alone, every other face comes as it is: one looked up by its landmarks tells which."""
    settings = replace(SETTINGS.still(), flip=0.5, noise=DetectorNoise(times=0))
    stream = BatchStream(labelled, None, settings, face)
    sides = {True: 0, False: 0}
    for step in range(4):
        batch = stream.batch(step)
        for row in range(6):
            example = labelled.example(int(batch.index[row]))
            inside = ((example.landmarks[:, :2] >= 0) & (example.landmarks[:, :2] <= 119)).all(axis=1)
            there = {
                tuple(p): v for p, v in zip(example.landmarks[:, :2].round(2), example.visible & inside, strict=True)
            }
            found = batch.landmarks68[row, :, :2].numpy()
            mirrored = not np.allclose(found, example.landmarks[:, :2], atol=1e-3)
            sides[mirrored] += 1
            back = found * [-1, 1] + [119, 0] if mirrored else found
            originals = np.array(list(there))
            nearest = np.linalg.norm(back[:, None] - originals, axis=2).argmin(axis=1)
            assert np.abs(back - originals[nearest]).max() < 0.01
            np.testing.assert_array_equal(batch.visible68[row], np.array(list(there.values()))[nearest])
    assert min(sides.values()) > 4


def test_shown_points_are_noisy_and_left_out(labelled: SetSource, face: MorphableModel) -> None:
    settings = replace(SETTINGS.still(), batch_size=10, point_dropout=0.3, map_dropout=0.4)
    stream = BatchStream(labelled, None, settings, face)
    batches = [stream.batch(step) for step in range(40)]
    shown = torch.cat([batch.input_visible for batch in batches])
    empty = ~shown.any(dim=1)
    assert empty.float().mean().item() == pytest.approx(0.4, abs=0.08)
    assert shown[~empty].float().mean().item() == pytest.approx(0.68, abs=0.06)  # 0.7, and some fall outside the crop
    off = torch.cat([(batch.input18 - batch.target18).norm(dim=2)[batch.input_visible] for batch in batches])
    assert 1.5 < off.median().item() < 3.5
    places = torch.cat([batch.input18[batch.input_visible] for batch in batches])
    assert places.min() >= 0 and places.max() < 120
    assert torch.cat([batch.target_visible for batch in batches]).any(dim=1).all()


def test_detector_like_wild_points_stay_where_they_are(wild: SetSource, face: MorphableModel) -> None:
    """A detector finds a photo's points once: they are off by the same amount in every epoch, and are the target too."""
    settings = replace(SETTINGS.still(), batch_size=7, wild_points="detector-like")
    stream = BatchStream(None, wild, settings, face)
    epochs = [stream.batch(step) for step in range(2)]
    for batch in epochs:
        assert torch.equal(batch.input18[batch.input_visible], batch.target18[batch.input_visible])
    first, second = (batch.target18[torch.argsort(batch.index)] for batch in epochs)
    assert torch.equal(first, second)
    exact = next(BatchStream(None, wild, replace(UNCHANGED, batch_size=7), face).ordered())
    off = (first - exact.target18).norm(dim=2)[exact.target_visible]
    assert off.min() > 0 and off.median() > 1
    human = BatchStream(None, wild, replace(settings, wild_points="human"), face).batch(0)
    assert not torch.equal(human.input18, human.target18)


# --- which face comes when --------------------------------------------------------------------


def test_any_number_of_workers_gives_the_same_batches(
    labelled: SetSource, wild: SetSource, face: MorphableModel
) -> None:
    alone = list(BatchStream(labelled, wild, SETTINGS, face).loader(0, 6))
    for workers in (1, 2):
        stream = BatchStream(labelled, wild, replace(SETTINGS, workers=workers), face)
        for one, two in zip(alone, stream.loader(0, 6), strict=True):
            assert_same(one, two)


def test_a_stream_goes_on_from_any_step(labelled: SetSource, wild: SetSource, face: MorphableModel) -> None:
    whole = list(BatchStream(labelled, wild, SETTINGS, face).loader(0, 9))
    resumed = BatchStream(labelled, wild, SETTINGS, face).loader(5, 9)
    for one, two in zip(whole[5:], resumed, strict=True):
        assert_same(one, two)
    other = BatchStream(labelled, wild, replace(SETTINGS, seed=6), face).batch(5)
    assert not torch.equal(other.images, whole[5].images)


def test_processes_share_the_batch_that_one_would_have(
    labelled: SetSource, wild: SetSource, face: MorphableModel
) -> None:
    settings = replace(SETTINGS, batch_size=8)
    whole = BatchStream(labelled, wild, settings, face).batch(3)
    for rank in range(2):
        part = BatchStream(labelled, wild, settings, face, rank=rank, world_size=2).batch(3)
        rows = [*range(2 * rank, 2 * rank + 2), *range(4 + 2 * rank, 6 + 2 * rank)]
        assert_same(Batch(**{name: tensor[rows] for name, tensor in whole.as_dict().items()}), part)


def test_every_face_comes_once_an_epoch_in_a_new_order(
    labelled: SetSource, wild: SetSource, face: MorphableModel
) -> None:
    stream = BatchStream(labelled, wild, replace(UNCHANGED, batch_size=4), face)
    batches = [stream.batch(step) for step in range(15)]
    for is_labelled, total in ((True, 10), (False, 7)):
        index = np.concatenate([batch.index[batch.labelled == is_labelled] for batch in batches])
        epochs = [index[first : first + total] for first in range(0, len(index) - total + 1, total)]
        for epoch in epochs:
            assert sorted(epoch) == list(range(total))
        assert epochs[0].tolist() != epochs[1].tolist()


def test_a_face_is_changed_otherwise_in_each_epoch(labelled: SetSource, face: MorphableModel) -> None:
    one = GeneratedSource(1, labelled.example, labelled.info)
    batch = BatchStream(one, None, SETTINGS, face).batch(0)
    assert len({image.numpy().tobytes() for image in batch.images}) == len(batch)
    assert len({points.numpy().tobytes() for points in batch.input18}) == len(batch)


@pytest.mark.parametrize(("ratio", "n_labelled"), [(0.5, 3), (1 / 3, 2), (5 / 6, 5)])
def test_the_share_of_labelled_faces(
    labelled: SetSource, wild: SetSource, face: MorphableModel, ratio: float, n_labelled: int
) -> None:
    batch = BatchStream(labelled, wild, replace(UNCHANGED, labelled_ratio=ratio), face).batch(0)
    assert batch.labelled.sum() == n_labelled and len(batch) == 6
    alone = BatchStream(labelled, None, replace(UNCHANGED, labelled_ratio=ratio), face).batch(0)
    assert alone.labelled.sum() == 6


def test_ordered_gives_every_face_once(labelled: SetSource, wild: SetSource, face: MorphableModel) -> None:
    batches = list(BatchStream(labelled, wild, SETTINGS.still(), face).ordered())
    assert [len(batch) for batch in batches] == [6, 4, 6, 1]
    assert np.concatenate([batch.index for batch in batches]).tolist() == [*range(10), *range(7)]
    for one, two in zip(batches, BatchStream(labelled, wild, SETTINGS.still(), face).ordered(), strict=True):
        assert_same(one, two)


# --- sources ----------------------------------------------------------------------------------


def test_crops_are_read_from_memory_file_and_another_process(sets: tuple[Path, Path], face: MorphableModel) -> None:
    kept, read = SetSource(sets[0]), SetSource(sets[0], in_memory=0)
    for index in (3, 0, 9):
        assert kept.example(index).jpg == read.example(index).jpg == labelled_example(index, face).jpg
    assert pickle.loads(pickle.dumps(read)).example(4).jpg == kept.example(4).jpg  # noqa: S301 (our own bytes)
    batches = BatchStream(read, None, replace(UNCHANGED, workers=2), face)  # the file is open here when they fork
    for one, two in zip(batches.loader(0, 4), BatchStream(kept, None, UNCHANGED, face).loader(0, 4), strict=True):
        assert_same(one, two)


def test_each_process_opens_the_file_once(sets: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def open_counted(path: Path, *rest: str | int) -> object:
        opened.append(path)
        return h5py.File(path, "r")

    monkeypatch.setattr(sources, "open_h5", open_counted)
    source = SetSource(sets[0], in_memory=0)
    for pid in (1, 1, 2, 2):
        monkeypatch.setattr("os.getpid", lambda pid=pid: pid)
        source.example(0)
    assert len(opened) == 2


def test_faces_are_made_on_the_fly(face: MorphableModel) -> None:
    info = labelled_info(face)
    made: list[int] = []

    def make(index: int) -> Example:
        made.append(index)
        return labelled_example(index % 5, face)

    source = GeneratedSource(1_000_000, make, info)
    batch = BatchStream(source, None, replace(UNCHANGED, workers=0), face).batch(100)
    assert made == batch.index.tolist() and len(set(made)) == 6
    assert max(made) > 10_000 and source.names[7] == "7"


def test_3ddfa_label_files(tmp_path: Path, face: MorphableModel) -> None:
    examples = [labelled_example(index, face) for index in range(4)]
    folder = tmp_path / "crops"
    (folder / "a").mkdir(parents=True)
    for index, example in enumerate(examples):
        (folder / "a" / f"{index}.jpg").write_bytes(example.jpg)
    files = tmp_path / "train.list"
    files.write_text("".join(f"a/{index}.jpg\n" for index in range(4)))
    labels = np.stack([example.coefficients for example in examples])
    whitening = Whitening(labels.mean(axis=0), labels.std(axis=0) + np.float32(1e-9))
    whitened = tmp_path / "param_all_norm.pkl"
    whitened.write_bytes(pickle.dumps(whitening.whiten(labels).astype(np.float32)))
    source = TddfaSource(files, whitened, folder, face, whitening=whitening)
    assert source.names == ("0", "1", "2", "3")
    np.testing.assert_allclose(source.whitening.mean, whitening.mean, rtol=1e-4, atol=1e-3)
    for index, example in enumerate(examples):
        found = source.example(index)
        assert found.jpg == example.jpg
        np.testing.assert_allclose(found.landmarks, example.landmarks, atol=1e-2)
    assert BatchStream(source, None, replace(SETTINGS, batch_size=4), face).batch(0).labelled.all()

    table = tmp_path / "points.txt"
    lines = [(f"{i}.jpg", examples[i].landmarks[:, :2].ravel() + 1) for i in (2, 0, 3, 1)]
    table.write_text("".join(f"{name},{','.join(f'{value:.4f}' for value in row)}\n" for name, row in lines))
    source = TddfaSource(files, whitened, folder, face, whitening=whitening, landmarks=table, origin=1)
    np.testing.assert_allclose(source.example(2).landmarks[:, :2], examples[2].landmarks[:, :2], atol=1e-3)
    assert np.isnan(source.example(2).landmarks[:, 2]).all()

    def refused(kind: type[Exception], message: str, **changes: object) -> None:
        given = {"file_list": files, "coefficients": whitened, "root": folder, "model": face, "whitening": whitening}
        with pytest.raises(kind, match=message):
            TddfaSource(**(given | changes))  # type: ignore[arg-type]

    refused(FileError, "are they whitened", whitening=None)
    (tmp_path / "short.list").write_text("a/0.jpg\n")
    refused(NamesError, "has 4 rows but .*short.list has 1 names", file_list=tmp_path / "short.list")
    (tmp_path / "empty.list").write_text("\n")
    refused(FileError, "names no files", file_list=tmp_path / "empty.list")
    np.save(tmp_path / "wide.npy", np.zeros((4, 101)))
    refused(FileError, r"wide.npy is float64 \(4, 101\); an array of 62", coefficients=tmp_path / "wide.npy")
    np.save(tmp_path / "nan.npy", np.where(np.arange(62) == 7, np.nan, labels))
    refused(NotFiniteError, "nan.npy: the coefficients of 0, 1", coefficients=tmp_path / "nan.npy", whitening=None)
    (tmp_path / "other.txt").write_text(table.read_text().replace("3.jpg", "7.jpg"))
    refused(NamesError, "other.txt has no row for 3", landmarks=tmp_path / "other.txt")
    swapped = "".join(f"{lines[k][0]},{','.join(map(str, lines[(k + 1) % 4][1] + 40))}\n" for k in range(4))
    (tmp_path / "swapped.txt").write_text(swapped)
    refused(FileError, "of the face's size from where", landmarks=tmp_path / "swapped.txt")


# --- bad input --------------------------------------------------------------------------------


def test_labels_of_another_basis_are_refused(labelled: SetSource, toy_model: MorphableModel) -> None:
    with pytest.raises(BasisError, match="the set of labelled faces belongs to the face model with basis id"):
        BatchStream(labelled, None, SETTINGS, toy_model)


def test_more_coefficients_than_the_model_has_are_refused(labelled: SetSource, face: MorphableModel) -> None:
    source = GeneratedSource(1, labelled.example, replace(labelled.info, n_identity=41))
    with pytest.raises(ShapeError, match=r"41 \+ 10 coefficients, 'open face v1' has 40 \+ 10"):
        BatchStream(source, None, SETTINGS, face)
    fewer = GeneratedSource(1, labelled.example, replace(labelled.info, n_identity=39))
    with pytest.raises(ShapeError, match="label of 'face0' has 62 coefficients; 61 are expected"):
        BatchStream(fewer, None, replace(SETTINGS, batch_size=1), face).batch(0)


def test_empty_streams_are_refused(labelled: SetSource, face: MorphableModel) -> None:
    nothing = GeneratedSource(0, wild_example, WILD)
    with pytest.raises(FileError, match="there are no wild faces"):
        BatchStream(labelled, nothing, SETTINGS, face)
    with pytest.raises(SettingsError, match="neither labelled nor wild"):
        BatchStream(None, None, SETTINGS, face)


def test_sets_in_the_wrong_place_are_refused(labelled: SetSource, wild: SetSource, face: MorphableModel) -> None:
    with pytest.raises(SettingsError, match="the labelled faces have no coefficients"):
        BatchStream(wild, None, SETTINGS, face)
    with pytest.raises(SettingsError, match="the wild faces have coefficients"):
        BatchStream(labelled, labelled, SETTINGS, face)
    with pytest.raises(FileError, match="the labelled faces have 21 points"):
        BatchStream(GeneratedSource(1, wild_example, replace(labelled.info, points="21")), None, SETTINGS, face)


@pytest.mark.parametrize(
    ("changes", "world_size"), [({"batch_size": 6}, 2), ({"labelled_ratio": 0.01}, 1), ({"labelled_ratio": 1.0}, 1)]
)
def test_batches_that_cannot_be_shared_out_are_refused(
    labelled: SetSource, wild: SetSource, face: MorphableModel, changes: dict, world_size: int
) -> None:
    with pytest.raises(SettingsError, match="cannot be shared out"):
        BatchStream(labelled, wild, replace(SETTINGS, **changes), face, world_size=world_size)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_crop_is_named_by_any_process(labelled: SetSource, face: MorphableModel, workers: int) -> None:
    source = changed_source(labelled, lambda example: replace(example, jpg=example.jpg[:300]))
    stream = BatchStream(source, None, replace(SETTINGS, workers=workers), face)
    with pytest.raises(FileError, match=r"^'face\d': the crop does not decode: [^\n]*$"):
        next(iter(stream.loader(0, 2)))


def test_labels_that_are_not_finite_are_named(
    sets: tuple[Path, Path], labelled: SetSource, face: MorphableModel
) -> None:
    damaged = sets[0].with_name("nan.h5")
    damaged.write_bytes(sets[0].read_bytes())
    with h5py.File(damaged, "r+") as file:
        file["coefficients"][4, 20] = np.inf
    with pytest.raises(NotFiniteError, match=r"nan.h5: the coefficients of face4 are not finite"):
        SetSource(damaged)
    source = changed_source(labelled, lambda example: replace(example, coefficients=example.coefficients * np.nan))
    with pytest.raises(NotFiniteError, match=r"the coefficients of 'face\d' are not finite"):
        BatchStream(source, None, SETTINGS, face).batch(0)


def test_a_model_without_a_mirror_is_said_and_only_wild_faces_are_mirrored(
    labelled: SetSource, wild: SetSource, face: MorphableModel
) -> None:
    plain = replace(face, symmetry=None)
    settings = replace(SETTINGS.still(), flip=1.0, noise=DetectorNoise(times=0))
    stream = BatchStream(labelled, wild, settings, plain)
    assert len(stream.notes) == 1 and "labelled faces are not mirrored: 'open face v1' does not say" in stream.notes[0]
    batch, unchanged = stream.batch(0), BatchStream(labelled, wild, UNCHANGED, face).batch(0)
    assert torch.equal(batch.images[:3], unchanged.images[:3])
    assert torch.equal(batch.images[3:], unchanged.images[3:].flip(3))


def test_workers_leave_no_process_behind(labelled: SetSource, face: MorphableModel) -> None:
    import multiprocessing

    batches = iter(BatchStream(labelled, None, replace(SETTINGS, workers=2), face).loader(0, 100))
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    del batches
    assert multiprocessing.active_children() == []


def test_a_worker_that_was_killed_is_told_of(labelled: SetSource, face: MorphableModel) -> None:
    def killed(example: Example) -> Example:
        os.kill(os.getpid(), signal.SIGKILL)
        return example

    stream = BatchStream(changed_source(labelled, killed), None, replace(SETTINGS, workers=1), face)
    with pytest.raises(TwodaslError, match=r"^no batch came from the processes that make them: [^\n]*--workers 0"):
        next(iter(stream.loader(0, 2)))


def test_a_batch_that_never_comes_is_told_of(
    labelled: SetSource, face: MorphableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a worker finds no shared memory to hand its batch over in: it goes on, the batch is lost."""

    def lost(example: Example) -> Example:
        time.sleep(60)
        return example

    monkeypatch.setattr(batches, "LONGEST_WAIT", 1)
    stream = BatchStream(changed_source(labelled, lost), None, replace(SETTINGS, workers=1), face)
    with pytest.raises(TwodaslError, match=r"^no batch came [^\n]*timed out after 1 seconds"):
        next(iter(stream.loader(0, 2)))
