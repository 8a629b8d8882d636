import cv2
import numpy as np
import pytest

from calibration import CalibrationError, Camera

MATRIX = np.array([[800.0, 0, 310], [0, 780, 250], [0, 0, 1]])
LENSES = {
    0: [],
    4: [-0.3, 0.1, 0.002, -0.003],
    5: [-0.3, 0.12, 0.002, -0.003, -0.02],
    8: [0.4, 0.05, 0.001, -0.002, 0.01, 0.7, 0.1, 0.02],
}
POSE = {"rotation": [0.3, -0.2, 0.1], "translation": [0.1, -0.2, 3.0]}


def make_camera(distortion, model="pinhole", matrix=MATRIX):
    return Camera("a", (640, 480), matrix, distortion, model=model, **POSE)


@pytest.mark.parametrize("n", LENSES)
def test_pinhole_agrees_with_opencv(rng, n):
    points = rng.uniform(-1, 1, (200, 3))
    camera = make_camera(LENSES[n])
    distortion = np.array(LENSES[n]) if n else None
    expected, _ = cv2.projectPoints(
        points, camera.rotation.copy(), camera.translation.copy(), MATRIX, distortion
    )
    np.testing.assert_allclose(camera.project(points), expected[:, 0], atol=1e-9)


def test_fisheye_agrees_with_opencv(rng):
    distortion = np.array([0.05, -0.02, 0.004, -0.001])
    points = rng.uniform(-2.5, 2.5, (200, 3))
    camera = make_camera(distortion, "fisheye")
    front = camera.to_camera(points)[:, 2] > 0
    expected, _ = cv2.fisheye.projectPoints(
        points[None], camera.rotation.copy(), camera.translation.copy(), MATRIX, distortion
    )
    found = camera.project(points)
    np.testing.assert_allclose(found[front], expected[0][front], atol=1e-9)
    assert 0 < front.sum() < 200


def test_triangle_three_four_five():
    # 3 to the right, 4 below, at depth 10 with focal length 10: five pixels off the middle.
    camera = Camera("a", (20, 20), [[10, 0, 7], [0, 10, 8], [0, 0, 1]])
    assert camera.project([3, 4, 10]).tolist() == [10, 12]
    assert np.hypot(*(camera.project([3, 4, 10]) - [7, 8])) == 5
    np.testing.assert_allclose(
        camera.rays([10, 12]), np.array([3, 4, 10]) / np.sqrt(125), atol=1e-15
    )


def test_skew_shifts_x_only():
    skewed = MATRIX.copy()
    skewed[0, 1] = 5
    point = np.array([[0.1, 0.2, 0.3]])
    straight, slanted = (
        make_camera([]).project(point),
        make_camera([], matrix=skewed).project(point),
    )
    local = make_camera([]).to_camera(point)
    np.testing.assert_allclose(slanted[:, 0] - straight[:, 0], 5 * local[:, 1] / local[:, 2])
    assert slanted[0, 1] == straight[0, 1]


@pytest.mark.parametrize(
    ("distortion", "model"),
    [
        (LENSES[0], "pinhole"),
        (LENSES[4], "pinhole"),
        (LENSES[5], "pinhole"),
        (LENSES[8], "pinhole"),
        ([0.05, -0.02, 0.004, -0.001], "fisheye"),
        ([], "fisheye"),
    ],
)
def test_rays_pass_through_their_points(rng, distortion, model):
    skewed = MATRIX + np.array([[0, 2.0, 0], [0, 0, 0], [0, 0, 0]])
    camera = make_camera(distortion, model, skewed)
    points = rng.uniform(-0.6, 0.6, (3, 50, 3))
    pixels = camera.project(points)
    local = camera.to_camera(points)
    np.testing.assert_allclose(camera.undistort(pixels), local[..., :2] / local[..., 2:], atol=1e-9)
    towards = points - camera.centre
    towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
    np.testing.assert_allclose(camera.rays(pixels), towards, atol=1e-9)


