"""Readers of other programs' checkpoints: torch files of 2DASL, 3DDFA and 3DDFA_V2, never executed.

To add a program, add a line to `KINDS`.
"""

import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checkpoints import LANDMARK_MAPS, Weights, WeightsError
from ..coefficients import Whitening, read_whitening
from ..errors import FileError, TwodaslError
from ..files import read_bytes, read_pickle, sha256
from ..morphable import BASIS_EXPRESSION, BASIS_IDENTITY, MorphableModel
from ..pose import Convention
from ..tables import shorten

if TYPE_CHECKING:  # torch takes a second to load
    from torch import Tensor

    from ..networks import Architecture

RESEARCH_ONLY = (
    "a file under the MIT licence, made from face images and a Basel / FaceWarehouse face model that are licensed for "
    "non-commercial research: research use only, no redistribution"
)


@dataclass(frozen=True)
class Kind:
    """Another program's checkpoints: where the tensors stand, what they are called, and what goes with them."""

    program: str
    looks: str  # for messages: the network, in words
    state_key: str  # the entry of the saved dict that holds the tensors
    marks: tuple[str, ...]  # tensors that only this kind has together
    architecture: str
    channels: tuple[int, ...]  # the input channels that it comes with
    convention: Convention
    whitening_file: str
    whitening_key: str  # what the mean is called in it
    head: str = "fc"  # what the last layer is called
    unused: tuple[str, ...] = ()  # layers that only training used


KINDS = {
    "2dasl": Kind(
        program="2DASL",
        looks="a ResNet-50",
        state_key="res_state_dict",
        marks=("layer1.0.conv1.weight", "fc.weight"),
        architecture="resnet-50",
        channels=(4,),
        convention="3ddfa",
        whitening_file="param_whitening.pkl",
        whitening_key="param_mean",
    ),
    "3ddfa": Kind(
        program="3DDFA",
        looks="a MobileNet-V1 with the head 'fc'",
        state_key="state_dict",
        marks=("dw2_1.conv_dw.weight", "fc.weight"),
        architecture="mobilenet-v1",
        channels=(3, 4),
        convention="3ddfa",
        whitening_file="param_whitening.pkl",
        whitening_key="param_mean",
    ),
    "3ddfa-v2": Kind(
        program="3DDFA_V2",
        looks="a MobileNet-V1 with the head 'fc_param'",
        state_key="state_dict",
        marks=("dw2_1.conv_dw.weight", "fc_param.weight"),
        architecture="mobilenet-v1",
        channels=(3, 4),
        head="fc_param",
        unused=("fc_lm",),
        convention="3ddfa-v2",
        whitening_file="param_mean_std_62d_120x120.pkl",
        whitening_key="mean",
    ),
}


def import_checkpoint(path: Path, kind: str, whitening_path: Path | None, model: MorphableModel) -> Weights:
    """The weights in another program's checkpoint (original pipeline, section 8), of one of `KINDS`.

    model: the face model they were trained with. Nothing in the file is executed. Raises FileError where a file is
    missing, damaged, needs code to load, is of another kind, or does not fit.
    """
    if kind not in KINDS:
        raise FileError(f"checkpoints of {kind!r} are unknown; known: {', '.join(KINDS)}")
    chosen = KINDS[kind]
    if model.n_identity < BASIS_IDENTITY or model.n_expression < BASIS_EXPRESSION:
        raise FileError(
            f"{path} predicts {BASIS_IDENTITY} identity and {BASIS_EXPRESSION} expression coefficients; "
            f"the face model {model.name!r} has {model.n_identity} and {model.n_expression}"
        )
    state = _state_of(path, chosen)
    _check_kind(path, state, kind)
    whitening = _whitening_of(path, kind, whitening_path)
    try:
        architecture = _architecture_of(state, chosen)
        renamed = {
            re.sub(f"^{chosen.head}\\.", "fc.", name): tensor
            for name, tensor in state.items()
            if name.split(".")[0] not in chosen.unused
        }
        return Weights(
            architecture=architecture,
            state=renamed,
            whitening=whitening,
            basis_id=model.basis_id,
            convention=chosen.convention,
            landmark_map=next(name for name, count in LANDMARK_MAPS.items() if count == architecture.in_channels),
            name=re.sub(r"(\.pth)?(\.tar)?$", "", path.name),
            source=f"{chosen.program} checkpoint {path.name}, sha256 {sha256(read_bytes(path))}",
            terms=RESEARCH_ONLY,
        )
    except TwodaslError as error:
        raise FileError(f"{path}: {error}") from error


