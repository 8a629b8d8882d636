"""Points of the world that fit sightlines best: least squares, many points and choices at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import Floats
from calibration.triangulation.sightlines import Sightlines

# Places of the six different entries of a symmetric 3 x 3 matrix.
PLACES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
# A point is at its best when the next step gains less than this in squared residuals.
_STILL = 1e-6
_MOST, _HALVINGS = 20, 4


@dataclass(frozen=True, eq=False)
class Fit:
    """Points and how they fit.

    Parameters
    ----------
    points : float64, (3, N)
        World points.
    normal : float64, (6, N)
        Upper triangle, by rows, of the inverse covariance of the points.
    gradient : float64, (3, N)
        Of half the sum of squared residuals; 0 at the best point.
    squares : float64, (V, N)
        Squared residuals in units of the noise, of all views, used or not; infinite at no depth.
    depth : float64, (V, N)
        As the sightlines measure it.
    """

    points: Floats
    normal: Floats
    gradient: Floats
    squares: Floats
    depth: Floats


def fit_points(lines: Sightlines, used: Floats, *, steps: int) -> Fit:
    """Find the points that fit their used sightlines best.

    Parameters
    ----------
    lines : Sightlines
        Of N points.
    used : float64, (V, N)
        1 where a view counts, 0 where not.
    steps : int
        Of Gauss and Newton after the linear solution, in which all depths count the same.

    Returns
    -------
    Fit
        Not finite where the used sightlines do not meet in one point.

    References
    ----------
    Hartley and Sturm 1997, "Triangulation" (Computer Vision and Image Understanding 68:146).
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        normal, gradient = _build_linear(lines, used)
        points = -_solve(normal, gradient)
        for _ in range(steps):
            normal, gradient, _, _ = _build_newton(lines, used, points)
            points = points - _solve(normal, gradient)
        return Fit(points, *_build_newton(lines, used, points))


def refine_points(lines: Sightlines, used: Floats, fit: Fit) -> Fit:
    """Take further steps, never uphill, where points are not at their best yet.

    Parameters
    ----------
    lines : Sightlines
        Of N points.
    used : float64, (V, N)
        1 where a view counts, 0 where not.
    fit : Fit
        Where to start.

    Returns
    -------
    Fit
        Within a thousandth of a standard deviation of the unit noise of the best points, or
        after 20 steps.
    """
    for _ in range(_MOST):
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            step = _solve(fit.normal, fit.gradient)
            moving = (step * fit.gradient).sum(0) > _STILL
            if not moving.any():
                break
            part, counted = lines.take(np.flatnonzero(moving)), used[:, moving]
            before = _sum_used(fit.squares[:, moving], counted)
            scale = np.ones(len(before))
            for _ in range(_HALVINGS):
                points = fit.points[:, moving] - scale * step[:, moving]
                there = Fit(points, *_build_newton(part, counted, points))
                uphill = ~(_sum_used(there.squares, counted) <= before)
                if not uphill.any():
                    break
                scale[uphill] /= 4
        better = np.flatnonzero(moving)[~uphill]
        for new, old in zip(vars(there).values(), vars(fit).values(), strict=True):
            old[..., better] = new[..., ~uphill]
    return fit


def invert_normal(normal: Floats) -> tuple[Floats, Floats]:
    """Invert symmetric matrices, given and returned as upper triangles (6, N); determinants."""
    a, b, c, d, e, f = normal
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * first + b * second + c * third
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        scale = 1 / np.where(determinant > 0, determinant, np.nan)
        inverse = np.array([first, second, third, a * f - c * c, b * c - a * e, a * d - b * b])
        inverse *= scale
    return inverse, determinant


def _solve(normal: Floats, gradient: Floats) -> Floats:
    a, b, c, d, e, f = invert_normal(normal)[0]
    x, y, z = gradient
    return np.array([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z])


def _build_linear(lines: Sightlines, used: Floats) -> tuple[Floats, Floats]:
    normal, gradient = np.zeros((6, used.shape[1])), np.zeros((3, used.shape[1]))
    for row, offset in zip(lines.rows, lines.offsets, strict=True):
        weighted = [used * part for part in row]
        for place, (k, m) in zip(normal, PLACES, strict=True):
            place += _sum_views(weighted[k], row[m])
        for place, part in zip(gradient, weighted, strict=True):
            place += _sum_views(part, offset)
    return normal, gradient


def _build_newton(
    lines: Sightlines, used: Floats, points: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    normal, gradient = np.zeros((6, used.shape[1])), np.zeros((3, used.shape[1]))
    x, y, z = points
    forward = lines.forward
    depth = forward[0] * x + forward[1] * y + forward[2] * z + lines.shift
    inverse = 1 / depth
    squares = np.where(depth > 0, 0.0, np.inf)
    for row, offset in zip(lines.rows, lines.offsets, strict=True):
        residual = (row[0] * x + row[1] * y + row[2] * z + offset) * inverse
        squares += residual * residual
        factor = inverse * used
        slopes = [
            (part - residual * axis) * factor for part, axis in zip(row, forward, strict=True)
        ]
        # `used` is 0 or 1: its square, which multiplies the squares, is itself.
        for place, (k, m) in zip(normal, PLACES, strict=True):
            place += _sum_views(slopes[k], slopes[m])
        for place, slope in zip(gradient, slopes, strict=True):
            place += _sum_views(slope, residual)
    return normal, gradient, squares, depth


def _sum_used(squares: Floats, used: Floats) -> Floats:
    return np.asarray(np.where(used > 0, squares, 0).sum(0))


def _sum_views(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("vn,vn->n", a, b))


def find_surprise(lines: Sightlines, fit: Fit, *, noise: float) -> tuple[Floats, Floats]:
    """Find how far views are from where other views expect the point.

    Parameters
    ----------
    lines : Sightlines
        Of N points.
    fit : Fit
        To the other views.
    noise : float
        Standard deviation of pixels in units of the sightlines.

    Returns
    -------
    squares : float64, (V, N)
        Squared distances in standard deviations of noise and expectation together.
    spread : float64, (V, N)
        By how much the area of uncertainty exceeds that of the noise alone, squared.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        a, b, c, d, e, f = invert_normal(fit.normal)[0]
        x, y, z = fit.points
        inverse = 1 / fit.depth
        axes = lines.forward
        residuals, slopes, carried = [], [], []
        for row, offset in zip(lines.rows, lines.offsets, strict=True):
            residual = (row[0] * x + row[1] * y + row[2] * z + offset) * inverse
            p, q, r = [
                (part - residual * axis) * inverse for part, axis in zip(row, axes, strict=True)
            ]
            residuals.append(residual)
            slopes.append((p, q, r))
            carried.append((a * p + b * q + c * r, b * p + d * q + e * r, c * p + e * q + f * r))
        xx, xy, yy = [
            sum(p * q for p, q in zip(slopes[i], carried[j], strict=True))
            for i, j in ((0, 0), (0, 1), (1, 1))
        ]
        xx, yy = xx + 1, yy + 1
        spread = xx * yy - xy * xy
        u, v = residuals
        squares = (u * u * yy - 2 * u * v * xy + v * v * xx) / (spread * noise**2)
    return np.where(fit.depth > 0, squares, np.inf), spread
