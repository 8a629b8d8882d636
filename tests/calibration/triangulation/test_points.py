import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat
from scipy.optimize import least_squares

from calibration import CalibrationError, Camera, CameraGroup
from calibration.synthetic import FISHEYE_DISTORTION, aim_camera, make_ring
from calibration.triangulation.points import triangulate_points


def make_points(rng, n):
    """Points of a scene 300 mm wide."""
    return rng.uniform([-150, -150, 0], [150, 150, 100], (n, 3))


def spoil(rng, pixels, *, noise=1.0, astray=0.1, missing=0.2):
    """Add noise, send pixels 30 to 300 px astray, lose some; also tells which are good."""
    pixels = pixels + noise * rng.normal(size=pixels.shape)
    shape = pixels.shape[:-1]
    off, lost = rng.random(shape) < astray, rng.random(shape) < missing
    angle, length = rng.uniform(0, 2 * np.pi, shape), rng.uniform(30, 300, shape)
    pixels[off] += (np.stack([np.cos(angle), np.sin(angle)], -1) * length[..., None])[off]
    pixels[lost] = np.nan
    return pixels, ~(off | lost)


def find_within(found, points):
    """Share of points within their 95 % region."""
    given = np.isfinite(found.error)
    apart = (found.points - points)[given]
    solved = np.linalg.solve(found.covariance[given], apart[..., None])[..., 0]
    return ((apart * solved).sum(-1) < 7.815).mean()


@pytest.mark.parametrize("views", [2, 3, 4, 7, 32])
@pytest.mark.parametrize("robust", [True, False])
def test_exact_pixels_give_the_points_back(rng, views, robust):
    ring = make_ring(views, fisheye=[1, 4], seed=views)
    points = make_points(rng, 60).reshape(3, 20, 3)
    found = ring.triangulate(ring.project(points), robust=robust)
    np.testing.assert_allclose(found.points, points, atol=1e-6)
    assert found.points.shape == (3, 20, 3) and found.covariance.shape == (3, 20, 3, 3)
    assert found.views.shape == (views, 3, 20) and found.views.all()
    assert found.error.max() < 1e-6 and (found.probability > 0.99).all()


@pytest.mark.parametrize("fisheye", [[], [0, 2]])
def test_point_is_the_least_squares_solution(rng, fisheye):
    ring = make_ring(4, fisheye=fisheye, seed=2)
    pixels = ring.project(make_points(rng, 12)) + rng.normal(0, 1.5, (4, 12, 2))
    pixels[0, :6] = pixels[1, :3] = np.nan
    weights = rng.uniform(0.2, 1, (4, 12))
    found = ring.triangulate(pixels, weights, robust=False, sigma=1.5)
    for i, point in enumerate(found.points):
        seen = np.isfinite(pixels[:, i, 0])

        def residuals(x, i=i, seen=seen):
            apart = ring.project(x) - pixels[:, i]
            return (apart * np.sqrt(weights[:, i, None]) / 1.5)[seen].ravel()

        best = least_squares(residuals, point, xtol=1e-12)
        deviation = np.sqrt(np.diag(found.covariance[i]))
        # The lens is straightened once: a difference of the second order.
        assert (np.abs(best.x - point) < 0.01 * deviation).all()
        normal = best.jac.T @ best.jac
        expected = np.linalg.inv(normal)
        assert np.abs(expected - found.covariance[i]).max() < 0.02 * expected.max()
        errors = ring.reprojection_error(point, pixels[:, i])
        assert found.error[i] == pytest.approx(errors[seen].mean())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("views", "fisheye"), [(3, []), (4, []), (4, [0, 3]), (6, [])])
