"""Where on the face the error is: mean errors per vertex as colours on the mean face."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from twodasl.evaluation.result import NmeResult
    from twodasl.models.morphable import MorphableModel

COLORMAP = "plasma_r"
SIDE = 520  # pixels of a view
VIEWS = (0.0, 50.0)  # degrees the head is turned
SUBPIXELS = 2
REACH = 12_000.0  # micrometres; a vertex further from all that were measured is grey
DIMMEST = 0.78  # brightness of a surface seen edge-on; the colours are to be read
UNKNOWN = 0.75  # grey of vertices without an error
HIGHEST = 99  # percentile of all methods' vertices at which the common scale ends


def heat_limit(results: "Sequence[NmeResult]") -> float:
    """The end of the colour scale that these results share, a fraction."""
    import numpy as np

    errors = np.concatenate([result.per_vertex for result in results if result.per_vertex is not None])
    return float(np.percentile(errors, HIGHEST))


def heat_figure(model: "MorphableModel", result: "NmeResult", limit: float) -> "Figure":
    """Two views of the mean face, their colour bar and the protocol under them."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    from twodasl.evaluation.plots import DPI, small_print
    from twodasl.evaluation.report import title

    errors = every_vertex(model, result)
    figure = Figure(figsize=(5.2, 3.4), dpi=DPI, layout="constrained")
    grid = figure.subplots(1, len(VIEWS))
    for axes, degrees in zip(grid, VIEWS, strict=True):
        axes.imshow(heat_picture(model, errors / limit, degrees), interpolation="antialiased")
        axes.set_axis_off()
    scale = ScalarMappable(Normalize(0, 100 * limit), colormaps[COLORMAP])
    bar = figure.colorbar(scale, ax=list(grid), extend="max", shrink=0.85, aspect=24)
    bar.set_label("mean error, % of the face's size", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(f"{title(result)}: {result.label}", x=0.02, ha="left", fontsize=10)
    small_print(figure, result, _measured_note(model, result))
    return figure


def _measured_note(model: "MorphableModel", result: "NmeResult") -> str:
    count = len(model.mean) if result.vertex_ids is None else len(result.vertex_ids)
    if count == len(model.mean):
        return ""
    return (
        f"measured at {count} of {len(model.mean)} vertices, between them interpolated; grey: none within "
        f"{REACH / 1000:g} mm"
    )


def every_vertex(model: "MorphableModel", result: "NmeResult") -> "np.ndarray":
    """The mean error of each vertex of the model, (N,) float64 fractions: where it was not measured, from the three
    nearest that were, weighted by 1 / distance; NaN where none is near."""
    import numpy as np
    from scipy.spatial import KDTree

    from twodasl.evaluation.nearest import find

    known = result.per_vertex
    assert known is not None
    if result.vertex_ids is None or len(result.vertex_ids) == len(model.mean):
        return known.astype(np.float64)
    places = model.mean.astype(np.float64)
    count = min(3, len(result.vertex_ids))
    distances, nearest = find(KDTree(places[result.vertex_ids]), places, count)
    weights = 1 / np.maximum(distances, 1e-6)
    errors = (weights * known[nearest]).sum(axis=1) / weights.sum(axis=1)
    return np.where(distances[:, 0] <= REACH, errors, np.nan)


def heat_picture(model: "MorphableModel", shares: "np.ndarray", turned_degrees: float) -> "np.ndarray":
    """The mean face in the colours of `shares`, (N,), 0..1 of the scale, NaN for grey: (SIDE, SIDE, 3) uint8 on white."""
    import numpy as np
    from matplotlib import colormaps

    from twodasl.models.pose import rotation_from_angles
    from twodasl.rendering.rasterizer import interpolate, rasterize
    from twodasl.rendering.shading import vertex_normals

    side = SIDE * SUBPIXELS
    turned = model.mean.astype(np.float64) @ rotation_from_angles(np.array([turned_degrees, 0, 0])).T
    # One scale for all views, so that the face does not change its size.
    extent = float(np.ptp(model.mean[:, :2], axis=0).max()) * 1.04
    middle = (turned.min(axis=0) + turned.max(axis=0)) / 2
    seen = (turned - middle) * [1, -1, 1] * (side / extent) + [side / 2, side / 2, 0]
    fragments = rasterize(seen, model.triangles, side, side, cull=True)
    normals = vertex_normals(seen, model.triangles)
    known = np.isfinite(shares)
    values = np.column_stack([np.where(known, shares, 0), known, normals])
    picture = interpolate(fragments, fragments.corners, values)
    covered = fragments.covered[..., None]
    with_errors = picture[..., 1] > 0.5
    filled = np.divide(picture[..., 0], picture[..., 1], out=np.zeros(picture.shape[:2]), where=with_errors)
    colors = np.where(with_errors[..., None], colormaps[COLORMAP](np.clip(filled, 0, 1))[..., :3], UNKNOWN)
    facing = np.clip(
        picture[..., 4:5] / np.maximum(np.linalg.norm(picture[..., 2:5], axis=-1, keepdims=True), 1e-9), 0, 1
    )
    lit = np.where(covered, colors * (DIMMEST + (1 - DIMMEST) * facing), 1.0)
    blocks = lit.reshape(SIDE, SUBPIXELS, SIDE, SUBPIXELS, 3).mean(axis=(1, 3))
    return np.rint(255 * blocks).astype(np.uint8)
