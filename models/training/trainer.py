"""The training loop: steps, schedule, validation, saving, and going on where it stopped, to the same bits."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import Weights
from ..coefficients import Whitening
from ..errors import TwodaslError
from ..files import whole_file
from ..networks import Architecture
from .average import Average
from .batch_norm import CpuBatchNorm
from .batches import Batch
from .critic import Critic
from .distributed import World, agreed, averaged, synced
from .face import TorchFace
from .log import Log
from .losses import critic_loss
from .objective import Counts, Objective
from .schedule import learning_rate
from .settings import TrainSettings
from .state import BEST, LAST, Progress, save_state

PROBED = 12  # steps after which --minutes becomes a number of steps
SAMPLES = 8  # faces on a picture for TensorBoard
LOGGED = 10  # steps from one line of the log to the next
LANDMARK_MAPS = {"none": "none", "binary": "binary-18", "gauss": "gauss-18"}


class NotFiniteLossError(TwodaslError):
    """A term of the loss is NaN or infinite."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned, besides the settings. batches: of steps start..stop-1, of this process. validation: held-out
    batches, of `held_out` faces. labelled, wild: faces of a whole batch. terms: what the
    weights say of their use. notes: what was asked for and cannot be done."""

    face: TorchFace
    whitening: Whitening
    basis_id: str
    convention: Any
    n_identity: int
    n_expression: int
    batches: Callable[[int, int], Iterator[Batch]]
    validation: Callable[[], Iterable[Batch]]
    labelled: int
    wild: int
    held_out: int = 0
    terms: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Budget:
    """When to stop: after this many seconds from now, or when the steps are done."""

    seconds: float | None = None


@dataclass(frozen=True)
class Report:
    """What a step tells. terms: the weighted parts of the loss. critic: its own loss, and the share of faces that it
    tells right. gradients: the norm of each term's gradient, at steps where it was looked at. waited: seconds for data.
    """

    step: int
    steps: int
    loss: float
    terms: dict[str, float]
    lr: float
    images_per_second: float
    waited: float
    critic: dict[str, float] = field(default_factory=dict)
    gradients: dict[str, float] = field(default_factory=dict)


class Trainer:
    """One training in one process; `progress` says where it is."""

    def __init__(
        self, settings: TrainSettings, task: Task, folder: Path, world: World, network: nn.Module | None = None
    ) -> None:
        """network: to start from; else one with fresh weights, drawn with the settings' seed."""
        self.settings, self.task, self.folder, self.world = settings, task, folder, world
        torch.manual_seed(settings.seed)
        channels = 3 if settings.map_kind == "none" else 4
        outputs = 12 + task.n_identity + task.n_expression
        self.architecture = Architecture(settings.network.name, settings.network.width, channels, outputs)
        self.network = _placed(synced(network or self.architecture.build(), world), world.device)
        self.objective: nn.Module = Objective(
            self.network, task.face.to(world.device), settings.losses, settings.map_kind
        )
        self.critic: Critic | None = None
        if settings.losses.critic:
            shape = task.n_identity + task.n_expression
            how = settings.critic
            critic = Critic(shape, how.kind, how.spectral_norm, how.side)
            self.critic = critic.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._critic_optimiser = torch.optim.Adam(self.critic.parameters(), settings.critic.lr)
        self._optimiser = _optimiser(self.network, settings)
        self._average = Average(self.network, settings.optimiser.ema)
        self.progress = Progress(steps=settings.steps, world=world.size)
        self._parallel: nn.Module = self.objective
        if world.size > 1:
            self._parallel = nn.parallel.DistributedDataParallel(self.objective)
        self._stop = False

    def stop(self) -> None:
        """Ask to stop after the step that is under way; the state is saved then."""
        self._stop = True

    # --- state ----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the state and the last weights."""
        if not self.world.first:
            return
        tensors: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self._average.state,
            "optimiser": self._optimiser.state_dict(),
        }
        if self.critic is not None:
            tensors |= {"critic": self.critic.state_dict(), "critic_optimiser": self._critic_optimiser.state_dict()}
        save_state(self.folder, self.progress, tensors)
        self.weights().save(self.folder / LAST)

    def load(self, progress: Progress, tensors: dict[str, Any]) -> None:
        """Go on from a saved state. Raises TwodaslError where it is of another network or number of processes."""
        if progress.world != self.world.size:
            raise TwodaslError(
                f"{self.folder} was trained by {progress.world} processes, this is one of {self.world.size}: start "
                "as many to go on"
            )
        try:
            self.network.load_state_dict(tensors["network"])
            self._average.load(tensors["average"])
            self._optimiser.load_state_dict(tensors["optimiser"])
            if self.critic is not None:
                self.critic.load_state_dict(tensors["critic"])
                self._critic_optimiser.load_state_dict(tensors["critic_optimiser"])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise TwodaslError(f"the state in {self.folder} does not fit its settings: {reason}") from error
        self.progress = progress

    def weights(self) -> Weights:
        """The averaged weights, as they predict."""
        task, settings = self.task, self.settings
        return Weights(
            architecture=self.architecture,
            state=self._average.state,
            whitening=task.whitening,
            basis_id=task.basis_id,
            convention=task.convention,
            landmark_map=LANDMARK_MAPS[settings.map_kind],
            n_identity=task.n_identity,
            n_expression=task.n_expression,
            name=self.folder.name,
            source=f"twodasl train, preset {settings.preset}, step {self.progress.step}",
            terms=task.terms,
            training=settings.as_dict() | {"step": self.progress.step},
        )

    # --- the loop -------------------------------------------------------------------------------

    def train(self, log: Log | None, budget: Budget, on_report: Callable[[Report], None] = lambda _: None) -> bool:
        """Train until the steps are done, the time is up, or `stop`; the state is saved. Returns whether it is done.

        budget.seconds: after a few steps they decide how many steps there will be, so that the schedule ends with them.
        Raises NotFiniteLossError, with the batch saved, where a term is not finite.
        """
        progress, settings = self.progress, self.settings
        start, before, planned = time.monotonic(), progress.seconds, budget.seconds is None
        first_step = progress.step
        self._parallel.train()
        patience = settings.validation.patience
        waiting = time.monotonic()
        for batch in self.task.batches(first_step, max(progress.steps, first_step + 10**9 * (not planned))):
            waited = time.monotonic() - waiting
            report = self._step(batch.to(self.world.device), waited)
            progress.step += 1
            elapsed = time.monotonic() - start
            progress.seconds = before + elapsed
            if not planned and progress.step - first_step >= PROBED:
                assert budget.seconds is not None
                left = (budget.seconds - elapsed) * (progress.step - first_step) / elapsed
                progress.steps = int(agreed(self.world, progress.step + max(1.0, left)))
                planned = True
            done = planned and progress.step >= progress.steps
            out_of_time = budget.seconds is not None and elapsed > budget.seconds
            stop = agreed(self.world, float(self._stop or out_of_time)) > 0
            if progress.step % LOGGED == 0 or progress.step == 1 or done or stop or report.gradients:
                on_report(report)
                if log is not None:
                    log.scalars(progress.step, "train", _line(report))
            if report.gradients and log is not None:
                log.picture(progress.step, "samples", self._samples(batch))
            if progress.step % settings.validation.every == 0 or done:
                self._validate(log)
            worn = 0 < patience <= progress.worse
            if done or stop or worn or progress.step % settings.checkpoint_every == 0:
                self.save()
            if done or stop or worn:
                return done or worn
            waiting = time.monotonic()
        return True

    def _step(self, batch: Batch, waited: float) -> Report:
        began = time.monotonic()
        progress, settings = self.progress, self.settings
        step, steps = progress.step, progress.steps
        _, stage = settings.stage_at(step, steps)
        self._freeze(stage.batch_norm == "freeze")
        lr = learning_rate(settings.optimiser, stage, step, steps)
        for group in self._optimiser.param_groups:
            group["lr"] = lr
        generator = torch.Generator().manual_seed(hash_of(settings.seed, step))
        ids = self.task.face.resample_ids(generator).to(self.world.device)
        counts = Counts(self.task.labelled, self.task.wild, self.world.size)
        if self.critic is not None:
            self.critic.requires_grad_(False)
        half = torch.autocast(self.world.device.type, torch.bfloat16) if settings.precision == "bfloat16" else None
        with half or nullcontext():
            loss, terms, first = self._parallel(batch, stage, ids, self.critic, counts)
        self._optimiser.zero_grad(set_to_none=True)
        together = torch.stack([term.detach().float() for term in terms.values()])
        averaged(self.world, [together])
        values = dict(zip(terms, together.tolist(), strict=True))
        self._check_finite(values, batch)
        sampled = step % settings.sample_every == 0
        gradients = self._gradient_norms(terms) if sampled else {}
        loss.backward()
        if settings.optimiser.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), settings.optimiser.clip)
        self._optimiser.step()
        judged = {} if self.critic is None else self._teach_critic(batch, first.detach().float(), counts)
        self._average.follow(self.network, step)
        seconds = time.monotonic() - began + waited
        speed = settings.batch / seconds
        return Report(step + 1, steps, sum(values.values()), values, lr, speed, waited, judged, gradients)

    def _gradient_norms(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """How hard each term pulls at the network: the norm of its gradient, over the faces of all processes."""
        parameters = list(self.network.parameters())
        norms = {}
        for name, term in terms.items():
            pulls = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
            known = [pull.detach().float() for pull in pulls if pull is not None]
            averaged(self.world, known)
            squares = [pull.square().sum() for pull in known]
            norms[name] = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
        return norms

    def _teach_critic(self, batch: Batch, first: Tensor, counts: Counts) -> dict[str, float]:
        """One step of the critic; its loss and the share of faces it told right."""
        assert self.critic is not None
        self.critic.requires_grad_(True)
        labelled = batch.labelled
        fakes = ~labelled if counts.wild else labelled
        truth = self.task.face.whiten(batch.coefficients[labelled])[:, 12:]
        real = self.critic(batch.images[labelled], truth)
        fake = self.critic(batch.images[fakes], first[fakes, 12:])
        loss = critic_loss(real, fake, self.critic.kind).mean()
        self._critic_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        averaged(self.world, [value.grad for value in self.critic.parameters() if value.grad is not None])
        self._critic_optimiser.step()
        right = torch.cat([real.detach() > 0, fake.detach() < 0]).float().mean()
        together = torch.stack([loss.detach().float(), right])
        averaged(self.world, [together])
        return dict(zip(("loss", "accuracy"), together.tolist(), strict=True))

    def _freeze(self, frozen: bool) -> None:
        """Batch norms use and keep their running statistics, or those of each batch."""
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(not frozen)

    def _check_finite(self, values: dict[str, float], batch: Batch) -> None:
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if agreed(self.world, float(bool(wrong))) == 0:
            return
        path = self.folder / f"not-finite-{self.world.rank}.pt"
        with whole_file(path) as temporary:
            torch.save(batch.as_dict(), temporary)
        named = ", ".join(f"{name} is {values[name]}" for name in wrong) or "a term of another process is not finite"
        raise NotFiniteLossError(
            f"step {self.progress.step + 1}: {named}; the batch is kept in {path}, the state before in "
            f"{self.folder}: a smaller --lr may help"
        )

    @torch.no_grad()
    def _samples(self, batch: Batch) -> np.ndarray:
        """Faces of a batch with the points shown to the network, red, and the ones it predicts, green."""
        few = batch.to(self.world.device)
        training = self.network.training
        self.network.eval()
        predicted = self.task.face.landmarks(self.task.face.unwhiten(self.objective.predict(few)))  # type: ignore[operator]
        self.network.train(training)
        pictures = []
        for row in np.linspace(0, len(batch.images) - 1, SAMPLES).astype(int):
            face = ((batch.images[row].numpy()[::-1] * 128) + 127.5).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
            picture = face.repeat(2, axis=0).repeat(2, axis=1)
            shown = batch.input18[row][batch.input_visible[row]].numpy()
            for points, color in ((predicted[row, :, :2].cpu().numpy(), (60, 220, 60)), (shown, (240, 40, 40))):
                places = points[(np.abs(points) < 1000).all(axis=1)]
                column, line = np.rint(2 * places + 0.5).astype(int).T
                inside = (column >= 0) & (column < 239) & (line >= 0) & (line < 239)
                for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
                    picture[line[inside] + down, column[inside] + right] = color
            pictures.append(picture)
        return np.concatenate(pictures, axis=1)

    # --- validation -----------------------------------------------------------------------------

    def _validate(self, log: Log | None) -> None:
        """Score the averaged weights on the held-out faces, and keep them where they are the best so far."""
        error = self.validation_error()
        progress = self.progress
        if math.isnan(error):  # no face is held out: the last weights are the best
            progress.best_step = progress.step
            if self.world.first:
                self.weights().save(self.folder / BEST)
            return
        better = progress.best is None or error < progress.best
        progress.worse = 0 if better else progress.worse + 1
        if better:
            progress.best, progress.best_step = error, progress.step
            if self.world.first:
                self.weights().save(self.folder / BEST)
        if log is not None:
            log.scalars(progress.step, "validation", {"nme": error, "best": progress.best})

    @torch.no_grad()
    def validation_error(self) -> float:
        """2D NME of the 68 landmarks over the held-out faces with detector-like input points: a fraction; every
        process computes it alone, over all of them."""
        network = _placed(self.architecture.build(), self.world.device)
        network.load_state_dict(self._average.state)
        network.eval()
        objective = Objective(network, self.task.face, self.settings.losses, self.settings.map_kind)
        errors = []
        for batch in self.task.validation() if self.task.held_out else ():
            there = batch.to(self.world.device)
            first = objective.predict(there)
            points = self.task.face.landmarks(self.task.face.unwhiten(first))[..., :2]
            truth = there.landmarks68[..., :2]
            size = (truth.amax(dim=1) - truth.amin(dim=1)).prod(dim=1).sqrt()
            errors.append(((points - truth).norm(dim=2).mean(dim=1) / size).cpu().numpy())
        return float(np.concatenate(errors).mean()) if errors else math.nan


def hash_of(seed: int, step: int) -> int:
    """A seed of its own for every step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on a device, in the memory order in which convolutions are fastest (benchmarks/training.py)."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d and device.type == "cpu":
            module.__class__ = CpuBatchNorm
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Norms and biases are not decayed."""
    how = settings.optimiser
    matrices = [value for value in network.parameters() if value.ndim > 1]
    vectors = [value for value in network.parameters() if value.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": how.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    if how.kind == "sgd":
        return torch.optim.SGD(groups, how.lr, momentum=how.momentum, nesterov=how.momentum > 0)
    return torch.optim.AdamW(groups, how.lr)


def _line(report: Report) -> dict[str, Any]:
    return {
        "loss": report.loss,
        "terms": report.terms,
        "lr": report.lr,
        "images_per_second": report.images_per_second,
        **({"critic": report.critic} if report.critic else {}),
        **({"gradients": report.gradients} if report.gradients else {}),
        "waited_seconds": report.waited,
    }
