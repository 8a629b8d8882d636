"""How far pixels of two cameras are from being images of one point."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.triangulation.sightlines import Sightlines, make_sightlines

# Up to how many standard deviations distances of wrong pairs are taken as uniform: wide at first,
# as the start may be wrong, then near, as small distances are the more frequent ones.
_REACHES = (30.0, 8.0)
_ROUNDS = 60
_LEAST = 0.05
# How many distances the guess of the noise weighs.
_TRUST = 4.0


def find_epipolar_distances(
    a: Camera, b: Camera, pixels_a: npt.ArrayLike, pixels_b: npt.ArrayLike
) -> Floats:
    """Find how far pixels of two cameras are from showing one point.

    The distance is the root of the smallest sum of squared shifts, of both pixels together,
    that makes their rays meet (Sampson's first-order solution). If both coordinates of both
    pixels have noise of standard deviation s, so has the distance about 0. It does not say on
    which side of the cameras the rays meet.

    Parameters
    ----------
    a, b : Camera
        At different places.
    pixels_a, pixels_b : float, (..., 2)
        Pixels; NaN = missing. Leading axes broadcast: for all pairs of P and Q pixels give
        (P, 1, 2) and (Q, 2). Lenses are straightened before.

    Returns
    -------
    float64, (...)
        Distances in px; NaN where a pixel is missing or meets no ray.

    Raises
    ------
    CalibrationError
        If the last axes have not length 2.

    References
    ----------
    Hartley and Zisserman 2004, "Multiple View Geometry", section 11.4.3; Sampson 1982.

    Examples
    --------
    >>> from calibration.synthetic import make_ring
    >>> ring = make_ring(3)
    >>> seen = ring.project([[0, 0, 0], [30, 40, 50]])
    >>> find_epipolar_distances(ring["cam0"], ring["cam2"], seen[0][:, None], seen[2]).round(1)
    array([[ 0., 48.],
           [47.,  0.]])
    """
    rays, sways = [], []
    for camera, pixels in zip((a, b), (pixels_a, pixels_b), strict=True):
        array = np.asarray(pixels, np.float64)
        if array.ndim == 0 or array.shape[-1] != 2:
            raise CalibrationError(
                f"pixels of {camera.name!r}: wanted an array whose last axis has length 2, "
                f"came {array.shape}"
            )
        lines = make_sightlines([camera], array.reshape(1, -1, 2))
        shape = array.shape[:-1]
        ray, sway = lines.find_rays()
        rays.append(np.where(lines.seen, ray, np.nan).reshape(3, *shape))
        sways.append(sway.reshape(2, 3, *shape))
    apart = b.centre - a.centre
    return np.abs(_find_sampson(rays, sways, apart))


def find_all_distances(lines: Sightlines) -> Floats:
    """Find the distances of all pairs of cameras, float64 (V (V - 1) / 2, N).

    Pairs are in the order of `numpy.triu_indices`. In standard deviations of the noise that the
    sightlines were made with; NaN where not both are seen.
    """
    views, n = lines.seen.shape
    rays, sways = lines.find_rays()
    distances = np.empty((views * (views - 1) // 2, n))
    start = 0
    for a in range(views - 1):
        others = slice(a + 1, None)
        part = slice(start, start := start + views - 1 - a)
        apart = (lines.centres[:, others] - lines.centres[:, a, None])[..., None]
        distances[part] = np.abs(
            _find_sampson(
                [rays[:, a, None], rays[:, others]],
                [sways[:, :, a, None], sways[:, :, others]],
                apart,
            )
        )
        np.copyto(distances[part], np.nan, where=~(lines.seen[a] & lines.seen[others]))
    return distances


def estimate_noise(distances: Floats, *, guess: float) -> float:
    """Estimate the standard deviation of pixels from epipolar distances, some of them wrong.

    Distances of right pairs are taken as normal about 0, those of wrong pairs as uniform; the
    share of both and the width of the first are found by expectation and maximisation.

    Parameters
    ----------
    distances : float64, (...)
        Of pairs of pixels, px; NaN = missing.
    guess : float
        What is believed without data, in px; weighs as much as four distances.

    Returns
    -------
    float
        In px, at least 0.05: below that lie rounding and what no lens model describes.

    References
    ----------
    Dempster et al. 1977 (Journal of the Royal Statistical Society B 39:1).
    """
    found = distances[np.isfinite(distances)]
    if not found.size:
        return guess
    # A low quantile stays a usable start when most pairs are wrong.
    noise = max(float(np.quantile(found, 0.1)) / 0.1257, _LEAST)
    for reach in _REACHES:
        noise = _fit_noise(found, noise, reach=reach * noise, guess=guess)
    return max(noise, _LEAST)


def _fit_noise(found: Floats, noise: float, *, reach: float, guess: float) -> float:
    squares = found[found < reach] ** 2
    share = 0.5
    for _ in range(_ROUNDS):
        right = (1 - share) * np.sqrt(2 / np.pi) / noise * np.exp(-0.5 * squares / noise**2)
        right /= right + share / reach
        before, total = noise, float(right.sum())
        # Not a dot product: on several threads that takes longer than all the rest.
        weighed = float((right * squares).sum()) + _TRUST * guess**2
        noise = max(float(np.sqrt(weighed / (total + _TRUST))), _LEAST)
        share = min(max(1 - total / max(squares.size, 1), 1e-3), 1 - 1e-3)
        if abs(noise - before) < 1e-4 * before:
            break
    return noise


def _find_sampson(rays: list[Floats], sways: list[Floats], apart: Floats) -> Floats:
    """Find Sampson's distance of rays (3, ...) that start `apart` (3, ...) from each other."""
    first, second = rays
    # Normals of the planes that hold the line between the cameras and one of the rays.
    normals = [_cross(second, apart), _cross(apart, first)]
    gap = first[0] * normals[0][0] + first[1] * normals[0][1] + first[2] * normals[0][2]
    spread = 0.0
    for normal, sway in zip(normals, sways, strict=True):
        for i in range(2):
            slope = sway[i, 0] * normal[0] + sway[i, 1] * normal[1] + sway[i, 2] * normal[2]
            spread = spread + slope * slope
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(gap / np.sqrt(spread))


def _cross(a: Floats, b: Floats) -> list[Floats]:
    return [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
