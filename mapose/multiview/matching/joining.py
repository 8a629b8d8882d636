"""Join pieces into individuals: pieces of 3D tracks, and of 2D tracks that one camera alone saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack

from mapose.arrays import Floats, Ints
from mapose.multiview.matching.following import Run
from mapose.multiview.matching.tracklets2d import Tracks2D

#: Continuations looked at for each piece, the next ones in time.
_CANDIDATES = 24
#: Frames by which a piece may begin before the one it continues has ended.
_OVERLAP = 15
#: How far an animal gets out of sight, in body lengths: at once, and for each sqrt(frame).
_START, _DIFFUSION = 0.25, 0.25
#: What it says, in logarithms of probability, that a camera's 2D track is the same or another one
#: on both sides.
_SAME, _OTHER = 4.0, 2.0
#: What a join costs if the number of individuals is known, compared with otherwise.
_KNOWN = 0.2
#: Probability that a join is wrong where the new piece begins beside the old one: somebody else
#: was taken for the animal, and it is not certain that it was not the new one.
_BESIDE = 0.25
#: Frames: longer than any gap.
_NEVER = 2**31


def join_pieces(
    pieces: Pieces, *, individuals: int | None, min_frames: float, length: float
) -> tuple[Ints, Floats]:
    """Join pieces so that most of what was seen is explained by few individuals.

    An individual is a path through pieces that follow each other in time. It gains the weights
    of its pieces and pays ``min_frames`` to begin; a join costs a share of that, the more the
    less likely the motion over the gap and the more 2D tracks disagree. The best set of paths is
    a min-cost flow, solved as a linear programme: its solution is whole by nature.

    Parameters
    ----------
    pieces : Pieces
        What there is.
    individuals : int, optional
        At most so many paths; by default as many as pay.
    min_frames : float
        Weight from which something is an individual.
    length : float
        Of a body, in the unit of the world.

    Returns
    -------
    owner : int64, (N,)
        Individual of each piece, the heaviest individual first; -1 = nobody.
    doubt : float64, (N,)
        Probability that the join at the piece's beginning is wrong; 0 where it begins a path.

    References
    ----------
    Zhang, Li, Nevatia 2008, Global data association for multi-object tracking using network flows
    (CVPR).
    """
    n = len(pieces)
    owner, doubt = np.full(n, -1), np.zeros(n)
    if not n:
        return owner, doubt
    price = 0.0 if individuals is not None else float(min_frames)
    tails, heads, share = _score_joins(pieces, length)
    # Where the number is known, few pieces belong to nobody: almost any join is better.
    cost = (1.0 if individuals is None else _KNOWN) * max(float(min_frames), 1.0) * share
    paths = _solve(pieces.weight, tails, heads, cost=cost, price=price, paths=individuals)
    for path in paths:
        for piece, join in path:
            doubt[piece] = _doubt_join(pieces, tails[join], piece, share[join]) if join >= 0 else 0
    order = sorted(paths, key=lambda p: -sum(pieces.weight[i] for i, _ in p))
    for number, path in enumerate(order):
        owner[[i for i, _ in path]] = number
    return owner, doubt


def _doubt_join(pieces: Pieces, tail: int, head: int, share: float) -> float:
    """Find the probability that a join is wrong."""
    beside = pieces.start.frame[head] <= pieces.end.frame[tail]
    return max(0.5 * share, _BESIDE if beside else 0.0)


def _score_joins(pieces: Pieces, length: float) -> tuple[Ints, Ints, Floats]:
    """List possible joins (tail, head) and what each costs, 0 to 1; 1 is as good as chance."""
    first, last = pieces.start.frame, pieces.end.frame
    order = np.argsort(first, kind="stable")
    begins = np.searchsorted(first[order], last - _OVERLAP, side="right")
    place = begins[:, None] + np.arange(_CANDIDATES)
    tails, column = np.nonzero(place < len(pieces))
    heads = order[place[tails, column]]
    longer = (first[heads] > first[tails]) & (last[heads] > last[tails])
    tails, heads = tails[longer], heads[longer]
    surprise, chance = _compare_places(
        pieces.start.centre[heads] - pieces.end.centre[tails],
        first[heads] - last[tails],
        body=length,
        places=np.concatenate([pieces.start.centre, pieces.end.centre]),
    )
    unknown = np.isnan(surprise)
    if unknown.any():
        end, start = _pick(pieces.end, tails[unknown]), _pick(pieces.start, heads[unknown])
        surprise[unknown], chance[unknown] = _compare_images(end, start, pieces)
    a, b = pieces.end.row[tails], pieces.start.row[heads]
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
        From the end of one piece to the beginning of the other; NaN = not known.
    gap : int64, (N,)
        Frames between.
    body : float
        Length of a body.
    places : float64, (M, D)
        Where pieces begin and end.
    """
    dimensions = apart.shape[-1]
    spread = body * (_START + _DIFFUSION * np.sqrt(np.maximum(gap, 1)))
    places = places[np.isfinite(places).all(-1)]
    arena = max(float(np.sqrt(places.var(0).sum())) if len(places) else 0.0, body)
    squared = np.einsum("nd,nd->n", apart, apart)
    power = (dimensions + 1) / 2
    chance = power * np.log1p(arena**2 / (2 * spread**2))
    return power * np.log1p(squared / (2 * spread**2)), chance


