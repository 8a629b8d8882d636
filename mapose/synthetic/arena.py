"""The arena: a walled floor, and boxes into which animals disappear.

World frame: millimetres, right-handed, origin in the middle of the floor, z up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats
from mapose.errors import SettingsError


@dataclass(frozen=True)
class Box:
    """A house for animals that nobody sees into, open on its left or right side.

    Parameters
    ----------
    low, high : (float, float, float)
        Opposite corners in mm.
    mouth : int
        +1 if the opening is on the side of larger x, -1 if on the other.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    mouth: int

    @property
    def inside(self) -> Floats:
        """Where an animal rests in the box, float64 (2,), mm."""
        return np.add(self.low[:2], self.high[:2]) / 2

    @property
    def doorstep(self) -> Floats:
        """Where an animal stands before it goes in, float64 (2,), mm."""
        edge = self.high[0] if self.mouth > 0 else self.low[0]
        return np.array([edge + 65.0 * self.mouth, self.inside[1]])

    def holds(self, points: AnyFloats) -> Bools:
        """Tell which floor points (..., 2 or 3) lie on the box's floor, bool (...)."""
        xy = np.asarray(points)[..., :2]
        return np.asarray(((xy > self.low[:2]) & (xy < self.high[:2])).all(-1))

    def find_entry(self, origin: AnyFloats, directions: AnyFloats) -> Floats:
        """Find how far along rays the box begins.

        Parameters
        ----------
        origin : float, (3,)
            Where the rays start, outside the box.
        directions : float, (..., 3)
            Their directions; the distance is in units of their lengths.

        Returns
        -------
        float64, (...)
            Distance at which the ray enters the box; infinite where it misses it.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            a = (np.array(self.low) - origin) / directions
            b = (np.array(self.high) - origin) / directions
        near = np.fmin(a, b).max(-1)
        far = np.fmax(a, b).min(-1)
        return np.where((near <= far) & (near > 0), near, np.inf)


@dataclass(frozen=True)
class Arena:
    """What the animals run about in.

    Parameters
    ----------
    width, depth : float
        Of the floor in mm.
    wall : float
        Height of the walls in mm.
    shelter : bool
        Whether a house stands in a corner, in which animals hide.
    door : bool
        Whether a tunnel leads out of the arena, through which animals leave and come back.
    bedding : bool
        Whether wood chips lie on the floor; else it is bare and pale.

    Raises
    ------
    SettingsError
        If the floor is smaller than 200 x 200 mm or there are no walls.
    """

    width: float = 400.0
    depth: float = 300.0
    wall: float = 110.0
    shelter: bool = False
    door: bool = False
    bedding: bool = True

    def __post_init__(self) -> None:
        if min(self.width, self.depth) < 200 or self.wall <= 0:
            raise SettingsError(
                "arena: wanted a floor of at least 200 x 200 mm and walls above 0, came "
                f"{self.width} x {self.depth} with walls of {self.wall}"
            )

    @property
    def half(self) -> Floats:
        """Half width and half depth, float64 (2,), mm."""
        return np.array([self.width, self.depth]) / 2

    def contains(self, place: AnyFloats) -> bool:
        """Tell whether a floor point (2,) lies within the walls."""
        return bool((np.abs(place) <= self.half).all())

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Shelter and tunnel, where there are."""
        x, y = self.half
        boxes = []
        if self.shelter:
            boxes.append(Box((-x + 4, y - 112, 0), (-x + 118, y - 4, 50), 1))
        if self.door:
            boxes.append(Box((x, -y * 0.35 - 50, 0), (x + 190, -y * 0.35 + 50, 46), -1))
        return tuple(boxes)
