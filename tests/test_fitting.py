"""Fitting without a network: invented faces are found again, and real landmarks are reached as closely as is known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twodasl.evaluation.nme import nme, z_from_minimum
from twodasl.evaluation.truth import open_truth
from twodasl.models.errors import NamesError, SettingsError, ShapeError
from twodasl.models.fitting.contour import jaw_paths, jaw_sides, silhouette
from twodasl.models.fitting.fit import Fit, fit_landmarks
from twodasl.models.fitting.settings import ANNOTATED, DETECTED, GROUPS, FitSettings, Robust, landmark_indices
from twodasl.models.morphable import MorphableModel
from twodasl.models.pose import crop_up_from_model, rotation_from_angles

PLAIN = FitSettings(prior=0, n_identity=12, n_expression=4)


@pytest.fixture(scope="module")
def model(toy_model: MorphableModel) -> MorphableModel:
    """The toy face with spreads that move its landmarks by a few millimetres."""
    return replace(
        toy_model, identity_sigma=np.full(40, 1e5, np.float32), expression_sigma=np.full(10, 1.0, np.float32)
    )


class Faces:
    """Invented faces of 12 identity and 4 expression components, turned anyhow, in photo pixels with y down."""

    def __init__(self, model: MorphableModel, count: int = 12, seed: int = 0, largest_yaw: float = 85) -> None:
        rng = np.random.default_rng(seed)
        self.angles = rng.uniform([-largest_yaw, -25, -180], [largest_yaw, 25, 180], (count, 3))
        self.identity = rng.normal(size=(count, 12)) * 1e5
        self.expression = rng.normal(size=(count, 4))
        scale = rng.uniform(0.5e-3, 2e-3, (count, 1, 1))
        shift = rng.uniform(-300, 300, (count, 3, 1))
        self.pose = np.concatenate([scale * rotation_from_angles(self.angles), shift], axis=2)
        self.shape = model.landmarks(self.identity, self.expression)

    @property
    def points(self) -> np.ndarray:
        return crop_up_from_model(self.shape, self.pose) * [1, -1, 1]


def errors(fit: Fit, points: np.ndarray) -> np.ndarray:
    assert set(fit.status) == {"ok"}, fit.messages
    return np.linalg.norm(fit.landmarks[..., : points.shape[-1]] - points, axis=-1)


# --- found again --------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [2, 3])
def test_faces_are_found_again(model: MorphableModel, dims: int) -> None:
    """Without noise: camera, identity and expression, whatever the yaw and the roll. Depth is free in 2D."""
    faces = Faces(model)
    fit = fit_landmarks(faces.points[..., :dims], model, PLAIN)
    assert errors(fit, faces.points[..., :dims]).max() < 1e-3
    np.testing.assert_allclose(fit.identity / 1e5, faces.identity / 1e5, atol=1e-3)
    np.testing.assert_allclose(fit.expression, faces.expression, atol=1e-3)
    np.testing.assert_allclose(fit.pose[:, :dims], faces.pose[:, :dims], rtol=1e-3, atol=1e-2)
    assert fit.error_mm.max() < 1e-3


@pytest.mark.parametrize("dims", [2, 3])
def test_free_cameras_are_found_again(model: MorphableModel, dims: int) -> None:
    """A camera that shears: the affine one reproduces the points, a scaled rotation cannot."""
    faces = Faces(model, seed=1)
    faces.pose[:, :2, :3] = np.array([[1, 0.1], [0, 1.05]]) @ faces.pose[:, :2, :3]
    points = faces.points[..., :dims]
    rigid = replace(PLAIN, n_identity=0, n_expression=0)
    free = fit_landmarks(points, model, replace(PLAIN, camera="affine", iterations=500))
    assert errors(free, points).max() < 1e-2
    stiff, sheared = (
        fit_landmarks(points, model, replace(rigid, camera=camera)).error_mm
        for camera in ("scaled-orthographic", "affine")
    )
    assert (sheared < stiff).all()


def test_affine_in_2d_completes_the_camera_to_a_scaled_rotation(model: MorphableModel) -> None:
    faces = Faces(model, seed=2)
    fit = fit_landmarks(faces.points[..., :2], model, replace(PLAIN, camera="affine"))
    M = fit.pose[:, :, :3] / np.linalg.norm(fit.pose[:, :1, :3], axis=2, keepdims=True)
    np.testing.assert_allclose(M[:, 2], np.cross(M[:, 0], M[:, 1]), atol=0.05)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("settings", [ANNOTATED, replace(DETECTED, contour=False)])
def test_a_fit_moves_with_its_points(model: MorphableModel, dims: int, settings: FitSettings) -> None:
    """Turned in the picture, scaled and moved (z by another amount), the points give the same face."""
    rng = np.random.default_rng(3)
    points = Faces(model, seed=3).points[..., :dims] + rng.normal(size=(12, 68, dims))
    angle, scale = 2.0, 3.7
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    moved = scale * points @ turn[:dims, :dims].T + np.array([1e3, -5e2, 1e4])[:dims]
    first, second = (fit_landmarks(each, model, settings) for each in (points, moved))
    np.testing.assert_allclose(second.identity / 1e5, first.identity / 1e5, atol=2e-3)
    np.testing.assert_allclose(second.error_mm, first.error_mm, rtol=1e-3)


def test_faces_do_not_depend_on_their_neighbours(model: MorphableModel) -> None:
    points = Faces(model, count=70, seed=4).points + np.random.default_rng(4).normal(size=(70, 68, 3))
    together = fit_landmarks(points, model, ANNOTATED)
    alone = fit_landmarks(points[66:67], model, ANNOTATED)
    np.testing.assert_allclose(together.landmarks[66], alone.landmarks[0], atol=1e-3)


# --- what is seen, and how far it is believed ------------------------------------------------------


def test_a_subset_and_unseen_points_are_the_same(model: MorphableModel) -> None:
    """Named landmarks, weights of 0 and NaN all leave points out; what is left still fits."""
    faces = Faces(model, seed=5)
    which = landmark_indices(["eyes", "mouth", "nose", "3"])
    assert list(which[:3]) == [3, 27, 28]
    noisy = faces.points + np.random.default_rng(5).normal(size=faces.points.shape)
    weights = np.isin(np.arange(68), which) * np.ones((12, 1))
    holed = np.where(weights[..., None] > 0, noisy, np.nan)
    fits = [
        fit_landmarks(noisy[:, which], model, ANNOTATED, which),
        fit_landmarks(noisy, model, ANNOTATED, weights=weights),
        fit_landmarks(holed, model, ANNOTATED),
    ]
    for fit in fits[1:]:
        np.testing.assert_allclose(fit.landmarks, fits[0].landmarks, atol=1e-2)
    everything = fit_landmarks(noisy, model, ANNOTATED)
    assert np.abs(everything.landmarks - fits[0].landmarks).max() > 0.1


def test_group_weights(model: MorphableModel) -> None:
    """A jaw that is all wrong does no harm once its weight is 0."""
    faces = Faces(model, seed=6)
    wrong = faces.points
    wrong[:, list(GROUPS["jaw"])] += 20
    fit = fit_landmarks(wrong, model, replace(PLAIN, jaw=0))
    assert errors(fit, faces.points).max() < 1e-2
    assert errors(fit_landmarks(wrong, model, PLAIN), faces.points).mean() > 1


def test_weights_go_by_name_in_a_subset(model: MorphableModel) -> None:
    """The jaw's weight is the jaw's, whatever stands first among the points."""
    points = Faces(model, seed=16).points + np.random.default_rng(16).normal(size=(12, 68, 3))
    which = landmark_indices(["nose", "eyes", "mouth"])
    fits = [fit_landmarks(points[:, which], model, replace(ANNOTATED, jaw=jaw), which) for jaw in (0, 1)]
    np.testing.assert_array_equal(fits[0].landmarks, fits[1].landmarks)


def test_few_points_are_taken_for_a_face_seen_from_the_front(model: MorphableModel) -> None:
    """Three points of a picture fit a head from the front and one from behind equally well."""
    faces = Faces(model, count=20, seed=17, largest_yaw=30)
    spread = np.linalg.norm(model.landmarks(np.zeros(1), np.zeros(1))[:, None] - faces.shape.mean(axis=(0, 1)), axis=2)
    which = np.sort(np.argsort(-spread[:, 0])[[0, 20, 40]])
    fit = fit_landmarks(faces.points[:, which, :2], model, ANNOTATED, which)
    assert set(fit.status) == {"ok"}
    assert (fit.pose[:, 2, 2] > 0).all()


@pytest.mark.parametrize("robust", ["huber", "geman-mcclure", "student-t"])
@pytest.mark.parametrize("dims", [2, 3])
def test_robust_losses_leave_outliers_out(model: MorphableModel, robust: Robust, dims: int) -> None:
    """One point in ten lies 40 mm off."""
    rng = np.random.default_rng(7)
    faces = Faces(model, count=30, seed=7, largest_yaw=60)
    true = faces.points[..., :dims]
    millimetre = 1e3 * np.cbrt(np.linalg.det(faces.pose[:, :, :3]))[:, None, None]
    far = rng.random((30, 68, 1)) < 0.1
    points = true + millimetre * (rng.normal(size=true.shape) + 40 * far * rng.choice([-1, 1], true.shape))
    off = []
    for loss in ("none", robust):
        fit = fit_landmarks(points, model, replace(ANNOTATED, robust=loss))
        off.append(np.nanmean(np.linalg.norm(fit.landmarks[..., :dims] - true, axis=2)))
    assert off[1] < 0.5 * off[0]


def test_the_prior_draws_to_the_mean_as_noise_grows(model: MorphableModel) -> None:
    points = Faces(model, seed=8).points + np.random.default_rng(8).normal(size=(12, 68, 3)) * 3
    sizes = [
        np.sqrt((fit_landmarks(points, model, replace(ANNOTATED, noise_mm=noise)).identity ** 2).mean()) / 1e5
        for noise in (0.1, 1, 10, 100)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.05
    twice = fit_landmarks(points, model, replace(ANNOTATED, noise_mm=2)).identity
    weighed = fit_landmarks(points, model, replace(ANNOTATED, prior=4)).identity
    np.testing.assert_allclose(weighed / 1e5, twice / 1e5, atol=1e-3)  # (2 mm)^2 of noise is 4 times the prior


@pytest.mark.parametrize("settings", [ANNOTATED, replace(DETECTED, contour=False)])
def test_one_person_has_one_identity(model: MorphableModel, settings: FitSettings) -> None:
    """Shared over 10 noisy pictures it is nearer to the true one than any picture's own; expressions stay free."""
    rng = np.random.default_rng(9)
    faces = Faces(model, count=10, seed=9, largest_yaw=60)
    faces.identity[:] = faces.identity[0]
    shape = model.landmarks(faces.identity, faces.expression)
    points = (crop_up_from_model(shape, faces.pose) * [1, -1, 1])[..., :2] + rng.normal(size=(10, 68, 2))
    joint = fit_landmarks(points, model, replace(settings, same_person=True))
    assert set(joint.status) == {"ok"}
    assert (joint.identity == joint.identity[0]).all()
    assert (joint.expression != joint.expression[0]).any()
    mean = model.landmarks(joint.identity[:1], np.zeros((1, 10)))
    true = model.landmarks(faces.identity[:1], np.zeros((1, 4)))
    own = model.landmarks(fit_landmarks(points, model, settings).identity, np.zeros((10, 10)))
    assert np.linalg.norm(mean - true, axis=2).mean() < np.linalg.norm(own - true, axis=2).mean(axis=1).min()


