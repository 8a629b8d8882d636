"""Filters against scipy, movement and known truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import medfilt, savgol_filter

from mapose.errors import SettingsError, ShapeError
from mapose.kinematics import filter_poses, find_filled
from mapose.poses import Poses
from mapose.skeleton import Skeleton

# The squared distance, in standard deviations, that 95 % of normal errors in 2D and 3D stay below.
REGION_95 = {2: 5.991, 3: 7.815}


def make_poses(points, confidence=1.0, **more):
    """Poses of points (F, I, K, d)."""
    points = np.asarray(points, float)
    sure = np.broadcast_to(confidence, points.shape[:-1])
    names = [f"k{k}" for k in range(points.shape[2])]
    who = [f"animal{i}" for i in range(points.shape[1])]
    return Poses(np.concatenate([points, sure[..., None]], -1), Skeleton(names), who, 25, **more)


def walk(rng, kind, count=2000, points=3, dimensions=2):
    """Walks (F, 1, K, d) of points that are pushed about, wander, or rest and go in bends."""
    shape = (count, 1, points, dimensions)
    if kind == "wanders":
        return 300 + np.cumsum(rng.normal(0, 1, shape), 0)
    if kind == "pushed":
        velocity = np.zeros(shape)
        for t in range(1, count):
            velocity[t] = 0.9 * velocity[t - 1] + rng.normal(0, 0.5, shape[1:])
        return 300 + np.cumsum(velocity, 0)
    turn = np.cumsum(rng.normal(0, 0.15, shape[:3]), 0)
    speed = np.convolve(4.0 * ((np.arange(count) // 250) % 2), np.full(5, 0.2), "same")
    ways = np.stack([np.cos(turn), np.sin(turn), 0.2 * np.sin(3 * turn)], -1)
    return 300 + np.cumsum(ways[..., :dimensions] * speed[:, None, None, None], 0)


def find_coverage(poses, truth, rows=None):
    """The share of true points that lie in the stated 95 % region."""
    off = poses.points - truth
    there = np.isfinite(off).all(-1) & (True if rows is None else rows)
    spread = poses.covariance[there].astype(float)
    square = np.einsum("ni,nij,nj->n", off[there], np.linalg.inv(spread), off[there])
    return (square < REGION_95[truth.shape[-1]]).mean()


def test_medians_and_polynomials_are_those_of_scipy(rng):
    points = rng.normal(0, 1, (40, 2, 3, 2)).cumsum(0)
    poses = make_poses(points)
    points = poses.points.astype(float)
    median = filter_poses(poses, "median", window=7).points
    assert np.allclose(median[3:-3], medfilt(points, (7, 1, 1, 1))[3:-3], atol=1e-5)
    smooth = filter_poses(poses, "savgol", window=7, order=3).points
    assert np.allclose(smooth, savgol_filter(points, 7, 3, axis=0), atol=1e-4)


def test_medians_and_polynomials_are_those_of_movement(rng, movement):
    from movement.filtering import interpolate_over_time, rolling_filter
    from movement.filtering import savgol_filter as fit

    points = rng.normal(0, 1, (60, 2, 2, 2)).cumsum(0)
    points[10:13, 0, 0], points[30:50, 1, 1] = np.nan, np.nan
    poses = make_poses(points)
    position = poses.to_xarray()["position"]
    filled = interpolate_over_time(position, max_gap=4)
    for method, theirs, options in (
        ("median", rolling_filter, {"min_periods": 1}),
        ("savgol", fit, {}),
    ):
        ours = filter_poses(poses, method, window=5, max_gap=4).to_xarray()["position"]
        known = np.isfinite(theirs(filled, 5).to_numpy())
        assert known.mean() > 0.7 and np.isnan(ours.to_numpy()[30:50, :, 1, 1]).all()
        wanted = theirs(filled, 5, **options).to_numpy()[known]
        np.testing.assert_allclose(ours.to_numpy()[known], wanted, atol=1e-4)


@pytest.mark.parametrize("method", ["kalman", "median", "savgol"])
def test_gaps_are_filled_up_to_a_length_and_marked(method):
    line = np.stack([np.arange(60.0), 100 - 2 * np.arange(60.0)], -1)[:, None, None]
    points = line.copy()
    points[[0, 59]], points[10:14], points[30:40] = np.nan, np.nan, np.nan
    found = filter_poses(make_poses(points, identity=np.full((60, 1), 0.9)), method, max_gap=4)
    there = found.confidence[:, 0, 0] > 0
    assert np.flatnonzero(~there).tolist() == [0, *range(30, 40), 59]
    assert np.flatnonzero(find_filled(found)[:, 0, 0]).tolist() == [10, 11, 12, 13]
    assert (found.confidence[find_filled(found)] == np.float32(0.01)).all()
    # At its ends, which are mirrored, a median is not on the line.
    off = 2.01 if method == "median" else 1e-3
    np.testing.assert_allclose(found.points[there], line[there], atol=off)
    assert (np.isfinite(found.identity[:, 0]) == there).all()
    unfilled = filter_poses(make_poses(points), method, max_gap=0)
    assert not find_filled(unfilled).any() and np.isnan(unfilled.points[10:14]).all()


def test_frames_that_are_missing_from_a_recording_count_as_a_gap():
    frames = np.r_[0:10, 13:20, 40:50]
    points = np.stack([frames, 2.0 * frames], -1)[:, None, None]
    for method in ("kalman", "median", "savgol"):
        found = filter_poses(make_poses(points, frames=frames), method, window=3)
        np.testing.assert_allclose(found.points[1:-1], points[1:-1], atol=2.01)
        assert found.frames.tolist() == frames.tolist()


@pytest.mark.parametrize("kind", ["wanders", "pushed", "walks"])
@pytest.mark.parametrize("noise", [0.7, 2.0])
def test_the_stated_region_holds_the_truth(kind, noise):
    """93 to 97 % of the true points, also of those that were filled in."""
    rates, errors = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        truth = walk(rng, kind)
        points = truth + rng.normal(0, noise, truth.shape)
        points[rng.random(truth.shape[:3]) < 0.1] = np.nan
        found = filter_poses(make_poses(points))
        rates.append(find_coverage(found, truth))
        errors.append(np.nanmean((found.points - truth) ** 2) / noise**2)
        assert 0.9 < find_coverage(found, truth, find_filled(found)) < 0.99
    assert 0.93 <= np.mean(rates) <= 0.97
    assert np.mean(errors) < 0.9


def test_three_dimensions_and_jumps(rng):
    truth = walk(rng, "walks", dimensions=3)
    points = truth + rng.normal(0, 1, truth.shape)
    wild = rng.random(truth.shape[:3]) < 0.02
    points[wild] += rng.choice([-80, 80], (wild.sum(), 3))
    found = filter_poses(make_poses(points))
    assert find_filled(found)[wild].mean() > 0.98 and find_filled(found)[~wild].mean() < 0.002
    assert 0.92 < find_coverage(found, truth) < 0.98
    assert np.sqrt(np.nanmean((found.points - truth)[wild] ** 2)) < 2


def test_a_covariance_that_is_given_tells_what_to_believe():
    """Points that are vague along one direction in every other frame."""
    rates = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        truth = walk(rng, "walks")
        spread = np.zeros((*truth.shape, 2))
        spread[...] = np.diag([0.5, 0.5])
        spread[::2] = [[8.0, 7.5], [7.5, 8.0]]
        points = truth + np.einsum(
            "...ij,...j->...i", np.linalg.cholesky(spread), rng.normal(size=truth.shape)
        )
        blind = filter_poses(make_poses(points))
        # Only how they relate to each other counts, not the unit that a network gave them in.
        found = filter_poses(make_poses(points, covariance=30 * spread))
        error, without = (np.nanmean((p.points - truth) ** 2) for p in (found, blind))
        assert error < 0.7 * without
        rates.append(find_coverage(found, truth))
    assert 0.93 <= np.mean(rates) <= 0.97


def test_confidence_below_the_cutoff_does_not_count():
    points = np.zeros((30, 1, 1, 2))
    points[12] = 50
    confidence = np.ones((30, 1, 1))
    confidence[12] = 0.2
    for method in ("kalman", "median", "savgol"):
        found = filter_poses(make_poses(points, confidence), method, window=1 + 2, cutoff=0.5)
        assert np.abs(found.points[12]).max() < 1e-6 and find_filled(found)[12].all()


def test_long_recordings_are_cut_without_seams(rng, monkeypatch):
    truth = walk(rng, "walks", 900)
    poses = make_poses(truth + rng.normal(0, 1, truth.shape))
    whole = filter_poses(poses)
    monkeypatch.setattr("mapose.smoothing._WINDOW", 300)
    seen = []
    cut = filter_poses(poses, on_progress=lambda done, total: seen.append((done, total)))
    assert np.abs(whole.points - cut.points).mean() < 0.1 and seen[-1] == (900, 900)


def test_what_makes_no_sense_is_refused():
    poses = make_poses(np.zeros((9, 1, 1, 2)))
    with pytest.raises(SettingsError, match=r"did you mean 'median'.*odd number.*max_gap"):
        filter_poses(poses, "medain", window=4, max_gap=-1)
    with pytest.raises(SettingsError, match="order: wanted 0 or more, and less than the window 3"):
        filter_poses(poses, "savgol", window=3, order=3)
    slots = replace(make_poses(np.zeros((9, 2, 1, 2))), individuals=None)
    with pytest.raises(ShapeError, match="mapose track"):
        filter_poses(slots)
    with pytest.raises(ShapeError, match="at least 3 frames"):
        filter_poses(poses.take(slice(2)))
    for method in ("kalman", "median", "savgol"):
        nothing = filter_poses(make_poses(np.full((9, 1, 1, 2), np.nan)), method)
        assert not nothing.confidence.any()


def test_poor_tracks_come_out_whole(rng):
    """Short runs, strays at their ends, points alone, quantised and noiseless coordinates."""
    truth = walk(rng, "walks", 600, 6)
    points = np.round(truth + rng.normal(0, 0.5, truth.shape))
    points[:, :, 0] = truth[:, :, 0]
    points[rng.random(truth.shape[:3]) < 0.6] = np.nan
    points[[0, 1, 300, 599]] += 500
    points[100:200, :, 1:3] = np.nan
    points[150, :, 1] = 7
    points[:, :, 5] = 40
    for gap in (0, 3, 40):
        found = filter_poses(make_poses(points), max_gap=gap)
        there = found.confidence > 0
        assert np.isfinite(found.covariance[there]).all()
        assert (np.linalg.eigvalsh(found.covariance[there]) >= 0).all()


def test_a_path_in_place_of_poses_is_told():
    with pytest.raises(ShapeError, match=r"came 'a.mapose.h5': mapose.load"):
        filter_poses("a.mapose.h5")
