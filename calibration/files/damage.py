"""Reading files that may be damaged, or written by somebody who means no good."""

from __future__ import annotations

import errno
import os
import re
import struct
import tomllib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError

#: Characters of a text file of cameras or boards, and how deep its values may be nested.
MOST_TEXT, MOST_DEEP = 4_000_000, 50

# What data lead to that are not as expected. NameError, AttributeError, AssertionError and
# ImportError are not among them: they are faults of ours.
_DAMAGE: tuple[type[Exception], ...] = (SyntaxError, struct.error, zlib.error)
_DAMAGE += (OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError)


@contextmanager
def explain_damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever reading a file leads to into one clear sentence that names the file.

    Raises
    ------
    CalibrationError
        For damage, lack of memory, and files that cannot be opened.
    """
    try:
        yield
    except CalibrationError as fault:
        if Path(path).name in str(fault):
            raise
        raise CalibrationError(f"{path}: {fault}") from fault
    except MemoryError as fault:
        raise CalibrationError(f"{path} asks for more memory than there is") from fault
    except (FileNotFoundError, PermissionError, IsADirectoryError) as fault:
        raise CalibrationError(f"{path} cannot be opened: {fault.strerror or fault}") from fault
    except OSError as fault:
        if fault.errno in (None, errno.EINVAL):  # of damage: a place before the beginning
            raise _tell_damage(path, fault) from fault
        raise CalibrationError(
            f"{path} cannot be read: {fault.strerror} (a disk or network share that was taken "
            "away?); bring it back and run again"
        ) from fault
    except _DAMAGE as fault:
        raise _tell_damage(path, fault) from fault


def _tell_damage(path: str | os.PathLike[str], fault: Exception) -> CalibrationError:
    return CalibrationError(
        f"{path} cannot be read, it is damaged or of another kind than it seems "
        f"({type(fault).__name__}: {fault})"
    )


def read_text(path: Path) -> str:
    """Read a text file of cameras or boards, within the limits.

    Raises
    ------
    CalibrationError
        If it is no text, longer than `MOST_TEXT`, or nested deeper than `MOST_DEEP`: OpenCV's
        reader would break the stack of the process.
    """
    if path.stat().st_size > MOST_TEXT:
        raise CalibrationError(f"{path}: wanted a file of cameras of at most {MOST_TEXT} bytes")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path} is not a text file: {error}") from error
    check_depth(text, path)
    return text


def check_depth(text: str, source: object) -> None:
    """Refuse text that is nested deeper than `MOST_DEEP`, by a look at its signs alone.

    Raises
    ------
    CalibrationError
        If it is.
    """
    depth = most = tags = 0
    for found in re.finditer(r"[\[{]|[\]}]|</|<(?=\w)", text):
        if found[0] in "[{":
            depth += 1
        elif found[0] in "]}":
            depth = max(depth - 1, 0)
        else:
            tags += 1 if found[0] == "<" else -1
        most = max(most, depth, tags)
    indents = {len(spaces) for spaces in re.findall(r"^ *", text, re.MULTILINE)}
    dashes = max((len(d) // 2 for d in re.findall(r"(?:[-?:] )+", text)), default=0)
    if max(most, len(indents), dashes) > MOST_DEEP:
        raise CalibrationError(
            f"{source}: values may be nested {MOST_DEEP} deep, these are deeper; it is damaged"
        )


def parse_toml(text: str, source: object) -> dict[str, Any]:
    """Read TOML.

    Raises
    ------
    CalibrationError
        If it is none, or exceeds the limits.
    """
    check_depth(text, source)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise CalibrationError(f"{source} is not a TOML file: {error}") from error
