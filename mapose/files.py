"""Writing a file so that its name never shows half of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mapose.errors import MaposeError

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def write_atomically(path: str | Path, *, error: type[MaposeError] = MaposeError) -> Iterator[Path]:
    """Hand out a temporary path and give the file its name once all is written.

    The temporary file lies beside the target and is forced to disk before it takes the target's
    place, so that after a crash there is the old file or the whole new one. If the block raises,
    the temporary file is removed and the target stays as it was.

    Parameters
    ----------
    path : str or Path
        The file to make or replace; its folder must exist.
    error : type of MaposeError
        What to raise if the disk does not take the file.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    MaposeError
        If the folder is missing, the disk is full or the file may not be written.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> with write_atomically(folder / "notes.txt") as temporary:
    ...     _ = temporary.write_text("whole", encoding="utf-8")
    >>> [p.name for p in folder.iterdir()]
    ['notes.txt']
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise error(f"cannot write {path.name}: there is no folder {path.parent.resolve()}")
    # The process number keeps two programs that write the same file out of each other's way.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    written = False
    try:
        yield temporary
        written = True
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        if not written and fault.errno not in _FULL:
            raise  # the block's own trouble, with some other file
        raise error(explain_write_fault(path, fault)) from fault
    finally:
        temporary.unlink(missing_ok=True)


def explain_write_fault(path: str | Path, fault: Exception) -> str:
    """Say in one sentence why a file could not be written, and what to do.

    Parameters
    ----------
    path : str or Path
        The file that was to be written.
    fault : Exception
        What the operating system or a library raised.
    """
    path = Path(path)
    text = str(fault)
    full = getattr(fault, "errno", None) in _FULL or any(f"errno = {n}," in text for n in _FULL)
    if full:
        return (
            f"cannot write {path.name}: the disk of {path.parent.resolve()} is full (or the file "
            "too large for it); free some space and run again, nothing half-written was left"
        )
    if isinstance(fault, PermissionError):
        return (
            f"cannot write {path}: no permission, or another program holds the file open; close "
            "it or choose another place"
        )
    return f"cannot write {path}: {text}"
