"""A result as corrected, read in windows of frames: however long it is, little is in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Ints
from mapose.doubts import Doubt, find_swaps
from mapose.edits import Edit, Settlement, find_edits_path, load_edits, rate_names, settle_names
from mapose.edits.records import find_body_length
from mapose.io.store import PosesFile
from mapose.poses import Poses
from mapose.results.result import choose_own, find_recorded

#: Rows that `add_edit` looks at on either side of a frame.
_AROUND = 5000


class Windows:
    """A result of ours, of which a few frames are in memory at a time.

    What it gives is what `mapose.load` gives, frame by frame. It sees edits that are made while it
    is open, by `refresh`.

    Parameters
    ----------
    path : path
        A ``NAME.mapose.h5``.

    Raises
    ------
    FormatError
        If it is missing, damaged or another kind of file.

    Examples
    --------
    >>> from mapose.results.result import save
    >>> from mapose.skeleton import Skeleton
    >>> path = getfixture("tmp_path") / "monday.mapose.h5"
    >>> save(Poses(np.ones((50, 1, 1, 3)), Skeleton(["snout"]), ["ann"], rate=25), path)
    >>> with Windows(path) as windows:
    ...     len(windows), windows.read(10, 5).frames.tolist()
    (50, [10, 11, 12, 13, 14])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = PosesFile(self.path)
        self._lock = threading.RLock()
        self.frames: Ints = self._file.read_frames()
        self.recording = find_recorded(self._file.read_provenance())
        self._doubts = find_swaps(self._file.read_doubts())
        self._length: float | None = None
        self.refresh()

    def __enter__(self) -> Windows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.frames)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the individuals, as edited."""
        return self._settled.names

    @property
    def named(self) -> bool:
        """Whether the file has individuals at all."""
        return self._file.individuals is not None

    @property
    def file(self) -> PosesFile:
        """The file itself: skeleton, rate, unit, provenance."""
        return self._file

    def refresh(self) -> None:
        """See the edits as they are now."""
        with self._lock:
            journal = load_edits(find_edits_path(self.path))
            self.edits = choose_own(journal, self.recording if journal else "", self.path)
            if not self.edits:
                names = self._file.names
                order = np.arange(len(names))[None]
                self._settled = _Sparse(names, np.zeros(1, np.int64), order, (), [])
                return
            self._settled = self._settle(self.edits)

    def find_doubts(self, *, min_probability: float = 0.0) -> list[Doubt]:
        """Rank the moments in which names are still in doubt, as `Result.find_doubts` does."""
        doubts = [d for d in self._doubts if d.probability >= min_probability]
        if not self.edits:
            return doubts
        names, placed = self.names, self._settled.placed
        return [
            Doubt(d.first, d.last, (names[a], names[b]), d.probability)
            for d, a, b in placed
            if d.probability >= min_probability
        ]

    def find_order(self, frames: Ints) -> Ints:
        """Say which of the tracker's rows belongs where in some frames, int64 (F, I)."""
        part = np.searchsorted(self._settled.starts, frames, side="right") - 1
        return self._settled.orders[np.maximum(part, 0)]

    def read(self, first: int, count: int) -> Poses:
        """Read a run of frames as corrected.

        Parameters
        ----------
        first, count : int
            Video frames; those that the file does not hold are not there.
        """
        rows = np.searchsorted(self.frames, [first, first + count])
        return self.read_rows(slice(int(rows[0]), int(rows[1])))

    def read_rows(self, rows: slice) -> Poses:
        """Read some rows as corrected, in the order of the file."""
        with self._lock:
            poses, settled = self._file.read_poses(rows), self._settled
        if not self.edits:
            return poses
        order = self.find_order(poses.frames)
        named = poses.individuals or settled.names != poses.names
        moved = poses.arrange(order, settled.names if named else None)
        if moved.identity is None:
            return moved
        here = Settlement(order, settled.names, settled.held)
        rated = rate_names(poses.frames, moved.identity, settled.placed, here)
        return replace(moved, identity=rated)

    def read_around(self, frame: int) -> Poses:
        """Read the frames around one, as many as it takes to see who is who there."""
        row = int(np.searchsorted(self.frames, frame))
        return self.read_rows(slice(max(0, row - _AROUND), min(len(self), row + _AROUND)))

    def _settle(self, edits: Iterable[Edit]) -> _Sparse:
        """Find what edits come to from the few frames that they speak of."""
        edits = list(edits)
        spoken = [e.frame for e in edits] + [d.first for d in self._doubts]
        spoken += [s.frame for e in edits for seen in (*e.before, *e.after) for s in seen]
        rows = np.searchsorted(self.frames, np.array(spoken, np.int64))
        rows = np.unique(np.r_[0, rows, len(self) - 1].clip(0, len(self) - 1))
        few = self._read_few(rows)
        settled = settle_names(few, edits, length=self._find_length())
        changed = np.r_[True, (np.diff(settled.order, axis=0) != 0).any(1)]
        return _Sparse(
            settled.names,
            few.frames[changed],
            settled.order[changed],
            settled.held,
            settled.place_doubts(few, self._doubts),
        )

    def _find_length(self) -> float:
        if self._length is None:
            self._length = find_body_length(self._file.read_sample())
        return self._length

    def _read_few(self, rows: Ints) -> Poses:
        """Read single rows, neighbours together."""
        cuts = np.flatnonzero(np.diff(rows) > _NEAR) + 1
        parts = []
        for group in np.split(rows, cuts):
            start = int(group[0])
            part = self._file.read_poses(slice(start, int(group[-1]) + 1))
            parts.append(part.take(group - start))
        first = parts[0]
        return replace(
            first,
            array=np.concatenate([p.array for p in parts]),
            frames=np.concatenate([p.frames for p in parts]),
            identity=None,
            covariance=None,
        )


#: Rows so near to each other are read in one go.
_NEAR = 64


@dataclass(frozen=True, eq=False)
class _Sparse:
    """What edits come to: from which frames on which order of rows holds.

    Attributes
    ----------
    names : tuple of str, (I,)
    starts : int64, (S,)
        Video frames.
    orders : int64, (S, I)
    held : tuple of (Edit, (int, int))
        As of `Settlement`.
    placed : list of (Doubt, int, int)
        As `Settlement.place_doubts` gives them.
    """

    names: tuple[str, ...]
    starts: Ints
    orders: Ints
    held: tuple[tuple[Edit, tuple[int, int]], ...]
    placed: list[tuple[Any, int, int]]
