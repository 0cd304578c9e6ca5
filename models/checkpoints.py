"""Weights of a network with everything that a prediction depends on, and their file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .coefficients import POSE, Whitening
from .errors import FileError, TwodaslError
from .files import make_folder, sha256, whole_file
from .library import model_folder
from .morphable import BASIS_EXPRESSION, BASIS_IDENTITY
from .pose import CONVENTIONS, Convention
from .tables import shorten

if TYPE_CHECKING:  # torch takes a second to load, and lists of weights do without it
    from torch import Tensor, nn

    from .networks import Architecture

FORMAT, VERSION = "twodasl-weights", 1

# What this program can do before and after a network, by the words that stand in the file.
NORMALISATIONS = ("bgr-127.5-128",)  # B, G, R; (v - 127.5) / 128
LANDMARK_MAPS = {"none": 3, "binary-18": 4, "gauss-18": 4}  # the input channels of each
CROP_RULES = ("3ddfa",)

# The entries of the file's metadata: texts as they are, and what is kept as JSON.
TEXTS = (
    "weights_id", "basis_id", "convention", "normalisation", "landmark_map", "crop_rule", "name", "source", "terms",
)  # fmt: skip
STRUCTURED = {"architecture": dict, "n_identity": int, "n_expression": int, "training": dict}

WHITENING_TENSORS = ("whitening.mean", "whitening.std")
COUNTER = "num_batches_tracked"  # torch's count of training batches; no part of a prediction


class WeightsError(TwodaslError):
    """Weights do not fit their network, or name a preparation that this program does not know."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A trained network: its tensors and all that decides which face a picture becomes.

    state: tensors by name, copied to float32 on the CPU, without torch's batch counters. whitening: of the
    12 + n_identity + n_expression outputs. basis_id: the face model whose coefficients are predicted. convention: of
    the crop's points. normalisation, landmark_map, crop_rule: how the input is made. training: the settings it was
    trained with, {} for imported weights.

    Raises WeightsError where the parts do not fit together or a number is not finite.
    """

    architecture: "Architecture"
    state: Mapping[str, "Tensor"]
    whitening: Whitening
    basis_id: str
    convention: Convention
    landmark_map: str
    n_identity: int = BASIS_IDENTITY
    n_expression: int = BASIS_EXPRESSION
    normalisation: str = "bgr-127.5-128"
    crop_rule: str = "3ddfa"
    name: str = "weights"
    source: str = ""
    terms: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_known("convention", self.convention, CONVENTIONS)
        _check_known("normalisation", self.normalisation, NORMALISATIONS)
        _check_known("landmark map", self.landmark_map, LANDMARK_MAPS)
        _check_known("crop rule", self.crop_rule, CROP_RULES)
        if LANDMARK_MAPS[self.landmark_map] != self.architecture.in_channels:
            raise WeightsError(
                f"the network takes {self.architecture.in_channels} channels; with landmark map "
                f"{self.landmark_map!r} there are {LANDMARK_MAPS[self.landmark_map]}"
            )
        wanted = POSE + self.n_identity + self.n_expression
        if self.architecture.outputs != wanted:
            raise WeightsError(
                f"the network predicts {self.architecture.outputs} numbers; {POSE} pose + {self.n_identity} identity "
                f"+ {self.n_expression} expression = {wanted} are expected"
            )
        whitened = len(self.whitening.mean)
        if whitened != wanted:
            raise WeightsError(f"the whitening has {whitened} numbers, the network predicts {wanted}")
        object.__setattr__(self, "state", _checked_state(self.state, self.architecture))

    @cached_property
    def weights_id(self) -> str:
        """Which predictions are the same: sha256 of the tensors by name, the whitening and `_settings`."""
        parts: list[bytes | np.ndarray] = [json.dumps(self._settings(), sort_keys=True).encode()]
        for name in sorted(self.state):
            array = self.state[name].numpy()
            parts += [f"{name} {array.shape}".encode(), array]
        return sha256(*parts, self.whitening.mean.astype(np.float32), self.whitening.std.astype(np.float32))

    def _settings(self) -> dict[str, Any]:
        """What changes a prediction, besides the numbers."""
        return {
            "architecture": asdict(self.architecture),
            "basis_id": self.basis_id,
            "n_identity": self.n_identity,
            "n_expression": self.n_expression,
            "convention": self.convention,
            "normalisation": self.normalisation,
            "landmark_map": self.landmark_map,
            "crop_rule": self.crop_rule,
        }

    def network(self) -> "nn.Module":
        """The network in evaluation mode on the CPU, with its own copy of the tensors."""
        network = self.architecture.build_empty()
        network.load_state_dict({name: tensor.clone() for name, tensor in self.state.items()}, assign=True)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write the weights as safetensors; the file appears whole or not at all."""
        import torch
        from safetensors.torch import save

        metadata = {"format": FORMAT, "version": str(VERSION), "weights_id": self.weights_id}
        texts = {"name": self.name, "source": self.source, "terms": self.terms, "training": dict(self.training)}
        for key, value in (self._settings() | texts).items():
            metadata[key] = value if isinstance(value, str) else json.dumps(value)
        vectors = (self.whitening.mean, self.whitening.std)
        whitening = (torch.from_numpy(vector.astype(np.float32)) for vector in vectors)
        tensors = dict(self.state) | dict(zip(WHITENING_TENSORS, whitening, strict=True))
        with whole_file(path) as temporary:
            temporary.write_bytes(save(tensors, metadata))

    @classmethod
    def load(cls, path: Path) -> "Weights":
        """Read a weights file. Raises FileError if it is none, is newer than this program, or is damaged."""
        from safetensors import SafetensorError, safe_open

        from .networks import Architecture

        metadata = read_metadata(path)
        try:
            with safe_open(path, framework="pt") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError) as error:
            raise FileError(f"cannot read {path} as weights: {error}") from error
        missing = [name for name in WHITENING_TENSORS if name not in state]
        if missing:
            raise FileError(f"{path} is a damaged weights file: it has no tensor {' and '.join(missing)}")
        mean, std = (state.pop(name).numpy() for name in WHITENING_TENSORS)
        try:
            weights = cls(
                architecture=Architecture.from_dict(_structured(metadata, "architecture")),
                state=state,
                whitening=Whitening(mean, std),
                n_identity=_structured(metadata, "n_identity"),
                n_expression=_structured(metadata, "n_expression"),
                convention=cast(Convention, metadata["convention"]),
                training=_structured(metadata, "training"),
                **{key: metadata[key] for key in ("basis_id", "landmark_map", "normalisation", "crop_rule")},
                **{key: metadata[key] for key in ("name", "source", "terms")},
            )
        except TwodaslError as error:
            raise FileError(f"{path}: {error}") from error
        if weights.weights_id != metadata["weights_id"]:
            raise FileError(f"{path} is a damaged weights file: its contents do not give the weights id it states")
        return weights


