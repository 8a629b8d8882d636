"""A plain tracker to compare with: centres, constant velocity, Hungarian method on distance."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def track_plainly(points: np.ndarray, *, max_age: int = 30) -> np.ndarray:
    """Track the centres of detections (F, I, K, 2) as SORT does boxes; ids (F, I), -1 = none.

    The centre is the median of the keypoints; it is looked for within a third of the usual
    diagonal of the animals' boxes. Boxes of animals in contact overlap too much to
    tell them apart: with overlap instead of distance there were several times the switches.
    Tracks live on for ``max_age`` frames once they were seen three times, else not at all.

    References
    ----------
    Bewley et al. 2016, Simple online and realtime tracking (ICIP).
    """
    there = np.isfinite(points).all(-1).any(-1)
    centres = np.zeros((*there.shape, 2))
    centres[there] = np.nanmedian(points[there], axis=1)
    box = np.nanmax(points[there], axis=1) - np.nanmin(points[there], axis=1)
    reach = float(np.median(np.linalg.norm(box, axis=-1))) / 3
    ids = np.full(there.shape, -1)
    state, spread = np.empty((0, 4)), np.empty((0, 4, 4))  # place and velocity
    move = np.eye(4) + np.eye(4, k=2)
    push = np.diag([1.0, 1, 1, 1])
    names, unseen, seen = np.empty((3, 0), int)
    born = 0
    for f in range(len(points)):
        slots = np.flatnonzero(there[f])
        state, spread, unseen = state @ move.T, move @ spread @ move.T + push, unseen + 1
        apart = np.linalg.norm(centres[f, slots] - state[:, None, :2], axis=-1)
        rows, columns = linear_sum_assignment(np.minimum(apart, reach))
        good = apart[rows, columns] < reach
        rows, columns = rows[good], columns[good]
        gain = spread[rows][:, :, :2] @ np.linalg.inv(spread[rows, :2, :2] + 16 * np.eye(2))
        surprise = centres[f, slots[columns]] - state[rows, :2]
        state[rows] += np.einsum("nij,nj->ni", gain, surprise)
        spread[rows] -= gain @ spread[rows][:, :2]
        ids[f, slots[columns]] = names[rows]
        unseen[rows], seen[rows] = 0, seen[rows] + 1
        fresh = np.delete(slots, columns)
        n = len(fresh)
        ids[f, fresh] = born + np.arange(n)
        born += n
        kept = unseen <= np.where(seen >= 3, max_age, 0)
        state = np.concatenate([state[kept], np.pad(centres[f, fresh], ((0, 0), (0, 2)))])
        first = np.tile(np.diag([16.0, 16, 100, 100]), (n, 1, 1))
        spread = np.concatenate([spread[kept], first])
        names = np.concatenate([names[kept], ids[f, fresh]])
        unseen = np.concatenate([unseen[kept], np.zeros(n, int)])
        seen = np.concatenate([seen[kept], np.ones(n, int)])
    return ids
