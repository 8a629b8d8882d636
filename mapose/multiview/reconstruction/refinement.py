"""Triangulated points made smooth through time, with bone lengths held, and repaired.

All evidence is kept as what each camera saw. Smooth tracks decide which of it is believed: a
view that a frame by itself had chosen wrongly is dropped; one that it had dropped wrongly, or
that was alone, is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mapose.arrays import Bools, Floats, Ints
from mapose.multiview.reconstruction.bones import (
    Bars,
    Bones,
    find_covariance,
    hold_bones,
    learn_bones,
    solve_bodies,
    split_bodies,
)
from mapose.multiview.reconstruction.evidence import Recording, add_evidence
from mapose.multiview.reconstruction.keypoints import smooth_keypoints
from mapose.multiview.reconstruction.pixel_noise import estimate_sigma
from mapose.smoothing import (
    Motion,
    cut_windows,
    find_differences,
    find_links,
    find_segments,
)

# About so many frames are enough to learn bone lengths from.
_LEARNED = 5000
# Gauss-Newton steps; they start so near that a third one changes nothing.
_STEPS = 2


@dataclass(frozen=True, eq=False)
class Refined:
    """Smooth points.

    Parameters
    ----------
    points : float64, (F, I, K, 3)
        NaN where unknown.
    covariance : float64, (F, I, K, 3, 3)
        NaN where unknown.
    used : bool, (V, F, I, K)
        Views that count.
    bones : Bones
        Lengths that were learned.
    sigma : float64, (V, K)
        Standard deviation of the pixels of each keypoint in each view.
    """

    points: Floats
    covariance: Floats
    used: Bools
    bones: Bones
    sigma: Floats


def refine_points(
    recording: Recording,
    points: Floats,
    *,
    chosen: Bools,
    ends: Ints,
    max_gap: int,
    rigid: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Refined:
    """Smooth triangulated points through time and repair them.

    Parameters
    ----------
    recording : Recording
        What the cameras saw of the I K points.
    points : float64, (F, I, K, 3)
        Triangulated frame by frame; NaN = missing.
    chosen : bool, (V, F, I, K)
        Views from which they were triangulated.
    ends : int64, (E, 2)
        Keypoints joined by bones.
    max_gap : int
        Longest gap in frames that is filled.
    rigid : bool
        Whether bones are known not to change their lengths; if not, how much each does is
        learned.
    on_progress : callable, optional
        Called with the number of frames done and of all frames.

    References
    ----------
    Rauch, Tung, Striebel 1965, "Maximum likelihood estimates of linear dynamic systems" (AIAA
    Journal 3:1445): what is solved here in one piece. Karashchuk et al. 2021, "Anipose" (Cell
    Reports 36:109730): smoothness and bone lengths as soft constraints.
    """
    sigma, caution = estimate_sigma(recording, points, chosen=chosen)
    work = _Work(recording, points, chosen, np.tile(sigma, points.shape[1]), max_gap)
    windows = cut_windows(len(points), max_gap)
    for n, (outer, inner) in enumerate(windows):
        work.smooth_each(outer, inner)
        if on_progress:
            on_progress((n + 1) * len(points) // (2 * len(windows)), len(points))
    bones = work.learn(ends)
    bones = bones.harden() if rigid else bones
    for n, (outer, inner) in enumerate(windows):
        work.tie(outer, inner, bones)
        if on_progress:
            on_progress((len(windows) + n + 1) * len(points) // (2 * len(windows)), len(points))
    used = work.used.reshape(chosen.shape)
    covariance = work.covariance * caution[:, None, None]
    return Refined(work.points, covariance, used, bones, sigma)


class _Work:
    """What is known so far of all frames, F, and points, T = I K."""

    def __init__(
        self, recording: Recording, points: Floats, chosen: Bools, sigma: Floats, max_gap: int
    ) -> None:
        f, i, k, _ = points.shape
        self.recording, self.sigma, self.max_gap = recording, sigma, max_gap
        self.common = np.zeros(i * k) if recording.covariance is None else _find_common(sigma)
        self.shape = (i, k)
        self.start = points.reshape(f, i * k, 3)
        self.chosen = chosen.reshape(len(chosen), f, i * k)
        self.used = self.chosen.copy()
        self.inside = np.zeros((f, i * k), bool)
        self.smooth, self.variances = np.zeros((2, f, i * k, 3))
        self.precision = np.zeros((max(f - 2, 0), i * k))
        self.share, self.memory = np.ones((2, f, i * k))
        self.keep: dict[int, Floats] = {}
        self.points = np.full(points.shape, np.nan)
        self.covariance = np.full((*points.shape, 3), np.nan)

    def smooth_each(self, outer: slice, inner: slice) -> None:
        """Smooth each point of a window by itself."""
        smoothed = smooth_keypoints(
            self.recording.gather(outer, self.sigma),
            self.start[outer],
            chosen=self.chosen[:, outer],
            frames=self.recording.frames[outer],
            max_gap=self.max_gap,
        )
        part = slice(inner.start - outer.start, inner.stop - outer.start)
        self.smooth[inner], self.variances[inner] = smoothed.points[part], smoothed.variances[part]
        self.used[:, inner] = smoothed.used[:, part]
        self.precision[inner] = smoothed.noise.motion.precision[part]
        self.keep[outer.start] = smoothed.noise.motion.keep
        self.share[inner], self.memory[inner] = smoothed.noise.share, smoothed.memory

    def learn(self, ends: Ints) -> Bones:
        """Learn the bones from all windows, and find which points are asked for."""
        frames = self.recording.frames
        known = self.used.sum(0) >= 2
        self.inside = find_segments(frames, known, self.max_gap)
        self.used &= self.inside
        self.smooth[~self.inside] = 0
        self.variances[~self.inside] = 1
        self.precision *= find_links(self.inside)
        sample = slice(None, None, max(len(frames) // _LEARNED, 1))
        measured = np.where(known[sample, :, None], self.smooth[sample], np.nan)
        return learn_bones(
            measured.reshape(-1, *self.shape, 3),
            self.variances[sample].reshape(-1, *self.shape, 3),
            ends,
        )

    def tie(self, outer: slice, inner: slice, bones: Bones) -> None:
        """Solve a window with its bones."""
        evidence = self.recording.gather(outer, self.sigma)
        used, share, trust = self.used[:, outer], self.share[outer], self._find_trust(outer)
        fresh = trust / share
        bars = self._find_bars(outer, bones)
        points = self.smooth[outer]
        for step in range(_STEPS):
            found = add_evidence(*evidence.look(points), points=points, used=used)
            scaled = found[0] * fresh[..., None, None], found[1] * fresh[..., None]
            points, covariance = self._solve(outer, scaled, points, bars, step == _STEPS - 1)
        covariance *= trust[..., None, None]
        # The three numbers of a point come from two of each view; no view takes from these errors.
        common = self.common * 2 * used.sum(0) / 3
        covariance += _find_lasting(found[0], 1 - share + common, used)
        inside = self.inside[outer]
        points[~inside], covariance[~inside] = np.nan, np.nan
        part = slice(inner.start - outer.start, inner.stop - outer.start)
        self.points[inner] = points[part].reshape(-1, *self.shape, 3)
        self.covariance[inner] = covariance[part].reshape(-1, *self.shape, 3, 3)

    def _find_trust(self, outer: slice) -> Floats:
        """Find the part (F, T) of the variance of smooth points that errors that last leave.

        Such errors change nothing in a point by itself. Where bones pull at it, it has to give
        way as far as it may be wrong: what is seen of it and how it moves then weigh less, by
        the same factor, which without bones would leave its course as it is.
        """
        share = self.share[outer]
        return np.asarray(share / (share + self.memory[outer] * (1 - share)))

    def _find_bars(self, outer: slice, bones: Bones) -> Bars:
        shape = (-1, *self.shape, 3)
        firm = bones.firm
        held = hold_bones(
            self.smooth[outer].reshape(shape),
            self.variances[outer].reshape(shape),
            bones=bones,
            memory=np.median(self.memory[outer], axis=0).reshape(self.shape),
        )
        return Bars(bones.ends[firm], bones.length[:, firm], held[:, :, firm])

    def _solve(
        self, outer: slice, found: tuple[Floats, Floats], points: Floats, bars: Bars, last: bool
    ) -> tuple[Floats, Floats]:
        """Solve each group of keypoints that hang together; the covariance only in the end."""
        shape = (len(points), *self.shape)
        information, pull = found[0].reshape(*shape, 3, 3), found[1].reshape(*shape, 3)
        precision = self.precision[outer][: max(len(points) - 2, 0)]
        precision = (precision * self._find_trust(outer)[1:-1]).reshape(-1, *self.shape)
        keep = self.keep[outer.start].reshape(self.shape)
        differences = find_differences(self.recording.frames[outer])
        inside = self.inside[outer].reshape(shape)
        solved, covariance = np.empty((*shape, 3)), np.zeros((*shape, 3, 3))
        for group in split_bodies(self.shape[1], bars.ends):
            solved[:, :, group], factor = solve_bodies(
                information[:, :, group],
                pull[:, :, group],
                points=points.reshape(*shape, 3)[:, :, group],
                inside=inside[:, :, group],
                motion=Motion(precision[:, :, group], keep[:, group], differences),
                bars=bars.pick(group, self.shape[1]),
            )
            if last:
                covariance[:, :, group] = find_covariance(factor, len(group))
        return solved.reshape(points.shape), covariance.reshape(*points.shape, 3)


def _find_common(sigma: Floats) -> Floats:
    """Find the variance (T,) of errors that views have in common over that they disagree by.

    What views disagree by does not tell when all of them mean the same wrong spot of a body, as a
    network does that sees it from all sides; nor does it show for how long. The covariances of
    the pixels tell, as they were held against labels. Of five drawn sessions of three mice,
    trained on 27 labelled frames, 95 % regions in space hold 94 to 99 %, 75 to 85 % without it.
    """
    told = 1 / np.maximum(sigma, 1.0) ** 2  # what each view is worth by its covariances at most
    return np.asarray((1 / sigma**2).mean(0) / told.mean(0) - 1)


def _find_lasting(information: Floats, part: Floats, used: Bools) -> Floats:
    """Find the covariance (F, T, 3, 3) of errors that stay the same from frame to frame.

    They are that part (F, T) of the variance of a point that is seen in its own frame only.
    """
    lasting = np.zeros_like(information)
    known = (used.sum(0) >= 2) & (part > 0)
    if not known.any():
        return lasting
    lasting[known] = np.linalg.inv(information[known]) * part[known][:, None, None]
    # Where fewer than two views say something, the errors are those of other frames.
    for t in np.flatnonzero(known.any(0)):
        lasting[~known[:, t], t] = np.median(lasting[known[:, t], t], axis=0)
    return lasting
