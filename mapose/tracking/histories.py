"""What may have happened: all likely ways to give tracklets to individuals, and how likely each is.

A history gives every tracklet a row. Tracklets are taken up one after the other, in time; of the
histories so far, those that differ only in what is over and done with are one, and the likeliest
are kept. From them the best history is read, and others are drawn as often as they are likely.
"""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapose.arrays import Floats, Ints, Singles
from mapose.errors import MaposeError
from mapose.files import explain_write_fault
from mapose.shelf import Readable, Rows, Shelf
from mapose.tracking.looks import score_looks
from mapose.tracking.stitching import OVERLAP, find_chance, score_joins
from mapose.tracking.tracklets import Tracklets

#: Histories kept after each tracklet: all orders of five animals that are in doubt at once.
_KEPT = 120
#: Nats by which a history may be less likely than the best one.
_HOPELESS = 25.0
#: Histories drawn: a probability is known to a standard error of 0.02 at most.
_DRAWS = 512
#: Nats of the motion across a gap that make one nat of log-odds; fitted on drawn scenes.
_TEMPER = 0.5
#: Cost in nats of coming out of an encounter that one was not in.
_FOREIGN = 15.0
#: Rounds of learning what each animal looks like and who it is.
_ROUNDS = 6

# Bytes of steps that are kept in memory.
_SPOOLED = 1 << 22

#: Cost in nats of tracklet j (row of `Tracklets`) following tracklet i, by j, where it is known.
Ways = Mapping[int, Mapping[int, float]]


@dataclass(frozen=True, eq=False)
class Histories:
    """Who the tracklets may be.

    Attributes
    ----------
    rows : int64, (T,)
        Row of each tracklet in the likeliest history, numbered by first appearance; -1 = nobody.
    draws : int8 or int16, (T, D)
        The same for histories drawn at random as often as they are likely; rows are numbered as
        they come, differently in each.
    """

    rows: Ints
    draws: Readable


@dataclass(frozen=True, eq=False)
class _Step:
    """How the histories go on with one tracklet: edges between those before and after it."""

    # Small types: a long recording has tens of thousands of steps with hundreds of edges.
    before: npt.NDArray[np.int16]  # (E,) history each edge comes from
    row: npt.NDArray[np.int16]  # (E,) row it gives the tracklet to
    start: Singles  # (H,) where the edges of each history after it begin
    share: Singles  # (E,) running sum of probabilities, 1 for each history
    best: npt.NDArray[np.int32]  # (H,) likeliest edge into each


