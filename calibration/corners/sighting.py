"""What one image shows of a board, and the search for it from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from calibration.arrays import Bools, Floats, Image
from calibration.corners.lattice import Lattice, connect_saddles
from calibration.corners.saddles import find_saddles
from calibration.errors import CalibrationError

#: The coarsest image in which corners are searched has at most so many pixels on its longer side.
#: Each finer one takes four times as long; in most recordings of chessboards none is needed.
COARSE = 300
# A board of which less was found is looked for in the finer image as well.
_ENOUGH = 1.0


@dataclass(frozen=True, eq=False)
class Sighting:
    """What one image shows of a board.

    Attributes
    ----------
    pixels : float64, (C, 2)
        Corners; NaN = not found.
    inverted : bool
        Whether bright and dark are exchanged.
    mirrored : bool
        Whether the board is seen from behind, through a transparent print or in a mirror.
    legacy : bool, optional
        Whether markers are set in OpenCV's old order; None = the image does not tell.
    blur : float
        Standard deviation of the blur of edges in pixels; NaN = not found.
    hint : str
        Spec of the board that is seen if it seems to be another one.
    """

    pixels: Floats
    inverted: bool = False
    mirrored: bool = False
    legacy: bool | None = None
    blur: float = float("nan")
    hint: str = ""

    @property
    def found(self) -> Bools:
        """Which corners were found, bool (C,)."""
        return np.isfinite(self.pixels[:, 0])


def make_gray(image: npt.ArrayLike) -> Image:
    """Turn an image into grey levels.

    Raises
    ------
    CalibrationError
        If it is not uint8 (or uint16) with one, three or four channels.
    """
    array = np.asarray(image)
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    channels = array.shape[-1] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise CalibrationError(
            f"image: wanted uint8 of shape (H, W) or (H, W, 3), came {array.dtype} {array.shape}"
        )
    if array.ndim == 2:
        return np.ascontiguousarray(array)
    # Boards are black and white: the order of colours hardly matters.
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(array[..., :3]), cv2.COLOR_BGR2GRAY))


def find_levels(image: Image, coarse: int = COARSE) -> Iterator[tuple[Image, Floats]]:
    """Reduce an image to half, quarter, ... until it is small enough, and give the coarsest first.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    coarse : int
        The coarsest has at most so many pixels on its longer side.

    Yields
    ------
    image : uint8, (h, w)
        Reduced.
    factor : float64, (2,)
        Pixels of the full image per pixel, right and down; x in the full image is
        ``(x + 0.5) * factor - 0.5``.
    """
    steps = max(0, int(np.ceil(np.log2(max(image.shape) / coarse))))
    full = np.array([image.shape[1], image.shape[0]])
    for step in range(steps, -1, -1):
        size = full // 2**step
        reduced = cv2.resize(image, size.tolist(), interpolation=cv2.INTER_AREA)
        yield (image if step == 0 else np.asarray(reduced, np.uint8)), full / size


def find_on_levels(image: Image, place: Callable[[Image, list[Lattice]], Sighting]) -> Sighting:
    """Search a coarse image first and finer ones only where that does not do.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    place : function
        Finds the board in lattices of corners, given in pixels of the full image.

    Returns
    -------
    Sighting
        Of all images searched, the one with the most corners.
    """
    best: Sighting | None = None
    for level, factor in find_levels(image):
        lattices = [
            Lattice(found.nodes, (found.xy + 0.5) * factor - 0.5, found.bright)
            for found in connect_saddles(level, find_saddles(level))
        ]
        sighting = place(image, lattices)
        if best is None or sighting.found.sum() > best.found.sum():
            best = sighting
        if best.found.mean() >= _ENOUGH:
            break
    assert best is not None
    return best
