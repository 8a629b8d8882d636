"""Bring truth and result to the same frames and keypoints before they are compared."""

from __future__ import annotations

import numpy as np

from mapose.arrays import AnyFloats, Bools, Ints
from mapose.errors import ShapeError
from mapose.parts import Parts
from mapose.poses import Poses


def align_poses(truth: Poses, found: Poses) -> tuple[Poses, Poses]:
    """Keep the frames and keypoints that both have, in the order of the truth.

    Raises
    ------
    ShapeError
        If they share no frame or no keypoint, or are not in the same space and unit.
    """
    names, a, b = _find_common(truth, found)
    return _pick(truth, names, a), _pick(found, names, b)


def align_parts(truth: Parts, found: Parts) -> tuple[Parts, Parts]:
    """Do as `align_poses` with recordings of which some frames at a time are in memory.

    Raises
    ------
    ShapeError
        As in `align_poses`.
    """
    names, a, b = _find_common(truth, found)
    truth, found = (
        (parts if rows is None else parts.take(rows)).map(lambda poses: _pick(poses, names))
        for parts, rows in ((truth, a), (found, b))
    )
    return truth, found


def _find_common(
    truth: Poses | Parts, found: Poses | Parts
) -> tuple[list[str], Ints | None, Ints | None]:
    """Find the keypoints that both have, and the rows of the frames that both have; None = all."""
    if (truth.dimensions, truth.unit) != (found.dimensions, found.unit):
        raise ShapeError(
            f"wanted poses in the same space, came {truth.dimensions}D in {truth.unit} and "
            f"{found.dimensions}D in {found.unit}"
        )
    names = [k for k in truth.skeleton.keypoints if k in found.skeleton.keypoints]
    if not names:
        raise ShapeError(
            f"no keypoint in common: {', '.join(truth.skeleton.keypoints)} against "
            f"{', '.join(found.skeleton.keypoints)}; rename the ones or the others"
        )
    if len(truth) and np.array_equal(truth.frames, found.frames):
        return names, None, None
    _, a, b = np.intersect1d(truth.frames, found.frames, assume_unique=True, return_indices=True)
    if not len(a):
        raise ShapeError(f"no frame in common: {_describe(truth)} against {_describe(found)}")
    return names, None if len(a) == len(truth) else a, None if len(b) == len(found) else b


def _pick(poses: Poses, names: list[str], rows: Ints | None = None) -> Poses:
    if rows is None and names == list(poses.skeleton.keypoints):
        return poses
    what = [poses.skeleton.keypoints.index(name) for name in names]
    return poses.take(rows, keypoints=np.array(what))


def _describe(poses: Poses | Parts) -> str:
    if not len(poses):
        return "no frame at all"
    return f"{len(poses)} frames from {poses.frames[0]} to {poses.frames[-1]}"


def find_marked(points: AnyFloats) -> Bools:
    """Mark the keypoints (...) of (..., d) that have all coordinates."""
    return np.asarray(np.isfinite(points).all(-1))
