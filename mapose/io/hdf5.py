"""Opening HDF5 files of anybody: what they claim to hold must lie in them."""

from __future__ import annotations

import math
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
        yield file


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
