"""Peaks: local maxima of scoremaps, held against their definition."""

import numpy as np
import pytest
import torch

from mapose.decode import find_peaks


def draw_maps(seed, shape=(2, 3, 9, 12)):
    torch.manual_seed(seed)
    return torch.rand(shape), torch.zeros(shape[0], 2 * shape[1], *shape[2:])


def find_by_hand(scores, threshold, radius):
    room = ((0, 0), (0, 0), (radius, radius), (radius, radius))
    padded = np.pad(scores.numpy(), room, constant_values=-1)
    high, wide = scores.shape[2:]
    side = range(2 * radius + 1)
    around = [padded[..., y : y + high, x : x + wide] for y in side for x in side]
    return np.argwhere((scores.numpy() == np.max(around, 0)) & (scores.numpy() >= threshold))


@pytest.mark.parametrize("radius", [1, 2])
def test_all_local_maxima_are_found_and_no_other(radius):
    scores, offsets = draw_maps(0)
    found = find_peaks(scores, offsets, threshold=0.4, radius=radius)
    wanted = find_by_hand(scores, 0.4, radius)
    assert len(wanted) > 20
    rows = np.column_stack([found.frame, found.keypoint])
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(wanted[:, :2], axis=0))
    assert sorted(found.score.tolist()) == sorted(scores.numpy()[tuple(wanted.T)].tolist())
    code = found.frame * 3 + found.keypoint
    assert (code.diff() >= 0).all()


def test_the_highest_are_kept():
    scores, offsets = draw_maps(1)
    found = find_peaks(scores, offsets, threshold=0.0, most=1)
    assert found.frame.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(found.score, scores.amax(dim=(2, 3)).flatten())


def test_the_best_place_is_taken_whatever_its_score():
    scores, offsets = draw_maps(2)
    scores[0] *= 0.05
    scores[1, 0] = 0
    assert not (find_peaks(scores, offsets, threshold=0.1).frame == 0).any()
    found = find_peaks(scores, offsets, threshold=0.1, most=5, best=True)
    count = torch.bincount(found.frame * 3 + found.keypoint, minlength=6).tolist()
    # An empty map has no best place: any of its cells will do.
    assert count[:3] == [1, 1, 1] and 1 <= count[3] <= 5 and count[4] == 5
    np.testing.assert_array_equal(found.score[:3], scores[0].amax(dim=(1, 2)))
