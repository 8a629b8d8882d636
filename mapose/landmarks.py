"""Keypoints that belong to no animal: corners of an arena, an object, a lever.

They are keypoints of the skeleton like others, listed in `Skeleton.landmarks`. In labels and
results one individual more, called `LANDMARKS`, has them and nothing else; nobody tracks it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapose.arrays import Singles
from mapose.poses import Poses
from mapose.skeleton import LANDMARKS, Skeleton


def blank_landmarks(points: Singles, skeleton: Skeleton) -> Singles:
    """Make NaN of the landmarks among labelled points: what is left belongs to animals.

    Parameters
    ----------
    points : float32, (F, I, K, 2)
        Labelled points; not changed.
    skeleton : Skeleton
        Of K keypoints.

    Examples
    --------
    >>> arena = Skeleton(["nose", "corner"], landmarks=["corner"])
    >>> blank_landmarks(np.ones((1, 1, 2, 2), np.float32), arena)[0, 0].tolist()
    [[1.0, 1.0], [nan, nan]]
    """
    if not skeleton.landmarks:
        return points
    points = points.copy()
    points[:, :, skeleton.landmark_index] = np.nan
    return points


def hide_landmarks(poses: Poses) -> Poses:
    """Give the same poses without their landmarks; whose row has nothing else is empty then."""
    if not poses.skeleton.landmarks:
        return poses
    array = poses.array.copy()
    array[:, :, poses.skeleton.landmark_index] = np.nan
    return replace(poses, array=array)


def part_landmarks(poses: Poses) -> tuple[Poses, Poses | None]:
    """Part animals and landmarks; `join_landmarks` joins them again.

    Returns
    -------
    animals : Poses
        Without the row of the landmarks; keypoints stay as they are.
    landmarks : Poses or None
        As for `pick_landmarks`.
    """
    rows = [i for i, name in enumerate(poses.names) if name != LANDMARKS]
    animals = hide_landmarks(poses)
    if len(rows) < len(poses.names) and poses.skeleton.landmarks:
        animals = animals.take(individuals=np.array(rows, np.int64))
    return animals, pick_landmarks(poses)


def drop_landmarks(poses: Poses) -> Poses:
    """Give the animals alone: without landmarks and the individual that has them.

    Examples
    --------
    >>> arena = Skeleton(["nose", "corner"], landmarks=["corner"])
    >>> array = [[[[1, 1, 1], [np.nan] * 3], [[np.nan] * 3, [9, 9, 1]]]]
    >>> animals = drop_landmarks(Poses(array, arena, ["ann", "landmarks"]))
    >>> animals.names, animals.skeleton.keypoints
    (('ann',), ('nose',))
    """
    skeleton = poses.skeleton
    if not skeleton.landmarks:
        return poses
    kept = [k for k, name in enumerate(skeleton.keypoints) if name not in skeleton.landmarks]
    rows = [i for i, name in enumerate(poses.names) if name != LANDMARKS]
    return poses.take(individuals=np.array(rows, np.int64), keypoints=np.array(kept, np.int64))


def pick_landmarks(poses: Poses) -> Poses | None:
    """Give the landmarks alone, whichever rows have them; None where the skeleton has none.

    Parameters
    ----------
    poses : Poses
        Of each landmark the most confident one of a frame counts.

    Returns
    -------
    Poses
        (F, 1, K) of the individual `LANDMARKS`.
    """
    channels = poses.skeleton.landmark_index
    if not len(channels):
        return None
    frames, keypoints = np.arange(len(poses))[:, None], channels[None]
    row = poses.confidence[:, :, channels].argmax(1)
    array = np.full((len(poses), 1, poses.array.shape[2], poses.array.shape[3]), np.nan, np.float32)
    array[:, 0, channels] = poses.array[frames, row, keypoints]
    covariance = None
    if poses.covariance is not None:
        covariance = np.full((*array.shape[:3], *poses.covariance.shape[3:]), np.nan, np.float32)
        covariance[:, 0, channels] = poses.covariance[frames, row, keypoints]
    return replace(
        poses, array=array, individuals=[LANDMARKS], identity=None, covariance=covariance
    )


def join_landmarks(animals: Poses, landmarks: Poses | None) -> Poses:
    """Put landmarks behind the animals, as one more individual; None adds nobody.

    Examples
    --------
    >>> arena = Skeleton(["nose", "corner"], landmarks=["corner"])
    >>> poses = Poses([[[[1, 1, 1], [9, 9, 1]]]], arena, ["ann"])
    >>> joined = join_landmarks(hide_landmarks(poses), pick_landmarks(poses))
    >>> joined.names, joined.confidence[0].tolist()
    (('ann', 'landmarks'), [[1.0, 0.0], [0.0, 1.0]])
    """
    if landmarks is None:
        return animals
    rows = [i for i, name in enumerate(animals.names) if name != LANDMARKS]
    animals = animals.take(individuals=np.array(rows, np.int64))
    names = animals.individuals
    identity = covariance = None
    if animals.identity is not None:
        seen = (landmarks.confidence > 0).any(2)
        sure = np.where(seen, np.float32(1), np.float32(np.nan))
        identity = np.concatenate([animals.identity, sure], 1)
    if animals.covariance is not None and landmarks.covariance is not None:
        covariance = np.concatenate([animals.covariance, landmarks.covariance], 1)
    return replace(
        animals,
        array=np.concatenate([animals.array, landmarks.array], 1),
        individuals=None if names is None else [*names, LANDMARKS],
        identity=identity,
        covariance=covariance,
    )
