"""Encounters: when they are over, who is cut, and what is known of them."""

import numpy as np
import pytest

from mapose.tracking.encounters import (
    CLEAR,
    QUIET,
    EncounterLog,
    find_claims,
    find_doubts,
    find_mixtures,
)


def meet(log, frame, ids, odds):
    """Let all tracks be seen in a frame; each two could be exchanged at these log-odds."""
    cost = np.full((len(ids), len(ids)), odds / 2)
    np.fill_diagonal(cost, 0.0)
    every = np.arange(len(ids))
    none = np.zeros(len(ids), bool)
    log.record(frame, np.array(ids), cost, (every, every), none, none)


def end(log, frame, ids, *, unseen=0, hits=1000, sure=True, fresh=50):
    """End what is over; give the encounters and the ids that the tracks have then."""
    ids = np.array(ids)
    whole = {"unseen": unseen, "hits": hits, "sure": sure}
    ended, _ = log.end(
        frame, ids, fresh=fresh, **{k: np.broadcast_to(v, len(ids)) for k, v in whole.items()}
    )
    return ended, ids.tolist()


def test_an_encounter_is_over_after_some_quiet_frames():
    log = EncounterLog()
    for frame, odds in ((100, 9.0), (103, 2.0), (104, 5.0)):
        meet(log, frame, [5, 9], odds)
    assert end(log, 104 + QUIET, [5, 9]) == ([], [5, 9])
    (met,), ids = end(log, 105 + QUIET, [5, 9])
    assert (met.first, met.last, met.end) == (100, 104, 105 + QUIET)
    assert met.before == (5, 9) and met.after == (50, 51) and met.cut and ids == [50, 51]
    assert end(log, 200, ids) == ([], ids)


def test_the_worst_frame_decides_the_odds():
    found = []
    for odds in ([9.0, 2.0, 5.0], [2.0], [4.0]):
        log = EncounterLog()
        for n, value in enumerate(odds):
            meet(log, 100 + n, [5, 9], value)
        found.append(end(log, 150, [5, 9])[0][0].odds)
    assert found[0] == found[1] < found[2]


def test_what_is_clear_is_no_encounter():
    log = EncounterLog()
    meet(log, 100, [5, 9], CLEAR + 0.1)
    assert end(log, 150, [5, 9]) == ([], [5, 9])


def test_poses_that_are_clear_leave_the_tracks_uncut():
    log = EncounterLog()
    body = np.array([[0.0, 0], [10, 0], [20, 0]])
    for frame in range(90, 120):
        log.watch(frame, np.array([5, 9]), np.stack([body, body + [0, 200]]))
        if frame == 100:
            meet(log, frame, [5, 9], 3.0)
    (met,), ids = end(log, 119, [5, 9])
    assert ids == [5, 9] and met.after == (5, 9) and not met.cut and met.odds > 8
    # As they are now in each other's place, the poses speak for an exchange.
    log = EncounterLog()
    for frame in range(90, 120):
        log.watch(
            frame, np.array([5, 9])[:: 1 if frame <= 100 else -1], np.stack([body, body + 50])
        )
        if frame == 100:
            meet(log, frame, [5, 9], 3.0)
    (met,), ids = end(log, 119, [5, 9])
    assert met.cut and met.odds < 0


def test_who_is_hidden_is_waited_for():
    log = EncounterLog()
    meet(log, 100, [5, 9], 3.0)
    assert end(log, 150, [5, 9], unseen=[0, QUIET + 1])[0] == []
    assert len(end(log, 160, [5, 9], unseen=[0, QUIET])[0]) == 1


def test_who_never_came_back_has_no_tracklet_after():
    log = EncounterLog()
    meet(log, 100, [5, 9], 3.0)
    (met,), ids = end(log, 150, [5, 20])
    assert met.before == (5, 9) and met.after == (50, -1) and ids == [50, 20]
    meet(log, 200, [50, 20], 3.0)
    assert end(log, 250, [30, 40])[0] == []  # nobody is left
    meet(log, 300, [30, 40], 3.0)
    (met,), _ = end(log, 350, [30, 40], sure=[True, False])
    assert met.after == (50, -1)


def test_tracks_are_not_cut_again_at_once():
    log = EncounterLog()
    meet(log, 100, [5, 9], 3.0)
    _, ids = end(log, 150, [5, 9], hits=80)
    meet(log, 151, ids, 3.0)
    assert end(log, 170, ids, hits=82) == ([], ids)
    assert len(end(log, 171, ids, hits=83)[0]) == 1


