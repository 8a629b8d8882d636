import numpy as np
import pytest

from calibration import CalibrationError
from calibration.synthetic import make_ring
from calibration.triangulation.epipolar import estimate_noise, find_epipolar_distances


def test_pixels_of_one_point_are_at_distance_zero(rng):
    ring = make_ring(3, fisheye=[1], seed=1)
    pixels = ring.project(rng.uniform(-100, 100, (40, 3)))
    distances = find_epipolar_distances(ring["cam0"], ring["cam1"], pixels[0], pixels[1])
    assert distances.shape == (40,)
    np.testing.assert_allclose(distances, 0, atol=1e-6)
    every = find_epipolar_distances(ring["cam0"], ring["cam1"], pixels[0][:, None], pixels[1])
    assert every.shape == (40, 40)
    np.testing.assert_allclose(np.diag(every), 0, atol=1e-6)
    assert np.median(every) > 20


@pytest.mark.parametrize("fisheye", [[], [0], [0, 1]])
def test_distance_has_the_spread_of_the_noise(rng, fisheye):
    ring = make_ring(3, fisheye=fisheye)
    pixels = ring.project(rng.uniform(-100, 100, (20000, 3)))
    pixels += rng.normal(0, 1.5, pixels.shape)
    distances = find_epipolar_distances(ring["cam0"], ring["cam1"], pixels[0], pixels[1])
    assert np.sqrt((distances**2).mean()) == pytest.approx(1.5, rel=0.03)
    swapped = find_epipolar_distances(ring["cam1"], ring["cam0"], pixels[1], pixels[0])
    np.testing.assert_allclose(swapped, distances, rtol=1e-6)


def test_distance_is_the_smallest_shift_that_makes_rays_meet(rng):
    ring = make_ring(3)
    pixels = ring.project(rng.uniform(-100, 100, (50, 3))) + rng.normal(0, 3, (3, 50, 2))
    pixels[2] = np.nan
    best = ring.triangulate(pixels, robust=False).points
    shift = ring.reprojection_error(best, pixels)[:2]
    distances = find_epipolar_distances(ring["cam0"], ring["cam1"], pixels[0], pixels[1])
    np.testing.assert_allclose(distances, np.sqrt((shift**2).sum(0)), rtol=0.01, atol=1e-3)


def test_missing_pixels_and_bad_calls():
    ring = make_ring(2)
    seen = ring.project([[0, 0, 0], [np.nan] * 3])
    assert np.isnan(find_epipolar_distances(ring["cam0"], ring["cam1"], *seen)).tolist() == [
        False,
        True,
    ]
    with pytest.raises(CalibrationError, match="'cam1': wanted an array whose last axis"):
        find_epipolar_distances(ring["cam0"], ring["cam1"], seen[0], np.zeros((2, 3)))
    # A camera has no line of sight to itself.
    assert np.isnan(find_epipolar_distances(ring["cam0"], ring["cam0"], seen[0], seen[0])).all()


@pytest.mark.parametrize("wrong", [0.0, 0.2, 0.6, 0.8])
def test_noise_is_found_among_wrong_pairs(rng, wrong):
    distances = np.abs(rng.normal(0, 0.7, 20000))
    off = rng.random(20000) < wrong
    distances[off] = rng.uniform(0, 300, off.sum())
    distances[::7] = np.nan
    assert estimate_noise(distances, guess=2.0) == pytest.approx(0.7, rel=0.05)


def test_noise_of_few_or_perfect_pairs_is_near_the_guess():
    assert estimate_noise(np.full(3, np.nan), guess=2.0) == 2.0
    assert 1.0 < estimate_noise(np.array([0.3]), guess=2.0) < 2.0
    assert estimate_noise(np.zeros(100000), guess=2.0) == 0.05
