"""Where cameras are and what they see, as far as a drawing needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mapose.arrays import Floats

# Wider than this a fisheye lens is not drawn: the pyramid would be flat.
_WIDEST = np.radians(60)


class CameraView(Protocol):
    """What a drawing needs of a camera; `calibration.Camera` has it."""

    @property
    def name(self) -> str:
        """Name of the camera."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    @property
    def matrix(self) -> Any:
        """Focal lengths and principal point, (3, 3)."""

    @property
    def model(self) -> str:
        """Lens, ``pinhole`` or ``fisheye``."""

    @property
    def centre(self) -> Any:
        """Where the camera stands in the world, (3,)."""

    @property
    def rotation_matrix(self) -> Any:
        """World to camera, (3, 3)."""


def find_upright(cameras: Sequence[CameraView]) -> Floats:
    """Find the rotation after which z is up.

    The world stands as it is if its z is up for the cameras, or they look down along it, or
    there is none. Else up is where the upper edges of their images point to, on average.

    Parameters
    ----------
    cameras : sequence of CameraView

    Returns
    -------
    float64, (3, 3)
        The identity, or a rotation that takes the cameras' up to z.
    """
    if not cameras:
        return np.eye(3)
    turns = np.array([c.rotation_matrix for c in cameras], np.float64)
    up, ahead = -turns[:, 1].mean(0), turns[:, 2].mean(0)
    length = float(np.linalg.norm(up))
    if max(up[2], -ahead[2]) > 0.4 or length < 0.2:
        return np.eye(3)
    z = up / length
    x = turns[0, 0] - (turns[0, 0] @ z) * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def level_floor(points: Floats, turn: Floats) -> Floats:
    """Turn a scene that stands nearly upright until what animals stand on is level.

    Parameters
    ----------
    points : float, (F, I, K, 3)
        World points, NaN = missing; the lowest keypoint of each animal is near the floor.
    turn : float, (3, 3)
        Rotation after which z is roughly up.

    Returns
    -------
    float64, (3, 3)
        `turn`, corrected by up to 25 degrees if the animals have been in enough places.
    """
    upright = (points.reshape(-1, *points.shape[-2:]) @ turn.T).astype(np.float64)
    height = np.where(np.isfinite(upright[..., 2]), upright[..., 2], np.inf)
    lowest = upright[np.arange(len(upright)), height.argmin(-1)]
    lowest = lowest[np.isfinite(lowest).all(-1)]
    if len(lowest) < 20:
        return turn
    for _ in range(4):  # what is far above the plane did not stand on it
        middle = lowest.mean(0)
        spread = np.linalg.svd(lowest - middle, full_matrices=False)
        normal = spread[2][2] * np.sign(spread[2][2][2])
        above = (lowest - middle) @ normal
        lowest = lowest[above <= np.percentile(above, 90)]
    if spread[1][1] < 3 * spread[1][2] or normal[2] < np.cos(np.radians(25)):
        return turn  # all in a line or a heap: there is no plane to be seen
    x = np.array([1.0, 0, 0]) - normal[0] * normal
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(normal, x), normal]) @ turn


def find_frustum(camera: CameraView, target: npt.ArrayLike, *, share: float = 0.22) -> Floats:
    """Find the pyramid that stands for a camera.

    Parameters
    ----------
    camera : CameraView
        Its distortion is left out, and a view of more than 120 degrees made smaller.
    target : float, (3,)
        World point at what the camera looks.
    share : float
        Length of the pyramid as a share of the way there.

    Returns
    -------
    float64, (5, 3)
        The tip, then the corners of the image, in the world.
    """
    width, height = camera.size
    pixels = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    matrix = np.asarray(camera.matrix, np.float64)
    plane = (pixels - matrix[:2, 2]) @ np.linalg.inv(matrix[:2, :2]).T
    if camera.model == "fisheye":
        radius = np.linalg.norm(plane, axis=-1, keepdims=True)
        plane = plane * np.tan(np.minimum(radius, _WIDEST)) / np.maximum(radius, 1e-12)
    rays = np.concatenate([plane, np.ones((4, 1))], -1)
    tip = np.asarray(camera.centre, np.float64)
    away = share * float(np.linalg.norm(np.asarray(target, np.float64) - tip))
    # Wide lenses make short pyramids, so that all look of one size.
    rays *= away / np.linalg.norm(rays, axis=-1).mean()
    return np.concatenate([tip[None], tip + rays @ np.asarray(camera.rotation_matrix)])
