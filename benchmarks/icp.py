"""How long do alignments take: 40 pairs of the original's protocol, and a full mesh beside open3d's own call?

    python benchmarks/icp.py --data $D [--repeats 3] [--json]

Meshes: 2DASL's and 3DDFA's published reconstructions of 20 photos (53,215 points each), read before the clock starts.
Checked first: every one of the 40 errors and step counts of the original's scripts, where matlab_parity.json lies beside
the data. open3d: its legacy point-to-point call as it comes (30 steps at most), from centre on centre, and the same with
as many steps as it needs; its RMSE stands beside ours, which is always that of the converged alignment.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

METHODS = ("2DASL", "3DDFA")


def fastest(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Seconds of the fastest run, and what it returned."""
    times, found = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - start)
    return min(times), found


def open3d_call(source: np.ndarray, target: np.ndarray, most: int) -> Callable[[], float]:
    import open3d

    clouds = [open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points)) for points in (source, target)]
    registration = open3d.pipelines.registration

    def call() -> float:
        criteria = registration.ICPConvergenceCriteria(max_iteration=most)
        estimate = registration.TransformationEstimationPointToPoint()
        return float(registration.registration_icp(*clouds, 1e4, np.eye(4), estimate, criteria).inlier_rmse)

    return call


def check_original(meshes: dict[str, dict[str, np.ndarray]], data: Path) -> int:
    """How many of the original's errors were compared, all within 1e-8."""
    from twodasl.evaluation.nme import box_size
    from twodasl.evaluation.original_icp import align_as_original, index_distances

    path = data.parent / "reference" / "matlab_parity.json"
    if not path.is_file():
        return 0
    count = 0
    for metric in json.loads(path.read_text())["metrics"]:
        if metric["metric"] == "recon_nme_icp_standin":
            method, standin = metric["method"].split(" vs ")
            for name, value in metric["values"].items():
                truth = meshes[standin][name]
                found = align_as_original(truth[::50], meshes[method][name][::50])
                error = index_distances(found).mean() / box_size(truth)
                if abs(error - value["double"]) > 1e-8 or found.steps != value["icp"]["iterations"]:
                    raise SystemExit(f"{method} {name} is not the original's value")
                count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--photos", type=int, default=6, help="of the full-mesh comparison")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    from twodasl.evaluation.icp import align_points
    from twodasl.evaluation.original_icp import align_as_original
    from twodasl.models.vertex_files import mat_names, read_vertex_file

    folder = arguments.data / "aflw2000" / "evaluation"
    names = mat_names(folder / "2DASL_results")
    meshes = {
        method: {name: read_vertex_file(folder / f"{method}_results" / f"{name}.mat") for name in names}
        for method in METHODS
    }
    checked = check_original(meshes, arguments.data)

    def all_pairs() -> None:
        for first, second in (METHODS, METHODS[::-1]):
            for name in names:
                align_as_original(meshes[first][name][::50], meshes[second][name][::50])

    seconds, _ = fastest(all_pairs, arguments.repeats)
    rows = []
    for name in names[: arguments.photos]:
        source, target = (meshes[method][name] - meshes[method][name].mean(axis=0) for method in METHODS)
        ours, alignment = fastest(lambda a=source, b=target: align_points(a, b), arguments.repeats)  # type: ignore[misc]
        default, default_rmse = fastest(open3d_call(source, target, 30), arguments.repeats)
        settled, settled_rmse = fastest(open3d_call(source, target, 1000), 1)
        rows.append(
            {
                "photo": name, "seconds": ours, "rmse": alignment.rmse, "open3d_seconds": default,
                "open3d_rmse": default_rmse, "open3d_converged_seconds": settled, "open3d_converged_rmse": settled_rmse,
            }
        )  # fmt: skip
    result = {"cores": os.cpu_count(), "checked": checked, "2dasl_40_pairs_seconds": seconds, "full_mesh": rows}
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"{os.cpu_count()} cores, fastest of {arguments.repeats}; {checked} values of the original checked")
    print(f"protocol 2dasl, {2 * len(names)} pairs of 1065 points: {seconds:.2f} s")
    print(f"{'53,215 points':14}{'twodasl':>20}{'open3d, 30 steps':>22}{'open3d, converged':>22}")
    for row in rows:
        cells = [(row[f"{who}seconds"], row[f"{who}rmse"]) for who in ("", "open3d_", "open3d_converged_")]
        print(f"{row['photo']:14}" + "".join(f"{time_:>10.2f} s{rmse:>10.5f}" for time_, rmse in cells))


if __name__ == "__main__":
    main()
