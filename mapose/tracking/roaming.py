"""How far animals get while nobody looks: learned from those that are seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import Floats, Ints

#: Gaps, in frames, at which it is measured; between and beyond them it follows power laws.
LAGS = 2 ** np.arange(1, 10)
#: What is expected without any measurement: so many body sizes at once, and so many more per
#: sqrt(frame).
START, _DIFFUSION = 0.25, 0.4
#: So many measurements weigh as much as that expectation.
_PRIOR = 20.0
#: Squared displacement, in squared body sizes, that is as good as none.
_STILL = 1e-3


@dataclass(frozen=True, eq=False)
class Roaming:
    """Distribution of the mean squared displacement of keypoints in a gap: log-logistic.

    Attributes
    ----------
    middle : float64, (L,)
        Logarithm of its median at each of `LAGS`.
    shape : float64, (L,)
        Exponent; 1 or less, the smaller the heavier the tails.

    Notes
    -----
    An animal that rests and runs by turns has no typical displacement: a normal distribution
    would take every run for another animal. With shape 1 this is Student's t with two degrees
    of freedom in the plane.
    """

    middle: Floats
    shape: Floats

    def score(self, gap: Floats, squared: Floats, size: float) -> Floats:
        """Find how unlikely displacements are.

        Parameters
        ----------
        gap : float64, (N,)
            Frames, 1 or more.
        squared : float64, (N,)
            Mean squared displacement of keypoints.
        size : float
            Body size, in the same unit.

        Returns
        -------
        float64, (N,)
            Cost in nats; about 0 for going on in place.
        """
        at = np.log(gap)
        lags = np.log(LAGS)
        middle = np.interp(at, lags, self.middle)
        slope = np.clip((self.middle[-1] - self.middle[-3]) / (lags[-1] - lags[-3]), 0, 2)
        middle += slope * np.maximum(at - lags[-1], 0)
        middle = np.maximum(middle, np.log(2 * (START * size) ** 2))
        shape = np.interp(at, lags, self.shape)
        ratio = np.log(squared + _STILL * size**2) - middle
        cost = middle - np.log(shape) + (1 - shape) * ratio + 2 * np.logaddexp(0, shape * ratio)
        return np.asarray(cost - np.log(2 * (START * size) ** 2))


def find_moves(between: Floats) -> tuple[Floats, Floats]:
    """Tell how bodies moved from how their keypoints moved within them.

    Parameters
    ----------
    between : float64, (N, K, d)
        Displacements of keypoints; NaN = missing before or after.

    Returns
    -------
    moved : float64, (N, d)
        Of the body; NaN where no keypoint is known.
    stirred : float64, (N,)
        Mean squared displacement of the keypoints within it; 0 where none is known.
    """
    common = np.asarray(np.isfinite(between).all(-1))
    count = common.sum(1)
    between = np.where(common[..., None], between, 0.0)
    moved = between.sum(1) / np.maximum(count, 1)[:, None]
    squared = np.square(between).sum((1, 2)) / np.maximum(count, 1)
    stirred = np.maximum(squared - np.square(moved).sum(-1), 0.0)
    return np.where(count[:, None], moved, np.nan), stirred


class RoamingMeter:
    """Measures displacements, chunk by chunk, the same however a recording is cut."""

    def __init__(self) -> None:
        self._sums = np.zeros((len(LAGS), 3))  # number, sum, sum of squares of the logarithm
        self._last: list[tuple[Ints, Ints, Floats, Floats]] = []

    def add(self, who: Ints, when: Ints, poses: Floats, areas: Floats) -> None:
        """Take in the next run of frames.

        Parameters
        ----------
        who, when : int64, (N,)
            Tracklet and frame.
        poses : float64, (N, K, d)
            Where it was; NaN = missing.
        areas : float64, (N,)
            Of the boxes around them; NaN or 0 = not measurable.
        """
        floor = _STILL * np.where(areas > 0, areas, np.inf)
        now = int(when.max()) if len(when) else 0
        for n, lag in enumerate(LAGS.tolist()):
            rows = when % lag == 0
            w, t, p, least = who[rows], when[rows], poses[rows], floor[rows]
            if len(self._last) > n:
                before = self._last[n]
                w, t = np.concatenate([before[0], w]), np.concatenate([before[1], t])
                p, least = np.concatenate([before[2], p]), np.concatenate([before[3], least])
            order = np.lexsort((t, w))
            w, t, p, least = w[order], t[order], p[order], least[order]
            follow = (np.diff(w) == 0) & (np.diff(t) == lag)
            moved, stirred = find_moves(p[1:][follow] - p[:-1][follow])
            squared = np.square(moved).sum(-1) + stirred
            usable = np.isfinite(least[1:][follow] + squared)
            logs = np.log(squared[usable] + least[1:][follow][usable])
            self._sums[n] += len(logs), logs.sum(), np.square(logs).sum()
            kept = np.append(np.diff(w) != 0, True)[: len(w)] & (t > now - lag)
            self._last[n : n + 1] = [(w[kept], t[kept], p[kept], least[kept])]

    def find(self, size: float) -> Roaming:
        """Find the distribution, given the usual size of a body."""
        number, total, squares = self._sums.T
        expected = np.log(2) + 2 * np.log((START + _DIFFUSION * np.sqrt(LAGS - 1)) * size)
        weight = number + _PRIOR
        middle = (total + _PRIOR * expected) / weight
        # The variance of the logarithm of a log-logistic variable is (pi / shape)^2 / 3.
        known = np.maximum(number, 1)
        variance = squares / known - np.square(total / known)
        usual = np.pi**2 / 3
        variance = (number * np.maximum(variance, usual) + _PRIOR * usual) / weight
        return Roaming(np.maximum.accumulate(middle), np.sqrt(usual / variance))
