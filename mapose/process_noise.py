"""How much the velocity of a point changes, learned from its own noisy positions.

A resting animal can be averaged over many frames, a kicking leg over hardly any. How far a point
is to be smoothed is chosen by the likelihood of what was measured, for each point and each
moment, so that there is nothing to set and fast movements are not cut off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from mapose.arrays import Bools, Floats, Ints
from mapose.smoothing import (
    Motion,
    find_changes,
    find_differences,
    find_links,
    find_median,
    smooth_chains,
)

# Variance of the change of velocity, relative to that of a position, on a logarithmic scale. At
# -5 a point is averaged over some fifty frames, at 2.5 it is hardly smoothed at all.
_COARSE = np.arange(-5.0, 2.6, 1.5)
_FINE, _NEAR = (0.75, 0.4), (0.2, 0.1)
# Part of a change of velocity that comes again in the next frame, and by how much less variance
# is then new. Simulated mice jerk: most of their points want none of it. Points that swing, or
# that are filmed at a high rate, do: on smooth random paths errors shrink by a sixth.
_KEEPING = ((0.5, (0.3, 1.0)), (0.85, (0.03, 0.1, 0.3)))
# Where velocities may fade, levels are tried more closely: what fades looks like noise.
_LEVELS = np.arange(-5.0, 2.6, 0.75)
# Part of the velocity that stays from frame to frame.
_IMPETUS = (0.98, 0.95, 0.9, 0.7, 0.4, 0.0)
# Frames, beyond those that tell how it moves, from which the noise of a point is learned.
_FEWEST = 30
# Widths in frames of the windows in which activity is measured, and its part that is always
# there. Simulated mice at 30 frames/s prefer the narrowest window and the lowest floor; the
# others are for points that move evenly, where a plain constant wins.
_WINDOWS = (2.0, 5.0)
_FLOORS = (0.3, 0.1, 0.02)
_LAST = (np.log10(2),)
# How many frames of a window the usual activity counts for.
_UNSEEN = 0.05
# Shares of the measured noise that may be new in each frame. What is left stays from frame to
# frame, as the errors of a calibration or of a network do, and no smoothing takes it away.
_SHARES = (0.8, 0.5, 0.25, 0.1, 0.04, 0.01)
# Gain in log-likelihood that a further setting must bring, and one for each window in time: they
# follow noise as well. Where single views are all there is, without that price the 95 % region of
# walks that are the same throughout holds 91 %. Of points in space it takes away accuracy.
_GAIN, _PRICE = 3.0, 2.0


@dataclass(frozen=True, eq=False)
class ProcessNoise:
    """How points move.

    Parameters
    ----------
    motion : Motion
        Of the T points.
    share : float64, (T,)
        Part of the variance of a position that is new in each frame; 1 for white noise.
    smooth : float64, (F, T, d)
        The smoothed points.
    variance : float64, (F - 2, T)
        Of what is new in the change of velocity, also where frames are not linked.
    impetus : float64, (T,)
        Part of the velocity that stays from frame to frame.
    excess : float64, (T,)
        What the variances that the weights stand for, and this one, have to be multiplied by.
    """

    motion: Motion
    share: Floats
    smooth: Floats
    variance: Floats
    impetus: Floats
    excess: Floats


def estimate_process_noise(
    points: Floats,
    weights: Floats,
    *,
    inside: Bools,
    frames: Ints,
    lasting: Bools | None = None,
    fading: bool = False,
    start: ProcessNoise | None = None,
) -> ProcessNoise:
    """Learn from noisy points how they move.

    Parameters
    ----------
    points : float64, (F, T, d)
        Positions; anything finite where the weight is 0.
    weights : float64, (F, T, d)
        One over the variance along each axis.
    inside : bool, (F, T)
        As of `find_segments`.
    frames : int64, (F,)
        Frame numbers.
    lasting : bool, (T,), optional
        Points with errors that last from frame to frame; for the others all noise is new in each
        frame. Without it, one variance for all frames will do: a first guess.
    fading : bool
        Whether velocities may fade, as those of what is pushed about do.
    start : ProcessNoise, optional
        What was learned of nearly the same points: only what is close to it is tried, in a tenth
        of the time.

    References
    ----------
    Kitagawa and Gersch 1984, "A smoothness priors-state space modeling of time series with trend
    and seasonality" (JASA 79:378): the likelihood of such models, and choosing by it.
    """
    search = _Search(points, weights, find_links(inside), frames)
    search.begin(start, fading=fading)
    if lasting is not None:
        search.try_keeping()
        search.try_activity(_PRICE if fading else 0)
        search.try_shares(lasting)
    return search.finish()


def estimate_scale(
    points: Floats,
    weights: Floats,
    *,
    inside: Bools,
    frames: Ints,
    start: ProcessNoise | None = None,
) -> ProcessNoise:
    """Learn from noisy points how they move and by how much they err.

    Parameters
    ----------
    points, weights, inside, frames, start
        As for `estimate_process_noise`. Velocities may fade, noise is new in each frame.

    Returns
    -------
    ProcessNoise
        Its ``excess`` says by what one over the weights is off; NaN where a point is known too
        seldom to tell.
    """
    known = weights.min(-1) > 0
    segments = inside[0] + (inside[1:] & ~inside[:-1]).sum(0)
    # A straight line through each segment costs two of its points.
    free = (known.sum(0) - 2 * segments) * points.shape[-1]
    search = _Search(points, weights, find_links(inside), frames, free=np.maximum(free, 1))
    search.begin(start, fading=True)
    told = known.sum(0) - 2 * segments >= _FEWEST
    return replace(search.finish(), excess=np.where(told, search.excess, np.nan))


class _Search:
    """The best setting of each point so far, and its likelihood."""

    def __init__(
        self,
        points: Floats,
        weights: Floats,
        links: Bools,
        frames: Ints,
        *,
        free: Ints | None = None,
    ) -> None:
        # If given, how many numbers tell of the noise, (T,), whose level then is free as well.
        self.free = free
        self.points, self.weights, self.links = points, weights, links
        # Along all axes?
        self.alike = bool((weights == weights[..., :1]).all())
        self.frames = frames
        count, n = points.shape[:2]
        known = weights.min(-1) > 0
        spread = np.where(known, 1 / np.where(known, weights.mean(-1), 1), np.nan)
        self.scale = np.array([find_median(spread[:, t]) for t in range(n)])
        self.best = np.full(n, -np.inf)
        self.variance = np.tile(self.scale, (count - 2, 1))
        self.share, self.keep, self.impetus = np.ones(n), np.zeros(n), np.ones(n)
        self.smooth, self.excess = np.zeros_like(points), np.ones(n)

    def attempt(
        self,
        variance: Floats,
        *,
        share: Floats | None = None,
        keep: Floats | None = None,
        impetus: Floats | None = None,
        gain: Floats | float = 0.0,
    ) -> None:
        """Keep a setting for the points for which it is better."""
        share = self.share if share is None else share
        keep = self.keep if keep is None else keep
        impetus = self.impetus if impetus is None else impetus
        variance = np.broadcast_to(variance, self.links.shape)
        motion = self._make_motion(variance, keep, impetus)
        smooth, likelihood, excess = self._score(motion, share)
        better = likelihood > self.best + gain
        self.best[better] = likelihood[better]
        self.variance[:, better] = variance[:, better]
        self.share = np.where(better, share, self.share)
        self.keep = np.where(better, keep, self.keep)
        self.impetus = np.where(better, impetus, self.impetus)
        self.smooth[:, better] = smooth[:, better]
        self.excess = np.where(better, excess, self.excess)

    def _score(self, motion: Motion, share: Floats) -> tuple[Floats, Floats, Floats]:
        """Smooth, and find the logarithm of the likelihood but for a constant.

        Also by what all variances would have to be multiplied to make it the largest.
        """
        n, axes = self.points.shape[1:]
        weights = self.weights / share[:, None]
        if self.alike:  # a third of the work
            smooth, logdet = smooth_chains(self.points, weights[..., 0], motion)
            logdet = axes * logdet
        else:
            flat = (len(weights), -1)
            smooth, logdets = smooth_chains(
                self.points.reshape(flat), weights.reshape(flat), repeat_axes(motion, axes)
            )
            smooth, logdet = smooth.reshape(self.points.shape), logdets.reshape(n, axes).sum(1)
        misfit = (weights * self.points * (self.points - smooth)).sum((0, 2))
        free = np.ones(n) if self.free is None else self.free
        excess = np.maximum(misfit, 1e-12) / free
        spent = logdet - axes * motion.sum_logs()
        spent += misfit if self.free is None else free * np.log(excess)
        spent += axes * np.log(share) * (self.weights[..., 0] > 0).sum(0)
        return smooth, -0.5 * spent, excess

    def _make_motion(self, variance: Floats, keep: Floats, impetus: Floats) -> Motion:
        # One table for all points where all go on for ever, as mostly.
        differences = find_differences(self.frames, impetus if (impetus < 1).any() else 1.0)
        return Motion(np.where(self.links, 1 / variance, 0), keep, differences)

    def begin(self, start: ProcessNoise | None, *, fading: bool) -> None:
        """Find one variance for all frames, and whether velocities fade."""
        if start is not None:
            self.attempt(start.variance, impetus=start.impetus)
            self.refine_level(_NEAR)
            return
        self.try_levels()
        if fading:
            self.try_fading()

    def try_levels(self) -> None:
        """Try one variance for all frames."""
        for level in _COARSE:
            self.attempt(self.scale * 10**level)
        self.refine_level(_FINE)

    def try_fading(self) -> None:
        """Let velocities fade: down to a walk that has none."""
        self.best += _GAIN
        for impetus in _IMPETUS:
            wanted = np.full_like(self.scale, impetus)
            for level in _LEVELS:
                self.attempt(self.scale * 10**level, impetus=wanted)
        self.refine_level(_FINE)
        for impetus in _IMPETUS:
            # What drifts as far in the long run, with another impetus, is as likely a guess.
            drift = (1 - impetus) / np.maximum(1 - self.impetus, 0.02)
            wanted = np.full_like(self.scale, impetus)
            for factor in (0.7, 1.0, 1.4):
                variance = np.maximum(self.variance * drift**2 * factor, 1e-6 * self.scale)
                self.attempt(variance, impetus=wanted)
        self.best -= np.where(self.impetus < 1, 0, _GAIN)
        self.refine_level(_NEAR)

    def refine_level(self, steps: Iterable[float]) -> None:
        """Try more and less of the variance, in smaller and smaller steps."""
        for step in steps:
            middle = self.variance.copy()
            for factor in (10**-step, 10**step):
                self.attempt(middle * factor)

    def try_keeping(self) -> None:
        """Let changes of velocity last: less of each is new."""
        middle = self.variance[0].copy()
        for keep, factors in _KEEPING:
            for factor in factors:
                self.attempt(middle * factor, keep=np.full_like(middle, keep), gain=_GAIN)

    def try_activity(self, price: float) -> None:
        """Try more variance where the point is seen to move, less where it rests.

        The price is the gain in log-likelihood that each independent window has to bring.
        """
        differences = self._make_motion(self.variance, self.keep, self.impetus).differences
        change = find_changes(self.smooth, differences)
        change[1:] -= self.keep[:, None] * change[:-1]
        seen = (self.links & (self.weights.min(-1) > 0)[1:-1]).astype(np.float64)
        power = (change**2).mean(-1) * seen
        usual = power.sum(0) / np.maximum(seen.sum(0), 1)
        middle = self.variance[0].copy()
        for window in _WINDOWS:
            gain = _GAIN + price * seen.sum(0) / (np.sqrt(4 * np.pi) * window)
            # Nobody sees what happens in a gap: there, what is usual.
            reach = gaussian_filter1d(seen, window, axis=0)
            activity = gaussian_filter1d(power, window, axis=0) + _UNSEEN * usual
            activity /= np.maximum((reach + _UNSEEN) * usual, 1e-300)
            for floor in _FLOORS:
                self.attempt(middle * (floor + (1 - floor) * activity), gain=gain)
        self.refine_level(_LAST)

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
        motion = self._make_motion(self.variance, self.keep, self.impetus)
        return ProcessNoise(
            motion, self.share, self.smooth, self.variance, self.impetus, self.excess
        )


def repeat_axes(motion: Motion, axes: int) -> Motion:
    """Make the motion of points that of their coordinates, one after the other."""
    each = motion.repeat(axes)
    differences = each.differences
    if differences.ndim > 2:
        differences = differences.reshape(*differences.shape[:2], -1)
    return Motion(each.precision.reshape(len(each.precision), -1), each.keep.ravel(), differences)
