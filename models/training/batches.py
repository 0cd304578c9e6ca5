"""Batches of labelled and wild faces for the trainer: the same for any number of workers and of processes."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import SettingsError, TwodaslError
from ..morphable import LANDMARKS, MorphableModel
from ..pose import CROP_SIZE
from .changes import ChangedFace, Changer
from .data import DataSettings
from .points import map_points
from .sampler import Place, places
from .sets import SetInfo
from .sources import Source

LABELLED, WILD = 0, 1
LONGEST_WAIT = 600  # seconds for a batch, after which its worker counts as lost


@dataclass(frozen=True, eq=False)
class Batch:
    """B faces, labelled ones first. Points are pixels of the changed crop from 0, y down.

    images: (B, 3, 120, 120) float32: B, G, R, (v - 127.5) / 128. input18: (B, 18, 2) float32, the landmark map's points as
    the network is shown them; input_visible: (B, 18) bool, those that are shown. target18, target_visible: alike, the
    points as they are known (detector-like wild ones as such), and those inside the crop that nothing is known to hide.
    A point without a place is 0, 0 and not visible. landmarks68: (B, 68, 3) float32, as annotated, NaN where not;
    visible68: (B, 68) bool. coefficients: (B, C) float32, un-whitened, of the changed crop, y up; NaN for wild faces (C
    is 0 in a stream of wild faces alone). labelled: (B,) bool. index: (B,) int64, of the example in its source.
    """

    images: Tensor
    input18: Tensor
    input_visible: Tensor
    target18: Tensor
    target_visible: Tensor
    landmarks68: Tensor
    visible68: Tensor
    coefficients: Tensor
    labelled: Tensor
    index: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def as_dict(self) -> dict[str, Tensor]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device, its images in the memory order in which convolutions are fastest."""
        there = {name: tensor.to(device, non_blocking=True) for name, tensor in self.as_dict().items()}
        there["images"] = there["images"].contiguous(memory_format=torch.channels_last)
        return Batch(**there)


