"""What a young network finds: halves of two animals as one, leftovers, leaps. Names must say so."""

import numpy as np
import pytest

from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.tracking import Tracker, track_with_doubts
from mapose.tracking.scoring import find_leftovers

KEYPOINTS = 10
#: Where an animal rests: beside the place to which another leaps, and elsewhere.
NEAR, FAR = (440, 175), (100, 100)


def walk_along(seed, *, mixed):
    """One animal walks over another along its length; the two are mixed up while it does."""
    rng = np.random.default_rng(seed)
    along = np.linspace(-50, 50, KEYPOINTS)
    body = np.stack([along, 6 * np.cos(np.arange(KEYPOINTS))], axis=-1)
    frames = np.arange(400)
    walker = np.stack([300 + 6.0 * (frames - 200), np.full(400, 300.0)], axis=-1)
    rester = np.stack([300 + 2.0 * (frames - 200), np.full(400, 318.0)], axis=-1)
    truth = np.stack([walker, rester], axis=1)[:, :, None] + body
    points = truth + rng.normal(0, 1.0, truth.shape)
    confidence = rng.normal(0.6, 0.03, truth.shape[:3])
    if mixed:
        for frame in range(188, 204):
            # The head of one and the tail of the other, and what is left over.
            half = rng.permuted(points[frame, 1] + rng.normal(0, 20, 2), axis=0)
            points[frame, 0, : KEYPOINTS // 2] = points[frame, 1, : KEYPOINTS // 2]
            points[frame, 1], confidence[frame, 1] = half, 0.25
    turned = rng.random(400) < 0.5
    points[turned], confidence[turned] = points[turned, ::-1], confidence[turned, ::-1]
    array = np.concatenate([points, confidence[..., None]], axis=-1).astype(np.float32)
    return Poses(array, Skeleton([f"k{k}" for k in range(KEYPOINTS)]))


def find_identity(poses, part):
    return float(np.nanmean(poses.identity[part]))


@pytest.mark.parametrize(("seed", "most"), [(0, 0.98), (2, 0.9), (7, 0.98)])
def test_names_are_in_doubt_after_two_were_mixed_up(seed, most):
    # Of ten such walks three end in exchanged names, among them the second of these.
    poses = track_with_doubts(walk_along(seed, mixed=True), individuals=2).poses
    assert min(find_identity(poses, slice(170)), find_identity(poses, slice(230, 400))) < most


def test_names_are_sure_where_both_are_found_all_along():
    poses = track_with_doubts(walk_along(0, mixed=False), individuals=2).poses
    assert find_identity(poses, slice(400)) > 0.99


def leap(frames=120, at=60, rest=FAR):
    """One rests; another vanishes, and in the next frame a third lies beside its place."""
    rng = np.random.default_rng(0)
    along = np.linspace(-50, 50, KEYPOINTS)
    lengthwise = np.stack([along, 10 * np.cos(np.arange(KEYPOINTS))], axis=-1)
    points = np.stack([lengthwise + rest, lengthwise + [400, 100]])[None].repeat(frames, 0)
    points[at:, 1] = lengthwise[:, ::-1] + [440, 120]
    return points + rng.normal(0, 1, points.shape)


def test_a_track_that_leaps_to_something_else_is_cut():
    tracker = Tracker(individuals=3, cut=True)
    ids = tracker.update_many(leap())
    assert len(set(ids[:, 0].tolist())) == 1
    assert ids[59, 1] != ids[60, 1]
    # Once there it is followed under one id: its shape is what was seen.
    assert len(set(ids[60:, 1].tolist())) == 1


def leap_often(rest, every=20):
    """One rests; another leaps to and fro."""
    away = np.arange(600) // every % 2 == 1
    return np.where(away[:, None, None, None], leap(600, at=0, rest=rest), leap(600, 600, rest))


@pytest.mark.parametrize(
    ("rest", "every", "leaps"), [(NEAR, 20, 13), (FAR, 20, 0), (NEAR, 200, 0), (NEAR, 100, 1)]
)
def test_leaps_are_counted_where_another_is_near_but_for_the_first_two(rest, every, leaps):
    tracker = Tracker(individuals=3)
    assert tracker.leaps == 0
    tracker.update_many(leap_often(rest, every))
    assert tracker.leaps == pytest.approx(leaps / (2 * 599))


def test_names_of_what_leaps_again_and_again_are_worth_less():
    points, restless = leap(600, at=600, rest=NEAR), leap_often(NEAR)
    poses = [
        Poses(
            np.concatenate([p, np.ones((*p.shape[:3], 1))], -1).astype(np.float32),
            Skeleton([f"k{k}" for k in range(KEYPOINTS)]),
        )
        for p in (points, restless)
    ]
    quiet, shaken = (track_with_doubts(one, individuals=2).poses.identity for one in poses)
    assert quiet.min() > 0.99
    assert np.nanmin(shaken) > 0.6 and np.nanmax(shaken) < 0.9


def test_only_what_fits_badly_and_is_unsure_is_left_over():
    cost, trust = np.array([20.0, 20.0, 5.0]), np.array([0.5, 1.0, 0.5])
    assert find_leftovers(cost, trust).tolist() == [True, False, False]
