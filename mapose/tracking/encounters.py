"""Remember where one track may have been taken for another."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from mapose.arrays import Bools, Floats, Ints

#: Frames without doubt after which an encounter is over.
QUIET = 10
#: Log-odds in favour of a match from which nobody doubts it.
CLEAR = 12.0
#: Frames in which a track is seen before it is cut again.
_SHORTEST = 3
#: Log-odds from which an encounter is no reason to cut: one in 3,000 goes wrong.
_SETTLED = 8.0

#: Frames that are looked back to see where two animals were before they were found as one.
_MEMORY = 30
#: Median distance of keypoints, in body sizes, that is as good as none.
_STILL = 0.02

#: Log-odds that two tracks stay themselves through an encounter: what it begins with, what the
#: worst frame adds (per nat), and what the poses before and after. Fitted to 2,095 encounters of
#: drawn mice at 30 and 8 frames per second, in 28 of which they changed places: with the poses 4
#: of these 28 are put right and none of the others is put wrong (cross-validated). The number of
#: doubtful frames and the pace of the animals say nothing more.
_SURE, _WEIGHT, _POSES = 0.44, 0.49, 0.56
#: What the worst frame adds where only one of the two came out: no poses can be compared. Of 141
#: such ends of drawn contacts of sliding detections without a mixture (see below) 11 % bore the
#: other's name, of 112 with one 36 %; of 13 among good detections none.
_ALONE = 0.3
#: A match that costs more nats than the first number, with a leftover within reach of it, may be
#: parts of both: the frame then says, at worst, only the last number of nats for who is who. In
#: drawn contacts whose detections slide from one animal to the other, 9 % changed places below 10
#: nats, 33 % above (55 of 165). An animal that is not found at all does not count: with a shelter
#: to hide in, four look-alikes then came out exchanged 8 instead of 5 times.
_STEADY, _SLOPE, _MIXED = 10.0, 1.0, 4.0


@dataclass(frozen=True, slots=True)
class Encounter:
    """Two tracks that were hard to tell apart for a while.

    Attributes
    ----------
    first, last : int
        First and last doubtful frame.
    end : int
        Frame from which on the tracks bear the ids ``after``.
    before, after : (int, int)
        Tracklets before and after; -1 = out of sight for good. The same where they are hardly
        in doubt and were not cut.
    odds : float
        Log-odds that each stayed itself rather than that they changed places.
    """

    first: int
    last: int
    end: int
    before: tuple[int, int]
    after: tuple[int, int]
    odds: float

    @property
    def cut(self) -> bool:
        """Whether the tracklets that come out of it have other ids than those that went in."""
        return self.after != self.before


@dataclass
class _Doubt:
    """What is known of an encounter that is not over."""

    first: int
    last: int
    together: float = CLEAR  # least odds of a frame in which both were seen
    before: dict[int, Floats] = field(default_factory=dict)  # the two when last seen apart, (K, d)


class EncounterLog:
    """The encounters of all live tracks, frame by frame."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Doubt] = {}
        self._cuts: dict[int, int] = {}  # frames in which a track was seen when it was cut, by id
        # Frames and what the tracks got in them, by id.
        self._seen: deque[tuple[int, dict[int, Floats]]] = deque(maxlen=_MEMORY)
        #: Body size.
        self.scale = 20.0

    def watch(self, number: int, ids: Ints, points: Floats) -> None:
        """Remember the detections (N, K, d) that fitted the tracks (N,) they fell to in a frame."""
        self._seen.append((number, dict(zip(ids.tolist(), points, strict=True))))

    def find_calm(self, ids: Ints) -> Bools:
        """Mark tracks (N,) that are in no encounter."""
        return np.isin(ids, [who for pair in self._open for who in pair], invert=True)

    def record(
        self,
        number: int,
        ids: Ints,
        cost: Floats,
        matches: tuple[Ints, Ints],
        hidden: Bools,
        stray: Bools,
    ) -> None:
        """Note which matches of a frame were in doubt.

        Parameters
        ----------
        number : int
            Frame.
        ids : int64, (T,)
            Tracks.
        cost : float64, (T, N)
            Negative log-likelihood of each detection for each track, in nats.
        matches : (int64, int64), (M,) each
            Rows and columns of ``cost``.
        hidden : bool, (T,)
            Animals that got nothing.
        stray : bool, (M,)
            Matches with what is left over of others (`find_leftovers`).
        """
        rows, _ = matches
        pairs, odds = find_doubts(cost, *matches)
        self._add(number, ids[pairs], odds, together=True)
        if hidden.any():
            pairs, odds = find_claims(cost, *matches, np.flatnonzero(hidden))
            self._add(number, ids[pairs], odds, together=False)
        if stray.any():
            pairs, odds = find_mixtures(cost, *matches, stray)
            self._add(number, ids[pairs], odds, together=True)
            self._prolong(number, set(ids[rows[stray]].tolist()))

    def record_births(
        self, number: int, ids: Ints, cost: Floats, columns: Ints, fresh: Ints, born: Ints
    ) -> None:
        """Note which matches of a frame a newcomer could have got.

        Parameters
        ----------
        number : int
            Frame.
        ids : int64, (M,)
            Matched tracks.
        cost : float64, (M, N)
            As in `record`.
        columns : int64, (M,)
            What they got.
        fresh : int64, (B,)
            Columns in which tracks began, and
        born : int64, (B,)
            their ids.
        """
        odds = cost[:, fresh] - cost[np.arange(len(ids)), columns][:, None]
        i, j = np.nonzero(odds < CLEAR)
        self._add(number, np.stack([ids[i], born[j]], axis=-1), odds[i, j], together=False)
        near = np.isfinite(cost[:, fresh])
        for pair, doubt in list(self._open.items()):
            seen = np.isin(pair, ids)
            if seen.sum() != 1:
                continue
            # One of two that were found as one is out of sight: the newcomer may be either.
            host, lost = pair[int(seen[1])], pair[int(seen[0])]
            for who in born[near[int(np.flatnonzero(ids == host)[0])]].tolist():
                known = self._open.setdefault((min(host, who), max(host, who)), replace(doubt))
                if host in doubt.before:
                    known.before = {host: doubt.before[host], who: doubt.before[lost]}
                known.first, known.last = min(known.first, doubt.first), number
                known.together = min(known.together, doubt.together)

    def _add(self, number: int, pairs: Ints, odds: Floats, *, together: bool) -> None:
        for (a, b), value in zip(pairs.tolist(), odds.tolist(), strict=True):
            pair = (min(a, b), max(a, b))
            doubt = self._open.get(pair)
            if doubt is None:
                doubt = self._open[pair] = _Doubt(number, number, before=self._find_last(pair))
            doubt.last = number
            if together:
                doubt.together = min(doubt.together, value)

    def _prolong(self, number: int, stray: set[int]) -> None:
        """Let encounters go on while one of the two only has what is left over."""
        for pair, doubt in self._open.items():
            if doubt.last >= number - QUIET and not stray.isdisjoint(pair):
                doubt.last = number

    def _find_last(self, pair: tuple[int, int]) -> dict[int, Floats]:
        """Find the poses of two tracks in the last frame in which both were seen."""
        for _, seen in reversed(self._seen):
            if pair[0] in seen and pair[1] in seen:
                return {who: seen[who] for who in pair}
        return {}

    def _find_odds(self, pair: tuple[int, int], doubt: _Doubt) -> float:
        """Find the log-odds that two tracks stayed themselves."""
        poses = self._compare_poses(pair, doubt)
        if poses is None:
            return _SURE + _ALONE * doubt.together
        return _SURE + _WEIGHT * doubt.together + _POSES * poses

    def _compare_poses(self, pair: tuple[int, int], doubt: _Doubt) -> float | None:
        """Find how much nearer two tracks are to their own poses before than to each other's.

        In nats, for either; None where one of them did not come out.
        """
        after: dict[int, Floats] = {}
        for number, seen in self._seen:
            if number > doubt.last:
                after.update({w: seen[w] for w in pair if w in seen and w not in after})
        if len(after) < 2 or len(doubt.before) < 2:
            return None
        before, now = (np.stack([poses[who] for who in pair]) for poses in (doubt.before, after))
        apart = np.linalg.norm(before[:, None] - now, axis=-1)
        if not np.isfinite(apart).any(-1).all():
            return None
        moved = np.log((np.nanmedian(apart, axis=-1) / self.scale) ** 2 + _STILL**2)
        return float(moved[0, 1] + moved[1, 0] - moved[0, 0] - moved[1, 1])

    def end(
        self,
        number: int,
        ids: Ints,
        *,
        unseen: Ints,
        hits: Ints,
        sure: Bools,
        fresh: int,
    ) -> tuple[list[Encounter], int]:
        """End what nobody has doubted for a while: tracks in real doubt go on under new ids.

        Parameters
        ----------
        number : int
            Frame.
        ids, unseen, hits, sure : (T,)
            Of the live tracks: ids, into which new ones are written, frames since they were
            seen and in which they were, and whether they are animals.
        fresh : int
            Next free id.

        Returns
        -------
        ended : list of Encounter
            Those that are over.
        fresh : int
            Next free id.
        """
        ended = []
        new: dict[int, int] = {}  # ids given in this frame
        row = {who: n for n, who in enumerate(ids.tolist())}
        self._cuts = {who: cut for who, cut in self._cuts.items() if who in row}
        for pair in [pair for pair, doubt in self._open.items() if doubt.last < number - QUIET]:
            alive = [who in row and bool(sure[row[who]]) for who in pair]
            rows = [row[who] for who, lives in zip(pair, alive, strict=True) if lives]
            if len(rows) == 2 and unseen[rows].max() > QUIET:
                continue  # one of them is hidden: not over
            if any(hits[n] < self._cuts.get(int(ids[n]), -_SHORTEST) + _SHORTEST for n in rows):
                continue  # cut a moment ago
            doubt = self._open.pop(pair)
            if not rows:
                continue
            odds = self._find_odds(pair, doubt)
            if odds > _SETTLED:
                ended.append(Encounter(doubt.first, doubt.last, number, pair, pair, odds))
                continue
            after = [-1, -1]
            for side in np.flatnonzero(alive).tolist():
                after[side] = new.setdefault(pair[side], fresh)
                fresh += after[side] == fresh
            ended.append(
                Encounter(doubt.first, doubt.last, number, pair, (after[0], after[1]), odds)
            )
        for former, who in new.items():
            ids[row[former]] = who
            self._cuts[who] = int(hits[row[former]])
            self.rename(former, who)
        return ended, fresh

    def forget(self, tracks: Ints) -> None:
        """Drop the encounters with false alarms."""
        gone = set(tracks.tolist())
        for pair in [pair for pair in self._open if gone & set(pair)]:
            del self._open[pair]

    def rename(self, old: int, new: int) -> None:
        """Give a track another id in the encounters that go on."""
        for pair in [pair for pair in self._open if old in pair]:
            a, b = (new if who == old else who for who in pair)
            doubt = self._open[min(a, b), max(a, b)] = self._open.pop(pair)
            if old in doubt.before:
                doubt.before[new] = doubt.before.pop(old)
        for _, seen in self._seen:
            if old in seen:
                seen[new] = seen.pop(old)


