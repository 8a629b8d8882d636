"""Pieces of tracks, measured: those in space, and those that one camera alone saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapose.multiview.following import Run

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

#: A piece of a 2D track is one camera's own if tracks in space took at most this share of it: with
#: two cameras, lines of sight of two animals that never met meet for a moment now and then.
_TOUCHED = 0.25
#: What one camera alone says counts less than its share of several.
_ALONE = 0.5


@dataclass(frozen=True)
class Tracks2D:
    """What the 2D tracks say about F frames, V views, S slots.

    Parameters
    ----------
    frames : int64, (F,)
        Frame numbers.
    chains : int64, (F, V, S)
        Piece of a 2D track that each detection belongs to; -1 = no detection.
    places : float32, (F, V, S, 2)
        Middle of each detection, in usual lengths of a body in its view; NaN = none.
    named : bool, (V,)
        Whether the slots of a view are tracks.
    """

    frames: Ints
    chains: Ints
    places: Single
    named: npt.NDArray[np.bool_]


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
