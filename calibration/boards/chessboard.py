"""Finding a plain chessboard: which of its corners each corner of a lattice is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calibration.arrays import Floats, Image, Ints
from calibration.boards.board import Board, check_board, make_grid
from calibration.boards.markers import WAYS
from calibration.corners.completion import extend_lattice, fit_lattice
from calibration.corners.lattice import Lattice, predict_nodes
from calibration.corners.saddles import sample_image
from calibration.corners.sighting import Sighting, find_on_levels

# So many lattices are looked at, the largest ones.
_LATTICES = 3
# The margin is looked at this part of a square beyond the outermost squares.
_BEYOND = 0.3
# Squares of alternating colours reach 1 when compared with alternation, a margin 0.
_SQUARES, _MARGIN = 0.6, 0.35
# Lattices of fewer corners, or of which more are missing, may be anything.
_TELLING = 9
_FILLED = 0.7
# Neighbouring squares of which fewer differ as they should are no chessboard.
_ALTERNATING = 0.9
# Outward normals (x, y) of the sides left, above, right and below.
_NORMALS = [(-1, 0), (0, -1), (1, 0), (0, 1)]
# A part of a board has at least this share of its corners.
_PART = 0.35


@dataclass(frozen=True)
class Chessboard(Board):
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
        check_board(self, {"columns": 2, "rows": 2}, {"square": self.square})

    def __str__(self) -> str:
        return f"chessboard:{self.columns}x{self.rows}:{self.say_length(self.square)}"

    @property
    def n_corners(self) -> int:
        """Number of corners C."""
        return self.columns * self.rows

    @property
    def points(self) -> Floats:
        """Corners in the board's frame: x along columns, y along rows, z = 0; (C, 3) in `unit`."""
        return make_grid(self.columns, self.rows, self.square)

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

    def _find(self, gray: Image) -> Sighting:
        return find_on_levels(gray, lambda image, lattices: place_chessboard(self, lattices, image))


@dataclass(frozen=True, eq=False)
class _Frame:
    """A lattice, and where its board ends.

    Attributes
    ----------
    nodes, xy : (N, 2)
        Corners, columns and rows from 0.
    size : (int, int)
        Columns and rows.
    bright : int
        1 if the square right of and below node (0, 0) is bright, else -1.
    squares : float64, (rows - 1, columns - 1)
        Grey levels in the middle of the squares between nodes.
    ends : tuple of four bool
        Whether the board ends with the squares before the first column and row and behind the
        last ones (in this order), each seen with its margin.
    goes_on : tuple of four bool
        Whether squares are seen beyond those.
    """

    nodes: Ints
    xy: Floats
    size: tuple[int, int]
    bright: int
    squares: Floats
    ends: tuple[bool, ...]
    goes_on: tuple[bool, ...]


