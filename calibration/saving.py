"""Writing a file so that its name never shows half of it."""

from __future__ import annotations

import errno
import glob
import os
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path

from calibration.errors import CalibrationError

_HOST = re.sub(r"\W", "", socket.gethostname())[:16]


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all.

    It is written beside its name, forced to disk and renamed: if the disk is full or the power
    goes, the old file is still there.

    Parameters
    ----------
    path : path
        Replaced if it exists.
    content : bytes
        All of it.

    Raises
    ------
    CalibrationError
        If the file cannot be written.
    """
    path = Path(os.path.realpath(path))  # a link stays one: its target is written
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{_HOST}.tmp")
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
        if not _is_being_written(leftover):
            with suppress(OSError):
                leftover.unlink()
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            _sync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        raise CalibrationError(
            f"cannot write {path}: {fault.strerror or fault}; what was there is unchanged, make "
            "room or choose another place"
        ) from fault
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync(handle: int) -> None:
    """Force an open file to its disk, or leave that to a share that cannot be asked."""
    try:
        os.fsync(handle)
    except OSError as fault:
        if fault.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise


def _is_being_written(temporary: Path) -> bool:
    """Tell whether the process that a temporary file is named by still runs."""
    process, _, host = temporary.name.split(".")[-2].partition("-")
    if not process.isdecimal() or host != _HOST:
        return True  # not one of ours, or one that another machine writes to the same share
    if sys.platform == "win32":
        return False  # a file that is open cannot be removed there
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        pass
    return True
