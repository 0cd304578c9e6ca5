"""The z-buffer against the slowest possible one, pixel by pixel, and against exact fractions."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from itertools import product
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twodasl.models.errors import ShapeError
from twodasl.models.files import read_mat
from twodasl.models.morphable import MorphableModel
from twodasl.rendering import rasterizer, zbuffer
from twodasl.rendering.rasterizer import Fragments, interpolate, rasterize

WIDTH, HEIGHT = 13, 11


def slow_rasterize(
    vertices: np.ndarray, triangles: np.ndarray, width: int, height: int, cull: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The documented rule, one pixel and one triangle at a time, in Python floats (IEEE float64)."""
    triangle = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), -np.inf)
    barycentric = np.zeros((height, width, 3))
    for t, corners in enumerate(triangles):
        points = [tuple(float(value) for value in vertices[corner]) for corner in corners]
        if not all(abs(value) <= 1e100 for point in points for value in point):
            continue
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = points
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (cull and area > 0):
            continue
        sign = 1.0 if area > 0 else -1.0
        ys, xs = (
            range(max(0, ceil(min(side))), min(last, floor(max(side)) + 1))
            for side, last in (((ay, by, cy), height), ((ax, bx, cx), width))
        )
        for y in ys:
            for x in xs:
                ea = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * sign
                eb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * sign
                ec = ((ax - x) * (by - y) - (ay - y) * (bx - x)) * sign
                total = ea + eb + ec
                if min(ea, eb, ec) < 0 or not total > 0:
                    continue
                z = az + (eb * (bz - az) + ec * (cz - az)) / total + 0.0
                if z > depth[y, x]:  # triangles come in order: an equal z leaves the earlier one
                    triangle[y, x], depth[y, x] = t, z
                    barycentric[y, x] = ea / total, eb / total, ec / total
    return triangle, depth, barycentric


