"""Tracklets into named rows: join them, weigh the doubtful moments, say how sure every name is."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mapose.arrays import Floats, Ints
from mapose.doubts import MOST_SURE, Doubt
from mapose.poses import Poses
from mapose.shelf import Readable, Shelf
from mapose.tracking.encounters import Encounter
from mapose.tracking.histories import Histories, find_histories
from mapose.tracking.stitching import list_ways, stitch
from mapose.tracking.tracklets import Tracklets, TrackletSummaries

#: What is less likely than this is not a contact worth keeping.
_NEGLIGIBLE = 1 - MOST_SURE
#: What names are worth above chance where detections leap from animal to animal: at worst so much
#: less, and the share of leaps that costs most of it. Networks of 300 and 600 steps (eight drawn
#: recordings, 0.7 to 7 % of leaps) stated 0.76 and were right in 0.62: what goes wrong there
#: is no encounter that anybody notices. Of good detections 0.06 % leap at most.
_LOST, _LEAPS = 0.3, 0.003
# Tracklets that are looked at together.
_PIECE = 500


@dataclass(frozen=True, eq=False)
class Naming:
    """Which tracklets are whose, where that is in doubt, and how much.

    Attributes
    ----------
    mapping : int64, (highest id + 1,)
        Row of each tracklet; -1 = nobody. For `arrange`.
    doubts : tuple of (int, int, int, int, float)
        First and last frame, two rows, and the probability that they changed places there.
    knots : tuple of (int64, float64), per row
        Frames and probabilities between which `add_identity` draws straight lines.
    trades : tuple of (int, int, int, int)
        First frame, frame after the last, and two tracklets that follow each other's animals
        between them, in the order of the frames.
    """

    mapping: Ints
    doubts: tuple[tuple[int, int, int, int, float], ...]
    knots: tuple[tuple[Ints, Floats], ...]
    trades: tuple[tuple[int, int, int, int], ...] = ()

    def mend(self, ids: npt.NDArray[np.integer], frames: Ints) -> npt.NDArray[np.integer]:
        """Give tracklets (F, I) that changed animals within an encounter to them from there on."""
        low, high = (int(frames[0]), int(frames[-1])) if len(frames) else (0, -1)
        due = [one for one in self.trades if one[0] <= high and one[1] > low]
        ids = ids.copy() if due else ids
        for first, end, a, b in due:
            part = ids[np.searchsorted(frames, first) : np.searchsorted(frames, end)]
            was_a, was_b = part == a, part == b
            part[was_a], part[was_b] = b, a
        return ids

    def add_identity(self, poses: Poses) -> Poses:
        """Give arranged poses their `identity`: how likely each name is right; NaN = absent.

        Never 1: see `MOST_SURE`.
        """
        identity = np.full(poses.array.shape[:2], np.nan, np.float32)
        for row, (knot, value) in enumerate(self.knots):
            if len(knot):
                known = np.interp(poses.frames, knot, value)
                identity[:, row] = np.minimum(known, MOST_SURE)
        identity[~poses.find_present()] = np.nan
        return replace(poses, identity=identity)

    def list_doubts(self, names: Sequence[str]) -> list[Doubt]:
        """List the doubts between the rows of these names, in time."""
        doubts = [
            Doubt(first, last, (names[a], names[b]), p) for first, last, a, b, p in self.doubts
        ]
        return sorted(doubts, key=lambda d: (d.first, d.last, d.individuals))


def name_tracklets(
    summaries: TrackletSummaries,
    encounters: Sequence[Encounter] = (),
    *,
    individuals: int | None = None,
    min_frames: int = 10,
    leaps: float = 0.0,
) -> Naming:
    """Join tracklets into individuals and find how likely every name is right.

    Parameters
    ----------
    summaries : TrackletSummaries
        All tracklets of the recording.
    encounters : sequence of Encounter
        Where tracklets were cut because they could hardly be told apart
        (`Tracker.encounters`).
    individuals, min_frames
        As for `stitch`.
    leaps : float
        Share of the matches that are leaps (`Tracker.leaps`): how far the detections can be
        trusted to show whom they seem to show.

    Returns
    -------
    Naming
    """
    mapping = stitch(
        summaries, individuals=individuals, min_frames=min_frames, encounters=encounters
    )
    tracklets = summaries.to_arrays()
    if not len(tracklets) or summaries.arena is None:
        return Naming(mapping, (), ())
    with Shelf(Path(tempfile.gettempdir())) as shelf:
        histories = find_histories(
            tracklets,
            mapping[tracklets.ids],
            list_ways(tracklets, encounters),
            arena=summaries.arena,
            shelf=shelf,
        )
        rows = histories.rows
        mapping[tracklets.ids] = rows
        cuts = [met for met in encounters if met.cut]
        doubts = [
            *_find_crossings(tracklets, histories, encounters),
            *_find_gaps(tracklets, histories, cuts),
        ]
        right = score_names(tracklets.n, histories)
        chance = 1 / max(int(rows.max(initial=-1)) + 1, 1)
        faith = 1 - _LOST * (1 - np.exp(-leaps / _LEAPS))
        right = chance + faith * (right - chance)
    knots = _find_knots(tracklets, rows, right, cuts)
    return Naming(mapping, tuple(doubts), knots, _find_trades(tracklets, rows, cuts))


def score_names(n: Ints, histories: Histories) -> Floats:
    """Find how likely each tracklet lies in the row of the animal that it belongs to.

    A row's animal is the one that it shows most of the time, everybody getting one row: that is
    how `mapose.metrics.track_scores` gives names.

    Parameters
    ----------
    n : int64, (T,)
        Frames of each tracklet.
    histories : Histories

    Returns
    -------
    float64, (T,)
        Probability; NaN where the row is -1.
    """
    rows = histories.rows
    kept = np.flatnonzero(rows >= 0)
    result = np.full(len(rows), np.nan)
    if not len(kept):
        return result
    # A long recording has tens of thousands of tracklets: some at a time.
    pieces = [slice(start, start + _PIECE) for start in range(0, len(rows), _PIECE)]
    drawn = (histories.draws[piece] for piece in pieces)
    count = 1 + max(int(rows.max()), *(int(part.max(initial=-1)) for part in drawn))
    draws = histories.draws[:1].shape[1]
    table = np.zeros((draws, count, count))
    for piece in pieces:
        some = np.flatnonzero(rows[piece] >= 0)
        part, own = histories.draws[piece][some], rows[piece][some]
        np.add.at(table, (np.arange(draws), own[:, None], part), n[piece][some][:, None])
    names = np.array([linear_sum_assignment(-shown)[1] for shown in table])
    hits = np.concatenate([_count_hits(histories.draws[p], rows[p], names) for p in pieces])
    doubtful = hits < draws
    # Half a miss is granted: no finite number of draws makes a doubtful name certain.
    result[kept] = np.where(doubtful.any(), (hits + 0.5) / (draws + 1), 1.0)
    return result


def _count_hits(draws: Ints, rows: Ints, names: Ints) -> Ints:
    """Count the draws (T, D) that give those who are somebody the name (D, R) of their row."""
    some = np.flatnonzero(rows >= 0)
    return np.asarray((draws[some] == names[:, rows[some]].T).sum(1))


def _read(draws: Readable, j: int) -> Ints:
    """Read whose a tracklet is in each draw."""
    return np.asarray(draws[j : j + 1][0])


def _find_crossings(
    tracklets: Tracklets, histories: Histories, encounters: Sequence[Encounter]
) -> list[tuple[int, int, int, int, float]]:
    """Find how likely rows changed places in each encounter."""
    place = {who: j for j, who in enumerate(tracklets.ids.tolist())}
    rows, draws = histories.rows, histories.draws
    count, doubts = draws[:1].shape[1], []
    for met in encounters:
        before = [place.get(who, -1) for who in met.before]
        if min(before) < 0 or rows[before].min() < 0 or rows[before[0]] == rows[before[1]]:
            continue
        a, b = sorted(rows[before].tolist())
        if not met.cut:
            doubts.append((met.first, met.last, a, b, float(1 / (1 + np.exp(met.odds)))))
            continue
        after = [place[who] for who in met.after if who in place and rows[place[who]] >= 0]
        # Whether a tracklet that came out goes on in the row of the first that went in.
        changed = [
            np.mean((_read(draws, j) == _read(draws, before[0])) != (rows[j] == rows[before[0]]))
            for j in after
        ]
        if changed:
            chance = min(float(max(changed)), 1 - 1 / count)
            doubts.append((met.first, met.last, a, b, max(chance, 0.5 / count)))
    return doubts


def _find_trades(
    tracklets: Tracklets, rows: Ints, encounters: Sequence[Encounter]
) -> tuple[tuple[int, int, int, int], ...]:
    """Find encounters out of which two rows come exchanged: they are cut only after their end.

    The animals change places in the middle of it, or where one of the tracklets begins.
    """
    place = {who: j for j, who in enumerate(tracklets.ids.tolist())}
    trades = []
    for met in encounters:
        before = [place.get(who, -1) for who in met.before]
        after = [place.get(who, -1) for who in met.after]
        sides = [side for side in (0, 1) if after[side] >= 0]
        if min(before) < 0 or rows[before].min() < 0 or not sides:
            continue
        if all(rows[after[side]] == rows[before[1 - side]] for side in sides):
            middle = (met.first + met.last + 1) // 2
            first = max(middle, int(tracklets.first[before].max()))
            if rows[before[0]] != rows[before[1]] and first < met.end:
                trades.append((first, met.end, *met.before))
    return tuple(trades)


def _find_gaps(
    tracklets: Tracklets, histories: Histories, encounters: Sequence[Encounter]
) -> list[tuple[int, int, int, int, float]]:
    """Find how likely an animal that was out of sight came back as another one."""
    rows, draws = histories.rows, histories.draws
    met = {who for one in encounters for who in one.after}
    ends: dict[int, int] = {}  # last tracklet of each row so far
    doubts: dict[tuple[int, int, int], tuple[int, int, int, int, float]] = {}
    for j in np.flatnonzero(rows >= 0).tolist():
        own = int(rows[j])
        former = ends.get(own)
        if former is not None and int(tracklets.ids[j]) not in met:
            mine = _read(draws, j)
            left = mine != _read(draws, former)
            others = [(r, k) for r, k in ends.items() if r != own]
            if left.any() and others:
                shares = [float((left & (mine == _read(draws, k))).mean()) for _, k in others]
                best = int(np.argmax(shares))
                other, k = others[best]
                first = int(min(max(tracklets.last[former], tracklets.last[k]), tracklets.first[j]))
                pair = (min(own, other), max(own, other))
                key = (*pair, first)
                chance = min(shares[best], 1 - 1 / len(mine))
                if chance > _NEGLIGIBLE and chance > doubts.get(key, (0, 0, 0, 0, 0.0))[4]:
                    doubts[key] = (first, int(tracklets.first[j]), *pair, chance)
        ends[own] = j
    return list(doubts.values())


def _find_knots(
    tracklets: Tracklets, rows: Ints, right: Floats, encounters: Sequence[Encounter]
) -> tuple[tuple[Ints, Floats], ...]:
    """Find between which points the probability of each row runs straight."""
    # What came out of an encounter has its own probability from the end of the doubt already.
    begins = {who: met.last + 1 for met in encounters for who in met.after}
    ends = {who: met.first for met in encounters for who in met.before}
    ids = tracklets.ids.tolist()
    knots = []
    for r in range(int(rows.max(initial=-1)) + 1):
        path = np.flatnonzero(rows == r).tolist()
        when = [
            (
                begins.get(ids[j], int(tracklets.first[j])),
                ends.get(ids[j], int(tracklets.last[j])),
            )
            for j in path
        ]
        frames = np.maximum.accumulate(np.array(when, np.int64).ravel())
        knots.append((frames, np.repeat(right[path], 2)))
    return tuple(knots)
