"""How fast points and animals move, how that changes, and how far they come."""

from __future__ import annotations

import math

import numpy as np

from mapose.arrays import Floats, Ints
from mapose.errors import SettingsError
from mapose.poses import Poses
from mapose.similarity import find_centres

#: Over so many seconds speeds are measured: long enough to even out jitter, short for a mouse.
SPEED_OVER = 0.2


def find_velocities(poses: Poses, *, of: str = "centres", seconds: float = SPEED_OVER) -> Floats:
    """Find how fast and where to animals or their keypoints move.

    Parameters
    ----------
    poses : Poses
        In 2D or 3D, with a rate.
    of : "centres", "keypoints" or str
        Body centres, all keypoints, or one of them.
    seconds : float
        From half of this before to half of this after each frame, one frame each at least. With
        less, the jitter of keypoints looks like running: 1 px at 25 frames/s is 25 px/s from one
        frame to the next.

    Returns
    -------
    float64, (F, I, d), of keypoints (F, I, K, d)
        Unit of the poses per second; NaN where the point is missing at either end, or the
        recording ends.

    Raises
    ------
    SettingsError
        If the rate is not known.
    ShapeError
        If there is no such keypoint.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> walk = np.ones((3, 1, 1, 3))
    >>> walk[:, 0, 0, 0] = [0, 2, 6]
    >>> poses = Poses(walk, Skeleton(["nose"]), rate=10)
    >>> find_velocities(poses)[:, 0].tolist()
    [[nan, nan], [30.0, 0.0], [nan, nan]]
    """
    rate, half = find_half(poses, seconds)
    points = _pick_points(poses, of)
    before, after = (_shift(points, poses.frames, by) for by in (-half, half))
    return np.asarray((after - before) * rate / (2 * half))


def find_speeds(poses: Poses, *, of: str = "centres", seconds: float = SPEED_OVER) -> Floats:
    """Find how fast animals or their keypoints move: the length of `find_velocities`.

    Returns
    -------
    float64, (F, I), of keypoints (F, I, K)
        Unit of the poses per second; NaN as there.
    """
    return np.asarray(np.linalg.norm(find_velocities(poses, of=of, seconds=seconds), axis=-1))


def find_accelerations(poses: Poses, *, of: str = "centres", seconds: float = SPEED_OVER) -> Floats:
    """Find how velocities change.

    Parameters
    ----------
    poses, of, seconds
        As for `find_velocities`: from the way in the half before a frame to that in the half
        after it. Noise counts far more than in velocities: filter first.

    Returns
    -------
    float64, (F, I, d), of keypoints (F, I, K, d)
        Unit of the poses per second²; NaN where the point is missing at either end or in the
        frame.

    Raises
    ------
    SettingsError
        If the rate is not known.
    ShapeError
        If there is no such keypoint.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> walk = np.ones((3, 1, 1, 3))
    >>> walk[:, 0, 0, 0] = [0, 2, 6]
    >>> find_accelerations(Poses(walk, Skeleton(["nose"]), rate=10))[1, 0].tolist()
    [200.0, 0.0]
    """
    rate, half = find_half(poses, seconds)
    points = _pick_points(poses, of)
    before, after = (_shift(points, poses.frames, by) for by in (-half, half))
    return np.asarray((after - 2 * points + before) * (rate / half) ** 2)


def find_distances_travelled(poses: Poses, *, of: str = "centres") -> Floats:
    """Find how far animals or their keypoints have come since the first frame.

    Parameters
    ----------
    poses : Poses
        In 2D or 3D. Jitter adds to the way: filter first.
    of : str
        As for `find_velocities`.

    Returns
    -------
    float64, (F, I), of keypoints (F, I, K)
        In the unit of the poses, never less than before; across gaps the straight line counts,
        from when it is seen again. 0 before it is first seen.
    """
    return Odometer().add(_pick_points(poses, of))


class Odometer:
    """Counts how far points have come, from one run of frames after the other."""

    def __init__(self) -> None:
        self._last: Floats | None = None
        self._way: Floats | None = None

    def add(self, points: Floats) -> Floats:
        """Add the points (F, ..., d) that follow; gives their ways since the first frame."""
        flat = points.reshape(len(points), math.prod(points.shape[1:-1]), points.shape[-1])
        if self._last is None or self._way is None:
            self._last = np.full((1, *flat.shape[1:]), np.nan)
            self._way = np.zeros((1, flat.shape[1]))
        flat = np.concatenate([self._last, flat])
        steps = np.concatenate([self._way, np.zeros((len(points), flat.shape[1]))])
        for t in range(flat.shape[1]):
            known = np.flatnonzero(np.isfinite(flat[:, t]).all(-1))
            steps[known[1:], t] = np.linalg.norm(np.diff(flat[known, t], axis=0), axis=-1)
            self._last[0, t] = flat[known[-1], t] if len(known) else np.nan
        ways = np.cumsum(steps, axis=0)
        self._way = ways[-1:]
        return np.asarray(ways[1:].reshape(points.shape[:-1]))


def find_rate(poses: Poses) -> float:
    """Give the rate of poses.

    Raises
    ------
    SettingsError
        If it is not known.
    """
    if not poses.rate:
        raise SettingsError(
            "durations and speeds are in seconds, but the frame rate of these poses is not known: "
            "--rate 25, in Python dataclasses.replace(poses, rate=25)"
        )
    return poses.rate


def find_positions(poses: Poses) -> Floats:
    """Find the body centres, float64 (F, I, d): the mean of the keypoints that are there."""
    return np.asarray(find_centres(poses.points.astype(np.float64)), np.float64)


def find_half(poses: Poses, seconds: float) -> tuple[float, int]:
    """Give the rate, and the frames before and after one from which its speed is measured."""
    rate = find_rate(poses)
    return rate, max(1, round(seconds * rate / 2))


def _pick_points(poses: Poses, of: str) -> Floats:
    if of == "centres":
        return find_positions(poses)
    points = poses.points.astype(np.float64)
    return points if of == "keypoints" else points[:, :, poses.skeleton.index(of)]


def _shift(points: Floats, frames: Ints, by: int) -> Floats:
    """Give the points of so many frames later; NaN where that frame is missing."""
    shifted = np.full(points.shape, np.nan)
    if not len(points):
        return shifted
    # Frames may be missing from the recording: a row counts only if it is the one wanted.
    rows = np.minimum(np.searchsorted(frames, frames + by), len(frames) - 1)
    there = frames[rows] == frames + by
    shifted[there] = points[rows[there]]
    return shifted
