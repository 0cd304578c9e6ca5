"""The user's own face models, kept by basis id so that runs and weights find the one they belong to."""

import os
from dataclasses import dataclass
from pathlib import Path

from .errors import BasisError, FileError
from .files import make_folder, open_h5
from .morphable import FORMAT, VERSION, MorphableModel, check_basis

HOME_VARIABLE, MODEL_VARIABLE = "TWODASL_HOME", "TWODASL_MODEL"


@dataclass(frozen=True)
class ModelEntry:
    """One registered model: where it lies and what its file says of itself."""

    path: Path
    name: str
    basis_id: str
    file_id: str


def model_folder() -> Path:
    """Where imported models are kept: `models` in TWODASL_HOME, or in the user's data folder."""
    home = os.environ.get(HOME_VARIABLE)
    if home:
        return Path(home) / "models"
    from platformdirs import user_data_path

    return user_data_path("twodasl", appauthor=False) / "models"


def register(model: MorphableModel) -> Path:
    """Keep a copy of `model` in the user's data folder, by its ids; returns where."""
    path = make_folder(model_folder()) / f"{model.basis_id[:12]}-{model.file_id[:12]}.h5"
    if not path.exists():
        model.save(path)
    path.touch()  # the latest import of a basis is the one that is found first
    return path


def registered() -> list[ModelEntry]:
    """The registered models, the latest import first."""
    folder = model_folder()
    if not folder.is_dir():
        return []
    paths = sorted(folder.glob("*.h5"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    entries = []
    for path in paths:
        with open_h5(path, FORMAT, VERSION) as file:
            name, basis_id, file_id = (str(file.attrs[key]) for key in ("name", "basis_id", "file_id"))
        entries.append(ModelEntry(path, name, basis_id, file_id))
    return entries


def load_model(path: Path) -> MorphableModel:
    """The face model in a file, imported or built (`twodasl model build-open`). Raises FileError if it is neither."""
    import h5py

    from .open_face import asset

    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get("format")
    except OSError:
        found = None
    if found == asset.FORMAT:
        return asset.load_open_face(path)
    return MorphableModel.load(path)


def default_model(path: Path | None = None) -> MorphableModel:
    """The face model for new faces: `path`, else TWODASL_MODEL, else the open one in the package."""
    chosen = path or _named_by_variable()
    return bundled_model() if chosen is None else load_model(chosen)


def bundled_model() -> MorphableModel:
    """The open face model that comes with the package."""
    from .open_face.asset import load_open_face

    return load_open_face()


def _named_by_variable() -> Path | None:
    name = os.environ.get(MODEL_VARIABLE)
    return Path(name) if name else None


def open_model(path: Path | None = None, basis_id: str | None = None, what: str = "this input") -> MorphableModel:
    """The face model that something belongs to: `path`, else TWODASL_MODEL, else the registered one, or the one in the
    package, with `basis_id`.

    Without a `basis_id` the only registered basis is taken. Raises BasisError where the model at hand is of another
    basis than `what` (a run, weights) asks for, FileError where none is found.
    """
    chosen = path or _named_by_variable()
    if chosen is not None:
        model = load_model(chosen)
        if basis_id is not None:
            check_basis(basis_id, model, what)
        return model
    entries = registered()
    for entry in entries:
        if entry.basis_id == basis_id:
            return MorphableModel.load(entry.path)
    if basis_id is not None and (bundled := bundled_model()).basis_id == basis_id:
        return bundled
    if basis_id is not None:
        raise BasisError(
            f"{what} belongs to the face model with basis id {basis_id[:12]}, which is not among the registered ones: "
            "hand it over with --model, or import it once with 'twodasl model import'"
        )
    if not entries:
        raise FileError("no face model: hand one over with --model, or import one with 'twodasl model import DIR'")
    if len({entry.basis_id for entry in entries}) > 1:
        names = ", ".join(f"{entry.name} ({entry.basis_id[:12]})" for entry in entries)
        raise FileError(f"several face models are registered: {names}; choose one with --model")
    return MorphableModel.load(entries[0].path)
