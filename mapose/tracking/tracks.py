"""Unordered poses in, one row per animal out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mapose.errors import ShapeError
from mapose.poses import Poses
from mapose.tracking.stitching import stitch
from mapose.tracking.tracker import MAX_GAP, Tracker
from mapose.tracking.tracklets import TrackletSummaries

Ints = npt.NDArray[np.int64]


def track(
    poses: Poses,
    *,
    individuals: int | None = None,
    max_gap: int = MAX_GAP,
    min_frames: int = 10,
    size: float | None = None,
) -> Poses:
    """Track animals through time: unordered poses in, one row per animal out.

    A recording that is too long for the memory goes the same way in chunks: `Tracker.update_many`
    and `TrackletSummaries.add` on each of them, `stitch` once, then `arrange` on each of them.

    Parameters
    ----------
    poses : Poses
        Detections in any order, in 2D or 3D; names they may have are not used.
    individuals : int, optional
        Number of animals. The result then has that many rows, and what fits none of them is
        left out. By default there are as many as are found.
    max_gap : int
        Frames out of sight after which an animal is found again by looking at the whole
        recording instead of frame by frame.
    min_frames : int
        Frames from about which something is an animal rather than a false alarm.
    size : float, optional
        Square root of the area of an animal's bounding box; learned by default.

    Returns
    -------
    Poses
        Individuals ``track0, track1, ...`` in the order in which they appear; NaN where one is
        out of sight.

    Raises
    ------
    SettingsError
        If a number is not usable.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> array = np.ones((20, 2, 1, 3), np.float32)
    >>> array[:, 1, 0, :2] = 50, 80
    >>> array[::2] = array[::2, ::-1]
    >>> tracked = track(Poses(array, Skeleton(["body"])), individuals=2)
    >>> tracked["track1", "body"][:3, 0].tolist()
    [1.0, 1.0, 1.0]
    """
    tracker = Tracker(individuals=individuals, max_gap=max_gap, size=size)
    ids = tracker.update_many(poses.points, poses.confidence, frames=poses.frames)
    summaries = TrackletSummaries()
    summaries.add(ids, poses.points, confidence=poses.confidence, frames=poses.frames)
    mapping = stitch(summaries, individuals=individuals, min_frames=min_frames)
    count = int(mapping.max(initial=-1)) + 1 if individuals is None else individuals
    return arrange(poses, ids, mapping, [f"track{i}" for i in range(count)])


def arrange(poses: Poses, ids: Ints, mapping: Ints, individuals: Sequence[str]) -> Poses:
    """Put every detection into the row of its individual.

    Parameters
    ----------
    poses : Poses
        A chunk of detections (F, I, K).
    ids : int64, (F, I)
        Tracklet of each detection, from `Tracker.update_many`; -1 = none.
    mapping : int64, (T,)
        Individual of each tracklet, from `stitch`; -1 = nobody. Ids beyond its end are nobody.
    individuals : sequence of str, (N,)
        Names.

    Returns
    -------
    Poses
        (F, N, K), with the covariance; where two detections fall to one individual the
        more confident one is taken.

    Raises
    ------
    ShapeError
        If ``ids`` does not fit, or ``mapping`` has more individuals than there are names.
    """
    count = len(individuals)
    if ids.shape != poses.array.shape[:2]:
        raise ShapeError(f"arrange: wanted ids {poses.array.shape[:2]}, came {ids.shape}")
    if mapping.max(initial=-1) >= count:
        raise ShapeError(f"arrange: {mapping.max() + 1} individuals, but {count} names")
    # -1 and ids too high both point at the nobody that is put behind the end.
    nobody = len(mapping)
    owner = np.append(mapping, -1)[np.where((ids < 0) | (ids > nobody), nobody, ids)]
    frame, slot = np.nonzero(owner >= 0)
    # In order of confidence, so that the best of several is written last.
    order = np.argsort(poses.confidence[frame, slot].sum(-1), kind="stable")
    frame, slot = frame[order], slot[order]
    row = owner[frame, slot]
    array = np.full((len(poses), count, *poses.array.shape[2:]), np.nan, np.float32)
    array[frame, row] = poses.array[frame, slot]
    covariance = None
    if poses.covariance is not None:
        covariance = np.full((len(poses), count, *poses.covariance.shape[2:]), np.nan, np.float32)
        covariance[frame, row] = poses.covariance[frame, slot]
    return replace(
        poses, array=array, individuals=individuals, identity=None, covariance=covariance
    )
