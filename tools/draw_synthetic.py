"""Draw docs/images/synthetic.jpg: a hundred synthetic faces, the first of a seed, none chosen.

python tools/draw_synthetic.py [--seed 1] [-o docs/images/synthetic.jpg]
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from twodasl.models.files import whole_file
from twodasl.rendering.synthetic.sets import head_of, synthetic_example
from twodasl.rendering.synthetic.settings import SynthSettings

ROOT = Path(__file__).resolve().parent.parent
ROWS, COLUMNS = 10, 10
QUALITY = 85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "images" / "synthetic.jpg")
    arguments = parser.parse_args()
    settings = SynthSettings(seed=arguments.seed)
    head = head_of(settings)
    jpgs = [synthetic_example(settings, head, index).jpg for index in range(ROWS * COLUMNS)]
    faces = [np.asarray(Image.open(io.BytesIO(jpg))) for jpg in jpgs]
    rows = [np.concatenate(faces[start : start + COLUMNS], axis=1) for start in range(0, len(faces), COLUMNS)]
    with whole_file(arguments.output) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, quality=QUALITY)


if __name__ == "__main__":
    main()