def test_one_person_in_one_picture_is_a_plain_fit(model: MorphableModel) -> None:
    points = Faces(model, count=1, seed=10).points + np.random.default_rng(10).normal(size=(1, 68, 3))
    alone, joint = (
        fit_landmarks(points, model, replace(ANNOTATED, same_person=together)) for together in (False, True)
    )
    np.testing.assert_allclose(joint.landmarks, alone.landmarks, atol=1e-2)


# --- the contour -----------------------------------------------------------------------------------


def barrel() -> MorphableModel:
    """A face on a cylinder of 80 mm, jaw points along its sides at +-80 degrees: its silhouette is known."""
    angle, height = np.meshgrid(np.deg2rad(np.linspace(-88, 88, 177)), np.linspace(-100e3, 100e3, 41))
    mean = np.stack([80e3 * np.sin(angle), height, 80e3 * np.cos(angle)], axis=-1).reshape(-1, 3)
    corner = (np.arange(40)[:, None] * 177 + np.arange(176)).ravel()
    triangles = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 177], axis=1),
            np.stack([corner + 1, corner + 178, corner + 177], axis=1),
        ]
    )
    column = np.r_[np.full(8, 8), 88, np.full(8, 168), np.random.default_rng(0).integers(40, 137, 51)]
    row = np.r_[np.linspace(36, 4, 8), 2, np.linspace(4, 36, 8), np.random.default_rng(1).integers(0, 41, 51)]
    ids = row.astype(int) * 177 + column
    return MorphableModel(
        mean.astype(np.float32),
        np.zeros((len(mean), 3, 1), np.float32),
        np.zeros((len(mean), 3, 1), np.float32),
        triangles.astype(np.int32),
        ids.astype(np.int32),
        identity_sigma=np.ones(1),
        expression_sigma=np.ones(1),
    )


