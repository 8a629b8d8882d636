"""What animals did and where they were: what `mapose.kinematics` finds and `mapose.plots` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mapose.arrays import Bools, Floats, Ints

#: Seconds: the shortest bout that counts, the longest interruption that is passed over.
TIMES = (0.5, 0.2)


@dataclass(frozen=True, slots=True)
class Bout:
    """A time in which one or two animals did something.

    Parameters
    ----------
    first, last : int
        First and last video frame.
    individuals : (str,) or (str, str)
        Names; who does it to whom, if it is directed.
    duration : float
        Seconds.
    directed : bool
        Whether the order of the names means something.
    """

    first: int
    last: int
    individuals: tuple[str, ...]
    duration: float
    directed: bool = False

    @property
    def label(self) -> str:
        """``ann``, ``ann - bob``, or ``ann > bob`` where it is directed."""
        return (" > " if self.directed else " - ").join(self.individuals)


@dataclass(frozen=True, eq=False)
class Occupancy:
    """How long each animal was in each part of the arena.

    Attributes
    ----------
    seconds : float64, (I, R, C)
        Rows from top to bottom (y), columns from left to right (x). Adds up to the time in which
        the animal was seen within the region.
    x, y : float64, (C + 1,) and (R + 1,)
        Edges of columns and rows, in the unit of the poses.
    individuals : tuple of str
        Names.
    unit : str
        Of the edges.
    """

    seconds: Floats
    x: Floats
    y: Floats
    individuals: tuple[str, ...]
    unit: str


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
