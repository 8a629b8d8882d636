import tracemalloc

import numpy as np
import pytest

from mapose.errors import SettingsError, ShapeError
from mapose.tracking import Tracker, TrackletSummaries, stitch
from mapose.tracking.encounters import Encounter
from tests.tracking.sitting import make_summaries

BODY = np.array([[-20.0, 0], [0, 8], [20, 0], [0, -8]])


def summarise(*tracklets, frames=400, scores=None):
    """Summaries of tracklets (first frame, place, velocity, number of frames)."""
    ids = np.full((frames, len(tracklets)), -1)
    points = np.full((frames, len(tracklets), 4, 2), np.nan)
    for i, (first, place, velocity, n) in enumerate(tracklets):
        t = np.arange(n)[:, None, None]
        ids[first : first + n, i] = i
        points[first : first + n, i] = BODY + place + np.array(velocity) * t
    confidence = np.where(np.isfinite(points).all(-1), 1.0, 0.0)
    if scores is not None:
        confidence *= np.asarray(scores)[:, None]
    summaries = TrackletSummaries()
    summaries.add(ids, points, confidence=confidence)
    return summaries


def test_joins_a_walk_across_a_gap():
    walk = [(0, (50, 50), (2, 0), 50), (70, (180, 55), (2, 0), 50)]
    other = [(0, (50, 400), (0, 0), 200)]
    assert stitch(summarise(*walk, *other)).tolist() == [0, 0, 1]
    assert stitch(summarise(*walk, *other), individuals=2).tolist() == [0, 0, 1]


def test_motion_decides_between_two_that_cross_in_a_gap():
    one = [(0, (0, 100), (3, 0), 60), (66, (195, 100), (3, 0), 60)]
    two = [(0, (370, 104), (-3, 0), 60), (66, (175, 104), (-3, 0), 60)]
    assert stitch(summarise(*one, *two), individuals=2).tolist() == [0, 0, 1, 1]


def test_body_size_decides_where_motion_cannot():
    summaries = TrackletSummaries()
    ids = np.full((200, 2), -1)
    points = np.full((200, 2, 4, 2), np.nan)
    ids[:80], ids[90:] = [0, 1], [2, 3]
    small, large = BODY, 1.8 * BODY
    points[:80, 0], points[:80, 1] = small + [300, 300], large + [340, 300]
    points[90:, 0], points[90:, 1] = large + [320, 310], small + [320, 290]
    summaries.add(ids, points)
    assert stitch(summaries, individuals=2).tolist() == [0, 1, 1, 0]


def test_far_jump_is_a_new_animal_unless_the_number_is_known():
    jump = [(0, (50, 50), (0, 0), 100), (103, (600, 600), (0, 0), 100)]
    assert stitch(summarise(*jump)).tolist() == [0, 1]
    assert stitch(summarise(*jump), individuals=1).tolist() == [0, 0]


def test_odds_say_how_two_come_out_of_an_encounter():
    spans = [(0, 99), (0, 99), (100, 199), (100, 199)]
    summaries = make_summaries(spans, [(0, 0), (40, 0), (20, 0), (20, 4)])
    for odds, wanted in ((3.0, [0, 1, 0, 1]), (-3.0, [0, 1, 1, 0])):
        met = Encounter(90, 99, 100, (0, 1), (2, 3), odds=odds)
        assert stitch(summaries, individuals=2, encounters=[met]).tolist() == wanted


def test_several_that_hide_at_once_all_come_back():
    far = [(0, 0), (900, 0), (0, 900), (900, 900), (450, 20), (20, 450)]
    hidden = [(n * 5, place, (0, 0), 40) for n, place in enumerate(far[:3])]
    back = [(300 + n * 5, place, (0, 0), 40) for n, place in enumerate(far[3:])]
    found = stitch(summarise(*hidden, *back), individuals=3)
    assert sorted(found[:3]) == sorted(found[3:]) == [0, 1, 2]


def test_known_number_leaves_out_what_explains_least():
    flies = [(0, (50, 50), (0, 0), 300), (0, (400, 50), (0, 0), 300)]
    ghost = [(100, (200, 300), (0, 0), 40)]
    assert stitch(summarise(*flies, *ghost), individuals=2).tolist() == [0, 1, -1]
    assert stitch(summarise(*flies, *ghost), individuals=3).tolist() == [0, 1, 2]


def test_score_counts():
    rivals = [(0, (50, 50), (0, 0), 300), (0, (400, 50), (0, 0), 320)]
    assert stitch(summarise(*rivals, scores=[0.9, 0.2]), individuals=1).tolist() == [0, -1]


def test_short_alarms_are_nobody():
    found = stitch(summarise((0, (50, 50), (0, 0), 200), (60, (300, 300), (0, 0), 5)))
    assert found.tolist() == [0, -1]


def test_a_tail_that_overlaps_is_forgiven():
    pair = [(0, (50, 50), (1, 0), 100), (97, (150, 50), (1, 0), 100)]
    assert stitch(summarise(*pair), individuals=1).tolist() == [0, 0]


def test_never_more_individuals_at_a_time_than_there_are(walks):
    w = walks(5, 400, hidden=20, false=0.3)
    tracker, summaries = Tracker(individuals=3), TrackletSummaries()
    ids = tracker.update_many(w.points, w.confidence)
    summaries.add(ids, w.points, confidence=w.confidence)
    mapping = stitch(summaries, individuals=3)
    assert mapping.max() == 2


def test_more_animals_than_asked_is_said(caplog):
    two = [(0, (50, 50), (0, 0), 200), (0, (300, 300), (0, 0), 200)]
    assert sorted(stitch(summarise(*two), individuals=1)) == [-1, 0]
    assert "as much is seen beside them as of 1.0 animals" in caplog.text
    caplog.clear()
    alarm = [(0, (50, 50), (0, 0), 200), (20, (300, 300), (0, 0), 40)]
    stitch(summarise(*alarm), individuals=1)
    assert not caplog.text


