"""Opening HDF5 files of anybody: what they claim to hold must lie in them; and writing them.

What HDF5 has in its own hands it cannot close once the disk has failed, and the process goes down;
and it locks what it opens, which some shares cannot. So it gets files that Python has opened; other
programs are kept away by `mapose.locks`.
"""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py

from mapose.errors import FormatError
from mapose.files import explain_write_fault
from mapose.reading import explain_damage, list_numbers, read_hdf5

# deflate, the filter that packs best, makes at most 1032 bytes of one.
_PACKED = 1032
# So much may be claimed without a byte in the file: empty datasets are filled on reading.
_SMALL = 1 << 24
# So much has to be free for what is written aside: HDF5 does not survive a full disk.
_ROOM = 1 << 26
# Where a value of varying length lies is a number in the file. If that is damaged HDF5 may walk on
# for ever, or end the process, so a process of its own reads such values first. It may take
# so many seconds of a processor, however busy that is; on Windows, that much of the clock.
_MOST_SECONDS = 10 if sys.platform != "win32" else 60
_TRY_LISTS = """
import sys
import h5py
path, seconds = sys.argv[1], int(sys.argv[2])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
except ImportError:
    pass
def read(name, node):
    for key in node.attrs:
        node.attrs[key]
    if isinstance(node, h5py.Dataset) and node.dtype.hasobject:
        node[()]
with h5py.File(path, "r", locking=False) as file:
    read("", file)
    file.visititems(read)
"""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; what goes wrong inside is told as damage of the file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    FormatError
        If it is no HDF5 or damaged, if a dataset claims more than can lie in the file, or if it
        leads to another file.
    """
    with explain_damage(path), read_hdf5(path) as file:
        check_sizes(file, path)
        if _has_lists(file):
            _try_lists(path)
        yield file


@contextmanager
def open_sink(path: Path, mode: str = "wb+") -> Iterator[Sink]:
    """Open a file for HDF5 to write to, such that a disk that takes no more is an OSError at last.

    Parameters
    ----------
    path : Path
        The file.
    mode : str
        ``"wb+"`` for a new one, ``"rb+"`` for one that is there.

    Raises
    ------
    OSError
        What the disk has said, at the end of the block.
    """
    with Sink(path, mode) as sink:
        try:
            yield sink
        finally:
            if sink.fault is not None:
                raise sink.fault


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Hand out a path, in the folder for temporary files, and copy to `path` what lies there then.

    For libraries that hand names of files to HDF5: see `Sink`.

    Raises
    ------
    FormatError
        If the disk of the temporary files takes no more.
    OSError
        If the disk of `path` does not.
    """
    with tempfile.TemporaryDirectory(prefix="mapose-") as folder:
        if shutil.disk_usage(folder).free < _ROOM:
            raise FormatError(
                f"cannot write {path.name}: the disk of temporary files, {tempfile.gettempdir()}, "
                "is full; free some space, or name another folder by TMPDIR"
            )
        aside = Path(folder) / path.name
        try:
            yield aside
        except (OSError, RuntimeError) as fault:
            if list_numbers(fault):
                raise FormatError(explain_write_fault(aside, fault)) from fault
            raise
        shutil.copyfile(aside, path)


def leave_mark(path: Path, made: str) -> None:
    """Say in an HDF5 file what made it, where `mapose.files.read_mark` looks."""
    if made:
        with open_sink(path, "rb+") as sink, h5py.File(sink, "r+") as file:
            file.attrs["made_by"] = made


class Sink(io.FileIO):
    """A file for HDF5 that never fails in its hands.

    After a failed write HDF5 can no longer close the file and brings the whole process down when
    it exits. So the fault is kept here, for the writer to raise, and the rest is let go.
    """

    fault: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all, or keep the fault."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.fault is None and done < len(view):  # a full disk may take a part
                done += super().write(view[done:]) or 0
        except OSError as fault:
            self.fault = fault
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file, or keep the fault."""
        try:
            return super().truncate(size)
        except OSError as fault:
            self.fault = self.fault or fault
            return size or 0


def _has_lists(file: h5py.File) -> bool:
    """Tell whether anything in a file is of varying length, without reading it."""

    def has(name: str, node: Any) -> bool | None:
        types = [node.attrs.get_id(key).dtype for key in node.attrs]
        types += [node.dtype] if isinstance(node, h5py.Dataset) else []
        return True if any(t.hasobject for t in types) else None

    return bool(has("", file) or file.visititems(has))


def _try_lists(path: Path) -> None:
    """Refuse a file in which values of varying length lead nowhere."""
    words = [sys.executable, "-P", "-c", _TRY_LISTS, str(path.resolve()), str(_MOST_SECONDS)]
    limit = _MOST_SECONDS if sys.platform == "win32" else None
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode:
        *_, last = [""] + (done.stderr.splitlines() if done else [])
        reason = f" ({last})" if last else ""
        raise FormatError(
            f"{path}: values of varying length in it cannot be read; it is damaged{reason}"
        )


def get_dataset(group: Any, name: str) -> Any:
    """Get a dataset by name.

    Raises
    ------
    FormatError
        If there is none, or a group of this name.
    """
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"{unquote(group.file.filename)}: wanted a dataset {name}, found {found}")
    return found


def check_sizes(file: h5py.File, path: Path) -> None:
    """Refuse datasets that claim more than a file can hold, before anything is allocated.

    Raises
    ------
    FormatError
        If there is one, or one that leads to another file.
    """
    size = path.stat().st_size

    def check(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return
        if node.external:
            raise FormatError(f"{path}: {name} lies in another file; wanted one whole file")
        item = max(node.dtype.itemsize, 1)
        claimed = item * max(math.prod(node.shape), math.prod(node.chunks or (0,)))
        stored = min(node.id.get_storage_size(), size)
        if claimed > max(_PACKED * stored, _SMALL):
            raise FormatError(
                f"{path}: {name} claims {node.shape} values of {item} bytes, of which only "
                f"{stored} bytes lie in the file; it is damaged"
            )

    file.visititems(check)
