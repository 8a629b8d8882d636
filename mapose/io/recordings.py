"""A recording is told by what is in its file, not by its name."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

_PART = 2**20


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Tell one video file from another: its size, and a hash of its first and last megabyte.

    Returns
    -------
    str
        16 hexadecimal digits; the same for a copy, and for a file that was renamed or moved.
    """
    path = Path(path)
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_PART))
        file.seek(max(0, size - _PART))
        digest.update(file.read())
    return digest.hexdigest()[:16]


def is_fingerprint(text: object) -> bool:
    """Tell whether something looks like a fingerprint."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{16}", text) is not None


def find_path(file: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Path:
    """Find the path from a folder to a file, absolute only where there is no relative one."""
    file, folder = Path(file).resolve(), Path(folder).resolve()
    try:
        return Path(os.path.relpath(file, folder))
    except ValueError:  # another drive on Windows
        return file