def test_jaw_points_slide_to_the_silhouette_of_the_far_cheek() -> None:
    """Turned by 40 degrees, the far edge of a cylinder lies at 50 degrees of it: points at 80 are hidden."""
    model = barrel()
    paths, sides = jaw_paths(model, steps=40), jaw_sides(model)
    assert (paths[:, 0] == model.landmark_ids[:17]).all()
    assert sides.tolist() == [-1] * 8 + [0] + [1] * 8
    np.testing.assert_allclose(np.ptp(model.mean[paths, 1], axis=1), 0, atol=1)  # a horizontal section
    rotation = rotation_from_angles(np.array([40.0, 0, 0]))
    seen = np.einsum("de,jse->djs", rotation[:2], model.mean[paths].astype(float))[None]
    chosen = silhouette(seen, rotation[None, :2, 1], sides)[0]
    slid = model.mean[paths[np.arange(17), chosen]]
    angle = np.rad2deg(np.arctan2(slid[:, 0], slid[:, 2]))
    far = slice(0, 8) if (rotation @ [-1, 0, 0])[2] < 0 else slice(9, 17)
    near = slice(9, 17) if far.start == 0 else slice(0, 8)
    np.testing.assert_allclose(np.abs(angle[far]), 50, atol=1.5)
    np.testing.assert_allclose(np.abs(angle[near]), 80, atol=1e-3)
    assert chosen[8] == 0
    with_paths = np.r_[model.landmark_ids[:17] * 0 + paths[np.arange(17), chosen], model.landmark_ids[17:]]
    points = (model.mean[with_paths].astype(float) @ rotation.T * 1e-3 * [1, -1, 1])[None, :, :2]
    settings = FitSettings(n_identity=0, n_expression=0)
    straight, sliding = (fit_landmarks(points, model, replace(settings, contour=contour)) for contour in (False, True))
    expected = model.mean[model.landmark_ids].astype(float) @ rotation.T * 1e-3 * [1, -1, 1]
    assert errors(sliding, expected[None, :, :2]).mean() < 0.3 * errors(straight, expected[None, :, :2]).mean()


