"""Invented faces of the toy model, in every kind of file that `render` reads; the frames written out once more."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from twodasl.models.morphable import MorphableModel
from twodasl.models.runs import Run, run_from_coefficients

WIDTH, HEIGHT = 160, 140  # of the photos
BOXES = {"ann": (21, 11, 110, 120), "bob": (31, 21, 150, 130), "cyd": (-9, 5, 100, 114)}


@dataclass(frozen=True)
class ToyFaces:
    """Three faces. coefficients: (3, 62), float32 numbers. boxes: (3, 4), one leaves its photo."""

    model: MorphableModel
    names: tuple[str, ...] = tuple(BOXES)
    boxes: np.ndarray = field(default_factory=lambda: np.array(list(BOXES.values()), np.float64))

    @property
    def coefficients(self) -> np.ndarray:
        rng = np.random.default_rng(11)
        turned = 4.5e-4 * np.linalg.qr(np.eye(3) + 0.1 * rng.normal(size=(3, 3, 3)))[0]
        turned *= np.sign(np.einsum("nii->ni", turned))[:, None, :]  # QR leaves signs open: look at the camera
        pose = np.concatenate([turned, np.array([[60.0], [62.0], [-5.0]]) + np.zeros((3, 1, 1))], axis=2)
        shape = np.concatenate([rng.normal(0, 3e4, (3, 40)), rng.normal(0, 0.5, (3, 10))], axis=1)
        return np.concatenate([pose.reshape(3, 12), shape], axis=1).astype(np.float32).astype(np.float64)

    def crop_up(self, index: int) -> np.ndarray:
        """(N, 3): crop pixels, y up."""
        numbers, model = self.coefficients[index], self.model
        face = model.mean.astype(np.float64)
        face = face + np.einsum("nck,k->nc", model.identity_basis.astype(np.float64), numbers[12:52])
        face = face + np.einsum("nck,k->nc", model.expression_basis.astype(np.float64), numbers[52:])
        pose = numbers[:12].reshape(3, 4)
        return face @ pose[:, :3].T + pose[:, 3]

    def matlab_photo(self, index: int) -> np.ndarray:
        """(N, 3): photo pixels from 1, y down, by the original's rule (original pipeline, section 10)."""
        (x, y, z), (left, top, right, bottom) = self.crop_up(index).T, self.boxes[index]
        across, down = (right - left) / 120, (bottom - top) / 120
        return np.stack([x * across + left, (121 - y) * down + top, z * (across + down) / 2], axis=1)

    def photo(self, index: int) -> np.ndarray:
        """(N, 3): photo pixels from 0, y down, where the face lies (Q8's exact form; x and 121 - y count from 1)."""
        (x, y, z), (left, top, right, bottom) = self.crop_up(index).T, self.boxes[index]
        across, down = (right - left + 1) / 120, (bottom - top + 1) / 120
        u, v = left - 0.5 + (x - 0.5) * across, top - 0.5 + (121 - y - 0.5) * down
        return np.stack([u - 1, v - 1, z * (across + down) / 2], axis=1)

    # --- files ------------------------------------------------------------------------------------

    def run(self, paths: Sequence[str] = (), failed: Sequence[str] = (), boxes: bool = True) -> Run:
        """A run of them, in which the photos of `failed` could not be read."""
        coefficients = self.coefficients
        coefficients[[name in failed for name in self.names]] = np.nan
        given = self.boxes if boxes else None
        run = run_from_coefficients(self.names, coefficients, self.model, "3ddfa", given, paths)
        status = tuple("unreadable" if name in failed else "ok" for name in self.names)
        size = (WIDTH, HEIGHT) if boxes else (0, 0)
        return replace(run, status=status, image_size=np.tile(np.array(size, np.int32), (3, 1)))

    def write_run(self, folder: Path, failed: Sequence[str] = (), boxes: bool = True) -> list[str]:
        """`run.h5`, and its arguments for `render`."""
        self.run([str(folder / "photos" / f"{name}.png") for name in self.names], failed, boxes).save(folder / "run.h5")
        return [str(folder / "run.h5")]

    def write_coefficients(self, folder: Path, boxes: bool = True) -> list[str]:
        np.save(folder / "coefficients.npy", self.coefficients)
        np.save(folder / "boxes.npy", self.boxes)
        (folder / "rows.list").write_text("".join(f"{name}.jpg\n" for name in self.names))
        arguments = [str(folder / "coefficients.npy"), "--rows", str(folder / "rows.list")]
        return [*arguments, "--boxes", str(folder / "boxes.npy")] if boxes else arguments

    def write_photo_mats(self, folder: Path) -> list[str]:
        return self._write_mats(folder / "photo_mats", [self.matlab_photo(index) for index in range(3)])

    def write_crop_mats(self, folder: Path) -> list[str]:
        """With their boxes as a CSV in another order."""
        lines = [f"{name},{','.join(map(str, BOXES[name]))}\n" for name in reversed(self.names)]
        (folder / "boxes.csv").write_text("name,left,top,right,bottom\n" + "".join(lines))
        arguments = self._write_mats(folder / "crop_mats", [self.crop_up(index) for index in range(3)])
        return [*arguments, "--boxes", str(folder / "boxes.csv")]

    def _write_mats(self, folder: Path, faces: Sequence[np.ndarray]) -> list[str]:
        folder.mkdir()
        for name, vertices in zip(self.names, faces, strict=True):
            savemat(folder / f"{name}.mat", {"vertex": vertices.T.astype(np.float32)})
        return [str(folder)]

    def write_photos(self, folder: Path, names: Sequence[str] = ()) -> Path:
        """Grey pictures, so that what is drawn stands out."""
        photos = folder / "photos"
        photos.mkdir(exist_ok=True)
        for name in names or self.names:
            Image.fromarray(self.picture()).save(photos / f"{name}.png")
        return photos

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8: grey, darker to the left and top, so that a pixel says where it is."""
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        return np.stack([columns, rows, np.full_like(rows, 80)], axis=-1).astype(np.uint8)