def test_fewer_animals_than_asked_is_said(caplog):
    assert stitch(summarise((0, (50, 50), (0, 0), 200)), individuals=4).tolist() == [0]
    assert "4 individuals were asked for, 1" in caplog.text


def test_chunks_do_not_matter(walks):
    w = walks(4, 300, hidden=25, false=0.2)
    ids = Tracker().update_many(w.points, w.confidence)
    whole, parts = TrackletSummaries(), TrackletSummaries()
    whole.add(ids, w.points, confidence=w.confidence)
    for rows in np.array_split(np.arange(300), 23):
        parts.add(ids[rows], w.points[rows], confidence=w.confidence[rows])
    np.testing.assert_array_equal(stitch(parts), stitch(whole))
    a, b = parts.to_arrays(), whole.to_arrays()
    for name in ("ids", "first", "last", "n", "head", "tail", "velocity"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_allclose(a.score, b.score)
    np.testing.assert_allclose(a.size, b.size)


def test_memory_does_not_grow_with_false_alarms():
    summaries = TrackletSummaries()
    for chunk in range(20):
        ids = 50 * chunk + np.arange(50)[:, None]  # another one in every frame
        summaries.add(ids, np.zeros((50, 1, 4, 2)) + BODY)
    assert len(summaries) <= 52
    assert len(summaries.to_arrays()) == 1


def test_missing_keypoints_at_the_ends_are_filled_in():
    ids, points = np.zeros((6, 1), int), np.tile(BODY, (6, 1, 1, 1))
    points += np.arange(6)[:, None, None, None] * [2.0, 0]
    points[0, 0, 1] = points[5, 0, 2] = np.nan
    summaries = TrackletSummaries()
    summaries.add(ids, points)
    arrays = summaries.to_arrays()
    assert np.isfinite(arrays.head).all() and np.isfinite(arrays.tail).all()
    np.testing.assert_allclose(arrays.velocity[0], [[2, 0], [2, 0]])


def test_nothing_gives_nobody():
    assert stitch(TrackletSummaries(), individuals=2).shape == (0,)
    empty = TrackletSummaries()
    empty.add(np.full((5, 2), -1), np.full((5, 2, 3, 2), np.nan))
    assert stitch(empty).shape == (0,)


def test_two_frames_are_enough():
    assert stitch(summarise((0, (50, 50), (0, 0), 2), frames=2), individuals=1).tolist() == [0]


def test_single_keypoints_are_joined():
    ids = np.repeat([[0], [-1], [1]], 30, axis=0)
    points = np.full((90, 1, 1, 2), 40.0)
    points[::2] += 1
    points[30:60] = np.nan
    summaries = TrackletSummaries()
    summaries.add(ids, points)
    assert stitch(summaries, individuals=1).tolist() == [0, 0]


def test_bad_calls_are_refused():
    with pytest.raises(ShapeError, match="wanted ids"):
        TrackletSummaries().add(np.zeros((3, 2), int), np.zeros((3, 1, 4, 2)))
    with pytest.raises(SettingsError, match="individuals"):
        stitch(TrackletSummaries(), individuals=0)
    with pytest.raises(SettingsError, match="min_frames"):
        stitch(TrackletSummaries(), min_frames=0)


def test_a_tracklet_that_was_put_away_goes_on_after_all(rng):
    """Seen again after 3,000 frames, in which a third came and went."""
    points = rng.uniform(0, 100, (7, 3, 4, 2))
    points[:, 1] += 500
    points[2, 0, 1] = np.nan
    looks = rng.normal(0, 1, (7, 3, 5))
    ids = np.array([[0, 1, 2]] * 3 + [[0, 1, -1]] * 2 + [[0, 1, 3]] * 2)
    frames = np.array([0, 1, 2, 1500, 1501, 3000, 3001])
    whole, cut = TrackletSummaries(), TrackletSummaries()
    whole.add(ids, points, frames=frames, embeddings=looks)
    for row in range(7):
        part = slice(row, row + 1)
        cut.add(ids[part], points[part], frames=frames[part], embeddings=looks[part])
        assert len(cut) == ids[: row + 1].max() + 1
    whole, again, cut = whole.to_arrays(), cut.to_arrays(), cut.to_arrays()
    assert cut.ids.tolist() == [0, 1, 2, 3] and cut.n.tolist() == [7, 7, 3, 2]
    for name in ("ids", "first", "last", "n", "score", "size", "head"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), err_msg=name)
    for name in ("ids", "n", "score", "size", "head", "tail", "velocity"):
        np.testing.assert_array_equal(getattr(again, name), getattr(cut, name))
    speed = np.nanmean(points[2] - points[0], 1) / 2
    np.testing.assert_allclose(cut.velocity[:3, 0], speed, 1e-5)
    np.testing.assert_allclose(
        cut.tail[:3][:, [0, 2]], points[[6, 6, 2], [0, 1, 2]][:, [0, 2]], 1e-6
    )


def test_what_is_known_of_a_tracklet_takes_little_memory(rng):
    """A million frames in which animals meet come to 30,000 tracklets."""
    summaries, points = TrackletSummaries(), rng.uniform(0, 100, (5, 4, 6, 2))
    tracemalloc.start()
    for n in range(400):
        ids = np.broadcast_to(4 * n + np.arange(4), (5, 4))
        summaries.add(ids, points, frames=1000 * n + np.arange(5))
        if n == 100:
            before = tracemalloc.get_traced_memory()[0]
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(summaries) == 1600 and held < 700 * 4 * 299