# --- what cannot be fitted --------------------------------------------------------------------------


def corrupt_too_few(points: np.ndarray) -> None:
    points[1, 2:] = np.nan


def corrupt_line(points: np.ndarray) -> None:
    points[1] = points[1, :1] + np.arange(68)[:, None] * np.array([3.0, 2.0, 1.0])[: points.shape[2]]


def corrupt_one_place(points: np.ndarray) -> None:
    points[1] = 5


def corrupt_mirrored(points: np.ndarray) -> None:
    points[1, :, 0] *= -1


def corrupt_unseen(points: np.ndarray) -> None:
    points[1] = np.nan


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("corrupt", "status", "message"),
    [
        (corrupt_too_few, "no-fit", "fewer than the"),
        (corrupt_line, "no-fit", "on a line"),
        (corrupt_one_place, "no-fit", "in one place"),
        (corrupt_mirrored, "no-fit", "mirrored order"),
        (corrupt_unseen, "no-landmarks", "none of its landmarks is finite"),
    ],
)
def test_faces_that_cannot_be_fitted_say_why(
    model: MorphableModel, dims: int, corrupt: Callable, status: str, message: str
) -> None:
    points = Faces(model, count=3, seed=11, largest_yaw=40).points[..., :dims]
    good = fit_landmarks(points, model, ANNOTATED)
    corrupt(points)
    fit = fit_landmarks(points, model, ANNOTATED)
    assert fit.status == ("ok", status, "ok")
    assert message in fit.messages[1]
    assert np.isnan(fit.landmarks[1]).all()
    assert np.isnan(fit.pose[1]).all()
    np.testing.assert_allclose(fit.landmarks[[0, 2]], good.landmarks[[0, 2]], atol=1e-3)


def test_depth_that_grows_away_is_told_from_mirrored_order(model: MorphableModel) -> None:
    points = Faces(model, count=4, seed=12, largest_yaw=40).points
    points[..., 2] *= -1
    fit = fit_landmarks(points, model, ANNOTATED)
    assert set(fit.status) == {"no-fit"}
    assert all("z grows away from the viewer" in message for message in fit.messages)


