"""The tables of a SLEAP file, made of poses a part at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from mapose.arrays import Bools
from mapose.parts import Parts
from mapose.poses import Poses

# Tables of a file: of users' instances the points lie in one, of predicted ones in the other.
_FRAMES, _INSTANCES, _PLACED, _FOUND = "frames", "instances", "points", "pred_points"
TABLES = (_FRAMES, _INSTANCES, _PLACED, _FOUND)


def fill_tables(file: Any, parts: Parts) -> None:
    """Fill the tables of a file that has no frames.

    Parameters
    ----------
    file : h5py.File
        With the four tables, empty; they are replaced by some of their kind.
    parts : Parts
        Gone through twice: sizes are counted first. An animal with an ``edited`` point is a user's
        instance.
    """
    kinds = {name: file[name].dtype for name in TABLES}
    last = int(parts.frames[-1]) if len(parts) else 0
    sizes = Counter[str]()
    for part, rests in parts.iterate_supported():
        rows, there, by_hand = _choose(part, rests, last)
        sizes.update(_count(len(rows), by_hand, keypoints=part.array.shape[2]))
    for name, kind in kinds.items():
        del file[name]
        file.create_dataset(name, (sizes[name],), kind)
    done = Counter[str]()
    for part, rests in parts.iterate_supported():
        rows, there, by_hand = _choose(part, rests, last)
        counts = _count(len(rows), by_hand, keypoints=part.array.shape[2])
        tables = {name: np.zeros(counts[name], kind) for name, kind in kinds.items()}
        _fill(tables, part, rows, there=there, by_hand=by_hand, done=done)
        for name, values in tables.items():
            file[name][done[name] : done[name] + len(values)] = values
        done.update(counts)


def _choose(part: Poses, rests: Mapping[str, Any], last: int) -> tuple[Any, Any, Bools]:
    """Choose what is written: rows; row and individual of each instance; those edited by hand.

    The last frame is written even if nobody is there: it tells where the recording ends.
    """
    present = part.find_present()
    edited = np.asarray(rests.get("edited", np.zeros(part.confidence.shape, bool)))
    there = np.nonzero(present)
    return (
        np.flatnonzero(present.any(1) | (part.frames == last)),
        there,
        np.asarray(edited.any(-1))[there],
    )


def _count(frames: int, by_hand: Bools, *, keypoints: int) -> dict[str, int]:
    placed = int(by_hand.sum())
    found = len(by_hand) - placed
    return {
        _FRAMES: frames,
        _INSTANCES: len(by_hand),
        _PLACED: placed * keypoints,
        _FOUND: found * keypoints,
    }


def _fill(
    tables: dict[str, Any],
    part: Poses,
    rows: Any,
    *,
    there: Any,
    by_hand: Bools,
    done: Mapping[str, int],
) -> None:
    """Fill the tables of a part, after so many entries of the parts before."""
    frame, who = there
    frames, instances, k = tables[_FRAMES], tables[_INSTANCES], part.array.shape[2]
    frames["frame_id"] = done[_FRAMES] + np.arange(len(rows))
    frames["frame_idx"] = part.frames[rows]
    ends = done[_INSTANCES] + np.searchsorted(frame, rows, side="right")
    frames["instance_id_start"] = done[_INSTANCES] + np.searchsorted(frame, rows)
    frames["instance_id_end"] = ends
    confidence = part.confidence[frame, who]
    instances["instance_id"] = done[_INSTANCES] + np.arange(len(frame))
    instances["instance_type"] = ~by_hand  # 0 is a user's, 1 a predicted one
    instances["frame_id"] = done[_FRAMES] + np.searchsorted(rows, frame)
    instances["track"] = who if part.individuals else -1
    instances["from_predicted"] = -1
    instances["score"] = np.where(by_hand, 0, confidence.mean(-1))
    before = np.where(by_hand, np.cumsum(by_hand), np.cumsum(~by_hand)) - 1
    start = np.where(by_hand, done[_PLACED], done[_FOUND]) + k * before
    instances["point_id_start"], instances["point_id_end"] = start, start + k
    instances["tracking_score"] = np.nan
    for name, own in ((_PLACED, by_hand), (_FOUND, ~by_hand)):
        xy = part.points[frame[own], who[own]].reshape(-1, 2)
        tables[name]["x"], tables[name]["y"] = xy.T
        tables[name]["visible"] = np.isfinite(xy).all(-1)
        if name == _FOUND:
            tables[name]["score"] = confidence[own].ravel()
