"""Find by how many frames views are apart, and bring them to common frame numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from calibration import CameraGroup, Synchronization, find_different_rates, find_frame_offsets
from mapose.arrays import Floats, Ints
from mapose.assignment import assign
from mapose.errors import ShapeError, suggest_name
from mapose.poses import Poses


def find_offsets(
    views: Mapping[str, Poses],
    cameras: CameraGroup | None = None,
    *,
    max_offset: int = 60,
    max_drift: float = 0.0,
    min_confidence: float = 0.1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Synchronization:
    """Find by how many frames views are apart, from the animals' motion.

    With a calibration, animals seen at the same moment lie on each other's epipolar lines.
    Without one, only the rhythm of rest and motion is compared: a first guess, good to find
    large offsets.

    Parameters
    ----------
    views : mapping of Poses
        2D poses of each camera, by its name. Individuals need not have common names, nor an
        order; the first camera is the reference.
    cameras : CameraGroup, optional
        Calibration of these cameras.
    max_offset : int
        Largest offset between any two cameras that is looked for at first, frames; time grows with
        it. Where the best one lies at the end of the search, or the data do not tell any, it goes
        on to 16 times as far.
    max_drift : float
        Largest change of an offset from the first to the last frame to look for, frames.
        0 = clocks run equally fast.
    min_confidence : float
        Keypoints below are not used.
    on_progress : callable, optional
        Told (pairs of cameras done, pairs).

    Returns
    -------
    Synchronization
        ``offsets``: frame f of the first camera shows the same moment as frame f + offset.
        ``confidence`` says whether the data tell it; animals that hardly move do not.

    Raises
    ------
    ShapeError
        If there are fewer than two views, poses are not 2D, no keypoint is common, or the
        rates differ.
    calibration.CalibrationError
        If a camera is not calibrated; the nearest name is suggested.

    Examples
    --------
    >>> from mapose.synthetic import make_scene
    >>> scene = make_scene(2, 200, seed=1, cameras=3)
    >>> views = {name: scene.truth(name) for name in scene.cameras.names}
    >>> views["cam1"] = views["cam1"].sel(frames=slice(7, None))
    >>> late = shift_views(views, {"cam1": 7})
    >>> find_offsets(late, scene.cameras, max_offset=20).offsets
    {'top': 0, 'cam1': -7, 'cam2': 0}
    """
    _check_views(views)
    keypoints = _find_common_keypoints(views)
    first = min(int(p.frames[0]) for p in views.values())
    last = max(int(p.frames[-1]) for p in views.values())
    pixels = {
        name: _spread(poses, keypoints, range(first, last + 1), min_confidence)
        for name, poses in views.items()
    }
    return find_frame_offsets(
        pixels, cameras, max_offset=max_offset, max_drift=max_drift, on_progress=on_progress
    )


def shift_views(
    views: Mapping[str, Poses], offsets: Synchronization | Mapping[str, int]
) -> dict[str, Poses]:
    """Renumber the frames of all views alike: the same number is the same moment.

    Parameters
    ----------
    views : mapping of Poses
        By camera.
    offsets : Synchronization or mapping of int
        Of `find_offsets`, or by camera the number to take away from its frame numbers; cameras
        that are not in the mapping stay.

    Returns
    -------
    dict of Poses
        In frame numbers of the reference. What a camera saw before frame 0 of the reference is
        left out. A clock that drifts by half a frame skips or repeats one.

    Raises
    ------
    ShapeError
        If an offset is for a camera that is not there; the nearest name is suggested.
    """
    known = offsets.offsets if isinstance(offsets, Synchronization) else offsets
    for name in known:
        if name not in views:
            raise ShapeError(f"no view {name!r} to shift: {suggest_name(name, views)}")
    shifted = {}
    for name, poses in views.items():
        drifts = isinstance(offsets, Synchronization) and offsets.drifts[name] != 0
        if drifts and isinstance(offsets, Synchronization):
            shifted[name] = _follow_clock(poses, offsets, name)
        else:
            shifted[name] = _renumber(poses, poses.frames - int(known.get(name, 0)))
    return shifted


def _check_views(views: Mapping[str, Poses]) -> None:
    faults = []
    if len(views) < 2:
        faults.append(f"wanted at least two cameras, came {len(views)}")
    for name, poses in views.items():
        if poses.dimensions != 2:
            faults.append(f"{name}: wanted 2D poses in px, came {poses.dimensions}D")
        if not len(poses):
            faults.append(f"{name}: has no frames")
    if told := find_different_rates({name: poses.rate for name, poses in views.items()}):
        faults.append(f"wanted views of the same rate, came {told}: resample them first")
    if faults:
        raise ShapeError("views: " + "; ".join(faults))


def _find_common_keypoints(views: Mapping[str, Poses]) -> list[str]:
    first, *others = views.values()
    common = [k for k in first.skeleton.keypoints if all(k in o.skeleton.keypoints for o in others)]
    if not common:
        told = "; ".join(f"{n}: {', '.join(p.skeleton.keypoints)}" for n, p in views.items())
        raise ShapeError(f"views: no keypoint in common ({told}); rename them to match")
    return common


def _spread(poses: Poses, keypoints: list[str], frames: range, min_confidence: float) -> Floats:
    """Put pixels at their frame numbers, float64 (F, I, K, 2), NaN where nothing was found."""
    picked = poses.sel(keypoint=keypoints)
    points = picked.points.astype(np.float64)
    points[picked.confidence < min_confidence] = np.nan
    if poses.individuals is None and points.shape[1] > 1:
        points = _link_slots(points)
    spread = np.full((len(frames), *points.shape[1:]), np.nan)
    spread[poses.frames - frames.start] = points
    return spread


def _link_slots(points: Floats) -> Floats:
    """Keep each individual in its slot from one frame to the next, by the least motion."""
    linked = points.copy()
    # The last known place of each slot, also over gaps.
    known = linked[0].copy()
    for row in linked[1:]:
        distance = np.linalg.norm(known[:, None] - row, axis=-1)
        there = np.isfinite(distance)
        count = there.sum(-1)
        total = np.where(there, distance, 0).sum(-1)
        mean = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
        old, new = assign(mean)
        order = np.full(len(row), -1)
        order[old] = new
        order[order < 0] = np.setdiff1d(np.arange(len(row)), new)
        row[:] = row[order]
        seen = np.isfinite(row)
        known[seen] = row[seen]
    return linked


def _renumber(poses: Poses, frames: Ints) -> Poses:
    kept = frames >= 0
    return poses.take(np.flatnonzero(kept), frames=frames[kept])


def _follow_clock(poses: Poses, clock: Synchronization, name: str) -> Poses:
    """Take for each frame of the reference the nearest frame of a camera that drifts."""
    most = abs(clock.shifts[name]) + abs(clock.drifts[name])
    numbers = np.arange(max(int(poses.frames[-1] + most) + 2, 1))
    wanted = np.rint(numbers + clock.find_shift(name, numbers)).astype(np.int64)
    rows = np.clip(np.searchsorted(poses.frames, wanted), 0, len(poses) - 1)
    there = poses.frames[rows] == wanted
    return poses.take(rows[there], frames=numbers[there])
