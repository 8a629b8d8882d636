"""Boards with known corners, to hold before the cameras: what they are, and finding them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from calibration.charuco import place_charuco
from calibration.chessboard import place_chessboard
from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.markergrid import find_grid
from calibration.markers import find_dictionary, read_dictionary
from calibration.sighting import Sighting, find_on_levels, make_gray

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chessboard:
    """A plain chessboard.

    Corners are numbered along the columns, row by row; the first one has a dark square up left
    of it. Whether that fixes the numbering is said by `symmetries`: it does if one of `columns`
    and `rows` is even and the other odd; if not, the board looks the same after half a turn
    (and if both are equal and even, after a quarter turn), and no image tells which corner is
    the first. Seen from behind, a chessboard looks like one seen from the front.

    Parameters
    ----------
    columns, rows : int
        Inner corners, where four squares meet; one less than squares.
    square : float
        Side of a square in `unit`.
    unit : str
        Of all lengths.

    Raises
    ------
    CalibrationError
        If numbers do not make a board; all faults at once.

    Examples
    --------
    >>> board = Chessboard(9, 6, 30)
    >>> board.n_corners, board.points[10].tolist(), str(board)
    (54, [30.0, 30.0, 0.0], 'chessboard:9x6:30mm')
    """

    columns: int
    rows: int
    square: float
    unit: str = "mm"

    def __post_init__(self) -> None:
        _check(self, {"columns": 2, "rows": 2}, {"square": self.square})

    def __str__(self) -> str:
        return f"chessboard:{self.columns}x{self.rows}:{self.square:g}{self.unit}"

    @property
    def n_corners(self) -> int:
        """Number of corners C."""
        return self.columns * self.rows

    @property
    def points(self) -> Floats:
        """Corners in the board's frame: x along columns, y along rows, z = 0; (C, 3) in `unit`."""
        return _make_points(self.columns, self.rows, self.square)

    @property
    def symmetries(self) -> Ints:
        """Numberings of the corners that no image can tell apart, int64 (S, C); S = 1, 2 or 4.

        ``pixels[:, symmetries[s]]`` are the same detections numbered differently; the first one
        changes nothing.
        """
        grid = np.arange(self.n_corners).reshape(self.rows, self.columns)
        turns = [grid]
        if (self.columns + self.rows) % 2 == 0:
            turns.append(np.rot90(grid, 2))
        if self.columns == self.rows and self.columns % 2 == 0:
            turns += [np.rot90(grid, 1), np.rot90(grid, 3)]
        return np.stack([turn.ravel() for turn in turns])

    def find(self, image: npt.ArrayLike) -> Sighting:
        """Find the corners in an image, and how the board shows itself.

        Parameters
        ----------
        image : uint8, (H, W) or (H, W, 3)
            Grey, or in any order of colours.

        Returns
        -------
        Sighting
            Corners, and what was odd.

        Raises
        ------
        CalibrationError
            If the image is not one.
        """
        return find_on_levels(
            make_gray(image), lambda gray, lattices: place_chessboard(self, lattices, gray)
        )

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


@dataclass(frozen=True)
class CharucoBoard:
    """A chessboard with a marker in every bright square.

    Corners are the inner corners of the chessboard, numbered row by row, as OpenCV does.

    Parameters
    ----------
    columns, rows : int
        Squares (not corners).
    square, marker : float
        Sides of a square and of a marker in `unit`.
    dictionary : str
        OpenCV's name of the markers, such as ``"4x4_1000"`` or ``"april_36h11"``.
    legacy : bool, optional
        Whether the markers are set as by OpenCV before 4.6, which begins boards with an even
        number of rows with a bright square. By default found out.
    unit : str
        Of all lengths.

    Raises
    ------
    CalibrationError
        If numbers do not make a board; all faults at once.

    Examples
    --------
    >>> board = CharucoBoard(8, 11, 24, 18.75, "4x4_1000")
    >>> board.n_corners, board.n_markers, str(board)
    (70, 44, 'charuco:8x11:24mm:18.75mm:4x4_1000')
    """

    columns: int
    rows: int
    square: float
    marker: float
    dictionary: str
    legacy: bool | None = None
    unit: str = "mm"

    def __post_init__(self) -> None:
        _check(self, {"columns": 2, "rows": 2}, {"square": self.square, "marker": self.marker})
        if self.marker >= self.square:
            raise CalibrationError(
                f"ChArUco board: wanted a marker smaller than its square, came {self.marker:g} in "
                f"{self.square:g} {self.unit}; is it square first, then marker?"
            )
        object.__setattr__(self, "dictionary", find_dictionary(self.dictionary))
        _check_markers(self.dictionary, self.n_markers)

    def __str__(self) -> str:
        size = f"{self.columns}x{self.rows}:{self.square:g}{self.unit}:{self.marker:g}{self.unit}"
        return f"charuco:{size}:{self.dictionary}"

    @property
    def n_corners(self) -> int:
        """Number of corners C."""
        return (self.columns - 1) * (self.rows - 1)

    @property
    def n_markers(self) -> int:
        """Number of markers."""
        return self.columns * self.rows // 2

    @property
    def points(self) -> Floats:
        """Corners in the board's frame: x along columns, y along rows, z = 0; (C, 3) in `unit`.

        The first corner is the origin.
        """
        return _make_points(self.columns - 1, self.rows - 1, self.square)

    def find_cells(self, legacy: bool) -> Ints:
        """Find the squares that hold the markers.

        Parameters
        ----------
        legacy : bool
            Pattern of OpenCV before 4.6.

        Returns
        -------
        int64, (M, 2)
            Column and row of the square of each marker, in the order of their numbers.
        """
        row, column = np.mgrid[: self.rows, : self.columns].reshape(2, -1)
        odd = 0 if legacy and self.rows % 2 == 0 else 1
        bright = (row + column) % 2 == odd
        return np.stack([column[bright], row[bright]], -1)

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
        return find_on_levels(
            make_gray(image), lambda gray, lattices: place_charuco(self, lattices, gray)
        )

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

    @property
    def symmetries(self) -> Ints:
        """Numberings that no image can tell apart: one only, int64 (1, C)."""
        return np.arange(self.n_corners)[None]


