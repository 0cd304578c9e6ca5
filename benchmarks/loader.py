"""How long does a training example take, where does the time go, and how much does doing it in one go save?

    OMP_NUM_THREADS=1 python benchmarks/loader.py [SET.h5 ...] [--count 512] [--workers 0] [--json]

SET: a labelled and a wild training set, or one of them; without any, invented faces of both kinds. Process time of one
thread, warm, the least of five runs: other programs show less in it than in wall time. With --workers also wall time of
that many processes. Stages are timed by wrapping the functions that make them. The plain way changes a crop step after
step: mirrored, turned, scaled, shifted, brightness, contrast, saturation, hue, floating-point numbers. Checked first: both
ways, told to do the same, put a face's points into the same places, and their pictures are about the same.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.toy_sets import write_labelled, write_wild
from twodasl.models.library import default_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.photos import decode_photo
from twodasl.models.training import batches, changes
from twodasl.models.training.augment import Move, colour_matrix, decode_crop
from twodasl.models.training.batches import BatchStream
from twodasl.models.training.changes import Changer
from twodasl.models.training.data import DataSettings
from twodasl.models.training.sets import TrainingSet
from twodasl.models.training.sources import SetSource, Source

RUNS = 5
STAGES: dict[str, list[tuple[Any, str]]] = {
    "reading": [(SetSource, "example")],
    "decoding": [(changes, "decode_crop")],
    "drawing the move": [(changes, "draw_move")],
    "warp": [(Move, "picture")],
    "colour, blur, JPEG, covers": [(changes, "change_look")],
    "points and label": [(Move, "points"), (changes, "_moved"), (Changer, "_yaw_degrees")],
    "detector noise": [(changes, "detector_noise")],
    "batch arrays": [(batches, "_arrays")],
}


def least_ms(work: Callable[[], Any], count: int) -> float:
    """Milliseconds of process time for each of `count`, the least of RUNS."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times) / count


def stage_ms(stream: BatchStream, steps: int, count: int) -> dict[str, float]:
    """Of the least of RUNS runs; what a stage calls of another counts there only."""
    runs = []
    for _ in range(RUNS):
        spent = dict.fromkeys(STAGES, 0.0)
        running: list[str] = []
        originals = [(owner, name, getattr(owner, name)) for places in STAGES.values() for owner, name in places]

        def timed(stage: str, work: Callable[..., Any], spent: dict[str, float], running: list[str]) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                start = time.process_time()
                running.append(stage)
                try:
                    return work(*arguments, **options)
                finally:
                    running.pop()
                    took = time.process_time() - start
                    spent[stage] += took
                    if running:
                        spent[running[-1]] -= took

            return call

        for stage, places in STAGES.items():
            for owner, name in places:
                setattr(owner, name, timed(stage, getattr(owner, name), spent, running))
        start = time.process_time()
        for step in range(steps):
            stream.batch(step)
        total = time.process_time() - start
        for owner, name, work in originals:
            setattr(owner, name, work)
        spent["everything else"] = total - sum(spent.values())
        runs.append((total, spent))
    spent = min(runs, key=lambda run: run[0])[1]
    return {stage: 1000 * value / count for stage, value in spent.items()}


def plain(jpg: bytes, points: np.ndarray, draws: np.ndarray, settings: DataSettings) -> tuple[np.ndarray, np.ndarray]:
    """The crop (3, 120, 120) float32 and its points (P, 2), changed one step after the other. draws: (9,), -1..1."""
    crop, places = Image.fromarray(decode_photo(jpg, "crop")), points.copy()
    if draws[0] > 0:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        places[:, 0] = 119 - places[:, 0]
    degrees = settings.rotation_degrees * draws[1]
    crop = crop.rotate(-degrees, Image.Resampling.BILINEAR)
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    places = (places - 59.5) @ np.array([[cos, -sin], [sin, cos]]).T + 59.5
    scale = 1 / (1 + settings.scale * draws[2])
    half = 60 / scale
    crop = crop.transform((120, 120), Image.Transform.EXTENT, (60 - half, 60 - half, 60 + half, 60 + half), 2)
    places = (places - 59.5) * scale + 59.5
    right, down = settings.shift * 120 * draws[3:5]
    crop = crop.transform((120, 120), Image.Transform.AFFINE, (1, 0, -right, 0, 1, -down), 2)
    places += [right, down]
    crop = ImageEnhance.Brightness(crop).enhance(1 + settings.brightness * draws[5])
    crop = ImageEnhance.Contrast(crop).enhance(1 + settings.contrast * draws[6])
    crop = ImageEnhance.Color(crop).enhance(1 + settings.saturation * draws[7])
    hue = np.array(crop.convert("HSV"))
    hue[..., 0] += np.uint8(round(settings.hue_degrees * draws[8] / 360 * 255) % 256)
    pixels = np.asarray(Image.fromarray(hue, "HSV").convert("RGB")).astype(np.float32)
    return ((pixels[..., ::-1] - 127.5) / 128).transpose(2, 0, 1).copy(), places


