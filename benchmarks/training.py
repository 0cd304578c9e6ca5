"""How many images a second does a training step take, where does the time go, and what does the arrangement save?

    OMP_NUM_THREADS=1 python benchmarks/training.py [mobilenet-v1:0.5 ...] [--batch 32] [--repeats 5] [--device cpu] [--json]

Preset `open` with every loss, invented faces, half of them labelled. On a CPU process time of one thread, on a GPU wall
time with all work waited for; the step is the least of the repeats, and its stages are those of that step, timed by
wrapping the functions that make them. Data are made by the measuring process here; in a training worker processes do it,
and one of them keeps up while the loader's share is below 1. The plain way sends labelled and wild faces through the
network one after the other, in both passes, in torch's default memory order and with its batch norm. Checked first: both
ways give the same terms of the loss (batch norms frozen, so that faces do not see each other).
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.toy_sets import write_labelled, write_wild
from twodasl.models.library import default_model
from twodasl.models.training.average import Average
from twodasl.models.training.batches import Batch
from twodasl.models.training.critic import Critic
from twodasl.models.training.distributed import World
from twodasl.models.training.maps import rasterise
from twodasl.models.training.objective import Objective
from twodasl.models.training.run import Asked, build_task, inputs_of, settings_of
from twodasl.models.training.trainer import Trainer

NETWORKS = (
    "resnet-18:0.25",
    "resnet-18:0.5",
    "mobilenet-v1:0.5",
    "mobilenet-v1:1",
    "efficientnet-lite0:1",
    "resnet-50:1",
)
HELD_OUT = 64  # faces of a validation
STAGES = ("forward 1", "forward 2", "losses", "backward", "critic", "optimiser and EMA", "everything else")


class Clock:
    """Seconds: of this process, or on a GPU of the wall once all its work is done."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")

    def __call__(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()


class Stages:
    """Where a step's time goes; what a stage calls of another counts there only, but all below the critic is its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: list[str] = []
        self._passes = 0
        self.spent: dict[str, float] = {}

    def begin(self) -> None:
        self._passes, self.spent = 0, dict.fromkeys(STAGES, 0.0)

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            name = stage
            if self._running and self._running[-1] == "critic":
                name = "critic"
            elif stage == "forward":
                self._passes += 1
                name = f"forward {self._passes}"
            start = self._clock()
            self._running.append(name)
            try:
                return work(*arguments, **options)
            finally:
                self._running.pop()
                took = self._clock() - start
                self.spent[name] += took
                if self._running:
                    self.spent[self._running[-1]] -= took

        return call

    @contextmanager
    def watching(self, trainer: Trainer) -> Iterator[None]:
        places: list[tuple[Any, str, str]] = [
            (Objective, "_pass", "forward"), (Objective, "forward", "losses"), (Tensor, "backward", "backward"),
            (Critic, "forward", "critic"), (Trainer, "_teach_critic", "critic"), (Average, "follow", "optimiser and EMA"),
            (nn.utils, "clip_grad_norm_", "optimiser and EMA"), (type(trainer._optimiser), "step", "optimiser and EMA"),
        ]  # fmt: skip
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        for owner, name, stage in places:
            setattr(owner, name, self.timed(stage, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, work in before:
                setattr(owner, name, work)


class PlainObjective(Objective):
    """Labelled faces, then wild ones: a pass for each, in the memory order that torch takes by itself."""

    n_labelled: int

    def _pass(self, images: Tensor, points: Tensor, visible: Tensor) -> Tensor:
        whole = torch.cat([images, rasterise(points, visible, "binary")], dim=1).contiguous()  # type: ignore[list-item]
        return torch.cat([self.network(part) for part in (whole[: self.n_labelled], whole[self.n_labelled :])])


def trainer_of(folder: Path, name: str, width: float, batch: int, device: str) -> Trainer:
    asked = Asked(
        preset="open", labelled=folder / "labelled.h5", wild=folder / "wild.h5", backbone=name, width=width, batch=batch,
        steps=1000, workers=0, device=device, map_kind="binary",
        changes=("losses.critic=0.01", "validation.share=0.5"),
    )  # fmt: skip
    settings = settings_of(asked)
    settings = replace(settings, validation=replace(settings.validation, most=HELD_OUT))
    world = World(0, 1, torch.device(device))
    trainer = Trainer(settings, build_task(settings, inputs_of(asked), 0, world), folder, world)
    trainer.progress.step = 1  # at step 0 the trainer also looks at every term's own gradient
    return trainer


def make_plain(trainer: Trainer, n_labelled: int) -> None:
    network = trainer.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = nn.BatchNorm2d
    objective = PlainObjective(network, trainer.task.face, trainer.settings.losses, "binary")
    objective.n_labelled = n_labelled
    trainer.objective = trainer._parallel = objective


def least(work: Callable[[], Any], clock: Clock, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def terms_of(trainer: Trainer, batch: Batch) -> dict[str, float]:
    """The terms of the first step, batch norms frozen, from the seed's own weights; the trainer is used up."""
    frozen = tuple(replace(stage, batch_norm="freeze") for stage in trainer.settings.stages)
    trainer.settings = replace(trainer.settings, stages=frozen)
    return trainer._step(batch, 0.0).terms


def measure(folder: Path, name: str, width: float, batch_size: int, repeats: int, device: str) -> dict[str, Any]:
    clock = Clock(device)
    trainer, plain = (trainer_of(folder, name, width, batch_size, device) for _ in range(2))
    made = next(iter(trainer.task.batches(1, 2)))
    batch, default = made.to(device), Batch(**{key: value.to(device) for key, value in made.as_dict().items()})
    make_plain(plain, trainer.task.labelled)
    check(name, terms_of(trainer, batch), terms_of(plain, default))

    trainer, plain = (trainer_of(folder, name, width, batch_size, device) for _ in range(2))
    make_plain(plain, trainer.task.labelled)
    stages, runs = Stages(clock), []
    for number in range(repeats + 1):  # the first one warms up
        with stages.watching(trainer):
            stages.begin()
            start = clock()
            trainer._step(batch, 0.0)
            took = clock() - start
        stages.spent["everything else"] += took - sum(stages.spent.values())
        if number:
            runs.append((took, stages.spent))
    step, spent = min(runs, key=lambda run: run[0])
    plain._step(default, 0.0)
    plain_step = least(lambda: plain._step(default, 0.0), clock, repeats)
    steps = iter(trainer.task.batches(2, 10**6))
    next(steps)
    data = least(lambda: next(steps), Clock("cpu"), repeats)
    return {
        "network": name,
        "width": width,
        "batch": batch_size,
        "step_ms": 1000 * step,
        "images_per_second": batch_size / step,
        "stages_ms": {stage: 1000 * value for stage, value in spent.items()},
        "data_ms": 1000 * data,
        "loader_share": data / step,
        "validation_ms_per_face": 1000 * least(trainer.validation_error, clock, 2) / trainer.task.held_out,
        "plain_step_ms": 1000 * plain_step,
        "times_as_fast_as_plain": plain_step / step,
        "gpu_utilisation_percent": utilisation(trainer, batch) if device.startswith("cuda") else None,
    }


def check(name: str, found: dict[str, float], plain: dict[str, float]) -> None:
    for term, value in found.items():
        if abs(value - plain[term]) > 1e-3 * abs(plain[term]) + 1e-7:
            raise AssertionError(f"{name}: {term} is {value}, the plain way {plain[term]}")


def utilisation(trainer: Trainer, batch: Batch) -> float | None:
    """Mean of what the driver says while steps run, percent; None where torch cannot ask it."""
    told = []
    for _ in range(20):
        trainer._step(batch, 0.0)
        try:
            told.append(torch.cuda.utilization())
        except (ModuleNotFoundError, RuntimeError):
            return None
    return sum(told) / len(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NAME:WIDTH")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measured = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_labelled(folder / "labelled.h5", default_model(), 4 * HELD_OUT)
        write_wild(folder / "wild.h5", 2 * HELD_OUT)
        for given in arguments.networks:
            name, _, width = given.partition(":")
            measured.append(
                measure(folder, name, float(width or 1), arguments.batch, arguments.repeats, arguments.device)
            )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    about = {
        "commit": commit.stdout.strip(),
        "hardware": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "device": arguments.device,
        "batch": arguments.batch,
        "repeats": arguments.repeats,
    }
    if arguments.json:
        print(json.dumps(about | {"networks": measured}))
        return
    timed = "one thread, process time" if arguments.device == "cpu" else "wall time"
    print(f"commit {about['commit']}, {about['hardware']}, torch {about['torch']}, {arguments.device}, {timed}")
    print(f"batch of {arguments.batch}, least of {arguments.repeats}\n")
    print(f"{'ms a step':28}" + "".join(f"{found['network']} x{found['width']:g}".rjust(24) for found in measured))
    for stage in STAGES:
        print(f"{stage:28}" + "".join(f"{found['stages_ms'][stage]:24.1f}" for found in measured))
    rows = {
        "step": ("step_ms", ".1f"), "images a second": ("images_per_second", ".1f"),
        "data, one worker": ("data_ms", ".1f"), "loader's share of a step": ("loader_share", ".3f"),
        "validation, a face": ("validation_ms_per_face", ".2f"), "plain step": ("plain_step_ms", ".1f"),
        "times as fast as plain": ("times_as_fast_as_plain", ".2f"),
    }  # fmt: skip
    for text, (key, style) in rows.items():
        print(f"{text:28}" + "".join(format(found[key], style).rjust(24) for found in measured))
    if arguments.device.startswith("cuda"):
        told = [found["gpu_utilisation_percent"] for found in measured]
        print(f"{'GPU utilisation, %':28}" + "".join(("-" if v is None else f"{v:.0f}").rjust(24) for v in told))


if __name__ == "__main__":
    main()
