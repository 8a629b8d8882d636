"""Finding a grid of separate markers: ArUco boards and AprilGrids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from calibration.arrays import Floats, Image, Ints
from calibration.boards.board import Board, check_board, check_markers, make_grid
from calibration.boards.markers import (
    MIRRORED,
    WAYS,
    find_dictionary,
    match_markers,
    read_cells,
    read_dictionary,
)
from calibration.corners.completion import drop_strays
from calibration.corners.cornerfit import fit_corners
from calibration.corners.sighting import Sighting, find_levels

# The coarsest image that is searched has at most so many pixels on its longer side.
_COARSE = 1000
# A quadrilateral that correlates more with a marker is it.
_SURE = 0.85
# Corners are within this part of a marker of where most others put them.
_NEAR = 0.25
# Part of the variance around a corner that two blurred edges must explain.
_QUALITY = 0.7


@dataclass(frozen=True)
class ArucoGrid(Board):
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
        check_board(self, {"columns": 1, "rows": 1}, {"marker": self.marker, "gap": self.gap})
        object.__setattr__(self, "dictionary", find_dictionary(self.dictionary))
        check_markers(self.dictionary, self.n_markers)

    def __str__(self) -> str:
        lengths = f"{self.say_length(self.marker)}:{self.say_length(self.gap)}"
        return f"aruco:{self.columns}x{self.rows}:{lengths}:{self.dictionary}"

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
        first = make_grid(self.columns, self.rows, self.marker + self.gap)
        corner = self.marker * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
        return (first[:, None] + corner).reshape(-1, 3)

    def _find(self, gray: Image) -> Sighting:
        return find_grid(self, gray)


def find_grid(board: ArucoGrid, image: Image) -> Sighting:
    """Find the corners of separate markers.

    Parameters
    ----------
    board : ArucoGrid
        What to look for.
    image : uint8, (H, W)
        Grey.

    Returns
    -------
    Sighting
        Without corners if the board is not there.

    Notes
    -----
    OpenCV finds the quadrilaterals; they are read here, in all eight ways and both prints at
    once, against the markers of the board only.
    """
    best = Sighting(np.full((board.n_corners, 2), np.nan))
    for level, factor in find_levels(image, _COARSE):
        sighting = _place_markers(board, (_find_quads(level) + 0.5) * factor - 0.5, image)
        if sighting.inverted:
            # OpenCV looks for dark outlines.
            quads = (_find_quads(255 - level) + 0.5) * factor - 0.5
            sighting = max(
                sighting, _place_markers(board, quads, image), key=lambda s: s.found.sum()
            )
        if sighting.found.sum() > best.found.sum():
            best = sighting
        if best.found.mean() > 0.5:
            break
    return best


@cache
def _make_detector() -> cv2.aruco.ArucoDetector:
    parameters = cv2.aruco.DetectorParameters()
    # Only its quadrilaterals are wanted; a dictionary of one marker costs no time.
    full = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    one = cv2.aruco.Dictionary(full.bytesList[:1], 4, 0)
    parameters.minMarkerPerimeterRate = 0.02
    parameters.minMarkerDistanceRate = 0.02
    return cv2.aruco.ArucoDetector(one, parameters)


def _find_quads(image: Image) -> Floats:
    """Find quadrilaterals, corners clockwise, (Q, 4, 2)."""
    accepted, _, rejected = _make_detector().detectMarkers(image)
    quads = np.array([*accepted, *rejected], np.float64).reshape(-1, 4, 2)
    # Outlines inside one another, the largest first.
    area = np.abs(_measure_areas(quads))
    return quads[np.argsort(-area, kind="stable")]


def _measure_areas(quads: Floats) -> Floats:
    x, y = quads[..., 0], quads[..., 1]
    return np.asarray((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1) / 2)


def _place_markers(board: ArucoGrid, quads: Floats, image: Image) -> Sighting:
    """Say which corner of the board each corner of the quadrilaterals is."""
    pixels = np.full((board.n_corners, 2), np.nan)
    if len(quads) == 0:
        return Sighting(pixels)
    turned = _measure_areas(quads) < 0
    quads[turned] = quads[turned][:, ::-1]
    bits = read_dictionary(board.dictionary).shape[-1]
    levels = read_cells(image, quads, side=1.0, bits=bits)
    likeness = match_markers(levels, board.dictionary, count=board.n_markers)
    # Of the four kinds of print and side, one of them all quadrilaterals show: some markers look
    # like others seen from behind, so each is read for this kind only.
    sides = np.stack([likeness, -likeness]).reshape(2, len(quads), 2, MIRRORED, -1)
    strength = sides.max((3, 4))
    kind = np.where(strength > _SURE, strength, 0).sum(1)
    inverted, mirrored = np.unravel_index(int(kind.argmax()), kind.shape)
    own = sides[inverted, :, mirrored].reshape(len(quads), -1)
    best = own.argmax(1)
    way, marker = np.unravel_index(best, (MIRRORED, likeness.shape[2]))
    way = way + MIRRORED * mirrored
    # Of outlines of the same marker the best one counts.
    chosen = np.argsort(-own.max(1), kind="stable")
    chosen = chosen[own.max(1)[chosen] > _SURE]
    chosen = chosen[np.unique(marker[chosen], return_index=True)[1]]
    if len(chosen) == 0:
        return Sighting(pixels)
    corners = np.stack([_turn_quad(quads[i], WAYS[way[i]]) for i in chosen])
    found = _choose_rows(board, marker[chosen], corners)
    if found is None:
        return Sighting(pixels)
    cells, corners = found
    numbers = 4 * (cells @ np.array([1, board.columns]))[:, None] + np.arange(4)
    whole, blur = _refine(board, image, numbers.ravel(), corners.reshape(-1, 2))
    pixels[whole[0]] = whole[1]
    return Sighting(pixels, inverted=bool(inverted), mirrored=bool(mirrored), blur=blur)


def _turn_quad(quad: Floats, way: Ints) -> Floats:
    """Order the corners of a quadrilateral as those of the printed marker."""
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    printed = square @ way.T
    order = [int(np.flatnonzero((printed == corner).all(1))[0]) for corner in square]
    return quad[order]


def _choose_rows(board: ArucoGrid, marker: Ints, corners: Floats) -> tuple[Ints, Floats] | None:
    """Find whether markers are numbered from the top row or the bottom row.

    Returns the columns and rows of the markers that agree, and their corners.
    """
    column, row = marker % board.columns, marker // board.columns
    points = board.points[:, :2].reshape(board.rows, board.columns, 4, 2)
    best: tuple[Ints, Floats] | None = None
    for rows in (row, board.rows - 1 - row):
        source = points[rows, column].reshape(-1, 2)
        target = corners.reshape(-1, 2)
        side = np.median(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1))
        if len(marker) == 1:
            if board.rows > 1:
                return None
            agree = np.array([True])
        else:
            homography, _ = cv2.findHomography(source, target, cv2.RANSAC, 2 * _NEAR * side)
            if homography is None:
                continue
            there = cv2.perspectiveTransform(source[:, None], homography)[:, 0]
            off = np.linalg.norm(there - target, axis=1).reshape(-1, 4)
            agree = off.max(1) < 2 * _NEAR * side
        if best is None or agree.sum() > len(best[0]):
            best = np.stack([column, rows], -1)[agree], corners[agree]
    return best if best is not None and len(best[0]) >= min(2, board.n_markers) else None


def _refine(
    board: ArucoGrid, image: Image, numbers: Ints, xy: Floats
) -> tuple[tuple[Ints, Floats], float]:
    """Fit the corners, and drop those off the rest."""
    quads = xy.reshape(-1, 4, 2)
    bits = read_dictionary(board.dictionary).shape[-1]
    along, back = np.roll(quads, -1, 1) - quads, np.roll(quads, 1, 1) - quads
    # Two arms run along the sides of the marker, two beyond it into the gap.
    beyond = min(0.8, board.gap / board.marker)
    arms = np.stack([along, back, -beyond * along, -beyond * back], 2).reshape(-1, 4, 2)
    fit = fit_corners(image, xy, arms, 1 / bits, crossing=False)
    side = np.minimum(np.linalg.norm(along, axis=-1), np.linalg.norm(back, axis=-1)).ravel()
    near = np.linalg.norm(fit.xy - xy, axis=1) < np.maximum(1.5, 0.1 * side)
    good = near & (fit.quality > _QUALITY)
    places = board.points[numbers, :2] / (board.marker + board.gap)
    kept = drop_strays(places[good], fit.xy[good])[0]
    same = (places[good][:, None] == kept).all(-1).any(1)
    blur = float(np.median(fit.blur[good])) if good.any() else float("nan")
    return (numbers[good][same], fit.xy[good][same]), blur
