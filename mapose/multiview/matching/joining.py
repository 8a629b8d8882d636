"""Join tracklets into individuals: 3D tracklets, and 2D tracklets that one camera alone saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack

from mapose.arrays import Floats, Ints
from mapose.multiview.matching.following import Run
from mapose.multiview.matching.tracklets2d import Tracks2D
from mapose.shelf import Readable, Rows, cut_blocks

#: Continuations looked at for each tracklet, the next ones in time.
_CANDIDATES = 24
#: Frames by which a tracklet may begin before the one it continues has ended.
_OVERLAP = 15
#: How far an animal gets out of sight, in body lengths: at once, and for each sqrt(frame).
_START, _DIFFUSION = 0.25, 0.25
#: What it says, in logarithms of probability, that a camera's 2D track is the same or another one
#: on both sides.
_SAME, _OTHER = 4.0, 2.0
#: What a join costs if the number of individuals is known, compared with otherwise.
_KNOWN = 0.2
#: Probability that a join is wrong where the new tracklet begins beside the old one: somebody else
#: was taken for the animal, and it is not certain that it was not the new one.
_BESIDE = 0.25
#: Frames: longer than any gap.
_NEVER = 2**31


def join_tracklets(
    tracklets: Tracklets, *, individuals: int | None, min_frames: float, length: float
) -> tuple[Ints, Floats]:
    """Join tracklets so that most of what was seen is explained by few individuals.

    An individual is a path through tracklets that follow each other in time. It gains the weights
    of its tracklets and pays ``min_frames`` to begin; a join costs a share of that, the more the
    less likely the motion over the gap and the more 2D tracks disagree. The best set of paths is
    a min-cost flow, solved as a linear programme: its solution is whole by nature.

    Parameters
    ----------
    tracklets : Tracklets
        What there is.
    individuals : int, optional
        At most so many paths; by default as many as pay.
    min_frames : float
        Weight from which something is an individual.
    length : float
        Of a body, in the unit of the world.

    Returns
    -------
    individual : int64, (N,)
        Individual of each tracklet, the heaviest individual first; -1 = nobody.
    doubt : float64, (N,)
        Probability that the join at the tracklet's beginning is wrong; 0 where it begins a path.

    References
    ----------
    Zhang, Li, Nevatia 2008, Global data association for multi-object tracking using network flows
    (CVPR).
    """
    n = len(tracklets)
    individual, doubt = np.full(n, -1), np.zeros(n)
    if not n:
        return individual, doubt
    price = 0.0 if individuals is not None else float(min_frames)
    tails, heads, share = _score_joins(tracklets, length)
    # Where the number is known, few tracklets belong to nobody: almost any join is better.
    cost = (1.0 if individuals is None else _KNOWN) * max(float(min_frames), 1.0) * share
    paths = _solve(tracklets.weight, tails, heads, cost=cost, price=price, paths=individuals)
    for path in paths:
        for tracklet, join in path:
            if join >= 0:
                doubt[tracklet] = _doubt_join(tracklets, tails[join], tracklet, share[join])
    order = sorted(paths, key=lambda p: -sum(tracklets.weight[i] for i, _ in p))
    for number, path in enumerate(order):
        individual[[i for i, _ in path]] = number
    return individual, doubt


def _doubt_join(tracklets: Tracklets, tail: int, head: int, share: float) -> float:
    """Find the probability that a join is wrong."""
    beside = tracklets.start.frame[head] <= tracklets.end.frame[tail]
    return max(0.5 * share, _BESIDE if beside else 0.0)


def _score_joins(tracklets: Tracklets, length: float) -> tuple[Ints, Ints, Floats]:
    """List possible joins (tail, head) and what each costs, 0 to 1; 1 is as good as chance."""
    first, last = tracklets.start.frame, tracklets.end.frame
    order = np.argsort(first, kind="stable")
    begins = np.searchsorted(first[order], last - _OVERLAP, side="right")
    place = begins[:, None] + np.arange(_CANDIDATES)
    tails, column = np.nonzero(place < len(tracklets))
    heads = order[place[tails, column]]
    longer = (first[heads] > first[tails]) & (last[heads] > last[tails])
    tails, heads = tails[longer], heads[longer]
    surprise, chance = _compare_places(
        tracklets.start.centre[heads] - tracklets.end.centre[tails],
        first[heads] - last[tails],
        body=length,
        places=np.concatenate([tracklets.start.centre, tracklets.end.centre]),
    )
    unknown = np.isnan(surprise)
    if unknown.any():
        end, start = _pick(tracklets.end, tails[unknown]), _pick(tracklets.start, heads[unknown])
        surprise[unknown], chance[unknown] = _compare_images(end, start, tracklets)
    a, b = tracklets.end.row[tails], tracklets.start.row[heads]
    both = (a >= 0) & (b >= 0)
    surprise += ((both & (a != b)) * _OTHER - (both & (a == b)) * _SAME).sum(-1)
    share = np.clip(surprise / np.maximum(chance, 1e-9), 0.0, 1.0)
    return tails, heads, share


def _pick(ends: Ends, rows: Ints) -> Ends:
    return Ends(*(part[rows] for part in vars(ends).values()))


def _compare_places(
    apart: Floats, gap: Ints, *, body: float, places: Floats
) -> tuple[Floats, Floats]:
    """Find how surprising movements (N, D) in a gap are, and what chance would be; logarithms.

    Parameters
    ----------
    apart : float64, (N, D)
        From the end of one tracklet to the beginning of the other; NaN = not known.
    gap : int64, (N,)
        Frames between.
    body : float
        Length of a body.
    places : float64, (M, D)
        Where tracklets begin and end.
    """
    dimensions = apart.shape[-1]
    spread = body * (_START + _DIFFUSION * np.sqrt(np.maximum(gap, 1)))
    places = places[np.isfinite(places).all(-1)]
    arena = max(float(np.sqrt(places.var(0).sum())) if len(places) else 0.0, body)
    squared = np.einsum("nd,nd->n", apart, apart)
    power = (dimensions + 1) / 2
    chance = power * np.log1p(arena**2 / (2 * spread**2))
    return power * np.log1p(squared / (2 * spread**2)), chance


def _compare_images(end: Ends, start: Ends, tracklets: Tracklets) -> tuple[Floats, Floats]:
    """Do the same where one side was never located: by the images of a camera that saw both.

    Of several cameras the one with the shortest gap tells; without one, all is chance.
    """
    gap = np.where((end.seen >= 0) & (start.seen >= 0), np.abs(start.seen - end.seen), _NEVER)
    view, row = gap.argmin(-1), np.arange(len(gap))
    places = np.concatenate([tracklets.start.place, tracklets.end.place]).reshape(-1, 2)
    surprise, chance = _compare_places(
        start.place[row, view] - end.place[row, view], gap[row, view], body=1.0, places=places
    )
    return np.where(np.isnan(surprise), chance, surprise), chance


def _solve(
    weight: Floats, tails: Ints, heads: Ints, *, cost: Floats, price: float, paths: int | None
) -> list[list[tuple[int, int]]]:
    """Find the best paths: lists of (tracklet, number of the join that led to it, -1 for none)."""
    n, m = len(weight), len(tails)
    # Unknowns: a path begins at each tracklet (n), ends at it (n), goes along each join (m).
    gain = np.concatenate([price - weight, np.zeros(n), cost - weight[heads]])
    one = np.arange(n)
    shape, joins = (n, 2 * n + m), 2 * n + np.arange(m)
    ones = np.ones(n + m)
    into = coo_array((ones, (np.r_[one, heads], np.r_[one, joins])), shape)
    out = coo_array((ones, (np.r_[one, tails], np.r_[n + one, joins])), shape)
    limit = into
    bound = np.ones(n)
    if paths is not None:
        begun = coo_array((np.ones(n), (np.zeros(n, np.int64), one)), (1, shape[1]))
        limit, bound = vstack([into, begun]), np.append(bound, paths)
    found = linprog(
        gain, limit.tocsr(), bound, A_eq=(into - out).tocsr(), b_eq=np.zeros(n), method="highs"
    )
    used = np.round(found.x).astype(int)
    after = np.full(n, -1)
    taken = np.flatnonzero(used[2 * n :])
    after[tails[taken]] = taken
    result = []
    for tracklet in np.flatnonzero(used[:n]):
        path, join = [(int(tracklet), -1)], int(after[tracklet])
        while join >= 0:
            path.append((int(heads[join]), join))
            join = int(after[heads[join]])
        result.append(path)
    return result


#: A 2D tracklet is one camera's own if tracks in space took at most this share of it: with
#: two cameras, lines of sight of two animals that never met meet for a moment now and then.
_TOUCHED = 0.25
#: What one camera alone says counts less than its share of several.
_ALONE = 0.5


@dataclass(frozen=True)
class Ends:
    """Where N tracklets begin, or where they end.

    Parameters
    ----------
    frame : int64, (N,)
        Frame number.
    centre : float64, (N, 3)
        Where the body is; NaN for a tracklet that one camera alone saw.
    row : int64, (N, V)
        2D track of each camera; -1 = none, or a camera without named tracks.
    seen : int64, (N, V)
        Frame number of the first, or last, detection in each camera, with what is left of the 2D
        tracklet that goes on there; -1 = none.
    place : float64, (N, V, 2)
        Where that was, in body lengths; NaN = none.
    """

    frame: Ints
    centre: Floats
    row: Ints
    seen: Ints
    place: Floats


@dataclass(frozen=True)
class Tracklets:
    """Tracklets, N of them: both ends, and the frames of each by the share of cameras."""

    start: Ends
    end: Ends
    weight: Floats

    def __len__(self) -> int:
        return len(self.weight)


def label_lone_tracklets(labels: Rows, tracks: Tracks2D, *, start: int, min_frames: int) -> None:
    """Give numbers to what one camera alone sees of an animal, in place.

    Parameters
    ----------
    labels : int, (F, V, S)
        Track in space of each detection; -1 = none.
    tracks : Tracks2D
        2D tracklets.
    start : int
        The first number.
    min_frames : int
        A tracklet that is short even for a moment's glimpse gets none.
    """
    total, left = np.zeros((2, tracks.count), np.int64)
    for rows in cut_labels(labels):
        tracklets = tracks.tracklets[rows]
        there = tracklets >= 0
        total += np.bincount(tracklets[there], minlength=tracks.count)
        left += np.bincount(tracklets[there & (labels[rows] < 0)], minlength=tracks.count)
    lone = (total - left <= _TOUCHED * total) & (left >= min(min_frames, len(tracks.frames)))
    # The last one is for what has no 2D tracklet.
    number = np.append(np.where(lone, start + np.cumsum(lone) - 1, -1), -1)
    for rows in cut_labels(labels):
        own = labels[rows]
        labels[rows] = np.where(own < 0, number[tracks.tracklets[rows]], own)


def cut_labels(labels: Readable) -> Iterator[slice]:
    """Cut rows of labels (F, V, S) into blocks; lists of their places fit the memory."""
    return cut_blocks(len(labels), 16 * labels[:1].size)


def measure_tracklets(labels: Readable, run: Run, tracks: Tracks2D, *, n_tracks: int) -> Tracklets:
    """Measure the tracklets that detections (F, V, S) are labelled with.

    Parameters
    ----------
    labels : int, (F, V, S)
        Number of the tracklet of each detection; -1 = none.
    run : Run
        Tracks in space, the first ``n_tracks`` tracklets.
    tracks : Tracks2D
        Tracks in the images.
    n_tracks : int
        Tracklets from this number on were seen by one camera alone.
    """
    counts, most = np.zeros(n_tracks, np.int64), _Most(tracks.count)
    for rows in cut_labels(labels):
        own = labels[rows]
        found = np.bincount(own[own >= 0], minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
        most.add(tracks.tracklets[rows], own)
    weight = counts / labels[:1].shape[1]
    weight[n_tracks:] *= _ALONE
    favourite = most.find()
    start, end = (
        _measure_ends(labels, favourite, run, tracks, n=len(counts), last=last)
        for last in (False, True)
    )
    return Tracklets(start, end, weight)


class _Most:
    """Finds the tracklet that has most of each of some 2D tracklets."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pairs: Ints = np.empty((2, 0), np.int64)
        self._times: Ints = np.empty(0, np.int64)

    def add(self, tracklets2d: Ints, labels: Ints) -> None:
        """Take in 2D tracklets and tracklets of detections, (F, V, S) each; -1 = none."""
        mine = labels >= 0
        pairs, times = np.unique(
            np.stack([tracklets2d[mine], labels[mine]]), axis=1, return_counts=True
        )
        both = np.concatenate([self._pairs, pairs], axis=1)
        self._pairs, into = np.unique(both, axis=1, return_inverse=True)
        self._times = np.bincount(into.ravel(), np.concatenate([self._times, times])).astype(int)

    def find(self) -> Ints:
        """Find the tracklet of each; the last one, -1, is for what has no 2D tracklet."""
        order = np.argsort(self._times, kind="stable")
        most = np.full(self._count + 1, -1)
        most[self._pairs[0, order]] = self._pairs[1, order]
        return most


