"""What all cameras see, made ready for geometry: one run of frames at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration import Camera
from mapose.arrays import Bools, Floats, Singles
from mapose.poses import Poses

#: Least confidence that is believed: below it a keypoint is not taken for even less certain.
_DOUBT = 0.1


@dataclass(frozen=True)
class Observations:
    """Detections of V cameras as lines of sight; S slots per camera, missing ones are not seen.

    Every seen keypoint has a frame of its own that stands in its camera and looks along its line
    of sight: a world point X lies there at ``axes @ X - origin``, and ``focal * (x, y) / z`` of
    that is its distance from the seen keypoint in pixels, for any lens.

    Parameters
    ----------
    seen : bool, (F, V, S, K)
        Which keypoints were found.
    axes : float64, (F, V, S, K, 3, 3)
        Right, down and along the line of sight; 0 where not seen.
    origin : float64, (F, V, S, K, 3)
        The camera's centre in these axes.
    variance : float64, (F, V, S, K)
        Relative variance of the position: 1 for a confidence of 1.
    focal : float64, (V,)
        Pixels per radian in the middle of the image.
    """

    seen: Bools
    axes: Floats
    origin: Floats
    variance: Floats
    focal: Floats

    def __len__(self) -> int:
        return len(self.seen)

    def pick(self, f: int) -> Frame:
        """Pick one frame."""
        return Frame(self.seen[f], self.axes[f], self.origin[f], self.variance[f], self.focal)


def take_detections(poses: Poses) -> Singles:
    """Take the detections of a view.

    Returns
    -------
    float32, (F, S, K, 3)
        x, y, confidence; NaN and 0 where nothing was found.
    """
    array = np.array(poses.array, np.float32)
    array[~(array[..., 2] > 0), :2] = np.nan
    return array


def stack_detections(views: Sequence[Poses]) -> Singles:
    """Put the detections of views with the same frames into one array.

    Parameters
    ----------
    views : sequence of Poses
        V views of F frames and K keypoints.

    Returns
    -------
    float32, (F, V, S, K, 3)
        x, y, confidence; NaN and 0 where nothing was found. S is the largest number of
        individuals of a view.
    """
    slots = max(len(poses.names) for poses in views)
    shape = (len(views[0]), len(views), slots, *views[0].array.shape[2:])
    stacked = np.full(shape, np.nan, np.float32)
    stacked[..., 2] = 0
    for v, poses in enumerate(views):
        stacked[:, v, : len(poses.names)] = take_detections(poses)
    return stacked


def measure_observations(stacked: Singles, cameras: Sequence[Camera]) -> Observations:
    """Find lines of sight.

    Parameters
    ----------
    stacked : float32, (F, V, S, K, 3)
        From `stack_detections`.
    cameras : sequence of calibration.Camera
        One for each view.
    """
    points = stacked[..., :2].astype(np.float64)
    rays = np.stack([c.rays(points[:, v]) for v, c in enumerate(cameras)], axis=1)
    seen = np.asarray(np.isfinite(rays).all(-1))
    rays = np.where(seen[..., None], rays, 0.0)
    axes = np.zeros((*rays.shape, 3))
    for v, camera in enumerate(cameras):
        down = camera.rotation_matrix[1]
        right = np.cross(down, rays[:, v])
        right /= np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-12)
        axes[:, v, ..., 0, :] = right
        axes[:, v, ..., 1, :] = np.cross(rays[:, v], right)
    axes[..., 2, :] = rays
    centres = np.stack([c.centre for c in cameras])
    origin = np.einsum("fvskab,vb->fvska", axes, centres)
    return Observations(
        seen=seen,
        axes=axes,
        origin=origin,
        variance=1 / np.clip(stacked[..., 2].astype(np.float64), _DOUBT, 1),
        focal=np.array([c.focal for c in cameras]),
    )


@dataclass(frozen=True)
class Frame:
    """One frame of `Observations`: the same arrays without the first axis."""

    seen: Bools
    axes: Floats
    origin: Floats
    variance: Floats
    focal: Floats
