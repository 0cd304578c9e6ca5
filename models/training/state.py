"""The folder of a training: its settings, its state to go on from, its best and last weights, its log.

settings.json   how it is trained     state.pt   to go on from (tensors and JSON only; read with weights_only)
metrics.jsonl   one line a report     best.safetensors, last.safetensors
"""

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import FileError
from ..files import check_space, make_folder, read_bytes, whole_file

FORMAT, VERSION = "twodasl-training", 1
SETTINGS, STATE, METRICS, BEST, LAST = (
    "settings.json", "state.pt", "metrics.jsonl", "best.safetensors", "last.safetensors",
)  # fmt: skip


@dataclass
class Progress:
    """Where a training is. step: how many are done. steps: how many there will be. seconds: spent so far. best: the
    best validation error, a fraction of the face's size, and the step it was at; worse: validations since."""

    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    worse: int = 0
    world: int = 1
    inputs: dict[str, str] = field(default_factory=dict)


def save_state(folder: Path, progress: Progress, tensors: dict[str, Any]) -> None:
    """Write the state; the one before stays whole until then. Raises FileError where the disk has no room."""
    content = io.BytesIO()
    head = {"format": FORMAT, "version": VERSION, "progress": json.dumps(asdict(progress))}
    torch.save(head | tensors, content)
    data = content.getvalue()
    check_space(folder / STATE, len(data))
    with whole_file(folder / STATE) as temporary:
        temporary.write_bytes(data)


def load_state(folder: Path, device: torch.device) -> tuple[Progress, dict[str, Any]]:
    """The state of a training. Raises FileError if it is none, of a newer program, or damaged."""
    path = folder / STATE
    if not folder.is_dir():
        raise FileError(f"cannot read {folder}: no such training folder")
    if not path.is_file():
        raise FileError(
            f"{folder} has no {STATE}: no training was begun in it, or it was stopped before its first save"
        )
    try:
        content = torch.load(io.BytesIO(read_bytes(path)), map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever its readers meet
        raise FileError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FileError(f"{path} is not the state of a training")
    if content.get("version", 0) > VERSION:
        raise FileError(f"{path} has format version {content['version']}, this program reads up to {VERSION}")
    try:
        progress = Progress(**json.loads(content["progress"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path} is damaged: {error}") from error
    return progress, content


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise FileError where a training lies in the folder already and may not be replaced."""
    if ((folder / STATE).exists() or (folder / SETTINGS).exists()) and not overwrite:
        raise FileError(
            f"{folder} holds a training already: 'twodasl train resume {folder}' goes on with it, --overwrite "
            "begins anew"
        )


def begin_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Make the folder of a new training, in the place of one that was there."""
    for name in (STATE, METRICS, BEST, LAST):
        (folder / name).unlink(missing_ok=True)
    make_folder(folder)
    with whole_file(folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")


def read_settings(folder: Path) -> dict[str, Any]:
    """What settings.json holds."""
    try:
        values = json.loads(read_bytes(folder / SETTINGS))
    except ValueError as error:
        raise FileError(f"{folder / SETTINGS} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise FileError(f"{folder / SETTINGS} is damaged: settings by name are expected")
    return values