def test_noise_strays_and_gaps(seed, views, fisheye):
    rng = np.random.default_rng(seed)
    ring = make_ring(views, fisheye=fisheye, seed=seed)
    points = make_points(rng, 13000)
    pixels, good = spoil(rng, ring.project(points))
    found = ring.triangulate(pixels)
    clean = np.where(good[..., None], pixels, np.nan)
    best = ring.triangulate(clean, robust=False, sigma=1)
    enough, given = good.sum(0) > 1, np.isfinite(found.error)
    error = np.linalg.norm(found.points - points, axis=-1)
    bar = np.linalg.norm(best.points - points, axis=-1)[enough]
    rated = error[enough & given]
    assert found.sigma == pytest.approx(1, rel=0.03)
    assert np.median(rated) < 1.02 * np.median(bar)
    assert np.quantile(rated, 0.95) < 1.05 * np.quantile(bar, 0.95)
    # Beside what cannot be known: another view that agrees by chance.
    assert (rated > 10).mean() < 0.002 and (~given[enough]).mean() < 0.01
    if views < 6:  # of six views, 100 points have fewer than two good ones
        assert given[~enough].mean() < 0.03
    assert 0.94 < find_within(found, points) < 0.96
    assert (found.views == good)[:, enough & given].all(0).mean() > 0.995


def test_many_views_with_half_astray(rng):
    ring = make_ring(32, fisheye=range(0, 32, 5), seed=1)
    points = make_points(rng, 300)
    pixels, good = spoil(rng, ring.project(points), astray=0.5, noise=0.5)
    found = ring.triangulate(pixels)
    assert np.isfinite(found.error).all()
    assert np.linalg.norm(found.points - points, axis=-1).max() < 2
    assert (found.views == good).mean() > 0.999


def test_probability_is_right(rng):
    ring = make_ring(3, seed=4)
    points = make_points(rng, 30000)
    pixels, good = spoil(rng, ring.project(points))
    found = ring.triangulate(pixels)
    given = np.isfinite(found.error)
    right = (found.views == good).all(0)
    for low, high, bar in [(0.9, 0.99, 0.8), (0.99, 0.999, 0.97), (0.999, 1.0, 0.998)]:
        part = given & (found.probability > low) & (found.probability <= high)
        assert part.sum() > 100 and right[part].mean() > bar


@pytest.mark.parametrize("noise", [0.3, 1.0, 6.0])
@pytest.mark.parametrize("views", [2, 4, 9])
def test_noise_is_estimated(rng, noise, views):
    ring = make_ring(views, seed=views)
    pixels, _ = spoil(rng, ring.project(make_points(rng, 6000)), noise=noise, astray=0.25)
    assert triangulate_points(ring, pixels).sigma == pytest.approx(noise, rel=0.06)


def test_covariance_of_the_pixels_is_carried_on(rng):
    ring = make_ring(4, fisheye=[3], seed=3)
    points = make_points(rng, 8000)
    factor = rng.normal(size=(4, 8000, 2, 2)) + 2 * np.eye(2)
    covariance = factor @ np.swapaxes(factor, -1, -2)
    noise = (factor @ rng.normal(size=(4, 8000, 2, 1)))[..., 0]
    pixels = ring.project(points) + noise
    found = ring.triangulate(pixels, covariance=covariance)
    assert found.sigma == 1 and np.isfinite(found.error).mean() > 0.99
    assert 0.94 < find_within(found, points) < 0.96
    even = ring.triangulate(pixels, robust=False)
    better = np.linalg.norm(found.points - points, axis=-1)
    assert np.nanmean(better) < 0.9 * np.linalg.norm(even.points - points, axis=-1).mean()
    wide = ring.triangulate(pixels, covariance=covariance, sigma=2)
    np.testing.assert_allclose(np.nanmedian(wide.covariance / found.covariance), 4, rtol=1e-3)


