"""Follow animals from frame to frame: detections in, tracklet ids out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapose.arrays import Floats, Ints
from mapose.assignment import assign
from mapose.errors import SettingsError, ShapeError
from mapose.similarity import find_centres, find_oks
from mapose.tracking.detections import (
    Detections,
    check_points,
    measure_detections,
    number_frames,
)
from mapose.tracking.encounters import Encounter, EncounterLog
from mapose.tracking.motion import KalmanBank, RunningMedian, RunningSpread
from mapose.tracking.scoring import (
    FARTHEST,
    Expected,
    find_contested,
    find_leftovers,
    find_limits,
    find_reach,
    find_shares,
    follow_shapes,
    score_pairs,
)

#: Longest hiding, in frames, after which an animal is taken up again; the rest is left to `stitch`.
MAX_GAP = 30
#: Frames in which a track must be seen before it counts as an animal.
CONFIRM = 3
#: A detection that no track wants and that is this like one just taken starts no track.
_SHADOW = 0.6
#: Share of the reach within which a single keypoint can pass for the animal; for a whole one, all.
_FRAGMENT = 0.3
#: Frames for which the claim of a lost animal holds.
_PATIENCE = 5
#: Frames out of sight after which a track that is cut goes on under another id. With looks to go
#: by, IDF1 of four scenes with a shelter rose from 0.990 to 0.994; without, nothing changed.
_LOST = 6
#: Nats from which a match outside of encounters is a leap, maybe to another animal: the track goes
#: on under another id. Of what a network of 300 steps found, 9 % of the matches of 25 to 30 nats
#: were wrong, 20 % of those up to 35, half of those above; with good detections 1 in 1,000 costs
#: more than 30.
_LEAP = 34.0
#: Leaps that every recording is granted: one or two say little of how often it leaps.
_GRANTED = 2


class Tracker:
    """Give every detection the id of the tracklet it belongs to, frame by frame.

    Each track has a Kalman filter for the body's centre and carries its last shape along. A
    detection costs its negative log-likelihood, of how far the body moved and of how far every
    keypoint moved within it; one matching over all tracks and detections of a frame decides.
    Body size, the spread of every keypoint and how erratically the animals move are learned on
    the way: 15 px birds and 200 px mice need no settings. The result does not depend on how a
    recording is cut into chunks.

    Ids count up from 0 and are never used again. An animal that was hidden for longer than
    ``max_gap`` comes back under a new id: `mapose.tracking.stitch` joins the two.

    Parameters
    ----------
    individuals : int, optional
        Number of animals: at most so many tracks are `confirmed` at a time. One animal with one
        slot is every detection that comes.
    max_gap : int
        Frames for which a track that is not seen is kept.
    size : float, optional
        Square root of the area of an animal's bounding box, in the unit of the points; learned
        from the detections by default. With a single keypoint there is no box: then a quarter of
        the distance between neighbours is taken.
    cut : bool
        Give tracks that may have changed places new ids when that is over, and list it in
        ``encounters``: for `name_tracklets`. An id then stands for one animal only.

    Attributes
    ----------
    encounters : list of Encounter
        Those that are over.

    Raises
    ------
    SettingsError
        If a number is not usable.

    Examples
    --------
    >>> tracker = Tracker()
    >>> two = np.array([[[10.0, 10], [20, 14]], [[90, 90], [95, 80]]])
    >>> tracker.update(two).tolist(), tracker.update(two[::-1] + 1).tolist()
    ([0, 1], [1, 0])
    """

    def __init__(
        self,
        *,
        individuals: int | None = None,
        max_gap: int = MAX_GAP,
        size: float | None = None,
        cut: bool = False,
    ) -> None:
        if individuals is not None and individuals < 1:
            raise SettingsError(f"individuals: wanted 1 or more, came {individuals}")
        if max_gap < 0:
            raise SettingsError(f"max_gap: wanted 0 frames or more, came {max_gap}")
        if size is not None and not (np.isfinite(size) and size > 0):
            raise SettingsError(f"size: wanted a length above 0, came {size}")
        self.individuals, self.max_gap = individuals, max_gap
        self.encounters: list[Encounter] = []
        self._log = EncounterLog() if cut else None
        self._size, self._fixed = RunningMedian(size), size is not None
        self._surprise, self._spread = RunningMedian(), RunningSpread()
        self._usual, self._trust = RunningMedian(), RunningMedian()
        self._leaps, self._matches = 0, 0
        self._next, self._frame = 0, -1
        self._bank: KalmanBank | None = None  # made when the first frame tells K and d

    @property
    def confirmed(self) -> Ints:
        """Ids of the live tracks that count as animals, int64."""
        return np.empty(0, np.int64) if self._bank is None else self._ids[self._sure]

    @property
    def leaps(self) -> float:
        """Share of the matches that are leaps to what another track might have got as well.

        The first two do not count. Of poor detections it is more than 0.003; where a fly jumps and
        nobody is near, it is 0.
        """
        return max(self._leaps - _GRANTED, 0) / max(self._matches, 1)

    def update(self, points: npt.ArrayLike, confidence: npt.ArrayLike | None = None) -> Ints:
        """Take in the next frame.

        Parameters
        ----------
        points : float, (I, K, d)
            Detections, in any order; NaN = missing keypoint. I may change between frames.
        confidence : float, (I, K), optional
            Weight of each keypoint, 0 to 1.

        Returns
        -------
        int64, (I,)
            Id of each detection's tracklet; -1 for empty slots and rejected duplicates.

        Raises
        ------
        ShapeError
            If the shape is not as described, or K or d differ from earlier frames.
        """
        several = None if confidence is None else np.asarray(confidence)[None]
        return self.update_many(np.asarray(points)[None], several)[0]

    def update_many(
        self,
        points: npt.ArrayLike,
        confidence: npt.ArrayLike | None = None,
        *,
        frames: npt.ArrayLike | None = None,
    ) -> Ints:
        """Take in the next run of frames, faster than one by one and with the same result.

        Parameters
        ----------
        points : float, (F, I, K, d)
            Detections, in any order; NaN = missing keypoint.
        confidence : float, (F, I, K), optional
            Weight of each keypoint, 0 to 1.
        frames : int, (F,), optional
            Frame numbers, ascending; by default they count on from the last run.

        Returns
        -------
        int64, (F, I)
            Id of each detection's tracklet; -1 for empty slots and rejected duplicates.

        Raises
        ------
        ShapeError
            If shapes do not fit or frames do not ascend.
        """
        points = np.asarray(points, np.float64)
        confidence = None if confidence is None else np.asarray(confidence, np.float64)
        numbers = self._check(points, confidence, frames)
        if self.individuals == 1 and points.shape[1] == 1 and self._next <= 1:
            return self._take_all(points, numbers)
        if self._bank is None:
            self._start(*points.shape[2:])
        ids = np.full(points.shape[:2], -1, np.int64)
        # Blocks of about 10 MB: large enough to hide the cost of a call, small enough to stay
        # in memory with 40 detections of 50 keypoints.
        pairs = max(points.shape[1] ** 2 * points.shape[2], 1)
        block = max(400_000 // pairs, 1)
        for start in range(0, len(points), block):
            rows = slice(start, start + block)
            found = measure_detections(
                points[rows], None if confidence is None else confidence[rows]
            )
            for f, number in enumerate(numbers[rows]):
                ids[start + f] = self._step(found, f, int(number))
        return ids

    def _take_all(self, points: Floats, numbers: Ints) -> Ints:
        """Let the only detection be the only animal, however it leaps: nothing is to be decided."""
        there = np.isfinite(points).all(-1).any(-1)
        self._frame = int(numbers[-1]) if len(numbers) else self._frame
        self._next = max(self._next, int(there.any()))
        return np.where(there, 0, -1)

    def _check(
        self, points: Floats, confidence: npt.ArrayLike | None, frames: npt.ArrayLike | None
    ) -> Ints:
        check_points(points, confidence)
        if self._bank is not None and self._shape.shape[1:] != points.shape[2:]:
            raise ShapeError(
                f"tracker: began with {self._shape.shape[1]} keypoints in "
                f"{self._shape.shape[2]}D, came {points.shape[2]} in {points.shape[3]}D"
            )
        return number_frames(frames, self._frame, len(points))

    def _start(self, keypoints: int, dimensions: int) -> None:
        self._bank = KalmanBank(dimensions)
        self._ids = np.empty(0, np.int64)
        self._shape: Floats = np.empty((0, keypoints, dimensions))  # from the centre, NaN = unknown
        self._hits = np.empty(0, np.int64)
        self._unseen = np.empty(0, np.int64)
        self._sure = np.empty(0, bool)

    def _step(self, found: Detections, f: int, number: int) -> Ints:
        """Match one frame of ``found`` with the tracks and bring them up to date."""
        assert self._bank is not None
        steps, self._frame = number - self._frame, number
        ids = np.full(found.there.shape[1], -1, np.int64)
        slots = np.flatnonzero(found.there[f])
        points = found.points[f, slots]
        self._usual.add(found.count[f, slots])
        self._trust.add(found.trust[f, slots])
        if len(slots) and not self._fixed:
            self._size.add(found.size[f])
        if self._log is not None:
            self._log.scale = self._scale
            state = {"unseen": self._unseen, "hits": self._hits, "sure": self._sure}
            ended, self._next = self._log.end(number, self._ids, **state, fresh=self._next)
            self.encounters += ended
        if len(self._ids):
            self._predict(steps)
            if steps > 1:
                self._bury(self.max_gap + 1)
        rows = columns = np.empty(0, np.int64)
        fits = np.ones(len(slots), bool)  # what was left over tells nothing of an animal's pose
        if len(self._ids) and len(slots):
            cost, gaps = self._score_pairs(found, f, slots)
            # Clipping makes "nobody" an option at the limit, so that one far-off detection
            # cannot push every other track to its second choice.
            trust = found.trust[f, slots] / (self._trust.value or 1.0)
            odds = np.minimum(cost - find_limits(self._unseen, trust), 0.0)
            rows, columns = assign(odds)
            good = odds[rows, columns] < 0
            rows, columns = rows[good], columns[good]
            leaps = cost[rows, columns] > _LEAP
            claims = (odds[:, columns[leaps]] < 0).sum(0)
            self._leaps += int((claims > 1).sum())
            self._matches += len(rows)
            hidden = self._sure.copy()
            hidden[rows] = False
            stray = find_leftovers(cost[rows, columns], trust[columns])
            fits[columns] = ~stray
            if self._log is not None:
                leapt = leaps & self._log.find_calm(self._ids[rows])
                self._settle(rows[leapt], gaps[rows, columns][leapt], points[columns[leapt]])
                self._part(rows[leapt | (self._unseen[rows] > _LOST)])
                self._log.record(number, self._ids, cost, (rows, columns), hidden, stray)
            ids[slots[columns]] = self._ids[rows]
            free = hidden & (self._unseen <= _PATIENCE)
            clear = ~find_contested(cost, (rows, columns), free)
            self._unseen[rows[~clear]] = 0
            kept, seen = rows[clear], columns[clear]
            self._update(kept, gaps[kept, seen], points[seen])
        owners = self._ids[rows]
        self._bury(self.max_gap)
        if len(columns) < len(slots):
            born = self._give_birth(found, f, slots, columns, ids)
            if self._log is not None and len(rows) and len(born):
                self._log.record_births(number, owners, cost[rows], columns, born, ids[slots[born]])
        if self._log is not None:
            self._log.watch(number, ids[slots[fits]], points[fits])
        return ids

    @property
    def _scale(self) -> float:
        return self._size.value or 20.0  # a lone point in an empty world: any guess will do

    def _predict(self, steps: int) -> None:
        """Move the tracks on by so many frames; after max_gap they are gone anyway."""
        assert self._bank is not None
        # The usual surprise of a step, but never less than a jitter of 2 % of the body.
        acceleration = max(self._surprise.value or 0.25 * self._scale, 0.02 * self._scale)
        for _ in range(min(steps, self.max_gap + 2)):
            self._bank.predict(acceleration)
        self._unseen += steps

    def _score_pairs(self, found: Detections, f: int, slots: Ints) -> tuple[Floats, Floats]:
        """Find the cost (T, N) of every track with every detection, and how far apart they are."""
        assert self._bank is not None
        points = found.points[f, slots]
        expected = Expected(
            self._bank.centres,
            self._shape,
            self._bank.variances + self._noise**2,
            self._spread.find(points.shape[1], self._scale),
            self._unseen,
            self._scale,
            self._usual.value or float(points.shape[1]),
        )
        cost, gaps = score_pairs(expected, points, found.weight[f, slots])
        share = find_shares(self._shape, points)
        reach = find_reach(self._bank.variances, self._unseen, self._scale)[:, None] * (
            _FRAGMENT + (1 - _FRAGMENT) * share
        )
        near = np.einsum("tnd,tnd->tn", gaps, gaps) <= reach**2
        # Whatever is within reach may be it, however little it looks like it.
        return np.where(near, np.minimum(cost, FARTHEST), np.inf), gaps

    @property
    def _noise(self) -> float:
        return max(0.5 * (self._surprise.value or 0.0), 0.02 * self._scale)

    def _update(self, rows: Ints, gaps: Floats, points: Floats) -> None:
        assert self._bank is not None
        steady = self._unseen[rows] == 1
        seen = self._bank.centres[rows] + gaps
        self._bank.update(rows, gaps, self._noise)
        shape, strayed = follow_shapes(self._shape[rows], points - seen[:, None], self._scale)
        self._shape[rows] = shape
        self._spread.add(strayed[steady], self._scale)
        self._hits[rows] += 1
        self._unseen[rows] = 0
        self._surprise.add(np.sqrt(np.einsum("nd,nd->n", gaps, gaps))[steady])
        if not self._sure[rows].all():
            self._confirm()

    def _part(self, rows: Ints) -> None:
        """Give tracks that come back after a while new ids: it may be somebody else."""
        assert self._log is not None
        for row in rows[self._sure[rows]].tolist():
            self._log.rename(int(self._ids[row]), self._next)
            self._ids[row] = self._next
            self._next += 1

    def _settle(self, rows: Ints, gaps: Floats, points: Floats) -> None:
        """Let tracks take the shapes (N, K, d) that were seen, whatever theirs was."""
        assert self._bank is not None
        self._shape[rows] = points - (self._bank.centres[rows] + gaps)[:, None]

    def _confirm(self) -> None:
        """Take tracks seen often enough for animals, oldest first, as many as there may be.

        In a full house a newcomer takes the place of the animal that is longest out of sight: it
        may be the same one, come out elsewhere, and tracks that hold no place die young.
        """
        ready = np.flatnonzero(~self._sure & (self._hits >= CONFIRM))
        if self.individuals is not None:
            free = self.individuals - int(self._sure.sum())
            hidden = np.flatnonzero(self._sure & (self._unseen >= CONFIRM))
            hidden = hidden[np.argsort(-self._unseen[hidden], kind="stable")]
            self._sure[hidden[: max(len(ready) - free, 0)]] = False
            ready = ready[: max(free, 0) + len(hidden)]
        self._sure[ready] = True

    def _bury(self, longest: int) -> None:
        """Forget tracks unseen for longer than so many frames; unconfirmed ones much sooner."""
        kept = self._unseen <= np.where(self._sure, longest, longest - self.max_gap)
        if kept.all():
            return
        assert self._bank is not None
        if self._log is not None:
            self._log.forget(self._ids[~kept & (self._hits < CONFIRM)])
        self._bank.keep(kept)
        for name in ("_ids", "_shape", "_hits", "_unseen", "_sure"):
            setattr(self, name, getattr(self, name)[kept])

    def _give_birth(self, found: Detections, f: int, slots: Ints, taken: Ints, ids: Ints) -> Ints:
        """Start tracks for the detections that nobody took, unless they shadow one that was."""
        assert self._bank is not None
        left = np.ones(len(slots), bool)
        left[taken] = False
        places = np.flatnonzero(left)
        if len(taken):
            areas = np.full(len(places), self._scale**2)
            former = found.points[f, slots[taken]]
            oks = find_oks(found.points[f, slots[places]], former, areas=areas)
            places = places[~(oks > _SHADOW).any(1)]
        if not len(places):
            return places
        fresh = slots[places]
        points = found.points[f, fresh]
        centres = find_centres(points)
        ids[fresh] = self._next + np.arange(len(fresh))
        self._next += len(fresh)
        self._bank.start(centres, self._noise, 0.25 * self._scale)
        self._ids = np.concatenate([self._ids, ids[fresh]])
        self._shape = np.concatenate([self._shape, points - centres[:, None]])
        self._hits = np.concatenate([self._hits, np.ones(len(fresh), np.int64)])
        self._unseen = np.concatenate([self._unseen, np.zeros(len(fresh), np.int64)])
        self._sure = np.concatenate([self._sure, np.zeros(len(fresh), bool)])
        return places
