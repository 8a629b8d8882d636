"""A Kalman smoother that learns from the poses how exact they are and how the animals move.

Measured points are the true ones and noise that is new in each frame. How much noise, and how
fast velocities change, is learned for each keypoint of each animal by the likelihood of what was
measured; so there is nothing to set, and the covariance that comes out can be believed. Errors
that stay for many frames, as those of a network that always mistakes an ear, are no noise in this
sense, and nothing that only looks at one view can see them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy.special import chdtri

from mapose.arrays import Bools, Floats, Ints
from mapose.process_noise import ProcessNoise, estimate_process_noise, estimate_scale
from mapose.smoothing import (
    find_links,
    find_segments,
    smooth_points,
)

#: Windows of about 2000 frames from which the noise is learned, at most.
LEARNED = 6
# One measured point in so many may be further off than is believed, if it is only noise.
_RARE = 1e-5
# A point is a stray if it is so many times further than usual from where its neighbours foretell.
_STRAY = 8.0
# More strays than this share are no strays but coordinates of few digits.
_MOST_STRAYS = 0.1
# Confidence below which a point does not get any vaguer.
_LEAST_CONFIDENCE = 0.05


def learn_scale(windows: Iterable[tuple[Floats, Floats, Ints]], *, max_gap: int) -> Floats:
    """Learn from some windows of a recording how exact its points are.

    Parameters
    ----------
    windows : iterable of (float64 (F, T, d), float64 (F, T, d, d), int64 (F,))
        Points as measured, NaN = missing; the covariance of each but for a factor; frame numbers.
    max_gap : int
        Longest gap in frames that is bridged.

    Returns
    -------
    float64, (T,)
        That factor for each of the points.
    """
    scales = [
        _Window(points, spread, frames, max_gap).learn_scale() for points, spread, frames in windows
    ]
    return _settle_scales(np.array(scales))


def smooth_tracks(
    points: Floats, spread: Floats, *, frames: Ints, max_gap: int
) -> tuple[Floats, Floats, Bools]:
    """Smooth tracks of single points through a window of time.

    Parameters
    ----------
    points : float64, (F, T, d)
        As measured; NaN = missing.
    spread : float64, (F, T, d, d)
        Covariance of each.
    frames : int64, (F,)
        Frame numbers.
    max_gap : int
        Longest gap in frames that is bridged.

    Returns
    -------
    points : float64, (F, T, d)
        NaN in longer gaps, and before the first and after the last measured point.
    covariance : float64, (F, T, d, d)
        Of the points.
    used : bool, (F, T)
        Which measured points count: those that no neighbour contradicts.
    """
    return _Window(points, spread, frames, max_gap).smooth()


def find_usual(covariance: Floats | None) -> float:
    """Find how large covariances (..., d, d) usually are, unit²; 1 if none is known."""
    if covariance is None:
        return 1.0
    known = _find_known(covariance)
    usual = np.median(np.linalg.det(covariance[known])) if known.any() else 1.0
    return float(usual ** (1 / covariance.shape[-1]))


def _find_known(covariance: Floats) -> Bools:
    known = np.asarray(np.isfinite(covariance).all((-2, -1)))
    known[known] = np.linalg.eigvalsh(covariance[known]).min(-1) > 0
    return known


def find_spread(
    confidence: Floats, covariance: Floats | None, dimensions: int, *, usual: float
) -> Floats:
    """Find how exact points are, but for a factor: float64 (..., d, d).

    Where the poses have a covariance, that is it. Else a confidence is taken for one over a
    standard deviation, as triangulation takes it.

    Parameters
    ----------
    confidence : float64, (...)
        0 to 1.
    covariance : float64, (..., d, d), optional
        NaN = not known.
    dimensions : int
        d.
    usual : float
        As of `find_usual`.
    """
    variance = 1 / np.maximum(confidence, _LEAST_CONFIDENCE) ** 2
    spread = variance[..., None, None] * np.eye(dimensions)
    if covariance is None:
        return spread
    known = _find_known(covariance)
    return np.asarray(np.where(known[..., None, None], covariance / usual, spread))


class _Window:
    """A run of frames whose points are smoothed together."""

    def __init__(self, points: Floats, spread: Floats, frames: Ints, max_gap: int) -> None:
        self.known = np.asarray(np.isfinite(points).all(-1))
        self.points = np.where(self.known[..., None], points, 0)
        self.spread, self.frames, self.max_gap = spread, frames, max_gap
        strays = _find_strays(points)
        few = strays.sum(0) <= _MOST_STRAYS * self.known.sum(0)
        self.used = self.known & ~(strays & few)

    def learn_scale(self) -> Floats:
        """Learn by what the spread has to be multiplied, (T,); NaN where there is too little."""
        # Coordinates are stored with 24 bits: nothing is more exact.
        least = np.square(2.0**-24 * np.abs(self.points).max((0, 2))) + 1e-12
        compared = self._compare(None)
        first = np.maximum(compared.excess, least)
        factor = np.nan_to_num(first, nan=1)
        self.spread = self.spread * factor[:, None, None]
        learned = self._learn(replace(compared, variance=compared.variance * factor), still=True)
        self.used = self._choose(*self._solve(learned))
        return first * self._compare(learned).excess

    def _compare(self, start: ProcessNoise | None) -> ProcessNoise:
        return estimate_scale(
            self.points,
            self._find_weights(),
            inside=self._find_inside(self.used),
            frames=self.frames,
            start=start,
        )

    def smooth(self) -> tuple[Floats, Floats, Bools]:
        """Smooth with the spread as it is: points, covariance, and which measured ones count."""
        noise = self._learn(None, still=True)
        self.used = self._choose(*self._solve(noise))
        noise = self._learn(noise, still=False)
        self.used = self._choose(*self._solve(noise))
        return *self._solve(noise), self.used & self.inside

    def _learn(self, start: ProcessNoise | None, *, still: bool) -> ProcessNoise:
        """Learn how the points move; if still, each as much in all frames."""
        self.inside = self._find_inside(self.used)
        return estimate_process_noise(
            self.points,
            self._find_weights(),
            inside=self.inside,
            frames=self.frames,
            lasting=None if still else np.zeros(self.points.shape[1], bool),
            fading=True,
            start=start,
        )

    def _find_weights(self) -> Floats:
        return np.asarray(self.used[..., None] / np.diagonal(self.spread, axis1=-2, axis2=-1))

    def _find_inside(self, used: Bools) -> Bools:
        return find_segments(self.frames, used, self.max_gap)

    def _solve(self, noise: ProcessNoise) -> tuple[Floats, Floats]:
        # Nothing was learned of how points move beyond those that were used then.
        used = self.used & self.inside
        inside = self._find_inside(used)
        motion = replace(noise.motion, precision=noise.motion.precision * find_links(inside))
        information = np.where(used[..., None, None], np.linalg.inv(self.spread), 0)
        pull = np.einsum("ftij,ftj->fti", information, self.points)
        return smooth_points(information, pull, inside=inside, motion=motion)

    def _choose(self, smooth: Floats, covariance: Floats) -> Bools:
        """Choose the measured points that those before and after them do not contradict."""
        d = smooth.shape[-1]
        there = self.known & np.isfinite(smooth).all(-1)
        off = np.where(there[..., None], self.points - smooth, 0)
        covariance = np.where(there[..., None, None], covariance, 0)
        # Of a point that counts, the smooth one has half followed it.
        sign = np.where(self.used, -1.0, 1.0)[..., None, None]
        expected = self.spread + sign * covariance
        expected += 1e-6 * self.spread
        square = np.einsum("fti,ftij,ftj->ft", off, np.linalg.inv(expected), off)
        # What lies beyond the others is taken in first and judged in the next round.
        return np.asarray(self.known & ~(there & (square > chdtri(d, _RARE))))


def _find_strays(points: Floats) -> Bools:
    """Mark points (F, T) that are far from where the two before and the two after lead."""
    strays = np.zeros(points.shape[:2], bool)
    for t in range(points.shape[1]):
        rows = np.flatnonzero(np.isfinite(points[:, t]).all(-1))
        if len(rows) < 5:
            continue
        path = points[rows, t]
        before, one, middle, two, after = (path[n : len(path) - 4 + n] for n in range(5))
        foretold = [2 * one - before, (before + after) / 2, (one + two) / 2, 2 * two - after]
        off = np.linalg.norm(middle - np.median(foretold, axis=0), axis=-1)
        usual = np.median(off[off > 0]) if (off > 0).any() else 0
        strays[rows[2:-2], t] = off > _STRAY * usual
    return strays


def _settle_scales(scales: Floats) -> Floats:
    """Give each point one scale, from all windows (W, T): that of the others if it has none."""
    scale = np.array([_find_middle(column) for column in scales.T])
    return np.where(np.isfinite(scale), scale, np.nan_to_num(_find_middle(scale), nan=1.0))


def _find_middle(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")
