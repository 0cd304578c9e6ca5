"""How training examples are drawn, mixed and changed: the settings, saved beside the weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from ..errors import SettingsError
from .noise import DetectorNoise
from .settings import MapKind

WildPoints = Literal["human", "detector-like"]

SHARES = ("point_dropout", "map_dropout", "flip", "grey", "blur", "jpeg", "occluders")
AMOUNTS = {
    "shift": (0, 0.5), "scale": (0, 0.5), "rotation_degrees": (0, 180),
    "brightness": (0, 1), "contrast": (0, 1), "saturation": (0, 1), "hue_degrees": (0, 180),
}  # fmt: skip
OTHERS = {"labelled_ratio": (0, 1), "blur_pixels": (0, 10), "jpeg_quality": (1, 95), "occluder_size": (0, 1)}


@dataclass(frozen=True)
class DataSettings:
    """The law of a stream of batches. The same settings give the same batches, with any number of workers or processes.

    batch_size: faces of a step, over all processes together. labelled_ratio: share of labelled faces in a batch, where
    there are both. workers: processes that make batches; 0: the training process itself.
    augment: False leaves every picture and its points as they are, whatever stands below; detector-like wild points stay
    that. map_kind: what the trainer draws the shown points as. wild_points: what is known of wild faces, the points as the
    annotators set them, or (`detector-like`) moved once and for all as a detector would: each face's the same in every
    epoch. noise: of points that are shown to the network; detector-like ones have theirs already. point_dropout: share of
    shown points left out; map_dropout: share of faces shown without points.
    shift: of the crop, largest share of its side. scale: largest change of its side. rotation_degrees: largest.
    flip, grey, blur, jpeg, occluders: share of faces that are mirrored, turned grey, blurred (by a Gaussian up to
    blur_pixels), compressed once more (quality jpeg_quality to 95), covered in part (occluder_size: largest share of the
    side). brightness, contrast, saturation: largest change of a factor; hue_degrees: largest turn.
    """

    batch_size: int = 32
    labelled_ratio: float = 0.5
    seed: int = 0
    workers: int = 0
    augment: bool = True
    map_kind: MapKind = "binary"
    wild_points: WildPoints = "human"
    noise: DetectorNoise = field(default_factory=DetectorNoise)
    point_dropout: float = 0.05
    map_dropout: float = 0.05
    shift: float = 0.05
    scale: float = 0.1
    rotation_degrees: float = 10.0
    flip: float = 0.5
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.3
    hue_degrees: float = 10.0
    grey: float = 0.05
    blur: float = 0.1
    blur_pixels: float = 1.5
    jpeg: float = 0.15
    jpeg_quality: int = 40
    occluders: float = 0.1
    occluder_size: float = 0.4

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("seed", 0), ("workers", 0)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} is {getattr(self, name)}; {least} or more is expected")
        for name, (low, high) in (dict.fromkeys(SHARES, (0, 1)) | AMOUNTS | OTHERS).items():
            if not low <= getattr(self, name) <= high:
                raise SettingsError(f"{name} is {getattr(self, name)}; {low} to {high} is expected")
        for name, known in (("map_kind", get_args(MapKind)), ("wild_points", get_args(WildPoints))):
            if getattr(self, name) not in known:
                raise SettingsError(f"{name} is {getattr(self, name)!r}; one of {', '.join(known)} is expected")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "DataSettings":
        """The inverse of `as_dict`, also through JSON. Raises SettingsError for unknown keys, listing the known."""
        _check_keys(saved, cls)
        values = dict(saved)
        if "noise" in values:
            _check_keys(values["noise"], DetectorNoise)
            noise: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values["noise"].items()}
            values["noise"] = DetectorNoise(**noise)
        return cls(**values)

    def still(self) -> "DataSettings":
        """Pictures as they are and all points shown, as far off as a detector's: what held-out faces are scored with."""
        nothing = dict.fromkeys((*SHARES, *AMOUNTS), 0.0)
        return replace(self, augment=True, noise=DetectorNoise(), **nothing)  # type: ignore[arg-type]


def _check_keys(saved: Mapping[str, Any], kind: type[DataSettings] | type[DetectorNoise]) -> None:
    known = [entry.name for entry in fields(kind)]
    unknown = [key for key in saved if key not in known]
    if unknown:
        raise SettingsError(f"{', '.join(unknown)} is no setting of training data; known: {', '.join(known)}")
