"""Boards as people write them: short specs, and files of Anipose and caliscope."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.boards.board import Board
from calibration.boards.charuco import CharucoBoard
from calibration.boards.chessboard import Chessboard
from calibration.boards.markergrid import ArucoGrid
from calibration.errors import CalibrationError
from calibration.files.damage import explain_damage, parse_toml, read_text
from calibration.group import UNKNOWN_UNIT

log = logging.getLogger(__name__)

_EXAMPLES = {
    "chessboard": "chessboard:9x6:30mm (inner corners, square)",
    "charuco": "charuco:8x11:24mm:18.75mm:4x4_1000 (squares, square, marker, dictionary)",
    "aruco": "aruco:6x6:30mm:9mm:april_36h11 (markers, marker, gap, dictionary)",
}
_KINDS = {
    **{name: name for name in _EXAMPLES},
    "checkerboard": "chessboard",
    "chess": "chessboard",
    "aprilgrid": "aruco",
    "april": "aruco",
    "arucogrid": "aruco",
}
#: Units of length in mm.
UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4}


# No board has squares smaller or larger than this, mm: grains of a print, sides of a room.
_PLAUSIBLE = (0.1, 3000.0)


def read_board(spec: str | os.PathLike[str], unit: str | None = None) -> Board:
    """Read what board is meant.

    Parameters
    ----------
    spec : str or path
        ``chessboard:9x6:30mm``, ``charuco:8x11:24mm:18.75mm:4x4_1000``,
        ``aruco:6x6:30mm:9mm:april_36h11``; or a .toml file of Anipose (its own board file, or the
        ``[calibration]`` part of its config) or caliscope.
    unit : str, optional
        mm, cm, m or in: that of lengths in a file that names none, as Anipose's do.

    Returns
    -------
    Chessboard, CharucoBoard or ArucoGrid
        In the unit of the spec; ``"unknown"`` if nobody says it. Lengths that no board has in
        their unit are questioned by a warning.

    Raises
    ------
    CalibrationError
        If it cannot be understood; with an example of what is wanted. If it says another unit
        than `unit`.

    Examples
    --------
    >>> read_board("charuco:8x11:24mm:18.75mm:4x4_1000").n_corners
    70
    """
    if unit is not None and unit not in UNITS:
        raise CalibrationError(f"unit: wanted {', '.join(UNITS)}, came {unit!r}")
    text = os.fspath(spec)
    of_file = text.lower().endswith(".toml")
    board = _read_file(Path(text)) if of_file else _read_spec(text)
    if unit is not None and board.unit == UNKNOWN_UNIT:
        board = replace(board, unit=unit)  # type: ignore[type-var]
    elif unit is not None and unit != board.unit:
        raise CalibrationError(f"board {text!r}: it says {board.unit}, came the unit {unit}")
    if board.unit == UNKNOWN_UNIT:
        log.warning(
            "%s does not say the unit of its lengths, so that of the calibration will be unknown; "
            "unit= or --unit says it", text,
        )  # fmt: skip
    elif doubt := _question_size(board):
        log.warning("%s", doubt)
    return board


def _question_size(board: Board) -> str:
    """Question lengths that no board has, as a sentence."""
    side = float(np.ptp(board.points[:, 0])) / max(board.columns, 1)
    millimetres = side * UNITS[board.unit]
    if _PLAUSIBLE[0] < millimetres < _PLAUSIBLE[1]:
        return ""
    fitting = [u for u, mm in UNITS.items() if 1 <= side * mm <= 300 and u != board.unit]
    hint = f"; is it in {' or '.join(fitting)}?" if fitting else ""
    return f"{board}: a square of about {side:.3g} {board.unit} is none that one films{hint}"


def _read_spec(text: str) -> Board:
    kind, *parts = text.strip().split(":")
    if kind.lower() not in _KINDS:
        near = difflib.get_close_matches(kind.lower(), _KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "or a .toml file"
        raise CalibrationError(
            f"board {text!r}: wanted {', '.join(_EXAMPLES.values())}; came {kind!r}, {hint}"
        )
    kind = _KINDS[kind.lower()]
    example = _EXAMPLES[kind]
    if len(parts) != example.split(" ")[0].count(":"):
        raise CalibrationError(f"board {text!r}: wanted a spec such as {example}")
    columns, rows = _read_size(parts[0], text, example)
    lengths, unit = _read_lengths(parts[1:2] if kind == "chessboard" else parts[1:3], text, example)
    if kind == "chessboard":
        return Chessboard(columns, rows, lengths[0], unit=unit)
    if kind == "charuco":
        return CharucoBoard(columns, rows, lengths[0], lengths[1], parts[3], unit=unit)
    return ArucoGrid(columns, rows, lengths[0], lengths[1], parts[3], unit=unit)


def _read_size(part: str, text: str, example: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", part)
    if match is None:
        raise CalibrationError(
            f"board {text!r}: wanted columns x rows as in {example}, came {part!r}"
        )
    return int(match[1]), int(match[2])


def _read_lengths(parts: list[str], text: str, example: str) -> tuple[list[float], str]:
    """Read lengths with their units; all in the unit of the first."""
    found = []
    for part in parts:
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z\"]*)\s*", part)
        unit = {"inch": "in", '"': "in"}.get(match[2].lower(), match[2].lower()) if match else ""
        if match is None or unit not in UNITS:
            raise CalibrationError(
                f"board {text!r}: wanted a length with its unit ({', '.join(UNITS)}) as in "
                f"{example}, came {part!r}"
            )
        found.append((float(match[1]), unit))
    first = found[0][1]
    return [
        value if unit == first else value * UNITS[unit] / UNITS[first] for value, unit in found
    ], first


def _read_file(path: Path) -> Board:
    if not path.exists():
        raise CalibrationError(f"no board file at {path}")
    with explain_damage(path):
        return _parse_file(path)


def _parse_file(path: Path) -> Board:
    table = parse_toml(read_text(path), path)
    table = table.get("calibration", table)
    if not isinstance(table, dict):
        raise CalibrationError(f"{path}: calibration: wanted a section of keys")
    try:
        if "board_x" in table or "board_size" in table:
            return _read_anipose(table)
        if "columns" in table and "rows" in table:
            return _read_caliscope(table)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from None
    except KeyError as error:
        raise CalibrationError(f"{path}: the key {error} is missing") from None
    except (TypeError, ValueError, IndexError) as error:
        raise CalibrationError(f"{path}: cannot be understood ({error})") from error
    raise CalibrationError(
        f"{path} describes no board: wanted the keys of Anipose (board_x, board_y, square_length, "
        "...; or board_type, board_size, ...) or caliscope (columns, rows, ...)"
    )


def _read_anipose(table: Mapping[str, Any]) -> Board:
    """Read either form: board_x, board_y, ... or board_size, board_type, ..."""
    long = "board_size" in table
    columns, rows = table["board_size"] if long else (table["board_x"], table["board_y"])
    square = table.get("board_square_side_length" if long else "square_length")
    marker = table.get("board_marker_length" if long else "marker_length")
    kind = str(table.get("board_type", "charuco" if marker else "checkerboard")).lower()
    if kind in ("checkerboard", "chessboard"):
        side = float(_need(square, "square length"))
        return Chessboard(int(columns), int(rows), side, unit=UNKNOWN_UNIT)
    bits = table["board_marker_bits" if long else "marker_bits"]
    count = table["board_marker_dict_number" if long else "dict_size"]
    dictionary = f"{bits}x{bits}_{count}"
    length = float(_need(marker, "marker length"))
    if kind == "charuco":
        side = float(_need(square, "square length"))
        return CharucoBoard(int(columns), int(rows), side, length, dictionary, unit=UNKNOWN_UNIT)
    if kind == "aruco":
        gap = float(table["board_marker_separation_length"])
        return ArucoGrid(int(columns), int(rows), length, gap, dictionary, unit=UNKNOWN_UNIT)
    raise CalibrationError(f"board_type: wanted checkerboard, charuco or aruco, came {kind!r}")


def _read_caliscope(table: Mapping[str, Any]) -> Board:
    """Read a board of caliscope, whose lengths are those of the paper or of one square in cm."""
    columns, rows = int(table["columns"]), int(table["rows"])
    side = table.get("square_size_override_cm") or table.get("square_size_cm")
    if side:
        square = 10 * float(side)
    else:
        unit = {"inch": "in"}.get(str(table.get("units", "cm")), str(table.get("units", "cm")))
        if unit not in UNITS:
            raise CalibrationError(f"units: wanted {', '.join(UNITS)} or inch, came {unit!r}")
        paper = float(table["board_width"]) / columns, float(table["board_height"]) / rows
        square = min(paper) * UNITS[unit]
    if "dictionary" not in table:
        return Chessboard(columns, rows, square)
    marker = square * float(table["aruco_scale"])
    legacy = table.get("legacy_pattern")
    name = str(table["dictionary"])
    return CharucoBoard(columns, rows, square, marker, name, legacy)


def _need(value: object, what: str) -> Any:
    if value is None:
        raise CalibrationError(f"the {what} is missing")
    return value
