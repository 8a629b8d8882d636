"""Remember of each tracklet what is needed to join it with others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapose.arrays import Floats, Ints, Singles
from mapose.errors import ShapeError
from mapose.similarity import find_areas
from mapose.tracking.looks import Looks, make_looks
from mapose.tracking.roaming import Roaming, RoamingMeter

#: Frames at either end of a tracklet from which its pose and velocity there are read.
MARGIN = 5
#: Frames after which a tracklet is over for good.
_SETTLED = 1000
#: Tracklets of fewer frames are noise (`Tracker` confirms a track at its third).
_FEWEST = 3
#: Numbers of a tracklet that is packed before its ends: first, last, n, score, three of its size.
_PLAIN = 7


@dataclass(frozen=True, eq=False)
class Tracklets:
    """Summaries as arrays, one row per tracklet, in the order of their first frames."""

    ids: Ints
    ends: Ints  # the same, but of the last tracklet where several are one row
    first: Ints
    last: Ints
    n: Ints
    score: Floats  # summed over frames
    size: Floats  # NaN where not measurable
    scale: float  # size of a usual animal
    speed: float  # root mean square of the velocities
    head: Floats  # (T, K, d) pose at the first frame
    tail: Floats
    velocity: Floats  # (T, 2, d) per frame, at the first and last frame
    looks: Looks | None  # the embeddings, where there are any
    roaming: Roaming  # how far animals get in a gap

    def __len__(self) -> int:
        return len(self.ids)


class TrackletSummaries:
    """What has to be remembered of each tracklet to join it with others.

    Memory grows with the number of tracklets, not of frames: first and last frame, the poses of
    a few frames at both ends, number of frames, score and body size. Fill it chunk by chunk.

    Examples
    --------
    >>> from mapose.tracking import stitch
    >>> summaries = TrackletSummaries()
    >>> still = np.full((8, 1, 3, 2), [[0.0, 0], [9, 0], [5, 5]])
    >>> summaries.add(np.repeat([[0], [1]], 4, axis=0), still)
    >>> len(summaries), stitch(summaries, individuals=1).tolist()
    (2, [0, 0])
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._n: dict[int, int] = {}
        self._score: dict[int, float] = {}
        # Of the logarithm of the size and of the embeddings: sum, sum of squares, frames.
        self._size: dict[int, Floats] = {}
        self._looks: dict[int, Floats] = {}
        self._head: dict[int, tuple[Ints, Floats]] = {}  # up to MARGIN frames and their poses
        self._tail: dict[int, tuple[Ints, Floats]] = {}
        # Pose and velocity at both ends, where no more is needed.
        self._ended: dict[int, tuple[Singles, Singles]] = {}
        self._begun: dict[int, tuple[Singles, Singles]] = {}
        # All of this of those that ended long ago, as float64: see `_pack`.
        self._over: dict[int, bytes] = {}
        self._shape = (0, 0)  # K, d
        self._young: set[int] = set()  # shorter than _FEWEST so far
        self._roaming = RoamingMeter()
        self._next = 0
        #: Corners of the box that holds all keypoints, float64 (2, d).
        self.arena: Floats | None = None

    def __len__(self) -> int:
        return len(self._n) + len(self._over)

    def add(
        self,
        ids: npt.NDArray[np.integer],
        points: npt.ArrayLike,
        *,
        confidence: npt.ArrayLike | None = None,
        frames: npt.ArrayLike | None = None,
        embeddings: npt.ArrayLike | None = None,
    ) -> None:
        """Take in the next run of frames.

        Parameters
        ----------
        ids : int64, (F, I)
            From `Tracker.update_many`; -1 = no tracklet.
        points : float, (F, I, K, d)
            The detections; NaN = missing.
        confidence : float, (F, I, K), optional
            0 to 1; a sure animal weighs more when there are more than there should be.
        frames : int, (F,), optional
            Frame numbers; by default they count on from the last run.
        embeddings : float, (F, I, D), optional
            What each detection looks like; NaN where that was not measured.

        Raises
        ------
        ShapeError
            If the shapes do not fit.
        """
        points = np.asarray(points, np.float64)
        ids = np.asarray(ids)
        if embeddings is not None and np.shape(embeddings)[:2] != ids.shape:
            raise ShapeError(
                f"tracklets: wanted embeddings of {ids.shape} detections, came "
                f"{np.shape(embeddings)}"
            )
        if points.ndim != 4 or ids.shape != points.shape[:2]:
            raise ShapeError(
                "tracklets: wanted ids (frames, individuals) and points (frames, individuals, "
                f"keypoints, d), came {ids.shape} and {points.shape}"
            )
        numbers = self._next + np.arange(len(ids)) if frames is None else np.asarray(frames)
        if len(ids):
            self._next = int(numbers[-1]) + 1
        f, i = np.nonzero(ids >= 0)
        if not len(f):
            return
        who = ids[f, i].astype(np.int64)
        order = np.argsort(who, kind="stable")  # keeps the frames of each tracklet ascending
        who, when, poses = who[order], numbers[f[order]], points[f[order], i[order]]
        score = np.ones(len(who))
        if confidence is not None:
            score = np.nan_to_num(np.asarray(confidence, np.float64))[f[order], i[order]].mean(-1)
        self._shape = points.shape[2:]
        self._forget_noise(int(numbers[0]))
        self._settle(int(numbers[0]))
        self._grow_arena(poses)
        areas = find_areas(poses)
        self._roaming.add(who, when, poses, areas)
        size = np.log(areas)[:, None] / 2
        looks = np.empty((len(who), 0))
        if embeddings is not None:
            looks = np.asarray(embeddings, np.float64)[f[order], i[order]]
        starts = np.flatnonzero(np.diff(who, prepend=-1))
        for low, high in zip(starts, [*starts[1:], len(who)], strict=True):
            rows = slice(low, high)
            self._revive(int(who[low]))
            self._add_tracklet(int(who[low]), when[rows], poses[rows], score[rows])
            for kept, values in ((self._size, size), (self._looks, looks)):
                kept[int(who[low])] = _add_up(kept.get(int(who[low])), values[rows])

    def _forget_noise(self, now: int) -> None:
        """Drop tracklets that ended before they were worth keeping."""
        for who in self._young:
            self._revive(who)
        for who in [w for w in self._young if self._n[w] >= _FEWEST or self._last[w] < now - 1]:
            self._young.discard(who)
            if self._n[who] < _FEWEST:
                del self._first[who], self._last[who], self._n[who], self._score[who]
                del self._size[who], self._looks[who]
                for kept in (self._head, self._tail, self._begun, self._ended):
                    kept.pop(who, None)

    def _settle(self, now: int) -> None:
        """Keep one pose instead of several at the ends of tracklets that are over."""
        for who in [w for w in self._n if self._last[w] < now - _SETTLED]:
            if who in self._head:
                when, poses = self._head.pop(who)
                self._begun[who] = _find_end(when[::-1], poses[::-1])
            if who in self._tail:
                self._ended[who] = _find_end(*self._tail.pop(who))
            self._over[who] = self._pack(who)

    def _pack(self, who: int) -> bytes:
        """Take out what is known of a tracklet, in one piece: there may be tens of thousands."""
        plain = [kept.pop(who) for kept in (self._first, self._last, self._n, self._score)]
        ends = [part.ravel() for kept in (self._begun, self._ended) for part in kept.pop(who)]
        return np.concatenate([plain, self._size.pop(who), *ends, self._looks.pop(who)]).tobytes()

    def _revive(self, who: int) -> None:
        """Put back a tracklet that goes on after all."""
        if who not in self._over:
            return
        row, (k, d) = np.frombuffer(self._over.pop(who)), self._shape
        self._first[who], self._last[who], self._n[who] = (int(number) for number in row[:3])
        self._score[who], self._size[who] = float(row[3]), row[4:_PLAIN]
        begun, ended = self._split_ends(row[None])
        self._begun[who], self._ended[who] = (
            (p[0].astype(np.float32), v[0].astype(np.float32)) for p, v in (begun, ended)
        )
        self._looks[who] = row[_PLAIN + 2 * (k * d + d) :]

    def _grow_arena(self, poses: Floats) -> None:
        there = np.isfinite(poses)
        low = np.where(there, poses, np.inf).min((0, 1))
        high = np.where(there, poses, -np.inf).max((0, 1))
        if self.arena is not None:
            low, high = np.minimum(low, self.arena[0]), np.maximum(high, self.arena[1])
        self.arena = np.stack([low, high])

    def _add_tracklet(self, who: int, when: Ints, poses: Floats, score: Floats) -> None:
        self._first.setdefault(who, int(when[0]))
        self._last[who] = int(when[-1])
        if who not in self._n:
            self._young.add(who)
        self._n[who] = self._n.get(who, 0) + len(when)
        self._score[who] = self._score.get(who, 0.0) + float(score.sum())
        head, tail = self._head.get(who), self._tail.get(who)
        if who not in self._begun and (head is None or len(head[0]) < MARGIN):
            self._head[who] = _append(head, when, poses, slice(MARGIN))
        self._tail[who] = _append(tail, when, poses, slice(-MARGIN, None))

    def _split_ends(self, rows: Floats) -> list[tuple[Floats, Floats]]:
        """Give poses (T, K, d) and velocities (T, d) at the beginning and the end, no copies."""
        (k, d), found = self._shape, []
        for start in (_PLAIN, _PLAIN + k * d + d):
            pose = rows[:, start : start + k * d].reshape(len(rows), k, d)
            velocity = rows[:, start + k * d : start + k * d + d]
            found.append((pose, velocity))
        return found

    def to_arrays(self) -> Tracklets:
        """Put the summaries into arrays, in the order of their first frames."""
        self._forget_noise(self._next)
        self._settle(self._next + 2 * _SETTLED)
        k, d = self._shape
        fixed = _PLAIN + 2 * (k * d + d)
        ids = np.array(list(self._over), np.int64)
        begun = [np.frombuffer(row, count=1)[0] for row in self._over.values()]
        ids = ids[np.lexsort((ids, begun))]
        rows = np.empty((len(ids), fixed))
        for row, who in zip(rows, ids.tolist(), strict=True):
            row[:] = np.frombuffer(self._over[who], count=fixed)
        log_size, counts = rows[:, 4], rows[:, 6]
        known = counts > 0
        size = np.full(len(ids), np.nan)
        size[known] = np.exp(log_size[known] / counts[known])
        first, last, n = rows[:, :3].astype(np.int64).T.copy()
        scale = float(np.median(size[known])) if known.any() else 20.0
        (head, before), (tail, after) = self._split_ends(rows)
        velocity = np.stack([before, after], 1)
        looks = [np.frombuffer(self._over[i])[fixed:] for i in ids.tolist()]
        return Tracklets(
            ids=ids,
            ends=ids,
            first=first,
            last=last,
            n=n,
            score=rows[:, 3].copy(),
            size=size,
            scale=scale,
            speed=max(float(np.sqrt((velocity**2).sum(-1).mean())) if len(ids) else 0.0, 1e-3),
            head=head,
            tail=tail,
            velocity=velocity,
            looks=make_looks(*_sum_up(looks), n),
            roaming=self._roaming.find(scale),
        )


