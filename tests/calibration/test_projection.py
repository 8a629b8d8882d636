import numpy as np
import pytest

from calibration import CalibrationError, Camera
from calibration.lens import bend_rays, differentiate_rays
from calibration.projection import differentiate_projection, lens_names

LENSES = {
    "none": ("pinhole", []),
    "four": ("pinhole", [-0.3, 0.1, 0.002, -0.003]),
    "five": ("pinhole", [-0.3, 0.12, 0.002, -0.003, -0.02]),
    "eight": ("pinhole", [0.4, 0.05, 0.001, -0.002, 0.01, 0.7, 0.1, 0.02]),
    "fisheye": ("fisheye", [0.05, -0.02, 0.004, -0.001]),
    "equidistant": ("fisheye", []),
}


@pytest.fixture(params=LENSES)
def camera(request):
    model, distortion = LENSES[request.param]
    matrix = [[800.0, 2.5, 310], [0, 780, 250], [0, 0, 1]]
    pose = {"rotation": [0.3, -0.2, 0.1], "translation": [0.1, -0.2, 3.0]}
    return Camera("a", (640, 480), matrix, distortion, model=model, **pose)


def find_slope(function, size, step=1e-6):
    """Central differences of a function of a vector, along a new last axis."""
    moves = step * np.eye(size)
    return np.stack([(function(m) - function(-m)) / (2 * step) for m in moves], -1)


def change_lens(camera, change):
    matrix = camera.matrix + np.array(
        [[change[0], change[4], change[2]], [0, change[1], change[3]], [0, 0, 0]]
    )
    distortion = camera.distortion + change[5:]
    pose = camera.rotation, camera.translation
    return Camera("a", camera.size, matrix, distortion, *pose, camera.model)


def change_pose(camera, change):
    import cv2

    rotation = cv2.Rodrigues(change[:3])[0] @ camera.rotation_matrix
    pose = rotation, camera.translation + change[3:]
    return Camera("a", camera.size, camera.matrix, camera.distortion, *pose, camera.model)


def test_derivatives_agree_with_differences(rng, camera):
    points = rng.uniform(-1, 1, (6, 5, 3))
    found = differentiate_projection(camera, points)
    np.testing.assert_allclose(found.pixels, camera.project(points), atol=1e-9)
    by_point = find_slope(lambda m: camera.project(points + m), 3)
    np.testing.assert_allclose(found.by_point, by_point, atol=1e-5)
    by_pose = find_slope(lambda m: change_pose(camera, m).project(points), 6)
    np.testing.assert_allclose(found.by_pose, by_pose, atol=1e-5)
    by_lens = find_slope(lambda m: change_lens(camera, m).project(points), len(lens_names(camera)))
    np.testing.assert_allclose(found.by_lens, by_lens, atol=1e-5)
    assert np.abs(found.by_lens).max() > 0.1


@pytest.mark.parametrize("distance", [0.0, 1e-13, 1e-6, 0.9e-4, 1.1e-4, 1e-2])
def test_fisheye_is_smooth_on_its_axis(distance):
    distortion = np.array(LENSES["fisheye"][1])
    local = np.array([[1.2 * distance], [1.6 * distance], [2.0]])
    bent, by_local, by_coefficient = differentiate_rays("fisheye", local, distortion)
    np.testing.assert_allclose(bent, bend_rays("fisheye", local, distortion), atol=1e-11)
    slope = find_slope(lambda m: bend_rays("fisheye", local + m[:, None], distortion), 3, 1e-5)
    np.testing.assert_allclose(slope[:, 0], by_local[..., 0].T, atol=1e-8)
    assert np.abs(by_coefficient).max() <= distance**3


@pytest.mark.parametrize("distortion", [(), (0.02, -0.008, 0.003, -0.0007), (0.0, 0.0, 0.0, 0.0)])
def test_derivatives_of_what_a_fisheye_sees_behind_itself(rng, distortion):
    angle, around = np.deg2rad(rng.uniform(60, 105, 50)), rng.uniform(-np.pi, np.pi, 50)
    local = np.stack(
        [np.sin(angle) * np.cos(around), np.sin(angle) * np.sin(around), np.cos(angle)]
    )
    pose = {"rotation": [0.3, -0.2, 0.1], "translation": [0.1, -0.2, 3.0]}
    matrix = [[300.0, 2.5, 310], [0, 290, 250], [0, 0, 1]]
    camera = Camera("a", (640, 480), matrix, distortion, model="fisheye", **pose)
    points = (rng.uniform(1, 5, 50) * local).T
    points = (points - camera.translation) @ camera.rotation_matrix
    found = differentiate_projection(camera, points)
    assert np.isfinite(found.pixels).all() and (camera.to_camera(points)[:, 2] < 0).sum() > 10
    np.testing.assert_allclose(found.pixels, camera.project(points), atol=1e-9)
    by_point = find_slope(lambda m: camera.project(points + m), 3)
    np.testing.assert_allclose(found.by_point, by_point, atol=1e-5)
    by_pose = find_slope(lambda m: change_pose(camera, m).project(points), 6)
    np.testing.assert_allclose(found.by_pose, by_pose, atol=1e-5)
    by_lens = find_slope(lambda m: change_lens(camera, m).project(points), len(lens_names(camera)))
    np.testing.assert_allclose(found.by_lens, by_lens, atol=1e-5)


def test_missing_and_hidden_points_have_no_derivatives(camera):
    towards = camera.rotation_matrix[2]
    points = np.stack(
        [[np.nan, 0, 0], camera.centre - towards, camera.centre - 9 * towards, [0, 0, 0]]
    )
    # What lies straight behind a fisheye could be anywhere on its image's rim.
    found = differentiate_projection(camera, points)
    for name in ("pixels", "by_point", "by_pose", "by_lens"):
        array = getattr(found, name)
        assert np.isnan(array[:3]).all(), name
        assert np.isfinite(array[3]).all(), name


def test_parameters_have_names(camera):
    names = lens_names(camera)
    assert len(names) == 5 + len(camera.distortion) == len(set(names))
    if len(camera.distortion) == 4 and camera.model == "pinhole":
        assert names[5:] == ("k1", "k2", "p1", "p2")


def test_refuses_what_are_not_points(camera):
    with pytest.raises(CalibrationError, match=r"last axis has length 3, came \(4, 2\)"):
        differentiate_projection(camera, np.zeros((4, 2)))
