"""An invented job for `infer`: small random networks, photos of noise with the toy face's annotations beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat

from tests.command import run_command
from twodasl.models.checkpoints import Weights
from twodasl.models.coefficients import Whitening
from twodasl.models.morphable import MorphableModel
from twodasl.models.networks import Architecture

WIDTH, HEIGHT = 200, 160


def toy_weights(model: MorphableModel, four_channels: bool = False, convention: Any = "3ddfa-v2") -> Weights:
    """A random MobileNet whose faces are the toy face near the middle of the crop, another one for each picture."""
    torch.manual_seed(0)
    architecture = Architecture("mobilenet-v1", 0.125, in_channels=4 if four_channels else 3)
    network = architecture.build()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():  # batch statistics as after training: without, every picture gives the same numbers
        network(torch.randn(16, architecture.in_channels, 120, 120))
    pose = np.array([[4e-4, 0, 0, 60], [0, 4e-4, 0, 60], [0, 0, 4e-4, 0]])
    spread = np.array([[2e-5, 2e-5, 2e-5, 2], [2e-5, 2e-5, 2e-5, 2], [2e-5, 2e-5, 2e-5, 2]])
    return Weights(
        architecture=architecture,
        state=network.state_dict(),
        whitening=Whitening(
            np.concatenate([pose.ravel(), np.zeros(50)]).astype(np.float32),
            np.concatenate([spread.ravel(), np.full(40, 1e4), np.full(10, 0.3)]).astype(np.float32),
        ),
        basis_id=model.basis_id,
        convention=convention,
        landmark_map="binary-18" if four_channels else "none",
        name="toy weights",
        terms="invented, free to use",
    )


def toy_landmarks(model: MorphableModel, index: int) -> np.ndarray:
    """Where the face of photo `index` is: (68, 3), photo pixels from 1, y down."""
    points = model.mean[model.landmark_ids] * (4e-4 + 2e-5 * index) * [1, -1, 1]
    return points + [90 + 3 * index, 80 - 2 * index, 0]


def write_photo(path: Path, index: int, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Soft noise, another one for each index."""
    small = np.random.default_rng(index).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(path)


def write_annotation(path: Path, landmarks: np.ndarray, **changes: Any) -> None:
    """With the odd types that real ones have."""
    fields = {
        "pt3d_68": landmarks.T.astype(np.float32),
        "Pose_Para": np.array([[0.1, 0.2, 0, 200, 200, 0, 1e-3]], np.float32),
        "Exp_Para": np.ones((29, 1), np.uint8),
        "pt2d": np.zeros((2, 23)),
    } | changes
    savemat(path, {name: value for name, value in fields.items() if value is not None})


@dataclass(frozen=True)
class ToyJob:
    """Files of a job in one folder: `photos` with annotations, `crops`, `toy.h5`, `w3.safetensors`, `w4.safetensors`."""

    folder: Path
    names: tuple[str, ...]
    landmarks: np.ndarray

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    @property
    def crops(self) -> Path:
        return self.folder / "crops"

    def command(self, *arguments: Any, output: str = "run.h5", weights: str = "w3") -> list[str]:
        whole = [
            "infer", *arguments, "--weights", self.folder / f"{weights}.safetensors",
            "--model", self.folder / "toy.h5", "-o", self.folder / output,
        ]  # fmt: skip
        return [str(argument) for argument in whole]

    def infer(self, *arguments: Any, output: str = "run.h5", weights: str = "w3") -> tuple[int, str, str]:
        return run_command(*self.command(*arguments, output=output, weights=weights))

    def table(self, file: str, rows: dict[str, np.ndarray]) -> Path:
        """A CSV or detector list of numbers by name."""
        lines = [f"{name}," + ",".join(map(repr, np.ravel(row).tolist())) for name, row in rows.items()]
        (self.folder / file).write_text("\n".join(lines) + "\n")
        return self.folder / file


def make_toy_job(folder: Path, model: MorphableModel, names: Sequence[str]) -> ToyJob:
    landmarks = np.stack([toy_landmarks(model, index) for index in range(len(names))])
    job = ToyJob(folder, tuple(names), landmarks)
    job.photos.mkdir()
    job.crops.mkdir()
    for index, name in enumerate(names):
        write_photo(job.photos / f"{name}.png", index)
        write_annotation(job.photos / f"{name}.mat", landmarks[index])
        write_photo(job.crops / f"{name}.png", index, 120, 120)
    model.save(folder / "toy.h5")
    toy_weights(model).save(folder / "w3.safetensors")
    toy_weights(model, four_channels=True).save(folder / "w4.safetensors")
    return job
