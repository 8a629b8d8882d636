"""Mistakes that are no matter of distance."""

import numpy as np
import pytest

from mapose.metrics import find_presence, find_side_errors
from mapose.metrics.mistakes import find_rates
from mapose.skeleton import Skeleton

FLY = Skeleton(["head", "wingL", "wingR"], mirror=[("wingL", "wingR")])


def test_only_what_is_nearer_to_the_other_side_is_confused():
    truth = np.tile(np.array([[0.0, 0], [10, 5], [10, -5]]), (3, 1, 1, 1))
    found = truth + [0.0, 4.0]  # off, but no swap
    found[1] = truth[1][:, [0, 2, 1]]
    found[2, :, 1] = np.nan
    errors = find_side_errors(truth, found, FLY)
    assert errors.pairs == (("wingL", "wingR"),)
    assert errors.compared.tolist() == [5] and errors.confused.tolist() == [2]
    assert errors.to_dict()["confused"] == pytest.approx(0.4)
    alone = find_side_errors(truth[:, :, :1], found[:, :, :1], Skeleton(["head"]))
    assert np.isnan(alone.share) and "nothing" in str(alone)


def test_absent_counts_where_it_was_looked_for_on_animals_that_are_there():
    truth = np.zeros((3, 2, 2, 2))
    truth[0, 0, 1] = np.nan  # absent
    truth[1, 0, 1] = np.nan  # nobody looked
    truth[1, 1] = truth[2] = np.nan  # an animal that is not there; an empty frame
    known = np.array([[True, True], [True, False], [True, True]])
    sure = np.array([[[0.9, 0.7], [0.9, 0.2]], [[0.9, 0.9], [0, 0]], [[0, 0], [0, 0]]])
    found = sure.copy()
    found[2, 0] = 0.3
    seen = find_presence(truth, sure, known=known, found=found, keypoints=("a", "b"), cutoff=0.6)
    assert seen.visible.tolist() == [3, 1] and seen.shown.tolist() == [3, 0]
    assert seen.absent.tolist() == [0, 1] and seen.hidden.tolist() == [0, 0]
    assert (seen.empty, seen.quiet) == (1, 1)
    assert seen.to_dict()["shown"] == 0.75 and seen.to_dict()["said_absent"] == 0
    shown, hidden = find_rates(truth, sure, known=known, cutoffs=np.array([0, 0.6, 0.8]))
    np.testing.assert_allclose(shown, [1, 0.75, 0.75])
    np.testing.assert_allclose(hidden, [0, 0, 1])
