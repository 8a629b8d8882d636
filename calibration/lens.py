"""How a lens bends the ideal image: Brown-Conrady (pinhole) and Kannala-Brandt (fisheye).

Points of the ideal image are x / z and y / z in the camera's frame. A fisheye may see more than
that image holds: what is beside the camera or behind it. Arrays hold their components first: each
component then lies in one piece, which is what makes numpy fast here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from calibration.arrays import Bools, Floats

Model = Literal["pinhole", "fisheye"]

#: Numbers of distortion coefficients that each model knows.
DISTORTIONS = {"pinhole": (0, 4, 5, 8), "fisheye": (0, 4)}

# Newton's method gains two digits or more a step from the distorted point as its start; lenses
# that are not inverted to 1e-9 after this many steps do not map that pixel to any ray.
_STEPS = 30
_TOLERANCE = 1e-9
# Nearer to the axis than this, differences of a fisheye's radii drown in rounding; the limit on
# the axis is exact to the square of this number.
_AXIS = 1e-4


def bend_rays(model: Model, local: Floats, distortion: Floats) -> Floats:
    """Bend points of the camera's frame, (3, ...) to (2, ...); NaN where the lens cannot see.

    A pinhole sees what is in front of it; a fisheye up to where its image folds back, which may
    be behind it.
    """
    x, y, z = local
    if model == "fisheye":
        across = np.sqrt(x * x + y * y)
        bent = _bend_angle(_find_angle(across, z, distortion), distortion)[0]
        return np.asarray(local[:2] * _divide(bent, across, z, 1e-12))
    plane = local[:2] / np.where(z > 0, z, np.nan)
    if not len(distortion):
        return plane
    x, y = plane
    p1, p2 = distortion[2:4]
    r2 = x * x + y * y
    radial = _find_radial(r2, distortion)[0]
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ]
    )


def differentiate_rays(
    model: Model, local: Floats, distortion: Floats
) -> tuple[Floats, Floats, Floats]:
    """Bend points of the camera's frame and say how the result changes.

    Parameters
    ----------
    model : {"pinhole", "fisheye"}
        Of the lens.
    local : float64, (3, ...)
        Points in the camera's frame; NaN = missing.
    distortion : float64, (D,)
        Coefficients of the lens.

    Returns
    -------
    bent : float64, (2, ...)
        As of `bend_rays`.
    by_local : float64, (3, 2, ...)
        Changes with each coordinate.
    by_coefficient : float64, (D, 2, ...)
        Changes with each coefficient.
    """
    if model == "fisheye":
        return _differentiate_fisheye(local, distortion)
    inverse = 1 / np.where(local[2] > 0, local[2], np.nan)
    plane = local[:2] * inverse
    bent, (xx, xy, yy), by_coefficient = differentiate_plane(plane, distortion)
    by_local = np.empty((3, *bent.shape))
    by_local[0, 0], by_local[1, 1] = xx * inverse, yy * inverse
    by_local[0, 1] = by_local[1, 0] = xy * inverse
    by_local[2] = -(by_local[0] * plane[0] + by_local[1] * plane[1])
    return bent, by_local, by_coefficient


def differentiate_plane(
    plane: Floats, distortion: Floats, *, lens: bool = True
) -> tuple[Floats, Floats, Floats]:
    """Bend points of a pinhole's ideal image and say how the result changes.

    Parameters
    ----------
    plane : float64, (2, ...)
        Points of the ideal image; NaN = missing.
    distortion : float64, (D,)
        Coefficients of the lens.
    lens : bool
        Whether to find changes with the coefficients; without, D is 0.

    Returns
    -------
    bent : float64, (2, ...)
        The bent points u, v.
    slopes : float64, (3, ...)
        du / dx, du / dy (which dv / dx equals), dv / dy.
    by_coefficient : float64, (D, 2, ...)
        Changes of u and v with each coefficient.
    """
    if not len(distortion):
        ones, zeros = np.ones_like(plane[0]), np.zeros_like(plane[0])
        return plane, np.stack([ones, zeros, ones]), np.empty((0, *plane.shape))
    return _differentiate_pinhole(plane, distortion, lens)


def is_visible(model: Model, local: Floats, distortion: Floats) -> Bools:
    """Tell which points (3, ...) of the camera's frame a lens can see."""
    x, y, z = local
    if model == "pinhole":
        return np.asarray(z > 0)
    return np.isfinite(_find_angle(np.sqrt(x * x + y * y), z, distortion))