def _compare_images(end: Ends, start: Ends, pieces: Pieces) -> tuple[Floats, Floats]:
    """Do the same where one side was never located: by the images of a camera that saw both.

    Of several cameras the one with the shortest gap tells; without one, all is chance.
    """
    gap = np.where((end.seen >= 0) & (start.seen >= 0), np.abs(start.seen - end.seen), _NEVER)
    view, row = gap.argmin(-1), np.arange(len(gap))
    places = np.concatenate([pieces.start.place, pieces.end.place]).reshape(-1, 2)
    surprise, chance = _compare_places(
        start.place[row, view] - end.place[row, view], gap[row, view], body=1.0, places=places
    )
    return np.where(np.isnan(surprise), chance, surprise), chance


def _solve(
    weight: Floats, tails: Ints, heads: Ints, *, cost: Floats, price: float, paths: int | None
) -> list[list[tuple[int, int]]]:
    """Find the best paths: lists of (piece, number of the join that led to it, -1 for none)."""
    n, m = len(weight), len(tails)
    # Unknowns: a path begins at each piece (n), ends at it (n), goes along each join (m).
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
    for piece in np.flatnonzero(used[:n]):
        path, join = [(int(piece), -1)], int(after[piece])
        while join >= 0:
            path.append((int(heads[join]), join))
            join = int(after[heads[join]])
        result.append(path)
    return result


#: A piece of a 2D track is one camera's own if tracks in space took at most this share of it: with
#: two cameras, lines of sight of two animals that never met meet for a moment now and then.
_TOUCHED = 0.25
#: What one camera alone says counts less than its share of several.
_ALONE = 0.5


@dataclass(frozen=True)
class Ends:
    """Where N pieces begin, or where they end.

    Parameters
    ----------
    frame : int64, (N,)
        Frame number.
    centre : float64, (N, 3)
        Where the body is; NaN for a piece that one camera alone saw.
    row : int64, (N, V)
        2D track of each camera; -1 = none, or a camera without named tracks.
    seen : int64, (N, V)
        Frame number of the first, or last, detection in each camera, with what is left of the 2D
        track's piece that goes on there; -1 = none.
    place : float64, (N, V, 2)
        Where that was, in body lengths; NaN = none.
    """

    frame: Ints
    centre: Floats
    row: Ints
    seen: Ints
    place: Floats


@dataclass(frozen=True)
class Pieces:
    """Pieces of tracks, N of them: both ends, and the frames of each by the share of cameras."""

    start: Ends
    end: Ends
    weight: Floats

    def __len__(self) -> int:
        return len(self.weight)


