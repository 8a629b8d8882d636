"""Cameras with exactly known parameters, for demonstrations and tests."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from calibration.camera import Camera, Floats
from calibration.errors import CalibrationError
from calibration.group import CameraGroup

#: A mild barrel, as of the lenses that come with machine-vision cameras.
MILD_DISTORTION = (-0.08, 0.02, 0.0004, -0.0003, 0.0)
#: Nearly equidistant, as of common 180-degree lenses.
FISHEYE_DISTORTION = (0.02, -0.008, 0.003, -0.0007)


def find_orientation(position: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
    """Find the rotation of an upright camera that looks at a point.

    Parameters
    ----------
    position, target : float, (3,)
        World points; z is up.

    Returns
    -------
    float64, (3, 3)
        World to camera. A camera that looks straight down has world x to its right.

    Raises
    ------
    CalibrationError
        If both points are the same.

    Examples
    --------
    >>> find_orientation([0, 0, 10], [0, 0, 0])
    array([[ 1.,  0.,  0.],
           [ 0., -1.,  0.],
           [ 0.,  0., -1.]])
    """
    forward = np.asarray(target, np.float64) - np.asarray(position, np.float64)
    length = np.linalg.norm(forward)
    if length == 0:
        raise CalibrationError("a camera cannot look at the point where it stands")
    forward = forward / length
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right if np.linalg.norm(right) > 1e-9 else np.array([1.0, 0.0, 0.0])
    right = right / np.linalg.norm(right)
    # Adding 0 turns -0 into 0.
    return np.stack([right, np.cross(forward, right), forward]) + 0.0


def aim_camera(
    name: str,
    position: npt.ArrayLike,
    *,
    target: npt.ArrayLike = (0.0, 0.0, 0.0),
    size: tuple[int, int] = (640, 480),
    focal: float | None = None,
    distortion: npt.ArrayLike = MILD_DISTORTION,
    fisheye: bool = False,
) -> Camera:
    """Make a camera that looks at a point, with the principal point in mid-image.

    Parameters
    ----------
    name : str
        Of the camera.
    position, target : float, (3,)
        Where it stands and the world point in mid-image.
    size : (int, int)
        Width and height in pixels.
    focal : float, optional
        Focal length in pixels, by default the width.
    distortion : float
        Coefficients of the lens.
    fisheye : bool
        Whether the lens is a fisheye.
    """
    focal = float(size[0]) if focal is None else float(focal)
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    rotation = find_orientation(position, target)
    return Camera(
        name=name,
        size=size,
        matrix=np.array([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]]),
        distortion=np.asarray(distortion, np.float64),
        rotation=rotation,
        translation=-rotation @ np.asarray(position, np.float64),
        model="fisheye" if fisheye else "pinhole",
    )


def make_ring(
    n: int = 4,
    *,
    radius: float = 500.0,
    height: float = 400.0,
    size: tuple[int, int] = (640, 480),
    focal: float | None = None,
    fisheye: Collection[int] = (),
    seed: int | None = None,
) -> CameraGroup:
    """Make cameras on a circle that look at its middle on the floor.

    Parameters
    ----------
    n : int
        Number of cameras, named ``cam0``, ``cam1``, ... anticlockwise as seen from above.
    radius, height : float
        Of the circle, in mm.
    size : (int, int)
        Width and height in pixels.
    focal : float, optional
        Focal length in pixels, by default the width.
    fisheye : collection of int
        Numbers of the cameras with a fisheye lens; their focal length is half of the others'.
    seed : int, optional
        If given, cameras stand, look and magnify a little differently, as after mounting by
        hand.

    Returns
    -------
    CameraGroup
        Unit mm, origin in the middle of the floor, z up.

    Raises
    ------
    CalibrationError
        If fewer than one camera is asked for.
    """
    if n < 1:
        raise CalibrationError(f"a ring needs at least one camera, came {n}")
    wobble = np.zeros((n, 7)) if seed is None else np.random.default_rng(seed).normal(size=(n, 7))
    focal = float(size[0]) if focal is None else focal
    cameras = []
    for i in range(n):
        angle = 2 * np.pi * (i + 0.08 * wobble[i, 0]) / n - np.pi / 2
        position = np.array([radius * np.cos(angle), radius * np.sin(angle), height])
        lens = FISHEYE_DISTORTION if i in fisheye else MILD_DISTORTION
        cameras.append(
            aim_camera(
                f"cam{i}",
                position * (1 + 0.03 * wobble[i, 1:4]),
                target=0.02 * radius * np.append(wobble[i, 4:6], 0.0),
                size=size,
                focal=focal * (1 + 0.02 * wobble[i, 6]) * (0.5 if i in fisheye else 1.0),
                distortion=lens,
                fisheye=i in fisheye,
            )
        )
    return CameraGroup(cameras, "mm")
