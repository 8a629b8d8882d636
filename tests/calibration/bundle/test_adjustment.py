from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.optimize import least_squares

from calibration import CalibrationError, Camera, CameraGroup
from calibration.boardposes import place_boards
from calibration.bundle.adjustment import BundleOptions, bundle_adjust, bundle_adjust_points
from calibration.bundle.priors import LensPrior
from calibration.bundle.scenes import sum_costs, weigh_errors
from calibration.bundle.solver import read_lens
from calibration.projection import POSE_NAMES, lens_names
from calibration.rotations import turn, unturn
from calibration.synthetic import film_board, make_board, make_ring
from calibration.triangulation.points import triangulate_points

NO_PRIOR = BundleOptions(prior=None)


@pytest.fixture(scope="module")
def ring():
    """Four cameras, every second one a fisheye."""
    return make_ring(4, fisheye=[1, 3], seed=2)


@pytest.fixture(scope="module")
def film(ring):
    return film_board(ring, n=60, seed=2)


@pytest.fixture(scope="module")
def adjusted(ring, film):
    start = disturb(ring, np.random.default_rng(5))
    return bundle_adjust(start, film.pixels, board=film.board)


def disturb(group, rng, lens=True):
    """Cameras moved by 10 mm and turned by a degree, but for the first; plain lenses."""
    cameras = []
    for i, camera in enumerate(group):
        turned = turn(rng.normal(0, 0.02, 3)) if i else np.eye(3)
        matrix = camera.matrix * [[1.03 if lens else 1], [1.03 if lens else 1], [1]]
        matrix[:2, 2] = camera.matrix[:2, 2] + (3 if lens else 0)
        cameras.append(
            replace(
                camera,
                matrix=matrix,
                distortion=camera.distortion * (0 if lens else 1),
                rotation=turned @ camera.rotation_matrix,
                translation=turned @ camera.translation + (rng.normal(0, 10, 3) if i else 0),
            )
        )
    return CameraGroup(cameras, group.unit)


def find_errors(result, truth):
    """Errors and stated deviations of all free parameters, by camera and name."""
    found = {}
    for camera, true in zip(result.cameras, truth, strict=True):
        turned = unturn((camera.rotation_matrix @ true.rotation_matrix.T)[None])[0]
        errors = [*turned, *(camera.translation - true.translation)]
        errors += [*(read_lens(camera) - read_lens(true))]
        for name, error in zip(POSE_NAMES + lens_names(camera), errors, strict=True):
            found[camera.name, name] = error, result.deviations[camera.name][name]
    return found


def test_finds_the_truth_within_its_deviations(ring, film, adjusted):
    assert adjusted.converged and adjusted.steps < 15
    z = np.array([e / s for e, s in find_errors(adjusted, ring).values() if s > 0])
    assert len(z) == len(adjusted.parameters) == 3 * 6 + 2 * 9 + 2 * 8
    assert (np.abs(z) < 3).all() and 0.5 < np.sqrt((z**2).mean()) < 1.5
    assert abs(adjusted.scale - 0.3) < 0.01


def test_deviations_follow_from_the_covariance(adjusted):
    assert adjusted.covariance.shape == (len(adjusted.parameters),) * 2
    for (camera, name), variance in zip(
        adjusted.parameters, np.diag(adjusted.covariance), strict=True
    ):
        assert adjusted.deviations[camera][name] == np.sqrt(variance) > 0
    # What is held has no deviation: the first pose, and skew.
    assert adjusted.deviations["cam0"]["tx"] == adjusted.deviations["cam1"]["skew"] == 0


