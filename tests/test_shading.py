"""Normals against surfaces whose normals are known, and the light's formula at angles done on paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twodasl.models.errors import ShapeError, TwodaslError
from twodasl.models.morphable import MorphableModel
from twodasl.rendering import shading
from twodasl.rendering.colors import levels_from_light, light_from_srgb, srgb_from_light
from twodasl.rendering.rasterizer import rasterize
from twodasl.rendering.shading import Material, lit, shade, triangle_normals, vertex_normals


def test_normals_of_an_ellipsoid(toy_model: MorphableModel) -> None:
    """The toy face is (80 sin a, 105 sin b, 90 cos a cos b): its normals follow from the two derivatives."""
    across, up = np.meshgrid(np.linspace(-1.2, 1.2, 30), np.linspace(-1.2, 1.2, 34))
    nothing = np.zeros_like(across)
    along_a = np.stack([80 * np.cos(across), nothing, -90 * np.sin(across) * np.cos(up)], -1)
    along_b = np.stack([nothing, 105 * np.cos(up), -90 * np.cos(across) * np.sin(up)], -1)
    expected = np.cross(along_a, along_b)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    found = vertex_normals(toy_model.mean, toy_model.triangles, "model").reshape(expected.shape)
    inner = np.s_[1:-1, 1:-1]
    assert np.degrees(np.arccos((found * expected).sum(-1)[inner].min())) < 1
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-12)


def test_the_image_frame_mirrors_the_model_frame(toy_model: MorphableModel) -> None:
    """A face that looks at the camera has normals towards the viewer in both frames."""
    flip = np.array([1, -1, 1])
    model = vertex_normals(toy_model.mean, toy_model.triangles, "model")
    image = vertex_normals(toy_model.mean * flip, toy_model.triangles, "image")
    np.testing.assert_allclose(image, model * flip, atol=1e-12)
    assert (model[:, 2] > 0).all()
    assert (vertex_normals(toy_model.mean, toy_model.triangles, "image")[:, 2] < 0).all()


def test_normals_are_weighted_by_area() -> None:
    """On paper: at the shared edge, cross products (0, 0, 1) and (-3, 0, 0) add up to (-3, 0, 1)."""
    vertices = np.array([(0, 0, 0), (0, 1, 0), (-1, 0, 0), (0, 0, -3), (5, 5, 5)], np.float32)
    triangles = np.array([(0, 1, 2), (0, 3, 1)])
    normals = vertex_normals(vertices, triangles, "model")
    np.testing.assert_allclose(normals[2], (0, 0, 1))
    np.testing.assert_allclose(normals[3], (1, 0, 0))
    np.testing.assert_allclose(normals[:2], [np.array((3, 0, 1)) / np.sqrt(10)] * 2)
    np.testing.assert_array_equal(normals[4], (0, 0, 1))


def test_vertices_that_are_not_finite_stay_among_themselves() -> None:
    vertices = np.array([(0, 0, 0), (0, 1, 0), (-1, 0, 0), (np.nan, 0, -3)])
    normals = vertex_normals(vertices, np.array([(0, 1, 2), (0, 3, 1)]), "model")
    np.testing.assert_array_equal(normals, [(0, 0, 1)] * 4)


@given(shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
def test_normals_do_not_change_with_place_and_size(toy_model: MorphableModel, shift: float, scale: float) -> None:
    vertices = toy_model.mean.astype(np.float64) / 1e5
    np.testing.assert_allclose(
        vertex_normals(vertices * scale + shift, toy_model.triangles),
        vertex_normals(vertices, toy_model.triangles),
        atol=1e-6,
    )


HALF = ((0.5 + 0.055) / 1.055) ** 2.4  # the light of sRGB 0.5


def test_shade_on_paper() -> None:
    """Facing the light: color (0.1 + 0.6) + 0.2. At 60 degrees: color (0.1 + 0.3) + 0.2 / 4. Turned away: 0.1."""
    material = Material(color=(1, 0.5, 0), ambient=0.1, diffuse=0.6, specular=0.2, shininess=2)
    normals = np.array([(0, 0, 1), (np.sin(np.pi / 3), 0, 0.5), (1, 0, 0), (0, 0, -1)])
    expected = [
        (0.9, 0.7 * HALF + 0.2, 0.2),
        (0.45, 0.4 * HALF + 0.05, 0.05),
        (0.1, 0.1 * HALF, 0),
        (0.1, 0.1 * HALF, 0),
    ]
    np.testing.assert_allclose(shade(normals, material), expected, atol=1e-12)


def test_light_and_srgb() -> None:
    """The standard's own numbers, there and back for every level, and its straight part near black."""
    np.testing.assert_allclose(light_from_srgb(np.array([0, 0.5, 1])), [0, HALF, 1])
    assert light_from_srgb(np.array(0.04)) == pytest.approx(0.04 / 12.92)
    values = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(srgb_from_light(light_from_srgb(values)), values, atol=1e-6)
    levels = np.arange(256)
    np.testing.assert_array_equal(levels_from_light(light_from_srgb(levels / 255)), levels)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("light", [(0.0, 0.0, 1.0), (-2.0, -1.0, 1.5)])