def assert_same(found: Fragments, expected: Fragments | tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    if isinstance(expected, Fragments):
        expected = expected.triangle, expected.depth, expected.barycentric
    np.testing.assert_array_equal(found.triangle, expected[0])
    np.testing.assert_array_equal(found.depth, expected[1])
    np.testing.assert_array_equal(np.signbit(found.depth), np.signbit(expected[1]))
    np.testing.assert_array_equal(found.barycentric, expected[2])


def on_grid(low: int, high: int) -> st.SearchStrategy[float]:
    """Whole, half and quarter pixels: edges through pixel centres, ties and zero areas are then common."""
    return st.integers(4 * low, 4 * high).map(lambda quarters: quarters / 4)


@st.composite
def meshes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Up to 12 triangles on up to 12 vertices, in and around the picture, in arbitrary or in quarter pixels."""
    grid = draw(st.booleans())
    x = on_grid(-5, WIDTH + 5) if grid else st.floats(-20, WIDTH + 20)
    z = on_grid(0, 1) if grid else st.floats(-5, 5)
    n = draw(st.integers(3, 12))
    vertices = np.array(draw(st.lists(st.tuples(x, x, z), min_size=n, max_size=n)), np.float64)
    corner = st.integers(0, n - 1)
    triangles = np.array(draw(st.lists(st.tuples(corner, corner, corner), min_size=1, max_size=12)), np.int32)
    return vertices, triangles


@settings(max_examples=80, deadline=None)
@given(mesh=meshes(), cull=st.booleans(), threads=st.integers(1, 20))
def test_every_pixel_is_the_slow_rasterizers(mesh: tuple[np.ndarray, np.ndarray], cull: bool, threads: int) -> None:
    """Compiled and vectorised, for any number of threads (more than there are rows, too)."""
    slow = slow_rasterize(*mesh, WIDTH, HEIGHT, cull)
    assert_same(rasterize(*mesh, WIDTH, HEIGHT, cull=cull, threads=threads), slow)
    assert_same(rasterize(*mesh, WIDTH, HEIGHT, cull=cull, compiled=False), slow)


def test_without_numba_the_pixels_are_the_same(monkeypatch: pytest.MonkeyPatch, toy_model: MorphableModel) -> None:
    vertices = toy_model.mean / 2000 * [1, -1, 1] + [60, 60, 0]
    compiled = rasterize(vertices, toy_model.triangles, 120, 120)
    assert compiled.covered.sum() > 1000
    monkeypatch.setitem(sys.modules, "numba", None)
    rasterizer.numba_imports.cache_clear()
    try:
        assert not rasterizer.numba_imports()
        assert_same(rasterize(vertices, toy_model.triangles, 120, 120), compiled)
    finally:
        rasterizer.numba_imports.cache_clear()


@settings(max_examples=30, deadline=None)
@given(mesh=meshes())
def test_rounds_of_a_few_candidates_change_nothing(mesh: tuple[np.ndarray, np.ndarray]) -> None:
    whole = rasterize(*mesh, WIDTH, HEIGHT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rasterizer, "CANDIDATES", 7)
        assert_same(rasterize(*mesh, WIDTH, HEIGHT, compiled=False), whole)


def exact_z(points: np.ndarray, x: int, y: int) -> Fraction | None:
    """z of a triangle (3, 3) at a pixel centre in exact fractions, None where it is not covered."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = [[Fraction(float(value)) for value in point] for point in points]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area == 0:
        return None
    weights = (
        ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area,
        ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area,
        ((ax - x) * (by - y) - (ay - y) * (bx - x)) / area,
    )
    return None if min(weights) < 0 else weights[0] * az + weights[1] * bz + weights[2] * cz


@pytest.mark.parametrize("seed", range(4))
def test_exact_arithmetic_agrees(seed: int) -> None:
    """Vertices on quarter pixels: float64 cross products are exact there, so coverage is too."""
    rng = np.random.default_rng(seed)
    vertices = rng.integers(-8, 4 * WIDTH + 8, (9, 3)) / 4
    triangles = rng.integers(0, 9, (8, 3)).astype(np.int32)
    found = rasterize(vertices, triangles, WIDTH, HEIGHT)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            reached = [z for t in triangles if (z := exact_z(vertices[t], x, y)) is not None]
            assert found.covered[y, x] == bool(reached)
            if reached:
                assert found.depth[y, x] == pytest.approx(float(max(reached)), abs=1e-12)


def square(left: float, top: float, right: float, bottom: float, z: float) -> np.ndarray:
    return np.array([(left, top, z), (right, top, z), (right, bottom, z), (left, bottom, z)], np.float64)


SQUARE = np.array([(0, 2, 1), (0, 3, 2)], np.int32)  # counter-clockwise on the picture, y pointing down


def test_edges_are_closed_and_ties_go_to_the_lowest_index() -> None:
    """On paper: corners at pixels (2, 1) and (5, 4) cover 4 x 4 pixels, the diagonal belongs to triangle 0."""
    found = rasterize(square(2, 1, 5, 4, 7), SQUARE, 8, 6)
    expected = np.full((6, 8), -1)
    expected[1:5, 2:6] = np.where(np.tri(4, k=-1), 1, 0)
    np.testing.assert_array_equal(found.triangle, expected)
    assert (found.depth[expected >= 0] == 7).all()
    turned = rasterize(square(2, 1, 5, 4, 7), SQUARE[::-1], 8, 6)
    expected[1:5, 2:6] = np.where(np.tri(4), 0, 1)
    np.testing.assert_array_equal(turned.triangle, expected)


def test_ties_of_triangles_of_one_pixel_of_two_and_of_more_go_to_the_lowest_index() -> None:
    """The three kinds are drawn one after the other; on one pixel, the first in the mesh is seen."""
    one = [(3.8, 3.8, 1), (4.3, 3.9, 1), (3.9, 4.3, 1)]
    wide, high = [(3.8, 3.8, 1), (5.3, 3.9, 1), (3.9, 4.3, 1)], [(3.8, 2.8, 1), (4.3, 4.2, 1), (3.9, 4.3, 1)]
    more = [(1, 1, 1), (8, 1, 1), (1, 8, 1)]
    for kinds in product((one, wide, high, more), repeat=3):
        vertices = np.array(kinds, np.float64).reshape(-1, 3)
        triangles = np.arange(len(vertices)).reshape(-1, 3)
        for threads in (1, 2):
            assert rasterize(vertices, triangles, 10, 10, threads=threads).triangle[4, 4] == 0


def test_larger_z_is_nearer_whatever_the_order() -> None:
    vertices = np.concatenate([square(0, 0, 4, 4, 1), square(2, 2, 6, 6, 2)])
    for triangles in (np.concatenate([SQUARE, SQUARE + 4]), np.concatenate([SQUARE + 4, SQUARE])):
        found = rasterize(vertices, triangles, 8, 8)
        assert (found.depth[2:7, 2:7] == 2).all()
        assert (found.depth[:2, :5] == 1).all()


def test_cull_leaves_out_clockwise_triangles() -> None:
    vertices = square(1, 1, 4, 4, 0)
    assert rasterize(vertices, SQUARE, 6, 6, cull=True).covered.sum() == 16
    assert not rasterize(vertices, SQUARE[:, ::-1], 6, 6, cull=True).covered.any()
    assert rasterize(vertices, SQUARE[:, ::-1], 6, 6).covered.sum() == 16


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("axis", range(3))
def test_a_vertex_that_is_not_finite_takes_only_its_triangles_along(value: float, axis: int) -> None:
    vertices = square(0, 0, 3, 3, 0)
    vertices[3, axis] = value  # of the second triangle only
    for first in range(3):
        found = rasterize(vertices, np.roll(SQUARE, first, axis=1), 4, 4)
        np.testing.assert_array_equal(found.triangle, np.where(np.tri(4, k=-1), -1, 0))


def test_nothing_is_drawn_without_area_or_outside_the_picture() -> None:
    line = np.array([(0, 0, 0), (2, 2, 0), (5, 5, 0), (3, 0, 0)])
    assert not rasterize(line, np.array([(0, 1, 2), (0, 0, 3), (1, 1, 1)]), 6, 6).covered.any()
    for shift in ((-20, 0, 0), (20, 0, 0), (0, -20, 0), (0, 20, 0), (1e30, 1e30, 0)):
        assert not rasterize(square(0, 0, 3, 3, 0) + shift, SQUARE, 6, 6).covered.any()
    empty = rasterize(square(0, 0, 3, 3, 0), np.zeros((0, 3), np.int32), 6, 5)
    assert empty.triangle.shape == (5, 6)
    assert not empty.covered.any()


@pytest.mark.parametrize("length", [0.4, 0.8, 3])
def test_a_triangle_whose_area_is_rounded_to_nothing_draws_nothing(length: float) -> None:
    """Lines through pixel centres, where rounding leaves the edge functions a little above 0."""
    rng = np.random.default_rng(0)
    pixels, slopes = rng.integers(2, 9, (20_000, 2)), rng.integers(-3, 4, (20_000, 2)) / 3
    corners = pixels + rng.uniform(-length, length, (3, 20_000, 1)) * slopes
    (ax, ay), (bx, by), (cx, cy) = (np.moveaxis(corner, -1, 0) for corner in corners)
    corners = corners[:, (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) == 0]
    assert corners.shape[1] > 5000
    vertices = np.concatenate([corners, np.zeros((*corners.shape[:2], 1))], axis=2).transpose(1, 0, 2).reshape(-1, 3)
    triangles = np.arange(len(vertices)).reshape(-1, 3)
    for compiled in (True, False):
        assert not rasterize(vertices, triangles, 12, 12, compiled=compiled).covered.any()


def test_a_huge_triangle_is_cut_to_a_large_picture() -> None:
    """More candidates than one round holds; the plane z = x + 2 y / 1000 is known at every pixel."""
    vertices = np.array([(-1e6, -1e6), (3e6, -1e6), (0, 3e6)])
    vertices = np.column_stack([vertices, vertices @ (1, 0.002)])
    found = rasterize(vertices, np.array([(0, 1, 2)]), 1000, 700)
    assert found.covered.all()
    y, x = np.mgrid[:700, :1000]
    np.testing.assert_allclose(found.depth, x + 0.002 * y, atol=1e-8)


def test_a_picture_wider_than_small_numbers_reach() -> None:
    """Pixels are counted in 16 bits where they fit."""
    vertices = square(32_760, 1, 39_998, 2, 3)
    found = rasterize(vertices, SQUARE, 40_000, 4)
    assert_same(found, rasterize(vertices, SQUARE, 40_000, 4, compiled=False))
    assert found.covered.sum() == 2 * (39_998 - 32_760 + 1)


@pytest.mark.parametrize("seed", range(6))
def test_no_pixel_falls_between_triangles(seed: int) -> None:
    """A turned grid larger than the picture covers all of it; seed 0 is not turned, its edges meet pixel centres."""
    rng = np.random.default_rng(seed)
    side = np.arange(-40.0, 41.0)
    across, down = (part.ravel() for part in np.meshgrid(side, side))
    angle = rng.uniform(0, np.pi) * (seed > 0)
    scale = 1.0 if seed == 0 else rng.uniform(0.8, 1.2)
    x = scale * (np.cos(angle) * across - np.sin(angle) * down) + 15
    y = scale * (np.sin(angle) * across + np.cos(angle) * down) + 15
    corner = (np.arange(80)[:, None] * 81 + np.arange(80)).ravel()
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + 81], 1), np.stack([corner + 1, corner + 82, corner + 81], 1)]
    )
    assert rasterize(np.stack([x, y, 0 * x], 1), triangles, 31, 31).covered.all()


