"""Stretches of a recording in which it is certain who is who: between contacts."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from mapose.arrays import AnyFloats, Bools, Ints

#: Rows that an animal may be missing without a stretch ending; at 25 frames/s a fifth of a second.
_GAP = 5


def find_near(points: AnyFloats, reach: float) -> Bools:
    """Find when animals are close to another one.

    Parameters
    ----------
    points : float, (F, I, K, 2)
        Poses in pixels; NaN = missing.
    reach : float
        Pixels between two keypoints of different animals that count as close.

    Returns
    -------
    bool, (F, I)

    Examples
    --------
    >>> find_near(np.array([[[[0.0, 0]], [[3, 4]], [[50, 0]]]]), 6).tolist()
    [[True, True, False]]
    """
    near = np.zeros(points.shape[:2], bool)
    low, high = np.fmin.reduce(points, axis=2), np.fmax.reduce(points, axis=2)
    for a, b in combinations(range(points.shape[1]), 2):
        # Boxes first: most pairs are far apart most of the time.
        apart = np.maximum(low[:, a] - high[:, b], low[:, b] - high[:, a])
        rows = np.flatnonzero((apart < reach).all(-1))
        gap = points[rows, a, :, None] - points[rows, b, None]
        close = (np.einsum("fkld,fkld->fkl", gap, gap) < reach**2).any((1, 2))
        near[rows[close, None], [[a, b]]] = True
    return near


def find_pieces(found: Bools, near: Bools, *, gap: int = _GAP) -> Ints:
    """Find the stretches in which nothing came between an animal and its name.

    Parameters
    ----------
    found, near : bool, (F, I)
        When animals were found, and when they were close to another one.
    gap : int
        A stretch ends where the animal is missing for more rows than this.

    Returns
    -------
    int64, (F, I)
        Number of the stretch, -1 where the animal was not found or not alone.

    Examples
    --------
    >>> near = np.array([[0], [0], [1], [0]], bool)
    >>> find_pieces(np.ones((4, 1), bool), near)[:, 0].tolist()
    [0, 0, -1, 1]
    """
    stretches = np.full(found.shape, -1, np.int64)
    count = 0
    met = np.cumsum(near, axis=0)
    for i in range(found.shape[1]):
        rows = np.flatnonzero(found[:, i] & ~near[:, i])
        begins = (np.diff(rows) > gap + 1) | (np.diff(met[rows, i]) > 0)
        stretches[rows, i] = count + np.append(0, np.cumsum(begins))[: len(rows)]
        count = int(stretches.max()) + 1
    return stretches


def choose_rows(stretches: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Choose rows spread over a recording, in which many animals are alone.

    Parameters
    ----------
    stretches : int64, (F, I)
        From `find_pieces`.
    count : int
        How many rows at most.
    rng : numpy.random.Generator
        Chooses among equals.

    Returns
    -------
    int64, (N,)
        Ascending; rows without any animal alone are never chosen.
    """
    alone = (stretches >= 0).sum(1)
    useful = np.flatnonzero(alone)
    if len(useful) <= count:
        return useful
    merit = alone[useful] + rng.random(len(useful))
    parts = np.array_split(np.arange(len(useful)), count)
    return np.array([useful[part[merit[part].argmax()]] for part in parts])


def find_groups(stretches: Ints, animals: Ints, *, apart: bool) -> tuple[Ints, Bools]:
    """Find which animals of some rows are the same one, and which certainly are not.

    Parameters
    ----------
    stretches : int64, (N, I)
        From `find_pieces`.
    animals : int64, (N, I)
        Animal that each is known to be; -1 = not known.
    apart : bool
        Whether two animals that are known are two even if they are never there together.

    Returns
    -------
    groups : int64, (N, I)
        A group is a stretch, or all stretches of an animal where that is known; -1 = nobody alone.
    different : bool, (G, G)
        As from `find_strangers`.

    Examples
    --------
    >>> groups, different = find_groups(
    ...     np.array([[0, 3], [1, 3]]), np.array([[7, -1], [7, -1]]), apart=False
    ... )
    >>> groups.tolist(), different.tolist()
    ([[1, 0], [1, 0]], [[False, True], [True, False]])
    """
    known = (stretches >= 0) & (animals >= 0)
    count = int(stretches.max(initial=-1)) + 1
    marked = np.append(np.where(known, count + animals, stretches).ravel(), -1)
    numbers, flat = np.unique(marked, return_inverse=True)
    groups = np.asarray(flat[:-1].reshape(stretches.shape) - 1, np.int64)
    different = find_strangers(groups)
    if apart:
        named = numbers[1:] >= count
        different |= named & named[:, None] & ~np.eye(len(named), dtype=bool)
    return groups, different


def find_strangers(groups: Ints) -> Bools:
    """Find which groups cannot be the same animal: those that were there at the same time.

    Parameters
    ----------
    groups : int64, (F, I)
        Number of the group, 0 to G - 1, of each animal in each frame; -1 = none.

    Returns
    -------
    bool, (G, G)
        Symmetric; never True on the diagonal.
    """
    count = int(groups.max(initial=-1)) + 1
    different = np.zeros((count, count), bool)
    for a, b in combinations(range(groups.shape[1]), 2):
        both = (groups[:, a] >= 0) & (groups[:, b] >= 0)
        different[groups[both, a], groups[both, b]] = True
    different |= different.T
    np.fill_diagonal(different, False)
    return different
