"""Bouts: times in which a measured value is large enough, or small enough, for long enough."""

from __future__ import annotations

import numpy as np

from mapose.arrays import Floats
from mapose.bouts import Bout, BoutGatherer
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
    gatherer = BoutGatherer([(name,) for name in names], rate, times=(min_duration, max_gap))
    gatherer.add(poses.frames, does)
    return gatherer.list_bouts()
