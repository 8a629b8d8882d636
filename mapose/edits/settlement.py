"""Who is who in a recording by what a person said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mapose.arrays import Ints
from mapose.doubts import Doubt
from mapose.edits.records import Edit
from mapose.poses import Poses

D = TypeVar("D", bound=Doubt)
Held = Sequence[tuple[Edit, tuple[int, int]]]


@dataclass(frozen=True, eq=False)
class Settlement:
    """What edits come to on the poses of one tracking.

    Attributes
    ----------
    order : int64, (F, I)
        Which of the tracker's rows belongs into each row.
    names : tuple of str, (I,)
        Of the rows.
    held : tuple of (Edit, (int, int))
        Edits that say who is who and could be applied, by frame, and the two rows they are about.
    """

    order: Ints
    names: tuple[str, ...]
    held: tuple[tuple[Edit, tuple[int, int]], ...]

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
            back = np.argsort(self.order[start])  # the tracker's row -> where it belongs
            a, b = (int(back[known[name]]) for name in doubt.individuals)
            if not find_settled(doubt, (a, b), self.held):
                placed.append((doubt, a, b))
        return placed


def find_settled(doubt: Doubt, rows: tuple[int, int], held: Held) -> bool:
    """Tell whether an edit about the same two rows says who is who across a doubtful moment."""
    for edit, pair in held:
        first, last = edit.span
        across = first <= (doubt.first + doubt.last) / 2 <= last
        if set(pair) == set(rows) and (across or doubt.first <= edit.frame <= doubt.last):
            return True
    return False
