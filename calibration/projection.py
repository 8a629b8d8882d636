"""How pixels change with the point that is seen, with the camera's pose and with its lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.lens import differentiate_rays

#: Names of the parameters of a pose and of a lens, in the order of the derivatives' last axis.
POSE_NAMES = ("rx", "ry", "rz", "tx", "ty", "tz")
_LENS_NAMES = ("fx", "fy", "cx", "cy", "skew")
_DISTORTION_NAMES = {
    "pinhole": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Pixels of points and their changes; NaN where a point is missing or cannot be seen.

    Parameters
    ----------
    pixels : float64, (..., 2)
        Where the points are seen.
    by_point : float64, (..., 2, 3)
        Pixels per unit of the world along each axis of the world.
    by_pose : float64, (..., 2, 6)
        Pixels per radian of a small rotation vector w that turns the camera's rotation R into
        exp(w) R, then pixels per unit of the camera's translation.
    by_lens : float64, (..., 2, 5 + D)
        By fx fy cx cy skew, then by each of the D distortion coefficients.
    """

    pixels: Floats
    by_point: Floats
    by_pose: Floats
    by_lens: Floats


def lens_names(camera: Camera) -> tuple[str, ...]:
    """Name the parameters of a camera's lens: fx fy cx cy skew, then its coefficients."""
    return _LENS_NAMES + _DISTORTION_NAMES[camera.model][: len(camera.distortion)]


def differentiate_projection(camera: Camera, points: npt.ArrayLike) -> Derivatives:
    """Project world points and find how their pixels change with everything.

    Parameters
    ----------
    camera : Camera
        Pinhole or fisheye.
    points : float, (..., 3)
        World points; NaN = missing.

    Returns
    -------
    Derivatives
        Exact, by the chain rule; float64, missing where `Camera.project` gives NaN.

    Raises
    ------
    CalibrationError
        If the last axis has not length 3.

    References
    ----------
    Triggs et al. 2000, "Bundle adjustment: a modern synthesis", section 4 (local rotations).

    Examples
    --------
    >>> from calibration import Camera
    >>> camera = Camera("top", (640, 480), [[500, 0, 320], [0, 500, 240], [0, 0, 1]])
    >>> differentiate_projection(camera, [0.3, 0.4, 1.0]).by_point
    array([[ 500.,    0., -150.],
           [   0.,  500., -200.]])
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != 3:
        raise CalibrationError(
            f"points: wanted an array whose last axis has length 3, came {array.shape}"
        )
    turned = np.moveaxis(array @ camera.rotation_matrix.T, -1, 0)
    pixels, by_local, by_lens = differentiate_local(
        camera, turned + camera.translation.reshape(3, *[1] * (turned.ndim - 1))
    )
    by_turn = cross_rows(turned, by_local)
    by_point = np.moveaxis(by_local, (0, 1), (-1, -2)) @ camera.rotation_matrix
    return Derivatives(
        pixels=np.moveaxis(pixels, 0, -1),
        by_point=by_point,
        by_pose=np.moveaxis(np.concatenate([by_turn, by_local]), (0, 1), (-1, -2)),
        by_lens=np.moveaxis(by_lens, (0, 1), (-1, -2)),
    )


def differentiate_local(camera: Camera, local: Floats) -> tuple[Floats, Floats, Floats]:
    """Do the same in the camera's own frame, with components first.

    Parameters
    ----------
    camera : Camera
        Only its lens is used.
    local : float64, (3, ...)
        Points in the camera's frame; NaN = missing.

    Returns
    -------
    pixels : float64, (2, ...)
        Where the points are seen.
    by_local : float64, (3, 2, ...)
        By each coordinate of the points.
    by_lens : float64, (5 + D, 2, ...)
        By fx fy cx cy skew and the coefficients.
    """
    (fx, skew, cx), (shear, fy, cy) = camera.matrix[:2]
    bent, by_ray, by_coefficient = differentiate_rays(camera.model, local, camera.distortion)
    u, v = bent
    by_local = np.empty_like(by_ray)
    by_local[:, 0] = fx * by_ray[:, 0] + skew * by_ray[:, 1]
    by_local[:, 1] = shear * by_ray[:, 0] + fy * by_ray[:, 1]
    by_lens = np.zeros((5 + len(by_coefficient), 2, *u.shape))
    by_lens[0, 0], by_lens[1, 1], by_lens[4, 0] = u, v, v
    by_lens[2, 0] = by_lens[3, 1] = np.where(np.isnan(u), np.nan, 1.0)
    by_lens[:, :, np.isnan(u)] = np.nan
    by_lens[5:, 0] = fx * by_coefficient[:, 0] + skew * by_coefficient[:, 1]
    by_lens[5:, 1] = shear * by_coefficient[:, 0] + fy * by_coefficient[:, 1]
    pixels = np.stack([fx * u + skew * v + cx, shear * u + fy * v + cy])
    return pixels, by_local, by_lens


def cross_rows(turned: Floats, by_local: Floats) -> Floats:
    """Find the changes (3, 2, ...) with a small rotation of points (3, ...) about the origin.

    A rotation w moves a point q by w x q; a change d per unit of that is w . (q x d).
    """
    x, y, z = turned[:, None]
    a, b, c = by_local
    return np.stack([y * c - z * b, z * a - x * c, x * b - y * a])