@pytest.mark.parametrize(("side", "name"), [(450, "image00074"), (120, "image00081")])
def test_every_pixel_of_a_real_mesh(side: int, name: str, data: Path, bfm: MorphableModel) -> None:
    """105,840 triangles, one after another, in Python floats; compiled on one and on three threads, and vectorised."""
    path = data / "aflw2000" / "evaluation" / "3D_results_plot" / f"{name}.mat"
    vertices = (read_mat(path, "vertex")["vertex"].T.astype(np.float64) - (1, 1, 0)) * side / 450
    slow = slow_rasterize(vertices, bfm.triangles, side, side)
    assert (slow[0] >= 0).mean() > 0.1
    assert_same(rasterize(vertices, bfm.triangles, side, side), slow)
    assert_same(rasterize(vertices, bfm.triangles, side, side, threads=3), slow)
    assert_same(rasterize(vertices, bfm.triangles, side, side, compiled=False), slow)


def layers_of_a_grid() -> tuple[np.ndarray, np.ndarray]:
    """A turned grid of 7,200 triangles twice: in several blocks, and every pixel a tie between two of them."""
    side = np.arange(61) * 0.7
    across, down = (part.ravel() for part in np.meshgrid(side, side))
    vertices = np.stack([0.9 * across - 0.3 * down + 13, 0.3 * across + 0.9 * down, np.sin(across) + down / 9], axis=1)
    corner = (np.arange(60)[:, None] * 61 + np.arange(60)).ravel()
    once = np.concatenate([np.stack([corner + k for k in corners], 1) for corners in ((0, 61, 1), (1, 61, 62))])
    return vertices, np.concatenate([once, once[::-1]]).astype(np.int32)


