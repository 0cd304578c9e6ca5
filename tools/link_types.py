"""Make `.types/twodasl/`, where a type checker finds the rooms under the names they are installed by.

Type checkers do not see an editable install's finder. The folder is generated and ignored by git; it holds links where
the system allows them and copies elsewhere.
"""

import shutil
from pathlib import Path

ROOMS = ("evaluation", "rendering", "models")


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    folder = root / ".types" / "twodasl"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for room in ROOMS:
        try:
            (folder / room).symlink_to(Path("..") / ".." / room, target_is_directory=True)
        except OSError:
            shutil.copytree(root / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))


if __name__ == "__main__":
    main()