def test_noise_may_be_told_by_sigma_or_covariance(rng):
    ring = make_ring(3)
    pixels, _ = spoil(rng, ring.project(make_points(rng, 200)), noise=3.0, astray=0.3)
    each = np.broadcast_to(np.eye(2), (*pixels.shape, 2))
    one = triangulate_points(ring, pixels, covariance=each, sigma=3.0)
    other = triangulate_points(ring, pixels, covariance=9 * each, sigma=1.0)
    np.testing.assert_allclose(one.probability, other.probability, atol=1e-9)


def test_confidence_weighs_pixels(rng):
    ring = make_ring(4, seed=3)
    points = make_points(rng, 8000)
    confidence = rng.uniform(0.05, 1, (4, 8000))
    noise = rng.normal(size=(4, 8000, 2)) / np.sqrt(confidence)[..., None]
    found = ring.triangulate(ring.project(points) + noise, confidence)
    assert found.sigma == pytest.approx(1, rel=0.03)
    assert 0.94 < find_within(found, points) < 0.96
    confidence[0], confidence[1, 5] = 0, np.nan
    found = ring.triangulate(ring.project(points) + noise, confidence)
    assert not found.views[0].any() and not found.views[1, 5]


def test_two_views_of_different_points_give_none(rng):
    pair = make_ring(4).cameras[:2]
    ring = CameraGroup(pair)
    points = make_points(rng, 500)
    pixels = ring.project(points)
    pixels[1, 0] = ring.project(points[0] + [0, 0, 60])[1]
    found = ring.triangulate(pixels, sigma=1)
    assert np.isnan(found.points[0]).all() and np.isnan(found.covariance[0]).all()
    assert found.probability[0] < 0.01 and not found.views[:, 0].any()
    assert np.isfinite(found.error[1:]).all()
    # Without robustness there is a point between the rays, and its error tells.
    assert ring.triangulate(pixels, robust=False).error[0] > 10


def test_views_that_agree_two_by_two_are_refused(rng):
    ring = make_ring(4)
    points = make_points(rng, 300)
    pixels = ring.project(points)
    # The third camera sees another point on the ray of the first.
    other = points[0] + 0.1 * (points[0] - ring.cameras[0].centre)
    pixels[2, 0] = ring.project(other)[2]
    unclear = pixels.copy()
    unclear[3, 0] = np.nan
    found = ring.triangulate(unclear, sigma=1)
    assert np.isnan(found.error[0]) and 0.3 < found.probability[0] < 0.9
    found = ring.triangulate(pixels, sigma=1)
    assert found.views[:, 0].tolist() == [True, True, False, True]
    np.testing.assert_allclose(found.points, points, atol=1e-6)


def test_views_of_which_no_two_agree_give_nothing(rng):
    ring = make_ring(3)
    others = ring.project([[0, 0, 0], [80, 0, 0], [0, 90, 50]])
    found = ring.triangulate(others[np.arange(3), np.arange(3)][:, None], sigma=1)
    assert np.isnan(found.points).all() and found.probability[0] < 0.01


def test_points_behind_a_camera_are_not_given():
    left = aim_camera("left", [-100, 0, 0], target=[-40, 1000, 0])
    right = aim_camera("right", [100, 0, 0], target=[160, 1000, 0])
    pair = CameraGroup([left, right])
    # Looking apart, these rays meet behind both cameras.
    pixels = np.array([[[200.0, 239.5]], [[439.0, 239.5]]])
    for robust in (True, False):
        assert np.isnan(pair.triangulate(pixels, robust=robust).points).all()


