"""Tracklets into rows: how likely each name is, and when; which moments are in doubt."""

import tracemalloc

import numpy as np
import pytest

from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.tracking.encounters import Encounter
from mapose.tracking.histories import Histories
from mapose.tracking.naming import Naming, name_tracklets, score_names
from tests.tracking.sitting import make_summaries

# Two animals meet once, in frames 90 to 99; their tracklets are cut ten frames later.
SPANS = [(0, 109), (0, 109), (110, 399), (110, 399)]
PLACES = [(0, 0), (300, 0), (0, 0), (300, 0)]
MET = Encounter(90, 99, 110, (0, 1), (2, 3), odds=1.0)


@pytest.mark.parametrize("piece", [500, 2, 5])
def test_a_name_is_that_of_most_frames(monkeypatch, piece):
    monkeypatch.setattr("mapose.tracking.naming._PIECE", piece)
    # In half of the draws rows change places after tracklet 2, in a quarter before.
    drawn = np.array(
        [[0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 1, 0], [0, 1, 0, 1, 1, 0], [0, 1, 1, 0, 1, 0]]
    )
    histories = Histories(np.array([0, 1, 0, 1, 0, 1]), drawn.T.astype(np.int16))
    right = score_names(np.array([10, 10, 10, 10, 50, 50]), histories)
    # Animals are called as in the long last part: the first is wrong in three draws of four.
    hits = np.array([1, 1, 2, 2, 4, 4])
    np.testing.assert_allclose(right, (hits + 0.5) / 5)
    right = score_names(np.array([50, 50, 10, 10, 10, 10]), histories)
    np.testing.assert_allclose(right, (np.array([4, 4, 3, 3, 1, 1]) + 0.5) / 5)


def test_what_nothing_speaks_against_is_certain_and_nobody_has_no_name():
    histories = Histories(np.array([0, -1, 1]), np.array([[0, 1], [-1, -1], [1, 0]], np.int16))
    right = score_names(np.array([9, 9, 9]), histories)
    assert right[[0, 2]].tolist() == [1, 1] and np.isnan(right[1])


def test_probability_changes_during_the_encounter():
    naming = name_tracklets(make_summaries(SPANS, PLACES), [MET], individuals=2)
    array = np.ones((400, 2, 1, 3))
    array[200:210, 0] = np.nan
    poses = Poses(array, Skeleton(["body"]), ["a", "b"])
    identity = naming.add_identity(poses).identity
    before, after = identity[0, 0], identity[-1, 0]
    # The animals are called as in the longer part, behind the encounter.
    assert before == pytest.approx(1 / (1 + np.exp(-1)), abs=0.06) and after > 0.99
    assert (identity[:91, 0] == before).all() and (identity[100:200, 0] == after).all()
    assert (np.diff(identity[90:101, 0]) > 0).all()
    assert np.isnan(identity[200:210, 0]).all() and np.isfinite(identity[:, 1]).all()
    part = naming.add_identity(poses.sel(frames=range(95, 300))).identity
    np.testing.assert_array_equal(part, identity[95:300])


@pytest.mark.parametrize(("leaps", "faith"), [(0.0, 1.0), (0.003, 0.81), (0.05, 0.7)])
def test_names_are_nearer_to_chance_where_detections_leap(leaps, faith):
    plain = name_tracklets(make_summaries(SPANS, PLACES), [MET], individuals=2)
    told = name_tracklets(make_summaries(SPANS, PLACES), [MET], individuals=2, leaps=leaps)
    for (frames, value), (others, less) in zip(plain.knots, told.knots, strict=True):
        np.testing.assert_array_equal(frames, others)
        np.testing.assert_allclose(less - 0.5, faith * (value - 0.5), atol=0.001)


def test_an_encounter_is_one_doubt_with_its_odds():
    naming = name_tracklets(make_summaries(SPANS, PLACES), [MET], individuals=2)
    (doubt,) = naming.doubts  # not once more as a gap
    assert doubt[:4] == (90, 99, 0, 1)
    assert doubt[4] == pytest.approx(1 / (1 + np.exp(1)), abs=0.06)


def test_a_gap_is_in_doubt_from_when_both_were_gone():
    # The first vanishes early, the second late; they come out between where both were. A third
    # that comes and goes far away is in no doubt.
    spans = [(0, 99), (0, 149), (0, 399), (200, 399), (200, 399)]
    places = [(0, 0), (80, 0), (0, 2000), (36, 0), (44, 0)]
    naming = name_tracklets(make_summaries(spans, places), individuals=3)
    (doubt,) = naming.doubts
    assert doubt[:4] == (149, 200, 0, 1) and 0.1 < doubt[4] <= 0.5
    (contact,) = naming.list_doubts(["ann", "bob", "eve"])
    assert contact.individuals == ("ann", "bob")
    assert contact.probability == pytest.approx(doubt[4])


def test_contacts_come_in_time():
    naming = Naming(np.array([0, 1]), ((50, 60, 0, 1, 0.2), (10, 20, 0, 1, 0.4)), ())
    assert [contact.first for contact in naming.list_doubts(["a", "b"])] == [10, 50]


def test_many_tracklets_are_named_in_little_memory(rng):
    drawn = rng.integers(0, 4, (8000, 512)).astype(np.int8)
    rows = rng.integers(0, 4, 8000)
    tracemalloc.start()
    right = score_names(np.full(8000, 100), Histories(rows, drawn))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(right).all() and peak < 20_000_000  # all at once 100 MB
