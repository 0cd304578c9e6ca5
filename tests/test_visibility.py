"""Self-occlusion of points: a case on paper, the z-buffer's answer, and what must hold of a face that looks at you."""

import numpy as np
import pytest

from twodasl.models.library import bundled_model
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import rotation_from_angles
from twodasl.models.visibility import unhidden
from twodasl.rendering.depth import HIDDEN, visible_vertices

# A square of 100 at z = 0 behind a triangle at z = 50 over its left lower corner.
BEHIND = np.array([[0.0, 0, 0], [100, 0, 0], [0, 100, 0], [100, 100, 0]])
FRONT = np.array([[-10.0, -10, 50], [40, -10, 50], [-10, 40, 50]])
TRIANGLES = np.array([[0, 1, 2], [1, 3, 2], [4, 5, 6]])


def test_a_triangle_in_front_hides_what_it_covers() -> None:
    vertices = np.concatenate([BEHIND, FRONT])
    np.testing.assert_array_equal(unhidden(vertices, TRIANGLES, np.arange(7)), [False] + 6 * [True])
    vertices[4:, 2] = -50  # behind: nothing is hidden but the triangle's own corner under the square
    vertices[4] = [10, 10, -50]
    np.testing.assert_array_equal(unhidden(vertices, TRIANGLES, np.arange(7)), [True] * 4 + [False, True, True])


def test_only_what_lies_under_the_triangle_is_hidden() -> None:
    """Within its bounding box but beyond its long side; and at its corner, the last point in x."""
    vertices = np.concatenate([BEHIND, FRONT, [[35.0, 35, 0], [40, -10, 0]]])
    np.testing.assert_array_equal(unhidden(vertices, TRIANGLES, np.array([7, 8, 0])), [True, False, False])


def test_a_little_nearer_does_not_hide() -> None:
    vertices = np.concatenate([BEHIND, FRONT])
    vertices[4:, 2] = 1.9  # 2 % of a face of 110
    assert unhidden(vertices, TRIANGLES, np.arange(4)).all()
    assert not unhidden(vertices, TRIANGLES, np.arange(4), share=0.01).all()


def test_a_surface_seen_from_its_edge_hides_nothing() -> None:
    vertices = np.array([[0.0, 0, 0], [50, 0, 0], [100, 0, 0], [0, 0, 90], [100, 0, 90]])
    assert unhidden(vertices, np.array([[0, 2, 3], [2, 4, 3]]), np.array([0, 1, 2])).all()


@pytest.mark.parametrize("which", ["open", "toy"])
def test_agrees_with_the_z_buffer(which: str, toy_model: MorphableModel) -> None:
    """Points at the outline may differ: the z-buffer asks the nearest pixel, this the point itself."""
    model = bundled_model() if which == "open" else toy_model
    rng = np.random.default_rng(3)
    agree, hidden = [], []
    for yaw in (-80, -50, -20, 10, 40, 70):
        rotation = rotation_from_angles(np.array([yaw, rng.uniform(-20, 20), rng.uniform(-20, 20)]))
        vertices = 2e-3 * model.mean @ rotation.T * [1, -1, 1]
        vertices -= vertices.min(axis=0) - 5
        width, height = np.ceil(vertices[:, :2].max(axis=0) + 5).astype(int)
        ours = unhidden(vertices, model.triangles, model.landmark_ids, share=HIDDEN)
        agree.append(ours == visible_vertices(vertices, model.triangles, width, height)[model.landmark_ids])
        hidden.append(~ours)
    assert np.mean(agree) > 0.97
    assert 0.1 < np.mean(hidden) < 0.6  # they agree on something


def test_a_face_that_looks_at_you_hides_only_its_jaw() -> None:
    model = bundled_model()
    seen = unhidden(model.mean, model.triangles, model.landmark_ids)
    assert seen[17:].all()
    assert seen[6:11].all()  # the chin
