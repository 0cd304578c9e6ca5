"""How a network is trained: everything that decides it, saved with the weights. Presets are values of these classes."""

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_origin

from ..errors import SettingsError

LabelLoss = Literal["wpdc", "weighted", "unweighted", "vdc"]
Optimiser = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "exponential", "constant"]
BatchNorm = Literal["train", "freeze"]
MapKind = Literal["binary", "gauss", "none"]
CriticKind = Literal["hinge", "bce"]
CriticSide = Literal[120, 60]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Stage:
    """One part of the training. share: of all steps. label_loss: on labelled faces. lr: times the run's. batch_norm:
    `train` with each batch's statistics, `freeze` with the running ones."""

    share: float
    label_loss: LabelLoss
    label_weight: float = 1.0
    lr: float = 1.0
    batch_norm: BatchNorm = "train"


@dataclass(frozen=True)
class LossWeights:
    """What each term counts; 0 leaves it out, and the forward passes it needs too.

    landmarks: first-pass points against the clean annotated ones (labelled or wild), which needs no self-supervision.
    self_2d, self_3d, cycle, critic: the paper's four (paper page, section 5), lambda 1 to 4. on_labelled: whether they
    are taken on labelled faces too. stop_gradient: in self_3d, the first pass is only a target.
    """

    landmarks: float = 0.0
    self_2d: float = 0.005
    self_3d: float = 0.005
    cycle: float = 1.0
    critic: float = 0.005
    on_labelled: bool = True
    stop_gradient: bool = False

    @property
    def second_pass(self) -> bool:
        return self.self_3d > 0 or self.cycle > 0


@dataclass(frozen=True)
class CriticSettings:
    """side: of the pictures that the critic looks at, pixels; the paper's are whole crops."""

    kind: CriticKind = "hinge"
    lr: float = 1e-4
    spectral_norm: bool = True
    side: CriticSide = 120


@dataclass(frozen=True)
class OptimiserSettings:
    """lr: at the peak. warm_up: share of all steps. final: share of lr at the end. clip: largest norm of all gradients,
    0 for none. ema: decay of the averaged weights that are saved, 0 for none."""

    kind: Optimiser = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    warm_up: float = 0.05
    final: float = 0.01
    clip: float = 10.0
    ema: float = 0.999


@dataclass(frozen=True)
class NetworkSettings:
    """name, width: of `networks.Architecture`. imagenet: path of ImageNet weights to start from, empty for none."""

    name: str = "mobilenet-v1"
    width: float = 1.0
    imagenet: str = ""


@dataclass(frozen=True)
class ValidationSettings:
    """share: of the labelled faces that are held out, and at most `most`. every: steps. patience: validations without
    a better one after which training stops, 0 for never."""

    share: float = 0.1
    most: int = 500
    every: int = 250
    patience: int = 0


