"""What all boards have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats, Image, Ints
from calibration.boards.markers import read_dictionary
from calibration.corners.sighting import Sighting, make_gray
from calibration.errors import CalibrationError
from calibration.group import UNKNOWN_UNIT


class Board(ABC):
    """A flat thing with known corners, to hold before the cameras.

    Attributes
    ----------
    unit : str
        Of all lengths; ``"unknown"`` if a file did not say.
    n_corners : int
        Number of corners C.
    points : float64, (C, 3)
        Corners in the board's frame: x along columns, y along rows, z = 0; in `unit`.
    """

    columns: int
    rows: int
    unit: str

    @property
    @abstractmethod
    def n_corners(self) -> int:
        """Number of corners C."""

    @property
    @abstractmethod
    def points(self) -> Floats:
        """Corners in the board's frame: x along columns, y along rows, z = 0; (C, 3) in `unit`."""

    def say_length(self, length: float) -> str:
        """Write a length as specs do, with the unit if it is known."""
        return f"{length:g}{'' if self.unit == UNKNOWN_UNIT else self.unit}"

    @property
    def symmetries(self) -> Ints:
        """Numberings of the corners that no image can tell apart, int64 (S, C).

        ``pixels[:, symmetries[s]]`` are the same detections numbered differently; the first one
        changes nothing, and boards with markers have no other.
        """
        return np.arange(self.n_corners)[None]

    def find(self, image: npt.ArrayLike) -> Sighting:
        """Find the corners in an image, and how the board shows itself.

        Parameters
        ----------
        image : uint8, (H, W) or (H, W, 3)
            Grey, or in any order of colours.

        Returns
        -------
        Sighting
            Corners, whether print is inverted, mirrored or of the old pattern, and what was odd.

        Raises
        ------
        CalibrationError
            If the image is not one.
        """
        return self._find(make_gray(image))

    def detect(self, image: npt.ArrayLike) -> Floats:
        """Find the corners in an image.

        Parameters
        ----------
        image : uint8, (H, W) or (H, W, 3)
            Grey, or in any order of colours.

        Returns
        -------
        float64, (C, 2)
            Pixels; NaN = not found.
        """
        return self.find(image).pixels

    def suggest(self, image: npt.ArrayLike) -> str:
        """Name the board that an image without this one shows; "" if that cannot be told."""
        return ""

    @abstractmethod
    def _find(self, gray: Image) -> Sighting: ...


def make_grid(columns: int, rows: int, step: float) -> Floats:
    """Make points in rows and columns, row by row, (C, 3) with z = 0."""
    row, column = np.mgrid[:rows, :columns].reshape(2, -1)
    return np.stack([column * step, row * step, 0.0 * row], -1).astype(np.float64)


def check_board(board: Board, counts: dict[str, int], lengths: dict[str, float]) -> None:
    """Raise if the numbers of a board cannot be, naming all faults."""
    faults = []
    for name, least in counts.items():
        value = getattr(board, name)
        if int(value) != value or value < least:
            faults.append(f"{name}: wanted a whole number of {least} or more, came {value}")
    for name, value in lengths.items():
        if not (np.isfinite(value) and value > 0):
            faults.append(f"{name}: wanted a length above 0, came {value}")
    if faults:
        raise CalibrationError(f"{type(board).__name__}: " + "; ".join(faults))


def check_markers(dictionary: str, needed: int) -> None:
    """Raise if a dictionary has fewer markers than a board needs."""
    held = len(read_dictionary(dictionary))
    if needed > held:
        raise CalibrationError(
            f"the board needs {needed} markers, but dictionary {dictionary} has {held}: take a "
            f"larger one"
        )
