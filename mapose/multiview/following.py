"""Follow animals in space: detections of all cameras in, the track of each one out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapose.multiview.correction import bend_bodies, shift_bodies
from mapose.multiview.likelihood import Frame, compare_all, find_gains
from mapose.multiview.matching import Hazards, assign_detections, find_certainty, score_loosely
from mapose.multiview.regrouping import Regrouping
from mapose.multiview.scales import Scales
from mapose.multiview.sightings import Sightings
from mapose.multiview.tracks3d import Bodies

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Frames out of sight after which a track ends; joining pieces is for later.
MAX_GAP = 30
#: Frames in which a track must be seen before it is kept that long, and for how long else.
_CONFIRM, _BRIEF = 5, 3
#: What it is worth, as a logarithm of probability, that a detection goes on where the 2D track's
#: former ones went, once it has done so for so many frames.
_LOYALTY, _HABIT = 3.0, 5
#: Probability of a detection with which a track starts or is found again.
_FRESH = 0.9


@dataclass(frozen=True)
class Run:
    """What was found in F frames.

    Parameters
    ----------
    tracks : int64, (F, V, S)
        Track of each detection; -1 = none.
    certainty : float32, (F, V, S)
        Probability that it is this one rather than another one of the same frame.
    frame, track : int64, (A,)
        Rows and tracks alive in them.
    points : float32, (A, K, 3)
        Where these are.
    hazard : float32, (A,)
        Probability that it has changed places with another one, as far as this frame tells.
    mergers, moves : int64, (M, 2) and (N, 5)
        Second thoughts, as `Regrouping` has them.
    """

    tracks: Ints
    certainty: Single
    frame: Ints
    track: Ints
    points: Single
    hazard: Single
    mergers: Ints
    moves: Ints


def join_runs(runs: Sequence[Run]) -> Run:
    """Put runs of one `Follower` one after the other."""
    starts = np.cumsum([0] + [len(r.tracks) for r in runs])
    fields = ("tracks", "certainty", "track", "points", "hazard", "mergers", "moves")
    joined = {name: np.concatenate([getattr(r, name) for r in runs]) for name in fields}
    frame = np.concatenate([r.frame + n for r, n in zip(runs, starts, strict=False)])
    return Run(frame=frame, **joined)


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
    chains : int
        Number of pieces of 2D tracks, over all views.
    max_gap : int
        Frames for which an animal that is not seen is expected to come back.
    """

    def __init__(self, keypoints: int, size: Floats, *, chains: int, max_gap: int) -> None:
        self.scales = Scales(size, keypoints)
        self.max_gap = max_gap
        self._bodies = Bodies(keypoints)
        self._regrouping = Regrouping(self._bodies, self.scales)
        self._hazards = Hazards()
        self._number: int | None = None
        self._row = 0
        # Track that each piece of a 2D track went to, and for how long.
        self._link = np.full(chains + 1, -1)
        self._strength = np.zeros(chains + 1)

    def follow(self, sightings: Sightings, chains: Ints, *, frames: Ints) -> Run:
        """Go on through the next frames.

        Parameters
        ----------
        sightings : Sightings
            What the cameras see.
        chains : int64, (F, V, S)
            Piece of a 2D track of each detection; -1 = none.
        frames : int64, (F,)
            Frame numbers, ascending, also from run to run.
        """
        shape = sightings.seen.shape[:3]
        tracks, certainty = np.full(shape, -1), np.zeros(shape, np.float32)
        ids, points, hazards = [], [], []
        self._regrouping.mergers, self._regrouping.moves = [], []
        for f, number in enumerate(frames):
            frame = sightings.pick(f)
            hazard = self._step(
                frame, tracks[f], certainty[f], chains=chains[f], number=int(number)
            )
            ids.append(self._bodies.ids)
            points.append(self._bodies.points.astype(np.float32))
            hazards.append(hazard)
        return Run(
            tracks,
            certainty,
            frame=np.repeat(np.arange(shape[0]), [len(i) for i in ids]),
            track=np.concatenate(ids),
            points=np.concatenate(points),
            hazard=np.concatenate(hazards).astype(np.float32),
            mergers=np.array(self._regrouping.mergers, np.int64).reshape(-1, 2),
            moves=np.array(self._regrouping.moves, np.int64).reshape(-1, 5),
        )

    def _step(
        self, frame: Frame, tracks: Ints, certainty: Single, *, chains: Ints, number: int
    ) -> Floats:
        """Match one frame, writing into ``tracks`` and ``certainty``; gives the hazards."""
        bodies = self._bodies
        if len(bodies):
            self._predict(number - (self._number or 0))
        self._number = number
        there = np.asarray(frame.seen.any(-1))
        free = there
        hazards: dict[int, float] = {}
        if len(bodies) and there.any():
            score, slots = self._match(frame, chains)
            sure, exchange = find_certainty(score, slots)
            hazard = self._hazards.update(bodies.ids, exchange)
            hazards = dict(zip(bodies.ids.tolist(), hazard.tolist(), strict=True))
            views, rows = np.nonzero(slots >= 0)
            tracks[views, slots[views, rows]] = bodies.ids[rows]
            certainty[views, slots[views, rows]] = sure[views, rows]
            # What fits an animal that has another detection in this view is its shadow.
            shadow = ((score > 0) & (slots >= 0)[..., None]).any(1)
            free = there & (tracks < 0) & ~shadow
        before = tracks.copy()
        self._regrouping.look(frame, tracks, free, chains=chains, row=self._row)
        certainty[tracks != before] = _FRESH
        self._remember(chains, tracks)
        self._row += 1
        return np.array([hazards.get(int(i), 0.0) for i in bodies.ids])

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

    def _match(self, frame: Frame, chains: Ints) -> tuple[Floats, Ints]:
        """Match tracks with detections and correct them; gives scores (V, T, S), slots (V, T)."""
        bodies, scales = self._bodies, self.scales
        loyalty = self._find_loyalty(chains)
        compared = compare_all(frame, bodies.points, bodies.covariance, scales.noise)
        loose, rest = score_loosely(compared, bodies.motion[:, 0, 0], scales)
        first = assign_detections(loose + loyalty)
        shift_bodies(frame, compared, first, bodies=bodies, rest=rest, scales=scales)
        spread = bodies.covariance + bodies.motion[:, 0, 0, None, None, None] * np.eye(3)
        compared = compare_all(frame, bodies.points, spread, scales.noise)
        gains, trust = find_gains(compared.error, compared.spread, compared.common, scales.area)
        tight = np.where(compared.common.any(-1), scales.temper * gains.sum(-1), -np.inf)
        held = np.asarray((first >= 0).any(0))
        score = np.where(held[:, None], tight, loose) + loyalty
        slots = assign_detections(score)
        bend_bodies(frame, compared, slots, bodies=bodies, trust=trust, scales=scales)
        return score, slots

    def _find_loyalty(self, chains: Ints) -> Floats:
        """Find what each track gains from a detection by its 2D track's past, (V, T, S)."""
        worth = _LOYALTY / _HABIT * self._strength[chains]
        return (self._link[chains][:, None] == self._bodies.ids[:, None]) * worth[:, None]

    def _remember(self, chains: Ints, tracks: Ints) -> None:
        """Note which track each piece of a 2D track went to."""
        there = (chains >= 0) & (tracks >= 0)
        chain, track = chains[there], tracks[there]
        same = self._link[chain] == track
        self._strength[chain] = np.where(same, np.minimum(self._strength[chain] + 1, _HABIT), 1)
        self._link[chain] = track
