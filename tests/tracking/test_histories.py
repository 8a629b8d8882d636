"""Histories: encounters, gaps, overlaps and looks against each other, with known answers."""

import errno
import io
import tempfile

import numpy as np
import pytest

from mapose.errors import MaposeError
from mapose.shelf import Shelf
from mapose.tracking.encounters import Encounter
from mapose.tracking.histories import find_histories
from mapose.tracking.stitching import list_ways, score_joins
from tests.tracking.sitting import make_tracklets


def find(spans, places, row, met=(), **more):
    tracklets, arena = make_tracklets(spans, places, **more)
    ways = list_ways(tracklets, met)
    return find_histories(tracklets, np.array(row), ways, arena=arena, shelf=Shelf()), tracklets


def share_together(histories, a, b):
    """Share of the drawn histories in which two tracklets are the same animal."""
    return (histories.draws[a] == histories.draws[b]).mean()


def test_odds_of_many_encounters_follow_the_chain_of_chances():
    # Twelve times two animals meet and come out again: 4096 ways, of which no two need be kept
    # that differ only in what is over.
    times = range(0, 1300, 100)
    spans = [(start, start + 99) for start in times for _ in (0, 1)]
    places = [(0, 0), (300, 0)] * len(times)
    met = [
        Encounter(t + 90, t + 99, t + 100, (2 * n, 2 * n + 1), (2 * n + 2, 2 * n + 3), odds=1.0)
        for n, t in enumerate(times[:-1])
    ]
    histories, _ = find(spans, places, [0, 1] * len(times), met)
    assert histories.rows.tolist() == [0, 1] * len(times)
    once = np.tanh(0.5)  # chance to stay less chance to change, at log-odds of 1
    for n in (1, 2, 3, 12):
        assert share_together(histories, 0, 2 * n) == pytest.approx(0.5 + 0.5 * once**n, abs=0.07)
        assert share_together(histories, 2 * n, 2 * n + 1) == 0
    assert share_together(histories, 2, 4) == pytest.approx(0.5 + 0.5 * once, abs=0.07)


def test_motion_across_a_gap_counts_half():
    # Both vanish for 40 frames and come out nearly as near to where the other one was. A third
    # sits far away: in a large arena nobody is new by chance.
    spans = [(0, 99), (0, 99), (0, 239), (140, 239), (140, 239)]
    places = [(0, 0), (80, 0), (0, 2000), (36, 0), (44, 0)]
    histories, tracklets = find(spans, places, [0, 1, 2, 0, 1])
    own, other = (score_joins(tracklets, *np.array([(0, 1), to])).sum() for to in ((3, 4), (4, 3)))
    assert 1 < other - own < 4
    expected = 1 / (1 + np.exp(-(other - own) / 2))
    assert share_together(histories, 0, 3) == pytest.approx(expected, abs=0.06)


def test_jumps_are_as_likely_as_turning_up_anywhere():
    # Who of the two is the one that was here before cannot be told, however far the second is.
    spans = [(0, 99), (110, 209), (110, 209)]
    histories, _ = find(spans, [(0, 0), (600, 0), (4000, 0)], [0, 0, 1])
    assert share_together(histories, 0, 1) == pytest.approx(0.5, abs=0.07)


def test_who_comes_out_of_an_encounter_has_been_in_it():
    # The third sat where one of the two comes out, and is out of sight.
    spans = [(0, 99), (0, 99), (0, 80), (100, 199), (100, 199)]
    places = [(0, 0), (300, 0), (150, 100), (150, 100), (150, 0)]
    met = [Encounter(90, 99, 100, (0, 1), (3, 4), odds=0.5)]
    histories, _ = find(spans, places, [0, 1, 2, 0, 1], met)
    assert share_together(histories, 2, 3) == 0
    assert share_together(histories, 0, 3) + share_together(histories, 1, 3) == 1