def test_a_track_in_two_encounters_is_cut_once():
    log = EncounterLog()
    meet(log, 100, [1, 2, 3], 3.0)
    ended, ids = end(log, 150, [1, 2, 3])
    assert [met.before for met in ended] == [(1, 2), (1, 3), (2, 3)]
    after = dict(zip([1, 2, 3], ids, strict=True))
    assert [met.after for met in ended] == [
        (after[a], after[b]) for a, b in [(1, 2), (1, 3), (2, 3)]
    ]
    assert len(set(ids)) == 3


def test_an_encounter_that_goes_on_follows_the_new_ids():
    log = EncounterLog()
    meet(log, 100, [1, 2], 3.0)
    meet(log, 108, [2, 3], 3.0)
    _, ids = end(log, 111, [1, 2, 3])
    (met,), _ = end(log, 119, ids, hits=2000, fresh=60)
    assert met.before == (3, ids[1])


@pytest.mark.parametrize("near", [5.0, 20.0])
def test_a_newcomer_may_be_who_was_found_as_one_with_another(near):
    log = EncounterLog()
    hidden = np.array([False, True])
    one = np.array([0]), np.array([0])
    log.record(100, np.array([5, 9]), np.array([[0.0], [4.0]]), one, hidden, hidden[:1])
    # 12 begins at frame 140, where 5 could have gone on as well; 13 nowhere near.
    cost = np.array([[0.0, near, np.inf]])
    fresh, born = np.array([1, 2]), np.array([12, 13])
    log.record_births(140, np.array([5]), cost, np.array([0]), fresh, born)
    ended, _ = end(log, 160, [5, 12, 13])
    assert {met.before: (met.first, met.last) for met in ended} == {
        (5, 9): (100, 100),
        (5, 12): (100, 140),
    }


def test_a_newcomer_in_a_good_place_is_a_doubt_of_its_own():
    log = EncounterLog()
    cost = np.array([[0.0, 5.0]])
    log.record_births(140, np.array([5]), cost, np.array([0]), np.array([1]), np.array([12]))
    (met,), _ = end(log, 160, [5, 12])
    assert met.before == (5, 12) and (met.first, met.last) == (140, 140)


def test_false_alarms_are_forgotten():
    log = EncounterLog()
    meet(log, 100, [1, 2, 3], 3.0)
    log.forget(np.array([2]))
    assert [met.before for met in end(log, 150, [1, 2, 3])[0]] == [(1, 3)]


def test_odds_are_those_of_changing_places():
    cost = np.array([[1.0, 3.0, 90.0], [2.5, 0.5, 90.0], [90.0, 90.0, 0.0], [4.0, 40.0, 40.0]])
    rows = np.array([0, 1, 2])
    pairs, odds = find_doubts(cost, rows, rows)
    assert pairs.tolist() == [[0, 1]] and odds.tolist() == [pytest.approx(3 + 2.5 - 1 - 0.5)]
    pairs, odds = find_claims(cost, rows, rows, np.array([3]))
    assert pairs.tolist() == [[0, 3]] and odds.tolist() == [3]


def test_who_comes_out_alone_may_be_either():
    log = EncounterLog()
    meet(log, 100, [5, 9], CLEAR - 0.1)
    (met,), _ = end(log, 150, [5, 20])
    assert 0 < met.odds < 5


def test_a_match_that_fits_badly_beside_a_leftover_may_be_parts_of_both():
    cost = np.array([[30.0, 35.0, np.inf], [np.inf, 20.0, np.inf], [np.inf, np.inf, 20.0]])
    every = np.arange(3)
    pairs, odds = find_mixtures(cost, every, every, every == 0)
    assert pairs.tolist() == [[1, 0]]  # the third is out of its reach
    assert 0 < odds[0] < CLEAR
    cost[1, 1] = 5.0
    assert not len(find_mixtures(cost, every, every, every == 0)[0])


def test_an_encounter_goes_on_while_one_has_leftovers_only():
    log = EncounterLog()
    meet(log, 100, [5, 9], 3.0)
    assert log.find_calm(np.array([5, 7, 9])).tolist() == [False, True, False]
    cost, every = np.diag([20.0, 5.0]) + 50 * (1 - np.eye(2)), np.arange(2)
    none = np.zeros(2, bool)
    for frame in range(101, 121):
        log.record(frame, np.array([5, 9]), cost, (every, every), none, np.array([True, False]))
    assert end(log, 120 + QUIET, [5, 9])[0] == []
    (met,), _ = end(log, 121 + QUIET, [5, 9])
    assert met.last == 120
