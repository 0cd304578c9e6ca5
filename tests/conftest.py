"""What the tests share: where the real data lie, and a home of their own for the files that commands register."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from twodasl.models.morphable import MorphableModel

ROOT = Path(__file__).resolve().parent.parent


def _find_data() -> Path | None:
    named = os.environ.get("TWODASL_DATA")
    candidates = [Path(named)] if named else [ROOT.parent / "shared" / "data"]
    return next((path.resolve() for path in candidates if (path / "bfm").is_dir()), None)


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data kit (research-only; never in the repository)."""
    found = _find_data()
    if found is None and os.environ.get("TWODASL_DATA"):
        pytest.fail(f"TWODASL_DATA is {os.environ['TWODASL_DATA']}, which holds no data kit (bfm/ is missing)")
    if found is None:
        pytest.skip("real data absent: set TWODASL_DATA to the data kit's folder")
    return found


@pytest.fixture(scope="session")
def parity(data: Path) -> dict:
    """Numbers of the original MATLAB scripts, read where they lie beside the data."""
    import json

    path = data.parent / "reference" / "matlab_parity.json"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return json.loads(path.read_text())


@pytest.fixture(scope="session", autouse=True)
def twodasl_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's data folder, for the whole test run: nothing is read from or left in the real one."""
    home = tmp_path_factory.mktemp("home")
    os.environ["TWODASL_HOME"] = str(home)
    os.environ.pop("TWODASL_MODEL", None)
    return home


@pytest.fixture(scope="session")
def bfm(data: Path) -> MorphableModel:
    """The Basel face model of the data kit, imported once."""
    from twodasl.models.importers import import_model

    return import_model(data / "bfm")


@pytest.fixture(scope="session")
def bfm_path(bfm: MorphableModel, twodasl_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file, registered as `twodasl model import` does."""
    from twodasl.models.library import register

    register(bfm)
    path = tmp_path_factory.mktemp("model") / "bfm.h5"
    bfm.save(path)
    return path


@pytest.fixture(scope="session")
def toy_model() -> MorphableModel:
    """A small invented face model, for tests that need none of the real data."""
    from tests.toy import toy_face_model

    return toy_face_model()


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """Tests may run side by side."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