def test_false_corners_are_known_and_change_nothing(ring, film):
    adjusted = bundle_adjust(ring, film.pixels, board=film.board, poses=film.poses)
    assert not adjusted.inliers[film.false].any()
    good = np.isfinite(film.pixels[..., 0]) & ~film.false
    assert adjusted.inliers[good].mean() > 0.999
    without = film.pixels.copy()
    without[film.false] = np.nan
    clean = bundle_adjust(ring, without, board=film.board, poses=film.poses)
    for camera, name in clean.parameters:
        stated, wanted = (r.deviations[camera][name] for r in (adjusted, clean))
        assert 0.95 < stated / wanted < 1.05
        error = find_errors(adjusted, clean.cameras)[camera, name][0]
        assert abs(error) < 0.2 * wanted


def test_errors_are_distances_to_the_adjusted_corners(film, adjusted):
    points = film.board @ turn(adjusted.poses[:, :3]).swapaxes(1, 2)
    points += adjusted.poses[:, None, 3:]
    expected = np.linalg.norm(adjusted.cameras.project(points) - film.pixels, axis=-1)
    np.testing.assert_allclose(adjusted.errors, expected, atol=1e-8)


def test_deviations_are_calibrated():
    # Sixteen films of the same cameras: errors over stated deviations have unit variance.
    ring = make_ring(3, fisheye=[1], seed=1)
    z = []
    for seed in range(16):
        film = film_board(ring, n=20, seed=seed)
        result = bundle_adjust(
            ring, film.pixels, board=film.board, poses=film.poses, options=NO_PRIOR
        )
        z.append([e / s for e, s in find_errors(result, ring).values() if s > 0])
    z = np.array(z)
    assert 0.85 < np.sqrt((z**2).mean()) < 1.15
    assert (np.abs(z) < 3).mean() > 0.985
    # No parameter is biased: the mean of each is within four of its own deviations.
    assert (np.abs(z.mean(0)) < 4 / np.sqrt(len(z))).all()


