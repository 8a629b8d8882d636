"""How an animal holds itself: angles of joints, lengths of limbs, heading, its own coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from mapose.arrays import Floats
from mapose.errors import ShapeError
from mapose.poses import Poses
from mapose.similarity import find_edge_lengths
from mapose.skeleton import Skeleton

Joint = tuple[str, str, str]


def list_joints(skeleton: Skeleton) -> list[Joint]:
    """List the joints of a skeleton: each two limbs that meet, the meeting keypoint amid.

    Examples
    --------
    >>> list_joints(Skeleton(["hip", "knee", "foot"], [("hip", "knee"), ("knee", "foot")]))
    [('hip', 'knee', 'foot')]
    """
    joints = []
    for keypoint in skeleton.keypoints:
        ends = [b if a == keypoint else a for a, b in skeleton.edges if keypoint in (a, b)]
        joints += [(first, keypoint, second) for first, second in combinations(ends, 2)]
    return joints


def find_joint_angles(poses: Poses, joints: Sequence[Joint] | None = None) -> Floats:
    """Find the angles of joints.

    Parameters
    ----------
    poses : Poses
        In 2D or 3D.
    joints : sequence of (str, str, str), optional
        Three keypoints each, the joint amid; by default all of `list_joints`.

    Returns
    -------
    float64, (F, I, J)
        Degrees, 180 = straight, 0 = folded; NaN where one of the three is missing or two lie
        in one place.

    Raises
    ------
    ShapeError
        If a joint has not three keypoints, or there is no such keypoint.

    Examples
    --------
    >>> knee = Skeleton(["hip", "knee", "foot"])
    >>> leg = Poses([[[[0, 0, 1], [0, 1, 1], [2, 1, 1]]]], knee)
    >>> find_joint_angles(leg, [("hip", "knee", "foot")]).item()
    90.0
    """
    joints = list_joints(poses.skeleton) if joints is None else joints
    points = poses.points.astype(np.float64)
    angles = np.full((*points.shape[:2], len(joints)), np.nan)
    for j, joint in enumerate(joints):
        if len(joint) != 3:
            raise ShapeError(f"joint: wanted three keypoints, came {', '.join(joint)}")
        first, middle, second = (points[:, :, poses.skeleton.index(name)] for name in joint)
        one, two = first - middle, second - middle
        size = np.linalg.norm(one, axis=-1) * np.linalg.norm(two, axis=-1)
        cosine = np.einsum("fid,fid->fi", one, two) / np.where(size > 0, size, np.nan)
        angles[:, :, j] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return angles


def find_limb_lengths(poses: Poses) -> Floats:
    """Find the lengths of the skeleton's edges, float64 (F, I, E), in the unit of the poses.

    NaN where an end is missing.
    """
    return find_edge_lengths(poses.points.astype(np.float64), poses.skeleton.edge_index)


def find_headings(poses: Poses, front: str, *, back: str) -> Floats:
    """Find where animals point to.

    Parameters
    ----------
    poses : Poses
        In 2D; of 3D poses the first two coordinates count.
    front, back : str
        Keypoints, such as the nose and the base of the tail.

    Returns
    -------
    float64, (F, I)
        Degrees from the x axis towards the y axis, -180 to 180: in an image 0 is to the right
        and 90 down. NaN where one of the two is missing.

    Raises
    ------
    ShapeError
        If there is no such keypoint.
    """
    way = _find_way(poses, front, back)
    angle = np.degrees(np.arctan2(way[..., 1], way[..., 0]))
    return np.asarray(np.where((way != 0).any(-1), angle, np.nan))


def find_body_coordinates(poses: Poses, front: str, *, back: str) -> Poses:
    """Give each animal its own coordinates: x ahead, the origin at its back.

    Parameters
    ----------
    poses : Poses
        In 2D or 3D. In 3D animals are turned about the z axis only, and heights stay.
    front, back : str
        Keypoints: from the second, which becomes the origin, x leads towards the first.

    Returns
    -------
    Poses
        In the same unit, with the covariance turned; missing where one of the two is. In an image
        y is to the right of the animal.

    Raises
    ------
    ShapeError
        If there is no such keypoint.

    Examples
    --------
    >>> mouse = Skeleton(["nose", "tail", "ear"])
    >>> poses = Poses([[[[5, 9, 1], [5, 5, 1], [3, 8, 1]]]], mouse)
    >>> find_body_coordinates(poses, "nose", back="tail").points[0, 0].tolist()
    [[4.0, 0.0], [0.0, 0.0], [3.0, 2.0]]
    """
    way = _find_way(poses, front, back)
    length = np.linalg.norm(way, axis=-1, keepdims=True)
    ahead = way / np.where(length > 0, length, np.nan)
    d = poses.dimensions
    turn = np.zeros((*way.shape[:2], d, d))
    turn[..., 0, 0], turn[..., 0, 1] = ahead[..., 0], ahead[..., 1]
    turn[..., 1, 0], turn[..., 1, 1] = -ahead[..., 1], ahead[..., 0]
    if d == 3:
        turn[..., 2, 2] = 1
    points = poses.points.astype(np.float64)
    origin = points[:, :, [poses.skeleton.index(back)]].copy()
    origin[..., 2:] = 0
    own = np.einsum("fide,fike->fikd", turn, points - origin)
    array = np.concatenate([own, poses.confidence[..., None]], -1)
    covariance = poses.covariance
    if covariance is not None:
        covariance = np.einsum("fiab,fikbc,fidc->fikad", turn, covariance, turn)
    return replace(poses, array=array, covariance=covariance)


def _find_way(poses: Poses, front: str, back: str) -> Floats:
    """Find the way from back to front in the plane, (F, I, 2)."""
    points = poses.points[..., :2].astype(np.float64)
    start, end = (points[:, :, poses.skeleton.index(name)] for name in (back, front))
    return np.asarray(end - start)