def test_compiled_and_vectorised_light_are_the_same_bits(
    toy_model: MorphableModel, flat: bool, light: tuple[float, float, float]
) -> None:
    vertices = toy_model.mean.astype(np.float64) / 2000 * (1, -1, 1) + (60.3, 55.1, 0)
    normals = (triangle_normals if flat else vertex_normals)(vertices, toy_model.triangles)
    fragments = rasterize(vertices, toy_model.triangles, 120, 110, cull=True)
    material = Material(flat=flat)
    ours, plain = (lit(fragments, normals, 2, material, light, compiled) for compiled in (True, False))
    assert ours[0].shape == (55, 60)
    assert 0.2 < ours[0].mean() < 0.9
    for one, other in zip(ours, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_light_is_read_from_fine_tables(toy_model: MorphableModel) -> None:
    """Against `shade` itself, triangle by triangle: less than half a grey level apart."""
    vertices = toy_model.mean.astype(np.float64) / 2000 * (1, -1, 1) + (60.3, 55.1, 0)
    normals = triangle_normals(vertices, toy_model.triangles)
    fragments = rasterize(vertices, toy_model.triangles, 120, 110, cull=True)
    covered, light = lit(fragments, normals, 1, Material(flat=True), (1, -1, 2))
    seen = covered > 0
    expected = shade(normals[fragments.triangle[seen]], Material(flat=True), (1, -1, 2))
    assert np.abs(255 * (srgb_from_light(light[seen]) - srgb_from_light(expected))).max() < 0.5


def test_vectorised_normals_are_the_same_bits(toy_model: MorphableModel, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = vertex_normals(toy_model.mean, toy_model.triangles)
    monkeypatch.setattr(shading, "numba_imports", lambda: False)
    np.testing.assert_array_equal(vertex_normals(toy_model.mean, toy_model.triangles), compiled)


def test_the_highlight_lies_between_light_and_viewer() -> None:
    material = Material(color=(0, 0, 0), specular=1, shininess=50)
    tilt = np.radians(np.arange(0, 90))
    normals = np.stack([np.sin(tilt), 0 * tilt, np.cos(tilt)], axis=1)
    assert shade(normals, material, light=(3 * np.sin(1), 0, 3 * np.cos(1)))[:, 0].argmax() == round(np.degrees(0.5))
    assert (shade(normals, material, light=(0, 0, -1)) == 0).all()
    turned_away = np.array([-0.1, 0, np.sqrt(0.99)])
    assert (shade(turned_away, material, light=(1, 0, 0)) == 0).all()


def test_the_default_is_the_papers_turquoise() -> None:
    """A surface turned half away shows about (25, 155, 147) dimmed; facing the light it is whiter, never clipped."""
    facing, half = 255 * srgb_from_light(shade(np.array([(0, 0, 1), (np.sin(1), 0, np.cos(1))])))
    assert half[1] > half[2] > 3 * half[0]
    assert (facing > (25, 155, 147)).all()
    assert (facing < 255).all()
    assert facing[0] / facing[1] > half[0] / half[1]


def test_other_shapes_raise() -> None:
    for light in ((0, 0, 0), (0, np.nan, 1)):
        with pytest.raises(TwodaslError, match="direction"):
            shade(np.array([0.0, 0.0, 1.0]), light=light)
    with pytest.raises(ShapeError, match=r"\(\.\.\., 3\)"):
        shade(np.zeros((4, 2)))
    with pytest.raises(ShapeError, match="vertex 5"):
        vertex_normals(np.zeros((5, 3)), np.array([(0, 1, 5)]))
