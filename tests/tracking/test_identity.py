"""Who is who, and how sure that is: contacts, odds, histories, looks."""

import numpy as np
import pytest

from mapose.doubts import Doubt, find_swaps
from mapose.errors import ShapeError
from mapose.poses import Poses
from mapose.shelf import Shelf
from mapose.skeleton import Skeleton
from mapose.tracking import (
    Tracker,
    TrackletSummaries,
    name_tracklets,
    track_with_doubts,
)
from mapose.tracking.encounters import Encounter
from mapose.tracking.histories import find_histories
from mapose.tracking.looks import Looks, score_looks
from mapose.tracking.roaming import LAGS, RoamingMeter
from mapose.tracking.stitching import list_ways, score_joins
from tests.tracking.sitting import make_summaries, make_tracklets
from tests.tracking.walking import make_walks


def test_odds_of_an_encounter_become_probabilities():
    spans = [(0, 99), (0, 99), (100, 199), (100, 199)]
    tracklets, arena = make_tracklets(spans, [(0, 0), (300, 0), (150, 0), (150, 40)])
    met = Encounter(90, 99, 100, (0, 1), (2, 3), odds=1.0)
    row = np.array([0, 1, 0, 1])
    histories = find_histories(
        tracklets, row, list_ways(tracklets, [met]), arena=arena, shelf=Shelf()
    )
    assert histories.rows.tolist() == [0, 1, 0, 1]
    stayed = (histories.draws[2] == histories.draws[0]).mean()
    assert stayed == pytest.approx(1 / (1 + np.exp(-1.0)), abs=0.06)


def test_looks_overrule_the_odds():
    spans = [(0, 199), (0, 199), (200, 399), (200, 399)]
    anna, bea = np.array([3.0, 0, 0, 0]), np.array([0, 3.0, 0, 0])
    places = [(0, 0), (300, 0), (0, 0), (300, 0)]
    tracklets, arena = make_tracklets(spans, places, looks=[anna, bea, bea, anna])
    met = Encounter(190, 199, 200, (0, 1), (2, 3), odds=2.0)
    row = np.array([0, 1, 0, 1])
    histories = find_histories(
        tracklets, row, list_ways(tracklets, [met]), arena=arena, shelf=Shelf()
    )
    assert histories.rows.tolist() == [0, 1, 1, 0]
    assert (histories.draws[2] == histories.draws[1]).mean() > 0.98


def test_a_swap_that_is_seen_late_is_undone_from_the_encounter_on():
    # Tracklets are cut some frames after the doubt is over: those bear the wrong names until then.
    spans = [(0, 199), (0, 199), (200, 399), (200, 399)]
    anna, bea = np.array([3.0, 0, 0, 0]), np.array([0, 3.0, 0, 0])
    places = [(0, 0), (300, 0), (0, 0), (300, 0)]
    summaries = make_summaries(spans, places, looks=[anna, bea, bea, anna])
    naming = name_tracklets(summaries, [Encounter(180, 189, 200, (0, 1), (2, 3), odds=2.0)])
    assert naming.mapping.tolist() == [0, 1, 1, 0]
    assert naming.trades == ((185, 200, 0, 1),)
    frames = np.arange(400)
    ids = np.where(frames[:, None] < 200, [0, 1], [2, 3])
    mended = naming.mend(ids, frames)
    rows = naming.mapping[mended]
    assert (rows[:185] == [0, 1]).all()
    assert (rows[185:] == [1, 0]).all()
    parts = [naming.mend(ids[part], frames[part]) for part in (slice(190), slice(190, 400))]
    np.testing.assert_array_equal(np.concatenate(parts), mended)


def test_a_meeting_without_real_doubt_is_a_contact_all_the_same():
    spans = [(0, 399), (0, 399)]
    summaries = make_summaries(spans, [(0, 0), (300, 0)])
    naming = name_tracklets(summaries, [Encounter(180, 189, 200, (0, 1), (0, 1), odds=9.0)])
    assert naming.mapping.tolist() == [0, 1]
    assert not naming.trades
    (contact,) = naming.list_doubts(["anna", "bea"])
    assert contact.individuals == ("anna", "bea")
    assert contact.probability == pytest.approx(1 / (1 + np.exp(9.0)))