@pytest.mark.parametrize("robust", [True, False])
def test_points_beside_and_behind_fisheyes(rng, robust):
    """Four lenses of 200 degrees look outwards, back to back; the points are above all of them."""
    lens = {"fisheye": True, "distortion": FISHEYE_DISTORTION, "size": (800, 800), "focal": 220}
    places = [(-200, 0, 100), (200, 0, 120), (0, -200, 110), (0, 200, 90)]
    group = CameraGroup(
        [
            aim_camera(f"cam{i}", p, target=2 * np.array(p) * [1, 1, 0.5], **lens)
            for i, p in enumerate(places)
        ]
    )
    points = rng.uniform(-1, 1, (400, 3)) * [400, 400, 500] + [0, 0, 1500]
    exact = group.project(points)
    local = np.stack([c.to_camera(points) for c in group])
    angle = np.rad2deg(np.arctan2(np.linalg.norm(local[..., :2], axis=-1), local[..., 2]))
    exact[angle > 100] = np.nan
    behind = (local[..., 2] < 0) & np.isfinite(exact[..., 0])
    assert behind.sum() > 100 and (np.isfinite(exact[..., 0]).sum(0) >= 2).sum() > 200
    found = group.triangulate(exact, sigma=1, robust=robust)
    enough = np.isfinite(exact[..., 0]).sum(0) >= 3
    np.testing.assert_allclose(found.points[enough], points[enough], atol=1e-5)
    # With noise, within what the stated covariance says.
    noisy = exact + rng.normal(0, 0.5, exact.shape)
    found = group.triangulate(noisy, sigma=0.5, robust=robust)
    used = enough & np.isfinite(found.points[:, 0])
    assert used.sum() > 0.97 * enough.sum()
    error = found.points[used] - points[used]
    square = np.einsum("ni,nij,nj->n", error, np.linalg.inv(found.covariance[used]), error)
    assert 0.9 < (square < 7.815).mean() < 0.99
    assert (found.views[:, used] & behind[:, used]).sum() > 50


def test_too_few_views_and_no_points(rng):
    ring = make_ring(4)
    pixels = ring.project(make_points(rng, 5))
    pixels[1:, 0], pixels[:, 1], pixels[0, 2] = np.nan, np.nan, np.inf
    for robust in (True, False):
        found = ring.triangulate(pixels, robust=robust)
        assert np.isnan(found.points).all(1).tolist() == [True, True, False, False, False]
        assert found.views.sum(0).tolist() == [0, 0, 3, 4, 4]
    nothing = ring.triangulate(np.full((4, 3, 2), np.nan))
    assert np.isnan(nothing.points).all() and str(nothing).startswith("0 of 3 points found, noise")
    assert ring.triangulate(np.empty((4, 0, 2))).points.shape == (0, 3)
    assert ring.triangulate(pixels[:, 3]).points.shape == (3,)


def test_cameras_at_one_place_do_not_make_points(rng):
    camera = make_ring(1).cameras[0]
    twin = Camera(
        "twin", camera.size, camera.matrix, camera.distortion, camera.rotation, camera.translation
    )
    pair = CameraGroup([camera, twin])
    pixels = pair.project(make_points(rng, 50))
    found = pair.triangulate(pixels + rng.normal(0, 1, pixels.shape))
    spread = np.linalg.eigvalsh(found.covariance[np.isfinite(found.error)]) ** 0.5
    assert (spread[:, -1] > 300).all() if len(spread) else np.isnan(found.points).all()


def test_order_of_views_and_points_does_not_matter(rng):
    ring = make_ring(5, seed=1)
    pixels, _ = spoil(rng, ring.project(make_points(rng, 800)))
    found = ring.triangulate(pixels)
    views, points = rng.permutation(5), rng.permutation(800)
    other = CameraGroup([ring.cameras[v] for v in views]).triangulate(pixels[views][:, points])
    np.testing.assert_allclose(other.points, found.points[points], atol=1e-4)
    assert (other.views == found.views[views][:, points]).all()


def test_reprojection_error_is_a_distance_in_pixels():
    ring = make_ring(2)
    pixels = ring.project([[0, 0, 0], [1, 2, 3]]) + [3, 4]
    pixels[0, 1] = np.nan
    error = ring.reprojection_error([[0, 0, 0], [1, 2, 3]], pixels)
    np.testing.assert_allclose(error, [[5, np.nan], [5, 5]])
    with pytest.raises(CalibrationError, match=r"wanted \(2, 1, 2\).*came \(2, 2, 2\)"):
        ring.reprojection_error([[0, 0, 0]], pixels)


