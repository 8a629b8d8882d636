"""Edits applied to poses: whose the tracker's rows are, what they are called, which points hold."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from mapose.arrays import Floats, Ints
from mapose.assignment import assign
from mapose.doubts import Doubt
from mapose.edits.certainty import rate_names
from mapose.edits.points import edit_points
from mapose.edits.records import LINKING, POINTWISE, Edit, Sightings, find_body_length
from mapose.edits.settlement import Settlement, find_empty
from mapose.errors import suggest_name
from mapose.poses import Poses
from mapose.similarity import find_centres

logger = logging.getLogger(__name__)

# Body lengths within which an animal is found again. Edits made on one set of detections of drawn
# mice and applied to another set lowered IDF1 in 1 of 16 scenes; with a quarter, in 7.
_REACH = 1 / 8


def settle_names(poses: Poses, edits: Iterable[Edit], *, length: float | None = None) -> Settlement:
    """Find what edits change on poses, without changing it yet.

    Parameters
    ----------
    poses : Poses
        As the tracker left them: one row per animal.
    edits : iterable of Edit
        Those about who is who take effect by frame, those of one frame in the order in which they
        come; then those of points, in their order. An edit whose animals are not near their places
        is left out, with a warning.
    length : float, optional
        Typical length of an animal, where the poses are but those frames of which the edits speak.
        Then tracks that were joined to others still have their rows: see `find_empty`.

    Returns
    -------
    Settlement
    """
    edits = list(edits)
    spare = sum(edit.kind == "split" for edit in edits)
    rows = _Rows(poses, find_body_length(poses) if length is None else length, spare)
    held = []
    for edit in sorted((e for e in edits if e.kind in LINKING), key=lambda e: e.frame):
        if (pair := rows.link(edit)) is not None:
            held.append((edit, pair))
    for edit in edits:
        if edit.kind == "name":
            rows.rename(edit)
        elif edit.kind == "join":
            rows.keep_name(edit)
    points = [(e, rows.find(e)) for e in edits if e.kind in POINTWISE]
    placed = tuple((edit, row) for edit, row in points if row is not None)
    settled = Settlement(
        rows.find_order(), tuple(rows.names), tuple(held), placed, tuple(rows.free), rows.emptied
    )
    if length is None:
        present = poses.find_present()
        empty = find_empty(settled.emptied, placed, poses.frames, settled.order, present)
        settled = replace(settled, left_out=(*settled.left_out, *empty))
    return settled


def apply_edits(poses: Poses, edits: Iterable[Edit], *, doubts: Iterable[Doubt] = ()) -> Poses:
    """Correct names as a person said; the given poses stay as they are.

    Applying the same edits once more changes nothing.

    Parameters
    ----------
    poses : Poses
        As the tracker left them: one row per animal.
    edits : iterable of Edit
        As for `settle_names`. From the frame of a swap on, all that belongs to the two rows is
        exchanged, to the end or to the next edit about them.
    doubts : iterable of Doubt
        Later moments in which names were in doubt, with the tracker's names: what
        `mapose.find_swaps` finds. The probability of a name, which an edit makes 1,
        falls again at those that no edit has settled.

    Returns
    -------
    Poses
        The same frames, in rows as edited, with `identity` and `covariance`.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> walk = np.ones((4, 2, 1, 3), np.float32) * [[[1]], [[90]]]
    >>> poses = Poses(walk, Skeleton(["body"]), ["ann", "bob"])
    >>> apply_edits(poses, [Edit(2, ("ann", "bob"))])["ann", "body"][:, 0].tolist()
    [1.0, 1.0, 90.0, 90.0]
    """
    edits = list(edits)
    if not edits:
        return poses
    return apply_settlement(poses, settle_names(poses, edits), doubts=doubts)


def apply_settlement(poses: Poses, settled: Settlement, *, doubts: Iterable[Doubt] = ()) -> Poses:
    """Put poses into the rows that edits come to, with the names and the certainty of these.

    Parameters
    ----------
    poses, doubts
        As for `apply_edits`.
    settled : Settlement
        Of these poses, from `settle_names`.
    """
    named = poses.individuals or settled.names != poses.names
    moved = poses.arrange(settled.order, settled.names if named else None)
    if moved.identity is not None:
        placed = settled.place_doubts(poses, doubts)
        rated = rate_names(poses.frames, moved.identity, placed, settled)
        moved = replace(moved, identity=rated)
    moved = edit_points(moved, settled.points)
    return moved.take(individuals=settled.kept) if settled.left_out else moved


class _Rows:
    """Which of the tracker's rows belongs where, edit after edit.

    Parameters
    ----------
    poses : Poses
        As the tracker left them.
    length : float
        Typical length of an animal.
    spare : int
        Rows for tracks that are split off.

    Attributes
    ----------
    free : list of int
        Rows that no track was split off into.
    emptied : tuple of int
        Rows of tracks that were joined to others.
    """

    def __init__(self, poses: Poses, length: float, spare: int = 0) -> None:
        self.poses = poses
        own = len(poses.names)
        self.names = [*poses.names, *(f"(free {k})" for k in range(spare))]
        self.free = list(range(own, own + spare))
        self.emptied: tuple[int, ...] = ()
        self.reach = _REACH * length
        self._joined: dict[int, int] = {}
        self._starts = [0]
        self._orders: list[Ints] = [np.r_[np.arange(own), np.full(spare, -1)]]

    def find_order(self) -> Ints:
        """Give the order of every frame, int64 (F, I)."""
        part = np.searchsorted(self._starts, np.arange(len(self.poses)), side="right") - 1
        return np.array(self._orders)[part]

    def link(self, edit: Edit) -> tuple[int, int] | None:
        """Make an edit hold from its frame on; give the rows it is about, None if it cannot."""
        before, after = zip(*edit.links, strict=True) if edit.links else ((), ())
        if not before:
            return self._exchange(edit)
        targets = self._locate(before, edit)
        sources = None if targets is None else self._locate(after, edit)
        if targets is None or sources is None:
            return None
        if edit.kind == "split":
            if targets == sources:  # else the tracker has told them apart by itself
                self._split(edit, targets[0])
            return None
        self._move(edit.frame, targets, sources)
        if edit.kind == "join":
            self._join(edit, targets[0], sources[0])
        return targets[0], targets[-1]

    def _split(self, edit: Edit, row: int) -> None:
        new = edit.individuals[1]
        if not self._is_free(new, edit):
            return
        target = self.free.pop(0)
        self.names[target] = new
        self._move(edit.frame, [target], [row])

    def _join(self, edit: Edit, target: int, source: int) -> None:
        self._joined[id(edit)] = target
        if target != source:
            self.emptied = (*self.emptied, source)

    def keep_name(self, edit: Edit) -> None:
        """Call what was joined as a person does, not as the track that went into it."""
        row, name = self._joined.get(id(edit)), edit.individuals[0]
        if row is None or self.names[row] == name:
            return
        if name in self.names:
            other = self.names.index(name)
            if other not in self.emptied:
                return
            self.names[other] = self.names[row]
        self.names[row] = name

    def find(self, edit: Edit) -> int | None:
        """Find the row, with all names settled, whose points an edit is about."""
        poses = self.poses
        if edit.keypoint and edit.keypoint not in poses.skeleton.keypoints:
            hint = suggest_name(edit.keypoint, poses.skeleton.keypoints)
            logger.warning("%s; left out: there is no %s here, %s", edit, edit.keypoint, hint)
            return None
        if edit.kind == "move" and len(edit.after[0][0].place) != poses.dimensions:
            logger.warning("%s; left out: these poses have %d dimensions", edit, poses.dimensions)
            return None
        if edit.before[0]:
            found = self._locate([edit.before[0]], edit)
        else:
            found = self._find_named(edit, edit.individuals[:1])
        return None if found is None else found[0]

    def rename(self, edit: Edit) -> None:
        """Call the row of an animal as a person does."""
        old, new = edit.individuals
        if edit.after[0]:
            found = self._locate([edit.after[0]], edit)
        else:
            found = self._find_named(edit, [old])
        if found is None:
            return
        if self.names[found[0]] != new and self._is_free(new, edit):
            self.names[found[0]] = new

    def _is_free(self, name: str, edit: Edit) -> bool:
        """Tell whether nobody has a name; a track that was joined to another gives its up."""
        if name not in self.names:
            return True
        row = self.names.index(name)
        if row not in self.emptied:
            logger.warning("%s; left out: there is another %s", edit, name)
            return False
        self.names[row] = f"{name} (rest)"
        return True

    def _exchange(self, edit: Edit) -> tuple[int, int] | None:
        """Apply an edit without places, such as one that was written by hand."""
        if edit.kind == "split":
            if (found := self._find_named(edit, edit.individuals[:1])) is not None:
                self._split(edit, found[0])
            return None
        rows = self._find_named(edit, edit.individuals)
        if rows is None:
            return None
        if edit.kind == "swap":
            self._move(edit.frame, rows, rows[::-1])
        elif edit.kind == "join":
            self._move(edit.frame, rows[:1], rows[1:])
            self._join(edit, *rows)
        return rows[0], rows[1]

    def _find_named(self, edit: Edit, names: Sequence[str]) -> list[int] | None:
        for name in names:
            if name not in self.names:
                hint = suggest_name(name, self.names)
                logger.warning("%s; left out: there is no %s here, %s", edit, name, hint)
                return None
        if len(self.poses) and edit.frame > self.poses.frames[-1]:
            last = self.poses.frames[-1]
            logger.warning("%s; left out: the recording ends with frame %d", edit, last)
            return None
        return [self.names.index(name) for name in names]

    def _locate(self, animals: Sequence[Sightings], edit: Edit) -> list[int] | None:
        """Find the rows, as named so far, of animals where they were seen."""
        away = np.stack([self._measure(seen) for seen in animals])
        found, rows = assign(away, gate=self.reach)
        lost = [seen for k, seen in enumerate(animals) if k not in found]
        if not lost:
            return [int(r) for r in rows]
        first = lost[0][0]
        where = ", ".join(f"{x:.0f}" for x in first.place)
        logger.warning(
            "%s; left out: nobody is where one of them was in frame %d (at %s %s); make the edit "
            "again", edit, first.frame, where, self.poses.unit,
        )  # fmt: skip
        return None

    def _measure(self, sightings: Sightings) -> Floats:
        """Find how far each row is from an animal on the mean over its sightings, (I,)."""
        # Cut off, so that one frame in which it was missed or mistaken is outvoted by two.
        far = 2 * self.reach
        away = np.full((len(sightings), len(self.names)), np.inf)
        for k, seen in enumerate(sightings):
            row = int(np.searchsorted(self.poses.frames, seen.frame))
            there = row < len(self.poses) and self.poses.frames[row] == seen.frame
            if there and len(seen.place) == self.poses.dimensions:
                order = self._orders[int(np.searchsorted(self._starts, row, side="right")) - 1]
                centres = find_centres(self.poses.points[row, order].astype(np.float64))
                centres[order < 0] = np.nan
                away[k] = np.linalg.norm(centres - seen.place, axis=-1)
        return np.asarray(np.fmin(away, far).mean(0))

    def _move(self, frame: int, targets: Sequence[int], sources: Sequence[int]) -> None:
        """Put rows into other rows from a frame on; those displaced take the places left."""
        moved = np.arange(len(self.names))
        moved[list(targets)] = sources
        left = [r for r in targets if r not in sources]
        moved[[r for r in sources if r not in targets]] = left
        start = int(np.searchsorted(self.poses.frames, frame))
        # Edits come by frame: nothing behind this one has been ordered yet.
        self._starts.append(start)
        self._orders.append(self._orders[-1][moved])
