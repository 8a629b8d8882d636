"""Unordered poses in, one row per animal out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mapose.errors import ShapeError
from mapose.poses import Poses
from mapose.tracking.contacts import Contact
from mapose.tracking.naming import name_tracklets
from mapose.tracking.tracker import MAX_GAP, Tracker
from mapose.tracking.tracklets import TrackletSummaries

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tracking:
    """Animals followed through time, and the moments in which that was doubtful.

    Attributes
    ----------
    poses : Poses
        With the probability `identity` that each name is right.
    contacts : tuple of Contact
        In time; `find_swaps` ranks them.
    """

    poses: Poses
    contacts: tuple[Contact, ...]


def track(
    poses: Poses,
    *,
    individuals: int | None = None,
    max_gap: int = MAX_GAP,
    min_frames: int = 10,
    size: float | None = None,
    embeddings: npt.ArrayLike | None = None,
) -> Poses:
    """Track animals through time: unordered poses in, one row per animal out.

    A recording that is too long for the memory goes the same way in chunks: `Tracker.update_many`
    (with ``cut=True``) and `TrackletSummaries.add` on each of them, `name_tracklets` once, then
    `arrange` and `Naming.add_identity` on each of them.

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
    embeddings : float, (F, I, D), optional
        What each detection looks like, on a scale on which the same animal always looks about
        the same; NaN where that was not measured, as on all but some frames. Decides, where
        contacts leave it open, who came out of them.

    Returns
    -------
    Poses
        Individuals ``track0, track1, ...`` in the order in which they appear; NaN where one is
        out of sight. `Poses.identity` is the probability that a name is right: that the animal
        is the one that bears this name for most of the recording, every animal having one
        name, as `mapose.metrics.track_scores` gives them.

    Raises
    ------
    SettingsError
        If a number is not usable.
    ShapeError
        If the embeddings do not fit.

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
    return track_with_contacts(
        poses,
        individuals=individuals,
        max_gap=max_gap,
        min_frames=min_frames,
        size=size,
        embeddings=embeddings,
    ).poses


def track_with_contacts(
    poses: Poses,
    *,
    individuals: int | None = None,
    max_gap: int = MAX_GAP,
    min_frames: int = 10,
    size: float | None = None,
    embeddings: npt.ArrayLike | None = None,
) -> Tracking:
    """Track animals as `track` does, and keep the doubtful moments too.

    Parameters
    ----------
    poses, individuals, max_gap, min_frames, size, embeddings
        As for `track`.

    Returns
    -------
    Tracking
        Poses and contacts.
    """
    tracker = Tracker(individuals=individuals, max_gap=max_gap, size=size, cut=True)
    ids = tracker.update_many(poses.points, poses.confidence, frames=poses.frames)
    summaries = TrackletSummaries()
    summaries.add(
        ids,
        poses.points,
        confidence=poses.confidence,
        frames=poses.frames,
        embeddings=embeddings,
    )
    naming = name_tracklets(
        summaries, tracker.encounters, individuals=individuals, min_frames=min_frames
    )
    count = int(naming.mapping.max(initial=-1)) + 1 if individuals is None else individuals
    names = [f"track{i}" for i in range(count)]
    named = arrange(poses, ids, naming.mapping, names)
    return Tracking(naming.add_identity(named), tuple(naming.list_contacts(names)))


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
