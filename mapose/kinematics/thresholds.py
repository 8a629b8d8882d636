"""Bouts: times in which a measured value is large enough, or small enough, for long enough."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapose.arrays import Floats, Ints
from mapose.bouts import Bout
from mapose.errors import SettingsError, ShapeError
from mapose.kinematics.motion import find_rate
from mapose.poses import Poses


def find_bouts(
    poses: Poses,
    values: Floats,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    min_duration: float = 0.5,
    max_gap: float = 0.2,
) -> list[Bout]:
    """Find when a value of each animal stays between limits.

    Parameters
    ----------
    poses : Poses
        For names, frames and the rate.
    values : float, (F, I)
        Such as `find_speeds` gives; NaN is outside of all limits.
    at_least, at_most : float, optional
        One of them at least.
    min_duration, max_gap : float
        Seconds: shorter bouts do not count, shorter interruptions are passed over.

    Returns
    -------
    list of Bout
        By time, each of one individual.

    Raises
    ------
    SettingsError
        If there is no limit, or the rate is not known.
    ShapeError
        If the values are not one for each frame and individual.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> poses = Poses(np.ones((9, 1, 1, 3)), Skeleton(["nose"]), ["ann"], rate=2)
    >>> speed = np.array([0, 0, 5, 6, 0, 7, 7, 0, 0.0])[:, None]
    >>> [(b.first, b.last, b.duration) for b in find_bouts(poses, speed, at_least=5, max_gap=0.5)]
    [(2, 6, 2.5)]
    """
    if at_least is None and at_most is None:
        raise SettingsError("bouts: wanted a limit, at_least or at_most")
    rate, names = find_rate(poses), poses.names
    values = np.asarray(values)
    if values.shape != (len(poses), len(names)):
        raise ShapeError(f"bouts: wanted values {(len(poses), len(names))}, came {values.shape}")
    low = -np.inf if at_least is None else at_least
    high = np.inf if at_most is None else at_most
    does = (values >= low) & (values <= high)
    bouts = [
        Bout(first, last, (name,), (last - first + 1) / rate)
        for i, name in enumerate(names)
        for first, last in join_frames(poses.frames[does[:, i]], rate, (min_duration, max_gap))
    ]
    return sorted(bouts, key=lambda b: (b.first, b.last, b.individuals))


def join_frames(on: Ints, rate: float, times: tuple[float, float]) -> Iterator[tuple[int, int]]:
    """Join frames in which something is so to times, first and last frame of each.

    Parameters
    ----------
    on : int64, (N,)
        Frame numbers, ascending.
    rate : float
        Frames per second.
    times : (float, float)
        Seconds: shortest time that counts, longest interruption that is passed over.
    """
    shortest, gap = (round(seconds * rate) for seconds in times)
    for part in np.split(on, np.flatnonzero(np.diff(on) > gap + 1) + 1):
        if len(part) and int(part[-1] - part[0]) + 1 >= shortest:
            yield int(part[0]), int(part[-1])