def _add_up(old: Floats | None, values: Floats) -> Floats:
    """Add values (F, D) to what is known: sum (D), and sum of squares and number of frames."""
    values = values[np.isfinite(values).all(-1)] if values.shape[1] else values[:0]
    new = np.concatenate([values.sum(0), [np.square(values).sum(), len(values)]])
    if old is None or len(old) < len(new):
        return new
    return old + new if len(old) == len(new) else old


def _sum_up(known: list[Floats]) -> tuple[Floats, Floats, float]:
    """Put what was added up of each tracklet together: sums, counts, variance within one."""
    longest = max((len(row) for row in known), default=3)
    rows = np.zeros((len(known), longest))
    for row, values in zip(rows, known, strict=True):
        if len(values) == longest:
            row[:] = values
    sums, squares, counts = rows[:, :-2], rows[:, -2], rows[:, -1]
    within = squares - np.square(sums).sum(1) / np.maximum(counts, 1)
    free = np.maximum(counts - 1, 0).sum()
    spread = float(within.sum() / free / max(longest - 2, 1)) if free else 1.0
    return sums, counts, max(spread, 1e-9)


def _append(
    old: tuple[Ints, Floats] | None, when: Ints, poses: Floats, rows: slice
) -> tuple[Ints, Floats]:
    if old is not None:
        when, poses = np.concatenate([old[0], when]), np.concatenate([old[1], poses])
    return when[rows].copy(), poses[rows].copy()


def _find_end(when: Ints, poses: Floats) -> tuple[Singles, Singles]:
    """Find pose (K, d) and velocity (d,) at the last of a few rows; time may run backwards.

    A keypoint that is missing there is taken from the nearest row that has it.
    """
    there = np.isfinite(poses[..., 0])
    rows = np.where(there, np.arange(len(poses))[:, None], 0).max(0)
    pose = poses[rows, np.arange(poses.shape[1])]
    common = there[0] & there[-1]
    if len(when) < 2 or not common.any():
        return pose.astype(np.float32), np.zeros(poses.shape[-1], np.float32)
    velocity = (poses[-1] - poses[0])[common].mean(0) / (when[-1] - when[0])
    return pose.astype(np.float32), velocity.astype(np.float32)