def test_bad_calls_are_refused_in_one_message():
    ring = make_ring(2)
    seen = ring.project(np.zeros((5, 3)))
    with pytest.raises(
        CalibrationError, match=r"wanted \(2, ..., 2\).*cam0, cam1, came \(3, 5, 2\)"
    ):
        ring.triangulate(np.zeros((3, 5, 2)))
    with pytest.raises(CalibrationError) as error:
        ring.triangulate(seen, np.ones(5), covariance=np.zeros((2, 5, 2, 2)))
    for words in ("one of them", "confidence: wanted (2, 5)", "positive eigenvalues"):
        assert words in str(error.value)
    with pytest.raises(CalibrationError, match="negative"):
        ring.triangulate(seen, np.full((2, 5), -1.0))
    with pytest.raises(CalibrationError, match="at least two, came only cam0"):
        CameraGroup([ring["cam0"]]).triangulate(seen[:1])
    with pytest.raises(CalibrationError, match="wrong sigma"):
        ring.triangulate(seen, sigma=0)
    with pytest.raises(CalibrationError, match="wrong stray"):
        triangulate_points(ring, seen, stray=1)
    with pytest.raises(CalibrationError, match="wanted numbers"):
        ring.triangulate(np.full((2, 5, 2), "a"))


def test_mouse_with_skewed_cameras(recordings):
    folder = recordings / "mouse_6cam_points"
    with np.load(folder / "calibration.npz") as file:
        parts = [file[k] for k in ("camera_names", "K", "dist", "R", "t")]
    cameras = [Camera(str(n), (1152, 1024), *rest) for n, *rest in zip(*parts, strict=True)]
    labels = loadmat(folder / "label3d_dannce.mat", squeeze_me=True, struct_as_record=False)
    labels = labels["labelData"]
    points = labels[0].data_3d.reshape(-1, 3)
    pixels = np.stack([view.data_2d.reshape(-1, 2) - 1 for view in labels])
    found = CameraGroup(cameras, "mm").triangulate(pixels)
    assert (np.isfinite(found.points) == np.isfinite(points)).all()
    np.testing.assert_allclose(found.points, points, atol=1e-6)
    assert (found.views == np.isfinite(pixels).all(-1)).all()


def test_rats_of_six_cameras(recordings):
    folder = recordings / "rats_6cam_com"
    cameras = CameraGroup.load(folder / "calibration.toml", unit="mm")
    order = ["individual", "time_index"]
    points = pd.read_csv(folder / "labels_3d.csv").sort_values(order)[["x", "y", "z"]].to_numpy()
    seen = pd.read_csv(folder / "labels_2d.csv").sort_values(["individual", "frame"])
    views = [seen[seen.camera == name][["x", "y"]].to_numpy() for name in seen.camera.unique()]
    found = cameras.triangulate(np.stack(views))
    np.testing.assert_allclose(found.points, points, atol=1e-3)  # rounded to 0.001 px


@pytest.mark.parametrize("network", [0, 1, 2])
def test_fly_of_nearly_affine_cameras(recordings, network):
    folder = recordings / "fly_3cam_points"
    cameras = CameraGroup.load(folder / "calibration.toml")
    files = [next(folder.glob(f"*{name}*rng={network}.csv")) for name in cameras.names]
    tables = [pd.read_csv(file, header=[0, 1, 2], index_col=0).to_numpy() for file in files]
    predicted = np.stack(tables).reshape(3, 500, 12, 3)
    found = cameras.triangulate(predicted[..., :2], predicted[..., 2])
    assert np.isfinite(found.error).mean() > 0.99
    assert np.nanmedian(found.error) < 1.5 and 1 < found.sigma < 2
    assert found.views.mean() > 0.98
