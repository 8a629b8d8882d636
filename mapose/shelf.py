"""Arrays with a row for each frame, in memory while they are short, else in a file."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from mapose.errors import MaposeError
from mapose.files import explain_write_fault

# Bytes of an array that is kept in memory: of four animals with six keypoints in space, points of
# some 29,000 frames.
_MOST = 1 << 24


class Rows(Protocol):
    """An array, (F, ...), of which some rows are read or written: a numpy array, or one in a file.

    Rows that are read may be those of the array itself: copy them before you write into them.
    """

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]: ...

    def __setitem__(self, rows: slice, values: npt.NDArray[Any], /) -> None: ...


class Shelf:
    """Makes arrays; what is long lies in a file without a name, which is gone with the shelf.

    Parameters
    ----------
    folder : path, optional
        Where that file is; by default all is in memory, however long.

    Examples
    --------
    >>> with Shelf() as shelf:
    ...     rows = shelf.make(5, (2,), np.float64)
    ...     rows[1:3] = np.ones((2, 2))
    ...     rows[0:2].tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def make(self, count: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Rows:
        """Make an array of so many rows, (count, ...), all 0."""
        kind = np.dtype(dtype)
        if self._folder is None or count * kind.itemsize * int(np.prod(shape)) <= _MOST:
            return np.zeros((count, *shape), kind)
        file = _Filed(self._folder, count, shape=shape, dtype=kind)
        self._stack.callback(file.close)
        return file


class _Filed:
    """An array in a file, read and written by rows."""

    def __init__(
        self, folder: Path, count: int, *, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._folder, self._shape, self._dtype = folder, shape, dtype
        self._row = dtype.itemsize * int(np.prod(shape))
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the shelf
            self._file.truncate(count * self._row)  # a hole: takes room as it is written
        except OSError as fault:
            raise MaposeError(explain_write_fault(folder, fault)) from fault
        self._count = count

    def close(self) -> None:
        self._file.close()

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        start, stop, _ = rows.indices(self._count)
        values = np.empty((max(stop - start, 0), *self._shape), self._dtype)
        self._file.seek(start * self._row)
        self._file.readinto(values.reshape(-1).view(np.uint8).data)
        return values

    def __setitem__(self, rows: slice, values: npt.NDArray[Any]) -> None:
        start, _, _ = rows.indices(self._count)
        try:
            self._file.seek(start * self._row)
            self._file.write(
                np.ascontiguousarray(values, self._dtype).reshape(-1).view(np.uint8).data
            )
            self._file.flush()
        except OSError as fault:
            raise MaposeError(explain_write_fault(self._folder, fault)) from fault