def test_looks_find_who_came_out_elsewhere():
    # Two vanish and come out of each other's place; the third stays.
    spans = [(0, 299), (0, 299), (0, 899), (500, 899), (510, 899)]
    looks = 4 * np.eye(5)[[0, 1, 2, 1, 0]]
    places = [(0, 0), (300, 0), (150, 300), (0, 0), (300, 0)]
    tracklets, arena = make_tracklets(spans, places, looks=looks)
    wrong = np.array([0, 1, 2, 0, 1])
    histories = find_histories(tracklets, wrong, {}, arena=arena, shelf=Shelf())
    order = np.argsort(tracklets.ids)
    assert histories.rows[order].tolist() == [0, 1, 2, 1, 0]


def test_alike_looks_say_nothing():
    looks = Looks(np.zeros((4, 3)), np.full(4, 5.0), spread=1.0)
    score = score_looks(looks, np.array([0, 1, 0, 1]), 2)
    np.testing.assert_allclose(score[:, 0], score[:, 1], atol=1e-6)


def test_tracklet_does_not_vouch_for_itself():
    mean = np.array([[0.0], [0.0], [10.0], [10.0], [10.0]])
    looks = Looks(mean, np.full(5, 8.0), spread=1.0)
    score = score_looks(looks, np.array([0, 0, 1, 1, 0]), 2)
    assert score[4, 0] < score[4, 1] - 10


def test_roaming_is_learned_and_the_same_in_chunks():
    rng = np.random.default_rng(1)
    place = np.cumsum(rng.normal(0, 2.0, (20000, 2)), 0)
    who, when, areas = np.zeros(20000, int), np.arange(20000), np.full(20000, 400.0)
    whole, parts = RoamingMeter(), RoamingMeter()
    whole.add(who, when, place[:, None], areas)
    for rows in np.split(np.arange(20000), [100, 256, 1000, 1001, 3000]):
        parts.add(who[rows], when[rows], place[rows, None], areas[rows])
    one, other = whole.find(20.0), parts.find(20.0)
    np.testing.assert_allclose(one.middle, other.middle)
    # A random walk: the median square is 2 ln 2 times the variance along an axis.
    expected = np.log(2 * np.log(2) * 4.0 * LAGS[2:6])
    np.testing.assert_allclose(one.middle[2:6], expected, atol=0.5)
    near = one.score(np.array([8.0]), np.array([16.0]), 20.0)
    assert near < one.score(np.array([8.0]), np.array([1600.0]), 20.0)


def test_a_doubt_is_about_two_animals_and_a_time():
    for first, last, who, sure in (
        (0, 5, ("a",), 0.1),
        (0, 5, ("a", "a"), 0.1),
        (5, 0, ("a", "b"), 0.1),
        (0, 5, ("a", "b"), np.nan),
    ):
        with pytest.raises(ShapeError, match="two different animals"):
            Doubt(first, last, who, sure)


def test_doubts_of_older_files_are_read():
    old = {"first": 10, "last": 21, "individuals": ["a", "b"], "odds": [0.0, np.log(0.25)]}
    doubt = Doubt.from_dict(old)
    assert (doubt.individuals, doubt.frame) == (("a", "b"), 15)
    assert doubt.probability == pytest.approx(0.2)
    assert Doubt.from_dict(doubt.to_dict()) == doubt


