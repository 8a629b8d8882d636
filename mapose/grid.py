"""Map cells and image pixels: the only place where stride arithmetic is written.

A map (scoremap, offset, affinity field) has one cell for each ``pitch`` x ``pitch`` square of
image pixels. The centre of the top-left pixel is (0, 0) and the centre of the top-left cell is
(0, 0), so that pixel = (cell + 1/2) * pitch - 1/2. The same formula turns pixels of a resized
image into pixels of the original, with ``pitch`` the original pixels per resized pixel.
"""

import math
from typing import Any, TypeVar

Coordinates = TypeVar("Coordinates", bound=Any)


def to_pixels(cells: Coordinates, pitch: float) -> Coordinates:
    """Turn cell coordinates into image pixels.

    Parameters
    ----------
    cells : float or array (numpy or torch), any shape
        Positions in cells.
    pitch : float
        Image pixels per cell.

    Returns
    -------
    same type and shape as ``cells``
        Positions in pixels.

    Examples
    --------
    >>> to_pixels(0.0, 4), to_cells(1.5, 4)
    (1.5, 0.0)
    """
    return (cells + 0.5) * pitch - 0.5


def to_cells(pixels: Coordinates, pitch: float) -> Coordinates:
    """Turn image pixels into cell coordinates; the inverse of `to_pixels`."""
    return (pixels + 0.5) / pitch - 0.5


def round_up(size: int, multiple: int) -> int:
    """Find the smallest multiple of ``multiple`` that holds ``size``.

    Examples
    --------
    >>> round_up(747, 32)
    768
    """
    return math.ceil(size / multiple) * multiple
