"""Writing a file so that its name never shows half of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from calibration.errors import CalibrationError


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
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        raise CalibrationError(
            f"cannot write {path}: {fault.strerror or fault}; what was there is unchanged, make "
            "room or choose another place"
        ) from fault
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
