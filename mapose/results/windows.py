"""A result as corrected, read in windows of frames: however long it is, little is in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Bools, Ints
from mapose.doubts import Doubt, find_swaps
from mapose.edits import (
    Edit,
    Settlement,
    edit_points,
    find_edited,
    find_edits_path,
    find_empty,
    load_edits,
    rate_names,
    settle_names,
)
from mapose.edits.records import find_body_length
from mapose.io.store import PosesFile
from mapose.parts import PART, Parts
from mapose.poses import Poses
from mapose.results.result import Result, arrange_support, choose_own, find_recorded

#: Rows that `add_edit` looks at on either side of a frame.
_AROUND = 5000
#: Seconds, and frames at least, that are read on either side of where an animal is seen.
_SECONDS, _LEAST = 4, 500


class Windows:
    """A result of ours, of which a few frames are in memory at a time.

    What it gives is what `mapose.load` gives, frame by frame. It sees edits that are made while it
    is open, by `refresh`.

    Parameters
    ----------
    path : path
        A ``NAME.mapose.h5``.
    file : PosesFile, optional
        The same, if it is open already; whoever opened it closes it.
    journal : sequence of Edit, optional
        The edits beside it, if they are read already.

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

    def __init__(
        self,
        path: str | os.PathLike[str],
        file: PosesFile | None = None,
        *,
        journal: Sequence[Edit] | None = None,
    ) -> None:
        self.path = Path(path)
        self._borrowed, self._file = file is not None, file or PosesFile(self.path)
        self._lock = threading.RLock()
        self.frames: Ints = self._file.read_frames()
        self.recording = find_recorded(self._file.read_provenance())
        self._doubts = find_swaps(self._file.read_doubts())
        self._length: float | None = None
        self._whole: Poses | None = None
        self._whole_support: dict[str, Any] | None = None
        self._apply(load_edits(find_edits_path(self.path)) if journal is None else journal)

    def __enter__(self) -> Windows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.frames)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if not self._borrowed:
            self._file.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the individuals, as edited."""
        return self._settled.settlement.kept_names

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
        self._apply(load_edits(find_edits_path(self.path)))

    def _apply(self, journal: Sequence[Edit]) -> None:
        with self._lock:
            self.journal = journal
            recording = self.recording if self.journal else ""
            self.edits = choose_own(self.journal, recording, self.path)
            if not self.edits:
                names = self._file.names
                order = np.arange(len(names))[None]
                self._settled = _Sparse(Settlement(order, names, ()), np.zeros(1, np.int64), [])
                return
            self._settled = self._settle(self.edits)

    def find_doubts(self, *, min_probability: float = 0.0) -> list[Doubt]:
        """Rank the moments in which names are still in doubt, as `Result.find_doubts` does."""
        doubts = [d for d in self._doubts if d.probability >= min_probability]
        if not self.edits:
            return doubts
        names, placed = self._settled.settlement.names, self._settled.placed
        return [
            Doubt(d.first, d.last, (names[a], names[b]), d.probability)
            for d, a, b in placed
            if d.probability >= min_probability
        ]

    def find_order(self, frames: Ints) -> Ints:
        """Say which of the tracker's rows belongs where in some frames, int64 (F, I); -1 = none."""
        return self._settled.find_order(frames)[:, self._settled.settlement.kept]

    def find_edited(self, frames: Ints) -> Bools:
        """Find which points of some frames a person has moved or deleted, bool (F, I, K)."""
        settled, keypoints = self._settled.settlement, self._file.skeleton.keypoints
        shape = (len(frames), len(settled.names), len(keypoints))
        return find_edited(shape, frames, settled.points, keypoints)[:, settled.kept]

    def find_deleted(self, frames: Ints) -> Bools:
        """Find in which of some frames a person has deleted an individual, bool (F, I)."""
        settled = self._settled.settlement
        whole = [(e, row) for e, row in settled.points if e.kind == "delete" and not e.keypoint]
        return find_edited((len(frames), len(settled.names), 1), frames, whole, "")[
            :, settled.kept, 0
        ]

    def read(self, first: int, count: int) -> Poses:
        """Read a run of frames as corrected.

        Parameters
        ----------
        first, count : int
            Video frames; those that the file does not hold are not there.
        """
        rows = np.searchsorted(self.frames, [first, first + count])
        return self.read_rows(slice(int(rows[0]), int(rows[1])))

    def read_rows(self, rows: slice, *, points: bool = True) -> Poses:
        """Read some rows as corrected, in the order of the file; without ``points``, names only."""
        with self._lock:
            poses, sparse = self._read_raw(rows), self._settled
        if not self.edits:
            return poses
        settled = replace(sparse.settlement, order=sparse.find_order(poses.frames))
        named = poses.individuals or settled.names != poses.names
        moved = poses.arrange(settled.order, settled.names if named else None)
        if moved.identity is not None:
            rated = rate_names(poses.frames, moved.identity, sparse.placed, settled)
            moved = replace(moved, identity=rated)
        moved = edit_points(moved, settled.points) if points else moved
        return moved.take(individuals=settled.kept) if settled.left_out else moved

    def read_support(self, rows: slice) -> dict[str, Any]:
        """Read what the keypoints of some rows rest on, as `Result.support` has it."""
        with self._lock:
            found, frames = self._read_raw_support(rows), self.frames[rows]
            if not self.edits:
                return found
            moved = arrange_support(found, self.find_order(frames))
            if self._settled.settlement.points:
                moved["edited"] = self.find_edited(frames) | moved.get("edited", False)
            return moved

    def read_around(self, frame: int) -> Poses:
        """Read the frames around one, as many as it takes to see who is who there; names only."""
        return self.read_rows(find_around(self.frames, frame), points=False)

    def read_seen(self, frame: int, names: Sequence[str]) -> Poses:
        """Read the frames around one and those next to it on either side where animals are.

        Parameters
        ----------
        frame : int
            Video frame.
        names : sequence of str
            Animals that may be away for long: each of them is sought, and all of them at once.

        Returns
        -------
        Poses
            Some seconds around each of these, names only; without `identity` and `covariance`.
        """
        row = int(np.searchsorted(self.frames, frame))
        columns = [self.names.index(name) for name in names]
        found = [row, *self._find_next(row, columns, -1), *self._find_next(row, columns, 1)]
        width = max(_LEAST, round(_SECONDS * (self._file.rate or 0)))
        rows = np.unique(np.concatenate([np.arange(r - width, r + width) for r in found]))
        rows = rows[(rows >= 0) & (rows < len(self))]
        return self._read_few(rows, lambda part: self.read_rows(part, points=False))

    def find_spans(self) -> dict[str, tuple[int, int]]:
        """Find the first and last row in which each individual is, as corrected."""
        spans: dict[str, tuple[int, int]] = {}
        present = self._find_present()
        for rows in _cut(len(self)):
            frames = self.frames[rows]
            there = _arrange(present[rows], self.find_order(frames)) & ~self.find_deleted(frames)
            for name, seen in zip(self.names, there.T, strict=True):
                if seen.any():
                    found = rows.start + np.flatnonzero(seen)
                    spans[name] = spans.get(name, (int(found[0]),))[0], int(found[-1])
        return spans

    def _find_next(self, row: int, columns: Sequence[int], step: int) -> list[int]:
        """Find the rows next to one, on one side, where each of some animals is, and all of them.

        From ``row`` on if ``step`` is 1, before it if -1; what is never there is left out.
        """
        found: dict[int, int] = {}
        while row > 0 if step < 0 else row < len(self):
            rows = slice(max(0, row - PART), row) if step < 0 else slice(row, row + PART)
            part = self._read_raw(rows)
            there = _arrange(part.find_present(), self.find_order(part.frames))[:, columns]
            there = np.column_stack([there, there.all(1)])
            for k in np.flatnonzero(there.any(0)):
                seen = rows.start + np.flatnonzero(there[:, k])
                found.setdefault(int(k), int(seen[-1] if step < 0 else seen[0]))
            if len(found) == there.shape[1]:
                break
            row += step * PART
        return list(found.values())

    def _settle(self, edits: Iterable[Edit]) -> _Sparse:
        """Find what edits come to from the few frames that they speak of."""
        edits = list(edits)
        spoken = [e.frame for e in edits] + [d.first for d in self._doubts]
        spoken += [s.frame for e in edits for seen in (*e.before, *e.after) for s in seen]
        rows = np.searchsorted(self.frames, np.array(spoken, np.int64))
        rows = np.unique(np.r_[0, rows, len(self) - 1].clip(0, len(self) - 1))
        few = self._read_few(rows, self._read_raw)
        settled = settle_names(few, edits, length=self._find_length())
        changed = np.r_[True, (np.diff(settled.order, axis=0) != 0).any(1)]
        sparse = _Sparse(
            replace(settled, order=settled.order[changed]), few.frames[changed], placed=[]
        )
        empty = settled.emptied
        present = self._find_present() if empty else np.empty((0, 0), bool)
        for part in _cut(len(present)):
            frames = self.frames[part]
            order = sparse.find_order(frames)
            empty = tuple(find_empty(empty, settled.points, frames, order, present[part]))
        settled = replace(settled, left_out=(*settled.left_out, *empty))
        return _Sparse(
            replace(settled, order=settled.order[changed]),
            few.frames[changed],
            settled.place_doubts(few, self._doubts),
        )

    def _read_raw(self, rows: slice) -> Poses:
        """Read rows as the tracker left them; a short file is read once, as a whole."""
        if len(self) > _SHORT:
            return self._file.read_poses(rows)
        if self._whole is None:
            self._whole = self._file.read_poses()
        return self._whole.take(rows)

    def _read_raw_support(self, rows: slice) -> dict[str, Any]:
        """Read what keypoints rest on as it was made; of a short file once, as `_read_raw` does."""
        if len(self) > _SHORT:
            return self._file.read_support(rows)
        if self._whole_support is None:
            self._whole_support = self._file.read_support()
        return {name: values[rows] for name, values in self._whole_support.items()}

    def _find_present(self) -> Bools:
        """Find when somebody is in each of the tracker's rows, bool (F, I)."""
        if len(self) <= _SHORT:
            return self._read_raw(slice(None)).find_present()
        state = self.path.stat()
        return _read_present(self.path.resolve(), (state.st_mtime_ns, state.st_size))

    def _find_length(self) -> float:
        if self._length is None:
            whole = len(self) <= _SHORT
            sample = self._read_raw(slice(None)) if whole else self._file.read_sample()
            self._length = find_body_length(sample)
        return self._length

    def _read_few(self, rows: Ints, read: Callable[[slice], Poses]) -> Poses:
        """Read single rows, neighbours together."""
        cuts = np.flatnonzero(np.diff(rows) > _NEAR) + 1
        parts = []
        for group in np.split(rows, cuts):
            start = int(group[0])
            part = read(slice(start, int(group[-1]) + 1))
            parts.append(part.take(group - start))
        first = parts[0]
        return replace(
            first,
            array=np.concatenate([p.array for p in parts]),
            frames=np.concatenate([p.frames for p in parts]),
            identity=None,
            covariance=None,
        )


