"""The main job, end to end, on the data kit that TWODASL_DATA names: each command is printed, then run.

Research-only data are needed until the package brings its own face model; where they are absent, this says what to do.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

WHERE = """The main job needs AFLW2000-3D, the Basel face model's arrays and a network's weights, which are licensed for
research and not part of this package. Lay them out in one folder and name it in TWODASL_DATA:
  bfm/        train.configs of 3DDFA or 2DASL (u_shp, u_exp, w_shp_sim, w_exp_sim, keypoints_sim .npy) and tri.mat
  peers/      mb05_120x120.pth and param_mean_std_62d_120x120.pkl of 3DDFA_V2
  aflw2000/   AFLW2000-3D_crop/ and its lists, test.configs/ of 2DASL, AFLW-2000-3D/ (photos and .mat)
docs/reproduce.md says where each comes from."""

COMMANDS = """
twodasl model import {data}/bfm -o {out}/bfm.h5 --overwrite
twodasl weights import {data}/peers/mb05_120x120.pth --from 3ddfa-v2 --whitening {data}/peers/param_mean_std_62d_120x120.pkl --model {out}/bfm.h5 -o {out}/mb05.safetensors --overwrite
twodasl infer {data}/aflw2000/AFLW2000-3D_crop --cropped --boxes {data}/aflw2000/test.configs/AFLW2000-3D_crop.roi_box.npy --rows {data}/aflw2000/AFLW2000-3D_crop.list --only {data}/aflw2000/AFLW1998-3D_crop.list --weights {out}/mb05.safetensors --model {out}/bfm.h5 -o {out}/mb05.h5
twodasl eval nme --sparse {out}/mb05.h5 --truth {data}/aflw2000 --model {out}/bfm.h5
twodasl infer {data}/aflw2000/AFLW-2000-3D --boxes-from truth --weights {out}/mb05.safetensors --model {out}/bfm.h5 -o {out}/photos.h5
twodasl render mask {out}/photos.h5 --only {out}/one.list --model {out}/bfm.h5 -o {out}/face.jpg --overwrite
twodasl render obj {out}/photos.h5 --only {out}/one.list --model {out}/bfm.h5 --colors -o {out}/face.obj --overwrite
"""


def main() -> int:
    data = Path(os.environ.get("TWODASL_DATA", ""))
    if not (data / "bfm").is_dir():
        print(f"No data in TWODASL_DATA ({data if str(data) != '.' else 'not set'}).\n\n{WHERE}", file=sys.stderr)
        return 1
    out = Path("out") / "main-job"
    out.mkdir(parents=True, exist_ok=True)
    first = sorted((data / "aflw2000" / "AFLW-2000-3D").glob("*.jpg"))[0]
    (out / "one.list").write_text(f"{first.name}\n")
    program = Path(sys.executable).parent / "twodasl"
    for line in COMMANDS.format(data=data, out=out).strip().splitlines():
        print(f"\n$ {line}", flush=True)
        code = subprocess.run([str(program), *shlex.split(line)[1:]], check=False).returncode
        if code:
            return code
    print(f"\nThe face of {first.name}: {out / 'face.jpg'} and {out / 'face.obj'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