def straighten_rays(model: Model, bent: Floats, distortion: Floats) -> Floats:
    """Find the directions (3, ...) in which bent points (2, ...) are seen; NaN where none is.

    Their length is 1 along the axis of a pinhole, 1 in all of a fisheye.
    """
    if model == "fisheye":
        angle, radius = find_angles(bent, distortion)[:2]
        scale = np.divide(np.sin(angle), radius, out=np.ones_like(radius), where=~(radius < 1e-12))
        return np.concatenate([bent * scale, np.cos(angle)[None]])
    plane = straighten_plane(bent, distortion)
    return np.concatenate([plane, np.where(np.isnan(plane[:1]), np.nan, 1.0)])


def straighten_plane(bent: Floats, distortion: Floats) -> Floats:
    """Find a pinhole's ideal image points (2, ...) of bent ones; NaN where no ray is bent there."""
    plane = bent.copy()
    if not distortion.any():
        return plane
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            there, (xx, xy, yy), _ = _differentiate_pinhole(plane, distortion, lens=False)
            error = there - bent
            if not (np.abs(error) > 1e-14).any():
                break
            step = np.array([yy * error[0] - xy * error[1], xx * error[1] - xy * error[0]])
            plane -= step / (xx * yy - xy * xy)
        there, (xx, xy, yy), _ = _differentiate_pinhole(plane, distortion, lens=False)
        error = np.abs(there - bent).max(0)
    # Where the lens folds back, the derivative is no longer positive and the ray is not real.
    real = (xx + yy > 0) & (xx * yy - xy * xy > 0)
    plane[:, ~((error < _TOLERANCE) & real)] = np.nan
    return plane


def find_angles(bent: Floats, distortion: Floats) -> tuple[Floats, Floats, Floats]:
    """Find the angles to a fisheye's axis under which bent points (2, ...) are seen.

    Returns
    -------
    angle : float64, (...)
        In radians; NaN where no ray is bent there.
    radius : float64, (...)
        Of the bent points.
    slope : float64, (...)
        Change of the radius with the angle.
    """
    radius = np.sqrt((bent * bent).sum(0))
    limit = find_limit(tuple(distortion.tolist()))
    angle = np.minimum(radius, limit)
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            there, slope = _bend_angle(angle, distortion)
            error = there - radius
            if not (np.abs(error) > 1e-14).any():
                break
            # Within what the lens sees its radius only grows: Newton's method cannot go astray.
            angle = np.clip(angle - error / slope, 0, limit)
        there, slope = _bend_angle(angle, distortion)
        fine = (np.abs(there - radius) < _TOLERANCE) & (angle < limit)
    return np.where(fine, angle, np.nan), radius, slope


@lru_cache(maxsize=64)
def find_limit(distortion: tuple[float, ...]) -> float:
    """Find the angle to its axis, in radians, up to which a fisheye with coefficients sees.

    From there on its image folds back; at the latest straight behind it.
    """
    powers = [(2 * i + 3) * k for i, k in enumerate(distortion)]
    roots = np.roots([*powers[::-1], 1.0])
    folds = roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)].real
    return float(min(np.sqrt(folds).min(initial=np.pi), np.pi))


def _find_angle(across: Floats, z: Floats, distortion: Floats) -> Floats:
    """Find the angles of points to the axis; NaN beyond what the lens sees."""
    angle = np.arctan2(across, z)
    seen = (angle < find_limit(tuple(distortion.tolist()))) & ((across > 0) | (z > 0))
    return np.where(seen, angle, np.nan)


