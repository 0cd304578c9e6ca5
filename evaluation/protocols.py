"""Named sets of evaluation choices. A number means nothing without one, so every output states its own."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

ZAlign = Literal["min", "none"]
Z_ALIGNMENTS: dict[ZAlign, str] = {
    "min": "each face's smallest z over its own 68 points subtracted",
    "none": "as it is, nothing subtracted (a deviation from the protocol: --z-align none)",
}


@dataclass(frozen=True)
class Protocol:
    """How predicted points reach the photo, and in which count.

    boxes: `given`: as handed over or published (clipped, Q3); `rederived`: a clipped box is replaced by the rule's
    unclipped one. convention: `3ddfa` for everybody, or each method's `own`. mapping: `published`: x0 + u (x1 - x0) /
    120 (Q8); `exact`: x0 - 0.5 + (u - 0.5)(x1 - x0 + 1) / 120. origin: `as is`, or points counted from 0 are
    `counted from 1` as the truth is (Q13). align: how `--recon` brings a mesh onto the truth: `2dasl`, the original's
    iteration with its sign error (Q14) on every 50th vertex, or `icp`, a proper rotation on all of them.
    """

    name: str
    summary: str
    boxes: Literal["given", "rederived"]
    convention: Literal["3ddfa", "own"]
    mapping: Literal["published", "exact"]
    origin: Literal["as is", "counted from 1"]
    align: Literal["2dasl", "icp"]

    def placement(self) -> dict[str, Any]:
        """Where predicted points are put, for reports."""
        chosen = asdict(self)
        del chosen["align"]
        return chosen

    def choices(self, dims: int, labels: str, z_align: ZAlign = "min") -> dict[str, Any]:
        """Everything that decided a sparse number, for reports."""
        chosen = self.placement() | {
            "points": 68,
            "dims": dims,
            "labels": labels,
            "normaliser": "sqrt(width * height) of the x-y box of the truth's 68 points",
            "yaw_bins": "|yaw| <= 30, <= 60, beyond, by the older yaw file",
        }
        if dims == 3:
            chosen["z"] = Z_ALIGNMENTS[z_align]
        return chosen


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="standard",
            summary="the published tables: given boxes, each method's own convention",
            boxes="given",
            convention="own",
            mapping="published",
            origin="as is",
            align="icp",
        ),
        Protocol(
            name="2dasl",
            summary="the original 2DASL scripts to the last digit: given boxes, y' = 121 - y for everybody",
            boxes="given",
            convention="3ddfa",
            mapping="published",
            origin="as is",
            align="2dasl",
        ),
        Protocol(
            name="exact",
            summary="where the points really lie: unclipped boxes, all points counted from 1, pixel centres exact",
            boxes="rederived",
            convention="own",
            mapping="exact",
            origin="counted from 1",
            align="icp",
        ),
    )
}
DEFAULT = "standard"