def test_newcomers_do_not_come_out_of_encounters():
    # In so small an arena somebody new could turn up anywhere at little cost.
    spans = [(0, 99), (0, 99), (100, 199), (100, 199), (300, 399)]
    places = [(0, 0), (6, 0), (0, 0), (6, 0), (3, 3)]
    met = [Encounter(90, 99, 100, (0, 1), (2, 3), odds=0.0)]
    histories, _ = find(spans, places, [0, 1, 0, 1, 2], met)
    assert share_together(histories, 0, 2) + share_together(histories, 1, 2) == 1


def test_overlap_speaks_against_being_one():
    # Two sat at the place: one was gone when the third came, one stayed ten frames more.
    spans, places = [(0, 99), (0, 109), (100, 199)], [(0, 0), (0, 0), (0, 0)]
    histories, tracklets = find([*spans, (150, 199)], [*places, (0, 2000)], [0, 1, 0, 2])
    early, late = score_joins(tracklets, np.array([0, 1]), np.array([2, 2]))
    expected = 1 / (1 + np.exp(-((late - early) / 2 + 10 / 15)))
    assert 0.55 < expected < 0.75
    assert share_together(histories, 0, 2) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize(
    "spans", [[(0, 110), (0, 60), (100, 105)], [(0, 130), (0, 60), (100, 199)]]
)
def test_nobody_is_in_two_places(spans):
    # The third begins where the first still is, within its time or too long before its end.
    histories, _ = find(spans, [(0, 0), (600, 0), (0, 0)], [0, 1, 1])
    assert share_together(histories, 0, 2) == 0


def test_in_a_full_house_somebody_gives_way():
    histories, _ = find([(0, 199)] * 3, [(0, 0), (300, 0), (600, 0)], [0, 1, 1])
    assert set(histories.rows.tolist()) == {0, 1}


def test_of_more_histories_than_can_be_kept_the_best_are():
    # Six vanish together and come out about where they were: 720 orders.
    places = [(60 * i, 0) for i in range(6)]
    spans = [*[(0, 99)] * 6, (0, 499), *[(300, 499)] * 6]
    row = [*range(7), *range(6)]
    histories, _ = find(spans, [*places, (0, 2000), *places], row)
    assert histories.rows.tolist() == row
    together = [share_together(histories, i, 7 + i) for i in range(6)]
    assert 0.15 < np.mean(together) < 0.95


def test_looks_put_the_first_one_right():
    # The first tracklet was joined to the second, but looks like the third.
    looks = 4 * np.eye(4)[[0, 1, 0]]
    spans = [(0, 199), (250, 600), (260, 600)]
    histories, _ = find(spans, [(0, 0), (0, 0), (300, 0)], [0, 0, 1], looks=looks)
    assert histories.rows.tolist() == [0, 1, 0]
    assert share_together(histories, 0, 2) > 0.98


def test_nobody_stays_nobody():
    histories, _ = find([(0, 99), (0, 99), (100, 199)], [(0, 0), (300, 0), (0, 0)], [0, -1, 0])
    assert histories.rows.tolist() == [0, -1, 0] and (histories.draws[1] == -1).all()
    none, _ = find([(0, 99)], [(0, 0)], [-1])
    assert none.rows.tolist() == [-1] and len(none.draws) == 0


def test_steps_in_a_file_are_those_in_memory(monkeypatch):
    times = range(0, 1300, 100)
    spans = [(start, start + 99) for start in times for _ in (0, 1)]
    places = [(0, 0), (300, 0)] * len(times)
    met = [
        Encounter(t + 90, t + 99, t + 100, (2 * n, 2 * n + 1), (2 * n + 2, 2 * n + 3), odds=1.0)
        for n, t in enumerate(times[:-1])
    ]
    made = []
    for most in (1 << 22, 1):
        monkeypatch.setattr("mapose.tracking.histories._SPOOLED", most)
        made.append(find(spans, places, [0, 1] * len(times), met)[0])
    np.testing.assert_array_equal(made[0].rows, made[1].rows)
    np.testing.assert_array_equal(made[0].draws, made[1].draws)


def test_a_full_disk_is_told_in_a_sentence(monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda max_size: Full())
    with pytest.raises(MaposeError, match="space"):
        find([(0, 99), (110, 209)], [(0, 0), (0, 0)], [0, 0])