class LateThreads(ThreadPoolExecutor):
    """Threads that come `late` seconds after they were called."""

    late = 0.0

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        def come_late() -> Any:
            time.sleep(self.late)
            return work(*given, **named)

        return super().submit(come_late)


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize("late", ["nobody", "the first", "the others"])
def test_threads_that_come_late(late: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever draws, the picture is the same: all at once, the others all of it, or the first all of it."""
    vertices, triangles = layers_of_a_grid()
    expected = rasterize(vertices, triangles, 70, 70, compiled=False)
    picture = interpolate(expected, triangles, vertices, compiled=False)
    assert expected.covered.sum() > 1000
    assert expected.triangle.max() < len(triangles) // 2
    draw = zbuffer.draw
    workers: list[int] = []

    def draw_late(*given: Any) -> None:
        if late == "the first" and given[-1] == 0:
            time.sleep(0.02)
        draw(*given)
        workers.append(given[-1])

    monkeypatch.setattr(zbuffer, "draw", draw_late)
    with LateThreads(threads) as pool:
        pool.late = 0.02 if late == "the others" else 0.0
        monkeypatch.setattr(rasterizer, "_pool", lambda: pool)
        for _ in range(30 if late == "nobody" else 3):
            found = rasterize(vertices, triangles, 70, 70, threads=threads)
            np.testing.assert_array_equal(found.triangle, expected.triangle)
            np.testing.assert_array_equal(found.depth, expected.depth)
            colors = interpolate(found, found.corners, vertices, threads=threads)
            np.testing.assert_array_equal(colors, picture)
    assert 0 in workers
    assert late == "the others" or any(workers)


@pytest.mark.parametrize("threads", [2, 4])  # of four, some are stopped at work where there are fewer cores
@pytest.mark.parametrize("rows", [zbuffer.ROWS + 1, 2 * zbuffer.ROWS + 1])
def test_the_first_waits_for_rows_that_others_have_begun(rows: int, threads: int) -> None:
    """Long blocks of rows and a short one: who takes the short one comes to the end while the other is at work."""
    vertices = np.concatenate([square(0, 0, 29_999, rows - 1, z) for z in (0, 1)])
    padding = np.zeros((zbuffer.BLOCK, 3), np.int32)  # the nearer is in the second block, which another takes
    triangles = np.concatenate([part for k in range(2) for part in (SQUARE + 4 * k, padding)])
    expected = rasterize(vertices, triangles, 30_000, rows, compiled=False)
    last = expected.triangle[-2].copy(), interpolate(expected, triangles, vertices, compiled=False)[-2]
    for _ in range(30):
        found = rasterize(vertices, triangles, 30_000, rows, threads=threads)
        np.testing.assert_array_equal(found.seen[-2], last[0])
        picture = interpolate(found, found.corners, vertices, threads=threads)
        np.testing.assert_array_equal(picture[-2], last[1])


@pytest.mark.parametrize("name", ["submit", "outline", "before", "draw"])
def test_ctrl_c_while_others_draw(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are not left waiting, and the next picture does not use what they still write to."""
    vertices, triangles = layers_of_a_grid()
    expected = rasterize(vertices, triangles, 70, 70)
    after: list[Any] = []

    def interrupt() -> None:
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.02)  # the others begin
            raise KeyboardInterrupt
        time.sleep(0.05)

    def interrupted(*given: Any) -> Any:
        interrupt()
        after.append(ours(*given))
        return after[-1]

    class Pool(ThreadPoolExecutor):
        def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
            if name == "before" or (name == "submit" and given == (2,)):
                interrupt()
            return super().submit(work, *given, **named)

    with monkeypatch.context() as patch, Pool(2) as pool:
        patch.setattr(rasterizer, "_pool", lambda: pool)
        if name in ("outline", "draw"):
            ours = getattr(zbuffer, name)
            patch.setattr(zbuffer, name, interrupted)
        rooms = dict(rasterizer._rooms.kept)
        with pytest.raises(KeyboardInterrupt):
            rasterize(vertices, triangles, 70, 70, threads=3)
        kept = [room for room in rasterizer._rooms.kept.values() for old in rooms.values() if room is old]
        assert len(kept) == len(rooms) - 2  # those in use were given up
        pool.shutdown(wait=True)  # all come back
        assert name in ("submit", "before") or after
    assert_same(rasterize(vertices, triangles, 70, 70, threads=3), expected)


