"""Gated assignment: who goes with whom, and who stays alone."""

from __future__ import annotations

import numpy as np

from mapose.arrays import AnyFloats, Ints


def assign(cost: AnyFloats, gate: float = np.inf) -> tuple[Ints, Ints]:
    """Match rows with columns at least total cost, leaving bad pairs unmatched.

    A pair is allowed if its cost is finite and at most ``gate``. As many allowed pairs as
    possible are made; among those matchings the cheapest is taken.

    Parameters
    ----------
    cost : float, (N, M)
        Cost of each pair; NaN or infinite = forbidden.
    gate : float
        Largest acceptable cost.

    Returns
    -------
    rows, columns : int64, (P,)
        The matched pairs, rows ascending.

    References
    ----------
    Hungarian method in the shortest-augmenting-path form of Crouse 2016 (IEEE TAES 52:1679),
    as in `scipy.optimize.linear_sum_assignment`.

    Examples
    --------
    >>> rows, columns = assign(np.array([[1.0, 9.0], [2.0, 9.0]]), gate=5)
    >>> rows.tolist(), columns.tolist()
    ([0], [0])
    """
    # Half a second to load, and most results have nobody to be assigned.
    from scipy.optimize import linear_sum_assignment

    cost = np.asarray(cost, dtype=np.float64)
    allowed = np.isfinite(cost) & (cost <= gate)
    if not allowed.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    low, high = cost[allowed].min(), cost[allowed].max()
    # One forbidden pair must cost more than any change among the allowed ones could save.
    forbidden = (high - low + 1.0) * (min(cost.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(allowed, cost - low, forbidden))
    keep = allowed[rows, columns]
    return rows[keep], columns[keep]


def assign_worth(worth: AnyFloats | Ints) -> tuple[Ints, Ints]:
    """Match rows with columns at greatest total worth; what is worth nothing stays alone.

    Parameters
    ----------
    worth : float or int, (N, M)
        Gain of each pair, finite; a pair of 0 or less is not made.

    Returns
    -------
    rows, columns : int64, (P,)
        The matched pairs, rows ascending.

    Examples
    --------
    >>> rows, columns = assign_worth(np.array([[3, 2], [2, 0]]))
    >>> rows.tolist(), columns.tolist()
    ([0, 1], [1, 0])
    """
    from scipy.optimize import linear_sum_assignment

    worth = np.maximum(worth, 0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    keep = worth[rows, columns] > 0
    return rows[keep], columns[keep]
