"""How a lens bends the ideal image: Brown-Conrady (pinhole) and Kannala-Brandt (fisheye).

Points of the ideal image are x / z and y / z in the camera's frame. Arrays hold their components
first, (2, ...): each component then lies in one piece, which is what makes numpy fast here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
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


def distort_plane(model: Model, plane: Floats, distortion: Floats) -> Floats:
    """Bend points of the ideal image, (2, ...) to (2, ...)."""
    if not len(distortion) and model == "pinhole":
        return plane
    x, y = plane
    if model == "fisheye":
        radius = np.sqrt(x * x + y * y)
        bent = _bend_angle(np.arctan(radius), distortion)[0]
        # On the axis both radii vanish and their ratio is 1.
        scale = np.divide(bent, radius, out=np.ones_like(radius), where=~(radius < 1e-12))
        return np.asarray(plane * scale)
    p1, p2 = distortion[2:4]
    r2 = x * x + y * y
    radial = _find_radial(r2, distortion)[0]
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ]
    )


def differentiate_plane(
    model: Model, plane: Floats, distortion: Floats, *, lens: bool = True
) -> tuple[Floats, Floats, Floats]:
    """Bend points of the ideal image and say how the result changes.

    Parameters
    ----------
    model : {"pinhole", "fisheye"}
        Of the lens.
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
        du / dx, du / dy (which dv / dx equals in both models), dv / dy.
    by_coefficient : float64, (D, 2, ...)
        Changes of u and v with each coefficient.
    """
    if model == "fisheye":
        return _differentiate_fisheye(plane, distortion, lens)
    if not len(distortion):
        ones, zeros = np.ones_like(plane[0]), np.zeros_like(plane[0])
        return plane, np.stack([ones, zeros, ones]), np.empty((0, *plane.shape))
    return _differentiate_pinhole(plane, distortion, lens)


def straighten_plane(model: Model, bent: Floats, distortion: Floats) -> Floats:
    """Find the ideal image points (2, ...) of bent ones; NaN where no ray is bent there."""
    if model == "fisheye":
        return _straighten_fisheye(bent, distortion)
    plane = bent.copy()
    if not distortion.any():
        return plane
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            there, (xx, xy, yy), _ = _differentiate_pinhole(plane, distortion, lens=False)
            error = there - bent
            if not (np.abs(error) > 1e-14).any():
                break
            step = np.stack([yy * error[0] - xy * error[1], xx * error[1] - xy * error[0]])
            plane -= step / (xx * yy - xy * xy)
        there, (xx, xy, yy), _ = _differentiate_pinhole(plane, distortion, lens=False)
        error = np.abs(there - bent).max(0)
    # Where the lens folds back, the derivative is no longer positive and the ray is not real.
    real = (xx + yy > 0) & (xx * yy - xy * xy > 0)
    plane[:, ~((error < _TOLERANCE) & real)] = np.nan
    return plane


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
    tangential = np.stack([2 * xy, r2 + 2 * yy]), np.stack([r2 + 2 * xx, 2 * xy])
    bent = plane * radial + p1 * tangential[0] + p2 * tangential[1]
    slopes = np.stack(
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


def _differentiate_fisheye(
    plane: Floats, distortion: Floats, lens: bool = True
) -> tuple[Floats, Floats, Floats]:
    x, y = plane
    r2 = x * x + y * y
    radius = np.sqrt(r2)
    theta = np.arctan(radius)
    bent, slope = _bend_angle(theta, distortion)
    away = ~(radius < _AXIS)
    scale = np.divide(bent, radius, out=np.ones_like(radius), where=away)
    k1 = distortion[0] if len(distortion) else 0.0
    # Change of the scale along the radius over the radius; on the axis twice r2's factor in
    # scale = 1 + (k1 - 1 / 3) r2 + ...
    change = np.divide(
        slope / (1 + r2) - scale, r2, out=np.full_like(radius, 2 * (k1 - 1 / 3)), where=away
    )
    slopes = np.stack([scale + x * x * change, x * y * change, scale + y * y * change])
    by_coefficient = np.empty((len(distortion) if lens else 0, *plane.shape))
    power = theta * theta * np.divide(theta, radius, out=np.ones_like(radius), where=away)
    for i in range(len(by_coefficient)):
        np.multiply(plane, power, out=by_coefficient[i])
        power = power * (theta * theta)
    return plane * scale, slopes, by_coefficient


def _bend_angle(theta: Floats, distortion: Floats) -> tuple[Floats, Floats]:
    """Find the image radius at an angle to the axis, and its derivative."""
    k1, k2, k3, k4 = np.pad(distortion, (0, 4 - len(distortion)))
    t2 = theta * theta
    bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
    return bent, slope


def _straighten_fisheye(bent: Floats, distortion: Floats) -> Floats:
    radius = np.sqrt((bent * bent).sum(0))
    theta = np.minimum(radius, np.pi / 2)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            there, slope = _bend_angle(theta, distortion)
            theta = theta - (there - radius) / slope
        error = np.abs(_bend_angle(theta, distortion)[0] - radius)
        scale = np.divide(np.tan(theta), radius, out=np.ones_like(radius), where=~(radius < 1e-12))
    found = (error < _TOLERANCE) & (theta < np.pi / 2) & (theta >= 0)
    return np.where(found, bent * scale, np.nan)
