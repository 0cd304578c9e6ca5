"""Fail if git tracks data, weights or pictures that are not on the list of what belongs to the project.

Face models, weights, annotations and photos of this field are licensed: none may slip into the repository.
"""

import subprocess
import sys
from pathlib import Path, PurePath

SUSPICIOUS = frozenset(
    [
        ".h5",
        ".hdf5",
        ".mat",
        ".npy",
        ".npz",
        ".pkl",
        ".pth",
        ".pt",
        ".tar",
        ".zip",
        ".safetensors",
        ".onnx",
        ".bin",
        ".obj",
        ".ply",
        ".glb",
        ".stl",
        ".part",
        ".jpg",
        ".jpeg",
        ".png",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".webp",
        ".mp4",
        ".avi",
        ".mov",
        ".pdf",
    ]
)
# Assets of the project itself, by path: the open face model (CC0) and pictures of it.
ALLOWED = (
    "models/assets/open_face_v1.h5",
    "docs/images/demo.jpg",
    "docs/images/open-face-*.png",
    "docs/images/page.png",
    "docs/images/rendering.jpg",
    "docs/images/synthetic.jpg",
)


def _is_allowed(name: str) -> bool:
    return any(
        PurePath(name).match(pattern) and PurePath(name).parent == PurePath(pattern).parent for pattern in ALLOWED
    )


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    tracked = [name for name in listed.decode().split("\0") if name]
    wrong = [name for name in tracked if PurePath(name).suffix.lower() in SUSPICIOUS and not _is_allowed(name)]
    for name in wrong:
        print(f"git tracks {name}: data, weights and pictures stay out unless tools/check_tracked.py allows them")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
