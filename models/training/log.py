"""What a training says of itself: lines of JSON, and TensorBoard where it is installed."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..files import read_bytes, whole_file
from .state import METRICS


class Log:
    """Appends to `metrics.jsonl` and, where torch finds TensorBoard, to event files in `tensorboard/`."""

    def __init__(self, folder: Path, step: int) -> None:
        """step: where the training goes on; lines of later steps, which a killed one wrote, are dropped."""
        self._path = folder / METRICS
        self._drop_after(step)
        self._file = self._path.open("a", encoding="utf-8")
        self._board = _board(folder / "tensorboard", step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def scalars(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """One line: the step, what kind of line it is, and its numbers, which may be grouped one level deep."""
        self._file.write(json.dumps({"step": step, "kind": kind} | values) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                group = value if isinstance(value, dict) else {"": value}
                for part, number in group.items():
                    if isinstance(number, int | float):
                        self._board.add_scalar("/".join(filter(None, (kind, name, part))), number, step)

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture (H, W, 3) uint8, for TensorBoard only."""
        if self._board is not None:
            self._board.add_image(name, picture, step, dataformats="HWC")

    def _drop_after(self, step: int) -> None:
        if not self._path.exists():
            return
        kept = []
        for line in read_bytes(self._path).decode("utf-8", "replace").splitlines() if self._path.stat().st_size else []:
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # cut short by a kill
        with whole_file(self._path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept))


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
