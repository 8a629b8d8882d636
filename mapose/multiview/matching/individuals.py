"""From tracklets to individuals: whose each detection is, and how sure that is."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label, maximum

from calibration import Camera
from mapose.arrays import Bools, Floats, Ints, Singles
from mapose.multiview.matching.following import Run
from mapose.multiview.matching.joining import (
    cut_labels,
    join_tracklets,
    label_lone_tracklets,
    measure_tracklets,
)
from mapose.multiview.matching.tracklets2d import Tracks2D
from mapose.shelf import Readable, Rows, Shelf

log = logging.getLogger(__name__)

# No name in a view is more certain than this: crowds of thousands of detections tell no more.
_MOST_SURE = 0.9999
#: Who is never seen by more than this share of the cameras that see the best-seen one may be a
#: bystander, if nobody said how many individuals there are; "never" leaves out a few frames.
_BYSTANDER, _NEVER = 0.55, 0.9
#: A chance of exchange below this is no encounter.
_CALM = 0.005
#: Two tracks that are one animal may have been seen side by side in so few of its detections.
_TOGETHER = 0.02
#: Probability of the right name where only the camera's own 2D track tells it.
_HEARSAY = 0.7


def find_individuals(
    run: Run,
    tracks: Tracks2D,
    *,
    cameras: Sequence[Camera],
    individuals: int | None,
    min_frames: int,
    length: float,
    shelf: Shelf,
) -> tuple[Rows, Rows]:
    """Find the individual of each detection.

    Parameters
    ----------
    run : Run
        Tracks in space.
    tracks : Tracks2D
        Tracks in the images.
    cameras : sequence of calibration.Camera
        Of the V views.
    individuals : int, optional
        Number of individuals, if known.
    min_frames : int
        Frames from about which something is an individual.
    length : float
        Of a body, in the unit of the world.
    shelf : Shelf
        Where what is found lies.

    Returns
    -------
    assigned : int32, (F, V, S)
        Individual, best-seen first; -1 = nobody.
    identity : float32, (F, V, S)
        Probability that it is this one; 0 for nobody.
    """
    shape = (len(run.tracks), run.tracks[:1].shape[1:])
    n_tracks = 1 + max((int(alive[1].max(initial=-1)) for alive in run.iterate_alive()), default=-1)
    labels = shelf.make(*shape, np.int32)
    revise(run, tracks.tracklets, labels, n_tracks=n_tracks)
    label_lone_tracklets(labels, tracks, start=n_tracks, min_frames=min_frames)
    tracklets = measure_tracklets(labels, run, tracks, n_tracks=n_tracks)
    seen_frames = sum(
        int((tracks.tracklets[rows] >= 0).any((1, 2)).sum()) for rows in cut_labels(labels)
    )
    individual, doubt = join_tracklets(
        tracklets,
        individuals=individuals,
        min_frames=min(min_frames, seen_frames / 4),
        length=length,
    )
    if individuals is None:
        _drop_bystanders(individual, labels, run, cameras)
    individual = np.append(individual, -1)
    found = _Assignment(
        shelf.make(*shape, np.int32),
        shelf.make(*shape, np.float32),
        count=int(individual.max(initial=-1)) + 1,
    )
    found.assign(labels, individual, tracklets.weight, run=run, n_tracks=n_tracks)
    found.claim_rest(tracks)
    found.weaken(run, individual, doubt, shelf=shelf)
    return found.assigned, found.identity


@dataclass(frozen=True)
class _Assignment:
    """The individual of each detection (F, V, S) of ``count``, and how sure that is."""

    assigned: Rows
    identity: Rows
    count: int

    def assign(
        self, labels: Readable, individual: Ints, weight: Floats, *, run: Run, n_tracks: int
    ) -> None:
        """Give detections to the individuals of their tracklets."""
        for rows in cut_labels(labels):
            own = labels[rows]
            mine = individual[own]
            _resolve_conflicts(mine, own, weight)
            sure = np.where(mine >= 0, run.certainty[rows], 0).astype(np.float32)
            sure[(own >= n_tracks) & (mine >= 0)] = _HEARSAY
            self.assigned[rows], self.identity[rows] = mine, sure

    def claim_rest(self, tracks: Tracks2D) -> None:
        """Give what is left to the individual that its 2D track went to otherwise."""
        if not self.count:
            return
        votes = np.zeros((tracks.count, self.count), np.int64)
        for rows in cut_labels(self.assigned):
            mine = self.assigned[rows]
            np.add.at(votes, (tracks.tracklets[rows][mine >= 0], mine[mine >= 0]), 1)
        favourite = np.where(votes.any(1), votes.argmax(1), -1)
        for rows in cut_labels(self.assigned):
            mine, sure = self.assigned[rows].copy(), self.identity[rows].copy()
            _claim_rest(mine, sure, tracks.tracklets[rows], favourite)
            self.assigned[rows], self.identity[rows] = mine, sure

    def weaken(self, run: Run, individual: Ints, doubt: Floats, *, shelf: Shelf) -> None:
        """Take in the probability that individuals have not been exchanged."""
        steady = [
            _find_steadiness(run, individual, doubt, self.assigned, i=i, shelf=shelf)
            for i in range(self.count)
        ]
        for rows in cut_labels(self.assigned):
            sure = self.identity[rows].copy()
            if steady:
                each = np.stack([own[rows] for own in steady], axis=-1)
                _weaken(sure, self.assigned[rows], each)
            self.identity[rows] = np.minimum(sure, np.float32(_MOST_SURE))


def revise(run: Run, tracklets2d: Readable, labels: Rows, *, n_tracks: int) -> None:
    """Carry second thoughts back to where the mistake was made.

    A track that turned out to be another one gets its number, unless it had a detection beside
    the other's in the same image: they were two then.

    Parameters
    ----------
    run : Run
        Tracks in space, and second thoughts.
    tracklets2d : int, (F, V, S)
        2D tracklet of each detection.
    labels : int, (F, V, S)
        Where the tracks are written, as they are now.
    n_tracks : int
        Number of tracks.
    """
    blocks = list(cut_labels(labels))
    for rows in blocks:
        labels[rows] = run.tracks[rows]
    for tracklet2d, former, track, since, row in run.moves.tolist():
        for rows in _cut_between(blocks, since + 1, row):
            own = labels[rows].copy()
            own[(tracklets2d[rows] == tracklet2d) & (own == former)] = track
            labels[rows] = own
    known = max(n_tracks, int(run.mergers.max(initial=-1)) + 1)
    first, last = np.full(known, len(labels)), np.full(known, -1)
    for rows in blocks:
        own = labels[rows]
        frame, view, slot = np.nonzero(own >= 0)
        np.minimum.at(first, own[frame, view, slot], rows.start + frame)
        np.maximum.at(last, own[frame, view, slot], rows.start + frame)
    for track, other in run.mergers[::-1].tolist():
        span = list(_cut_between(blocks, first[track], last[track] + 1))
        both = alone = 0
        for rows in span:
            own = labels[rows]
            mine, its = own == track, own == other
            both += int((mine.any(-1) & its.any(-1)).sum())
            alone += int(mine.sum())
        if both <= _TOGETHER * alone:
            for rows in span:
                labels[rows] = np.where(labels[rows] == track, other, labels[rows])
            first[other] = min(first[other], first[track])
            last[other] = max(last[other], last[track])


def _cut_between(blocks: Sequence[slice], start: int, stop: int) -> Iterator[slice]:
    """Cut the rows between two into blocks."""
    for rows in blocks:
        low, high = max(rows.start, start), min(rows.stop, stop)
        if low < high:
            yield slice(low, high)


def _drop_bystanders(
    individual: Ints, labels: Readable, run: Run, cameras: Sequence[Camera]
) -> None:
    """Give up who stands beside the scene, in place; the others keep their order.

    A bystander is never seen by more than a few cameras, and stands where most of the others
    cannot look. Where someone is that never two cameras see at once, nobody knows: they stay.
    """
    count = int(individual.max(initial=-1)) + 1
    if len(cameras) < 3 or not count:
        return
    wide = np.append(individual, -1)
    # In how many frames so many cameras see each, and which cameras ever do.
    frames = np.zeros((count, len(cameras) + 1), np.int64)
    ever = np.zeros((count, len(cameras)), bool)
    for rows in cut_labels(labels):
        mine = wide[labels[rows]]  # (F, V, S)
        for i in range(count):
            seen = (mine == i).any(-1)
            frames[i] += np.bincount(seen.sum(-1), minlength=len(cameras) + 1)
            ever[i] |= seen.any(0)
    frames[:, 0] = 0
    views = [np.repeat(np.arange(len(cameras) + 1, dtype=np.uint8), own) for own in frames]
    most = np.array([np.quantile(row, _NEVER) if len(row) else 0 for row in views])
    kept = np.ones(count, bool)
    for i in np.flatnonzero((most > 1) & (most <= _BYSTANDER * most.max())).tolist():
        blind = [c for c, sees in zip(cameras, ever[i], strict=True) if not sees]
        centres = [at[individual[track] == i] for _, track, at, _ in run.iterate_alive()]
        if sum(map(len, centres)):
            middle = np.median(np.concatenate(centres), axis=0)
            kept[i] = 2 * sum(_pictures(c, middle) for c in blind) >= len(blind)
    for i in np.flatnonzero(~kept).tolist():
        log.warning(
            "left out one that %d of %d cameras see, in %d frames, and that stands beside the "
            "scene; give the number of individuals to keep it",
            most[i], len(cameras), len(views[i]),
        )  # fmt: skip
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    individual[individual >= 0] = number[individual[individual >= 0]]


def _pictures(camera: Camera, place: Floats) -> bool:
    """Tell whether a place (3,) lies within the picture of a camera."""
    pixel = camera.project(place)
    return bool(((pixel >= 0) & (pixel < camera.size)).all())


def _resolve_conflicts(assigned: Ints, labels: Ints, weight: Floats) -> None:
    """Leave an individual one detection per view where tracklets overlap, in place."""
    f, v, s = np.nonzero(assigned >= 0)
    mine = assigned[f, v, s]
    order = np.lexsort((-weight[labels[f, v, s]], mine, v, f))
    f, v, s, mine = f[order], v[order], s[order], mine[order]
    again = (np.diff(f) == 0) & (np.diff(v) == 0) & (np.diff(mine) == 0)
    drop = np.flatnonzero(again) + 1
    assigned[f[drop], v[drop], s[drop]] = -1


def _claim_rest(assigned: Ints, identity: Singles, tracklets2d: Ints, favourite: Ints) -> None:
    """Give what is left to the individual that its 2D track went to otherwise, in place.

    Not where that individual has another detection in this view, and not where it was located
    by two other cameras: then this detection was looked at and did not fit.

    Parameters
    ----------
    assigned, identity, tracklets2d : (F, V, S)
        Individuals, how sure these are, and 2D tracklets.
    favourite : int64, (N,)
        Individual that has most of each 2D tracklet; -1 = none.
    """
    count = int(favourite.max(initial=-1)) + 1
    if not count:
        return
    has = np.zeros((*assigned.shape[:2], max(count, int(assigned.max(initial=-1)) + 1)), bool)
    f, v, s = np.nonzero(assigned >= 0)
    has[f, v, assigned[f, v, s]] = True
    located = has.sum(1) >= 2  # (F, I)
    f, v, s = np.nonzero((tracklets2d >= 0) & (assigned < 0))
    wish = favourite[tracklets2d[f, v, s]]
    good = (wish >= 0) & ~has[f, v, wish] & ~located[f, wish]
    f, v, s, wish = f[good], v[good], s[good], wish[good]
    # Two tracklets with the same wish in one image: the first one gets it.
    _, once = np.unique(np.stack([f, v, wish]), axis=1, return_index=True)
    f, v, s, wish = f[once], v[once], s[once], wish[once]
    assigned[f, v, s] = wish
    identity[f, v, s] = _HEARSAY


def _weaken(identity: Singles, assigned: Ints, steady: Floats) -> None:
    """Take in the probability that individuals have not been exchanged (F, I), in place."""
    f, v, s = np.nonzero(assigned >= 0)
    identity[f, v, s] *= steady[f, assigned[f, v, s]]
    least = 1 / max(steady.shape[1], 1)
    identity[f, v, s] = np.maximum(identity[f, v, s], least)


def _find_steadiness(
    run: Run, individual: Ints, doubt: Floats, assigned: Readable, *, i: int, shelf: Shelf
) -> Rows:
    """Find the probability (F,) that an individual has not been exchanged with another one.

    Counted from its longest calm stretch: behind every encounter the two may have changed
    places with the probability of the encounter's worst frame.
    """
    hazard = np.zeros(len(assigned))
    begun: set[int] = set()
    for frame, track, _, risk in run.iterate_alive():
        mine = individual[track] == i
        np.maximum.at(hazard, frame[mine], risk[mine])
        for new, at in zip(*np.unique(track[mine], return_index=True), strict=True):
            if new not in begun:
                begun.add(int(new))
                row = frame[mine][at]
                hazard[row] = max(hazard[row], doubt[new])
    present = np.concatenate([(assigned[r] == i).any((1, 2)) for r in cut_labels(assigned)])
    steady = shelf.make(len(hazard), (), np.float64)
    steady[0 : len(hazard)] = _walk_outwards(hazard, present)
    return steady


def _walk_outwards(hazard: Floats, present: Bools) -> Floats:
    """Turn hazards (F,) into probabilities (F,) of still being the same."""
    risky = hazard > _CALM
    blocks, n = label(risky)
    if not n:
        return np.ones(len(hazard))
    worst = maximum(hazard, blocks, np.arange(1, n + 1))
    kept = np.log(np.maximum(1 - 2 * np.minimum(worst, 0.5), 1e-9))
    after = np.concatenate([[0.0], np.cumsum(kept)])
    begun = np.cumsum((blocks > 0) & (np.diff(blocks, prepend=0) != 0))
    total = after[begun]
    sizes = np.bincount(begun[~risky & present], minlength=n + 1)
    anchor = after[int(sizes.argmax())]
    return 0.5 + 0.5 * np.exp(-np.abs(total - anchor))