def label_lone_chains(labels: Ints, tracks: Tracks2D, *, start: int, min_frames: int) -> None:
    """Give numbers to what one camera alone sees of an animal, in place.

    Parameters
    ----------
    labels : int64, (F, V, S)
        Track in space of each detection; -1 = none.
    tracks : Tracks2D
        Pieces of 2D tracks.
    start : int
        The first number.
    min_frames : int
        A piece that is short even for a moment's glimpse gets none.
    """
    there = tracks.chains >= 0
    n = int(tracks.chains.max(initial=-1)) + 1
    if not n:
        return
    free = there & (labels < 0)
    total = np.bincount(tracks.chains[there], minlength=n)
    left = np.bincount(tracks.chains[free], minlength=n)
    lone = (total - left <= _TOUCHED * total) & (left >= min(min_frames, len(tracks.frames)))
    number = np.where(lone, start + np.cumsum(lone) - 1, -1)
    mine = free & lone[tracks.chains]
    labels[mine] = number[tracks.chains[mine]]


def measure_pieces(labels: Ints, run: Run, tracks: Tracks2D, *, n_tracks: int) -> Pieces:
    """Measure the pieces that detections (F, V, S) are labelled with.

    Parameters
    ----------
    labels : int64, (F, V, S)
        Number of the piece of each detection; -1 = none.
    run : Run
        Tracks in space, the first ``n_tracks`` pieces.
    tracks : Tracks2D
        Tracks in the images.
    n_tracks : int
        Pieces from this number on were seen by one camera alone.
    """
    piece = labels[labels >= 0]
    n = max(int(piece.max(initial=-1)) + 1, n_tracks)
    weight = np.bincount(piece, minlength=n) / labels.shape[1]
    weight[n_tracks:] *= _ALONE
    wide = _extend(labels, tracks.chains)
    start, end = (
        _measure_ends(labels, wide, run, tracks, n=n, last=last) for last in (False, True)
    )
    return Pieces(start, end, weight)


def _extend(labels: Ints, chains: Ints) -> Ints:
    """Label what is left of each chain with the piece that has most of it."""
    mine = labels >= 0
    chain, piece = chains[mine], labels[mine]
    (chain, piece), count = np.unique(np.stack([chain, piece]), axis=1, return_counts=True)
    order = np.argsort(count, kind="stable")
    most = np.full(int(chains.max(initial=-1)) + 2, -1)  # the last one for what has no chain
    most[chain[order]] = piece[order]
    return np.where(mine, labels, most[chains])


def _measure_ends(
    labels: Ints, wide: Ints, run: Run, tracks: Tracks2D, *, n: int, last: bool
) -> Ends:
    """Find the first or last ends of n pieces; in the images, those of their chains."""
    row = np.full((n, len(tracks.named)), -1)
    seen, place = row.copy(), np.full((*row.shape, 2), np.nan)
    at = np.full(n, -1)
    # Of several that write into one place, the last one stays.
    piece, frame, view, slot = _list_detections(labels, last)
    at[piece] = frame
    named = tracks.named[view]
    row[piece[named], view[named]] = slot[named]
    centre = np.full((n, 3), np.nan)
    here = run.frame == at[run.track]
    centre[run.track[here]] = run.centres[here]
    piece, frame, view, slot = _list_detections(wide, last)
    seen[piece, view] = tracks.frames[frame]
    place[piece, view] = tracks.places[frame, view, slot]
    return Ends(np.where(at >= 0, tracks.frames[at], 0), centre, row, seen, place)


def _list_detections(labels: Ints, last: bool) -> tuple[Ints, ...]:
    """List label, frame, view and slot of what has a label, the last or the first frame last."""
    places = np.nonzero(labels >= 0)
    found = (labels[places], *places)
    return found if last else tuple(part[::-1] for part in found)
