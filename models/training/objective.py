"""The sum that training makes small: the label loss and the paper's self-supervision, all passes in one forward."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .batches import Batch
from .critic import Critic
from .face import TorchFace
from .losses import cycle, generator_loss, self_2d, self_3d, unweighted, vdc, weighted, wpdc
from .maps import rasterise
from .settings import LossWeights, MapKind, Stage

UNITS = 1 / 120**2  # squared pixels of the crop to squared shares of its side


@dataclass(frozen=True)
class Counts:
    """How many faces of the whole batch, over all processes, each mean is taken over; and the processes."""

    labelled: int
    wild: int
    world: int


class Objective(nn.Module):
    """Network and losses as one module, so that torch's DistributedDataParallel sees one forward and one backward."""

    def __init__(self, network: nn.Module, face: TorchFace, weights: LossWeights, map_kind: MapKind) -> None:
        super().__init__()
        self.network, self.face = network, face
        self._weights, self._map_kind = weights, map_kind

    def forward(
        self, batch: Batch, stage: Stage, ids: Tensor, critic: Critic | None, counts: Counts
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss, each weighted term of it (scalars), and the first pass' whitened coefficients (B, C).

        ids: the vertices that the label loss looks at. Means are over the faces of all processes: each process's
        share is scaled so that the mean of their gradients is the whole batch's.
        """
        face, weights = self.face, self._weights
        labelled, wild = batch.labelled, ~batch.labelled
        first = self._pass(batch.images, batch.input18, batch.input_visible)
        coefficients = face.unwhiten(first)
        landmarks = face.landmarks(coefficients)
        points = face.points18(landmarks)
        terms: dict[str, Tensor] = {}

        def mean(values: Tensor, count: int) -> Tensor:
            return values.sum() * (counts.world / max(count, 1))

        truth = face.whiten(batch.coefficients[labelled])
        label = self._label_loss(stage, first[labelled], truth, ids)
        terms[stage.label_loss] = stage.label_weight * mean(label, counts.labelled)
        both = counts.labelled + counts.wild
        on = torch.ones_like(labelled) if weights.on_labelled or counts.wild == 0 else wild
        own = both if weights.on_labelled or counts.wild == 0 else counts.wild
        if weights.landmarks:
            values = self_2d(batch.target18, batch.target_visible, points)
            terms["landmarks"] = weights.landmarks * UNITS * mean(values, both)
        if weights.self_2d:
            values = self_2d(batch.input18, batch.input_visible, points)[on]
            terms["self_2d"] = weights.self_2d * UNITS * mean(values, own)
        if weights.second_pass:
            every = torch.ones_like(batch.input_visible)
            second = face.landmarks(face.unwhiten(self._pass(batch.images, points, every)))
            if weights.self_3d:
                values = self_3d(landmarks, second, stop_gradient=weights.stop_gradient)[on]
                terms["self_3d"] = weights.self_3d * UNITS * mean(values, own)
            if weights.cycle:
                values = cycle(batch.input18, batch.input_visible, face.points18(second))[on]
                terms["cycle"] = weights.cycle * UNITS * mean(values, own)
        if critic is not None:
            unlabelled = wild if counts.wild else labelled
            fake = critic(batch.images[unlabelled], first[unlabelled, 12:])
            terms["critic"] = weights.critic * mean(generator_loss(fake, critic.kind), counts.wild or counts.labelled)
        return torch.stack(list(terms.values())).sum(), terms, first

    def predict(self, batch: Batch) -> Tensor:
        """The first pass alone: whitened coefficients (B, C)."""
        return self._pass(batch.images, batch.input18, batch.input_visible)

    def _pass(self, images: Tensor, points: Tensor, visible: Tensor) -> Tensor:
        drawn = rasterise(points, visible, self._map_kind)
        whole = images if drawn is None else torch.cat([images, drawn], dim=1)
        predicted: Tensor = self.network(whole.contiguous(memory_format=torch.channels_last))
        return predicted

    def _label_loss(self, stage: Stage, predicted: Tensor, truth: Tensor, ids: Tensor) -> Tensor:
        if stage.label_loss == "wpdc":
            return wpdc(predicted, truth, self.face, ids)
        if stage.label_loss == "vdc":
            return vdc(predicted, truth, self.face, ids)
        if stage.label_loss == "weighted":
            return weighted(predicted, truth, self.face)
        return unweighted(predicted, truth)
