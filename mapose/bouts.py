"""What animals did and where they were: what `mapose.kinematics` finds and `mapose.plots` shows."""

from __future__ import annotations

from dataclasses import dataclass

from mapose.arrays import Floats


@dataclass(frozen=True)
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
