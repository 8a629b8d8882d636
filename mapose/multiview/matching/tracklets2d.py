"""2D tracklets: which detections of one camera follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mapose.arrays import AnyFloats, Bools, Floats, Ints, Singles

Gaps = Iterator[tuple[slice, Floats]]

#: Longest gap in frames over which a 2D track's own name is believed.
_MAX_GAP = 25
#: A detection further than this from its predecessor, in body lengths, while it is nearer to
#: another's, has jumped: the 2D track is cut there.
_JUMP = 0.3
#: For detections without names: how much nearer than every other the predecessor must be, and
#: how near at most, in body lengths.
_CLEAR, _NEAR = 0.5, 0.5
#: Distances of keypoints that are measured at once.
_BLOCK = 2_000_000


def find_tracklets2d(points: AnyFloats, frames: Ints, *, named: bool, size: float) -> Ints:
    """Find the 2D tracklets of one camera, numbered.

    A named track is one tracklet as long as it does not jump to where another one was, and is not
    out of sight for long. Detections without names are joined where they follow each other
    beyond doubt.

    Parameters
    ----------
    points : float, (F, S, K, 2)
        Pixels; NaN = missing.
    frames : int64, (F,)
        Frame numbers.
    named : bool
        Whether the slots are tracks.
    size : float
        Body length in px.

    Returns
    -------
    int64, (F, S)
        Number of the tracklet of each detection, from 0; -1 = nothing there.
    """
    there = np.asarray(np.isfinite(points).all(-1).any(-1))
    tracklets = np.full(there.shape, -1, np.int64)
    if not there.any():
        return tracklets
    gaps = _find_gaps(points, frames, size)
    if named:
        return _cut_tracks(there, gaps, frames, size)
    return _link_detections(there, gaps, size)


def _find_gaps(points: AnyFloats, frames: Ints, size: float) -> Iterator[tuple[slice, Floats]]:
    """Find how far detections are from those of the frame before, some frames at a time.

    The mean over common keypoints, each capped at a body length: one that went astray does not
    count for more than that. Nothing is near what is more than two frames ago.

    Yields
    ------
    slice, float64 (F', S, S)
        Rows of the later detections; px, by later and by earlier slot.
    """
    slots = points.shape[1]
    step = max(_BLOCK // max(slots**2 * points.shape[2], 1), 1)
    for start in range(0, len(points) - 1, step):
        part = points[start : start + step + 1].astype(np.float32)
        apart = part[1:, :, None] - part[:-1, None]
        distance = np.sqrt(np.einsum("fijkd,fijkd->fijk", apart, apart))
        common = np.isfinite(distance)
        count = common.sum(-1)
        total = np.where(common, np.minimum(distance, size), 0).sum(-1)
        gaps = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float64)
        gaps[np.diff(frames[start : start + step + 1]) > 2] = np.nan
        yield slice(start + 1, start + 1 + len(gaps)), gaps


def _cut_tracks(there: Bools, gaps: Gaps, frames: Ints, size: float) -> Ints:
    """Cut named tracks at jumps to another's place and at long gaps."""
    slots = there.shape[1]
    cut = np.zeros(there.shape, bool)
    for rows, away in gaps:
        own = np.einsum("fii->fi", away)
        other = np.where(np.eye(slots, dtype=bool), np.inf, np.nan_to_num(away, nan=np.inf))
        cut[rows] = (own > _JUMP * size) & (other.min(-1, initial=np.inf) < 0.5 * own)
    # A tracklet also ends where the track was out of sight for long.
    last = np.where(there, frames[:, None], np.iinfo(np.int64).min // 2)
    last = np.maximum.accumulate(last, axis=0)
    cut[1:] |= there[1:] & (frames[1:, None] - last[:-1] > _MAX_GAP)
    tracklets = np.cumsum(cut, axis=0)
    tracklets += np.concatenate([[0], np.cumsum(tracklets[-1] + 1)[:-1]])
    return np.where(there, tracklets, -1)


def _link_detections(there: Bools, gaps: Gaps, size: float) -> Ints:
    """Find runs of nameless detections that follow each other beyond doubt."""
    slots = there.shape[1]
    later, earlier = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for rows, away in gaps:
        linked, best = _find_links(away, size)
        frame, slot = np.nonzero(linked)
        later.append((rows.start + frame) * slots + slot)
        earlier.append((rows.start + frame - 1) * slots + best[frame, slot])
    pairs = np.concatenate(later), np.concatenate(earlier)
    links = coo_array((np.ones(len(pairs[0]), bool), pairs), (there.size, there.size))
    labels = connected_components(links, directed=False)[1].reshape(there.shape)
    tracklets = np.full(there.shape, -1, np.int64)
    tracklets[there] = np.unique(labels[there], return_inverse=True)[1]
    return tracklets


def _find_links(gaps: Floats, size: float) -> tuple[Bools, Ints]:
    """Find who follows one of the frame before beyond doubt, and whom, (F, S) each."""
    slots = gaps.shape[1]
    filled = np.nan_to_num(gaps, nan=np.inf)
    best = filled.argmin(-1)
    back = filled.argmin(-2)
    mutual = np.take_along_axis(back, best, axis=-1) == np.arange(slots)
    distance = np.take_along_axis(filled, best[..., None], axis=-1)[..., 0]
    rival = filled.copy()
    np.put_along_axis(rival, best[..., None], np.inf, axis=-1)
    rows = rival.min(-1, initial=np.inf)
    columns = filled.copy()
    np.put_along_axis(columns, back[:, None], np.inf, axis=-2)
    rival_of_best = np.take_along_axis(columns.min(-2, initial=np.inf), best, axis=-1)
    clear = distance < _CLEAR * np.minimum(rows, rival_of_best)
    return mutual & clear & (distance < _NEAR * size), best


@dataclass(frozen=True)
class Tracks2D:
    """What the 2D tracks say about F frames, V views, S slots.

    Parameters
    ----------
    frames : int64, (F,)
        Frame numbers.
    tracklets : int64, (F, V, S)
        2D tracklet that each detection belongs to; -1 = no detection.
    places : float32, (F, V, S, 2)
        Middle of each detection, in usual lengths of a body in its view; NaN = none.
    named : bool, (V,)
        Whether the slots of a view are tracks.
    """

    frames: Ints
    tracklets: Ints
    places: Singles
    named: Bools
