"""Boards to print in their true size."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from calibration.arrays import Floats, Image
from calibration.boards.board import Board
from calibration.boards.charuco import CharucoBoard
from calibration.boards.chessboard import Chessboard
from calibration.boards.markergrid import ArucoGrid
from calibration.boards.markers import find_dictionary, read_dictionary
from calibration.errors import CalibrationError
from calibration.saving import write_whole

_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4, "inch": 25.4}
_POINTS_PER_MM = 72 / 25.4
# White around the board, in squares: detectors need it, and hands hold it.
_MARGIN = 0.5
# Height of the line of text below the board in mm.
_LINE = 8.0


def write_board(
    board: Board, path: str | os.PathLike[str], *, dpi: int = 600, note: str = ""
) -> None:
    """Write a board as a PDF or PNG that prints in its true size.

    Parameters
    ----------
    board : Chessboard, CharucoBoard or ArucoGrid
        What to print.
    path : path
        Ends in ``.pdf`` (exact, and with a line that says what it is) or ``.png``.
    dpi : int
        Pixels per inch of a PNG; default 600, what printers have.
    note : str
        One line of ASCII kept in the file as a comment, not printed.

    Raises
    ------
    CalibrationError
        If the file has another ending or cannot be written, or the unit of the board is not a
        length.

    Notes
    -----
    Print at 100 %, not "fit to page", glue it on something stiff and flat, and measure a square.
    """
    path = Path(path)
    if board.unit not in _MILLIMETRES:
        raise CalibrationError(
            f"a board in {board.unit!r} has no size to print in: wanted {', '.join(_MILLIMETRES)}; "
            "say its unit (--unit mm)"
        )
    dark = find_dark_areas(board) * _MILLIMETRES[board.unit]
    white = _MARGIN * _find_step(board) * _MILLIMETRES[board.unit]
    low = dark[:, :2].min(0) - white
    width, height = (dark[:, :2] + dark[:, 2:]).max(0) + white - low
    dark = dark - [*low, 0, 0]
    if path.suffix.lower() == ".pdf":
        line = f"{board} - print at 100 %, then measure a square"
        content = _make_pdf(dark, (width, height), line, note)
    elif path.suffix.lower() == ".png":
        content = _make_png(dark, (width, height), dpi, note)
    else:
        raise CalibrationError(f"{path.name}: wanted a name that ends in .pdf or .png")
    write_whole(path, content)


def find_dark_areas(board: Board) -> Floats:
    """Find what is printed dark on a board.

    Parameters
    ----------
    board : Chessboard, CharucoBoard or ArucoGrid
        Any board.

    Returns
    -------
    float64, (N, 4)
        Rectangles in the board's frame and unit: left, top, width, height.
    """
    if isinstance(board, Chessboard):
        return _find_dark_squares(board.columns + 1, board.rows + 1, board.square, even=True)
    if isinstance(board, CharucoBoard):
        cells = board.find_cells(bool(board.legacy))
        # Squares without a marker are dark; the first inner corner is the origin.
        even = bool((cells.sum(1) % 2 == 1).all())
        squares = _find_dark_squares(board.columns, board.rows, board.square, even=even)
        inset = (board.square - board.marker) / 2
        corners: Floats = (cells - 1).astype(np.float64) * board.square + inset
        bits = _find_dark_bits(board, corners)
        return np.concatenate([squares, bits])
    assert isinstance(board, ArucoGrid)
    return _find_dark_bits(board, np.asarray(board.points[::4, :2]))


def _find_step(board: Board) -> float:
    if isinstance(board, ArucoGrid):
        return board.marker + board.gap
    assert isinstance(board, Chessboard | CharucoBoard)
    return board.square


def _find_dark_squares(columns: int, rows: int, square: float, *, even: bool) -> Floats:
    row, column = np.mgrid[:rows, :columns].reshape(2, -1)
    dark = (row + column) % 2 == (0 if even else 1)
    corners = np.stack([column[dark] - 1, row[dark] - 1], -1) * square
    return np.concatenate([corners, np.full(corners.shape, square)], -1)


def _find_dark_bits(board: CharucoBoard | ArucoGrid, corners: Floats) -> Floats:
    patterns = read_dictionary(find_dictionary(board.dictionary))[: len(corners)]
    number, row, column = np.nonzero(patterns == 0)
    bit = board.marker / patterns.shape[1]
    places = corners[number] + np.stack([column, row], -1) * bit
    return np.concatenate([places, np.full(places.shape, bit)], -1)


def _make_pdf(dark: Floats, size: tuple[float, float], text: str, note: str) -> bytes:
    """Make a page of the board's size with one path of all dark areas, so that no seams show."""
    width, height = size
    tall = height + _LINE
    scaled = dark * _POINTS_PER_MM
    # PDF counts from below.
    scaled[:, 1] = tall * _POINTS_PER_MM - scaled[:, 1] - scaled[:, 3]
    areas = "\n".join("{:.4f} {:.4f} {:.4f} {:.4f} re".format(*area) for area in scaled)
    drawn = f"{areas}\nf\nBT /F 8 Tf 14 10 Td ({text}) Tj ET".encode("ascii", "replace")
    box = f"[0 0 {width * _POINTS_PER_MM:.4f} {tall * _POINTS_PER_MM:.4f}]"
    stream = zlib.compress(drawn, 9)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R "
            "/Resources << /Font << /F 5 0 R >> >> >>"
        ).encode(),
        f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode()
        + stream
        + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    content, places = b"%PDF-1.4\n" + (f"% {note}\n" if note else "").encode(), []
    for number, body in enumerate(objects, 1):
        places.append(len(content))
        content += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(content)}\n%%EOF\n"
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    return content + (head + table + end).encode()


def _make_png(dark: Floats, size: tuple[float, float], dpi: int, note: str) -> bytes:
    per_mm = dpi / 25.4
    width, height = (round(side * per_mm) for side in size)
    image: Image = np.full((height, width), 255, np.uint8)
    edges = np.round(np.concatenate([dark[:, :2], dark[:, :2] + dark[:, 2:]], 1) * per_mm)
    for left, top, right, bottom in edges.astype(int):
        image[top:bottom, left:right] = 0
    plain = bytes(cv2.imencode(".png", image)[1])
    # The resolution, without which programs print in any size, follows the head (33 bytes).
    per_metre = round(dpi / 0.0254)
    chunks = _make_chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1))
    if note:
        chunks += _make_chunk(b"tEXt", b"Comment\0" + note.encode("ascii", "replace"))
    return plain[:33] + chunks + plain[33:]


def _make_chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
