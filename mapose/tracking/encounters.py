"""Remember where one track may have been taken for another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Frames without doubt after which an encounter is over.
QUIET = 10
#: Log-odds in favour of a match from which nobody doubts it.
CLEAR = 12.0
#: Frames in which a track is seen before it is cut again.
_SHORTEST = 3
#: Log-odds from which an encounter is no reason to cut: one in 3,000 goes wrong.
_SETTLED = 8.0

#: Log-odds that two tracks stay themselves through an encounter: what it begins with, and what
#: the worst frame (in nats), the logarithms of the doubtful frames and of the pace add. Fitted to
#: 1,018 encounters of drawn mice at 30 and 8 frames per second, in 13 of which they changed
#: places. Never below the last: alone, none of this says that they did.
_SURE, _WEIGHT, _FRAMES, _PACE, _LEAST = -6.2, 0.35, -0.9, -2.7, 0.2


@dataclass(frozen=True)
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
    frames: int = 0
    together: float = CLEAR  # least odds of a frame in which both were seen


class EncounterLog:
    """The encounters of all live tracks, frame by frame."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Doubt] = {}
        self._cuts: dict[int, int] = {}  # frames in which a track was seen when it was cut, by id
        #: How far animals usually get from where they are expected, in body sizes.
        self.pace = 0.02

    def record(
        self,
        number: int,
        ids: Ints,
        cost: Floats,
        matches: tuple[Ints, Ints],
        hidden: npt.NDArray[np.bool_],
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
        """
        pairs, odds = find_doubts(cost, *matches)
        self._add(number, ids[pairs], odds, together=True)
        if hidden.any():
            pairs, odds = find_claims(cost, *matches, np.flatnonzero(hidden))
            self._add(number, ids[pairs], odds, together=False)

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
            host = pair[int(seen[1])]
            for who in born[near[int(np.flatnonzero(ids == host)[0])]].tolist():
                known = self._open.setdefault((min(host, who), max(host, who)), replace(doubt))
                known.first, known.last = min(known.first, doubt.first), number
                known.frames = max(known.frames, doubt.frames)
                known.together = min(known.together, doubt.together)

    def _add(self, number: int, pairs: Ints, odds: Floats, *, together: bool) -> None:
        for (a, b), value in zip(pairs.tolist(), odds.tolist(), strict=True):
            doubt = self._open.setdefault((min(a, b), max(a, b)), _Doubt(number, number))
            doubt.last = number
            doubt.frames += 1
            if together:
                doubt.together = min(doubt.together, value)

    def end(
        self,
        number: int,
        ids: Ints,
        *,
        unseen: Ints,
        hits: Ints,
        sure: npt.NDArray[np.bool_],
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
            odds = score_encounter(doubt, self.pace)
            if not rows:
                continue
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
            self._open[min(a, b), max(a, b)] = self._open.pop(pair)


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


def score_encounter(doubt: _Doubt, pace: float) -> float:
    """Find the log-odds that two tracks came out of an encounter as they went in."""
    odds = _SURE + _WEIGHT * doubt.together + _FRAMES * np.log1p(doubt.frames)
    return max(float(odds + _PACE * np.log(np.clip(pace, 0.01, 0.1))), _LEAST)