class _Steps:
    """Steps that are read from the last to the first; those of a long recording lie in a file."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_SPOOLED)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._ends, self._edges = array("q", [0]), array("q")

    def append(self, step: _Step) -> None:
        """Put one behind all others."""
        parts = (step.start, step.best, step.share, step.before, step.row)
        try:
            self._file.seek(self._ends[-1])
            for part in parts:
                self._file.write(part.tobytes())
        except OSError as fault:
            folder = Path(tempfile.gettempdir())
            raise MaposeError(explain_write_fault(folder, fault)) from fault
        self._ends.append(self._file.tell())
        self._edges.append(len(step.row))

    def __reversed__(self) -> Iterator[_Step]:
        for n in range(len(self._edges) - 1, -1, -1):
            size, edges = self._ends[n + 1] - self._ends[n], self._edges[n]
            self._file.seek(self._ends[n])
            data, h = self._file.read(size), size // 8 - edges
            start, best = (
                np.frombuffer(data, np.float32, h),
                np.frombuffer(data, np.int32, h, 4 * h),
            )
            share = np.frombuffer(data, np.float32, edges, 8 * h)
            before, row = np.frombuffer(data, np.int16, 2 * edges, 8 * h + 4 * edges).reshape(2, -1)
            yield _Step(before=before, row=row, start=start, share=share, best=best)


@dataclass(frozen=True, eq=False)
class _Walk:
    """All steps, and how likely each history is in the end."""

    steps: _Steps
    value: Floats  # (H,) log-probability, up to a constant
    score: float  # of the likeliest one, comparable between walks


def find_histories(
    tracklets: Tracklets, row: Ints, ways: Ways, *, arena: Floats, shelf: Shelf
) -> Histories:
    """Find the likely histories of the tracklets of individuals.

    Joins cost what `mapose.tracking.stitching.score_joins` says, tempered, but never more than
    turning up anywhere; ways out of encounters cost their odds; looks, where they are known,
    are compared with what the animal looks like in the rest of its row.

    Parameters
    ----------
    tracklets : Tracklets
        In the order of their first frames.
    row : int64, (T,)
        Row of each by `stitch`; -1 = nobody, which it stays. At no time more rows are needed.
    ways : dict of int to dict of int to float
        Cost of ways out of encounters, in nats: by what follows, what it may follow.
    arena : float64, (2, d)
        Corners of the box that holds all keypoints.
    shelf : Shelf
        Where the histories lie that are drawn.

    Returns
    -------
    Histories

    References
    ----------
    Forward filtering with merging of equal states, backward sampling: Rabiner 1989 (Proc. IEEE
    77:257); hypotheses over tracklets after Reid 1979 (IEEE Trans. Automatic Control 24:843).
    """
    count = int(row.max(initial=-1)) + 1
    kept = np.flatnonzero(row >= 0)
    if not len(kept):
        return Histories(row, np.empty((0, _DRAWS), np.int16))
    price = _TEMPER * find_chance(tracklets, arena)
    if tracklets.looks is None or count < 2:
        walk = _walk(tracklets, kept, ways, np.zeros((len(row), count)), price)
    else:
        starts = (row, find_founders(tracklets, row))
        walks = [_learn(tracklets, kept, ways, begin, price) for begin in starts]
        walk = max(walks, key=lambda one: one.score)
    rows = _read_best(walk, kept, len(row))
    drawn = shelf.make(len(row), (_DRAWS,), np.int8 if count <= 127 else np.int16)
    _draw(walk, kept, drawn)
    order = np.argsort(np.unique(rows[kept], return_index=True)[1])
    number = np.full(count + 1, -1)
    number[np.unique(rows[kept])[order]] = np.arange(len(order))
    return Histories(number[rows], drawn)


def _learn(tracklets: Tracklets, kept: Ints, ways: Ways, rows: Ints, price: float) -> _Walk:
    """Learn what each row looks like and who is in it, in turns, from rows to begin with."""
    assert tracklets.looks is not None
    count = int(rows.max()) + 1
    for _ in range(_ROUNDS):
        likeness = score_looks(tracklets.looks, rows, count)
        walk = _walk(tracklets, kept, ways, likeness, price)
        former, rows = rows, _read_best(walk, kept, len(rows))
        if np.array_equal(former, rows):
            break
    return walk


def _walk(tracklets: Tracklets, kept: Ints, ways: Ways, likeness: Floats, price: float) -> _Walk:
    """Take up tracklet after tracklet."""
    count = likeness.shape[1]
    mark = np.random.default_rng(0).integers(2**62, size=(count, len(likeness) + 1), dtype=np.int64)
    last = np.full((1, count), -1)
    key = np.zeros(1, np.int64)
    value, best = np.zeros(1), np.zeros(1)
    record = best
    alike = not np.ptp(likeness, axis=1).any()
    steps = _Steps()
    for j in kept.tolist():
        cost = _score_rows(tracklets, last, j, ways.get(j), price=price, alike=alike)
        gain = likeness[j] - cost
        flat = (value[:, None] + gain).ravel()
        edges = np.flatnonzero(flat > flat.max() - _HOPELESS)
        before, row = np.divmod(edges, count)
        fresh = key[before] + mark[row, j] - mark[row, last[before, row]]
        key, into = np.unique(fresh, return_inverse=True)
        likely = np.full(len(key), -np.inf)
        np.logaddexp.at(likely, into, flat[edges])
        if len(key) > _KEPT:
            strong = np.argpartition(-likely, _KEPT)[:_KEPT]
            new = np.full(len(key), -1)
            new[strong] = np.arange(_KEPT)
            into = new[into]
            edges, before, row = edges[into >= 0], before[into >= 0], row[into >= 0]
            into, key, likely = into[into >= 0], key[strong], likely[strong]
        order = np.argsort(into, kind="stable")
        edges, before, row, into = edges[order], before[order], row[order], into[order]
        record = best[before] + gain[before, row]
        ranked = np.lexsort((record, into))
        leader = ranked[np.flatnonzero(np.diff(into, append=len(key)))]
        share = np.cumsum(np.exp(flat[edges] - likely[into]))
        start = np.concatenate([[0.0], share[np.flatnonzero(np.diff(into))]])
        steps.append(
            _Step(
                before.astype(np.int16),
                row.astype(np.int16),
                start.astype(np.float32),
                share.astype(np.float32),
                leader.astype(np.int32),
            )
        )
        last = last[before[leader]]
        last[np.arange(len(key)), row[leader]] = j
        value = likely - likely.max()
        best = record[leader]
    return _Walk(steps, value, float(record.max()))


def _score_rows(
    tracklets: Tracklets,
    last: Ints,
    j: int,
    ways: Mapping[int, float] | None,
    *,
    price: float,
    alike: bool,
) -> Floats:
    """Find the cost of giving tracklet j to each row of each history, (H, R), given their ends."""
    ends, place = np.unique(last, return_inverse=True)
    known = ends >= 0
    cost = np.full(len(ends), price)
    i = ends[known]
    if len(i):
        joined = _TEMPER * score_joins(tracklets, i, np.full(len(i), j))
        overlap = np.maximum(tracklets.last[i] - tracklets.first[j] + 1, 0)
        joined = np.minimum(joined, price) + overlap / OVERLAP
        if ways is not None:
            joined = np.array(
                [ways.get(int(k), c + _FOREIGN) for k, c in zip(i, joined, strict=True)]
            )
        busy = (overlap > OVERLAP) | (tracklets.last[i] >= tracklets.last[j])
        cost[known] = np.where(busy, np.inf, joined)
    table = cost[place.reshape(last.shape)]
    empty = last < 0
    if alike:  # all empty rows are the same: the first one will do
        table[empty & (np.cumsum(empty, axis=1) > 1)] = np.inf
    if ways is not None:
        table[empty] += _FOREIGN
    # In a full house somebody has to give way.
    full = ~np.isfinite(table).any(1)
    table[full] = 4 * _HOPELESS
    return table


def _read_best(walk: _Walk, kept: Ints, length: int) -> Ints:
    """Read the likeliest history from its end."""
    rows = np.full(length, -1)
    at = int(walk.value.argmax())
    for j, step in zip(kept[::-1].tolist(), reversed(walk.steps), strict=True):
        edge = step.best[at]
        rows[j] = step.row[edge]
        at = int(step.before[edge])
    return rows


def _draw(walk: _Walk, kept: Ints, rows: Rows) -> None:
    """Draw histories as often as they are likely into the rows that are kept; -1 elsewhere."""
    rng = np.random.default_rng(0)  # the same recording, the same figures
    chance = np.exp(walk.value)
    at = rng.choice(len(chance), _DRAWS, p=chance / chance.sum())
    nobody = np.full((1, _DRAWS), -1)
    for j in np.setdiff1d(np.arange(len(rows)), kept).tolist():
        rows[j : j + 1] = nobody
    for j, step in zip(kept[::-1].tolist(), reversed(walk.steps), strict=True):
        ends = np.append(step.start[1:], step.share[-1])
        point = step.start[at] + rng.random(_DRAWS) * (ends[at] - step.start[at])
        edge = np.minimum(np.searchsorted(step.share, point, "right"), len(step.share) - 1)
        rows[j : j + 1] = step.row[edge][None]
        at = step.before[edge].astype(np.int64)


def find_founders(tracklets: Tracklets, row: Ints) -> Ints:
    """Find tracklets that show most animals at once and longest: one row each, -1 = others.

    They begin the learning of looks where the rows cannot be trusted.
    """
    assert tracklets.looks is not None
    kept = np.flatnonzero((row >= 0) & (tracklets.looks.weight > 0))
    best, founders = (0, 0.0), kept[:0]
    for j in kept.tolist():
        now = tracklets.first[j]
        here = kept[(tracklets.first[kept] <= now) & (tracklets.last[kept] >= now)]
        here = here[np.unique(row[here], return_index=True)[1]]
        rank = (len(here), float(tracklets.looks.weight[here].min()))
        if rank > best:
            best, founders = rank, here
    begin = np.full(len(row), -1)
    begin[founders] = row[founders]
    return begin
