"""Steps and views of a training follow from the labels alone."""

import math

import pytest

from mapose.training.schedule import Pace, Schedule, choose_steps


def test_costly_steps_are_fewer_and_many_labels_get_more():
    cheap = choose_steps(100, channels=12, view=192, batch=8)
    assert choose_steps(20, channels=12, view=192, batch=8) == cheap
    assert choose_steps(100, channels=12, view=384, batch=8) == pytest.approx(cheap / 4, abs=20)
    assert choose_steps(100, channels=12, view=192, batch=4) == pytest.approx(cheap * 2, abs=20)
    assert choose_steps(100, channels=91, view=192, batch=8) < 0.85 * cheap
    assert choose_steps(800, channels=12, view=192, batch=8) == pytest.approx(cheap * 2, abs=20)


def test_views_grow_and_work_adds_up():
    plan = Schedule(100, 192)
    assert [plan.find_view(s) for s in (0, 49, 50, 99)] == [128, 128, 192, 192]
    assert plan.share(0) == 0 and plan.share(100) == 1
    assert plan.share(50) == pytest.approx(128**2 / (128**2 + 192**2))
    assert plan.work == 50 * (128**2 + 192**2)
    # Never larger than the views of the end, and whole cells of the deepest maps.
    assert Schedule(100, 64).small == 64 and Schedule(100, 384).small == 256
    assert Schedule(1, 64).share(1) == 1


def test_the_pace_knows_that_later_steps_cost_more():
    plan = Schedule(1000, 192)
    pace, now = Pace(plan, 0), 0.0
    assert math.isnan(pace.find_left(1, 0.0))
    for step in range(1, 300):
        now += 1.0
        left = pace.find_left(step, now)
    rest = (1000 - 500) * (192 / 128) ** 2 + (500 - 299)
    assert left == pytest.approx(rest, rel=1e-6)
