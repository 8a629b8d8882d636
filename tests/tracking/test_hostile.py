"""Recordings that nobody would make on purpose: no exception, and a sensible result."""

import warnings

import numpy as np
import pytest

from mapose.doubts import find_swaps
from mapose.errors import ShapeError
from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.tracking import Tracker, track, track_with_doubts
from tests.tracking.walking import make_walks


def make_poses(points, frames=None):
    confidence = np.isfinite(points).all(-1, keepdims=True).astype(float)
    names = [f"k{k}" for k in range(points.shape[2])]
    array = np.concatenate([points, confidence], -1)
    return Poses(array, Skeleton(names), frames=frames)


def find_owners(walks, tracked):
    """Animal of each row in each frame (F, I); -1 = none."""
    gaps = np.linalg.norm(tracked.points[:, :, None] - walks.truth[:, None], axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any point
        far = np.nanmean(gaps, -1)
    far = np.where(np.isnan(far), np.inf, far)
    return np.where(far.min(-1) < 15, far.argmin(-1), -1)


def test_nothing_at_all_for_a_thousand_frames():
    walks = make_walks(2, 1600, seed=1)
    points = walks.points.copy()
    points[300:1300] = np.nan
    tracked = track(make_poses(points), individuals=2)
    owners = find_owners(walks, tracked)
    assert np.isnan(tracked.points[300:1300]).all()
    assert np.isnan(tracked.identity[300:1300]).all()
    for part in (owners[:300], owners[1300:]):
        for row in part.T:  # each row shows one animal on either side, whichever it is
            assert np.bincount(row[row >= 0]).max() > 0.95 * len(part)
    # After so long nobody can say who is who, and the result says so.
    assert np.nanmean(tracked.identity[1300:]) < 0.9


def test_forty_detections_of_two_animals():
    walks = make_walks(2, 300, seed=2)
    rng = np.random.default_rng(2)
    many = np.repeat(walks.truth, 20, axis=1) + rng.normal(0, 3, (300, 40, 12, 2))
    tracked = track(make_poses(many), individuals=2)
    owners = find_owners(walks, tracked)
    assert (owners >= 0).mean() > 0.95
    assert (owners[:, 0] != owners[:, 1]).mean() > 0.95


def test_forty_detections_of_which_two_are_true():
    walks = make_walks(2, 300, seed=2)
    rng = np.random.default_rng(2)
    false = rng.uniform(0, 640, (300, 38, 1, 2)) + rng.normal(0, 20, (300, 38, 12, 2))
    tracked = track(make_poses(np.concatenate([walks.points, false], 1)), individuals=2)
    assert tracked.array.shape[1] == 2
    assert np.isfinite(tracked.points).any((2, 3)).mean() > 0.5  # nobody knows which are true


def test_frames_out_of_order_are_refused():
    walks = make_walks(2, 10, seed=3)
    with pytest.raises(ShapeError, match="ascend"):
        Tracker().update_many(walks.points, frames=np.arange(10)[::-1])


def test_one_animal_for_the_whole_video():
    walks = make_walks(1, 500, seed=4)
    for individuals in (1, None):
        found = track_with_doubts(make_poses(walks.points), individuals=individuals)
        assert found.poses.array.shape[1] == 1
        assert (find_owners(walks, found.poses) == 0).mean() > 0.9
        assert np.nanmin(found.poses.identity) >= 0.999  # no name is certain to exactly 1
        assert find_swaps(found.doubts) == []


def test_two_asked_for_and_one_there():
    walks = make_walks(1, 400, seed=5)
    tracked = track(make_poses(walks.points), individuals=2)
    owners = find_owners(walks, tracked)
    assert ((owners == 0).any(1)).mean() > 0.9


def test_identical_positions():
    points = np.broadcast_to(np.arange(24.0).reshape(12, 2), (200, 3, 12, 2)).copy()
    tracked = track(make_poses(points), individuals=3)
    # Detections that lie on each other in every keypoint are one animal.
    assert np.isfinite(tracked.points).all((2, 3)).sum(1).tolist() == [1] * 200


def test_all_keypoints_in_one_point():
    points = np.full((100, 2, 4, 2), 50.0)
    points[:, 1] = 400.0
    tracked = track(make_poses(points), individuals=2)
    assert np.isfinite(tracked.points).all()
    assert len(np.unique(tracked.points[:, 0, 0, 0])) == 1


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_hardly_any_frame(frames):
    walks = make_walks(2, 3, seed=6)
    tracked = track(make_poses(walks.points[:frames]), individuals=2)
    assert tracked.array.shape[:2] == (frames, 2)