def _measure_ends(
    labels: Readable, most: Ints, run: Run, tracks: Tracks2D, *, n: int, last: bool
) -> Ends:
    """Find the first or last ends of n tracklets; in the images, those of their 2D tracklets."""
    row = np.full((n, len(tracks.named)), -1)
    seen, place = row.copy(), np.full((*row.shape, 2), np.nan)
    at = np.full(n, -1)
    blocks = list(cut_labels(labels))
    # Of several that write into one place, the last one stays.
    for rows in blocks if last else blocks[::-1]:
        own, places = labels[rows], tracks.places[rows]
        tracklet, frame, view, slot = _list_detections(own, last)
        at[tracklet] = rows.start + frame
        named = tracks.named[view]
        row[tracklet[named], view[named]] = slot[named]
        # What is left of each 2D tracklet belongs to the tracklet that has most of it.
        wide = np.where(own >= 0, own, most[tracks.tracklets[rows]])
        tracklet, frame, view, slot = _list_detections(wide, last)
        seen[tracklet, view] = tracks.frames[rows][frame]
        place[tracklet, view] = places[frame, view, slot]
    centre = np.full((n, 3), np.nan)
    for frame, track, centres, _ in run.iterate_alive():
        here = frame == at[track]
        centre[track[here]] = centres[here]
    return Ends(np.where(at >= 0, tracks.frames[at], 0), centre, row, seen, place)


def _list_detections(labels: Ints, last: bool) -> tuple[Ints, ...]:
    """List label, frame, view and slot of what has a label, the last or the first frame last."""
    places = np.nonzero(labels >= 0)
    found = (labels[places], *places)
    return found if last else tuple(part[::-1] for part in found)
