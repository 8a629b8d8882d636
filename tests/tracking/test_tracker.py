import numpy as np
import pytest

from mapose.errors import SettingsError, ShapeError
from mapose.tracking import Tracker


def find_names(ids, owner, n):
    """Ids that each animal had, in time."""
    return [ids[owner == i] for i in range(n)]


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_follows_animals_of_any_size(walks, scale):
    w = walks(3, 300, lost=0)
    ids = Tracker().update_many(w.points * scale, w.confidence)
    names = find_names(ids, w.owner, 3)
    assert all(len(np.unique(n)) == 1 for n in names)
    assert len({n[0] for n in names}) == 3
    assert (ids[w.owner < 0] == -1).all()


def test_learns_the_size(walks):
    tracker = Tracker()
    tracker.update_many(walks(2, 200).points)
    assert 30 < tracker._scale < 60
    given = Tracker(size=12.5)
    given.update_many(walks(2, 50).points)
    assert given._scale == 12.5


@pytest.mark.parametrize("cuts", [[1, 2, 3], [17, 100], list(range(1, 120))])
def test_chunks_do_not_matter(walks, cuts):
    w = walks(4, 120, hidden=10, false=0.2)
    whole = Tracker(individuals=4).update_many(w.points, w.confidence)
    tracker = Tracker(individuals=4)
    parts = [
        tracker.update_many(p, c)
        for p, c in zip(np.split(w.points, cuts), np.split(w.confidence, cuts), strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_one_by_one_is_the_same(walks):
    w = walks(2, 40)
    tracker = Tracker()
    single = [tracker.update(p, c) for p, c in zip(w.points, w.confidence, strict=True)]
    np.testing.assert_array_equal(single, Tracker().update_many(w.points, w.confidence))


def test_order_of_slots_does_not_matter(walks, rng):
    w = walks(3, 100)
    order = rng.permutation(w.points.shape[1])
    a = Tracker().update_many(w.points)
    b = Tracker().update_many(w.points[:, order])
    first = {}
    for x, y in zip(a[:, order].ravel(), b.ravel(), strict=True):
        assert first.setdefault(x, y) == y


def test_crossing_animals_keep_their_ids():
    body = np.array([[-20.0, 0], [0, 6], [20, 0], [0, -6]])
    x = np.arange(100.0)[:, None, None]
    points = np.stack([body + [1, 0] * (4 * x), body[:, ::-1] + [200, -200] + [0, 1] * (4 * x)], 1)
    ids = Tracker().update_many(points)
    assert (ids == [0, 1]).all()


def test_short_gap_is_bridged_long_one_is_not(walks):
    w = walks(1, 100, missing=0, lost=0)
    points = w.truth.copy()
    points[40:43] = np.nan
    ids = Tracker(max_gap=5).update_many(points)[:, 0]
    assert (ids[40:43] == -1).all()
    if np.linalg.norm(np.nanmean(points[43, 0] - points[39, 0], 0)) < 20:
        assert ids[39] == ids[43]
    points[50:60] = np.nan
    ids = Tracker(max_gap=5).update_many(points)[:, 0]
    assert ids[60] > ids[49]


def test_frames_that_are_left_out_count_as_a_gap():
    points = np.tile(np.array([[[[0.0, 0], [30, 10]]]]), (6, 1, 1, 1))
    near = Tracker(max_gap=5).update_many(points, frames=[0, 1, 2, 3, 7, 8])
    far = Tracker(max_gap=5).update_many(points, frames=[0, 1, 2, 3, 70, 71])
    assert near.ravel().tolist() == [0] * 6
    assert far.ravel().tolist() == [0] * 4 + [1] * 2


def test_duplicates_are_rejected(walks):
    w = walks(2, 60, missing=0, lost=0)
    double = np.concatenate([w.truth, w.truth + 0.5], 1)
    sure = np.broadcast_to(np.array([0.9, 0.9, 0.5, 0.5])[:, None], double.shape[:3])
    ids = Tracker().update_many(double, sure)
    assert (ids[:, 2:] == -1).all()
    assert (ids[:, :2] == [0, 1]).all()


def test_a_detection_that_is_two_animals_does_not_swap_them():
    body = np.array([[-30.0, 0], [-10, 6], [10, -6], [30, 0]])
    points = np.stack([np.tile(body, (40, 1, 1)), np.tile(body + [0, 14], (40, 1, 1))], 1)
    points[20:23, 0] = body + [0, 7]  # halfway between both
    points[20:23, 1] = np.nan
    ids = Tracker(individuals=2).update_many(points)
    assert (ids[:20] == [0, 1]).all() and (ids[23:] == [0, 1]).all()


def test_limbs_that_go_to_the_neighbour_do_not_swap_animals(rng):
    body = np.stack([np.linspace(-30, 30, 12), rng.uniform(-8, 8, 12)], -1)
    points = np.stack([np.tile(body, (300, 1, 1)), np.tile(body + [0, 25], (300, 1, 1))], 1)
    mixed = rng.random((300, 12)) < 0.1
    points = np.where(mixed[:, None, :, None], points[:, ::-1], points)
    assert (Tracker().update_many(points) == [0, 1]).all()


def test_no_more_tracks_are_confirmed_than_there_are_animals(walks, rng):
    w = walks(3, 80)
    tracker = Tracker(individuals=2)
    for p in w.points:
        tracker.update(p)
        assert len(tracker.confirmed) <= 2
        assert len(set(tracker.confirmed.tolist())) == len(tracker.confirmed)
    assert len(tracker.confirmed) == 2


def test_a_newcomer_takes_the_place_of_the_hidden_in_a_full_house():
    body = np.array([[0.0, 0], [30, 10]])
    points = np.full((30, 2, 2, 2), np.nan)
    points[:10, 0] = body
    points[10:, 1] = body + 300
    tracker = Tracker(individuals=1)
    tracker.update_many(points)
    assert tracker.confirmed.tolist() == [1]


def test_follows_single_points(rng):
    centre = np.stack([np.linspace(0, 300, 200), np.full(200, 50.0)], -1)[:, None]
    points = np.concatenate([centre, centre[::-1] + [0, 60]], 1)[:, :, None]
    points = points + rng.normal(0, 0.5, points.shape)
    assert (Tracker().update_many(points) == [0, 1]).all()


def test_follows_in_three_dimensions(rng):
    w = np.cumsum(rng.normal(0, 1, (80, 2, 1, 3)), 0) + [[[0, 0, 0]], [[200, 200, 50]]]
    points = w + rng.uniform(-20, 20, (2, 5, 3))
    assert (Tracker().update_many(points) == [0, 1]).all()


def test_animals_with_few_keypoints_are_followed(walks):
    w = walks(2, 200, missing=0.6, lost=0)
    names = find_names(Tracker().update_many(w.points, w.confidence), w.owner, 2)
    assert all(np.bincount(n).max() > 0.9 * len(n) for n in names)


def test_one_animal_in_one_slot_is_always_itself(rng):
    points = rng.uniform(0, 1000, (50, 1, 3, 2))  # a network that knows nothing leaps about
    points[10:20] = np.nan
    ids = Tracker(individuals=1).update_many(points)[:, 0]
    assert (ids[10:20] == -1).all()
    assert (np.delete(ids, slice(10, 20)) == 0).all()


class TestHostileInput:
    def test_nothing_for_a_thousand_frames(self, walks):
        w = walks(2, 60, missing=0, lost=0)
        points = np.concatenate([w.truth[:30], np.full((1000, 2, 12, 2), np.nan), w.truth[30:]])
        ids = Tracker(individuals=2).update_many(points)
        assert (ids[30:1030] == -1).all()
        assert (ids[:30] == [0, 1]).all()
        assert (ids[1030:] >= 2).all()

    def test_no_slots_and_no_frames(self):
        assert Tracker().update_many(np.empty((5, 0, 3, 2))).shape == (5, 0)
        assert Tracker().update_many(np.empty((0, 2, 3, 2))).shape == (0, 2)

    def test_forty_detections_of_two_animals(self, walks, rng):
        w = walks(2, 100, missing=0, lost=0)
        noise = rng.normal(0, 4, (100, 20, 2, 12, 2))
        ids = Tracker(individuals=2).update_many((w.truth[:, None] + noise).reshape(100, 40, 12, 2))
        assert ids.shape == (100, 40)
        for row in ids:
            assert len(np.unique(row[row >= 0])) == (row >= 0).sum()

    @pytest.mark.parametrize("keypoints", [1, 4])
    def test_identical_positions(self, keypoints):
        ids = Tracker().update_many(np.full((20, 3, keypoints, 2), 7.0))
        assert (ids >= 0).any(1).all()

    def test_infinite_and_huge_numbers(self):
        points = np.full((10, 2, 3, 2), 5.0)
        points[3] = np.inf
        points[5, 0, 1] = -np.inf
        points[7] = 1e12
        confidence = np.full((10, 2, 3), np.nan)
        assert Tracker().update_many(points, confidence).shape == (10, 2)


def test_bad_shapes_are_refused():
    tracker = Tracker()
    with pytest.raises(ShapeError, match="wanted points"):
        tracker.update_many(np.zeros((3, 2, 2)))
    with pytest.raises(ShapeError, match="confidence"):
        tracker.update_many(np.zeros((3, 1, 4, 2)), np.zeros((3, 1, 5)))
    tracker.update_many(np.zeros((3, 1, 4, 2)))
    with pytest.raises(ShapeError, match="began with 4 keypoints"):
        tracker.update_many(np.zeros((3, 1, 5, 2)))
    with pytest.raises(ShapeError, match="ascending"):
        tracker.update_many(np.zeros((2, 1, 4, 2)), frames=[1, 2])


@pytest.mark.parametrize("wrong", [{"individuals": 0}, {"max_gap": -1}, {"size": 0.0}])
def test_bad_settings_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Tracker(**wrong)


def test_a_faint_detection_far_off_is_no_animal():
    """A leap is believed of a detection as sure as usual, not of a ghost of the same shape."""
    rng = np.random.default_rng(0)
    body = np.array([[0.0, 0], [40, 0], [40, 30], [0, 30]])
    ends = []
    for sure in (0.6, 0.1):
        tracker = Tracker()
        for _ in range(20):
            ids = tracker.update(body[None] + rng.normal(0, 0.5, (1, 4, 2)), np.full((1, 4), 0.6))
        ends.append(tracker.update(body[None] + [40, 0], np.full((1, 4), sure))[0] == ids[0])
    assert ends == [True, False]
