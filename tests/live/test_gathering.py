from collections import Counter

import numpy as np
import pytest

from mapose.errors import SettingsError
from mapose.live import Frame
from mapose.live.gathering import Gatherer

PICTURE = np.zeros((4, 6), np.uint8)


def add(gatherer, camera, number, *, late=0.0, rate=10.0, clock=0.0):
    exposed = number / rate
    gatherer.add(camera, Frame(PICTURE, clock + exposed, number, exposed + 0.005 + late))
    return exposed + 0.005 + late


def test_the_newest_complete_set_is_taken_and_older_frames_are_let_go():
    gatherer = Gatherer(["a", "b"], rate=10, wait=0.05)
    for number in range(3):
        now = max(add(gatherer, camera, number) for camera in "ab")
    found = gatherer.take(now)
    assert found.number == 2 and {f.number for f in found.frames.values()} == {2}
    assert found.exposed == pytest.approx(0.2 + 0.005)  # its clock is behind by the delay
    assert gatherer.lost["overtaken"] == 4 and gatherer.take(now + 9) is None


def test_a_set_waits_for_a_late_view_but_not_for_ever():
    for late, lost in (("without", {}), ("drop", {"incomplete": 1})):
        gatherer = Gatherer(["a", "b"], rate=10, wait=0.05, late=late)
        for camera in "ab":
            now = add(gatherer, camera, 0)
        gatherer.take(now)
        now = add(gatherer, "a", 1)
        assert gatherer.take(now + 0.04) is None
        found = gatherer.take(now + 0.06)
        assert (found is None) == (late == "drop") and +gatherer.lost == Counter(lost)
        add(gatherer, "b", 1, late=0.07)  # it is used no more
        assert gatherer.lost["late"] == 1 and gatherer.take(now + 1) is None


def test_a_camera_that_is_silent_is_not_waited_for():
    gatherer = Gatherer(["a", "b"], rate=10, wait=0.5)
    for camera in "ab":
        now = add(gatherer, camera, 0)
    gatherer.take(now)
    now = add(gatherer, "a", 11)  # more than ten intervals later
    assert set(gatherer.take(now).frames) == {"a"}
    gatherer.end("b")
    now = add(gatherer, "a", 12)
    assert set(gatherer.take(now).frames) == {"a"}


@pytest.mark.parametrize("by", ["time", "number"])
def test_sets_stay_right_with_drops_and_jitter(by):
    """Of 2000 moments 5 % of the frames are lost, and all come up to 60 ms late."""
    rng = np.random.default_rng(5)
    gatherer = Gatherer(["a", "b", "c"], rate=30, by=by, wait=0.08)
    events = []
    for camera in "abc":
        arrival = 0.0
        for number in range(2000):
            arrival = max(arrival, number / 30 + abs(rng.normal(0, 0.02)))
            if rng.random() >= 0.05:
                events.append((arrival, camera, number))
    taken, complete = [], 0
    for arrival, camera, number in sorted(events):
        stamp = number / 30 if by == "time" else arrival
        gatherer.add(camera, Frame(PICTURE, stamp, number, arrival))
        while (found := gatherer.take(arrival)) is not None:
            assert len({frame.number for frame in found.frames.values()}) == 1
            assert arrival - min(f.arrived for f in found.frames.values()) < 0.2
            taken.append(found.number)
            complete += len(found.frames) == 3
    assert taken == sorted(set(taken)) and len(taken) > 1500
    assert complete > 0.75 * len(taken)


def test_a_camera_alone_loses_no_frame_whose_time_jitters_and_numbers_ascend():
    """A webcam has no clock of its own: the time of a frame is when it arrived."""
    rng = np.random.default_rng(2)
    gatherer, numbers = Gatherer(["a"], rate=30), []
    for n in range(600):
        arrived = n / 30 + rng.uniform(0, 0.03)
        gatherer.add("a", Frame(PICTURE, arrived, n, arrived))
        numbers.append(gatherer.take(arrived).number)
    assert (np.diff(numbers) > 0).all() and abs(numbers[-1] - 599) <= 2
    assert not +gatherer.lost


def test_a_clock_that_drifts_makes_nothing_old():
    """By 0.1 ms a second, for three hours; frames come 2 to 10 ms after their exposure."""
    rng = np.random.default_rng(3)
    gatherer, wrong = Gatherer(["a"], rate=1), []
    for n in range(3 * 3600):
        arrived = n + rng.uniform(0.002, 0.010)
        gatherer.add("a", Frame(PICTURE, n * (1 - 1e-4), n, arrived))
        wrong.append(gatherer.take(arrived).exposed - n)
    assert np.abs(wrong).max() < 0.02  # seconds; it was 1.1 when the least of all time counted


def test_a_camera_that_counts_anew_after_a_failure_is_in_the_sets_again(caplog):
    gatherer = Gatherer(["a", "b"], rate=10, by="number", wait=0.05)
    for number in range(20):
        now = add(gatherer, "a", number, late=0.003)
        if number < 5:
            add(gatherer, "b", number)
        elif number >= 12:  # its clock begins anew as well
            when = number / 10 + 0.005
            gatherer.add("b", Frame(PICTURE, (number - 12) / 10, number - 12, when))
        found = gatherer.take(now + 0.06)
        assert found.number == number
        assert set(found.frames) == ({"a"} if 5 <= number < 12 else {"a", "b"})
        assert found.exposed == pytest.approx(number / 10, abs=0.02)
        assert "b" not in found.frames or found.frames["b"].number in (number, number - 12)
    assert caplog.text.count("camera b counts from 0 again") == 1
    alone = Gatherer(["a"], rate=10, by="number")
    taken = []
    for number in (5, 6, 0, 1):
        now = add(alone, "a", number)
        taken.append(alone.take(now).number)
    assert taken == [5, 6, 7, 8]


def test_losses_can_be_read_while_frames_come():
    gatherer = Gatherer(["a", "b"], rate=30)
    known = set(gatherer.lost)
    for number in range(40):
        now = add(gatherer, "a", number, rate=30)
    gatherer.take(now + 1)
    add(gatherer, "b", 0, rate=30)
    assert gatherer.lost["late"] == 1 and set(gatherer.lost) == known


def test_unusable_settings_are_told_all_at_once():
    with pytest.raises(SettingsError, match=r"by: .*'clock'.*late: .*rate: .*wait: "):
        Gatherer(["a"], rate=0, by="clock", wait=-1, late="never")