_scalar = np.float64(0).__reduce__()[0]  # numpy's own builder of scalars, under the names that pickles know it by

# What training scripts of that time left beside the tensors: losses as numpy scalars. They are data, not code.
_NUMPY_SCALARS: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")),
]


def _read_checkpoint(path: Path) -> Any:
    """What a torch file holds, by torch's reader that executes nothing."""
    import torch

    data = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols: what counts is whether it loads
            with torch.serialization.safe_globals(_NUMPY_SCALARS):
                return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in the zip reader, in the unpickler or in torch's C++
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked:
            raise FileError(
                f"{path} is refused: loading it would run code that it names ({asked[1]}), and only tensors are read; "
                "nothing was executed. Save its state dict alone, with the program that made it, and import that"
            ) from error
        raise FileError(
            f"{path} is not a readable torch checkpoint: it is damaged, cut short or another kind of file; "
            "nothing in it was executed"
        ) from error


def _state_of(path: Path, kind: Kind) -> dict[str, "Tensor"]:
    """The tensors of a checkpoint by name, without DataParallel's `module.`; a bare state dict will do."""
    import torch

    content = _read_checkpoint(path)
    keys = dict.fromkeys((kind.state_key, *(other.state_key for other in KINDS.values())))
    state = content
    if isinstance(content, dict):
        state = next((content[key] for key in keys if isinstance(content.get(key), dict)), content)
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        entries = shorten([str(key) for key in state]) if isinstance(state, dict) else ""
        raise FileError(
            f"{path} holds no network: a dict with {kind.state_key!r}, or of the tensors themselves, is expected; "
            f"it holds a {type(content).__name__}" + (f" with {entries}" if entries else "")
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def _check_kind(path: Path, state: Mapping[str, "Tensor"], kind: str) -> None:
    if all(mark in state for mark in KINDS[kind].marks):
        return
    others = [name for name, other in KINDS.items() if all(mark in state for mark in other.marks)]
    found = " or ".join(f"{KINDS[name].looks}, as of {KINDS[name].program} (--from {name})" for name in others)
    raise FileError(
        f"{path} is not a checkpoint of {KINDS[kind].program}, which holds {KINDS[kind].looks}; it looks like "
        + (found or f"none that is known: its tensors are {shorten(list(state))}")
    )


def _architecture_of(state: Mapping[str, "Tensor"], kind: Kind) -> "Architecture":
    """The network's sizes, read from its first and last tensor."""
    from ..networks import Architecture

    first, last = state.get("conv1.weight"), state[f"{kind.head}.weight"]
    if first is None or first.ndim != 4 or last.ndim != 2:
        raise WeightsError(f"conv1.weight and {kind.head}.weight are not those of {kind.looks}")
    if first.shape[1] not in kind.channels:
        expected = " or ".join(map(str, kind.channels))
        raise WeightsError(f"the network takes {first.shape[1]} input channels; {expected} are expected")
    width = first.shape[0] / 32 if kind.architecture == "mobilenet-v1" else 1.0
    return Architecture(kind.architecture, width, in_channels=first.shape[1], outputs=last.shape[0])


def _whitening_of(path: Path, kind: str, whitening_path: Path | None) -> Whitening:
    """The whitening file, checked by its entries' names: another program's gives plausible nonsense."""
    wanted = KINDS[kind].whitening_file
    if whitening_path is None:
        raise FileError(
            f"{path} holds no whitening, without which its outputs mean nothing: hand over {KINDS[kind].program}'s "
            f"{wanted} with --whitening"
        )
    whitening = read_whitening(whitening_path)
    content = read_pickle(whitening_path)
    if KINDS[kind].whitening_key not in content:
        raise FileError(
            f"{whitening_path} is another program's whitening: it holds {shorten(sorted(map(str, content)))}, while "
            f"{KINDS[kind].program}'s {wanted} holds {KINDS[kind].whitening_key!r}"
        )
    return whitening