@dataclass(frozen=True)
class ArucoGrid:
    """Separate markers in rows and columns, such as an AprilGrid.

    Corners are those of the markers: four each, clockwise from the one up left, marker by marker
    along the columns, row by row.

    Parameters
    ----------
    columns, rows : int
        Markers.
    marker, gap : float
        Side of a marker and distance between two, in `unit`.
    dictionary : str
        OpenCV's name of the markers, such as ``"april_36h11"``.
    unit : str
        Of all lengths.

    Raises
    ------
    CalibrationError
        If numbers do not make a board; all faults at once.

    Notes
    -----
    Markers are numbered from 0, as OpenCV prints them from the top row down, or as Kalibr does
    from the bottom row up; which of them is found out. Corners belong to places on the board, not
    to the numbers of markers, so they do not depend on that. Dark squares in the gaps do no harm.

    Examples
    --------
    >>> board = ArucoGrid(6, 6, 30, 9, "april_36h11")
    >>> board.n_corners, board.points[4].tolist(), str(board)
    (144, [39.0, 0.0, 0.0], 'aruco:6x6:30mm:9mm:april_36h11')
    """

    columns: int
    rows: int
    marker: float
    gap: float
    dictionary: str
    unit: str = "mm"

    def __post_init__(self) -> None:
        _check(self, {"columns": 1, "rows": 1}, {"marker": self.marker, "gap": self.gap})
        object.__setattr__(self, "dictionary", find_dictionary(self.dictionary))
        _check_markers(self.dictionary, self.n_markers)

    def __str__(self) -> str:
        size = f"{self.columns}x{self.rows}:{self.marker:g}{self.unit}:{self.gap:g}{self.unit}"
        return f"aruco:{size}:{self.dictionary}"

    @property
    def n_corners(self) -> int:
        """Number of corners C."""
        return 4 * self.n_markers

    @property
    def n_markers(self) -> int:
        """Number of markers."""
        return self.columns * self.rows

    @property
    def points(self) -> Floats:
        """Corners in the board's frame: x along columns, y along rows, z = 0; (C, 3) in `unit`."""
        first = _make_points(self.columns, self.rows, self.marker + self.gap)
        corner = self.marker * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
        return (first[:, None] + corner).reshape(-1, 3)

    @property
    def symmetries(self) -> Ints:
        """Numberings that no image can tell apart: one only, int64 (1, C)."""
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
            Corners, whether print is inverted or mirrored, and what was odd.

        Raises
        ------
        CalibrationError
            If the image is not one.
        """
        return find_grid(self, make_gray(image))

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


Board: TypeAlias = Chessboard | CharucoBoard | ArucoGrid


def _make_points(columns: int, rows: int, step: float) -> Floats:
    row, column = np.mgrid[:rows, :columns].reshape(2, -1)
    return np.stack([column * step, row * step, 0.0 * row], -1).astype(np.float64)


def _check(board: object, counts: dict[str, int], lengths: dict[str, float]) -> None:
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


def _check_markers(dictionary: str, needed: int) -> None:
    held = len(read_dictionary(dictionary))
    if needed > held:
        raise CalibrationError(
            f"the board needs {needed} markers, but dictionary {dictionary} has {held}: take a "
            f"larger one"
        )
