"""Arrays with a row for each frame hold what was written, in memory and in a file."""

import numpy as np
import pytest

from mapose.shelf import Shelf, cut_blocks


@pytest.mark.parametrize("most", [0, 100, 500, 1 << 24])
def test_rows_in_a_file_are_those_of_an_array(tmp_path, monkeypatch, rng, most):
    monkeypatch.setattr("mapose.shelf._MOST", most)
    values = rng.normal(size=(50, 3, 2))
    with Shelf(tmp_path) as shelf:
        rows, pile = shelf.make(50, (3, 2), np.float64), shelf.pile((3, 2), np.float64)
        assert not rows[3:9].any() and len(rows) == 50 and len(pile) == 0
        assert pile[0:5].shape == (0, 3, 2)
        for part in (slice(0, 7), slice(7, 7), slice(7, 29), slice(29, 30), slice(30, 31)):
            rows[part] = values[part]
            pile.append(values[part])
        np.testing.assert_array_equal(rows[5:31], values[5:31])
        np.testing.assert_array_equal(pile[5:40], values[5:31])
        pile.append(values[31:])  # after it was read
        np.testing.assert_array_equal(pile[:], values)
        assert len(pile) == 50 and not rows[31:].any()
        assert list(tmp_path.iterdir()) == []  # the files have no names


def test_blocks_cover_all_rows_once():
    blocks = list(cut_blocks(10, 1_500_000))
    assert [n for rows in blocks for n in range(rows.start, rows.stop)] == list(range(10))
    assert max(rows.stop - rows.start for rows in blocks) == 2
    assert list(cut_blocks(0, 5)) == [] and list(cut_blocks(3, 10**9)) == [
        slice(n, n + 1) for n in range(3)
    ]
