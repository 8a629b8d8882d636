"""MATLAB's files of versions 5 to 7, read as data that may be damaged.

SciPy's reader ends the process where a length is wrong. This one knows numbers, texts, cells and
structures, which is all that cameras are made of, and holds every length against what is there.

References
----------
MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from calibration.errors import CalibrationError

_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXTS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_HEADER, _MOST_BYTES, _MOST_DEEP = 128, 1 << 26, 20


class _Damage(Exception):
    """What a file claims does not lie in it."""


def read_mat5(data: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    """Read some variables.

    Parameters
    ----------
    data : bytes
        The whole file.
    names : tuple of str
        Variables to read; those that are not there are left out.

    Returns
    -------
    dict of str to Any
        Structures are dicts, cells and arrays of structures lists, texts str, numbers float64
        arrays shaped as MATLAB shows them.

    Raises
    ------
    CalibrationError
        If it is no such file, or damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise CalibrationError("it is not a MATLAB file of version 5 to 7.3")
    found = {}
    try:
        for kind, inner in _split(data[_HEADER:], order):
            if kind == _COMPRESSED:
                kind, inner = next(_split(_unpack(inner), order))
            if kind == _MATRIX:
                name, value = _read_matrix(inner, order, names, 0)
                if name in names:
                    found[name] = value
    except (_Damage, StopIteration, zlib.error, UnicodeDecodeError) as fault:
        raise CalibrationError(f"it is a damaged MATLAB file: {fault or 'cut off'}") from fault
    return found


def _unpack(data: bytes) -> bytes:
    unpacked = zlib.decompressobj().decompress(data, _MOST_BYTES)
    if len(unpacked) == _MOST_BYTES:
        raise _Damage(f"a variable is larger than {_MOST_BYTES} bytes")
    return unpacked


def _split(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Give kind and content of each element of a run of them."""
    at = 0
    end: str = "little" if order == "<" else "big"
    while len(data) - at >= 8:
        first = int.from_bytes(data[at : at + 4], end)  # type: ignore[arg-type]
        if first >> 16:  # four bytes at most, kind and length in one number
            kind, length, start = first & 0xFFFF, first >> 16, at + 4
            at += 8
        else:
            kind, start = first, at + 8
            length = int.from_bytes(data[at + 4 : at + 8], end)  # type: ignore[arg-type]
            at = start + (length if kind == _COMPRESSED else -(-length // 8) * 8)
        if start + length > len(data):
            raise _Damage(f"an element claims {length} bytes, {len(data) - start} are there")
        yield kind, data[start : start + length]


def _read_matrix(
    data: bytes, order: str, names: tuple[str, ...] | None, depth: int
) -> tuple[str, Any]:
    """Read name and value of a variable; the value is None where its name is not wanted."""
    if depth > _MOST_DEEP:
        raise _Damage(f"cells and structures are nested deeper than {_MOST_DEEP}")
    if not data:
        return "", np.zeros((0, 0))
    parts = _split(data, order)
    kind = int(_read_numbers(next(parts), order)[0]) & 0xFF
    sides = [int(n) for n in _read_numbers(next(parts), order)]
    name = next(parts)[1].decode("utf-8", "replace")
    if names is not None and name not in names:
        return name, None
    count = math.prod(sides)
    if min(sides, default=0) < 0:
        raise _Damage(f"{name or 'an array'} has sides {sides}")
    if kind in _NUMERIC:
        numbers = _read_numbers(next(parts), order)
        if len(numbers) != count:
            raise _Damage(f"{name or 'an array'} wants {count} numbers, {len(numbers)} are there")
        return name, numbers.reshape(sides, order="F")
    if kind == _CHAR:
        return name, _read_text(next(parts, (16, b"")), order, sides)
    if kind == _CELL:
        return name, [_read_inner(parts, order, depth) for _ in range(count)]
    if kind == _STRUCT:
        width = int(_read_numbers(next(parts), order)[0])
        stored = next(parts)[1]
        if width < 1:
            raise _Damage("the names of a structure's fields have no length")
        fields = [
            stored[i : i + width].split(b"\0")[0].decode("utf-8", "replace")
            for i in range(0, len(stored), width)
        ]
        rows = [{f: _read_inner(parts, order, depth) for f in fields} for _ in range(count)]
        return name, rows[0] if len(rows) == 1 else rows
    raise _Damage(f"{name or 'an array'} is of class {kind}, not numbers, text, cells or fields")


def _read_inner(parts: Iterator[tuple[int, bytes]], order: str, depth: int) -> Any:
    kind, data = next(parts, (0, b""))
    if kind != _MATRIX:
        raise _Damage("a cell or structure has fewer parts than it claims")
    return _read_matrix(data, order, None, depth + 1)[1]


def _read_numbers(part: tuple[int, bytes], order: str) -> Any:
    kind, data = part
    if kind not in _NUMBERS:
        raise _Damage(f"wanted numbers, came an element of kind {kind}")
    dtype = np.dtype(order + _NUMBERS[kind])
    if len(data) % dtype.itemsize:
        raise _Damage(f"{len(data)} bytes are no numbers of {dtype.itemsize}")
    return np.frombuffer(data, dtype).astype(np.float64)


def _read_text(part: tuple[int, bytes], order: str, sides: list[int]) -> str | list[str]:
    """Read a text, or the rows of several."""
    kind, data = part
    if kind not in _TEXTS:
        raise _Damage(f"wanted text, came an element of kind {kind}")
    wide = _TEXTS[kind] if kind in (1, 2, 16) else _TEXTS[kind] + ("-le" if order == "<" else "-be")
    letters = list(data.decode(wide))
    if len(sides) != 2 or len(letters) != math.prod(sides):
        return "".join(letters).rstrip()
    rows = ["".join(row).rstrip() for row in np.reshape(letters, sides, order="F")]
    return rows[0] if len(rows) == 1 else rows
