"""Which detections are of whom, by the truth: for tests and benchmarks of names across views."""

from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from mapose.similarity import find_distances


def name_rows(exact, found, order):
    """Put detections into the rows of the animals they are nearest to, in this order."""
    nearest = find_nearest(found, exact)
    array = np.full(exact.array.shape, np.nan, np.float32)
    frame, slot = np.nonzero(nearest >= 0)
    array[frame, nearest[frame, slot]] = found.array[frame, slot]
    return replace(exact, array=array[:, order], individuals=[f"t{i}" for i in range(len(order))])


def find_nearest(found, exact, reach=15):
    """Find the true animal of each detection (F, I); -1 = none within reach px."""
    gap = find_distances(found.points, exact.points)
    common = np.isfinite(gap)
    mean = np.where(common, np.minimum(np.nan_to_num(gap), 2 * reach), 0).sum(-1)
    mean = np.where(common.any(-1), mean / np.maximum(common.sum(-1), 1), np.inf)
    return np.where(mean.min(-1) < reach, mean.argmin(-1), -1)


def find_right(matched, truth):
    """Find which names are right, given the best names overall: {camera: (right, counted)}."""
    animals = next(iter(truth.values())).array.shape[1]
    rows = next(iter(matched.values())).array.shape[1]
    near = {name: find_nearest(matched[name], truth[name]) for name in truth}
    votes = np.zeros((rows, animals))
    for nearest in near.values():
        for row in range(rows):
            votes[row] += np.bincount(nearest[nearest[:, row] >= 0, row], minlength=animals)
    who = np.full(rows, -2)
    row, animal = linear_sum_assignment(votes, maximize=True)
    who[row] = animal
    return {name: (nearest == who, nearest >= 0) for name, nearest in near.items()}