def test_agrees_with_scipy():
    # Least squares: no pixel comes near the limit. The same minimum and the same covariance.
    a, b = make_ring(2, fisheye=[1], seed=4)
    ring = CameraGroup([replace(a, distortion=a.distortion[:4]), replace(b, distortion=[])])
    board = make_board(4, 3, square=40.0)
    film = film_board(ring, board, n=8, false=0.0, partial=0.0, seed=4)
    options = BundleOptions(prior=None, outlying=1e5, tolerance=1e-6)
    result = bundle_adjust(ring, film.pixels, board=board, poses=film.poses, options=options)

    a, b = ring
    seen = np.isfinite(film.pixels)

    def change(camera, lens, pose):
        matrix = camera.matrix.copy()
        matrix[[0, 1, 0, 1], [0, 1, 2, 2]] = lens[:4]
        return replace(
            camera,
            matrix=matrix,
            distortion=lens[4:],
            rotation=cv2.Rodrigues(pose[:3])[0] @ camera.rotation_matrix,
            translation=camera.translation + pose[3:],
        )

    def residuals(x):
        first, second = change(a, x[:8], np.zeros(6)), change(b, x[8:12], x[12:18])
        poses = x[18:].reshape(-1, 6)
        points = board @ turn(poses[:, :3]).swapaxes(1, 2) + poses[:, None, 3:]
        return (CameraGroup([first, second]).project(points) - film.pixels)[seen]

    lenses = [np.delete(read_lens(camera), 4) for camera in (a, b)]
    used = np.isfinite(result.poses).all(1)
    assert used.all()
    x = np.concatenate([*lenses, np.zeros(6), film.poses.ravel()])
    found = least_squares(residuals, x, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert result.cost == pytest.approx(found.cost, rel=1e-6)
    covariance = np.linalg.inv(found.jac.T @ found.jac) * 2 * found.cost / (seen.sum() - len(x))
    deviations = np.sqrt(np.diag(covariance))
    for camera, lens, part in ((0, found.x[:8], deviations), (1, found.x[8:12], deviations[8:])):
        ours = np.delete(read_lens(result.cameras.cameras[camera]), 4)
        assert (np.abs(ours - lens) < 0.01 * part[: len(lens)]).all()
        names = [n for n in lens_names(ring.cameras[camera]) if n != "skew"]
        stated = [result.deviations[f"cam{camera}"][n] for n in names]
        np.testing.assert_allclose(stated, part[: len(lens)], rtol=0.01)


def test_without_noise_the_truth_is_found(ring):
    film = film_board(ring, n=20, noise=0.0, false=0.0, seed=6)
    start = disturb(ring, np.random.default_rng(6))
    result = bundle_adjust(start, film.pixels, board=film.board, options=NO_PRIOR)
    assert result.converged
    for found, true in zip(result.cameras, ring, strict=True):
        np.testing.assert_allclose(found.matrix, true.matrix, atol=1e-3)
        np.testing.assert_allclose(found.centre, true.centre, atol=1e-2)


@pytest.mark.parametrize(
    ("lens", "model"),
    [
        ([], "pinhole"),
        ([-0.2, 0.08, 0.001, -0.002], "pinhole"),
        ([0.4, 0.05, 0.001, -0.002, 0.01, 0.7, 0.1, 0.02], "pinhole"),
        ([], "fisheye"),
    ],
)
def test_any_lens(lens, model):
    # fx is not fy, the axis not in the middle, the pixels not quite square.
    matrix = np.array([[620.0, 1.5, 350], [0, 600, 220], [0, 0, 1]])
    ring = CameraGroup(
        [replace(c, matrix=matrix, distortion=lens, model=model) for c in make_ring(2, seed=3)]
    )
    film = film_board(ring, n=40, seed=3)
    start = CameraGroup([replace(c, matrix=matrix * [[1.05], [1.05], [1]]) for c in ring])
    result = bundle_adjust(start, film.pixels, board=film.board)
    assert result.converged and abs(result.scale - 0.3) < 0.02
    z = [e / s for e, s in find_errors(result, ring).values() if s > 0]
    assert (np.abs(z) < 3.5).all()
    assert all(camera.matrix[0, 1] == 1.5 * 1.05 for camera in result.cameras)


def test_thirty_two_cameras():
    ring = make_ring(32, fisheye=range(0, 32, 3), seed=3)
    film = film_board(ring, make_board(5, 4, square=40.0), n=10, seed=3)
    result = bundle_adjust(ring, film.pixels, board=film.board, poses=film.poses)
    z = np.array([e / s for e, s in find_errors(result, ring).values() if s > 0])
    assert result.converged and (np.abs(z) < 3).mean() > 0.98


@pytest.mark.parametrize(
    ("intrinsics", "names"),
    [
        ("none", set()),
        ("focal", {"fx", "fy"}),
        ("all", {"fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4"}),
    ],
)
def test_what_is_free(ring, film, intrinsics, names):
    result = bundle_adjust(
        ring, film.pixels, board=film.board, poses=film.poses, intrinsics=intrinsics
    )
    assert {n for _, n in result.parameters} - set(POSE_NAMES) == names
    for camera, true in zip(result.cameras, ring, strict=True):
        same = camera.matrix == true.matrix
        assert same[0, 2] == (intrinsics != "all") and same[0, 0] == (intrinsics == "none")


def test_fixed_cameras_stay(ring, film):
    result = bundle_adjust(
        ring, film.pixels, board=film.board, poses=film.poses, fixed=["cam2", "cam1"]
    )
    for camera, true in zip(result.cameras, ring, strict=True):
        stays = camera.name in ("cam1", "cam2")
        assert np.array_equal(camera.translation, true.translation) == stays
        assert np.array_equal(camera.matrix, true.matrix) == stays
        assert all(s == 0 for s in result.deviations[camera.name].values()) == stays


def test_all_cameras_fixed_fits_the_boards_alone(ring, film):
    result = bundle_adjust(ring, film.pixels, board=film.board, fixed=ring.names)
    assert result.converged and result.covariance.shape == (0, 0)
    turned = turn(result.poses[:, :3]) @ turn(film.poses[:, :3]).swapaxes(1, 2)
    assert np.abs(turned - np.eye(3)).max() < 0.02
    assert np.abs(result.poses[:, 3:] - film.poses[:, 3:]).max() < 2


def test_camera_that_sees_nothing_is_left_alone(ring, film):
    pixels = film.pixels.copy()
    pixels[[0, 2]] = np.nan
    result = bundle_adjust(ring, pixels, board=film.board, poses=film.poses)
    blind, seeing = result.cameras.cameras[2], result.deviations["cam3"]
    np.testing.assert_array_equal(blind.translation, ring.cameras[2].translation)
    assert all(np.isinf(s) for s in result.deviations["cam2"].values())
    # The first camera that sees sets the frame.
    assert result.deviations["cam1"]["tx"] == 0 < seeing["tx"] < 10
    assert result.converged


def test_camera_linked_to_none_has_no_known_place(ring, film):
    pixels = film.pixels.copy()
    pixels[:3, ::2] = np.nan
    pixels[3, 1::2] = np.nan
    result = bundle_adjust(ring, pixels, board=film.board, poses=film.poses)
    alone = result.deviations["cam3"]
    assert all(np.isinf(alone[n]) for n in POSE_NAMES)
    # Its lens is still known, and so are the others.
    assert 0 < alone["fx"] < 5 and 0 < result.deviations["cam2"]["tx"] < 20


def test_camera_that_sees_few_boards(ring, film):
    pixels = film.pixels.copy()
    often = np.flatnonzero(np.isfinite(pixels[..., 0]).any(2)[2])
    pixels[2, often[2:]] = np.nan
    start = disturb(ring, np.random.default_rng(7))
    result = bundle_adjust(start, pixels, board=film.board)
    z = np.array([e / s for e, s in find_errors(result, ring).values() if s > 0])
    assert result.converged and (np.abs(z) < 3.5).all()
    few, many = (result.deviations[name]["fx"] for name in ("cam2", "cam0"))
    assert 3 * many < few < 100


def test_few_views_do_not_run_away():
    # Two views of a board nearly flat to the camera: nothing tells focal length from distance.
    camera = Camera(
        "a", (640, 480), [[600, 0, 320], [0, 600, 240], [0, 0, 1]], [-0.2, 0.1, 0, 0, 0]
    )
    board = make_board()
    poses = np.array([[0.02, 0.01, 0, -90, -60, 400], [0.01, 0.03, 0.2, -70, -60, 420]])
    points = board @ turn(poses[:, :3]).swapaxes(1, 2) + poses[:, None, 3:]
    rng = np.random.default_rng(0)
    pixels = CameraGroup([camera]).project(points) + rng.normal(0, 0.3, (1, 2, 35, 2))
    start = CameraGroup([replace(camera, distortion=np.zeros(8))])
    held = bundle_adjust(start, pixels, board=board, poses=poses)
    (found,) = held.cameras
    assert 300 < found.matrix[0, 0] < 900 and np.abs(found.distortion).max() < 5
    assert held.deviations["a"]["fx"] > 20
    error = found.matrix[0, 0] - 600
    assert abs(error) < 3 * held.deviations["a"]["fx"]


def test_prior_says_what_corners_of_the_image_may_do():
    wide = Camera("a", (800, 600), [[500, 0, 400], [0, 500, 300], [0, 0, 1]], np.zeros(5))
    information, middle = LensPrior(radial=0.3).find_information(wide)
    assert middle.tolist() == [500, 500, 400, 300, 0, 0, 0, 0, 0, 0]
    # The corner is at radius 1 of the ideal image.
    assert information[5, 5] == pytest.approx(1 / 0.3**2)
    # Both focal lengths together are 30 % wide.
    both = np.array([150.0, 150.0])
    assert both @ information[:2, :2] @ both == pytest.approx(1)


def test_places_boards_anew_that_began_tilted_wrongly(ring, film):
    poses = film.poses.copy()
    # Mirrored tilt about the board's middle.
    middle = film.board.mean(0)
    wrong = [5, 20, 41]
    turned = turn(poses[wrong, :3])
    other = turned @ turn(np.array([0, 1.2, 0]))
    poses[wrong, :3] = unturn(other)
    poses[wrong, 3:] += (turned - other) @ middle
    result = bundle_adjust(ring, film.pixels, board=film.board, poses=poses)
    back = turn(result.poses[wrong, :3]) @ turned.swapaxes(1, 2)
    assert np.abs(back - np.eye(3)).max() < 0.02
    assert result.inliers[:, wrong].sum() > 0.9 * np.isfinite(film.pixels[:, wrong, :, 0]).sum()


def test_frames_that_fit_nothing_are_left_out(ring, film):
    pixels = film.pixels.copy()
    rng = np.random.default_rng(1)
    pixels[:, 7] = rng.uniform(0, 480, pixels[:, 7].shape)
    pixels[:, 8] = np.nan
    result = bundle_adjust(ring, pixels, board=film.board)
    assert np.isnan(result.poses[[7, 8]]).all() and np.isnan(result.errors[:, 7]).all()
    assert np.isfinite(np.delete(result.poses, [7, 8], axis=0)).all()
    z = [e / s for e, s in find_errors(result, ring).values() if s > 0]
    assert (np.abs(z) < 3.5).all()


def test_boards_are_placed(ring, film):
    poses = place_boards(ring, film.pixels, board=film.board)
    turned = turn(poses[:, :3]) @ turn(film.poses[:, :3]).swapaxes(1, 2)
    off = np.degrees(np.arccos(np.clip((np.einsum("fii->f", turned) - 1) / 2, -1, 1)))
    assert np.median(off) < 1 and (off < 10).mean() > 0.95


def test_points_and_scale():
    ring = make_ring(4, fisheye=[1], seed=8)
    rng = np.random.default_rng(8)
    points = rng.uniform(-150, 150, (300, 3))
    pixels = ring.project(points) + rng.normal(0, 1, (4, 300, 2))
    pixels[rng.random((4, 300)) < 0.2] = np.nan
    wrong = rng.random((4, 300)) < 0.05
    pixels[wrong] += rng.uniform(30, 100, (wrong.sum(), 2))
    start = disturb(ring, rng, lens=False)
    rough = bundle_adjust_points(start, pixels, points=points + rng.normal(0, 20, (300, 3)))
    # With cameras nearly right, points that had settled on false pixels find the good ones.
    again = triangulate_points(rough.cameras, pixels).points
    result = bundle_adjust_points(rough.cameras, pixels, points=again)
    assert result.converged and abs(result.scale - 1) < 0.05
    # One of two pixels that is shifted along the other's line of sight cannot be told.
    many = (np.isfinite(pixels[..., 0]) & ~wrong).sum(0) >= 3
    false = wrong & np.isfinite(pixels[..., 0]) & many
    assert false.sum() > 10 and not result.inliers[false].any()
    # The distance of the first camera and the one furthest from it is kept, as it was at the start.
    far = np.argmax([np.linalg.norm(c.centre - start.cameras[0].centre) for c in start])
    distance = [np.linalg.norm(g.cameras[far].centre - g.cameras[0].centre) for g in (start, ring)]
    found = result.cameras
    assert np.linalg.norm(found.cameras[far].centre - found.cameras[0].centre) == pytest.approx(
        distance[0]
    )
    scale = distance[0] / distance[1]
    origin = ring.cameras[0].centre
    expected = [origin + scale * (camera.centre - origin) for camera in ring]
    assert np.abs(np.array([c.centre for c in found]) - expected).max() < 5
    used = np.isfinite(result.points).all(1)
    moved = origin + scale * (points - origin)
    assert used.mean() > 0.9
    assert np.median(np.linalg.norm(result.points - moved, axis=1)[used]) < 2


def test_point_deviations_are_calibrated():
    # Two cameras fixed: scale and frame are the truth's.
    ring = make_ring(4, fisheye=[1], seed=8)
    z = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points = rng.uniform(-150, 150, (80, 3))
        pixels = ring.project(points) + rng.normal(0, 1, (4, 80, 2))
        result = bundle_adjust_points(ring, pixels, points=points, fixed=["cam0", "cam1"])
        z.append([e / s for e, s in find_errors(result, ring).values() if s > 0])
    assert 0.9 < np.sqrt(np.square(z).mean()) < 1.1


def test_points_seen_once_are_left_out(ring):
    rng = np.random.default_rng(0)
    points = rng.uniform(-100, 100, (40, 3))
    pixels = ring.project(points)
    pixels[1:, 3] = np.nan
    points[5] = np.nan
    result = bundle_adjust_points(ring, pixels, points=points)
    assert np.isnan(result.points[[3, 5]]).all() and np.isnan(result.errors[:, [3, 5]]).all()
    assert np.isfinite(result.points[6:]).all()


def test_tukey_cost_and_weight_fit_together():
    def cost(r):
        return sum_costs(np.array([[r**2, np.nan]]), 6.0)[0]

    radius = np.linspace(0, 8, 33)
    slope = [(cost(r + 1e-6) - cost(r - 1e-6)) / 2e-6 for r in radius]
    np.testing.assert_allclose(slope, radius * weigh_errors(radius**2, 6.0), atol=1e-6)
    assert weigh_errors(np.array([np.nan, np.inf, 0.0]), 6.0).tolist() == [0, 0, 1]


def test_time_grows_linearly(ring):
    # Sixteen times the frames, per frame: counted work, not time, which a busy machine distorts.
    from calibration.bundle.scenes import BoardScene, gather_observations, linearise_scene

    sizes = []
    for n in (20, 320):
        film = film_board(ring, n=n, seed=1)
        observations = gather_observations(film.pixels)
        scene = BoardScene(film.board, turn(film.poses[:, :3]), film.poses[:, 3:])
        free = [np.arange(11 + len(c.distortion)) for c in ring]
        equations = linearise_scene(
            list(ring), scene, observations, free=free, limits=np.full(4, 2.0)
        )
        cross = sum(view.cross.nbytes for view in equations.views)
        sizes.append((cross + equations.blocks.nbytes) / n)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"board": np.zeros((35, 2))}, r"board: wanted corners of shape \(C, 3\), came \(35, 2\)"),
        ({"board": np.zeros((30, 3))}, r"pixels: wanted \(4 cameras, frames, 30 corners, 2\)"),
        ({"poses": np.zeros((9, 6))}, r"poses: wanted \(60 frames, 6\), came \(9, 6\)"),
        ({"poses": np.full((60, 6), np.nan)}, "no frame can be used: none of 60 has a pose"),
        ({"intrinsics": "some"}, "wanted 'none', 'focal' or 'all', came 'some'"),
        ({"fixed": ["cam_1"]}, "no camera 'cam_1' in this group: did you mean 'cam1'"),
    ],
)
def test_refuses(ring, film, change, message):
    with pytest.raises(CalibrationError, match=message):
        bundle_adjust(ring, film.pixels, **{"board": film.board, "poses": film.poses} | change)


def test_refuses_points(ring):
    with pytest.raises(CalibrationError, match=r"pixels: wanted \(4 cameras, points, 2\)"):
        bundle_adjust_points(ring, np.zeros((3, 5, 2)), points=np.zeros((5, 3)))
    with pytest.raises(CalibrationError, match=r"points: wanted \(5 points, 3\), came \(4, 3\)"):
        bundle_adjust_points(ring, np.zeros((4, 5, 2)), points=np.zeros((4, 3)))
    with pytest.raises(CalibrationError, match="no point can be used"):
        bundle_adjust_points(ring, np.full((4, 5, 2), np.nan), points=np.zeros((5, 3)))
