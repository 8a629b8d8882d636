"""Follow animals in space: detections of all cameras in, the track of each one out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mapose.arrays import Bools, Floats, Ints, Singles
from mapose.multiview.matching.assigning import (
    Hazards,
    assign_detections,
    find_certainty,
    score_loosely,
)
from mapose.multiview.matching.likelihood import Comparison, Scales, compare_all, find_gains
from mapose.multiview.matching.mirror import exchange, exchange_frame, find_mirrored
from mapose.multiview.matching.observations import Frame, Observations
from mapose.multiview.matching.regrouping import Regrouping
from mapose.multiview.matching.tracks3d import Bodies
from mapose.multiview.matching.updating import bend_bodies, shift_bodies
from mapose.shelf import Pile, Readable, Rows, Shelf, cut_blocks

#: Frames out of sight after which a track ends; joining tracklets is for later.
MAX_GAP = 30
#: Frames in which a track must be seen before it is kept that long, and for how long else.
_CONFIRM, _BRIEF = 5, 3
#: What it is worth, as a logarithm of probability, that a detection goes on where the 2D track's
#: former ones went, once it has done so for so many frames.
_LOYALTY, _HABIT = 3.0, 5
#: Frames in a row in which most cameras see left and right the other way round, until the track
#: is turned and not they.
_TURN = 3
#: Probability of a detection with which a track starts or is found again.
_FRESH = 0.9


@dataclass(frozen=True)
class Run:
    """What was found in F frames.

    Parameters
    ----------
    tracks : int, (F, V, S)
        Track of each detection; -1 = none.
    certainty : float32, (F, V, S)
        Probability that it is this one rather than another one of the same frame.
    mirrored : bool, (F, V, S, M)
        Left/right pairs of keypoints of each detection that have to be exchanged.
    frame, track : int, (A,)
        Rows and tracks alive in them.
    centres : float64, (A, 3)
        Where these are.
    hazard : float64, (A,)
        Probability that it has changed places with another one of late.
    mergers, moves : int64, (M, 2) and (N, 5)
        Second thoughts, as `Regrouping` has them.
    """

    tracks: Readable
    certainty: Readable
    mirrored: Readable
    frame: Readable
    track: Readable
    centres: Readable
    hazard: Readable
    mergers: Ints
    moves: Ints

    def iterate_alive(self) -> Iterator[tuple[Ints, Ints, Floats, Floats]]:
        """Give rows, tracks, places and hazards of what is alive, a block at a time."""
        for rows in cut_blocks(len(self.frame), 16):
            yield self.frame[rows], self.track[rows], self.centres[rows], self.hazard[rows]


def join_runs(runs: Iterable[Run], frames: int, shelf: Shelf) -> Run:
    """Put the runs of one `Follower` through so many frames one after the other onto a shelf."""
    wide: dict[str, Rows] = {}
    piles: dict[str, Pile] = {}
    mergers, moves = [], []
    start = 0
    for run in runs:
        count = len(run.tracks)
        rows = slice(start, start + count)
        for name in ("tracks", "certainty", "mirrored"):
            part = getattr(run, name)
            kind = np.int32 if name == "tracks" else part.dtype
            if name not in wide:
                wide[name] = shelf.make(frames, part.shape[1:], kind)
            wide[name][rows] = part
        for name in ("frame", "track", "centres", "hazard"):
            part = getattr(run, name)
            kind = np.int32 if part.dtype == np.int64 else part.dtype
            if name not in piles:
                piles[name] = shelf.pile(part.shape[1:], kind)
            piles[name].append(part + start if name == "frame" else part)
        mergers.append(run.mergers)
        moves.append(run.moves)
        start += count
    return Run(**wide, **piles, mergers=np.concatenate(mergers), moves=np.concatenate(moves))


@dataclass(frozen=True)
class _Step:
    """One frame: detections (V, S[, M]) and tracks alive (T,), as in `Run`."""

    tracks: Ints
    certainty: Singles
    mirrored: Bools
    track: Ints
    centres: Floats
    hazard: Floats


class Follower:
    """Follow animals frame by frame.

    Every animal is expected where it was and where it was going. In each view, its detections
    are the ones that fit that best, a displacement of the whole body allowed for; then all views
    together say where the body went, and what does not fit that is let go. 2D tracks that have
    followed an animal count for it. What is left over makes new animals.

    Parameters
    ----------
    keypoints : int
        K.
    size : float64, (V,)
        Usual length of a detection in each view, px.
    tracklets2d : int
        Number of 2D tracklets, over all views.
    max_gap : int
        Frames for which an animal that is not seen is expected to come back.
    pairs : int64, (M, 2)
        Left and right keypoints that may be mistaken for each other.
    """

    def __init__(
        self, keypoints: int, size: Floats, *, tracklets2d: int, max_gap: int, pairs: Ints
    ) -> None:
        self.scales = Scales(size, keypoints)
        self.max_gap, self._pairs = max_gap, pairs
        self._bodies = Bodies(keypoints, len(pairs))
        self._regrouping = Regrouping(self._bodies, self.scales)
        self._hazards = Hazards()
        self._number = self._row = 0
        # Track that each 2D tracklet went to, and for how long.
        self._link = np.full(tracklets2d + 1, -1)
        self._strength = np.zeros(tracklets2d + 1)

    def follow(self, observations: Observations, tracklets2d: Ints, *, frames: Ints) -> Run:
        """Go on through the next frames.

        Parameters
        ----------
        observations : Observations
            What the cameras see.
        tracklets2d : int64, (F, V, S)
            2D tracklet of each detection; -1 = none.
        frames : int64, (F,)
            Frame numbers, ascending, also from run to run.
        """
        regrouping = self._regrouping
        regrouping.mergers, regrouping.moves = [], []
        steps = [
            self._step(observations.pick(f), tracklets2d[f], number)
            for f, number in enumerate(frames)
        ]
        alive = [len(step.track) for step in steps]
        return Run(
            tracks=np.stack([step.tracks for step in steps]),
            certainty=np.stack([step.certainty for step in steps]),
            mirrored=np.stack([step.mirrored for step in steps]),
            frame=np.repeat(np.arange(len(frames)), alive),
            track=np.concatenate([step.track for step in steps]),
            centres=np.concatenate([step.centres for step in steps]),
            hazard=np.concatenate([step.hazard for step in steps]),
            mergers=np.array(regrouping.mergers, np.int64).reshape(-1, 2),
            moves=np.array(regrouping.moves, np.int64).reshape(-1, 5),
        )

    def list_followed(self, hits: int) -> Ints:
        """List the tracks that are seen now and were in so many frames, int64."""
        bodies = self._bodies
        return bodies.ids[(bodies.hits >= hits) & (bodies.unseen == 0)]

    def _step(self, frame: Frame, tracklets2d: Ints, number: int) -> _Step:
        """Follow all animals into one frame."""
        bodies = self._bodies
        if len(bodies):
            self._predict(number - self._number)
        there = np.asarray(frame.seen.any(-1))
        tracks, free = np.full(there.shape, -1), there
        certainty = np.zeros(there.shape, np.float32)
        mirrored = np.zeros((*there.shape, len(self._pairs)), bool)
        hazards: dict[int, float] = {}
        if len(bodies) and there.any():
            score, slots, mirrored = self._match(frame, tracklets2d)
            sure, chances = find_certainty(score, slots)
            hazard = self._hazards.update(bodies.ids, chances)
            hazards = dict(zip(bodies.ids.tolist(), hazard.tolist(), strict=True))
            views, rows = np.nonzero(slots >= 0)
            tracks[views, slots[views, rows]] = bodies.ids[rows]
            certainty[views, slots[views, rows]] = sure[views, rows]
            # What fits an animal that has another detection in this view is its shadow.
            shadow = ((score > 0) & (slots >= 0)[..., None]).any(1)
            free = there & (tracks < 0) & ~shadow
        before = tracks.copy()
        self._regrouping.look(frame, tracks, free, tracklets2d=tracklets2d, row=self._row)
        certainty[tracks != before] = _FRESH
        self._remember(tracklets2d, tracks)
        self._number, self._row = number, self._row + 1
        hazard = np.array([hazards.get(int(i), 0.0) for i in bodies.ids])
        return _Step(tracks, certainty, mirrored, bodies.ids, bodies.points.mean(1), hazard)

    def _predict(self, steps: int) -> None:
        bodies, scales = self._bodies, self.scales
        if steps > self.max_gap:
            bodies.keep(np.zeros(len(bodies), bool))
            return
        bodies.predict(
            steps,
            surprise=scales.surprise * scales.length,
            bend=scales.bend * scales.length,
            body=0.5 * scales.length,
        )
        alive = bodies.unseen <= np.where(bodies.hits >= _CONFIRM, self.max_gap, _BRIEF)
        if not alive.all():
            bodies.keep(alive)

    def _match(self, frame: Frame, tracklets2d: Ints) -> tuple[Floats, Ints, Bools]:
        """Match tracks with detections and correct them.

        Gives scores (V, T, S), slots (V, T) and mirrored pairs (V, S, M).
        """
        bodies, scales = self._bodies, self.scales
        loyalty = self._find_loyalty(tracklets2d)
        compared = compare_all(frame, bodies.points, bodies.covariance, scales.noise)
        loose, rest = score_loosely(compared, bodies.motion[:, 0, 0], scales)
        first = assign_detections(loose + loyalty)
        shift_bodies(frame, compared, first, bodies=bodies, rest=rest, scales=scales)
        compared = self._compare(frame)
        gains, trust = find_gains(compared.error, compared.spread, compared.common, scales.area)
        tight = np.where(compared.common.any(-1), scales.temper * gains.sum(-1), -np.inf)
        held = np.asarray((first >= 0).any(0))
        score = np.where(held[:, None], tight, loose) + loyalty
        slots = assign_detections(score)
        mirrored, outvoted = find_mirrored(
            frame, compared, slots, points=bodies.points, pairs=self._pairs, area=scales.area
        )
        # A track that is outvoted for long has been the wrong way round itself.
        bodies.outvoted = np.where(outvoted, bodies.outvoted + 1, 0)
        turned = bodies.outvoted >= _TURN
        if mirrored.any():
            exchange(bodies.points, turned, self._pairs)
            exchange(bodies.covariance, turned, self._pairs)
            bodies.outvoted[turned] = 0
            views, rows = np.nonzero(slots >= 0)
            mirrored[views, slots[views, rows]] &= ~turned[rows]
            frame = exchange_frame(frame, mirrored, self._pairs)
            compared = self._compare(frame)
            _, trust = find_gains(compared.error, compared.spread, compared.common, scales.area)
        bend_bodies(frame, compared, slots, bodies=bodies, trust=trust, scales=scales)
        return score, slots, mirrored

    def _compare(self, frame: Frame) -> Comparison:
        """Compare tracks with detections, what is left of the bodies' uncertainty included."""
        bodies = self._bodies
        spread = bodies.covariance + bodies.motion[:, 0, 0, None, None, None] * np.eye(3)
        return compare_all(frame, bodies.points, spread, self.scales.noise)

    def _find_loyalty(self, tracklets2d: Ints) -> Floats:
        """Find what each track gains from a detection by its 2D track's past, (V, T, S)."""
        worth = _LOYALTY / _HABIT * self._strength[tracklets2d]
        return (self._link[tracklets2d][:, None] == self._bodies.ids[:, None]) * worth[:, None]

    def _remember(self, tracklets2d: Ints, tracks: Ints) -> None:
        """Note which track each 2D tracklet went to."""
        there = (tracklets2d >= 0) & (tracks >= 0)
        tracklet2d, track = tracklets2d[there], tracks[there]
        same = self._link[tracklet2d] == track
        self._strength[tracklet2d] = np.where(
            same, np.minimum(self._strength[tracklet2d] + 1, _HABIT), 1
        )
        self._link[tracklet2d] = track
