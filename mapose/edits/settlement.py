"""Who is who in a recording by what a person said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mapose.arrays import Bools, Ints
from mapose.doubts import Doubt
from mapose.edits.records import Edit
from mapose.poses import Poses

D = TypeVar("D", bound=Doubt)
Held = Sequence[tuple[Edit, tuple[int, int]]]
Placed = Sequence[tuple[Edit, int]]


@dataclass(frozen=True, eq=False)
class Settlement:
    """What edits come to on the poses of one tracking.

    Attributes
    ----------
    order : int64, (F, N)
        Which of the tracker's rows belongs into each row; -1 = none. There is a row more for each
        split.
    names : tuple of str, (N,)
        Of the rows.
    held : tuple of (Edit, (int, int))
        Edits that say who is who and could be applied, by frame, and the two rows they are about.
    points : tuple of (Edit, int)
        Edits of points that could be applied, in the order in which they were made, and their row.
    left_out : tuple of int
        Rows that nobody is in: tracks that were joined to others, splits that were not needed.
    emptied : tuple of int
        Rows of tracks that were joined to others, whether or not anybody is left in them.
    """

    order: Ints
    names: tuple[str, ...]
    held: tuple[tuple[Edit, tuple[int, int]], ...]
    points: tuple[tuple[Edit, int], ...] = ()
    left_out: tuple[int, ...] = ()
    emptied: tuple[int, ...] = ()

    @property
    def kept(self) -> Ints:
        """Rows that individuals are in."""
        return np.setdiff1d(np.arange(len(self.names)), self.left_out)

    @property
    def kept_names(self) -> tuple[str, ...]:
        """Names of these rows."""
        return tuple(self.names[row] for row in self.kept)

    def place_doubts(self, poses: Poses, doubts: Iterable[D]) -> list[tuple[D, int, int]]:
        """Find between which rows, as named now, the doubtful moments are.

        Parameters
        ----------
        poses : Poses
            As the tracker left them.
        doubts : iterable of Doubt
            With the tracker's names.

        Returns
        -------
        list of (Doubt, int, int)
            Those that no edit has settled, with the rows of both animals.
        """
        known = {name: row for row, name in enumerate(poses.names)}
        placed = []
        for doubt in doubts:
            if not len(poses) or not all(name in known for name in doubt.individuals):
                continue
            start = min(int(np.searchsorted(poses.frames, doubt.first)), len(poses) - 1)
            # The tracker's row -> where it belongs.
            back = {int(row): place for place, row in enumerate(self.order[start])}
            a, b = (back[known[name]] for name in doubt.individuals)
            if {a, b} & set(self.left_out):
                continue
            if not find_settled(doubt, (a, b), self.held):
                placed.append((doubt, a, b))
        return placed


def find_empty(
    rows: Iterable[int], points: Placed, frames: Ints, order: Ints, present: Bools
) -> list[int]:
    """Find which of some rows nobody is in, in any frame.

    Parameters
    ----------
    rows : iterable of int
    points : sequence of (Edit, int)
        What was deleted is not there.
    frames : int64, (F,)
        Video frames.
    order : int64, (F, N)
        As of `Settlement`.
    present : bool, (F, I)
        Whether somebody is in each of the tracker's rows.
    """
    empty = []
    for row in rows:
        source = order[:, row]
        there = (source >= 0) & present[np.arange(len(frames)), np.maximum(source, 0)]
        for edit, where in points:
            if edit.kind == "delete" and not edit.keypoint and where == row:
                there &= (frames < edit.frame) | (frames > edit.end)
        if not there.any():
            empty.append(row)
    return empty


def find_settled(doubt: Doubt, rows: tuple[int, int], held: Held) -> bool:
    """Tell whether an edit about the same two rows says who is who across a doubtful moment."""
    for edit, pair in held:
        first, last = edit.span
        across = first <= (doubt.first + doubt.last) / 2 <= last
        if set(pair) == set(rows) and (across or doubt.first <= edit.frame <= doubt.last):
            return True
    return False
