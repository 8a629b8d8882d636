"""A recording is told by what is in its file, not by its name."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from mapose.io.stills import list_stills

_PART = 2**20


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Tell one recording from another: its size, and a hash of its first and last megabyte.

    Parameters
    ----------
    path : path
        A file, or a folder of pictures: then of the names and sizes of all, and of two of them.

    Returns
    -------
    str
        16 hexadecimal digits; the same for a copy, and for a file that was renamed or moved.
    """
    path = Path(path)
    if path.is_dir():
        return _fingerprint_folder(path)
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_PART))
        file.seek(max(0, size - _PART))
        digest.update(file.read())
    return digest.hexdigest()[:16]


def _fingerprint_folder(folder: Path) -> str:
    files = list_stills(folder)
    listed = "/".join(f"{file.name}:{file.stat().st_size}" for file in files)
    digest = hashlib.sha256(listed.encode())
    for file in [*files[:1], *files[-1:]]:
        digest.update(fingerprint(file).encode())
    return digest.hexdigest()[:16]


def is_fingerprint(text: object) -> bool:
    """Tell whether something looks like a fingerprint."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{16}", text) is not None


def name_beside(recording: str | os.PathLike[str], ending: str) -> Path:
    """Name a file beside a recording: of ``walk.mp4`` its stem, of a folder its whole name.

    Examples
    --------
    >>> name_beside("raw/walk.mp4", ".mapose.h5").as_posix()
    'raw/walk.mapose.h5'
    """
    path = Path(recording)
    return path.with_name((path.name if path.is_dir() else path.stem) + ending)


def find_path(file: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Path:
    """Find the path from a folder to a file, absolute only where there is no relative one."""
    file, folder = Path(file).resolve(), Path(folder).resolve()
    try:
        return Path(os.path.relpath(file, folder))
    except ValueError:  # another drive on Windows
        return file
