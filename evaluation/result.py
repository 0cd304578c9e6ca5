"""What an evaluation found: one number per image of one method, and everything that decided those numbers."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from .summary import Summary

Metric = Literal["nme_sparse", "nme_dense", "nme_recon", "nme_aflw"]


@dataclass(frozen=True, eq=False)
class NmeResult:
    """One method under one protocol: an NME per scored image (NaN where it failed) and what follows from them.

    choices: everything that decided the numbers, its protocol's `name` and the `labels` among them. deviations: the
    choices that depart from that protocol. yaw_degrees: (n,), None where the truth states none. extra: further numbers
    per image, (n,) each, by name. per_vertex: (N,), the mean error of each vertex over the images, fractions, of the
    model's vertices `vertex_ids` (all where None).
    """

    metric: Metric
    method: str
    choices: dict[str, Any]
    dims: int
    names: tuple[str, ...]
    yaw_degrees: np.ndarray | None
    values: np.ndarray
    summary: Summary
    mean_face: Summary | None = None
    notes: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    oracle_input: bool = False
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    per_vertex: np.ndarray | None = None
    vertex_ids: np.ndarray | None = None

    @property
    def label(self) -> str:
        """The method as tables name it; what was made from annotations is marked wherever it stands."""
        return f"{self.method} (oracle input)" if self.oracle_input else self.method

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(name for name, value in zip(self.names, self.values, strict=True) if np.isnan(value))

    def as_dict(self) -> dict[str, Any]:
        """The result for programs: fractions, None for failed images."""
        return {
            "metric": self.metric,
            "method": self.method,
            "oracle_input": self.oracle_input,
            "unit": "fraction",
            "dims": self.dims,
            "protocol": self.choices,
            "deviations": list(self.deviations),
            "summary": self.summary.as_dict(),
            "mean_face": None if self.mean_face is None else self.mean_face.as_dict(),
            "failed": list(self.failed),
            "notes": list(self.notes),
            "per_image": by_name(self.names, self.values),
            **{f"per_image_{key}": by_name(self.names, values) for key, values in self.extra.items()},
        }


def by_name(names: tuple[str, ...], values: np.ndarray) -> dict[str, float | None]:
    """Values (n,) by image name, None for NaN: JSON has no NaN."""
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, values.tolist(), strict=True)}
