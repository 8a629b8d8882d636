"""What the looks of a tracklet say about who it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import Floats, Ints

#: Neighbouring frames show the same posture and the same light: of so many, one counts.
_INDEPENDENT = 40.0
#: Nats by which one look can speak for an animal at most: tracklets may hold two.
_MOST = 25.0


@dataclass(frozen=True, eq=False)
class Looks:
    """Embeddings of tracklets.

    Attributes
    ----------
    mean : float64, (T, D)
        Zero where there is none.
    weight : float64, (T,)
        Independent looks; 0 = never looked at.
    spread : float
        Variance of single looks within an animal, mean over D.
    """

    mean: Floats
    weight: Floats
    spread: float


def make_looks(sums: Floats, counts: Floats, spread: float, frames: Ints) -> Looks | None:
    """Make looks of summed embeddings.

    Parameters
    ----------
    sums : float64, (T, D)
        Sums over the frames in which they were measured.
    counts : float64, (T,)
        How many frames that were.
    spread : float
        Variance within a tracklet.
    frames : int64, (T,)
        Frames in which each tracklet was seen.

    Returns
    -------
    Looks or None
        None if nothing was measured.
    """
    if not counts.any():
        return None
    mean = sums / np.maximum(counts, 1)[:, None]
    return Looks(mean, np.minimum(counts, 1 + frames / _INDEPENDENT) * (counts > 0), spread)


def score_looks(looks: Looks, row: Ints, rows: int) -> Floats:
    """Find how well the looks of each tracklet fit those of each row without it.

    What an animal looks like is known from its row to a precision that grows with what was
    seen of it; how much animals differ is learned from the rows.

    Parameters
    ----------
    looks : Looks
        Of T tracklets.
    row : int64, (T,)
        Row of each; -1 = none.
    rows : int
        R.

    Returns
    -------
    float64, (T, R)
        Log-likelihood; 0 for what was never looked at.
    """
    seen = (row >= 0) & (looks.weight > 0)
    weight = np.bincount(row[seen], looks.weight[seen], minlength=rows)
    total = np.zeros((rows, looks.mean.shape[1]))
    np.add.at(total, row[seen], looks.weight[seen, None] * looks.mean[seen])
    known = weight > 0
    if known.sum() < 2:
        return np.zeros((len(row), rows))
    middle = (total[known] / weight[known, None]).mean(0)
    apart = np.square(total[known] / weight[known, None] - middle).mean(1).sum() / (known.sum() - 1)
    between = max(float(apart - (looks.spread / weight[known]).mean()), 1e-6 * looks.spread)
    # Without itself: otherwise every tracklet would be drawn to where it is.
    own = np.zeros((len(row), rows))
    own[seen, row[seen]] = looks.weight[seen]
    rest = np.maximum(weight - own, 0.0)
    precision = 1 / between + rest / looks.spread
    summed = total[None] - own[..., None] * looks.mean[:, None]
    expected = (middle / between + summed / looks.spread) / precision[..., None]
    variance = looks.spread / np.maximum(looks.weight, 1e-9)[:, None] + 1 / precision
    squared = np.square(looks.mean[:, None] - expected).sum(-1)
    score = -0.5 * (squared / variance + looks.mean.shape[1] * np.log(variance))
    score = np.maximum(score, score.max(1, keepdims=True) - _MOST)
    return np.where((looks.weight > 0)[:, None], score, 0.0)
