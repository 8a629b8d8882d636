"""Boards as people write them: short specs, and files of Anipose and caliscope."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibration.boards.board import Board
from calibration.boards.charuco import CharucoBoard
from calibration.boards.chessboard import Chessboard
from calibration.boards.markergrid import ArucoGrid
from calibration.errors import CalibrationError
from calibration.files.damage import explain_damage, parse_toml, read_text

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


def read_board(spec: str | os.PathLike[str]) -> Board:
    """Read what board is meant.

    Parameters
    ----------
    spec : str or path
        ``chessboard:9x6:30mm``, ``charuco:8x11:24mm:18.75mm:4x4_1000``,
        ``aruco:6x6:30mm:9mm:april_36h11``; or a .toml file of Anipose (its own board file, or the
        ``[calibration]`` part of its config) or caliscope.

    Returns
    -------
    Chessboard, CharucoBoard or ArucoGrid
        In the unit of the spec. Anipose's files name none; they are taken to be in mm.

    Raises
    ------
    CalibrationError
        If it cannot be understood; with an example of what is wanted.

    Examples
    --------
    >>> read_board("charuco:8x11:24mm:18.75mm:4x4_1000").n_corners
    70
    """
    text = os.fspath(spec)
    if text.lower().endswith(".toml"):
        return _read_file(Path(text))
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
        return Chessboard(int(columns), int(rows), float(_need(square, "square length")))
    bits = table["board_marker_bits" if long else "marker_bits"]
    count = table["board_marker_dict_number" if long else "dict_size"]
    dictionary = f"{bits}x{bits}_{count}"
    length = float(_need(marker, "marker length"))
    if kind == "charuco":
        side = float(_need(square, "square length"))
        return CharucoBoard(int(columns), int(rows), side, length, dictionary)
    if kind == "aruco":
        gap = float(table["board_marker_separation_length"])
        return ArucoGrid(int(columns), int(rows), length, gap, dictionary)
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
