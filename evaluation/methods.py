"""Several methods and several kinds of error in one call (`twodasl eval nme`)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..models.errors import NamesError
from ..models.inputs import InputOptions
from ..models.library import open_model
from ..models.tables import check_unique, read_names, shorten
from .dense import score_dense
from .mesh_truth import MeshTruth, Normalise, open_mesh_truth
from .prediction import Prediction
from .predictions import open_prediction
from .protocols import DEFAULT, PROTOCOLS, Protocol, ZAlign
from .recon import ReconSettings, score_recon
from .result import NmeResult
from .shared_options import SharedOptions
from .sparse import score
from .truth import Labels, open_truth

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def _no_progress(text: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


@dataclass(frozen=True)
class Method:
    """An input and what tables call it; "" takes the name of its file or folder."""

    name: str
    path: Path


def parse_method(text: str) -> Method:
    """`Name=PATH` or `PATH`. A path that exists is one, even with a = in it."""
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists() or not name or "/" in name:
        return Method("", Path(text))
    return Method(name, Path(path))


@dataclass(frozen=True)
class NmeSettings:
    """What to measure, and how. None leaves a choice to the protocol, and a reconstruction unmeasured."""

    protocol: Protocol = PROTOCOLS[DEFAULT]
    sparse: bool = False
    dense: bool = False
    dims: tuple[int, ...] = (2,)
    labels: Labels = "original"
    z_align: ZAlign = "min"
    normalise: Normalise | None = None
    recon: ReconSettings | None = None
    normalise_from: Path | None = None


def evaluate_nme(
    names: tuple[str, ...],
    scored: Sequence[Prediction],
    truth_path: Path,
    settings: NmeSettings,
    options: InputOptions | None = None,
    progress: Progress = _no_progress,
) -> list[NmeResult]:
    """Score every method against one truth: results by kind of error, dimension and method, in this order.

    names, scored: of `open_scored`; an image of them without a valid prediction is a failure of that method.
    progress: what shows how far a long part is, as `twodasl_cli.options.progress` does.
    Raises TwodaslError subclasses for inputs that do not fit, NamesError for an image without a truth.
    """
    results: list[NmeResult] = []
    if settings.sparse:
        truth = open_truth(truth_path, settings.labels, names)
        results += [
            score(prediction, truth, settings.protocol, dims, settings.z_align)
            for dims in settings.dims
            for prediction in scored
        ]
    if settings.dense or settings.recon is not None:
        meshes = mesh_truth(truth_path, names, scored, settings, options)
    if settings.dense:
        with progress("dense", len(names) * len(scored)) as step:
            by_method = [
                score_dense(
                    prediction, meshes, settings.protocol, settings.dims, settings.normalise or "landmark-box", step
                )
                for prediction in scored
            ]
        results += [result for by_dims in zip(*by_method, strict=True) for result in by_dims]
    if settings.recon is not None:
        with progress("reconstruction", len(names) * len(scored)) as step:
            results += [
                score_recon(prediction, meshes, settings.protocol, settings.recon, step) for prediction in scored
            ]
    return results


def open_scored(
    methods: Sequence[Method], options: InputOptions, only: Path | None, boxes_known: bool = False
) -> tuple[tuple[str, ...], list[Prediction]]:
    """The images to score, and every input under its name, of these images in this order.

    Raises NamesError where two inputs have one name, or one has no image to score.
    """
    chosen = read_names(only) if only is not None else None
    predictions = _open_all(methods, options, chosen, boxes_known)
    names = chosen or tuple(dict.fromkeys(name for prediction in predictions for name in prediction.names))
    return names, [prediction.select(names) for prediction in predictions]


def _open_all(
    methods: Sequence[Method], options: InputOptions, only: tuple[str, ...] | None, boxes_known: bool
) -> list[Prediction]:
    shared = SharedOptions(**vars(options)) if len(methods) > 1 else None
    predictions = []
    for method in methods:
        prediction = open_prediction(method.path, shared or options, only, boxes_known)
        if only is not None and not set(only) & set(prediction.names):
            raise NamesError(f"{method.path} has none of the {len(only)} images to score: {shorten(only)}")
        if len(prediction.names) == 0:
            raise NamesError(f"{method.path} holds no images; there is nothing to score")
        predictions.append(replace(prediction, name=method.name or prediction.name))
    if shared is not None:
        shared.check_read()
    check_unique([prediction.name for prediction in predictions], "the list of methods")
    return predictions


def mesh_truth(
    path: Path,
    names: tuple[str, ...],
    predictions: Sequence[Prediction],
    settings: NmeSettings,
    options: InputOptions | None,
) -> MeshTruth:
    """The truth through the face model of the first method that states one."""
    models = [prediction.meshes.model for prediction in predictions if prediction.meshes is not None]
    model = models[0] if models else open_model(None if options is None else options.model)
    return open_mesh_truth(path, names, model, settings.normalise_from)