def _divide(radius: Floats, across: Floats, z: Floats, least: float) -> Floats:
    """Divide by distances from the axis; nearer than `least` (at z = 1) by their limit, z."""
    away = ~(across < least * z)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(away, radius / across, 1 / z)


def _find_radial(r2: Floats, distortion: Floats) -> tuple[Floats, Floats, Floats | float]:
    """Find the radial factor, its derivative by r2, and the divisor within it."""
    k1, k2 = distortion[:2]
    k3 = distortion[4] if len(distortion) > 4 else 0.0
    above = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = k1 + r2 * (2 * k2 + 3 * r2 * k3)
    if len(distortion) < 8:
        return above, slope, 1.0
    k4, k5, k6 = distortion[5:]
    below = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    # By the quotient rule.
    return radial, (slope - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))) / below, below


def _differentiate_pinhole(
    plane: Floats, distortion: Floats, lens: bool = True
) -> tuple[Floats, Floats, Floats]:
    p1, p2 = distortion[2:4]
    x, y = plane
    xx, yy, xy = x * x, y * y, x * y
    r2 = xx + yy
    radial, slope, below = _find_radial(r2, distortion)
    tangential = np.array([2 * xy, r2 + 2 * yy]), np.array([r2 + 2 * xx, 2 * xy])
    bent = plane * radial + p1 * tangential[0] + p2 * tangential[1]
    slopes = np.array(
        [
            radial + 2 * xx * slope + 2 * p1 * y + 6 * p2 * x,
            2 * xy * slope + 2 * p1 * x + 2 * p2 * y,
            radial + 2 * yy * slope + 6 * p1 * y + 2 * p2 * x,
        ]
    )
    by_coefficient = np.empty((len(distortion) if lens else 0, *plane.shape))
    if lens:
        by_coefficient[0] = plane * (r2 / below)
        by_coefficient[1] = by_coefficient[0] * r2
        by_coefficient[2], by_coefficient[3] = tangential
        by_coefficient[4:5] = by_coefficient[1] * r2
        by_coefficient[5:] = by_coefficient[[0, 1, 4]] * -radial if len(distortion) == 8 else 0.0
    return bent, slopes, by_coefficient


def _differentiate_fisheye(local: Floats, distortion: Floats) -> tuple[Floats, Floats, Floats]:
    x, y, z = local
    across2 = x * x + y * y
    across = np.sqrt(across2)
    theta = _find_angle(across, z, distortion)
    bent, slope = _bend_angle(theta, distortion)
    slope = slope / (across2 + z * z)
    scale = _divide(bent, across, z, _AXIS)
    k1 = distortion[0] if len(distortion) else 0.0
    # Change of the scale with the distance from the axis over that distance; on the axis by
    # scale = (1 + (k1 - 1 / 3) r2 + ...) / z with r2 the square of distance over z.
    with np.errstate(divide="ignore", invalid="ignore"):
        near = 2 * (k1 - 1 / 3) / z**3
        change = np.where(across < _AXIS * z, near, (slope * z - scale) / across2)
    by_local = np.empty((3, 2, *x.shape))
    by_local[0, 0], by_local[1, 1] = scale + x * x * change, scale + y * y * change
    by_local[0, 1] = by_local[1, 0] = x * y * change
    by_local[2] = -local[:2] * slope
    by_coefficient = np.empty((len(distortion), 2, *x.shape))
    power = theta * theta * _divide(theta, across, z, _AXIS)
    for i in range(len(by_coefficient)):
        np.multiply(local[:2], power, out=by_coefficient[i])
        power = power * (theta * theta)
    return local[:2] * scale, by_local, by_coefficient


def _bend_angle(theta: Floats, distortion: Floats) -> tuple[Floats, Floats]:
    """Find the image radius at an angle to the axis, and its derivative."""
    k1, k2, k3, k4 = np.pad(distortion, (0, 4 - len(distortion)))
    t2 = theta * theta
    bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
    return bent, slope