def place_chessboard(board: Chessboard, lattices: list[Lattice], image: Image) -> Sighting:
    """Find the corners of a chessboard.

    A lattice of the board's size is the board. A part of it is placed where the margin of the
    board is seen; where it could lie in several places nothing is found.

    Parameters
    ----------
    board : Chessboard
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
    hint, size = "", (board.columns, board.rows)
    for lattice in map(_trim, lattices[:_LATTICES]):
        if len(lattice) < min(_TELLING, board.n_corners):
            continue
        # Where a lattice is of the board's size nothing is looked for beyond.
        columns, rows = (lattice.nodes.max(0) + 1).tolist()
        limit = (columns, rows) if {columns, rows} == set(size) else None
        bright = lattice.bright
        nodes, xy = extend_lattice(image, lattice.nodes, lattice.xy, bright=bright, size=limit)
        lattice = _trim(Lattice(nodes, xy, bright))
        if len(lattice) < 4:
            continue
        frame = _find_ends(image, lattice)
        if not _check_squares(frame):
            continue
        placed = _place(board, frame)
        if placed is None:
            hint = hint or _suggest(board, frame)
            continue
        corners, bright = placed
        xy = frame.xy
        if len(corners) < board.n_corners:
            corners, xy = extend_lattice(image, corners, xy, bright=bright, size=size)
        whole = fit_lattice(image, corners, xy)
        pixels = np.full((board.n_corners, 2), np.nan)
        pixels[whole.nodes @ [1, board.columns]] = whole.xy
        return Sighting(pixels, blur=whole.blur)
    return Sighting(np.full((board.n_corners, 2), np.nan), hint=hint)


def _trim(lattice: Lattice) -> Lattice:
    """Cut off columns and rows at the rim of which less than a third is there."""
    nodes, xy = lattice.nodes, lattice.xy
    while len(nodes) >= 4:
        low, high = nodes.min(0), nodes.max(0)
        size = high - low + 1
        rims = [
            nodes[:, axis] == edge
            for axis in (0, 1)
            for edge in (low[axis], high[axis])
            if (nodes[:, axis] == edge).sum() * 3 < size[1 - axis]
        ]
        if not rims:
            return Lattice(nodes - low, xy, lattice.bright * (1 if low.sum() % 2 == 0 else -1))
        thinnest = min(rims, key=np.count_nonzero)
        nodes, xy = nodes[~thinnest], xy[~thinnest]
    return Lattice(nodes[:0], xy[:0], lattice.bright)


def _check_squares(frame: _Frame) -> bool:
    """Check that squares alternate between bright and dark, and that few corners lack."""
    columns, rows = frame.size
    if min(frame.size) < 2 or len(frame.nodes) < _FILLED * columns * rows:
        return False
    row, column = np.indices(frame.squares.shape)
    signs = np.where((row + column) % 2 == 0, frame.bright, -frame.bright)
    # Light changes over the board: squares are compared with their neighbours only.
    steps = [np.diff(frame.squares, axis=0) * signs[1:], np.diff(frame.squares) * signs[:, 1:]]
    every = np.concatenate([step.ravel() for step in steps])
    right = every[np.isfinite(every)] > 0
    return bool(len(right) == 0 or right.mean() > _ALTERNATING)


def _find_ends(image: Image, lattice: Lattice) -> _Frame:
    """Look at the squares of a lattice, and beyond its rim for margins."""
    nodes, xy = lattice.nodes, lattice.xy
    columns, rows = (nodes.max(0) + 1).tolist()
    # Squares with those around the lattice; then the margins left, above, right and below.
    x, y = np.arange(-1, columns) + 0.5, np.arange(-1, rows) + 0.5
    lines = [(-1 - _BEYOND, y), (x, -1 - _BEYOND), (columns + _BEYOND, y), (x, rows + _BEYOND)]
    cells = [np.stack(np.broadcast_arrays(*line), -1) for line in lines]
    cells.insert(0, np.stack(np.meshgrid(x, y), -1).reshape(-1, 2))
    there = predict_nodes(nodes, xy, np.concatenate(cells))
    height, width = image.shape
    inside = ((there > 1) & (there < [width - 2, height - 2])).all(1)
    levels = np.where(inside, sample_image(image, np.nan_to_num(there)), np.nan)
    levels, *margins = np.split(levels, np.cumsum([len(part) for part in cells[:-1]]))
    squares = levels.reshape(rows + 1, columns + 1)
    contrast = max(float(np.nanstd(squares)), 2.0) if inside.any() else 2.0
    outer = [
        _alternate(strip) / contrast
        for strip in (squares.T[0], squares[0], squares.T[-1], squares[-1])
    ]
    beyond = [_alternate(strip) / contrast for strip in margins]
    return _Frame(
        nodes,
        xy,
        (columns, rows),
        lattice.bright,
        squares[1:-1, 1:-1],
        tuple(a > _SQUARES and b < _MARGIN for a, b in zip(outer, beyond, strict=True)),
        tuple(a > _SQUARES and b > _SQUARES for a, b in zip(outer, beyond, strict=True)),
    )


def _alternate(levels: Floats) -> float:
    """By how many grey levels a strip of squares alternates.

    NaN if less than half of it is in the image.
    """
    known = np.isfinite(levels)
    if known.sum() < max(2, len(levels) / 2):
        return float("nan")
    sign = np.where(np.arange(len(levels)) % 2 == 0, 1.0, -1.0)[known]
    return float(abs(((levels[known] - levels[known].mean()) * sign).mean()))


def _place(board: Chessboard, frame: _Frame) -> tuple[Ints, int] | None:
    """Give the corners of a lattice the numbers of those of the board; None if that is not certain.

    Also gives the colour of the square right of and below the first corner.
    """
    places = [
        (frame.nodes @ way.T + offset, _find_colour(frame, way, offset))
        for way, offset in _list_places(board, frame)
    ]
    # The board begins dark, unless no place allows that.
    dark = [place for place in places if place[1] == -1]
    places = dark or places
    if not places or not _are_symmetric(board, [corners for corners, _ in places]):
        return None
    # Of numberings that no image can tell apart, the one whose columns run most to the right.
    return max(places, key=lambda place: _run_right(place[0], frame.xy))


def _flatten(board: Chessboard, corners: Ints) -> Ints:
    return np.asarray(corners @ [1, board.columns])


def _are_symmetric(board: Chessboard, places: list[Ints]) -> bool:
    """Whether numberings differ by a symmetry of the board only."""
    first = places[0]
    inside = ((first >= 0) & (first < [board.columns, board.rows])).all(1)
    turned = {
        tuple(symmetry[_flatten(board, first[inside])].tolist()) for symmetry in board.symmetries
    }
    return all(tuple(_flatten(board, corners[inside]).tolist()) in turned for corners in places)


def _run_right(corners: Ints, xy: Floats) -> float:
    centred = corners[:, 0] - corners[:, 0].mean()
    # A little downwards breaks the tie of boards that stand upright.
    return float((centred * (xy[:, 0] + 0.01 * xy[:, 1])).sum())


def _find_colour(frame: _Frame, way: Ints, offset: Ints) -> int:
    """Find the colour of the square right of and below the first corner of the board."""
    # Its middle in the lattice, doubled: way is a rotation, its inverse the transpose.
    middle = way.T @ (np.array([1, 1]) - 2 * np.asarray(offset))
    cell = (middle - 1) // 2
    return frame.bright if cell.sum() % 2 == 0 else -frame.bright


def _list_places(board: Chessboard, frame: _Frame) -> Iterator[tuple[Ints, Ints]]:
    """List the turns and offsets at which a lattice fits the board and its margins."""
    for way in WAYS[:4]:
        turned = frame.nodes @ way.T
        low = turned.min(0)
        size = turned.max(0) - low + 1
        # Which side of the lattice each side of the board is.
        ends, goes_on = _turn_sides(frame.ends, way), _turn_sides(frame.goes_on, way)
        choices = [
            list(_list_offsets(size[axis], wanted, ends[axis::2], goes_on[axis::2]))
            for axis, wanted in enumerate((board.columns, board.rows))
        ]
        part = len(frame.nodes) / board.n_corners
        if all(len(choice) == 1 for choice in choices) and part > _PART:
            yield way, np.array([choices[0][0], choices[1][0]]) - low


def _list_offsets(
    size: int, wanted: int, ends: tuple[bool, ...], goes_on: tuple[bool, ...]
) -> Iterator[int]:
    """List the columns (or rows) of the board at which a lattice of this size may begin."""
    if size == wanted:
        if not any(goes_on):
            yield 0
    elif size < wanted:
        if ends[0] and not ends[1]:
            yield 0
        elif ends[1] and not ends[0]:
            yield wanted - size


def _turn_sides(sides: tuple[bool, ...], way: Ints) -> tuple[bool, ...]:
    """Say for each side of the board what was seen at that side of the lattice."""
    return tuple(sides[_NORMALS.index((x, y))] for x, y in (np.array(_NORMALS) @ way).tolist())


def _suggest(board: Chessboard, frame: _Frame) -> str:
    """Name the board that is seen, if all its margins are."""
    if not (frame.ends[0] and frame.ends[2] and frame.ends[1] and frame.ends[3]):
        return ""
    columns, rows = max(frame.size), min(frame.size)
    if {columns, rows} == {board.columns, board.rows} or rows < 2:
        return ""
    return f"chessboard:{columns}x{rows}:{board.say_length(board.square)}"