def in_one_go(
    jpg: bytes, points: np.ndarray, draws: np.ndarray, settings: DataSettings
) -> tuple[np.ndarray, np.ndarray]:
    """The same with this program's functions."""
    crop = decode_crop(jpg, "crop")
    angle, scale = np.deg2rad(settings.rotation_degrees * draws[1]), 1 / (1 + settings.scale * draws[2])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = 59.5 + settings.shift * 120 * draws[3:5] - turn.sum(axis=1) * 59.5
    move = Move(turn, shift, scale, bool(draws[0] > 0))
    if move.mirrored:
        points = points * [-1, 1] + [119, 0]
    matrix = colour_matrix(draws[5:], False, settings)
    changed = move.picture(crop).convert("RGB", tuple(matrix.ravel()))
    return batches._images([np.asarray(changed)])[0], move.points(points)


def check(source: Source, settings: DataSettings) -> None:
    rng = np.random.default_rng(1)
    no_colour = replace(settings, brightness=0, contrast=0, saturation=0, hue_degrees=0)
    for index in range(min(8, len(source))):
        example, draws = source.example(index), rng.uniform(-1, 1, 9)
        points = example.landmarks[:, :2].astype(np.float64)
        (one, there), (two, here) = (way(example.jpg, points, draws, no_colour) for way in (plain, in_one_go))
        assert np.nanmax(np.abs(there - here)) < 1e-6, "points are put elsewhere"
        assert np.median(np.abs(one - two)) < 0.02, "pictures are not alike"


def measure(sources: list[Source], model: MorphableModel, count: int, workers: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    settings = DataSettings()
    check(sources[0], settings)
    parts = {bool(source.info.labelled): source for source in sources}
    stream = BatchStream(parts.get(True), parts.get(False), settings, model)
    steps = max(1, count // settings.batch_size)
    count = steps * settings.batch_size

    def whole() -> None:
        for step in range(steps):
            stream.batch(step)

    whole()
    examples = [source.example(row % len(source)) for row in range(count // len(sources)) for source in sources]
    draws = np.random.default_rng(2).uniform(-1, 1, (len(examples), 9))

    def changed(way: Callable[..., Any]) -> Callable[[], None]:
        def work() -> None:
            for example, draw in zip(examples, draws, strict=True):
                way(example.jpg, example.landmarks[:, :2], draw, settings)

        return work

    found: dict[str, Any] = {
        "examples": count,
        "hardware": f"{platform.processor() or platform.machine()}, 1 thread",
        "ms_per_example": least_ms(whole, count),
        "stages_ms": stage_ms(stream, steps, count),
        "picture_ms": {
            "in one go": least_ms(changed(in_one_go), len(examples)),
            "plain": least_ms(changed(plain), len(examples)),
        },
    }
    pictures = found["picture_ms"]
    found["times_faster_than_plain"] = pictures["plain"] / pictures["in one go"]
    if workers:
        many = BatchStream(parts.get(True), parts.get(False), replace(settings, workers=workers), model)
        loaded = iter(many.loader(0, 3 * steps))
        next(loaded)
        start = time.perf_counter()
        rest = sum(len(batch) for batch in loaded)
        found["examples_per_second"] = {"workers": workers, "wall": rest / (time.perf_counter() - start)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="*")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    model = default_model(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        paths = arguments.sets or [
            write_labelled(Path(folder) / "labelled.h5", model, 64),
            write_wild(Path(folder) / "wild.h5", 64),
        ]
        measured = measure([SetSource(path) for path in paths], model, arguments.count, arguments.workers)
        measured["sets"] = [TrainingSet.open(path).info.labels for path in paths]
    if arguments.json:
        print(json.dumps(measured))
        return
    print(f"{measured['examples']} examples ({', '.join(measured['sets'])}), {measured['hardware']}")
    print(f"{measured['ms_per_example']:.2f} ms an example, process time")
    for stage, value in measured["stages_ms"].items():
        print(f"  {stage:28} {value:6.3f} ms")
    pictures = measured["picture_ms"]
    print(
        f"a picture alone: {pictures['in one go']:.2f} ms in one go, {pictures['plain']:.2f} ms the plain way: ", end=""
    )
    print(f"{measured['times_faster_than_plain']:.1f} times as long")
    if "examples_per_second" in measured:
        speed = measured["examples_per_second"]
        print(f"{speed['wall']:.0f} examples a second from {speed['workers']} worker processes (wall time)")


if __name__ == "__main__":
    main()
