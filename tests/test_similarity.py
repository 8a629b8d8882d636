import numpy as np
import pytest

from mapose.assignment import assign
from mapose.grid import round_up, to_cells, to_pixels
from mapose.similarity import find_areas, find_distances, find_lengths, find_oks

SQUARE = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])


def test_distances_on_a_triangle():
    gap = find_distances(SQUARE[None], SQUARE[None] + [3, 4])
    assert gap.shape == (1, 1, 4) and (gap == 5).all()


def test_oks_is_one_for_equals_and_follows_its_formula():
    assert find_oks(SQUARE[None], SQUARE[None]) == 1
    found = find_oks(SQUARE[None], SQUARE[None] + [3, 4], sigma=0.1)
    assert found[0, 0] == pytest.approx(np.exp(-25 / (2 * 100 * 0.04)))


def test_missing_keypoints_count_where_the_truth_has_them():
    half = SQUARE.copy()
    half[2:] = np.nan
    assert find_oks(SQUARE[None], half[None]) == 0.5
    assert find_oks(half[None], SQUARE[None], areas=np.array([100.0])) == 1
    nothing = np.full((1, 4, 2), np.nan)
    assert np.isnan(find_oks(nothing, SQUARE[None]))
    assert find_oks(SQUARE[None], nothing) == 0


def test_areas_and_lengths():
    assert find_areas(SQUARE) == 100 and find_lengths(SQUARE) == pytest.approx(np.sqrt(200))
    line = np.array([[0.0, 0], [40, 0]])
    assert find_areas(line) == 160 and find_lengths(line) == 40
    lone = np.array([[5.0, 5], [np.nan, np.nan]])
    assert np.isnan(find_areas(lone)) and np.isnan(find_lengths(lone))


def test_assignment_prefers_more_pairs_then_cheaper_ones():
    cost = np.array([[1.0, 2.0], [1.5, np.nan]])
    rows, columns = assign(cost)
    assert list(zip(rows, columns, strict=True)) == [(0, 1), (1, 0)]
    rows, columns = assign(cost, gate=1.2)
    assert list(zip(rows, columns, strict=True)) == [(0, 0)]
    assert not len(assign(np.full((3, 2), np.inf))[0]) and not len(assign(np.empty((0, 4)))[0])


def test_assignment_ignores_order(rng):
    cost = rng.uniform(0, 1, (6, 5))
    shuffle = rng.permutation(6)
    rows, columns = assign(cost, 0.7)
    again, others = assign(cost[shuffle], 0.7)
    assert set(zip(rows, columns, strict=True)) == set(zip(shuffle[again], others, strict=True))


def test_cells_and_pixels_are_inverse(rng):
    pixels = rng.uniform(-5, 1000, (20, 2))
    for pitch in (1.0, 2.0, 7.5):
        np.testing.assert_allclose(to_pixels(to_cells(pixels, pitch), pitch), pixels)
    # The first cell covers the first `pitch` pixels: its centre is theirs.
    assert to_pixels(0.0, 8) == np.arange(8).mean()
    assert round_up(64, 32) == 64 and round_up(65, 32) == 96
