"""Poses made smooth, and their short gaps filled: median, Savitzky-Golay, Kalman smoother."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, TypedDict, TypeVar, Unpack

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import savgol_filter

from mapose.arrays import Bools, Floats, Ints, Singles
from mapose.errors import SettingsError, ShapeError, suggest_name
from mapose.kinematics.kalman import (
    LEARNED,
    find_spread,
    find_usual,
    learn_scale,
    smooth_tracks,
)
from mapose.poses import FILLED, Poses, join_poses
from mapose.smoothing import cut_windows

Method = Literal["kalman", "median", "savgol"]
Item = TypeVar("Item")
METHODS: tuple[Method, ...] = ("kalman", "median", "savgol")


class FilterOptions(TypedDict, total=False):
    """Options of `filter_poses` that decide the result."""

    method: Any
    window: int
    order: int
    max_gap: int
    cutoff: float


DEFAULTS: FilterOptions = {
    "method": "kalman", "window": 5, "order": 2, "max_gap": 10, "cutoff": 0.0
}  # fmt: skip


def filter_poses(
    poses: Poses,
    method: Method = "kalman",
    *,
    window: int = 5,
    order: int = 2,
    max_gap: int = 10,
    cutoff: float = 0.0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Poses:
    """Smooth poses through time and fill their short gaps.

    Parameters
    ----------
    poses : Poses
        In 2D or 3D, tracked: each row one animal throughout.
    method : "kalman", "median" or "savgol"
        A smoother that learns how noisy each keypoint is and how it moves, leaves out points
        that jump away and back, and says how exact each point is; the median of a window, which
        takes away single jumps and moves nothing else; or a polynomial through a window
        (Savitzky-Golay), which keeps fast turns but follows jumps. The last two are the
        `medfilt` and `savgol_filter` that other tools offer.
    window : int
        Frames, odd; of the median and of the polynomial.
    order : int
        Of the polynomial.
    max_gap : int
        Longest run of missing frames that is filled, 0 = none: by the smoother, else by a
        straight line. Filled points have the confidence 0.01, see `find_filled`. What lies
        before the first and after the last point stays missing.
    cutoff : float
        Points less confident than this are taken for missing.
    on_progress : function of (int, int), optional
        Told what is done and the total.

    Returns
    -------
    Poses
        With the same frames and names. Only the Kalman smoother gives a covariance, in unit²; it
        is that of errors which are new in each frame, and takes the covariance of the poses, or
        else their confidence, for how exact points are relative to each other.

    Raises
    ------
    SettingsError
        If the method is unknown, or a number makes no sense.
    ShapeError
        If the poses are unordered slots of several animals, or too few frames.

    Notes
    -----
    Poses that `mapose triangulate` made are smooth already: their errors last from frame to
    frame, and a second smoothing would believe them too much. Triangulate with ``smooth=False``
    first.

    References
    ----------
    Savitzky and Golay 1964, "Smoothing and differentiation of data by simplified least squares
    procedures" (Analytical Chemistry 36:1627). Rauch, Tung, Striebel 1965, "Maximum likelihood
    estimates of linear dynamic systems" (AIAA Journal 3:1445).

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> walk = np.ones((6, 1, 1, 3))
    >>> walk[:, 0, 0, 0] = [0, 1, 50, 3, np.nan, 5]
    >>> smooth = filter_poses(Poses(walk, Skeleton(["nose"])), "median", window=3)
    >>> smooth.points[:, 0, 0, 0].tolist()
    [1.0, 1.0, 3.0, 4.0, 4.0, 4.0]
    >>> np.flatnonzero(find_filled(smooth)).tolist()
    [4]
    """
    if not isinstance(poses, Poses):
        raise ShapeError(
            f"filter: wanted poses, came {poses!r}: mapose.load(FILE) gives those of a file"
        )
    parts = filter_parts(
        poses.take,
        len(poses),
        method=method,
        window=window,
        order=order,
        max_gap=max_gap,
        cutoff=cutoff,
        on_progress=on_progress,
    )
    return join_poses(list(parts))


def filter_parts(
    read: Callable[[slice], Poses],
    count: int,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Unpack[FilterOptions],
) -> Iterator[Poses]:
    """Filter poses of which a part is in memory at a time, see `filter_poses`.

    Parameters
    ----------
    read : function of slice
        Gives the poses of some rows.
    count : int
        Rows that there are.
    on_progress, **options
        As for `filter_poses`.

    Yields
    ------
    Poses
        Run after run, together all frames.
    """
    chosen: FilterOptions = {**DEFAULTS, **options}
    method, max_gap, cutoff = chosen["method"], chosen["max_gap"], chosen["cutoff"]
    window, order = chosen["window"], chosen["order"]
    check_filter(method, window=window, order=order, max_gap=max_gap)
    _check_poses(read(slice(0, 1)), method, count)
    parts = cut_windows(count, max_gap if method == "kalman" else max(max_gap, window))
    learned = parts[:: -(-len(parts) // LEARNED)] if method == "kalman" else []
    steps = len(learned) + len(parts)

    def tick(items: Iterable[Item], before: int) -> Iterator[Item]:
        for done, item in enumerate(items, before):
            on_progress(done * count // steps, count)
            yield item

    kalman = _Kalman(max_gap, cutoff)
    if learned:
        samples = [read(outer) for outer, _ in learned]
        kalman.learn(samples, tick(samples, 0))
    for outer, inner in tick(parts, len(learned)):
        poses = read(outer)
        if method == "kalman":
            found = kalman.smooth(poses)
        else:
            measured = _list_points(poses, cutoff)
            seen = np.asarray(np.isfinite(measured).all(-1))
            points = _fill_gaps(measured, poses.frames, max_gap)
            points = _slide(points, poses.frames, method, window=window, order=order)
            found = _assemble(poses, points, seen, None)
        yield found.take(slice(inner.start - outer.start, inner.stop - outer.start))
    on_progress(count, count)


class _Kalman:
    """The smoother: what it has learned of how exact the points of a recording are."""

    def __init__(self, max_gap: int, cutoff: float) -> None:
        self.max_gap, self.cutoff = max_gap, cutoff

    def learn(self, samples: Sequence[Poses], one_by_one: Iterable[Poses]) -> None:
        """Learn from some parts of a recording, which come once more while they are looked at."""
        known = [p.covariance.reshape(-1, *p.covariance.shape[-2:])
                 for p in samples if p.covariance is not None]  # fmt: skip
        self.usual = find_usual(np.concatenate(known).astype(np.float64) if known else None)
        self.scale = learn_scale(map(self._look, one_by_one), max_gap=self.max_gap)

    def smooth(self, poses: Poses) -> Poses:
        """Smooth a part."""
        points, spread, frames = self._look(poses)
        spread = spread * self.scale[:, None, None]
        points, covariance, seen = smooth_tracks(
            points, spread, frames=frames, max_gap=self.max_gap
        )
        return _assemble(poses, points, seen, covariance)

    def _look(self, poses: Poses) -> tuple[Floats, Floats, Ints]:
        points = _list_points(poses, self.cutoff)
        given, d = poses.covariance, points.shape[-1]
        wide = None if given is None else given.astype(np.float64)
        confidence = poses.confidence.astype(np.float64)
        spread = find_spread(confidence, wide, d, usual=self.usual)
        return points, spread.reshape(*points.shape, d), poses.frames


def _list_points(poses: Poses, cutoff: float) -> Floats:
    """List the points (F, I K, d) that are confident enough; NaN = missing."""
    poor = poses.confidence < cutoff
    points = np.where(poor[..., None], np.nan, poses.points.astype(np.float64))
    f, i, k, d = points.shape
    return np.asarray(points.reshape(f, i * k, d))


def find_filled(poses: Poses) -> Bools:
    """Find the points, (F, I, K), that were not seen but filled in: their confidence is 0.01."""
    return np.asarray(poses.confidence == np.float32(FILLED))


def check_filter(method: str, *, window: int, order: int, max_gap: int) -> None:
    """Make sure that the options of `filter_poses` make sense.

    Raises
    ------
    SettingsError
        If one does not; all faults are listed at once.
    """
    faults = []
    if method not in METHODS:
        faults.append(f"no method {method!r}: {suggest_name(method, METHODS)}")
    if window < 1 or window % 2 == 0:
        faults.append(f"window: wanted an odd number of frames, came {window}")
    if method == "savgol" and not 0 <= order < window:
        faults.append(f"order: wanted 0 or more, and less than the window {window}, came {order}")
    if max_gap < 0:
        faults.append(f"max_gap: wanted frames, 0 or more, came {max_gap}")
    if faults:
        raise SettingsError("filter: " + "; ".join(faults))


def _check_poses(poses: Poses, method: str, count: int) -> None:
    if poses.individuals is None and poses.array.shape[1] > 1:
        raise ShapeError(
            "filter: these poses are unordered slots, which change places from frame to frame: "
            "track them first, 'mapose track FILE'"
        )
    if method == "kalman" and count < 3:
        raise ShapeError(f"filter: wanted at least 3 frames to smooth, came {count}")


def _assemble(poses: Poses, points: Floats, seen: Bools, covariance: Floats | None) -> Poses:
    """Put filtered points (F, I K, d) into poses; those that were not seen are marked."""
    points, seen = points.reshape(poses.points.shape), seen.reshape(poses.confidence.shape)
    there = np.asarray(np.isfinite(points).all(-1))
    present = np.asarray(there.any(-1))
    confidence = np.where(seen, poses.confidence, np.float32(FILLED))
    array = np.concatenate([points, np.where(there, confidence, 0)[..., None]], -1)
    spread: Singles | None = None
    if covariance is not None:
        shape = (*points.shape[:-1], *covariance.shape[-2:])
        spread = covariance.reshape(shape).astype(np.float32)
    return replace(
        poses,
        array=array,
        identity=None if poses.identity is None else _carry_over(poses.identity, present),
        covariance=spread,
    )


def _carry_over(identity: Singles, present: Bools) -> Singles:
    """Give animals that were filled in the lower of the probabilities before and after."""
    rows = np.arange(len(identity))[:, None]
    known = np.isfinite(identity)
    before = np.maximum.accumulate(np.where(known, rows, 0))
    last = len(identity) - 1
    after = np.minimum.accumulate(np.where(known, rows, last)[::-1])[::-1]
    ends = [np.take_along_axis(identity, place, 0) for place in (before, after)]
    return np.where(present, np.where(known, identity, np.fmin(*ends)), np.nan)


def _fill_gaps(points: Floats, frames: Ints, max_gap: int) -> Floats:
    """Draw straight lines through gaps (F, T, d) of up to so many frames."""
    filled = points.copy()
    for t in range(points.shape[1]):
        known = np.flatnonzero(np.isfinite(points[:, t]).all(-1))
        for a, b in pairwise(known):
            if b - a > 1 and frames[b] - frames[a] - 1 <= max_gap:
                part = (frames[a + 1 : b] - frames[a]) / (frames[b] - frames[a])
                filled[a + 1 : b, t] = points[a, t] + part[:, None] * (points[b, t] - points[a, t])
    return filled


def _slide(points: Floats, frames: Ints, method: str, *, window: int, order: int) -> Floats:
    """Filter each run of frames without a gap for itself."""
    smooth = points.copy()
    for t in range(points.shape[1]):
        known = np.flatnonzero(np.isfinite(points[:, t]).all(-1))
        for run in np.split(known, np.flatnonzero(np.diff(frames[known]) > 1) + 1):
            # A run that is shorter than the window gets the longest window that fits.
            width = min(window, len(run) - (len(run) + 1) % 2)
            if width > 1 and method == "median":
                smooth[run, t] = _find_medians(points[run, t], width)
            elif width > order and method == "savgol":
                smooth[run, t] = savgol_filter(points[run, t], width, order, axis=0)
    return smooth


def _find_medians(values: Floats, window: int) -> Floats:
    """Find the median of the window about each row, mirrored at the ends."""
    half = window // 2
    padded = np.pad(values, ((half, half), (0, 0)), mode="reflect")
    return np.asarray(np.median(sliding_window_view(padded, window, axis=0), axis=-1))
