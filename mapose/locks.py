"""One program at a time works on a file: a lock that ends with the program that holds it."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mapose.errors import MaposeError, SettingsError
from mapose.reading import explain_gone

logger = logging.getLogger(__name__)

#: What disks say that know no locks, as some network shares: there, work goes on without.
_NO_LOCKS = {
    getattr(errno, name, None) for name in ("ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL")
}
_NO_LOCKS.add(524)  # ENOTSUPP of Linux, which NFS lets through and no header knows
_held: dict[str, int] = {}  # path -> the thread that holds it


@contextmanager
def lock_output(path: str | os.PathLike[str], *, wait: bool = False) -> Iterator[None]:
    """Be the only one who works on an output while the block runs.

    The operating system holds the lock of ``NAME.lock`` and lets go of it however a program
    ends; the file itself is removed by whoever holds the lock next. A thread may lock an output
    that it has locked already.

    Parameters
    ----------
    path : path
        What is written; its folder must exist.
    wait : bool
        Wait for the other one, for work of seconds. Otherwise the second one is refused.

    Raises
    ------
    SettingsError
        If another program works on it and `wait` is False.
    MaposeError
        If the folder cannot be written to.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> with lock_output(folder / "monday.mapose.h5"):
    ...     print([p.name for p in folder.iterdir()])
    ['monday.mapose.h5.lock']
    >>> list(folder.iterdir())
    []
    """
    place = Path(os.path.realpath(path))
    key = os.path.normcase(place)
    if _held.get(key) == threading.get_ident():
        yield
        return
    lock = _name_lock(place)
    begun, told = time.monotonic(), False
    while (file := _take(lock)) is None:
        if not wait:
            raise SettingsError(
                f"another mapose is working on {place}: wait until it has ended, or choose "
                "another place for one of them"
            )
        if not told and time.monotonic() - begun > 1:
            logger.warning("waiting for another mapose that is working on %s", place.name)
            told = True
        time.sleep(0.01)
    _held[key] = threading.get_ident()
    try:
        yield
    finally:
        del _held[key]
        _let_go(file, lock)


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Tell whether another program works on an output; what a killed one has left is removed."""
    place = Path(os.path.realpath(path))
    if not _name_lock(place).exists():
        return False
    try:
        with lock_output(place):
            return False
    except SettingsError:
        return True
    except MaposeError:  # a disk that takes no files: nobody works there
        return False


def _name_lock(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def _take(lock: Path) -> int | None:
    """Take a lock and give its open file; None if somebody else has it."""
    while True:
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as fault:
            if sys.platform == "win32" and isinstance(fault, PermissionError) and lock.exists():
                return None  # it is just being removed
            raise MaposeError(
                f"cannot write to the folder {lock.parent}: "
                f"{explain_gone(fault) or fault.strerror or fault}"
            ) from fault
        try:
            _lock(file)
        except OSError as fault:
            if fault.errno in _NO_LOCKS:
                return file
            os.close(file)
            return None
        # Whoever had it before may have removed the file between our opening and locking it.
        with suppress(OSError):
            if os.path.samestat(os.fstat(file), lock.stat()):
                return file
        os.close(file)


def _let_go(file: int, lock: Path) -> None:
    """Remove the file of a lock and end the lock; on Windows no open file can be removed."""
    if sys.platform == "win32":
        os.close(file)
    with suppress(OSError):
        lock.unlink()
    if sys.platform != "win32":
        os.close(file)


def _lock(file: int) -> None:
    """Lock an open file, or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
