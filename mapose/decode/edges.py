"""Which pairs of keypoints should be joined by an affinity field: proposed, then chosen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

Matrix = npt.NDArray[np.float64]


def propose_edges(
    points: npt.NDArray[np.floating],
    *,
    edges: Iterable[tuple[int, int]] = (),
    most: int | None = None,
) -> list[tuple[int, int]]:
    """x."""
    cost = _find_costs(points)
    count = len(cost)
    most = 2 * count if most is None else most
    joined = np.zeros((count, count), bool)
    chosen = [(int(i), int(j)) for i, j in edges]
    for i, j in chosen:
        joined[i, j] = joined[j, i] = True
    tree = minimum_spanning_tree(np.where(joined, 1e-9, cost)).tocoo()
    new = [(i, j) for i, j in zip(tree.row, tree.col) if not joined[i, j]]
    def add(i, j):
        i, j = sorted((int(i), int(j)))
        joined[i, j] = joined[j, i] = True
        chosen.append((i, j))
    for i, j in new:
        add(i, j)
    while len(chosen) < most:
        best = None
        for k in range(count):
            rest = np.flatnonzero(np.arange(count) != k)
            n, part = connected_components(joined[np.ix_(rest, rest)], directed=False)
            if n > 1:
                c = np.where(part[:, None] != part, cost[np.ix_(rest, rest)], np.inf)
                at = np.unravel_index(c.argmin(), c.shape)
                if best is None or c[at] < best[0]:
                    best = (c[at], rest[at[0]], rest[at[1]])
        if best is None or not np.isfinite(best[0]):
            break
        add(best[1], best[2])
    return chosen

def _find_costs(points):
    p = np.asarray(points, float)
    gap = np.linalg.norm(p[..., :, None, :] - p[..., None, :, :], axis=-1).reshape(-1, p.shape[2], p.shape[2])
    low, mid, high = np.nanpercentile(gap, [10, 50, 90], axis=0)
    return mid + (high - low)