def test_identity_is_sure_apart_and_doubtful_after_a_long_contact():
    # Two walk towards each other, lie on one spot as one animal, and part again.
    frames = np.arange(900)
    way = np.clip(np.abs(frames - 450) - 60, 0, None)[:, None] * np.array([[1.0, -1.0]])
    body = np.stack([np.linspace(-30, 30, 8), np.tile([-8.0, 8.0], 4)], -1)
    points = body + np.stack([way + 400, np.full((900, 2), 300.0)], -1)[:, :, None]
    points += np.random.default_rng(3).normal(0, 0.7, points.shape)
    points[391:510, 1] = np.nan
    sure = np.isfinite(points).all(-1, keepdims=True)
    poses = Poses(np.concatenate([points, sure], -1), Skeleton([f"k{k}" for k in range(8)]))
    found = track_with_doubts(poses, individuals=2)
    swaps = find_swaps(found.doubts)
    assert swaps, "who came out of it cannot be known"
    assert 340 < swaps[0].frame < 560
    assert 0.1 < swaps[0].probability <= 0.5
    names = set(swaps[0].individuals)
    assert names == {"track0", "track1"}
    # Names are given by the longer part: then the other part is the doubtful one.
    sides = np.nanmean(found.poses.identity[:300]), np.nanmean(found.poses.identity[600:])
    assert min(sides) < 0.95


def test_cut_tracklets_hold_one_animal():
    walks = make_walks(6, 600, seed=8, hidden=15, false=0.02)
    tracker = Tracker(individuals=6, cut=True)
    ids = tracker.update_many(walks.points, walks.confidence)
    met = [who for one in tracker.encounters for who in one.before if who >= 0]
    after = [who for one in tracker.encounters for who in one.after if who >= 0]
    assert all(one.first <= one.last < one.end for one in tracker.encounters)
    assert not set(met) & set(np.unique(ids[-1]).tolist()) - set(after)


def lie_across(seed, frames=300, merged=slice(150, 168)):
    """Two animals that rest crosswise, found as one (keypoints of both) for a while."""
    rng = np.random.default_rng(seed)
    along = np.linspace(-50, 50, 6)
    bodies = np.stack([[along, 0.3 * along], [4 - 0.3 * along, along]]).swapaxes(1, 2)
    drift = 0.3 * np.cumsum(rng.normal(0, 1, (frames, 2, 1, 2)), axis=0)
    truth = bodies + drift
    truth[:, 0, :, 0] -= np.maximum(120 - 1.5 * np.arange(frames), 0)[:, None]  # comes walking
    found = truth + rng.normal(0, 1, truth.shape)
    taken = np.repeat(rng.random((frames, 6, 1)) < 0.5, 8, axis=0)[:frames]
    found[merged, 0] = np.where(taken, found[:, 0], found[:, 1])[merged]
    found[merged, 1] = np.nan
    turned = rng.random(frames) < 0.5
    found[turned] = found[turned, ::-1]
    return truth, found


@pytest.mark.parametrize("seed", range(4))
def test_resting_animals_that_were_found_as_one_keep_their_names(seed):
    truth, found = lie_across(seed)
    array = np.concatenate([found, np.isfinite(found[..., :1])], axis=-1).astype(np.float32)
    tracking = track_with_doubts(Poses(array, Skeleton(list("abcdef"))), individuals=2)
    apart = np.linalg.norm(tracking.poses.points[:, :, None] - truth[:, None], axis=-1).mean(-1)
    for part in (slice(100, 140), slice(180, 300)):
        assert (apart[part].argmin(-1) == apart[100].argmin(-1)).all()
    assert max(contact.probability for contact in tracking.doubts) < 0.2


def test_who_lies_as_before_is_the_likelier_one():
    # Both lie over the same spot before and after, crosswise: only the keypoints tell them apart.
    rng = np.random.default_rng(0)
    along, across = np.array([[-40.0, 0], [0, 0], [40, 0]]), np.array([[0, -40.0], [0, 0], [0, 40]])
    points = np.full((200, 4, 3, 2), np.nan)
    ids = np.full((200, 4), -1)
    for i, body in enumerate([along, across, along, across]):
        rows = slice(0, 95) if i < 2 else slice(105, 200)
        points[rows, i] = body + rng.normal(0, 1, (95, 3, 2))
        ids[rows, i] = i
    summaries = TrackletSummaries()
    summaries.add(ids, points)
    cost = score_joins(summaries.to_arrays(), np.array([0, 1, 0, 1]), np.array([2, 3, 3, 2]))
    assert cost[:2].max() < cost[2:].min() - 1
