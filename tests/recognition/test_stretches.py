import numpy as np

from mapose.recognition.stretches import (
    choose_rows,
    find_groups,
    find_near,
    find_pieces,
    find_strangers,
)


def test_near_is_the_distance_of_keypoints(rng):
    points = rng.uniform(0, 200, (300, 4, 5, 2))
    points[rng.random(points.shape[:3]) < 0.1] = np.nan
    points[:20, 2] = np.nan
    gaps = np.linalg.norm(points[:, :, None, :, None] - points[:, None, :, None], axis=-1)
    gaps[:, range(4), range(4)] = np.nan
    wanted = (gaps < 12).any((2, 3, 4))
    found = find_near(points, 12)
    assert np.array_equal(found, wanted) and 0.2 < found.mean() < 0.98
    assert not found[:20, 2].any()


def test_pieces_end_at_contacts_and_long_absences():
    found, near = np.ones((40, 2), bool), np.zeros((40, 2), bool)
    near[10:12, 0] = True
    found[20:23, 0] = False  # short
    found[30:38, 0] = False  # long
    pieces = find_pieces(found, near, gap=5)
    first = pieces[:, 0]
    assert (first[:10] == 0).all() and (first[10:12] == -1).all() and (first[12:20] == 1).all()
    assert (first[20:23] == -1).all() and (first[23:30] == 1).all() and (first[38:] == 2).all()
    assert (pieces[:, 1] == 3).all()
    alone = find_pieces(np.ones((3, 1), bool), np.zeros((3, 1), bool), gap=-1)
    assert alone[:, 0].tolist() == [0, 1, 2]
    assert (find_pieces(np.zeros((4, 2), bool), near[:4]) == -1).all()


def test_rows_are_spread_and_prefer_many_animals(rng):
    pieces = np.full((1000, 3), -1)
    pieces[::2, 0] = 0
    pieces[::10] = 1
    rows = choose_rows(pieces, 50, rng)
    assert len(rows) == 50 and (np.diff(rows) > 0).all() and np.diff(rows).max() <= 40
    assert (pieces[rows] >= 0).all()
    assert choose_rows(pieces, 5000, rng).tolist() == list(range(0, 1000, 2))
    assert len(choose_rows(np.full((5, 2), -1), 3, rng)) == 0


def test_who_is_there_together_is_different():
    groups = np.array([[0, 1, -1], [0, -1, 2], [3, -1, 2]])
    different = find_strangers(groups)
    assert np.array_equal(different, different.T)
    assert np.argwhere(np.triu(different)).tolist() == [[0, 1], [0, 2], [2, 3]]
    assert find_strangers(np.full((4, 2), -1)).shape == (0, 0)


def test_pieces_of_a_known_animal_are_one_group():
    pieces = np.array([[0, 2, -1], [0, 2, -1], [-1, 3, 5], [1, 3, 5]])
    owners = np.array([[4, -1, 6], [-1, -1, 6], [4, 7, 6], [4, 7, 6]])
    groups, different = find_groups(pieces, owners, apart=False)
    assert groups[0, 0] == groups[3, 0] != groups[1, 0]  # not known in the second row
    assert groups[2, 1] == groups[3, 1] != groups[0, 1]
    assert (groups[[0, 1, 2], [2, 2, 0]] == -1).all()  # nobody alone
    first, second, third = groups[3]
    assert different[first, second] and different[second, third] and not different.diagonal().any()
    # Met only under another name: one animal or two is open, unless it is said.
    pieces, owners = np.array([[0, -1], [-1, 1]]), np.array([[4, -1], [-1, 6]])
    for apart in (False, True):
        groups, different = find_groups(pieces, owners, apart=apart)
        assert different[groups[0, 0], groups[1, 1]] == apart