def test_missing_and_hidden_points_are_nan():
    camera = Camera("a", (10, 10), np.eye(3))
    pixels = camera.project([[np.nan, 0, 1], [0, 0, -1], [0, 0, 0], [1, 1, 1]])
    assert np.isnan(pixels[:3]).all() and pixels[3].tolist() == [1, 1]
    assert np.isnan(camera.undistort([np.nan, 1.0])).all()
    # A strong barrel never reaches this pixel.
    barrel = Camera("b", (10, 10), np.eye(3), [-0.5, 0, 0, 0])
    assert np.isnan(barrel.undistort([5.0, 5.0])).all()
    # Beyond a right angle there is nothing in front of a fisheye, but beside and behind it.
    fish = Camera("c", (10, 10), np.eye(3), [0, 0, 0, 0], model="fisheye")
    assert np.isnan(fish.undistort([2.0, 0.0])).all()
    np.testing.assert_allclose(fish.rays([2.0, 0.0]), [np.sin(2), 0, np.cos(2)])
    assert np.isnan(fish.rays([3.2, 0.0])).all()


def test_fisheye_sees_behind_itself_until_its_image_folds(rng):
    matrix = np.array([[300.0, 0, 320], [0, 300, 240], [0, 0, 1]])
    for distortion, most in (([0.02, -0.008, 0.003, -0.0007], 119), ([-0.1, 0, 0, 0], 104)):
        fish = Camera("c", (640, 480), matrix, distortion, [0.1, 0.2, 0.3], [1, 2, 3], "fisheye")
        for angle in (0.0, 30.0, 89.999, 90.001, 95.0, 100.0):
            around = rng.uniform(-np.pi, np.pi, 20)
            sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
            local = np.stack([sine * np.cos(around), sine * np.sin(around), 0 * around + cosine], 1)
            world = local @ fish.rotation_matrix
            pixels = fish.project(fish.centre + 7 * world)
            np.testing.assert_allclose(fish.rays(pixels), world, atol=1e-9)
            hidden = np.isnan(fish.undistort(pixels)).all()
            assert hidden == (angle > 90)
        grid = np.deg2rad(np.arange(0, 180, 0.5))
        seen = fish.project(
            fish.centre + np.stack([np.sin(grid), 0 * grid, np.cos(grid)], 1) @ fish.rotation_matrix
        )
        far = np.linalg.norm(seen - [320, 240], axis=1)
        there = np.isfinite(far)
        assert (np.diff(far[there]) > 0).all() and there[: there.sum()].all()
        assert abs(there.sum() / 2 - most) < 2


def test_rotation_is_taken_as_matrix_or_vector():
    vector = np.array([0.4, -1.2, 2.0])
    matrix = cv2.Rodrigues(vector)[0]
    camera = Camera("a", (10, 10), np.eye(3), rotation=matrix)
    np.testing.assert_allclose(camera.rotation, vector, atol=1e-12)
    np.testing.assert_allclose(camera.rotation_matrix, matrix, atol=1e-12)
    np.testing.assert_allclose(camera.to_camera(camera.centre), 0, atol=1e-12)


def test_faults_are_listed_at_once():
    with pytest.raises(CalibrationError) as error:
        Camera("a", (10, 10), np.eye(2), [1, 2], rotation=np.diag([1, 1, -1]))
    for word in ("matrix", "distortion", "mirrors"):
        assert word in str(error.value)
    with pytest.raises(CalibrationError, match="finite"):
        Camera("a", (10, 10), np.eye(3), translation=[0, 0, np.nan])
    with pytest.raises(CalibrationError, match="focal"):
        Camera("a", (10, 10), np.diag([-1.0, 1, 1]))
    with pytest.raises(CalibrationError, match="pinhole"):
        Camera("a", (10, 10), np.eye(3), model="fish")
    with pytest.raises(CalibrationError, match="length 3"):
        Camera("a", (10, 10), np.eye(3)).project(np.ones((4, 2)))