class BatchStream:
    """Batches by the number of their step, a pure function of settings, sources and number.

    The faces of a step are shared out among `world_size` processes, this one being `rank`: together they get what one
    process alone would. model: what the labels belong to. notes: what the settings ask for and cannot be done.
    Raises SettingsError where a kind of faces cannot be shared out evenly or has no place in a batch, and what `Changer`
    raises for sources that cannot be used.
    """

    def __init__(
        self,
        labelled: Source | None,
        wild: Source | None,
        settings: DataSettings,
        model: MorphableModel,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.settings, self._rank, self._world_size = settings, rank, world_size
        self._changers = {
            kind: Changer(source, settings, model)
            for kind, source in ((LABELLED, labelled), (WILD, wild))
            if source is not None
        }
        if not self._changers:
            raise SettingsError("neither labelled nor wild faces are given")
        for kind, name in ((LABELLED, "labelled"), (WILD, "wild")):
            if kind in self._changers and self._changers[kind].info.labelled != (kind == LABELLED):
                raise SettingsError(f"the {name} faces {'have no' if kind == LABELLED else 'have'} coefficients")
        self.counts = self._shares()
        self.notes = tuple(changer.note for changer in self._changers.values() if changer.note)
        self._n_coefficients = self._changers[LABELLED].info.n_coefficients if labelled is not None else 0

    def _shares(self) -> dict[int, int]:
        """Faces of each kind in a batch of this process."""
        size, world = self.settings.batch_size, self._world_size
        n_labelled = round(size * self.settings.labelled_ratio)
        counts = {LABELLED: n_labelled, WILD: size - n_labelled} if len(self._changers) == 2 else {}
        counts = counts or dict.fromkeys(self._changers, size)
        if min(counts.values()) == 0 or any(count % world for count in counts.values()):
            shown = " + ".join(map(str, counts.values()))
            raise SettingsError(
                f"a batch of {shown} faces cannot be shared out to {world} process{'es' * (world > 1)}: each gets as many "
                "labelled and as many wild ones as any other, one or more"
            )
        return {kind: count // world for kind, count in counts.items()}

    def batch(self, step: int) -> Batch:
        """The batch of a step, from 0, of this process."""
        chosen: list[Place] = []
        for kind, count in self.counts.items():
            first = (step * self._world_size + self._rank) * count
            total = len(self._changers[kind].source)
            chosen += places(self.settings.seed, kind, total, first, count)
        return self._batch(chosen)

    def ordered(self) -> Iterator[Batch]:
        """Every face once, in the order of its source, labelled ones before wild ones; the last batch of each may be
        smaller."""
        for kind, changer in self._changers.items():
            total = len(changer.source)
            for first in range(0, total, self.settings.batch_size):
                rows = range(first, min(first + self.settings.batch_size, total))
                yield self._batch([Place(kind, 0, row, row) for row in rows])

    def loader(self, start_step: int, stop_step: int) -> Iterator[Batch]:
        """The batches of these steps in order, made ahead by the settings' worker processes."""
        workers = self.settings.workers
        loader = DataLoader(
            _Steps(self),
            batch_size=None,
            sampler=range(start_step, stop_step),
            num_workers=workers,
            worker_init_fn=_begin_worker,
            timeout=LONGEST_WAIT if workers else 0,
        )
        made_ahead = iter(loader)
        try:
            while True:
                made = next(made_ahead)
                if isinstance(made, TwodaslError):
                    raise made
                yield made
        except StopIteration:
            return
        except RuntimeError as error:  # a worker was killed, or could not hand its batch over
            if not workers or str(error).startswith("Caught "):  # a fault in the code that makes batches
                raise
            raise TwodaslError(
                f"no batch came from the processes that make them: {str(error).splitlines()[0]} (too little shared memory "
                "does this; --workers 0 does without)"
            ) from error
        finally:
            del made_ahead  # what is raised holds on to this frame, and it would hold on to the workers

    def _batch(self, chosen: Sequence[Place]) -> Batch:
        groups = []
        for kind, changer in self._changers.items():
            faces = [changer.face(place) for place in chosen if place.stream == kind]
            if faces:
                groups.append(_arrays(faces, changer.info, self._n_coefficients))
        joined = {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}
        return Batch(**{name: torch.from_numpy(array) for name, array in joined.items()})


def _arrays(faces: Sequence[ChangedFace], info: SetInfo, n_coefficients: int) -> dict[str, np.ndarray]:
    """The arrays of `Batch` for faces of one source."""
    count = len(faces)
    known, shown, visible = (
        np.stack([getattr(face, name) for face in faces]) for name in ("known", "shown", "visible")
    )
    there = np.isfinite(known).all(axis=2)
    target, seen = map_points(known, visible & there, info.points)
    given, is_given = map_points(shown, there, info.points)
    landmarks, visible68 = np.full((count, LANDMARKS, 3), np.nan, np.float32), np.zeros((count, LANDMARKS), bool)
    if info.points == "68":
        landmarks[:], visible68 = np.stack([face.points for face in faces]), visible
    coefficients = np.full((count, n_coefficients), np.nan, np.float32)
    if info.labelled:
        coefficients[:] = np.stack([face.coefficients for face in faces])
    in_crop = ((given >= 0) & (given < CROP_SIZE)).all(axis=2)
    return {
        "images": _images([face.picture for face in faces]),
        "input18": np.nan_to_num(given).astype(np.float32),
        "input_visible": is_given & in_crop & np.stack([face.kept for face in faces]),
        "target18": np.nan_to_num(target).astype(np.float32),
        "target_visible": seen,
        "landmarks68": landmarks,
        "visible68": visible68,
        "coefficients": coefficients,
        "labelled": np.full(count, info.labelled),
        "index": np.array([face.index for face in faces], np.int64),
    }


def _images(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """(n, 3, 120, 120) float32 of n pictures (120, 120, 3) uint8 RGB, as networks take them (`bgr-127.5-128`)."""
    images = np.empty((len(pictures), 3, CROP_SIZE, CROP_SIZE), np.float32)
    for image, picture in zip(images, pictures, strict=True):
        image[:] = np.moveaxis(picture, 2, 0)[::-1]
    images -= 127.5
    images /= 128
    return images


class _Steps(Dataset[Any]):
    """Step numbers to batches; what a user can put right travels back as it is, to be raised there."""

    def __init__(self, stream: BatchStream) -> None:
        self._stream = stream

    def __getitem__(self, step: int) -> Batch | TwodaslError:
        try:
            return self._stream.batch(step)
        except TwodaslError as error:
            return error


def _begin_worker(_number: int) -> None:
    """A worker ends when the trainer does: Ctrl-C is the trainer's to answer, and its answer to SIGTERM is not a
    worker's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
