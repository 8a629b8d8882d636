"""Looks: how much a tracklet's say, and what it says of each row."""

import numpy as np
import pytest

from mapose.tracking.histories import find_founders
from mapose.tracking.looks import Looks, make_looks, score_looks
from tests.tracking.sitting import make_tracklets


def test_neighbouring_frames_count_little_and_none_not_at_all():
    sums = np.array([[0.0, 0.0], [6.0, 3.0], [400.0, 0.0]])
    looks = make_looks(sums, np.array([0.0, 3, 400]), 0.5, np.array([50, 400, 400]))
    assert looks.weight.tolist() == [0, 3, 11] and looks.spread == 0.5
    assert looks.mean.tolist() == [[0, 0], [2, 1], [1, 0]]
    assert make_looks(sums, np.zeros(3), 0.5, np.array([50, 400, 400])) is None


def test_what_was_never_looked_at_fits_everywhere():
    looks = Looks(np.array([[0.0], [9.0], [0.0]]), np.array([5.0, 5.0, 0.0]), spread=1.0)
    score = score_looks(looks, np.array([0, 1, 0]), 2)
    assert (score[2] == 0).all() and (np.ptp(score[:2], axis=1) > 1).all()


def test_one_known_animal_is_no_comparison():
    looks = Looks(np.array([[0.0], [9.0], [9.0]]), np.full(3, 5.0), spread=1.0)
    assert not score_looks(looks, np.array([0, 0, -1]), 2).any()


def test_scores_are_those_of_the_distribution():
    """What is left of a row tells its mean, and how surely; far off counts no more than 25 nats."""
    looks = Looks(np.array([[1.0], [0.0], [4.0], [5.0]]), np.array([2.0, 4, 4, 2]), spread=1.0)
    score = score_looks(looks, np.array([0, 0, 1, 1]), 2)
    means, weights = np.array([1 / 3, 13 / 3]), np.array([6.0, 6.0])
    between = np.square(means - means.mean()).sum() - 1 / 6
    for row, (total, weight) in enumerate([(0.0, 4.0), (4 * 4 + 2 * 5, 6.0)]):
        precision = 1 / between + weight
        expected = (means.mean() / between + total) / precision
        variance = 1 / 2 + 1 / precision
        wanted = -0.5 * ((1 - expected) ** 2 / variance + np.log(variance))
        assert score[0, row] == pytest.approx(wanted)
    assert weights.sum() == looks.weight.sum()
    far = Looks(1000 * looks.mean, looks.weight, spread=1.0)
    assert np.ptp(score_looks(far, np.array([0, 0, 1, 1]), 2), axis=1).tolist() == [25] * 4


def test_founders_are_most_at_once_and_best_known():
    # Three at once in frames 100-129 and, longer, from 320 on: a piece that was never measured
    # does not count.
    spans = [(0, 129), (0, 129), (100, 129), (300, 699), (300, 699), (310, 699), (320, 699)]
    tracklets, _ = make_tracklets(spans, [(100 * i, 0) for i in range(7)], looks=[[0.0]] * 7)
    tracklets.looks.weight[5] = 0
    assert find_founders(tracklets, np.array([0, 1, 2, 0, 1, 2, 2])).tolist() == [
        -1, -1, -1, 0, 1, -1, 2,
    ]  # fmt: skip
    # Of rows that are there twice at once only one piece counts.
    assert find_founders(tracklets, np.array([0, 1, 2, 0, 1, 2, 1])).tolist() == [
        0, 1, 2, -1, -1, -1, -1,
    ]  # fmt: skip
    assert find_founders(tracklets, np.array([0, 1, 2, 0, 1, 2, -1])).tolist() == [
        0, 1, 2, -1, -1, -1, -1,
    ]  # fmt: skip
