"""Poses of a long recording, gone through a part at a time: however long, little is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mapose.arrays import Ints
from mapose.poses import Poses, join_poses
from mapose.skeleton import Skeleton

#: Rows that are in memory at a time.
PART = 4096


class Parts:
    """Poses of which some thousand frames at a time are in memory; may be gone through again.

    Parameters
    ----------
    read : function of slice
        Gives the poses of some rows; of all the same individuals.
    frames : int64, (F,)
        Video frame of each row.
    read_support : function of slice, optional
        Gives what the keypoints of some rows rest on, (F, I, K) each.
    size : int, optional
        Rows of a part, `PART` by default.

    Attributes
    ----------
    read, frames
        As given.
    head : Poses
        The first row; of an empty recording none.

    Examples
    --------
    >>> poses = Poses(np.ones((5, 1, 1, 3)), Skeleton(["snout"]), ["ann"], rate=25)
    >>> parts = Parts(poses.take, poses.frames, size=2)
    >>> len(parts), [len(part) for part in parts], parts.names
    (5, [2, 2, 1], ('ann',))
    """

    def __init__(
        self,
        read: Callable[[slice], Poses],
        frames: Ints,
        *,
        read_support: Callable[[slice], Mapping[str, Any]] = lambda rows: {},
        size: int | None = None,
    ) -> None:
        self.read, self._read_support = read, read_support
        self._size = PART if size is None else size
        self.frames = frames
        self.head = read(slice(0, 1))

    @classmethod
    def of(cls, poses: Poses | Parts, *, support: Mapping[str, Any] | None = None) -> Parts:
        """Take poses that are in memory as one part; what comes in parts stays so."""
        if isinstance(poses, Parts):
            return poses
        held = {name: np.asarray(values) for name, values in (support or {}).items()}
        return cls(
            poses.take,
            poses.frames,
            read_support=lambda rows: {name: values[rows] for name, values in held.items()},
            size=max(1, len(poses)),
        )

    @property
    def skeleton(self) -> Skeleton:
        """As of `Poses`, and so are those that follow."""
        return self.head.skeleton

    @property
    def individuals(self) -> Sequence[str] | None:
        """Names of the individuals, if they have any."""
        return self.head.individuals

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the individuals; ``slot0, slot1, ...`` where they have none."""
        return self.head.names

    @property
    def rate(self) -> float | None:
        """Frames per second, if known."""
        return self.head.rate

    @property
    def unit(self) -> str:
        """Unit of the coordinates."""
        return self.head.unit

    @property
    def dimensions(self) -> int:
        """2 for image, 3 for world coordinates."""
        return self.head.dimensions

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Poses]:
        """Give part after part; an empty recording is one empty part."""
        return (self.read(rows) for rows in self.cut())

    def cut(self) -> Iterator[slice]:
        """List the rows of each part."""
        for start in range(0, max(1, len(self)), self._size):
            yield slice(start, min(start + self._size, len(self)))

    def iterate_wide(self, margin: int) -> Iterator[tuple[Poses, slice]]:
        """Give part after part with so many rows before and after it, and where the part is."""
        for rows in self.cut():
            start = max(0, rows.start - margin)
            wide = self.read(slice(start, min(rows.stop + margin, len(self))))
            yield wide, slice(rows.start - start, rows.stop - start)

    def read_supported(self, rows: slice) -> tuple[Poses, Mapping[str, Any]]:
        """Give the poses of some rows and what their keypoints rest on."""
        return self.read(rows), self._read_support(rows)

    def iterate_supported(self) -> Iterator[tuple[Poses, Mapping[str, Any]]]:
        """Give part after part with what its keypoints rest on."""
        return map(self.read_supported, self.cut())

    def list_support(self) -> tuple[str, ...]:
        """List by name what the keypoints rest on."""
        return tuple(self._read_support(slice(0, 1)))

    def map(self, change: Callable[[Poses], Poses]) -> Parts:
        """Change every part: its values, never its rows."""
        return Parts(
            lambda rows: change(self.read(rows)),
            self.frames,
            read_support=self._read_support,
            size=self._size,
        )

    def take(self, rows: Ints) -> Parts:
        """Give some rows only, int64 (F',) ascending, without what they rest on.

        Of rows that lie far apart no more are in memory at a time than of neighbours.
        """

        def pick(part: slice) -> Poses:
            chosen = rows[part]
            found: list[Poses] = []
            while len(chosen) or not found:
                low = int(chosen[0]) if len(chosen) else 0
                near = chosen[: np.searchsorted(chosen, low + PART)]
                found.append(self.read(slice(low, int(near[-1]) + 1 if len(near) else low)))
                if len(near) < len(found[-1]):
                    found[-1] = found[-1].take(near - low)
                chosen = chosen[len(near) :]
            return join_poses(found)

        return Parts(pick, self.frames[rows])

    def join(self) -> tuple[Poses, dict[str, Any]]:
        """Read all into memory: the poses and what they rest on."""
        rows = slice(0, len(self))
        return self.read(rows), dict(self._read_support(rows))