def read_metadata(path: Path) -> dict[str, str]:
    """The texts of a weights file, without its tensors. Raises FileError as `Weights.load` does."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileError(f"cannot read {path} as weights: {'it is a folder' if path.is_dir() else 'no such file'}")
    try:
        with safe_open(path, framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FileError(
            f"cannot read {path} as weights: it is damaged, cut short or no .safetensors file ({error}); "
            "'twodasl weights import' turns other programs' checkpoints into one"
        ) from error
    if metadata.get("format") != FORMAT:
        raise FileError(f"{path} holds tensors of another program, without what twodasl's weights say of themselves")
    if not metadata.get("version", "").isdigit():
        raise FileError(f"{path} is a damaged weights file: its version is {metadata.get('version')!r}")
    if int(metadata["version"]) > VERSION:
        raise FileError(
            f"{path} has format version {metadata['version']}, this program reads up to {VERSION}: update twodasl"
        )
    missing = [key for key in (*TEXTS, *STRUCTURED) if key not in metadata]
    if missing:
        raise FileError(f"{path} is a damaged weights file: it does not state its {', '.join(missing)}")
    return metadata


def _structured(metadata: Mapping[str, str], key: str) -> Any:
    """An entry kept as JSON. Raises WeightsError if it is something else than its kind."""
    try:
        value = json.loads(metadata[key])
    except ValueError:
        value = None
    if not isinstance(value, STRUCTURED[key]):
        raise WeightsError(f"its {key} is {metadata[key]!r}; a JSON {STRUCTURED[key].__name__} is expected")
    return value


def _check_known(what: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise WeightsError(f"the {what} {value!r} is unknown to this program; known: {', '.join(known)}")


def _checked_state(state: Mapping[str, "Tensor"], architecture: "Architecture") -> dict[str, "Tensor"]:
    """The tensors as float32 copies on the CPU. Raises WeightsError naming those that do not fit the network."""
    import torch

    given = {name: tensor for name, tensor in state.items() if not name.endswith(COUNTER)}
    expected = architecture.build_empty().state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items() if not name.endswith(COUNTER)}
    for what, names in (("lack", shapes.keys() - given.keys()), ("have no place for", given.keys() - shapes.keys())):
        if names:
            raise WeightsError(f"the tensors do not fit {architecture.name}: they {what} {shorten(sorted(names))}")
    checked = {}
    for name, shape in shapes.items():
        tensor = given[name]
        if tuple(tensor.shape) != shape:
            raise WeightsError(f"tensor {name} is {tuple(tensor.shape)}; {architecture.name} expects {shape}")
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            raise WeightsError(f"tensor {name} holds {tensor.dtype}, {tensor.layout}; plain float numbers are expected")
        checked[name] = tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
        if not checked[name].isfinite().all():
            raise WeightsError(f"tensor {name} holds values that are not finite (NaN or infinity)")
    return checked


@dataclass(frozen=True)
class WeightsEntry:
    """One weights file in the user's data folder, as its metadata describes it."""

    path: Path
    name: str
    weights_id: str
    basis_id: str
    architecture: str
    convention: str


def weights_folder() -> Path:
    """Where imported weights are kept: `weights`, beside the face models."""
    return model_folder().parent / "weights"


def register_weights(weights: Weights) -> Path:
    """Keep `weights` in the user's data folder, by name and id; returns where."""
    path = make_folder(weights_folder()) / f"{weights.name}-{weights.weights_id[:12]}.safetensors"
    weights.save(path)
    return path


def registered_weights() -> list[WeightsEntry]:
    """The weights in the user's data folder, the latest first; reads no tensors."""
    folder = weights_folder()
    if not folder.is_dir():
        return []
    entries = []
    for path in sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        metadata = read_metadata(path)
        try:
            network = str(_structured(metadata, "architecture").get("name"))
        except WeightsError as error:
            raise FileError(f"{path}: {error}") from error
        name, weights_id, basis_id, convention = (
            metadata[key] for key in ("name", "weights_id", "basis_id", "convention")
        )
        entries.append(WeightsEntry(path, name, weights_id, basis_id, network, convention))
    return entries
