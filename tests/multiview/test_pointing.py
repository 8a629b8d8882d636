"""Points set in one view draw lines in the others, in two views they are found."""

import numpy as np
import pytest

from calibration import make_ring
from mapose.errors import SettingsError
from mapose.multiview.pointing import SIGMA, find_point, find_sightline

RING = make_ring(4)
POINTS = np.array([[0.0, 0, 0], [30, 40, 50], [-60, 10, 20]])


@pytest.mark.parametrize("point", POINTS)
def test_a_line_passes_through_what_the_other_camera_sees(point):
    seen = RING.project(point)
    for other in (1, 2, 3):
        line = find_sightline(RING, "cam0", seen[0], other=f"cam{other}")
        a, b = line[:-1, :2], line[1:, :2]
        share = np.clip(((seen[other] - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
        away = np.linalg.norm(a + share[:, None] * (b - a) - seen[other], axis=1)
        assert away.min() < 0.5


def test_the_band_holds_what_noise_does():
    point, rng = POINTS[1], np.random.default_rng(0)
    seen = RING.project(point)
    line = find_sightline(RING, "cam0", seen[0], other="cam1")
    near = int(np.linalg.norm(line[:, :2] - seen[1], axis=1).argmin())
    along = line[near + 1, :2] - line[near - 1, :2]
    normal = np.array([-along[1], along[0]]) / np.linalg.norm(along)
    shifts = []
    for noise in rng.normal(0, SIGMA, (400, 2)):
        moved = find_sightline(RING, "cam0", seen[0] + noise, other="cam1")
        across = (moved[:, :2] - line[near, :2]) @ normal
        ahead = (moved[:, :2] - line[near, :2]) @ [normal[1], -normal[0]]
        order = np.argsort(ahead)
        shifts.append(np.interp(0, ahead[order], across[order]))
    assert np.std(shifts) == pytest.approx(line[near, 2], rel=0.15)


def test_two_views_propose_the_others_with_their_uncertainty():
    point, rng = POINTS[2], np.random.default_rng(1)
    seen = RING.project(point)
    exact = find_point(RING, {"cam0": seen[0], "cam2": seen[2]})
    np.testing.assert_allclose(exact.point, point, atol=1e-6)
    np.testing.assert_allclose(exact.pixels["cam3"], seen[3], atol=1e-6)
    assert max(exact.errors.values()) < 1e-6
    away = []
    for _ in range(300):
        noise = rng.normal(0, SIGMA, (2, 2))
        found = find_point(RING, {"cam0": seen[0] + noise[0], "cam2": seen[2] + noise[1]})
        away.append(found.pixels["cam3"] - seen[3])
    spread = exact.covariance["cam3"] - SIGMA**2 * np.eye(2)
    np.testing.assert_allclose(np.cov(np.array(away).T), spread, rtol=0.35, atol=0.6)


def test_a_view_out_of_line_is_named():
    seen = RING.project(POINTS[0])
    given = {f"cam{n}": seen[n] for n in range(4)}
    given["cam1"] = given["cam1"] + [40, 0]
    found = find_point(RING, given)
    assert max(found.errors, key=found.errors.get) == "cam1"


def test_one_view_is_not_enough():
    with pytest.raises(SettingsError, match="two views"):
        find_point(RING, {"cam0": (1, 1)})
    with pytest.raises(SettingsError, match="no camera 'cam9'"):
        find_point(RING, {"cam9": (1, 1), "cam0": (1, 1)})
