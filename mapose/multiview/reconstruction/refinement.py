"""Triangulated points made smooth through time, with bone lengths held, and repaired.

All evidence is kept as what each camera saw. Smooth tracks decide which of it is believed: a
view that a frame by itself had chosen wrongly is dropped; one that it had dropped wrongly, or
that was alone, is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from mapose.multiview.reconstruction.evidence import Evidence, add_evidence
from mapose.multiview.reconstruction.keypoints import smooth_keypoints
from mapose.shelf import Rows, Shelf
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
class Draft:
    """What was triangulated frame by frame, of V views, I individuals and K keypoints.

    Parameters
    ----------
    frames : int64, (F,)
        Frame numbers, ascending.
    shape : (int, int, int)
        V, I and K.
    points : Rows of float64, (F, I K, 3)
        NaN = missing.
    chosen : Rows of bool, (F, V, I K)
        Views from which they were triangulated.
    gather : function of (slice, float64 (V, I K))
        Gives what the cameras saw in some rows, as `Recording.gather` does.
    sigma, caution : float64, (V, K) and (K,)
        As of `estimate_sigma`.
    measured : bool
        Whether the pixels came with covariances.
    """

    frames: Ints
    shape: tuple[int, int, int]
    points: Rows
    chosen: Rows
    gather: Callable[[slice, Floats], Evidence]
    sigma: Floats
    caution: Floats
    measured: bool


@dataclass(frozen=True, eq=False)
class Fitted:
    """Points of some rows, each frame by itself or smooth through time.

    Parameters
    ----------
    rows : slice
        Which these are.
    points : float64, (F, I, K, 3)
        NaN where unknown.
    covariance : float64, (F, I, K, 3, 3)
        NaN where unknown.
    used : bool, (V, F, I, K)
        Views that count.
    """

    rows: slice
    points: Floats
    covariance: Floats
    used: Bools


def refine_points(
    draft: Draft,
    ends: Ints,
    *,
    max_gap: int,
    rigid: bool = False,
    shelf: Shelf,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Fitted]:
    """Smooth triangulated points through time and repair them, window after window.

    The windows and their margins are what they are however long the recording is. Of all of it
    only the noise of the pixels and the bones are learned, both from a sample; what the first turn
    finds in each window waits on the shelf for the second.

    Parameters
    ----------
    draft : Draft
        Points triangulated frame by frame.
    ends : int64, (E, 2)
        Keypoints joined by bones.
    max_gap : int
        Longest gap in frames that is filled.
    rigid : bool
        Whether bones are known not to change their lengths; if not, how much each does is
        learned.
    shelf : Shelf
        For what the turns hand on.
    on_progress : callable, optional
        Called with the number of frames done and of all frames.

    References
    ----------
    Rauch, Tung, Striebel 1965, "Maximum likelihood estimates of linear dynamic systems" (AIAA
    Journal 3:1445): what is solved here in one piece. Karashchuk et al. 2021, "Anipose" (Cell
    Reports 36:109730): smoothness and bone lengths as soft constraints.
    """
    work, count = _Work(draft, max_gap, shelf), len(draft.frames)
    windows = cut_windows(count, max_gap)
    for n, (outer, inner) in enumerate(windows):
        work.smooth_each(outer, inner)
        if on_progress:
            on_progress((n + 1) * count // (2 * len(windows)), count)
    bones = work.learn(ends)
    bones = bones.harden() if rigid else bones
    for n, (outer, inner) in enumerate(windows):
        yield work.tie(outer, inner, bones)
        if on_progress:
            on_progress((len(windows) + n + 1) * count // (2 * len(windows)), count)


class _Work:
    """What is known so far of all frames, F, and points, T = I K."""

    def __init__(self, draft: Draft, max_gap: int, shelf: Shelf) -> None:
        v, i, k = draft.shape
        f, t = len(draft.frames), i * k
        self.draft, self.max_gap, self.shape = draft, max_gap, (i, k)
        self.sigma = np.tile(draft.sigma, i)
        self.common = _find_common(self.sigma) if draft.measured else np.zeros(t)
        self.used = shelf.make(f, (v, t), np.bool_)
        self.smooth = shelf.make(f, (t, 3), np.float64)
        self.variances = shelf.make(f, (t, 3), np.float64)
        self.precision = shelf.make(f, (t,), np.float64)
        # By window: its rows, and what is the same in all of them; and what it keeps, (T,) each.
        self.steady: list[tuple[slice, Floats, Floats]] = []
        self.keep: dict[int, Floats] = {}
        self.sample: list[tuple[Floats, Floats]] = []

    def smooth_each(self, outer: slice, inner: slice) -> None:
        """Smooth each point of a window by itself."""
        smoothed = smooth_keypoints(
            self.draft.gather(outer, self.sigma),
            self.draft.points[outer],
            chosen=_turn(self.draft.chosen[outer]),
            frames=self.draft.frames[outer],
            max_gap=self.max_gap,
        )
        part = slice(inner.start - outer.start, inner.stop - outer.start)
        points, variances = smoothed.points[part], smoothed.variances[part]
        used, precision = smoothed.used[:, part], smoothed.noise.motion.precision[part]
        self.smooth[inner], self.variances[inner], self.used[inner] = points, variances, _turn(used)
        self.precision[inner.start : inner.start + len(precision)] = precision
        self.keep[outer.start] = smoothed.noise.motion.keep
        self.steady.append((inner, smoothed.noise.share, smoothed.memory))
        some = slice(-inner.start % self._step, None, self._step)
        known = used[:, some].sum(0) >= 2
        measured = np.where(known[..., None], points[some], np.nan)
        self.sample.append((measured, variances[some].copy()))

    @property
    def _step(self) -> int:
        return max(len(self.draft.frames) // _LEARNED, 1)

    def learn(self, ends: Ints) -> Bones:
        """Learn the bones from every so many frames of all windows."""
        measured, variances = (np.concatenate(each) for each in zip(*self.sample, strict=True))
        shape = (-1, *self.shape, 3)
        return learn_bones(measured.reshape(shape), variances.reshape(shape), ends)

    def tie(self, outer: slice, inner: slice, bones: Bones) -> Fitted:
        """Solve a window with its bones."""
        window = self._read(outer)
        evidence, used = self.draft.gather(outer, self.sigma), window.used
        fresh = window.trust / window.share
        bars = self._find_bars(window, bones)
        points = window.smooth
        for step in range(_STEPS):
            found = add_evidence(*evidence.look(points), points=points, used=used)
            scaled = found[0] * fresh[..., None, None], found[1] * fresh[..., None]
            points, covariance = self._solve(window, scaled, points, bars, step == _STEPS - 1)
        covariance *= window.trust[..., None, None]
        # The three numbers of a point come from two of each view; no view takes from these errors.
        common = self.common * 2 * used.sum(0) / 3
        covariance += _find_lasting(found[0], 1 - window.share + common, used)
        points[~window.inside], covariance[~window.inside] = np.nan, np.nan
        part = slice(inner.start - outer.start, inner.stop - outer.start)
        covariance = covariance[part].reshape(-1, *self.shape, 3, 3)
        return Fitted(
            inner,
            points[part].reshape(-1, *self.shape, 3),
            covariance * self.draft.caution[:, None, None],
            used[:, part].reshape(len(used), -1, *self.shape),
        )

    def _read(self, outer: slice) -> _Window:
        """Read what the first turn has found in a window, and which of its points are asked for."""
        frames, smooth, variances = self.draft.frames, self.smooth[outer], self.variances[outer]
        # No more rows than that may lie between two that a gap between them is bridged.
        margin = self.max_gap + 2
        wide = slice(max(outer.start - margin, 0), min(outer.stop + margin, len(frames)))
        used = self.used[wide]
        part = slice(outer.start - wide.start, outer.stop - wide.start)
        inside = find_segments(frames[wide], used.sum(1) >= 2, self.max_gap)[part]
        share, memory = np.ones((2, *inside.shape))
        for rows, *steady in self.steady:
            if rows.start < outer.stop and rows.stop > outer.start:
                own = slice(max(rows.start - outer.start, 0), rows.stop - outer.start)
                share[own], memory[own] = steady
        return _Window(
            rows=outer,
            used=_turn(used[part]) & inside,
            inside=inside,
            smooth=np.where(inside[..., None], smooth, 0),
            variances=np.where(inside[..., None], variances, 1),
            precision=self.precision[outer][: max(len(inside) - 2, 0)] * find_links(inside),
            share=share,
            memory=memory,
        )

    def _find_bars(self, window: _Window, bones: Bones) -> Bars:
        shape = (-1, *self.shape, 3)
        firm = bones.firm
        held = hold_bones(
            window.smooth.reshape(shape),
            window.variances.reshape(shape),
            bones=bones,
            memory=np.median(window.memory, axis=0).reshape(self.shape),
        )
        return Bars(bones.ends[firm], bones.length[:, firm], held[:, :, firm])

    def _solve(
        self, window: _Window, found: tuple[Floats, Floats], points: Floats, bars: Bars, last: bool
    ) -> tuple[Floats, Floats]:
        """Solve each group of keypoints that hang together; the covariance only in the end."""
        shape = (len(points), *self.shape)
        information, pull = found[0].reshape(*shape, 3, 3), found[1].reshape(*shape, 3)
        precision = (window.precision * window.trust[1:-1]).reshape(-1, *self.shape)
        keep = self.keep[window.rows.start].reshape(self.shape)
        differences = find_differences(self.draft.frames[window.rows])
        inside = window.inside.reshape(shape)
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


@dataclass(frozen=True, eq=False)
class _Window:
    """What is known of some rows: F frames, V views, T points.

    Parameters
    ----------
    rows : slice
        Which these are.
    used : bool, (V, F, T)
        Views that count.
    inside : bool, (F, T)
        Points that are asked for.
    smooth, variances : float64, (F, T, 3)
        As of `smooth_keypoints`; 0 and 1 where they are not asked for.
    precision : float64, (F - 2, T)
        As of `Motion`; 0 where a point is not asked for.
    share, memory : float64, (F, T)
        Part of the variance of points that is new in each frame; frames that are averaged.
    """

    rows: slice
    used: Bools
    inside: Bools
    smooth: Floats
    variances: Floats
    precision: Floats
    share: Floats
    memory: Floats

    @property
    def trust(self) -> Floats:
        """The part (F, T) of the variance of smooth points that errors that last leave.

        Such errors change nothing in a point by itself. Where bones pull at it, it has to give
        way as far as it may be wrong: what is seen of it and how it moves then weigh less, by
        the same factor, which without bones would leave its course as it is.
        """
        return np.asarray(self.share / (self.share + self.memory * (1 - self.share)))


def _turn(array: Bools) -> Bools:
    """Exchange the first two axes."""
    return np.ascontiguousarray(array.swapaxes(0, 1))


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
