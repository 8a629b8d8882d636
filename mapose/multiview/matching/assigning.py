"""Whose detection is whose in one frame, view by view, and how sure that is."""

from __future__ import annotations

import numpy as np

from mapose.arrays import Floats, Ints
from mapose.assignment import assign_worth
from mapose.multiview.matching.likelihood import Comparison, Scales, find_gains

#: Greatest distance in body lengths at which an animal is looked for.
_REACH = 1.5
#: How far keypoints may be from where the rest of the body puts them, in body lengths, first and
#: second round, and what one that is further away counts against one that is near.
_WIDE, _NARROW, _DOUBT = 0.2, 0.1, 0.02
#: Logarithms of odds beyond this make no difference.
_SURE = 50.0
#: The evidence of a frame is worth less than it says: animals that touch are also seen badly. On
#: crowded scenes with poor detections, names that are 99.6 % sure with this factor are right in
#: 94 % of cases; without it, 99.4 % means 65 %.
_CANDOUR = 0.5
#: Share of a chance of exchange that is left after a frame without one.
_FADING = 0.9


def score_loosely(compared: Comparison, variance: Floats, scales: Scales) -> tuple[Floats, Floats]:
    """Score tracks against detections that may have moved as a whole.

    Keypoints are compared after taking away the displacement that most of them share; the
    displacement itself costs as Student's t with two degrees of freedom.

    Parameters
    ----------
    compared : Comparison
        Tracks against detections.
    variance : float64, (T,)
        Of each body's position, along one axis.
    scales : Scales
        Sizes and noise.

    Returns
    -------
    score : float64, (V, T, S)
        Logarithm of how much likelier the detection is this animal than anything else;
        -infinity where they have nothing in common or are too far apart.
    rest : float64, (V, T, S, K, 2)
        Errors without the displacement, px.
    """
    error, common = compared.error, compared.common
    size = scales.size[:, None, None, None]
    rest, moved = error, np.zeros(())
    for width in (_WIDE, _NARROW):
        squared = np.einsum("vtskx,vtskx->vtsk", rest, rest)
        weight = np.where(common, np.exp(-squared / (2 * (width * size) ** 2)) + _DOUBT, 0)
        total = np.maximum(weight.sum(-1), 1e-12)
        moved = np.einsum("vtsk,vtskx->vtsx", weight, error) / total[..., None]
        rest = error - moved[..., None, :]
    gains, _ = find_gains(rest, compared.spread, common, scales.area)
    count = np.maximum(common.sum(-1), 1)
    magnified = np.where(common, compared.scale, 0).sum(-1) / count
    width = variance[None, :, None] * magnified**2 + (scales.noise**2)[:, None, None] / count
    far = np.einsum("vtsx,vtsx->vts", moved, moved)
    score = scales.temper * gains.sum(-1) - 2 * np.log1p(far / (2 * width))
    reach = np.maximum(_REACH * scales.size[:, None, None], 4 * np.sqrt(width))
    return np.where(common.any(-1) & (far < reach**2), score, -np.inf), rest


def assign_detections(score: Floats) -> Ints:
    """Match tracks with detections in each view at greatest total score.

    Parameters
    ----------
    score : float64, (V, T, S)
        Logarithms of odds; what is not above 0 is not matched.

    Returns
    -------
    int64, (V, T)
        Slot of each track; -1 = none.
    """
    slots = np.full(score.shape[:2], -1)
    for v in np.flatnonzero((score > 0).any((1, 2))):
        rows, columns = assign_worth(score[v])
        slots[v, rows] = columns
    return slots


def find_certainty(score: Floats, slots: Ints) -> tuple[Floats, Floats]:
    """Find how sure the matches of a frame are.

    Parameters
    ----------
    score : float64, (V, T, S)
        Logarithms of odds.
    slots : int64, (V, T)
        Slot of each track; -1 = none.

    Returns
    -------
    certainty : float64, (V, T)
        Probability of each match, against the track's exchange with any other one or with a
        detection that nobody has, in this view.
    exchange : float64, (V, T, T)
        Probability that two tracks have each other's detection in this view, were they the only
        ones; NaN where neither has one.
    """
    v, t, s = score.shape
    # A column more: a track that gets nothing.
    worth = np.concatenate([np.maximum(score, -_SURE), np.zeros((v, t, 1))], axis=-1)
    index = np.where(slots >= 0, slots, s)
    mine = np.take_along_axis(worth, index[..., None], axis=-1)[..., 0]
    views, rows = np.arange(v)[:, None, None], np.arange(t)
    swapped = worth[views, rows[:, None], index[:, None, :]]  # each track with each one's slot
    change = swapped + swapped.transpose(0, 2, 1) - mine[:, :, None] - mine[:, None, :]
    either = (slots >= 0)[:, :, None] | (slots >= 0)[:, None, :]
    change = np.clip(change, -_SURE, _SURE)
    exchange = np.where(either, 1 / (1 + np.exp(-change)), np.nan)
    exchange[:, rows, rows] = 0
    change[:, rows, rows] = -np.inf
    change *= _CANDOUR
    taken = np.zeros((v, s), bool)
    w, u = np.nonzero(slots >= 0)
    taken[w, slots[w, u]] = True
    alone = np.where(taken[:, None], -np.inf, worth[..., :-1]) - mine[..., None]
    alone *= _CANDOUR
    odds = np.exp(change).sum(-1) + np.exp(np.minimum(alone, _SURE)).sum(-1)
    return 1 / (1 + odds), exchange


class Hazards:
    """Remember how easily tracks could have changed places, view by view.

    Animals that cross are often exchanged in one view a few frames before they are in another
    one. The hazard of a frame is therefore the product over the views of the greatest chance
    of late, which fades.
    """

    def __init__(self) -> None:
        self._ids: Ints = np.empty(0, np.int64)
        self._recent: Floats = np.empty((0, 0, 0))

    def update(self, ids: Ints, exchange: Floats) -> Floats:
        """Take in a frame's chances (V, T, T) of tracks (T,); gives the hazard of each, (T,)."""
        if not np.array_equal(ids, self._ids):
            recent = np.zeros(exchange.shape)
            kept, now, before = np.intersect1d(ids, self._ids, return_indices=True)
            if len(kept):
                recent[:, now[:, None], now] = self._recent[:, before[:, None], before]
            self._ids, self._recent = ids, recent
        self._recent = np.fmax(_FADING * self._recent, exchange)
        return np.asarray(self._recent.prod(0).max(-1, initial=0))