def test_without_a_prior_there_are_more_unknowns(model: MorphableModel) -> None:
    points = Faces(model, count=2, seed=13).points[:, list(GROUPS["eyes"]), :2]
    which = np.array(GROUPS["eyes"])
    assert set(fit_landmarks(points, model, ANNOTATED, which).status) == {"ok"}
    fit = fit_landmarks(points, model, replace(ANNOTATED, prior=0), which)
    assert set(fit.status) == {"no-fit"}
    assert "12 landmarks are 24 numbers, fewer than the 56 unknowns of a fit without a prior" in fit.messages[0]


def test_a_plane_has_no_affine_camera(model: MorphableModel) -> None:
    flat = replace(model, mean=model.mean * np.array([1, 1, 0], np.float32))
    points = Faces(flat, count=1, seed=14).points
    fit = fit_landmarks(points, flat, replace(ANNOTATED, camera="affine"))
    assert fit.status == ("no-fit",)
    assert "plane" in fit.messages[0]


def test_a_fit_that_does_not_settle_is_none(model: MorphableModel) -> None:
    fit = fit_landmarks(Faces(model, count=2).points, model, replace(ANNOTATED, iterations=1))
    assert fit.status == ("no-fit", "no-fit")
    assert "did not converge" in fit.messages[0]


def test_absurd_coefficients_are_told_and_kept(model: MorphableModel) -> None:
    faces = Faces(model, count=2, seed=15, largest_yaw=30)
    faces.identity[1, 0] = 9e5
    faces.shape = model.landmarks(faces.identity, faces.expression)
    fit = fit_landmarks(faces.points, model, replace(ANNOTATED, noise_mm=0.01))
    assert fit.sigmas[0] < 5 < fit.sigmas[1]
    assert fit.identity[1, 0] == pytest.approx(9e5, rel=0.01)


def test_arrays_that_do_not_fit_together(model: MorphableModel, toy_model: MorphableModel) -> None:
    points = Faces(model, count=2).points
    with pytest.raises(ShapeError, match=r"\(faces, 68, 2 or 3\)"):
        fit_landmarks(points[:, :21], model, ANNOTATED)
    with pytest.raises(ShapeError, match="weights"):
        fit_landmarks(points, model, ANNOTATED, weights=np.ones((2, 67)))
    with pytest.raises(ShapeError, match="weights"):
        fit_landmarks(points, model, ANNOTATED, weights=-np.ones((2, 68)))
    with pytest.raises(SettingsError, match="states no spreads"):
        fit_landmarks(points, toy_model, ANNOTATED)
    assert set(fit_landmarks(points, toy_model, PLAIN).status) == {"ok"}


@pytest.mark.parametrize(
    "change",
    [{"camera": "pinhole"}, {"robust": "tukey"}, {"noise_mm": 0}, {"prior": -1}, {"jaw": np.nan}, {"iterations": 0}],
)
def test_settings_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(SettingsError):
        FitSettings(**change)


def test_settings_are_read_back() -> None:
    assert FitSettings.from_dict(DETECTED.as_dict()) == DETECTED
    with pytest.raises(SettingsError, match=r"unknown fit settings: colour.*noise_mm"):
        FitSettings.from_dict({"colour": 1})


@pytest.mark.parametrize("names", [["ears"], ["68"], []])
def test_landmarks_have_names(names: list[str]) -> None:
    with pytest.raises(NamesError):
        landmark_indices(names)


# --- real landmarks, the Basel model -----------------------------------------------------------------


def test_floor_of_the_basel_model(data: Path, bfm: MorphableModel) -> None:
    """200 annotated faces: 2D 0.55 %, 3D 0.69 % on a prototype's 100 (open-model.md, section 5), 0.53 and 0.67 here."""
    names = [line[:-4] for line in (data / "aflw2000" / "AFLW2000-3D_crop.list").read_text().split()[5::10]]
    truth = open_truth(data / "aflw2000", "original", names).landmarks
    fit = fit_landmarks(truth, bfm, ANNOTATED)
    assert set(fit.status) == {"ok"}
    assert nme(fit.landmarks[..., :2], truth[..., :2]).mean() < 0.0058
    assert nme(fit.landmarks, truth).mean() < 0.0072
    free = fit_landmarks(truth, bfm, replace(ANNOTATED, prior=0))
    assert nme(free.landmarks, truth).mean() < 0.0052
    flat = fit_landmarks(truth[..., :2], bfm, ANNOTATED)
    assert nme(flat.landmarks[..., :2], truth[..., :2]).mean() < 0.0055
    assert nme(z_from_minimum(flat.landmarks), z_from_minimum(truth)).mean() < 0.02
