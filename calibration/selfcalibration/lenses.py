"""Pixels of pictures that were undistorted before: they do not go with the lenses as calibrated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats
from calibration.camera import find_reprojection_errors
from calibration.group import CameraGroup
from calibration.triangulation.points import triangulate_points

# Lenses without distortion explain the pixels if they lower distances to this share, and by
# this much, px: a lens that bends less than that cannot be told from one that does not.
_EXPLAINS, _LEAST = 0.35, 0.2
# Distances are compared by their logarithms, so that animals seen less exactly than others do not
# drown them; below and above these, px, all are alike.
_RANGE = (0.01, 1000.0)
# Points that are looked at, and how many are needed.
_POINTS, _FEWEST = 2000, 20


def find_undistorted(
    cameras: CameraGroup, pixels: npt.ArrayLike
) -> tuple[CameraGroup, float, float] | None:
    """Tell whether pixels are those of pictures whose distortion was taken out before.

    Parameters
    ----------
    cameras : CameraGroup
        V cameras, as calibrated.
    pixels : float, (V, ..., 2)
        The same points in all views; NaN = not seen.

    Returns
    -------
    None or (CameraGroup, float, float)
        None if the lenses fit as they are, or as badly without distortion. Else the cameras
        without distortion, and the geometric mean distance, px, of the pixels from the points
        with the lenses as calibrated, and without distortion.

    Examples
    --------
    >>> from calibration import make_ring
    >>> bent = [replace(c, distortion=[-0.9, 0, 0, 0]) for c in make_ring(3)]
    >>> pixels = make_ring(3).project(np.random.default_rng(0).normal(0, 80, (100, 3)))
    >>> found = find_undistorted(CameraGroup(bent), pixels)
    >>> found[1] > 0.3 > 0.1 > found[2]
    True
    """
    if not any(camera.distortion.any() or camera.model == "fisheye" for camera in cameras):
        return None
    flat = np.asarray(pixels, np.float64).reshape(len(cameras), -1, 2)
    shared = np.flatnonzero(np.isfinite(flat).all(-1).sum(0) > 1)
    if len(shared) < _FEWEST:
        return None
    flat = flat[:, shared[np.linspace(0, len(shared) - 1, min(len(shared), _POINTS)).astype(int)]]
    straight = CameraGroup(
        [replace(c, distortion=np.zeros(4), model="pinhole") for c in cameras], cameras.unit
    )
    before, after = (_measure(group, flat) for group in (cameras, straight))
    if not (after < _EXPLAINS * before and before - after > _LEAST):
        return None
    return straight, before, after


def _measure(cameras: CameraGroup, pixels: Floats) -> float:
    """Find the geometric mean distance, px, of pixels (V, N, 2) from the points that they make."""
    points = triangulate_points(cameras, pixels, robust=False).points
    errors = find_reprojection_errors(cameras, points, pixels)[np.isfinite(pixels).all(-1)]
    return float(np.exp(np.log(np.clip(np.nan_to_num(errors, nan=np.inf), *_RANGE)).mean()))
