"""How long do 2D and 3D dense NME of the 1998 published parameters take, and in how much memory?

    python benchmarks/dense.py --data $D --model bfm.h5 [--repeats 3] [--json]

The whole command `twodasl eval nme --dense --dims 2,3`, start-up included, each time in a process of its own; the
fastest run and its CPU time are printed. The result is checked first against the numbers of an independent float32
script (tests/test_dense.py holds one in float64).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

EXPECTED = {2: (3.679, 4.945, 6.731, 5.119, 4.386), 3: (5.533, 7.268, 9.570, 7.457, 6.480)}

PROGRAM = """
import resource, sys
from twodasl_cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(usage.ru_maxrss, usage.ru_utime + usage.ru_stime, file=sys.stderr)
"""


def run(data: Path, model: Path) -> dict[str, Any]:
    folder = data / "aflw2000"
    command = [
        "eval", "nme", "--dense", "--dims", "2,3", data / "peers" / "params_aflw2000_xgtu.npy",
        "--rows", folder / "AFLW1998-3D_crop.list", "--whitening", data / "bfm" / "param_whitening.pkl",
        "--model", model, "--truth", folder, "--json",
    ]  # fmt: skip
    start = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, command)], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - start
    for document in json.loads(result.stdout):
        summary = document["summary"]
        found = [*summary["bins"].values(), summary["mean_over_bins"], summary["mean_over_images"]]
        worst = max(abs(100 * a - b) for a, b in zip(found, EXPECTED[document["dims"]], strict=True))
        if worst > 0.002:
            raise SystemExit(f"{document['dims']}D numbers are {worst:.4f} points off")
    peak, cpu = map(float, result.stderr.split()[-2:])
    megabytes = peak / (2**20 if platform.system() == "Darwin" else 2**10)
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_megabytes": megabytes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs = [run(arguments.data, arguments.model) for _ in range(arguments.repeats)]
    best = min(runs, key=lambda measured: measured["seconds"])
    if arguments.json:
        print(json.dumps(best | {"images": 1998, "cores": os.cpu_count()}))
        return
    print(f"1998 images, 53215 vertices, 2D and 3D, {os.cpu_count()} cores, fastest of {arguments.repeats}:")
    print(f"{best['seconds']:.1f} s ({best['cpu_seconds']:.1f} s of CPU time), {best['peak_megabytes']:.0f} MB peak")


if __name__ == "__main__":
    main()
