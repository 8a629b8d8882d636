"""Whose the detections are, where a network knows animals by name: for tracking, and for names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from mapose.arrays import Floats, Singles
from mapose.poses import Peaks, Poses

#: Neighbouring frames show the same posture and the same light: of so many, one counts.
_INDEPENDENT = 40.0


def carry_marks(first: Peaks, refined: Peaks) -> Peaks:
    """Give refined peaks what the first stage said of the nearest of its own of that keypoint."""
    if first.marks is None:
        return refined
    unknown = np.float32(-np.log(first.marks.shape[1]))
    marks = np.full((len(refined), first.marks.shape[1]), unknown, np.float32)
    for row in range(len(refined)):
        near = np.flatnonzero(
            (first.frame == refined.frame[row]) & (first.keypoint == refined.keypoint[row])
        )
        if len(near):
            gap = np.square(first.xy[near] - refined.xy[row]).sum(1)
            marks[row] = first.marks[near[gap.argmin()]]
    return replace(refined, marks=marks)


def collect_marks(peaks: Peaks, poses: Poses, names: int) -> Singles:
    """Find whose each assembled animal is.

    Parameters
    ----------
    peaks : Peaks
        Of F frames, with marks.
    poses : Poses
        Assembled of them, (F, I, K).
    names : int
        A animals are known by name.

    Returns
    -------
    float32, (F, I, A)
        Probabilities; the keypoints of an animal count as one look at it, weighted by their score.
        NaN where there is nobody.
    """
    total = np.zeros((*poses.array.shape[:2], names))
    weight = np.zeros(poses.array.shape[:2])
    if peaks.marks is not None:
        there = poses.points[peaks.frame, :, peaks.keypoint] == peaks.xy[:, None]
        row, slot = np.nonzero(there.all(-1))
        at = (peaks.frame[row], slot)
        np.add.at(total, at, peaks.score[row, None] * peaks.marks[row])
        np.add.at(weight, at, peaks.score[row])
    with np.errstate(invalid="ignore"):
        odds = np.exp(total / np.where(weight > 0, weight, np.nan)[..., None])
    return (odds / odds.sum(-1, keepdims=True)).astype(np.float32)


def name_rows(
    evidence: Floats, names: tuple[str, ...], rows: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Give tracks the names of animals, each to one of them.

    Parameters
    ----------
    evidence : float64, (R, A)
        Sum over frames of the logarithm of each probability.
    names : tuple of str, (A,)
        Of the animals.
    rows : tuple of str, (R,)
        What tracks are called that get no name.

    Returns
    -------
    names : tuple of str, (R,)
    sure : tuple of float, (R,)
        Probability that it is right: against the best way to name all that differs in it.

    Examples
    --------
    >>> labels, sure = name_rows(np.array([[-400.0, -40], [-40, -400]]), ("ann", "bob"), ("t", "u"))
    >>> labels, round(sure[0], 3)
    (('bob', 'ann'), 1.0)
    """
    worth = np.nan_to_num(evidence / _INDEPENDENT)
    row, column = linear_sum_assignment(worth, maximize=True)
    best = worth[row, column].sum()
    labels, sure = list(rows), [1.0] * len(rows)
    for r, c in zip(row.tolist(), column.tolist(), strict=True):
        other = worth.copy()
        other[r, c] = worth.min() - 1e6
        away, to = linear_sum_assignment(other, maximize=True)
        rest = other[away, to].sum()
        labels[r] = names[c]
        # With one animal and one name there is no other way.
        sure[r] = float(1 / (1 + np.exp(np.clip(rest - best, -700, 700))))
    return tuple(labels), tuple(sure)
