"""What a point set in some views says of the others: where it may lie, or where it does lie."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration import Camera, CameraGroup
from mapose.arrays import Bools, Floats
from mapose.errors import SettingsError, suggest_name

#: Standard deviation of a point that a person sets, px. (Two people who label mice differ by 2 to
#: 3 px; Mathis et al. 2018, Nature Neuroscience 21:1281.)
SIGMA = 2.0
#: From how near to how far points on a ray are looked for, in distances to the middle of the rig.
_NEAR, _FAR = 0.02, 8.0
_SAMPLES = 512
_DRAWN = 64
#: How far outside of the picture a line is followed, in widths of it.
_ROOM = 0.25
#: Cosine of an angle from which on two directions are not the same.
_SAME = 1 - 1e-6
_STEP = 1e-3


@dataclass(frozen=True, eq=False)
class Pointing:
    """Where a point is that was set in two or more views.

    Parameters
    ----------
    point : float64, (3,)
        In the unit of the cameras; NaN where the views do not meet.
    pixels : dict of str to float64 (2,)
        Where every camera of the group sees it; NaN where it does not.
    covariance : dict of str to float64 (2, 2)
        Of these pixels, px squared.
    errors : dict of str to float
        How far that is from where it was set, px.
    """

    point: Floats
    pixels: dict[str, Floats]
    covariance: dict[str, Floats]
    errors: dict[str, float]


def find_sightline(
    cameras: CameraGroup, camera: str, pixel: npt.ArrayLike, *, other: str, sigma: float = SIGMA
) -> Floats:
    """Find where another camera may see what one camera sees at a pixel: the epipolar line.

    Lenses bend it. It ends where the point would be behind a camera or far outside of the picture.

    Parameters
    ----------
    cameras : CameraGroup
    camera : str
        The one in which the point was set.
    pixel : float, (2,)
    other : str
        The one that is asked.
    sigma : float
        Standard deviation of the pixel, px.

    Returns
    -------
    float64, (N, 3)
        x, y, and half the width of the band of one standard deviation there, px.

    Examples
    --------
    >>> from calibration import make_ring
    >>> ring = make_ring(3)
    >>> seen = ring.project([[30, 40, 50]])[:, 0]
    >>> line = find_sightline(ring, "cam0", seen[0], other="cam2")
    >>> bool(np.linalg.norm(line[:, :2] - seen[2], axis=1).min() < 20)
    True
    """
    one, two = cameras[camera], cameras[other]
    place = np.asarray(pixel, np.float64)
    depths = np.geomspace(_NEAR, _FAR, _SAMPLES) * _find_distance(cameras, one)
    shifts = np.array([[0, 0], [_STEP, 0], [0, _STEP]])
    rays = one.rays(place + shifts)
    points = one.centre + rays[:, None] * depths[:, None]
    spots = two.project(points)
    line, slopes = spots[0], (spots[1:] - spots[0]) / _STEP
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], -1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    width = sigma * np.sqrt(((slopes * normal).sum(-1) ** 2).sum(0))
    size = np.array(two.size, np.float64)
    near = ((line > -_ROOM * size) & (line < (1 + _ROOM) * size)).all(-1) & np.isfinite(width)
    near &= _is_true(two, points[0], line)
    return _thin(np.concatenate([line, width[:, None]], -1)[near])


def find_point(
    cameras: CameraGroup, pixels: Mapping[str, npt.ArrayLike], *, sigma: float = SIGMA
) -> Pointing:
    """Find the point that was set in two or more views, and where all cameras see it.

    All views count: a person who set it meant it. Which one is out of line, its error tells.

    Parameters
    ----------
    cameras : CameraGroup
    pixels : dict of str to float (2,)
        By camera.
    sigma : float
        Standard deviation of the pixels, px.

    Raises
    ------
    SettingsError
        If there are fewer than two views.
    """
    for name in pixels:
        if name not in cameras:
            raise SettingsError(f"no camera {name!r}: {suggest_name(name, cameras.names)}")
    if len(pixels) < 2:
        raise SettingsError(f"wanted a point in two views at least, came {len(pixels)}")
    given = np.full((len(cameras), 1, 2), np.nan)
    for row, name in enumerate(cameras.names):
        if name in pixels:
            given[row, 0] = np.asarray(pixels[name], np.float64)
    found = cameras.triangulate(given, sigma=sigma, robust=False)
    point, spread = found.points[0], found.covariance[0]
    seen = {camera.name: camera.project(point) for camera in cameras}
    return Pointing(
        point,
        seen,
        {camera.name: _find_ellipse(camera, point, spread, sigma) for camera in cameras},
        {n: float(np.linalg.norm(seen[n] - np.asarray(p, np.float64))) for n, p in pixels.items()},
    )


def _is_true(camera: Camera, points: Floats, pixels: Floats) -> Bools:
    """Tell where a lens model holds: outside of its picture it may fold the world back into it."""
    away = points - camera.centre
    away /= np.linalg.norm(away, axis=-1, keepdims=True)
    return np.asarray((camera.rays(pixels) * away).sum(-1) > _SAME)


def _thin(line: Floats) -> Floats:
    """Take some places of a line, evenly over its length in the picture."""
    if len(line) <= _DRAWN:
        return line
    way = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line[:, :2], axis=0), axis=-1))]
    even = np.linspace(0, way[-1], _DRAWN)
    return np.stack([np.interp(even, way, column) for column in line.T], -1)


def _find_ellipse(camera: Camera, point: Floats, spread: Floats, sigma: float) -> Floats:
    """Carry a covariance from space into a picture, with the noise of whoever looks."""
    step = _STEP * max(1.0, float(np.linalg.norm(point - camera.centre)))
    moved = camera.project(point + step * np.eye(3))
    slope = ((moved - camera.project(point)) / step).T
    return np.asarray(slope @ spread @ slope.T + sigma**2 * np.eye(2))


def _find_distance(cameras: Collection[Camera], one: Camera) -> float:
    """Find how far a camera is from the point that all cameras look at most nearly."""
    rays = [c.rotation_matrix[2] for c in cameras]
    planes = [np.eye(3) - np.outer(ray, ray) for ray in rays]
    sides = [plane @ c.centre for plane, c in zip(planes, cameras, strict=True)]
    middle = np.linalg.lstsq(np.sum(planes, 0), np.sum(sides, 0), rcond=None)[0]
    return float(np.linalg.norm(middle - one.centre)) or 1.0
