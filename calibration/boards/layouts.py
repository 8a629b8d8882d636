"""Which ChArUco board an image shows, when it is not the one that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import Floats, Image, Ints
from calibration.boards.markers import (
    FAMILIES,
    WAYS,
    match_markers,
    read_cells,
    read_dictionary,
)

# A square that correlates less with a marker does not surely show it.
_SURE = 0.85
# So many markers in two rows and columns or more tell the layout; the next best layout explains
# fewer by this factor.
_TELLING, _LEAD = 6, 0.75
# Columns that boards have, and markers over squares that are tried.
_COLUMNS = range(3, 41)
_SIDES = (0.55, 0.65, 0.75, 0.85)
# Squares of which fewer are seen say nothing; more of them, and more markers of a dictionary, need
# not be looked at to know it.
_FEWEST, _MOST, _MARKERS = 9, 40, 250


@dataclass(frozen=True)
class Layout:
    """How markers seen lie on a board.

    Parameters
    ----------
    columns, rows : int
        Squares; of the rows as many as were seen at least.
    dictionary : str
        Of the markers.
    side : float
        Side of a marker over that of its square.
    """

    columns: int
    rows: int
    dictionary: str
    side: float


@dataclass(frozen=True, eq=False)
class _Markers:
    """Markers surely seen: in which square of a lattice, in which way, which one."""

    cells: Ints
    quads: Floats
    way: Ints
    number: Ints


def find_layout(
    image: Image, cells: Ints, quads: Floats, *, dictionary: str, side: float
) -> Layout | None:
    """Find which ChArUco board the squares of a lattice belong to.

    The markers of one board are numbered row by row, two columns apart: where they lie tells how
    many columns there are. The dictionary and the size of markers that are expected are tried
    first, then all others.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    cells : int64, (Q, 2)
        Column and row of the squares in the lattice.
    quads : float64, (Q, 4, 2)
        Their corners, clockwise, in pixels.
    dictionary : str
        That is expected.
    side : float
        Of a marker over that of its square, as expected.

    Returns
    -------
    Layout or None
        None if too few markers are sure, or two layouts explain them alike.
    """
    if len(cells) < _FEWEST:
        return None
    expected = _read_markers(image, cells, quads, dictionary, side)
    best = (len(expected.number), dictionary, side, expected)
    if best[0] < _TELLING:
        some = np.linspace(0, len(cells) - 1, min(len(cells), _MOST)).astype(int)
        for family in dict.fromkeys([dictionary, *FAMILIES]):
            for each in _SIDES:
                found = _read_markers(image, cells[some], quads[some], family, each)
                best = max(best, (len(found.number), family, each, found), key=lambda b: b[0])
        if best[0] >= _TELLING:
            found = _read_markers(image, cells, quads, best[1], best[2])
            side = _measure_side(image, found, best[1])
            best = (len(found.number), best[1], side, found)
    return _explain(best[3], best[1], best[2]) if best[0] >= _TELLING else None


def _read_markers(
    image: Image, cells: Ints, quads: Floats, dictionary: str, side: float
) -> _Markers:
    bits = read_dictionary(dictionary).shape[-1]
    levels = read_cells(image, quads, side=side, bits=bits)
    likeness = match_markers(levels, dictionary, count=_MARKERS)
    flat = np.abs(likeness).reshape(len(cells), -1)
    way, number = np.unravel_index(flat.argmax(1), likeness.shape[1:])
    sure = flat.max(1) > _SURE
    # All markers of a board lie on it in the same way.
    usual = np.bincount(way[sure], minlength=len(WAYS)).argmax() if sure.any() else 0
    sure &= way == usual
    return _Markers(cells[sure], quads[sure], way[sure], number[sure])


def _measure_side(image: Image, seen: _Markers, dictionary: str) -> float:
    """Find the side of markers, over that of squares, at which they are read best."""
    bits = read_dictionary(dictionary).shape[-1]
    sides = np.linspace(0.45, 0.95, 26)
    rows = np.arange(len(seen.number))
    likeness = [
        match_markers(
            read_cells(image, seen.quads, side=side, bits=bits), dictionary, count=_MARKERS
        )[rows, seen.way, seen.number]
        for side in sides
    ]
    return float(sides[np.argmax(np.abs(likeness).mean(1))])


def _explain(seen: _Markers, dictionary: str, side: float) -> Layout | None:
    """Find the number of columns that explains most markers."""
    turn = WAYS[seen.way[0]]
    place = np.einsum("ij,nj->ni", turn, seen.cells)
    counts = {}
    for columns in _COLUMNS:
        for odd in (0, 1):
            # Squares that hold markers, row by row; odd: the first one holds none.
            rows = 2 * (int(seen.number.max()) // columns + 2)
            row, column = np.mgrid[:rows, :columns].reshape(2, -1)
            bright = (row + column) % 2 == odd
            where = np.stack([column[bright], row[bright]], -1)
            _, inverse, votes = np.unique(
                where[seen.number] - place, axis=0, return_inverse=True, return_counts=True
            )
            agreeing = seen.number[inverse.ravel() == votes.argmax()]
            spread = where[agreeing]
            if (np.ptp(spread, axis=0) >= 1).all():
                counts[columns, odd] = len(agreeing), int(spread[:, 1].max()) + 1
    if not counts:
        return None
    best = max(counts, key=lambda key: counts[key][0])
    explained, rows = counts[best]
    rival = max((n for (columns, _), (n, _) in counts.items() if columns != best[0]), default=0)
    if explained < _TELLING or rival > _LEAD * explained:
        return None
    return Layout(best[0], rows, dictionary, side)
