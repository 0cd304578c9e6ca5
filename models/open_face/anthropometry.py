"""Published anthropometric means of adult faces, and the slider centres that bring the mean face to them.

The values are means over both sexes and several populations, rounded; facts only. They are quoted from memory of these
publications, whose tables could not be opened when this was written, and may be a millimetre or two off:
  F94  Farkas, Anthropometry of the Head and Face, 1994 (North American adults)
  F05  Farkas et al., International anthropometric study of facial morphology, J Craniofac Surg 16:615, 2005 (25 groups)
  Z05  Zhuang and Bradtmiller, Head-and-face anthropometric survey of U.S. respirator users, JOEH 2:567, 2005 (NIOSH)
  G88  Gordon et al., 1988 anthropometric survey of U.S. Army personnel, 1989 (distances to the back of the head)
  G14  Gordon et al., 2012 anthropometric survey of U.S. Army personnel (ANSUR II), 2014
  L80  Legan and Burstone, Soft tissue cephalometric analysis, J Oral Surg 38:744, 1980
  B93  Byrd and Hobar, Rhinoplasty: a practical guide for surgical planning, Plast Reconstr Surg 91:642, 1993
Populations differ by several mm, and calipers press skin that a mesh has not: hence the tolerances, with which each
value is weighed. No value comes from another face model or from landmark labels. Depths (tragion, nose) and the jaw's
width were gone over again after a first fit to labelled faces had shown the mean too flat and too narrow there; what
was then entered are the publications' values.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from .sampling import Law
from .topology import PARTS, Layout

# hm08 vertices of the points, on the midline and on the right side; chosen by looking.
POINTS = {
    "glabella": 227,
    "sellion": 132,
    "rhinion": 164,
    "pronasale": 5054,
    "subnasale": 343,
    "labiale_superius": 455,
    "stomion_upper": 474,
    "stomion_lower": 493,
    "labiale_inferius": 492,
    "sublabiale": 724,
    "pogonion": 5162,
    "menton": 732,
    "endocanthion": 66,
    "exocanthion": 21,
    "lid_upper": 54,
    "lid_lower": 47,
    "alare": 5051,
    "alar_base": 288,
    "cheilion": 422,
    "tragion": 5433,
    "gonion": 895,
    "crista_philtri": 450,
}
RIDGE = 0.4
KEPT = ("head-age", "head-fat", "laugh-lines", "cheek-", "eye-bag")  # age and fat are the macro law's, not a proportion


@dataclass(frozen=True)
class Measure:
    """A published mean. value, tolerance: mm or degrees."""

    name: str
    value: float
    tolerance: float
    sources: str
    of: Callable[[dict[str, np.ndarray]], float]


def _between(first: str, second: str) -> Callable[[dict[str, np.ndarray]], float]:
    return lambda p: float(np.linalg.norm(p[first] - p[second]))


def _width(point: str) -> Callable[[dict[str, np.ndarray]], float]:
    return lambda p: float(-2 * p[point][0])


def _ahead(first: str, second: str) -> Callable[[dict[str, np.ndarray]], float]:
    return lambda p: float(p[first][2] - p[second][2])


def _ahead_of_line(point: str, top: str, bottom: str) -> Callable[[dict[str, np.ndarray]], float]:
    def millimetres(p: dict[str, np.ndarray]) -> float:
        share = (p[point][1] - p[bottom][1]) / (p[top][1] - p[bottom][1])
        return float(p[point][2] - p[bottom][2] - share * (p[top][2] - p[bottom][2]))

    return millimetres


def _angle(first: str, middle: str, last: str) -> Callable[[dict[str, np.ndarray]], float]:
    def degrees(p: dict[str, np.ndarray]) -> float:
        a, b = p[first] - p[middle], p[last] - p[middle]
        return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))

    return degrees


MEASURES = (
    Measure("face height, sellion-menton", 118, 1, "Z05 F94", _between("sellion", "menton")),
    Measure("nose height, sellion-subnasale", 51, 1, "Z05 F05", _between("sellion", "subnasale")),
    Measure("lower face, subnasale-menton", 67.5, 1, "F94 F05", _between("subnasale", "menton")),
    Measure("upper lip, subnasale-stomion", 22, 1, "F94", _between("subnasale", "stomion_upper")),
    Measure("philtrum, subnasale-labiale superius", 14, 1, "F94", _between("subnasale", "labiale_superius")),
    Measure("lower lip, stomion-sublabiale", 19, 1, "F94", _between("stomion_lower", "sublabiale")),
    Measure("lower vermilion, stomion-labiale inferius", 10, 1, "F94", _between("stomion_lower", "labiale_inferius")),
    Measure("glabella-subnasale", 65, 2, "F94", _between("glabella", "subnasale")),
    Measure("between the pupils", 63, 0.7, "Z05 G14", _width("pupil")),
    Measure("between the inner canthi", 32.5, 0.7, "F94 F05", _width("endocanthion")),
    Measure("between the outer canthi", 88, 1, "F94 F05", _width("exocanthion")),
    Measure("eye opening", 10.3, 0.5, "F94", _between("lid_upper", "lid_lower")),
    Measure("nose width", 35.5, 0.7, "Z05 F05", _width("alare")),
    Measure("nose protrusion, subnasale-pronasale", 19.7, 0.7, "F94 Z05", _between("subnasale", "pronasale")),
    Measure("pronasale ahead of subnasale", 15.5, 1, "Z05 G88", _ahead("pronasale", "subnasale")),
    Measure("bridge of the nose ahead of its line", 0, 0.7, "B93", _ahead_of_line("rhinion", "sellion", "pronasale")),
    Measure("mouth width", 51, 1, "F05 Z05", _width("cheilion")),
    Measure("philtrum width", 10.5, 1, "F94", _width("crista_philtri")),
    Measure("face width, bizygomatic", 137, 1.5, "F05 Z05 G14", _width("zygion")),
    Measure("jaw width, bigonial", 112, 2, "F05 Z05", _width("gonion")),
    Measure("between the tragia", 140, 2, "F94 G14", _width("tragion")),
    Measure("tragion-sellion", 119, 2, "F94 G88", _between("tragion", "sellion")),
    Measure("tragion-subnasale", 125, 2, "F94 G88", _between("tragion", "subnasale")),
    Measure("tragion-menton", 144, 3, "F94 G88", _between("tragion", "menton")),
    Measure("sellion ahead of the cornea", 8, 2, "B93", _ahead("sellion", "cornea")),
    Measure(
        "facial convexity, glabella-subnasale-pogonion", 167, 2, "L80", _angle("glabella", "subnasale", "pogonion")
    ),
)


class Anthropometry:
    """Measures faces given by their (N, 3) vertices in the layout's order, on the surface after one subdivision."""

    def __init__(self, layout: Layout, smooth: sparse.csr_array) -> None:
        """smooth: (n, n), where the face's own vertices go in one Catmull-Clark step."""
        place = layout.place()
        self._rows = np.array([place[vertex] for vertex in POINTS.values()])
        self._smooth = smooth
        self._eye = slice(*layout.vertex_ranges[PARTS.index("right_eye")])
        self._faces = smooth.shape[0]

    def points(self, face: np.ndarray) -> dict[str, np.ndarray]:
        skin = self._smooth @ face[: self._faces]
        points = dict(zip(POINTS, skin[self._rows], strict=True))
        eye = face[self._eye]
        points["pupil"] = (eye.min(axis=0) + eye.max(axis=0)) / 2
        points["cornea"] = eye[np.argmax(eye[:, 2])]
        points["zygion"] = skin[np.argmin(skin[:, 0] + 1e3 * ~self._cheek(skin, points))]
        return points

    def __call__(self, face: np.ndarray) -> np.ndarray:
        points = self.points(face)
        return np.array([measure.of(points) for measure in MEASURES])

    @staticmethod
    def _cheek(skin: np.ndarray, points: dict[str, np.ndarray]) -> np.ndarray:
        """In front of the ear, between the heights of the nose's base and the eyes."""
        low, high, back = points["subnasale"][1], points["exocanthion"][1], points["tragion"][2] + 12
        return (skin[:, 1] > low) & (skin[:, 1] < high) & (skin[:, 2] > back)


def centre_sliders(law: Law, measure: Anthropometry, rounds: int = 6) -> np.ndarray:
    """The slider centres (S,), shares of their range, whose mean face fits the published means.

    The smallest move, in units of each slider's own spread, that explains the measures within their tolerances:
    ridge regression, repeated because the sliders' two halves differ. Only sliders that move both sides alike.
    """
    wanted = np.array([published.value for published in MEASURES])
    tolerance = np.array([published.tolerance for published in MEASURES])
    kept = np.array([any(word in name for word in KEPT) for name in law.names])
    free = np.flatnonzero(law.symmetric & ~kept)
    slopes = law.slopes[free] * law.sigmas[free, None, None]
    moves = np.zeros(len(free))
    centres = np.zeros(len(law.names))
    for _ in range(rounds):
        face = law.mean(centres)
        now = measure(face)
        jacobian = np.stack([(measure(face + 0.2 * slope) - now) / 0.2 for slope in slopes], axis=1)
        scaled = jacobian / tolerance[:, None]
        residual = (wanted - now) / tolerance + scaled @ moves
        moves = scaled.T @ np.linalg.solve(scaled @ scaled.T + RIDGE * np.eye(len(wanted)), residual)
        centres[free] = moves * law.sigmas[free]
    return centres
