"""Finding a ChArUco board: which of its corners each corner of a lattice is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats, Image, Ints
from calibration.boards.board import Board, check_board, check_markers, make_grid
from calibration.boards.layouts import find_layout
from calibration.boards.markers import (
    MIRRORED,
    WAYS,
    find_dictionary,
    match_markers,
    read_cells,
    read_dictionary,
)
from calibration.corners.completion import extend_lattice, fit_lattice
from calibration.corners.lattice import Lattice, predict_nodes
from calibration.corners.sighting import Sighting, find_on_levels, make_gray
from calibration.errors import CalibrationError

# A square that correlates less with a marker says nothing, one that correlates more is it.
_HINT, _SURE = 0.6, 0.85
# The place with the next most votes has fewer by this part of them, or by those of a sure marker:
# the old pattern, moved by a square, explains all markers of the new one but a few at the rim.
_LEAD, _LEAD_AT_MOST = 0.3, (_SURE - _HINT / 2) ** 2
# Of the squares that should hold a marker so many show it, and so many of those that surely show
# one show the right one; glare and fingers may hide many, but other boards show others.
_SHOWN, _AGREE = 0.15, 0.6
# So many lattices are looked at, the largest ones.
_LATTICES = 8
# Lattices below this part of the size of the first one placed are left to the completion.
_PART = 0.2


@dataclass(frozen=True)
class CharucoBoard(Board):
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
        check_board(self, {"columns": 2, "rows": 2}, {"square": self.square, "marker": self.marker})
        if self.marker >= self.square:
            raise CalibrationError(
                f"ChArUco board: wanted a marker smaller than its square, came {self.marker:g} in "
                f"{self.square:g} {self.unit}; is it square first, then marker?"
            )
        object.__setattr__(self, "dictionary", find_dictionary(self.dictionary))
        check_markers(self.dictionary, self.n_markers)

    def __str__(self) -> str:
        lengths = f"{self.say_length(self.square)}:{self.say_length(self.marker)}"
        return f"charuco:{self.columns}x{self.rows}:{lengths}:{self.dictionary}"

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
        return make_grid(self.columns - 1, self.rows - 1, self.square)

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

    def _find(self, gray: Image) -> Sighting:
        return find_on_levels(gray, lambda image, lattices: place_charuco(self, lattices, image))

    def suggest(self, image: npt.ArrayLike) -> str:
        """Name the ChArUco board that an image shows, if it is another one; else "".

        Columns, dictionary and the size of markers are read from the image, rows as far as seen.
        """
        gray = make_gray(image)
        seen: list[Lattice] = []

        def collect(_: Image, lattices: list[Lattice]) -> Sighting:
            seen.extend(lattices[:1])
            return Sighting(np.full((1, 2), np.nan))

        find_on_levels(gray, collect)
        return _suggest(self, max(seen, key=len), gray) if seen else ""


@dataclass(frozen=True)
class _Place:
    """Where a lattice lies on the board, corner = WAYS[way] @ node + (column, row), and how."""

    legacy: int
    way: int
    inverted: int
    column: int
    row: int
    score: float

    @property
    def variant(self) -> tuple[bool, bool, bool]:
        """Whether the pattern is the old one, print is inverted, the view is from behind."""
        return bool(self.legacy), bool(self.inverted), self.way >= MIRRORED

    def move(self, nodes: Ints) -> Ints:
        """Say which corners of the board nodes are."""
        return np.asarray(nodes @ WAYS[self.way].T + [self.column, self.row])


def place_charuco(board: CharucoBoard, lattices: list[Lattice], image: Image) -> Sighting:
    """Find the corners of a ChArUco board by the markers in its squares.

    The squares of each lattice are read and compared with all markers in all eight ways at
    once; each likeness votes for one place of the lattice on the board, so that print (inverted
    or not), side (front or behind) and pattern (old or new) come out of the same count.

    Parameters
    ----------
    board : CharucoBoard
        What to look for.
    lattices : list of Lattice
        Corners joined along edges, in pixels of the image.
    image : uint8, (H, W)
        Grey.

    Returns
    -------
    Sighting
        Without corners if the board is not there.
    """
    size = (board.columns - 1, board.rows - 1)
    pixels = np.full((board.n_corners, 2), np.nan)
    placed: list[tuple[_Place, Lattice]] = []
    for lattice in lattices[:_LATTICES]:
        # What is much smaller than the board found already is rather a marker.
        if placed and len(lattice) < _PART * len(placed[0][1]):
            break
        place = _vote(board, lattice, image)
        if place is not None:
            placed.append((place, lattice))
    if not placed:
        return Sighting(pixels)
    placed.sort(key=lambda pair: -pair[0].score)
    variant = placed[0][0].variant
    legacy, inverted, mirrored = variant
    placed = [(place, lattice) for place, lattice in placed if place.variant == variant]
    corners = np.concatenate([place.move(lattice.nodes) for place, lattice in placed])
    xy = np.concatenate([lattice.xy for _, lattice in placed])
    inside = ((corners >= 0) & (corners < size)).all(1)
    # Of two lattices that claim a corner, the better one keeps it.
    first = np.unique(corners[inside] @ [1, size[0]], return_index=True)[1]
    corners, xy = corners[inside][first], xy[inside][first]
    if len(corners) < 4:
        return Sighting(pixels)
    # The square right of and below corner (0, 0) is coloured as square (0, 0): dark, unless
    # the old pattern begins with a bright one.
    bright = 1 if legacy and board.rows % 2 == 0 else -1
    bright = -bright if inverted else bright
    # Markers begin at this part of the square's side.
    margin = (1 - board.marker / board.square) / 2
    reach = max(0.1, margin)
    corners, xy = extend_lattice(image, corners, xy, bright=bright, size=size, reach=reach)
    whole = fit_lattice(image, corners, xy, reach=reach)
    pixels[whole.nodes @ [1, size[0]]] = whole.xy
    told = legacy if board.rows % 2 == 0 else None
    return Sighting(pixels, inverted, mirrored, told, whole.blur)


def _list_cells(lattice: Lattice) -> tuple[Ints, Floats]:
    """List the squares at the nodes of a lattice and their four corners, clockwise."""
    around = np.array([[0, 0], [-1, 0], [0, -1], [-1, -1]])
    cells = np.unique((lattice.nodes[:, None] + around).reshape(-1, 2), axis=0)
    corners = cells[:, None] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    low = corners.min((0, 1))
    table = np.full((*(corners.max((0, 1)) - low + 1), 2), np.nan)
    table[tuple((lattice.nodes - low).T)] = lattice.xy
    every = np.unique(corners.reshape(-1, 2), axis=0)
    missing = every[np.isnan(table[tuple((every - low).T)][:, 0])]
    table[tuple((missing - low).T)] = predict_nodes(lattice.nodes, lattice.xy, missing)
    quads = table[tuple(np.moveaxis(corners - low, -1, 0))]
    known = np.isfinite(quads).all((1, 2))
    return cells[known], quads[known]


def _vote(board: CharucoBoard, lattice: Lattice, image: Image) -> _Place | None:
    """Find the place of a lattice on the board that most squares agree on."""
    cells, quads = _list_cells(lattice)
    if len(cells) == 0:
        return None
    bits = read_dictionary(board.dictionary).shape[-1]
    levels = read_cells(image, quads, side=board.marker / board.square, bits=bits)
    likeness = match_markers(levels, board.dictionary, count=board.n_markers)
    cell, way, marker = np.nonzero(np.abs(likeness) > _HINT)
    if len(cell) == 0:
        return None
    value = likeness[cell, way, marker]
    patterns = (False, True) if board.legacy is None else (board.legacy,)
    keys = []
    for legacy in patterns if board.rows % 2 == 0 else patterns[:1]:
        # Twice the middle of the square, counted in corners.
        target = 2 * board.find_cells(legacy)[marker] - 1
        source = np.einsum("nij,nj->ni", WAYS[way], 2 * cells[cell] + 1)
        offset = (target - source) // 2
        keys.append(np.column_stack([0 * way + legacy, way, value < 0, offset]))
    choices, choice = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    strength = np.tile(np.abs(value), len(keys))
    votes = np.bincount(choice.ravel(), (strength - _HINT / 2) ** 2)
    best = int(votes.argmax())
    mine = (choice.ravel() == best) & (strength > _SURE)
    sure = len(np.unique(np.tile(marker, len(keys))[mine]))
    rival = np.delete(votes, best).max(initial=0.0)
    old, turn, inverted, column, row = choices[best].tolist()
    key = _Place(old, turn, inverted, column, row, float(votes[best]))
    lead = min(_LEAD * key.score, _LEAD_AT_MOST)
    if sure < 2 or key.score - rival < lead or _contradict(board, key, cells, likeness):
        return None
    return key


def _suggest(board: CharucoBoard, lattice: Lattice, image: Image) -> str:
    """Name the board that a lattice shows if its markers lie as on another one."""
    cells, quads = _list_cells(lattice)
    side = board.marker / board.square
    layout = find_layout(image, cells, quads, dictionary=board.dictionary, side=side)
    if layout is None:
        return ""
    marker = board.marker if layout.side == side else float(f"{layout.side * board.square:.2g}")
    lengths = f"{board.say_length(board.square)}:{board.say_length(marker)}"
    rows = layout.rows if layout.columns != board.columns else max(layout.rows, board.rows)
    return f"charuco:{layout.columns}x{rows}:{lengths}:{layout.dictionary}"


def _contradict(board: CharucoBoard, place: _Place, cells: Ints, likeness: Floats) -> bool:
    """Whether squares show other markers than they should at a place: it is another board."""
    marker_of = np.full((board.columns, board.rows), -1)
    marker_of[tuple(board.find_cells(bool(place.legacy)).T)] = np.arange(board.n_markers)
    # The corner up left of square (x, y) is (x, y) - 1; with a turn another one of the four.
    around = cells[:, None] + np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    squares = place.move(around).min(1) + 1
    inside = ((squares >= 0) & (squares < [board.columns, board.rows])).all(1)
    marker = np.full(len(cells), -1)
    marker[inside] = marker_of[tuple(squares[inside].T)]
    holds = marker >= 0
    shown = likeness[holds, place.way, marker[holds]] * (-1 if place.inverted else 1)
    strongest = np.abs(likeness).max((1, 2)) > _SURE
    agree = np.zeros(len(cells), bool)
    agree[holds] = shown > _HINT
    return bool(
        (shown > _HINT).sum() < _SHOWN * holds.sum()
        or (agree & strongest).sum() < _AGREE * strongest.sum()
    )
