"""2D tracklets: which detections of one camera follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats, Ints
from mapose.shelf import Rows, cut_blocks

#: Longest gap in frames over which a 2D track's own name is believed.
_MAX_GAP = 25
#: A detection further than this from its predecessor, in body lengths, while it is nearer to
#: another's, has jumped: the 2D track is cut there.
_JUMP = 0.3
#: For detections without names: how much nearer than every other the predecessor must be, and
#: how near at most, in body lengths.
_CLEAR, _NEAR = 0.5, 0.5


def find_tracklets2d(
    runs: Iterable[AnyFloats], frames: Ints, *, named: bool, size: float
) -> Iterator[Ints]:
    """Find the 2D tracklets of one camera, numbered.

    A named track is one tracklet as long as it does not jump to where another one was, and is not
    out of sight for long. Detections without names are joined where they follow each other
    beyond doubt.

    Parameters
    ----------
    runs : iterable of float, (F', S, K, 2)
        Pixels, one run of frames after the other; NaN = missing.
    frames : int64, (F,)
        Frame numbers.
    named : bool
        Whether the slots are tracks.
    size : float
        Body length in px.

    Yields
    ------
    int64, (F', S)
        Number of the tracklet of each detection, from 0 as they begin; -1 = nothing there.
    """
    before: AnyFloats | None = None
    state: _State | None = None
    start = 0
    for run in runs:
        there = np.asarray(np.isfinite(run).all(-1).any(-1))
        if state is None:
            state = _State(there.shape[1])
        rows = slice(start, start + len(run))
        since = frames[max(start - 1, 0) : rows.stop]
        wide = run if before is None else np.concatenate([before, run])
        gaps = _find_gaps(wide, since, size)
        if named:
            yield _name_tracks(there, gaps, frames[rows], size=size, state=state)
        else:
            yield _link_detections(there, gaps, size=size, state=state)
        before, start = run[-1:], rows.stop


class _State:
    """What is known of S slots after the frames so far.

    Attributes
    ----------
    tracklets : int64, (S,)
        Of each slot: of a track the last that it had, else that of the last frame; -1 = none.
    seen : int64, (S,)
        Number of the last frame in which something was there.
    fresh : int
        The next free number.
    """

    def __init__(self, slots: int) -> None:
        self.tracklets = np.full(slots, -1, np.int64)
        self.seen = np.full(slots, np.iinfo(np.int64).min // 2)
        self.fresh = 0

    def begin(self, mask: Bools) -> Ints:
        """Give numbers to what a mask marks, and -1 elsewhere."""
        numbers = np.full(mask.shape, -1, np.int64)
        count = int(mask.sum())
        numbers[mask] = self.fresh + np.arange(count)
        self.fresh += count
        return numbers


def _find_gaps(points: AnyFloats, frames: Ints, size: float) -> Floats:
    """Find how far detections are from those of the frame before, (F - 1, S, S), px.

    By later and by earlier slot; the mean over common keypoints, each capped at a body length: one
    that went astray does not count for more than that. Nothing is near what is more than two
    frames ago.
    """
    slots = points.shape[1]
    gaps = [np.empty((0, slots, slots))]
    for rows in cut_blocks(len(points) - 1, 2 * slots**2 * points.shape[2]):
        part = points[rows.start : rows.stop + 1].astype(np.float32)
        apart = part[1:, :, None] - part[:-1, None]
        distance = np.sqrt(np.einsum("fijkd,fijkd->fijk", apart, apart))
        common = np.isfinite(distance)
        count = common.sum(-1)
        total = np.where(common, np.minimum(distance, size), 0).sum(-1)
        gaps.append(np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float64))
    found = np.concatenate(gaps)
    found[np.diff(frames) > 2] = np.nan
    return found


def _name_tracks(there: Bools, gaps: Floats, frames: Ints, *, size: float, state: _State) -> Ints:
    """Cut named tracks at jumps to another's place and at long gaps."""
    slots = there.shape[1]
    own = np.einsum("fii->fi", gaps)
    other = np.where(np.eye(slots, dtype=bool), np.inf, np.nan_to_num(gaps, nan=np.inf))
    cut = np.zeros(there.shape, bool)
    # Of the first frame of all there is none before.
    cut[len(there) - len(gaps) :] = (own > _JUMP * size) & (
        other.min(-1, initial=np.inf) < 0.5 * own
    )
    # A tracklet also ends where the track was out of sight for long.
    last = np.concatenate([state.seen[None], np.where(there, frames[:, None], state.seen)])
    last = np.maximum.accumulate(last, axis=0)
    state.seen = last[-1]
    begun = state.begin(there & (cut | (frames[:, None] - last[:-1] > _MAX_GAP)))
    held = np.maximum.accumulate(np.concatenate([state.tracklets[None], begun]), axis=0)[1:]
    state.tracklets = held[-1] if len(held) else state.tracklets
    return np.where(there, held, -1)


def _link_detections(there: Bools, gaps: Floats, *, size: float, state: _State) -> Ints:
    """Find runs of nameless detections that follow each other beyond doubt."""
    linked, best = np.zeros(there.shape, bool), np.zeros(there.shape, np.int64)
    later = slice(len(there) - len(gaps), None)
    if len(gaps):
        linked[later], best[later] = _find_links(gaps, size)
    tracklets = np.full(there.shape, -1, np.int64)
    for f, here in enumerate(there):
        own = np.where(linked[f], state.tracklets[best[f]], -1)
        state.tracklets = tracklets[f] = np.maximum(own, state.begin(here & (own < 0)))
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
    tracklets : int32, (F, V, S)
        2D tracklet that each detection belongs to; -1 = no detection.
    count : int
        One more than the highest of them.
    places : float32, (F, V, S, 2)
        Middle of each detection, in usual lengths of a body in its view; NaN = none.
    named : bool, (V,)
        Whether the slots of a view are tracks.
    """

    frames: Ints
    tracklets: Rows
    count: int
    places: Rows
    named: Bools
