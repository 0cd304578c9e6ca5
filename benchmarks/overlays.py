"""How long do mask overlays, or files of another kind, of a folder take, reading and writing included?

    python benchmarks/overlays.py RUN [--kind mask] [--model bfm.h5] [--count 2000] [--jobs 2] [--json]

RUN is of photos that lie where it says. Each round is a whole `twodasl render KIND` of all its faces into a new folder;
rounds are repeated until COUNT files are written. Checked first: one job and several write the same bytes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def draw(kind: str, run: Path, model: Path | None, folder: Path, jobs: int, only: Path | None = None) -> float:
    """Seconds of one command."""
    more = [*([] if model is None else ["--model", model]), *([] if only is None else ["--only", only])]
    command = ["render", kind, run, *more, "--jobs", jobs, "-o", folder]
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "twodasl_cli", *map(str, command)], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--kind", default="mask")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    from twodasl.models.runs import Run

    names = Run.load(arguments.run).names
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        only = folder / "few.list"
        only.write_text("\n".join(names[:6]) + "\n")
        for jobs in (1, arguments.jobs):
            draw(arguments.kind, arguments.run, arguments.model, folder / f"check{jobs}", jobs, only)
        files = {file.name: file.read_bytes() for file in (folder / "check1").iterdir()}
        assert len(files) >= min(6, len(names))
        for name, content in files.items():
            assert (folder / f"check{arguments.jobs}" / name).read_bytes() == content, name
        seconds, drawn, number = 0.0, 0, 0
        while drawn < arguments.count:
            seconds += draw(arguments.kind, arguments.run, arguments.model, folder / str(number), arguments.jobs)
            drawn += len(names)
            number += 1
    measured = {
        "kind": arguments.kind,
        "files": drawn,
        "seconds": seconds,
        "jobs": arguments.jobs,
        "milliseconds_a_face": 1000 * seconds / drawn,
        "seconds_for_2000": 2000 * seconds / drawn,
    }
    if arguments.json:
        print(json.dumps(measured))
        return
    print(
        f"{drawn} x {arguments.kind} in {seconds:.1f} s with {arguments.jobs} jobs: "
        f"{measured['milliseconds_a_face']:.1f} ms each,"
    )
    print(f"{measured['seconds_for_2000']:.0f} s for 2000")


if __name__ == "__main__":
    main()
