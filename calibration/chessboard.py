"""Finding a plain chessboard: which of its corners each corner of a lattice is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.completion import extend_lattice, fit_lattice
from calibration.lattice import Ints, Lattice, predict_nodes
from calibration.lens import Floats
from calibration.markers import WAYS
from calibration.saddles import Image, sample_image
from calibration.sighting import Sighting

if TYPE_CHECKING:
    from calibration.boards import Chessboard

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
# A part of a board has at least this share of its corners.
_PART = 0.35


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
    hint = ""
    for lattice in lattices[:_LATTICES]:
        if len(lattice) < min(_TELLING, board.n_corners):
            break
        nodes, xy = extend_lattice(image, lattice.nodes, lattice.xy, bright=lattice.bright)
        if len(nodes) < 4:
            continue
        frame = _find_ends(image, *_trim(nodes, xy), lattice.bright)
        if not _check_squares(image, frame):
            continue
        placed = _place(board, frame)
        if placed is None:
            hint = hint or _suggest(board, frame)
            continue
        corners, bright = placed
        size = (board.columns, board.rows)
        xy = frame.xy
        if len(corners) < board.n_corners:
            corners, xy = extend_lattice(image, corners, xy, bright=bright, size=size)
        whole = fit_lattice(image, corners, xy)
        pixels = np.full((board.n_corners, 2), np.nan)
        pixels[whole.nodes @ [1, board.columns]] = whole.xy
        return Sighting(pixels, blur=whole.blur)
    return Sighting(np.full((board.n_corners, 2), np.nan), hint=hint)


def _trim(nodes: Ints, xy: Floats) -> tuple[Ints, Floats]:
    """Cut off columns and rows at the rim of which less than a third is there."""
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
            break
        thinnest = min(rims, key=np.count_nonzero)
        nodes, xy = nodes[~thinnest], xy[~thinnest]
    return nodes, xy


def _check_squares(image: Image, frame: _Frame) -> bool:
    """Check that squares alternate between bright and dark, and that few corners lack."""
    columns, rows = frame.size
    if min(frame.size) < 2 or len(frame.nodes) < _FILLED * columns * rows:
        return False
    row, column = np.mgrid[: rows - 1, : columns - 1].reshape(2, -1)
    middle = np.stack([column, row], -1) + 0.5
    levels = sample_image(image, predict_nodes(frame.nodes, frame.xy, middle))
    wanted = np.where((row + column) % 2 == 0, frame.bright, -frame.bright)
    # Light changes over the board: squares are compared with their neighbours only.
    table = levels.reshape(rows - 1, columns - 1)
    signs = wanted.reshape(rows - 1, columns - 1)
    steps = [
        np.diff(table, axis=axis) * np.take(signs, range(1, signs.shape[axis]), axis)
        for axis in (0, 1)
    ]
    right = np.concatenate([step.ravel() for step in steps]) > 0
    return bool(len(right) == 0 or right.mean() > _ALTERNATING)


def _find_ends(image: Image, nodes: Ints, xy: Floats, bright: int) -> _Frame:
    """Look beyond the rim of a lattice for margins."""
    low = nodes.min(0)
    bright = bright if low.sum() % 2 == 0 else -bright
    nodes = nodes - low
    size = nodes.max(0) + 1
    squares = sample_image(image, predict_nodes(nodes, xy, nodes + 0.5))
    contrast = max(float(np.nanstd(squares)), 2.0)
    ends, goes_on = [], []
    for side in range(4):
        axis, last = side % 2, side >= 2
        across = np.arange(-1, size[1 - axis]) + 0.5
        outer, margin = (0.5, 1 + _BEYOND) if not last else (-0.5, -1 - _BEYOND)
        strips = []
        for depth in (outer, margin):
            line = (-depth if not last else size[axis] - 1 - depth) * np.ones_like(across)
            cells = np.stack([line, across] if axis == 0 else [across, line], -1)
            strips.append(_compare_strip(image, (nodes, xy), cells) / contrast)
        ends.append(strips[0] > _SQUARES and abs(strips[1]) < _MARGIN)
        goes_on.append(strips[0] > _SQUARES and strips[1] > _SQUARES)
    return _Frame(nodes, xy, (int(size[0]), int(size[1])), bright, tuple(ends), tuple(goes_on))


def _compare_strip(image: Image, known: tuple[Ints, Floats], cells: Floats) -> float:
    """Compare a strip of squares with alternating colours: by how many grey levels it does.

    NaN if less than half of it is in the image.
    """
    nodes, xy = known
    there = predict_nodes(nodes, xy, cells)
    height, width = image.shape
    inside = ((there > 1) & (there < [width - 2, height - 2])).all(1)
    if inside.sum() < max(2, len(cells) / 2):
        return float("nan")
    levels = sample_image(image, there[inside])
    # Squares next to the rim on its inner side tell bright from dark.
    sign = np.where(np.arange(len(cells))[inside] % 2 == 0, 1.0, -1.0)
    centred = levels - levels.mean()
    return float(abs((centred * sign).mean()))


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
    normals = np.array([[-1, 0], [0, -1], [1, 0], [0, 1]])
    result = []
    for normal in normals:
        there = way.T @ normal
        result.append(sides[int(np.flatnonzero((normals == there).all(1))[0])])
    return tuple(result)


def _suggest(board: Chessboard, frame: _Frame) -> str:
    """Name the board that is seen, if all its margins are."""
    if not (frame.ends[0] and frame.ends[2] and frame.ends[1] and frame.ends[3]):
        return ""
    columns, rows = max(frame.size), min(frame.size)
    if {columns, rows} == {board.columns, board.rows} or rows < 2:
        return ""
    return f"chessboard:{columns}x{rows}:{board.square:g}{board.unit}"
