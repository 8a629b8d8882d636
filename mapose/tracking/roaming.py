"""How far animals get while nobody looks: learned from those that are seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
    """Distribution of the squared displacement in a gap: log-logistic.

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
            Squared displacement.
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


class RoamingMeter:
    """Measures displacements, chunk by chunk, the same however a recording is cut."""

    def __init__(self) -> None:
        self._sums = np.zeros((len(LAGS), 3))  # number, sum, sum of squares of the logarithm
        self._last: list[tuple[Ints, Ints, Floats, Floats]] = []

    def add(self, who: Ints, when: Ints, centres: Floats, areas: Floats) -> None:
        """Take in the next run of frames.

        Parameters
        ----------
        who, when : int64, (N,)
            Tracklet and frame.
        centres : float64, (N, d)
            Where it was.
        areas : float64, (N,)
            Of the boxes around them; NaN or 0 = not measurable.
        """
        floor = _STILL * np.where(areas > 0, areas, np.inf)
        now = int(when.max()) if len(when) else 0
        for n, lag in enumerate(LAGS.tolist()):
            rows = when % lag == 0
            w, t, c, least = who[rows], when[rows], centres[rows], floor[rows]
            if len(self._last) > n:
                before = self._last[n]
                w, t = np.concatenate([before[0], w]), np.concatenate([before[1], t])
                c, least = np.concatenate([before[2], c]), np.concatenate([before[3], least])
            order = np.lexsort((t, w))
            w, t, c, least = w[order], t[order], c[order], least[order]
            follow = (np.diff(w) == 0) & (np.diff(t) == lag)
            squared = np.square(c[1:][follow] - c[:-1][follow]).sum(-1)
            usable = np.isfinite(least[1:][follow])
            logs = np.log(squared[usable] + least[1:][follow][usable])
            self._sums[n] += len(logs), logs.sum(), np.square(logs).sum()
            kept = np.append(np.diff(w) != 0, True)[: len(w)] & (t > now - lag)
            self._last[n : n + 1] = [(w[kept], t[kept], c[kept], least[kept])]

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
