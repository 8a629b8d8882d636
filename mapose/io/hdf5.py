"""Opening HDF5 files of anybody: what they claim to hold must lie in them."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from mapose.errors import FormatError
from mapose.reading import explain_damage

# deflate, the filter that packs best, makes at most 1032 bytes of one.
_PACKED = 1032
# So much may be claimed without a byte in the file: empty datasets are filled on reading.
_SMALL = 1 << 24
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
with h5py.File(path, "r") as file:
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
    with explain_damage(path), h5py.File(path, "r") as file:
        check_sizes(file, path)
        if _has_lists(file):
            _try_lists(path)
        yield file


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
        raise FormatError(f"{group.file.filename}: wanted a dataset {name}, found {found}")
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
