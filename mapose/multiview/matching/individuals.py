"""From tracklets to individuals: whose each detection is, and how sure that is."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import label, maximum

from calibration import Camera
from mapose.arrays import Bools, Floats, Ints, Singles
from mapose.multiview.matching.following import Run
from mapose.multiview.matching.joining import (
    join_tracklets,
    label_lone_tracklets,
    measure_tracklets,
)
from mapose.multiview.matching.tracklets2d import Tracks2D

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
) -> tuple[Ints, Singles]:
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

    Returns
    -------
    assigned : int64, (F, V, S)
        Individual, best-seen first; -1 = nobody.
    identity : float32, (F, V, S)
        Probability that it is this one; 0 for nobody.
    """
    n_tracks = int(run.track.max(initial=-1)) + 1
    labels = _revise(run, tracks.tracklets)
    label_lone_tracklets(labels, tracks, start=n_tracks, min_frames=min_frames)
    tracklets = measure_tracklets(labels, run, tracks, n_tracks=n_tracks)
    seen_frames = int((tracks.tracklets >= 0).any((1, 2)).sum())
    individual, doubt = join_tracklets(
        tracklets,
        individuals=individuals,
        min_frames=min(min_frames, seen_frames / 4),
        length=length,
    )
    if individuals is None:
        _drop_bystanders(individual, labels, run, cameras)
    individual = np.append(individual, -1)
    assigned = individual[labels]
    _resolve_conflicts(assigned, labels, tracklets.weight)
    identity = np.where(assigned >= 0, run.certainty, 0).astype(np.float32)
    identity[(labels >= n_tracks) & (assigned >= 0)] = _HEARSAY
    _claim_rest(assigned, identity, tracks)
    _weaken(identity, assigned, _find_steadiness(run, individual, doubt, assigned))
    return assigned, np.minimum(identity, np.float32(_MOST_SURE))


def _revise(run: Run, tracklets2d: Ints) -> Ints:
    """Carry second thoughts back to where the mistake was made, (F, V, S).

    A track that turned out to be another one gets its number, unless it had a detection beside
    the other's in the same image: they were two then.
    """
    tracks = run.tracks.copy()
    for tracklet2d, former, track, since, row in run.moves:
        part = slice(since + 1, row)
        tracks[part][(tracklets2d[part] == tracklet2d) & (tracks[part] == former)] = track
    for track, other in run.mergers[::-1]:
        mine, its = tracks == track, tracks == other
        if (mine.any(-1) & its.any(-1)).sum() <= _TOGETHER * mine.sum():
            tracks[mine] = other
    return tracks


def _drop_bystanders(individual: Ints, labels: Ints, run: Run, cameras: Sequence[Camera]) -> None:
    """Give up who stands beside the scene, in place; the others keep their order.

    A bystander is never seen by more than a few cameras, and stands where most of the others
    cannot look. Where someone is that never two cameras see at once, nobody knows: they stay.
    """
    count = int(individual.max(initial=-1)) + 1
    if len(cameras) < 3 or not count:
        return
    mine = np.append(individual, -1)[labels]  # (F, V, S)
    seen = np.stack([(mine == i).any(-1) for i in range(count)])  # (I, F, V)
    views = [row.sum(-1)[row.any(-1)] for row in seen]
    most = np.array([np.quantile(row, _NEVER) if len(row) else 0 for row in views])
    kept = np.ones(count, bool)
    for i in np.flatnonzero((most > 1) & (most <= _BYSTANDER * most.max())):
        centres = run.centres[individual[run.track] == i]
        blind = [c for c, sees in zip(cameras, seen[i].any(0), strict=True) if not sees]
        if len(centres):
            kept[i] = 2 * sum(_pictures(c, np.median(centres, axis=0)) for c in blind) >= len(blind)
    for i in np.flatnonzero(~kept):
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


def _claim_rest(assigned: Ints, identity: Singles, tracks: Tracks2D) -> None:
    """Give what is left to the individual that its 2D track went to otherwise, in place.

    Not where that individual has another detection in this view, and not where it was located
    by two other cameras: then this detection was looked at and did not fit.
    """
    count = int(assigned.max(initial=-1)) + 1
    if not count:
        return
    held = tracks.tracklets >= 0
    n = int(tracks.tracklets.max(initial=-1)) + 1
    mine = held & (assigned >= 0)
    votes = np.zeros((n, count), np.int64)
    np.add.at(votes, (tracks.tracklets[mine], assigned[mine]), 1)
    favourite = np.where(votes.any(1), votes.argmax(1), -1)
    has = np.zeros((*assigned.shape[:2], count), bool)
    f, v, s = np.nonzero(assigned >= 0)
    has[f, v, assigned[f, v, s]] = True
    located = has.sum(1) >= 2  # (F, I)
    f, v, s = np.nonzero(held & (assigned < 0))
    wish = favourite[tracks.tracklets[f, v, s]]
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


def _find_steadiness(run: Run, individual: Ints, doubt: Floats, assigned: Ints) -> Floats:
    """Find the probability (F, I) that an individual has not been exchanged with another one.

    Counted from its longest calm stretch: behind every encounter the two may have changed
    places with the probability of the encounter's worst frame.
    """
    frames, count = len(assigned), int(individual.max(initial=-1)) + 1
    hazard = np.zeros((frames, count))
    who = individual[run.track]
    good = who >= 0
    np.maximum.at(hazard, (run.frame[good], who[good]), run.hazard[good])
    tracks, begun = np.unique(run.track, return_index=True)
    joined = individual[tracks] >= 0
    tracks, begun = tracks[joined], run.frame[begun[joined]]
    np.maximum.at(hazard, (begun, individual[tracks]), doubt[tracks])
    steady = np.ones((frames, count))
    for i in range(count):
        steady[:, i] = _walk_outwards(hazard[:, i], (assigned == i).any((1, 2)))
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
