"""Zones: named parts of an arena, as polygons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats
from mapose.errors import SettingsError, ShapeError


@dataclass(frozen=True, eq=False)
class Zone:
    """A part of the arena.

    Parameters
    ----------
    name : str
        Such as ``"centre"``.
    corners : float64, (N, 2)
        x and y in the frame of reference of the poses, in order around the zone; three at least.

    Raises
    ------
    ShapeError
        If there are fewer than three corners, or they are no pairs of numbers.

    Examples
    --------
    >>> nest = Zone("nest", [[0, 0], [10, 0], [10, 10], [0, 10]])
    >>> nest.contains([[5, 5], [15, 5], [np.nan, 5]]).tolist()
    [True, False, False]
    """

    name: str
    corners: Floats

    def __post_init__(self) -> None:
        try:
            corners = np.asarray(self.corners, np.float64)
        except (TypeError, ValueError):
            corners = np.empty(0)
        fits = corners.ndim == 2 and corners.shape[1] == 2 and len(corners) >= 3
        if not fits or not np.isfinite(corners).all():
            raise ShapeError(f"zone {self.name!r}: wanted three or more corners, x and y of each")
        object.__setattr__(self, "corners", corners)

    def contains(self, points: AnyFloats) -> Bools:
        """Tell which points, (..., 2), lie within; NaN does not."""
        x, y = np.moveaxis(np.asarray(points, np.float64)[..., :2], -1, 0)
        inside = np.zeros(x.shape, bool)
        for (x0, y0), (x1, y1) in zip(self.corners, np.roll(self.corners, -1, 0), strict=True):
            if y0 == y1:
                continue
            # A ray to the right crosses this side: an odd number of crossings is within.
            crosses = ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
            inside ^= crosses
        return inside

    def scale(self, factor: float) -> Zone:
        """Give the zone in another unit, of which one of the old has so many."""
        return Zone(self.name, self.corners * factor)


def parse_zone(text: str) -> Zone:
    """Read a zone as it is typed: its name, and x and y of its corners.

    Raises
    ------
    SettingsError
        If it is none.

    Examples
    --------
    >>> parse_zone("nest=0,0 10,0 10,10").corners.shape
    (3, 2)
    """
    name, sign, corners = text.partition("=")
    try:
        pairs = [tuple(map(float, pair.split(","))) for pair in corners.split()]
        if name.strip() and sign:
            return Zone(name.strip(), pairs)  # type: ignore[arg-type]
    except ValueError:
        pass
    raise SettingsError(f"zone: wanted NAME=x,y x,y x,y with three or more corners, came {text!r}")
