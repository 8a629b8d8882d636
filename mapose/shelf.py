"""Arrays with a row for each frame, in memory while they are short, else in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
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
# Numbers in the largest array that is made at once, 32 MB of float64.
_BLOCK = 4_000_000


def cut_blocks(rows: int, numbers: int) -> Iterator[slice]:
    """Cut rows into blocks that fit the memory, at so many numbers per row."""
    step = max(_BLOCK // max(numbers, 1), 1)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


class Readable(Protocol):
    """An array, (F, ...), of which some rows are read: a numpy array, or one in a file.

    Rows that are read may be those of the array itself: copy them before you write into them.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]: ...


class Rows(Readable, Protocol):
    """One of which rows are written, too."""

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

    def pile(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Pile:
        """Begin an array, (0, ...), to which rows are added."""
        kind = np.dtype(dtype)
        if self._folder is None:
            return Pile(shape, kind)
        file = _Filed(self._folder, 0, shape=shape, dtype=kind)
        self._stack.callback(file.close)
        return Pile(shape, kind, file=file)


class Pile:
    """An array, (F, ...), that grows; made by `Shelf.pile`.

    Examples
    --------
    >>> pile = Shelf().pile((2,), np.int64)
    >>> pile.append(np.ones((3, 2)))
    >>> len(pile), pile[1:3].shape
    (3, (2, 2))
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], *, file: _Filed | None = None
    ) -> None:
        self._none, self._file = np.empty((0, *shape), dtype), file
        self._held: list[npt.NDArray[Any]] = []  # those that are not in the file

    def __len__(self) -> int:
        return (0 if self._file is None else len(self._file)) + sum(map(len, self._held))

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add rows, (N, ...)."""
        self._held.append(np.asarray(values, self._none.dtype))
        if self._file is not None and sum(part.nbytes for part in self._held) > _MOST:
            self._file.append(self._join())
            self._held = []

    def _join(self) -> npt.NDArray[Any]:
        """Make one array of what is in memory."""
        if len(self._held) != 1:
            self._held = [np.concatenate([self._none, *self._held])]
        return self._held[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        if self._file is None or not len(self._file):
            return self._join()[rows]
        if self._held:
            self._file.append(self._join())
            self._held = []
        return self._file[rows]


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

    def __len__(self) -> int:
        return self._count

    def append(self, values: npt.NDArray[Any]) -> None:
        """Put rows behind the others."""
        start, self._count = self._count, self._count + len(values)
        self[start : self._count] = values

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