def find_doubts(cost: Floats, rows: Ints, columns: Ints) -> tuple[Ints, Floats]:
    """Find matched tracks that could nearly as well have changed places.

    Parameters
    ----------
    cost : float64, (T, N)
        Negative log-likelihood of each detection for each track, in nats.
    rows, columns : int64, (M,)
        The matches.

    Returns
    -------
    pairs : int64, (P, 2)
        Rows of ``cost``.
    odds : float64, (P,)
        Log-odds in favour of the matches, below `CLEAR`.
    """
    part = cost[rows[:, None], columns]
    own = part.diagonal()
    odds = part + part.T - own - own[:, None]
    i, j = np.nonzero(odds < CLEAR)
    once = i < j
    i, j = i[once], j[once]
    return np.stack([rows[i], rows[j]], axis=-1), odds[i, j]


def find_claims(cost: Floats, rows: Ints, columns: Ints, lost: Ints) -> tuple[Ints, Floats]:
    """Find matches to which a track without one has nearly as good a claim; as `find_doubts`."""
    odds = cost[lost[:, None], columns] - cost[rows, columns]
    i, j = np.nonzero(odds < CLEAR)
    return np.stack([rows[j], lost[i]], axis=-1), odds[i, j]


def find_mixtures(cost: Floats, rows: Ints, columns: Ints, stray: Bools) -> tuple[Ints, Floats]:
    """Find matches that fit badly beside what is left over: they may be parts of two animals.

    As `find_doubts`; ``stray``, bool (M,), marks leftovers. A network makes one animal of the head
    of one and the tail of the other.
    """
    odds = np.maximum(CLEAR - _SLOPE * (cost[rows, columns] - _STEADY), _MIXED)
    near = np.isfinite(cost[rows[stray][:, None], columns]) & (rows[stray][:, None] != rows)
    i, j = np.nonzero(near & (odds < CLEAR))
    return np.stack([rows[j], rows[stray][i]], axis=-1), odds[j]
