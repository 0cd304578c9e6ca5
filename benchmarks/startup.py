"""How long does `twodasl --help` take? Whole processes, beside an interpreter that does nothing and one that imports torch.

python benchmarks/startup.py [--json]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time


def seconds(command: list[str], runs: int) -> float:
    """The median time of a whole process, after one that is not counted."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=11)
    arguments = parser.parse_args()
    shown = subprocess.run([sys.executable, "-m", "twodasl_cli", "--help"], check=True, capture_output=True, text=True)
    assert shown.stdout.startswith("Usage: twodasl")
    python = [sys.executable]
    measured = {
        "python -c pass": seconds([*python, "-c", "pass"], arguments.runs),
        "twodasl --help": seconds([*python, "-m", "twodasl_cli", "--help"], arguments.runs),
        "import click, numpy": seconds([*python, "-c", "import click, numpy"], arguments.runs),
        "import torch": seconds([*python, "-c", "import torch"], max(3, arguments.runs // 3)),
    }
    ratio = measured["import torch"] / measured["twodasl --help"]
    if arguments.json:
        print(json.dumps({"seconds": measured, "torch_over_help": ratio}))
        return
    for name, value in measured.items():
        print(f"{name:20} {1000 * value:8.1f} ms")
    print(f"importing torch for the help would make it {ratio:.0f} times as slow")


if __name__ == "__main__":
    main()
