"""Join the tracklets of a long recording window by window, in the memory of one window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mapose.tracking.tracklets import Tracklets

#: New tracklets of a window, and how many of its last are decided again in the next one.
WINDOW, OVERLAP = 4000, 1000


def solve_in_windows(
    tracklets: Tracklets,
    solve: Callable[[Tracklets], list[list[int]]],
    horizon: float | None,
) -> list[list[int]]:
    """Find the paths through all tracklets, some thousand at a time.

    What a window joined before its overlap is one row of the next, which may still prolong
    it, or drop it for a better one.

    Parameters
    ----------
    tracklets : Tracklets
        In the order of their first frames.
    solve : function of Tracklets
        Gives paths, as lists of rows.
    horizon : float, optional
        Frames after which a path cannot go on any more; it need not be carried along then.

    Returns
    -------
    list of list of int
        Rows of ``tracklets`` of each individual, in time.
    """
    done: list[list[int]] = []
    taken = min(WINDOW, len(tracklets))
    chains = [[j] for j in range(taken)]
    while True:
        rows = merge_chains(tracklets, chains)
        paths = solve(rows)
        if taken == len(tracklets):
            return done + [[j for k in path for j in chains[k]] for path in paths]
        line = int(tracklets.first[taken - OVERLAP])
        used = {k for path in paths for k in path}
        kept = [chains[k] for k in range(len(chains)) if k not in used and rows.last[k] >= line]
        for path in paths:
            for former, k in zip([None, *path], path, strict=False):
                if former is None or rows.first[k] >= line:
                    kept.append(list(chains[k]))
                else:
                    kept[-1] += chains[k]
            if horizon is not None and rows.last[path[-1]] < line - horizon:
                done.append(kept.pop())
        fresh = range(taken, min(taken + WINDOW, len(tracklets)))
        chains = sorted([*kept, *([j] for j in fresh)])
        taken += len(fresh)


def merge_chains(tracklets: Tracklets, chains: list[list[int]]) -> Tracklets:
    """Make one row of each chain of tracklets."""
    a = np.array([chain[0] for chain in chains], np.int64)
    z = np.array([chain[-1] for chain in chains], np.int64)
    starts = np.cumsum([0, *(len(chain) for chain in chains[:-1])])
    flat = np.array([j for chain in chains for j in chain], np.int64)
    weight = np.where(np.isfinite(tracklets.size), tracklets.n, 0)[flat]
    total = np.add.reduceat(weight, starts)
    size = np.add.reduceat(weight * np.nan_to_num(tracklets.size[flat]), starts)
    return replace(
        tracklets,
        ids=tracklets.ids[a],
        ends=tracklets.ends[z],
        first=tracklets.first[a],
        last=np.maximum.reduceat(tracklets.last[flat], starts),
        n=np.add.reduceat(tracklets.n[flat], starts),
        score=np.add.reduceat(tracklets.score[flat], starts),
        size=np.where(total > 0, size / np.maximum(total, 1), np.nan),
        head=tracklets.head[a],
        tail=tracklets.tail[z],
        velocity=np.stack([tracklets.velocity[a, 0], tracklets.velocity[z, 1]], axis=1),
        looks=None,
    )
