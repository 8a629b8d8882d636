"""Bouts: times in which a measured value is large enough, or small enough, for long enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapose.arrays import Bools, Floats, Ints
from mapose.bouts import Bout
from mapose.errors import SettingsError, ShapeError
from mapose.kinematics.motion import find_rate
from mapose.poses import Poses

#: Seconds: the shortest bout that counts, the longest interruption that is passed over.
TIMES = (0.5, 0.2)


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


class BoutGatherer:
    """Bouts, gathered from one run of frames after the other.

    Parameters
    ----------
    whom : sequence of tuple of str
        The individual or the two, column by column.
    rate : float
        Frames per second.
    times : (float, float)
        Seconds: shortest time that counts, longest interruption that is passed over.
    directed : bool
        As of `Bout`.
    """

    def __init__(
        self,
        whom: Sequence[tuple[str, ...]],
        rate: float,
        *,
        times: tuple[float, float] = TIMES,
        directed: bool = False,
    ) -> None:
        self._whom, self._rate, self._directed = whom, rate, directed
        self._shortest, self._gap = (round(seconds * rate) for seconds in times)
        self._spans: list[list[tuple[int, int]]] = [[] for _ in whom]

    def add(self, frames: Ints, does: Bools) -> None:
        """Add the run that follows: its frames, ascending, and who does it, bool (F, W)."""
        for spans, doing in zip(self._spans, does.T, strict=True):
            on = frames[doing]
            if not len(on):
                continue
            cuts = np.flatnonzero(np.diff(on) > self._gap + 1)
            firsts, lasts = on[np.r_[0, cuts + 1]].tolist(), on[np.r_[cuts, -1]].tolist()
            if spans and firsts[0] - spans[-1][1] <= self._gap + 1:
                firsts[0] = spans.pop()[0]
            # One that was interrupted for too long is over; the last one may go on.
            spans[-1:] = self._drop_short(spans[-1:])
            joined = list(zip(firsts, lasts, strict=True))
            spans += [*self._drop_short(joined[:-1]), joined[-1]]

    def list_bouts(self) -> list[Bout]:
        """List the bouts by time."""
        bouts = [
            Bout(first, last, who, (last - first + 1) / self._rate, self._directed)
            for who, spans in zip(self._whom, self._spans, strict=True)
            for first, last in self._drop_short(spans)
        ]
        return sorted(bouts, key=lambda b: (b.first, b.last, b.individuals))

    def _drop_short(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(first, last) for first, last in spans if last - first + 1 >= self._shortest]
