"""Points that a person moved or deleted, applied to poses whose names are settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mapose.arrays import Bools, Ints
from mapose.edits.records import Edit
from mapose.edits.settlement import Placed
from mapose.poses import Poses

Part = tuple[slice, int, Any]


def edit_points(poses: Poses, points: Placed) -> Poses:
    """Put points where a person did, and take away what a person deleted.

    Parameters
    ----------
    poses : Poses
        Rows as edited.
    points : sequence of (Edit, int)
        Edits and the row that each is about, as of `Settlement`.

    Returns
    -------
    Poses
        The confidence of a moved point stays; one that was missing gets 1, and a standard
        deviation of 1 in the unit of the poses, as a click has.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> poses = Poses(np.ones((4, 1, 2, 3)), Skeleton(["snout", "tail"]), ["ann"])
    >>> gone = Edit(2, ("ann", ""), "delete", keypoint="tail")
    >>> edit_points(poses, [(gone, 0)])["ann", "tail"][:, 0].tolist()
    [1.0, 1.0, nan, 1.0]
    """
    if not points:
        return poses
    array = poses.array.copy()
    identity = None if poses.identity is None else poses.identity.copy()
    covariance = None if poses.covariance is None else poses.covariance.copy()
    for edit, part in _find_parts(poses.frames, poses.skeleton.keypoints, points):
        if edit.kind == "move":
            array[(*part, slice(-1))] = edit.after[0][0].place
            new = array[(*part, -1)] == 0
            array[(*part, -1)] = np.where(new, 1, array[(*part, -1)])
            if covariance is not None:
                covariance[part] = np.where(
                    new[:, None, None], np.eye(poses.dimensions), covariance[part]
                )
            continue
        array[part] = np.nan
        array[(*part, -1)] = 0
        if covariance is not None:
            covariance[part] = np.nan
        if identity is not None:
            rows, who, _ = part
            gone = ~np.isfinite(array[rows, who]).all(-1).any(-1)
            identity[rows, who] = np.where(gone, np.nan, identity[rows, who])
    return replace(poses, array=array, identity=identity, covariance=covariance)


def find_edited(
    shape: tuple[int, int, int], frames: Ints, points: Placed, keypoints: Sequence[str]
) -> Bools:
    """Find which points a person has moved or deleted.

    Parameters
    ----------
    shape : (int, int, int)
        Frames, rows, keypoints.
    frames : int64, (F,)
        Video frames.
    points : sequence of (Edit, int)
        As for `edit_points`.
    keypoints : sequence of str
        Their names.

    Returns
    -------
    bool, (F, N, K)
    """
    edited = np.zeros(shape, bool)
    for _, part in _find_parts(frames, keypoints, points):
        edited[part] = True
    return edited


def _find_parts(
    frames: Ints, keypoints: Sequence[str], points: Placed
) -> Iterator[tuple[Edit, Part]]:
    """Find the part of an array (F, N, K, ...) that each edit is about."""
    for edit, row in points:
        first, last = (int(n) for n in np.searchsorted(frames, [edit.frame, edit.end + 1]))
        which = list(keypoints).index(edit.keypoint) if edit.keypoint else slice(None)
        yield edit, (slice(first, last), row, which)