@dataclass(frozen=True)
class TrainSettings:
    """A whole training. steps: of both stages together. checkpoint_every: steps. sample_every: pictures for
    TensorBoard. batch: faces a step, over all processes. labelled: the share of them that has labels. labelled_share:
    of the labelled faces that are not held out, the share that is trained on."""

    preset: str
    stages: tuple[Stage, ...]
    losses: LossWeights = field(default_factory=LossWeights)
    critic: CriticSettings = field(default_factory=CriticSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    data: dict[str, Any] = field(default_factory=dict)
    map_kind: MapKind = "binary"
    batch: int = 32
    labelled: float = 0.5
    labelled_share: float = 1.0
    steps: int = 20000
    seed: int = 0
    precision: Precision = "float32"
    checkpoint_every: int = 250
    sample_every: int = 1000

    def __post_init__(self) -> None:
        if not self.stages:
            raise SettingsError("a training of no stages")
        for name in ("batch", "steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; 1 or more is expected")
        for name in ("labelled", "labelled_share"):
            if not 0 < getattr(self, name) <= 1:
                raise SettingsError(f"{name} is {getattr(self, name):g}; more than 0, at most 1 is expected")
        if self.seed < 0:
            raise SettingsError(f"the seed is {self.seed}; 0 or a positive number is expected")
        if self.optimiser.lr <= 0:
            raise SettingsError(f"the learning rate is {self.optimiser.lr:g}; a positive number is expected")
        for name in ("warm_up", "final", "momentum", "ema"):
            if not getattr(self.optimiser, name) <= 1 or (name == "ema" and self.optimiser.ema == 1):
                raise SettingsError(f"{name} of optimiser is {getattr(self.optimiser, name):g}; 0 to 1 is expected")
        if abs(sum(stage.share for stage in self.stages) - 1) > 1e-6:
            raise SettingsError("the stages' shares do not add up to 1")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainSettings":
        """Settings out of a file. Raises SettingsError for names that this program does not know."""
        return _build(cls, values, "settings")

    def stage_at(self, step: int, steps: int) -> tuple[int, Stage]:
        """The number and the stage that a step, from 0, is in, of a training of `steps`."""
        done = 0.0
        for number, stage in enumerate(self.stages):
            done += stage.share
            if step < done * steps - 1e-9 or number == len(self.stages) - 1:
                return number, stage
        raise AssertionError


def _build(kind: Any, values: Any, where: str) -> Any:
    """A dataclass out of nested dictionaries."""
    if not isinstance(values, dict):
        raise SettingsError(f"{where} is {values!r}; names and values are expected")
    known = {item.name: item for item in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingsError(f"{where} has {', '.join(unknown)}, which this program does not know: another version's?")
    parts: dict[str, Any] = dict(values)
    for name, value in parts.items():
        if get_origin(known[name].type) is Literal and value not in get_args(known[name].type):
            choices = ", ".join(map(str, get_args(known[name].type)))
            raise SettingsError(f"{name} of {where} is {value!r}; one of {choices} is expected")
        _check_kind(known[name].type, value, f"{name} of {where}")
    for name, part in _PARTS.items():
        if kind is TrainSettings and name in parts:
            parts[name] = _build(part, parts[name], name)
    if kind is TrainSettings and "stages" in parts:
        parts["stages"] = tuple(_build(Stage, stage, "stages") for stage in parts["stages"])
    try:
        return kind(**parts)
    except TypeError as error:
        raise SettingsError(f"{where}: {error}") from error


def _check_kind(kind: Any, value: Any, what: str) -> None:
    """Raise SettingsError for a value that is not of the kind, or a number that is not finite or negative: no setting
    here is less than 0."""
    if kind is bool and not isinstance(value, bool):
        raise SettingsError(f"{what} is {value!r}; true or false is expected")
    if kind is str and not isinstance(value, str):
        raise SettingsError(f"{what} is {value!r}; text is expected")
    if kind in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (kind is float and isinstance(value, float))) or not 0 <= value < math.inf:
            expected = "a whole number" if kind is int else "a number"
            raise SettingsError(f"{what} is {value!r}; {expected}, 0 or more, is expected")


_PARTS = {
    "losses": LossWeights,
    "critic": CriticSettings,
    "optimiser": OptimiserSettings,
    "network": NetworkSettings,
    "validation": ValidationSettings,
}

# The paper's recipe (paper page, sections 4, 5, 7), from scratch where no ImageNet weights are named. Batches of 32 with
# a mean loss; one stage with the weighted loss, one with VDC at a hundredth of the rate.
PAPER = TrainSettings(
    preset="paper",
    stages=(Stage(0.8, "wpdc"), Stage(0.2, "vdc", label_weight=0.01, lr=0.01, batch_norm="freeze")),
    losses=LossWeights(),
    critic=CriticSettings(kind="bce", lr=1e-4, spectral_norm=False),
    optimiser=OptimiserSettings(
        kind="sgd", lr=5e-5, weight_decay=5e-4, schedule="exponential", warm_up=0, final=0.001, clip=0, ema=0
    ),
    network=NetworkSettings(name="resnet-50", width=1.0),
    data=dict.fromkeys(
        (
            "point_dropout",
            "map_dropout",
            "shift",
            "scale",
            "rotation_degrees",
            "flip",
            "brightness",
            "contrast",
            "saturation",
            "hue_degrees",
            "grey",
            "blur",
            "jpeg",
            "occluders",
        ),
        0.0,
    ),
)

# Ours: what was found to work best so far (docs/training.md, docs/ablation.md). Of the four schemes 2D and 3D
# self-prediction help; the cycle costs nothing more beside the latter; the critic did not pay for its time.
OPEN = TrainSettings(
    preset="open",
    stages=(Stage(0.7, "wpdc"), Stage(0.3, "vdc", label_weight=0.02, lr=0.3, batch_norm="freeze")),
    losses=LossWeights(landmarks=10.0, self_2d=1.0, self_3d=10.0, cycle=1.0, critic=0.0, stop_gradient=True),
    critic=CriticSettings(side=60),
    optimiser=OptimiserSettings(lr=8e-3),
    network=NetworkSettings(name="resnet-18", width=0.25),
    map_kind="gauss",
)

PRESETS = {preset.preset: preset for preset in (PAPER, OPEN)}


def with_changes(settings: TrainSettings, **changes: Any) -> TrainSettings:
    """The settings with some replaced; None leaves one as it is."""
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})