class Whole:
    """A result of another tool, which is in memory, read as `Windows` are."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self.frames = result.poses.frames
        self.edits: list[Edit] = []

    def __len__(self) -> int:
        return len(self._result.poses)

    def read_rows(self, rows: slice) -> Poses:
        """Read some rows as corrected."""
        return self._result.poses.take(rows)

    def read_support(self, rows: slice) -> dict[str, Any]:
        """Read what the keypoints of some rows rest on."""
        return {name: values[rows] for name, values in self._result.support.items()}

    def find_doubts(self, *, min_probability: float = 0.0) -> list[Doubt]:
        """Rank the moments in which names are still in doubt."""
        return self._result.find_doubts(min_probability=min_probability)


def find_around(frames: Ints, frame: int) -> slice:
    """Find the rows around a frame, as many as it takes to see who is who there."""
    row = int(np.searchsorted(frames, frame))
    return slice(max(0, row - _AROUND), min(len(frames), row + _AROUND))


@contextmanager
def open_parts(result: Result) -> Iterator[Windows | Whole]:
    """Open a result to be read in parts: of ours a few frames are in memory at a time.

    In a ``with`` block of the result, all who open it share what is read but once.
    """
    if not result.ours:
        yield Whole(result)
        return
    with result.open_file() as file:
        if result.windows is None or result.windows.file is not file:
            result.windows = Windows(result.path, file, journal=result.journal)
        yield result.windows


def make_parts(source: Windows | Whole) -> Parts:
    """Give a result as parts of some thousand frames, as corrected."""
    return Parts(source.read_rows, source.frames, read_support=source.read_support)


def _cut(count: int) -> Iterator[slice]:
    """Cut rows into parts of which tables of all frames would be large."""
    return (slice(start, min(start + PART, count)) for start in range(0, count, PART))


def _arrange(present: Bools, order: Ints) -> Bools:
    """Say who is there, (F, I), in the order of the edits, (F, N)."""
    return np.asarray(np.take_along_axis(present, np.maximum(order, 0), axis=1) & (order >= 0))


@lru_cache(maxsize=4)
def _read_present(path: Path, mark: tuple[int, int]) -> Bools:
    """Read a file from end to end for who is there when; kept, as every later edit needs it."""
    with PosesFile(path) as file:
        parts = [part.find_present() for part in Parts(file.read_poses, file.read_frames())]
    return np.concatenate(parts)


#: Rows up to which a file is read as a whole: 10 animals with 15 keypoints are 4 MB.
_SHORT = 2000
#: Rows so near to each other are read in one go.
_NEAR = 64


@dataclass(frozen=True, eq=False)
class _Sparse:
    """What edits come to: from which frames on which order of rows holds.

    Attributes
    ----------
    settlement : Settlement
        With one order for each start.
    starts : int64, (S,)
        Video frames.
    placed : list of (Doubt, int, int)
        As `Settlement.place_doubts` gives them.
    """

    settlement: Settlement
    starts: Ints
    placed: list[tuple[Any, int, int]]

    def find_order(self, frames: Ints) -> Ints:
        """Give the order that holds in some frames, int64 (F, N)."""
        part = np.searchsorted(self.starts, frames, side="right") - 1
        return self.settlement.order[np.maximum(part, 0)]