def test_a_forked_child_has_threads_of_its_own() -> None:
    """And a parent's threads are not waited for."""
    script = """
import os, numpy as np
from twodasl.rendering import rasterizer
vertices, triangles = np.array([(0, 0, 0), (9, 0, 0), (0, 9, 0)], float), np.array([(0, 2, 1)] * 5000)
draw = lambda: rasterizer.rasterize(vertices, triangles, 10, 10, threads=40).covered.sum()
count = draw()
child = os.fork()
if child == 0:
    right = all(draw() == count for _ in range(50))
    os._exit(0 if right and any(thread.is_alive() for thread in rasterizer._pool()._threads) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "0\n"


@settings(max_examples=30, deadline=None)
@given(mesh=meshes(), threads=st.integers(1, 4))
def test_interpolation_compiled_and_vectorised(mesh: tuple[np.ndarray, np.ndarray], threads: int) -> None:
    vertices, triangles = mesh
    fragments = rasterize(vertices, triangles, WIDTH, HEIGHT)
    for values, dtype in ((vertices * 1.7 - 1, np.float64), (np.abs(vertices).astype(np.float32), np.uint8)):
        plain = interpolate(fragments, triangles, values, dtype, compiled=False)
        assert plain.dtype == dtype
        np.testing.assert_array_equal(interpolate(fragments, triangles, values, dtype, threads=threads), plain)


@settings(max_examples=30, deadline=None)
@given(mesh=meshes())
def test_interpolated_positions_are_the_pixels(mesh: tuple[np.ndarray, np.ndarray]) -> None:
    """The vertices' own x and y, interpolated, give each pixel's column and row (slivers amplify rounding)."""
    vertices, triangles = mesh
    fragments = rasterize(vertices, triangles, WIDTH, HEIGHT)
    a, b, c = (vertices[triangles[:, k], :2] for k in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    y, x = np.nonzero(fragments.covered & (area[fragments.triangle] > 1e-3))
    picture = interpolate(fragments, triangles, vertices)
    np.testing.assert_allclose(picture[y, x, :2], np.stack([x, y], axis=1), atol=1e-8)
    assert (picture[~fragments.covered] == 0).all()


def test_inputs_stay_as_they_were() -> None:
    vertices, triangles = square(0, 0, 3, 3, 0).astype(np.float32), SQUARE.copy()
    before = vertices.copy()
    first, second = rasterize(vertices, triangles, 5, 5), rasterize(vertices, triangles, 5, 5)
    assert_same(first, second)
    np.testing.assert_array_equal(vertices, before)
    np.testing.assert_array_equal(triangles, SQUARE)
    assert first.triangle.dtype == np.int32


@pytest.mark.parametrize(
    ("vertices", "triangles", "message"),
    [
        (np.zeros((4, 2)), SQUARE, r"\(N, 3\)"),
        (np.zeros((4, 3)), SQUARE[:, :2], r"\(T, 3\)"),
        (np.zeros((4, 3)), SQUARE.astype(np.float64), "integers"),
        (np.zeros((3, 3)), SQUARE, "vertex 3; there are 3"),
        (np.zeros((4, 3)), SQUARE - 1, "vertex -1"),
    ],
)
def test_arrays_that_do_not_fit_raise(vertices: np.ndarray, triangles: np.ndarray, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        rasterize(vertices, triangles, 4, 4)


def test_pictures_without_pixels_and_other_values_raise() -> None:
    for compiled in (True, False):
        for width, height in ((0, 4), (4, -1), (2**31, 4)):
            with pytest.raises(ShapeError, match=rf"{width} x {height}"):
                rasterize(square(0, 0, 3, 3, 0), SQUARE, width, height, compiled=compiled)
    fragments = rasterize(square(0, 0, 3, 3, 0), SQUARE, 4, 4)
    with pytest.raises(ShapeError, match=r"\(N, C\)"):
        interpolate(fragments, SQUARE, np.zeros(4))
    with pytest.raises(ShapeError, match="vertex 3; there are 3"):
        interpolate(fragments, SQUARE, np.zeros((3, 1)))
    with pytest.raises(ShapeError, match="vertex -1"):
        interpolate(fragments, SQUARE - 1, np.zeros((4, 1)))
    with pytest.raises(ShapeError, match="1 triangles were handed over; 2 were drawn"):
        interpolate(fragments, SQUARE[:1], np.zeros((4, 1)))
    for threads in (0, -1):
        with pytest.raises(ShapeError, match=f"threads is {threads}; at least 1"):
            rasterize(square(0, 0, 3, 3, 0), SQUARE, 4, 4, threads=threads)
        with pytest.raises(ShapeError, match=f"threads is {threads}; at least 1"):
            interpolate(fragments, SQUARE, np.zeros((4, 1)), threads=threads)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64, np.uint64])
def test_numpys_whole_numbers_are_sizes_too(kind: Any) -> None:
    found = rasterize(square(0, 0, 3, 3, 0), SQUARE, kind(5), kind(4))
    assert_same(found, rasterize(square(0, 0, 3, 3, 0), SQUARE, 5, 4, compiled=False))


def test_a_depth_of_minus_zero_is_zero() -> None:
    vertices = np.array([(2, 2, -0.0), (6, 2, 1), (2, 6, 1)])
    for corners in ((0, 2, 1), (0, 1, 2)):
        for compiled in (True, False):
            found = rasterize(vertices, np.array([corners]), 8, 8, compiled=compiled)
            assert found.depth[2, 2] == 0
            assert not np.signbit(found.depth[2, 2])


def test_callers_are_compiled_again_when_their_instructions_change() -> None:
    """numba's cache goes by a caller's own file: so its text must change too."""
    folder = Path(zbuffer.__file__).parent
    now = hashlib.sha256((folder / "instructions.py").read_bytes()).hexdigest()[:16]
    for caller in ("zbuffer.py", "pixels.py"):
        assert f"# instructions.py: {now}" in (folder / caller).read_text(), f"{caller}: write {now}"
