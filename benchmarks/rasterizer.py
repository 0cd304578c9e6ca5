"""How fast is the z-buffer, beside the compiled renderer of 3DDFA_V2 (Sim3DR) and beside NumPy?

    python benchmarks/rasterizer.py [--model bfm.h5] [--mesh image00074.mat] [--sim3dr FOLDER] [--json]

Without --model and --mesh the bundled face model's mean at its finest level is drawn. FOLDER is the parent of Sim3DR's
folder, built from its public source: in github cleardusk/3DDFA_V2, `cd Sim3DR; pip install cython; python setup.py
build_ext --inplace`, by the Python that runs this script. Without it the ratios are to the NumPy way alone.

Drawn with colours, as 8-bit pictures, both sides of the surface. Every time is the median of warm calls that take turns
with the other ways, so that a busy machine is busy for all. Before anything is timed, the compiled and the NumPy
pictures must be the same bits for one thread and for two; how many pixels Sim3DR draws otherwise is counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZES = ((120, 120), (450, 450), (1920, 1080))
FILLS = 0.55  # how much of the shorter side the face takes, as in AFLW2000-3D
FIRST_CALL = (
    "import time, sys; import numpy as np; from twodasl.rendering.rasterizer import rasterize\n"
    "vertices, triangles = np.array([(0, 0, 0), (9, 0, 0), (0, 9, 0)], float), np.array([(0, 2, 1)])\n"
    "start = time.perf_counter(); rasterize(vertices, triangles, 10, 10); print(time.perf_counter() - start)"
)


def medians(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each way; the ways take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            if number >= 2:  # warm
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def load(model_path: Path | None, mesh: Path | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Vertices (N, 3) with y down, triangles, and what they are."""
    from twodasl.models.library import load_model
    from twodasl.models.open_face.asset import load_open_face
    from twodasl.models.vertex_files import read_vertex_file

    model = load_open_face(level=2) if model_path is None else load_model(model_path)
    if mesh is not None:
        return read_vertex_file(mesh, len(model.mean)), model.triangles, f"{mesh.name} on {model.name}"
    return model.mean.astype(np.float64) * [1, -1, 1], model.triangles, f"{model.name}, mean"


def placed(vertices: np.ndarray, width: int, height: int) -> np.ndarray:
    """The mesh in the middle of a picture."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    scale = FILLS * min(width, height) / (high - low)[:2].max()
    return (vertices - (low + high) / 2) * scale + (width / 2 + 0.13, height / 2 + 0.27, 0)


def sim3dr(folder: Path | None) -> Any | None:
    """Sim3DR's compiled module, if it was built."""
    if folder is None:
        return None
    sys.path[:0] = [str(folder), str(folder / "Sim3DR")]
    import Sim3DR_Cython  # type: ignore[import-not-found]

    return Sim3DR_Cython


def measure(
    vertices: np.ndarray, triangles: np.ndarray, width: int, height: int, peer: Any | None, rounds: int
) -> dict[str, Any]:
    from twodasl.rendering.rasterizer import interpolate, rasterize

    where = placed(vertices, width, height)
    colors = (where - where.min(axis=0)) / np.ptp(where, axis=0)
    levels = (255 * colors).astype(np.float32)  # single, as Sim3DR takes them; vertices double, which it does not

    def ours(threads: int, compiled: bool = True) -> np.ndarray:
        fragments = rasterize(where, triangles, width, height, threads=threads, compiled=compiled)
        return interpolate(fragments, triangles, levels, np.uint8, threads=threads, compiled=compiled)

    picture = ours(1)
    for other in (ours(2), ours(1, compiled=False)):
        np.testing.assert_array_equal(other, picture)
    ways: dict[str, Callable[[], Any]] = {"1 thread": lambda: ours(1), "2 threads": lambda: ours(2)}
    result: dict[str, Any] = {"size": [width, height], "pixels": int((picture > 0).any(axis=2).sum())}
    if peer is not None:
        corners = np.ascontiguousarray(triangles, np.int32)
        mesh, tints = where.astype(np.float32), colors.astype(np.float32)

        def theirs() -> np.ndarray:
            canvas = np.zeros((height, width, 3), np.uint8)
            buffer = np.zeros((height, width), np.float32) - 1e8
            peer.rasterize(canvas, mesh, corners, tints, buffer, len(corners), height, width, 3, reverse=False)
            return canvas

        far = np.abs(theirs().astype(int) - picture).max(axis=2) > 8
        result["pixels_sim3dr_draws_otherwise"] = int(far.sum())
        ways["Sim3DR"] = theirs
    measured = medians(ways, rounds)
    plain = medians({"NumPy": lambda: ours(1, compiled=False)}, max(3, rounds // 8))
    result["milliseconds"] = measured | plain
    base = "Sim3DR" if peer is not None else "NumPy"
    result["ratio"] = {f"{name} / {base}": measured[name] / (measured | plain)[base] for name in list(ways)[:2]}
    return result


def first_call() -> float:
    """Seconds of the first call in a new process whose compiled code is cached."""
    return min(
        float(subprocess.run([sys.executable, "-c", FIRST_CALL], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--mesh", type=Path)
    parser.add_argument("--sim3dr", type=Path, default=os.environ.get("SIM3DR"))
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    vertices, triangles, what = load(arguments.model, arguments.mesh)
    peer = sim3dr(None if arguments.sim3dr is None else Path(arguments.sim3dr).resolve())
    measured: dict[str, Any] = {
        "mesh": what,
        "vertices": len(vertices),
        "triangles": len(triangles),
        "compared_with": "NumPy (no --sim3dr)" if peer is None else "Sim3DR",
        "first_call_seconds": first_call(),
        "sizes": [measure(vertices, triangles, *size, peer, arguments.rounds) for size in SIZES],
    }
    if arguments.json:
        print(json.dumps(measured))
        return
    print(f"{what}: {len(vertices)} vertices, {len(triangles)} triangles; compared with {measured['compared_with']}")
    for result in measured["sizes"]:
        print(f"{result['size'][0]} x {result['size'][1]}, {result['pixels']} pixels")
        for name, value in result["milliseconds"].items():
            print(f"  {name:12} {value:8.2f} ms")
        for name, value in result["ratio"].items():
            print(f"  {name:24} {value:5.2f}")
        if peer is not None:
            print(f"  {result['pixels_sim3dr_draws_otherwise']} pixels of Sim3DR differ by over 8 levels")
    print(f"first call in a new process: {measured['first_call_seconds']:.2f} s")


if __name__ == "__main__":
    main()
