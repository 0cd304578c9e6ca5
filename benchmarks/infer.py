"""How many crops a second does inference do, and what bounds it: decoding, the network, or writing?

    python benchmarks/infer.py --crops FOLDER --weights W.safetensors --model bfm.h5 [--json]
    python benchmarks/infer.py [--count 2000]         (invented crops, a random MobileNet-V1 x0.5, an invented model)

Each stage is timed alone over all crops, then everything together, and the network beside the plain way (batch norms
kept, one crop at a time). Peak memory is that of two whole processes, one with half and one with all of the crops:
it must not grow with their number. The result is checked first: coefficients of the whole pipeline equal the stages'.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def invent(folder: Path, count: int) -> tuple[Path, Path, Path]:
    """Crops, weights and a face model that nobody has rights in."""
    import torch
    from PIL import Image

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from tests.toy import toy_face_model
    from twodasl.models.checkpoints import Weights
    from twodasl.models.coefficients import Whitening
    from twodasl.models.networks import Architecture

    crops = folder / "crops"
    crops.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        smooth = Image.fromarray(rng.integers(0, 256, (15, 15, 3), dtype=np.uint8)).resize((120, 120))
        smooth.save(crops / f"{index:06}.jpg", quality=95)
    model = toy_face_model()
    model.save(folder / "model.h5")
    torch.manual_seed(0)
    architecture = Architecture("mobilenet-v1", width=0.5, in_channels=3)
    scale = np.r_[np.full(12, 1e-4), np.full(50, 1e4)].astype(np.float32)
    weights = Weights(
        architecture=architecture,
        state=architecture.build().state_dict(),
        whitening=Whitening(scale, scale),
        basis_id=model.basis_id,
        convention="3ddfa-v2",
        landmark_map="none",
    )
    weights.save(folder / "weights.safetensors")
    return crops, folder / "weights.safetensors", folder / "model.h5"


def peak_megabytes(crops: Path, weights: Path, model: Path, count: int, folder: Path) -> float:
    """Peak memory of a whole `twodasl infer` over the first `count` crops."""
    names = "\n".join(str(path) for path in sorted(crops.glob("*.jpg"))[:count])
    program = (
        "import resource, sys; from twodasl_cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    arguments = ["infer", "-", "--cropped", "--weights", weights, "--model", model, "-o", folder / f"{count}.h5"]
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], input=names, capture_output=True, text=True, check=True
    )
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return int(result.stdout.split()[-1]) / unit


def measure(crops: Path, weights_path: Path, model_path: Path, folder: Path) -> dict[str, Any]:
    import torch

    from twodasl.models.checkpoints import Weights
    from twodasl.models.inference import InferenceSettings, collect_inputs, infer, list_photos
    from twodasl.models.morphable import MorphableModel
    from twodasl.models.photos import read_photo
    from twodasl.models.predictor import Predictor
    from twodasl.models.runs import Run

    weights, model = Weights.load(weights_path), MorphableModel.load(model_path)
    predictor, settings = Predictor(weights), InferenceSettings(cropped=True)
    photos = list_photos(crops)
    size = settings.batch_size
    decoded = np.stack([read_photo(path) for path in photos])
    batches = [decoded[start : start + size] for start in range(0, len(decoded), size)]
    stages = np.concatenate([predictor.coefficients(batch) for batch in batches])
    output = folder / "run.h5"

    def everything() -> None:
        infer(collect_inputs(photos), predictor, model, output, settings, overwrite=True)

    everything()
    run = Run.load(output)
    np.testing.assert_allclose(run.coefficients, stages, rtol=1e-5, atol=1e-6 * np.abs(stages).max())

    plain = weights.network()
    few = torch.from_numpy(np.ascontiguousarray(decoded[:200, ..., ::-1].transpose(0, 3, 1, 2), np.float32))
    few = (few - 127.5) / 128

    def one_by_one() -> None:
        with torch.inference_mode():
            for crop in few:
                plain(crop[None])

    count = len(photos)
    per_crop = {
        "decode": seconds(lambda: [read_photo(path) for path in photos]) / count,
        "network": seconds(lambda: [predictor.coefficients(batch) for batch in batches]) / count,
        "network, one at a time, batch norm kept": seconds(one_by_one) / len(few),
        "write": seconds(lambda: run.save(folder / "again.h5")) / count,
        "everything": seconds(everything) / count,
    }
    halves = [peak_megabytes(crops, weights_path, model_path, part, folder) for part in (count // 2, count)]
    return {
        "crops": count,
        "hardware": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "ms_per_crop": {name: 1000 * value for name, value in per_crop.items()},
        "crops_per_second": 1 / per_crop["everything"],
        "bounded_by": max(("decode", "network", "write"), key=lambda stage: per_crop[stage]),
        "speedup_over_plain": per_crop["network, one at a time, batch norm kept"] / per_crop["network"],
        "peak_megabytes": {f"{count // 2} crops": halves[0], f"{count} crops": halves[1]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, default=2000, help="invented crops")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given = (arguments.crops, arguments.weights, arguments.model)
        crops, weights, model = given if all(given) else invent(folder, arguments.count)
        measured = measure(crops, weights, model, folder)
    if arguments.json:
        print(json.dumps(measured))
        return
    print(f"{measured['crops']} crops, {measured['hardware']}, torch {measured['torch']}")
    for name, value in measured["ms_per_crop"].items():
        print(f"  {name:42} {value:7.2f} ms a crop")
    print(f"{measured['crops_per_second']:.0f} crops a second, bounded by the {measured['bounded_by']}")
    print(f"the network in batches is {measured['speedup_over_plain']:.1f} times as fast as one crop at a time")
    for name, value in measured["peak_megabytes"].items():
        print(f"peak memory with {name}: {value:.0f} MB")


if __name__ == "__main__":
    main()
