"""Detections of one frame grouped into animals."""

import numpy as np
import pytest

from calibration.synthetic import make_ring
from mapose.multiview.matching.grouping import find_groups, score_groups
from mapose.multiview.matching.observations import measure_observations
from mapose.multiview.matching.tracklets2d import find_tracklets2d


def see(animals, cameras, *, keypoints=6, seed=0, noise=1.0):
    """See animals in space once: the frame, and the true animal of each slot (V, S)."""
    rng = np.random.default_rng(seed)
    ring = make_ring(cameras, seed=seed, fisheye=(1,))
    centres = rng.uniform([-150, -150, 0], [150, 150, 40], (animals, 3))
    points = centres[:, None] + rng.normal(0, 20, (animals, keypoints, 3))
    pixels = ring.project(points) + noise * rng.normal(size=(cameras, animals, keypoints, 2))
    order = rng.random((cameras, animals)).argsort(1)
    pixels = np.take_along_axis(pixels, order[:, :, None, None], axis=1)
    pixels[rng.random(pixels.shape[:3]) < 0.2] = np.nan
    sure = np.isfinite(pixels[..., :1]).astype(float)
    stacked = np.concatenate([pixels, sure], -1)[None].astype(np.float32)
    return measure_observations(stacked, list(ring)).pick(0), order


@pytest.mark.parametrize(("animals", "cameras"), [(2, 2), (4, 3), (5, 4), (6, 8)])
def test_groups_are_the_animals(animals, cameras):
    frame, order = see(animals, cameras, seed=animals)
    free = np.asarray(frame.seen.any(-1))
    noise, area = np.full(cameras, 1.5), np.full(cameras, 60.0**2)
    groups, points, scores = find_groups(frame, free, noise, area=area)
    assert len(groups) == animals and (scores > 0).all()
    who = np.take_along_axis(order, groups.T, axis=1)  # (V, N)
    assert (groups >= 0).all() and (who == who[0]).all()
    assert (score_groups(frame, groups, noise, area=area) > 0).all()
    assert np.isfinite(points).all(-1).mean() > 0.5


def test_nobody_is_made_of_one_camera():
    frame, _ = see(3, 3)
    free = np.zeros(frame.seen.shape[:2], bool)
    noise, area = np.full(3, 1.5), np.full(3, 60.0**2)
    assert len(find_groups(frame, free, noise, area=area)[0]) == 0
    free[0] = True
    assert len(find_groups(frame, free, noise, area=area)[0]) == 0


def find_tracklets(points, frames, **options):
    """Find tracklets in one run and in three, which are the same."""
    (whole,) = find_tracklets2d([points], frames, **options)
    parts = find_tracklets2d(np.split(points, [1, 6]), frames, **options)
    np.testing.assert_array_equal(np.concatenate(list(parts)), whole)
    return whole


def test_2d_track_is_cut_where_it_takes_another_ones_place():
    points = np.zeros((10, 2, 1, 2))
    points[:, 1] = 100
    points[5:] = points[5:, ::-1]
    tracklets = find_tracklets(points, np.arange(10), named=True, size=30)
    assert (tracklets[:5] == tracklets[0]).all() and (tracklets[5:] == tracklets[5]).all()
    assert len(np.unique(tracklets)) == 4
    # A leap to where nobody was is no reason to doubt the name; a long absence is.
    points[:, 1] = 500
    points[:5, 1] = 300
    assert len(np.unique(find_tracklets(points, np.arange(10), named=True, size=30)[:, 1])) == 1
    frames = np.r_[0:5, 100:105]
    assert len(np.unique(find_tracklets(points, frames, named=True, size=30)[:, 1])) == 2


def test_nameless_detections_are_linked_where_it_is_clear(rng):
    walk = np.cumsum(rng.normal(0, 2, (20, 3, 1, 2)), axis=0) + 200 * np.arange(3)[:, None, None]
    order = rng.random((20, 3)).argsort(1)
    mixed = np.take_along_axis(walk, order[..., None, None], axis=1)
    mixed[10, 0] = np.nan
    tracklets = find_tracklets(mixed, np.arange(20), named=False, size=40)
    assert tracklets[10, 0] == -1
    for animal in range(3):
        mine = tracklets[order == animal]
        assert len(np.unique(mine[mine >= 0])) == (2 if order[10, 0] == animal else 1)
