"""How much the velocity of a point changes, learned from its own noisy positions.

A resting animal can be averaged over many frames, a kicking leg over hardly any. How far a point
is to be smoothed is chosen by the likelihood of what was measured, for each point and each
moment, so that there is nothing to set and fast movements are not cut off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from mapose.arrays import Bools, Floats
from mapose.multiview.reconstruction.smoothing import (
    Motion,
    find_changes,
    find_links,
    find_median,
    smooth_chains,
)

# Variance of the change of velocity, relative to that of a position, on a logarithmic scale. At
# -5 a point is averaged over some fifty frames, at 2.5 it is hardly smoothed at all.
_COARSE = np.arange(-5.0, 2.6, 1.5)
_FINE = (0.75, 0.4)
# Part of a change of velocity that comes again in the next frame, and by how much less variance
# is then new. Simulated mice jerk: most of their points want none of it. Points that swing, or
# that are filmed at a high rate, do: on smooth random paths errors shrink by a sixth.
_KEEPING = ((0.5, (0.3, 1.0)), (0.85, (0.03, 0.1, 0.3)))
# Widths in frames of the windows in which activity is measured, and its part that is always
# there. Simulated mice at 30 frames/s prefer the narrowest window and the lowest floor; the
# others are for points that move evenly, where a plain constant wins.
_WINDOWS = (2.0, 5.0)
_FLOORS = (0.3, 0.1, 0.02)
_LEVELS = (0.5, 2.0)
# How many frames of a window the usual activity counts for.
_UNSEEN = 0.05
# Shares of the measured noise that may be new in each frame. What is left stays from frame to
# frame, as the errors of a calibration or of a network do, and no smoothing takes it away.
_SHARES = (0.8, 0.5, 0.25, 0.1, 0.04, 0.01)
# Gain in log-likelihood that a further setting must bring.
_GAIN = 3.0


@dataclass(frozen=True, eq=False)
class ProcessNoise:
    """How points move.

    Parameters
    ----------
    motion : Motion
        Of the T points.
    share : float64, (T,)
        Part of the variance of a position that is new in each frame; 1 for white noise.
    smooth : float64, (F, T, 3)
        The smoothed points.
    """

    motion: Motion
    share: Floats
    smooth: Floats


def estimate_process_noise(
    points: Floats,
    weights: Floats,
    *,
    inside: Bools,
    differences: Floats,
    lasting: Bools | None = None,
) -> ProcessNoise:
    """Learn from noisy points how they move.

    Parameters
    ----------
    points : float64, (F, T, 3)
        Positions; anything finite where the weight is 0.
    weights : float64, (F, T, 3)
        One over the variance along each axis.
    inside : bool, (F, T)
        As of `find_segments`.
    differences : float64, (F - 2, 3)
        As of `find_differences`.
    lasting : bool, (T,), optional
        Points with errors that last from frame to frame; for the others all noise is new in each
        frame. Without it, one variance for all frames will do: a first guess.

    References
    ----------
    Kitagawa and Gersch 1984, "A smoothness priors-state space modeling of time series with trend
    and seasonality" (JASA 79:378): the likelihood of such models, and choosing by it.
    """
    search = _Search(points, weights, find_links(inside), differences)
    search.try_levels()
    if lasting is not None:
        search.try_keeping()
        search.try_activity()
        search.try_shares(lasting)
    return search.finish()


class _Search:
    """The best setting of each point so far, and its likelihood."""

    def __init__(self, points: Floats, weights: Floats, links: Bools, differences: Floats) -> None:
        self.points, self.weights, self.links = points, weights, links
        self.differences = differences
        count, n = points.shape[:2]
        known = weights.min(-1) > 0
        spread = np.where(known, 1 / np.where(known, weights.mean(-1), 1), np.nan)
        self.scale = np.array([find_median(spread[:, t]) for t in range(n)])
        self.best = np.full(n, -np.inf)
        self.variance = np.tile(self.scale, (count - 2, 1))
        self.share, self.keep = np.ones(n), np.zeros(n)
        self.smooth = np.zeros_like(points)

    def attempt(
        self,
        variance: Floats,
        *,
        share: Floats | None = None,
        keep: Floats | None = None,
        gain: float = 0.0,
    ) -> None:
        """Keep a setting for the points for which it is better."""
        share = self.share if share is None else share
        keep = self.keep if keep is None else keep
        variance = np.broadcast_to(variance, self.links.shape)
        smooth, likelihood = self._score(variance, share, keep)
        better = likelihood > self.best + gain
        self.best[better] = likelihood[better]
        self.variance[:, better] = variance[:, better]
        self.share = np.where(better, share, self.share)
        self.keep = np.where(better, keep, self.keep)
        self.smooth[:, better] = smooth[:, better]

    def _score(self, variance: Floats, share: Floats, keep: Floats) -> tuple[Floats, Floats]:
        """Smooth, and find the logarithm of the likelihood but for a constant."""
        count, n = self.points.shape[:2]
        motion = self._make_motion(variance, keep)
        values = self.points.reshape(count, -1)
        weights = (self.weights / share[:, None]).reshape(count, -1)
        smooth, logdet = smooth_chains(values, weights, repeat_axes(motion))
        misfit = (weights * values * (values - smooth)).sum(0)
        spent = (misfit + logdet).reshape(n, 3).sum(1) - 3 * motion.sum_logs()
        spent += 3 * np.log(share) * (self.weights[..., 0] > 0).sum(0)
        return smooth.reshape(self.points.shape), -0.5 * spent

    def _make_motion(self, variance: Floats, keep: Floats) -> Motion:
        return Motion(np.where(self.links, 1 / variance, 0), keep, self.differences)

    def try_levels(self) -> None:
        """Try one variance for all frames."""
        for level in _COARSE:
            self.attempt(self.scale * 10**level)
        for step in _FINE:
            middle = self.variance[0].copy()
            for factor in (10**-step, 10**step):
                self.attempt(middle * factor)

    def try_keeping(self) -> None:
        """Let changes of velocity last: less of each is new."""
        middle = self.variance[0].copy()
        for keep, factors in _KEEPING:
            for factor in factors:
                self.attempt(middle * factor, keep=np.full_like(middle, keep), gain=_GAIN)

    def try_activity(self) -> None:
        """Try more variance where the point is seen to move, less where it rests."""
        change = find_changes(self.smooth, self.differences)
        change[1:] -= self.keep[:, None] * change[:-1]
        seen = (self.links & (self.weights.min(-1) > 0)[1:-1]).astype(np.float64)
        power = (change**2).mean(-1) * seen
        usual = power.sum(0) / np.maximum(seen.sum(0), 1)
        middle = self.variance[0].copy()
        for window in _WINDOWS:
            # Nobody sees what happens in a gap: there, what is usual.
            reach = gaussian_filter1d(seen, window, axis=0)
            activity = gaussian_filter1d(power, window, axis=0) + _UNSEEN * usual
            activity /= np.maximum((reach + _UNSEEN) * usual, 1e-300)
            for floor in _FLOORS:
                self.attempt(middle * (floor + (1 - floor) * activity), gain=_GAIN)
        best = self.variance.copy()
        for level in _LEVELS:
            self.attempt(best * level)

    def try_shares(self, lasting: Bools) -> None:
        """Try less noise that is new in each frame, for points whose errors last."""
        for share in _SHARES if lasting.any() else ():
            before = self.best.copy()
            now = self.variance.copy()
            for factor in (1.0, 3.0):
                self.attempt(now * factor, share=np.where(lasting, share, 1.0), gain=_GAIN)
            if not (self.best > before).any():
                return

    def finish(self) -> ProcessNoise:
        """Give the best setting of each point."""
        return ProcessNoise(self._make_motion(self.variance, self.keep), self.share, self.smooth)


def repeat_axes(motion: Motion) -> Motion:
    """Make the motion of points that of their three coordinates, one after the other."""
    return Motion(np.repeat(motion.precision, 3, 1), np.repeat(motion.keep, 3), motion.differences)
