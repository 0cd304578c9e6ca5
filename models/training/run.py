"""Begin a training, or go on with one: from what a person asks for to a trainer that runs."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..errors import FileError, SettingsError
from ..library import open_model
from ..networks import Architecture
from .batches import Batch, BatchStream
from .data import DataSettings
from .distributed import World, check_batch, joined
from .face import TorchFace
from .sets import Example, SetInfo
from .settings import PRESETS, TrainSettings
from .sources import SetSource, Source, label_whitening
from .state import begin_folder, check_free, load_state, read_settings
from .trainer import Task, Trainer

Drive = Callable[[Trainer, float | None], None]
VALIDATION_SEED = 1_000_003  # the seed that held-out faces' input points are drawn by, the same in every training


@dataclass(frozen=True)
class Asked:
    """What `twodasl train start` was asked for; None leaves it to the preset."""

    preset: str
    labelled: Path
    wild: Path | None = None
    model_path: Path | None = None
    backbone: str | None = None
    width: float | None = None
    imagenet: Path | None = None
    map_kind: str | None = None
    batch: int | None = None
    lr: float | None = None
    seed: int | None = None
    precision: str | None = None
    steps: int | None = None
    minutes: float | None = None
    workers: int | None = None
    device: str = "cpu"
    changes: tuple[str, ...] = ()


def start_training(folder: Path, asked: Asked, *, overwrite: bool, drive: Drive) -> None:
    """Begin a training in `folder`. drive: runs the trainer, for so many seconds where they are given.

    Raises FileError for unusable sets or a folder that holds a training, SettingsError for settings that do not fit.
    """
    settings = settings_of(asked)
    inputs = inputs_of(asked)
    with joined(asked.device) as world:
        if world.first:
            check_free(folder, overwrite)
        task = build_task(settings, inputs, asked.workers, world)
        trainer = Trainer(settings, task, folder, world, _imagenet_network(settings, task))
        trainer.progress.inputs = inputs
        if world.first:  # when nothing is left that could be wrong with what was asked for
            begin_folder(folder, {"settings": settings.as_dict(), "inputs": inputs})
        drive(trainer, _seconds(asked.minutes))


def resume_training(
    folder: Path,
    *,
    steps: int | None,
    minutes: float | None,
    workers: int | None,
    device: str,
    model_path: Path | None,
    drive: Drive,
) -> None:
    """Go on with the training in `folder` from its last save; steps: how many it has in all from now on.

    Raises FileError where there is none, TwodaslError where its inputs changed or the world has another size.
    """
    written = read_settings(folder)
    settings = TrainSettings.from_dict(written.get("settings", {}))
    inputs = dict(written.get("inputs", {}))
    if model_path is not None:
        inputs["model"] = str(model_path.resolve())
    with joined(device) as world:
        task = build_task(settings, inputs, workers, world)
        trainer = Trainer(settings, task, folder, world)
        trainer.load(*load_state(folder, world.device))
        if steps is not None:
            trainer.progress.steps = steps
        if trainer.progress.step >= trainer.progress.steps and minutes is None:
            raise SettingsError(
                f"{folder} is done with its {trainer.progress.steps} steps: --minutes or more --steps go on with it"
            )
        drive(trainer, _seconds(minutes))


def inputs_of(asked: Asked) -> dict[str, str]:
    """The files that were named, in full; empty for none."""
    named = {"labelled": asked.labelled, "wild": asked.wild, "model": asked.model_path}
    return {kind: "" if path is None else str(path.resolve()) for kind, path in named.items()}


def settings_of(asked: Asked) -> TrainSettings:
    """The preset with what was asked for in its place."""
    changes: dict[str, Any] = {
        "network.name": asked.backbone,
        "network.width": asked.width,
        "network.imagenet": None if asked.imagenet is None else str(asked.imagenet.resolve()),
        "map_kind": asked.map_kind,
        "batch": asked.batch,
        "optimiser.lr": asked.lr,
        "seed": asked.seed,
        "precision": asked.precision,
        "steps": asked.steps,
    }
    if asked.backbone is not None and asked.width is None:
        changes["network.width"] = 1.0
    if asked.wild is None:
        changes["labelled"] = 1.0
    changes = {name: value for name, value in changes.items() if value is not None}
    for change in asked.changes:
        name, mark, value = change.partition("=")
        if not mark:
            raise SettingsError(f"--set {change}: NAME=VALUE is expected")
        try:
            changes[name.strip()] = json.loads(value)
        except ValueError:
            changes[name.strip()] = value
    whole = PRESETS[asked.preset].as_dict()
    for name, value in changes.items():
        _set(whole, name, value)
    if whole["map_kind"] == "none":
        whole["losses"] |= {"self_3d": 0.0, "cycle": 0.0}  # a second pass would see what the first saw
    return TrainSettings.from_dict(whole)


def _set(tree: dict[str, Any], name: str, value: Any) -> None:
    *groups, last = name.split(".")
    for group in groups:
        tree = tree.get(group) if isinstance(tree.get(group), dict) else {}  # type: ignore[assignment]
    if last not in tree and groups != ["data"]:
        raise SettingsError(f"there is no setting called {name}; settings.json of a training lists them")
    tree[last] = value


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else 60 * minutes


def build_task(settings: TrainSettings, inputs: dict[str, str], workers: int | None, world: World) -> Task:
    """What a training of these settings learns from these files. Raises what `start_training` raises for them."""
    for kind in ("labelled", "wild", "model"):
        if inputs.get(kind) and not Path(inputs[kind]).exists():
            raise FileError(f"cannot read {inputs[kind]}: no such file ({kind})")
    whole = SetSource(Path(inputs["labelled"]))
    info = whole.info
    if not info.labelled:
        raise FileError(f"{inputs['labelled']} has no coefficients: it is a wild set; --wild takes it")
    wild = SetSource(Path(inputs["wild"])) if inputs.get("wild") else None
    model_file = Path(inputs["model"]) if inputs.get("model") else None
    model = info.own_model(open_model(model_file, info.basis_id, inputs["labelled"]), inputs["labelled"])
    held, rest = split(whole.names, settings)
    training = Part(whole, rest)
    whitening = whole.set.whitening
    if settings.labelled_share < 1:  # the other labels are not known
        whitening = label_whitening(whole.set.coefficients[rest])
    assert whitening is not None
    n_labelled = round(settings.batch * settings.labelled) if wild is not None else settings.batch
    check_batch(world, settings.batch, n_labelled)
    data = DataSettings.from_dict(
        settings.data
        | {
            "batch_size": settings.batch, "labelled_ratio": n_labelled / settings.batch, "seed": settings.seed,
            "workers": 1 if workers is None else workers, "map_kind": settings.map_kind,
        }
    )  # fmt: skip
    stream = BatchStream(training, wild, data, model, rank=world.rank, world_size=world.size)
    terms = "; ".join(dict.fromkeys([info.terms, *([] if wild is None else [wild.info.terms])]))
    return Task(
        face=TorchFace(model, whitening, info.n_identity, info.n_expression, info.convention, info.landmark_list),
        whitening=whitening,
        basis_id=info.basis_id,
        convention=info.convention,
        n_identity=info.n_identity,
        n_expression=info.n_expression,
        batches=stream.loader,
        validation=HeldOut(Part(whole, held), data, model),
        labelled=n_labelled,
        wild=settings.batch - n_labelled,
        held_out=len(held),
        terms=f"trained on: {terms}",
        notes=stream.notes,
    )


@dataclass(frozen=True, eq=False)
class Part:
    """Some faces of a source."""

    source: Source
    rows: np.ndarray

    @property
    def info(self) -> SetInfo:
        return self.source.info

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.source.names[row] for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def example(self, index: int) -> Example:
        return self.source.example(int(self.rows[index]))


def split(names: Sequence[str], settings: TrainSettings) -> tuple[np.ndarray, np.ndarray]:
    """Rows held out, and those trained on: by the hash of a face's name, so that a set that grows keeps its split, and
    a smaller labelled share is a part of a larger one. Raises SettingsError where none is left to train on."""
    marks = _marks(names)
    held = np.flatnonzero(marks < settings.validation.share)[: settings.validation.most]
    rest = np.setdiff1d(np.arange(len(marks)), held)
    if len(rest) == 0:
        raise SettingsError(
            f"all {len(marks)} labelled faces would be held out: a smaller validation.share trains on some"
        )
    if settings.labelled_share < 1:
        order = np.argsort(_marks([f"share {names[row]}" for row in rest]), kind="stable")
        rest = np.sort(rest[order[: max(1, round(settings.labelled_share * len(rest)))]])
    return held, rest


def _marks(names: Sequence[str]) -> np.ndarray:
    """A number from 0 to 1 for each name."""
    return np.array([int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 for name in names])


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The held-out faces in batches, as they are but for their input points, which are as far off as a detector's."""

    part: Part
    data: DataSettings
    model: Any

    def __call__(self) -> Iterable[Batch]:
        return self._batches()

    def _batches(self) -> Iterator[Batch]:
        plain = replace(self.data.still(), seed=VALIDATION_SEED)
        yield from BatchStream(self.part, None, plain, self.model).ordered()


def _imagenet_network(settings: TrainSettings, task: Task) -> nn.Module | None:
    if not settings.network.imagenet:
        return None
    import torch

    from ..efficientnet import load_imagenet

    if settings.network.name != "efficientnet-lite0":
        raise SettingsError(f"--imagenet is for efficientnet-lite0; {settings.network.name} starts from scratch")
    torch.manual_seed(settings.seed)
    channels = 3 if settings.map_kind == "none" else 4
    outputs = 12 + task.n_identity + task.n_expression
    network = Architecture(settings.network.name, settings.network.width, channels, outputs).build()
    load_imagenet(network, Path(settings.network.imagenet))
    return network
