"""What pixels say about points of the world: equations, whitened by the noise of each pixel.

A pixel of a camera that turns the world by R and shifts it by t demands of a world point X that
``(rows X + offsets) / depth`` vanishes, where ``depth = forward X + shift`` is its depth. This
residual is the distance from the pixel to the image of X in standard deviations of the pixel's
noise, exact where they coincide: the lens is straightened once, and its slope there is part of
the rows. Depth is along the axis of a pinhole; each pixel of a fisheye, which may look beside or
behind the camera, has a frame and a depth of its own, along its ray. Arrays have their components
first and points last, which is what numpy is fast with.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration.arrays import Bools, Floats
from calibration.camera import Camera
from calibration.lens import differentiate_plane, find_angles, straighten_plane

# Newton's method from the bent point: its error is squared with every step.
_STEPS = 3


@dataclass(frozen=True, eq=False)
class Sightlines:
    """Pixels of N points in V cameras as equations; made by `make_sightlines`.

    What is not seen has rows and offsets 0: it never pulls at anything.

    Parameters
    ----------
    rows : float64, (2, 3, V, N)
        See the module; per unit of the world, times depth.
    offsets : float64, (2, V, N)
        See the module.
    plane : float64, (2, V, N)
        Pixels on the plane at distance 1 of their frame: the ideal image; 0 of a fisheye.
    whitener : float64, (4, V, N)
        Matrices, by rows, that turn distances on that plane into standard deviations.
    axes : float64, (3, 3, V, N) or (3, 3, V, 1)
        The frames: their x, y and z axes in the world. The last axis is 1 without a fisheye.
    centres : float64, (3, V)
        Where the cameras stand.
    shift : float64, (V, N) or (V, 1)
        Depth of the world's origin.
    log_noise : float64, (V, N)
        Logarithm of the product of both standard deviations, px^2.
    seen : bool, (V, N)
        Where there is a pixel.
    """

    rows: Floats
    offsets: Floats
    plane: Floats
    whitener: Floats
    axes: Floats
    centres: Floats
    shift: Floats
    log_noise: Floats
    seen: Bools

    @property
    def forward(self) -> Floats:
        """Directions of depth in the world, float64 (3, V, N) or (3, V, 1)."""
        return np.asarray(self.axes[2])

    def take(self, points: npt.NDArray[np.intp]) -> Sightlines:
        """Pick points by their numbers, also several times."""
        names = ["rows", "offsets", "plane", "whitener", "log_noise", "seen"]
        names += ["axes", "shift"] if self.shift.shape[-1] > 1 else []
        return replace(self, **{n: getattr(self, n).take(points, axis=-1) for n in names})

    def find_rays(self) -> tuple[Floats, Floats]:
        """Find where the pixels look, and how that sways with their noise.

        Returns
        -------
        rays : float64, (3, V, N)
            Directions in the world, 1 long along the depth.
        sways : float64, (2, 3, V, N)
            By how much a ray changes when its pixel moves by one standard deviation along each
            of two directions that are independent of each other.
        """
        axes = self.axes
        x, y = self.plane
        rays = axes[0] * x + axes[1] * y + axes[2]
        a, b, c, d = self.whitener
        with np.errstate(invalid="ignore", divide="ignore"):
            inverse = 1 / (a * d - b * c)
            a, b, c, d = a * inverse, b * inverse, c * inverse, d * inverse
            sways = np.array([d * axes[0] - c * axes[1], a * axes[1] - b * axes[0]])
        return rays, sways


def make_sightlines(
    cameras: Collection[Camera],
    pixels: Floats,
    *,
    weights: Floats | None = None,
    covariance: Floats | None = None,
) -> Sightlines:
    """Turn pixels into equations.

    Parameters
    ----------
    cameras : collection of Camera
        V of them.
    pixels : float64, (V, N, 2)
        NaN = not seen.
    weights : float64, (V, N), optional
        1 over the variance of both coordinates; 0 or NaN = not seen.
    covariance : float64, (V, N, 2, 2), optional
        Instead of the weights: px^2; NaN = not seen.
    """
    v, n = len(cameras), pixels.shape[1]
    rows, offsets = np.empty((2, 3, v, n)), np.empty((2, v, n))
    plane, whitener, log_noise = np.empty((2, v, n)), np.empty((4, v, n)), np.empty((v, n))
    each = n if any(camera.model == "fisheye" for camera in cameras) else 1
    axes, shifts = np.empty((3, 3, v, each)), np.empty((3, v, each))
    for i, camera in enumerate(cameras):
        noise, log_noise[i] = _find_whitener(
            None if weights is None else weights[i], None if covariance is None else covariance[i]
        )
        turned, plane[:, i], slopes = _straighten(camera, pixels[i])
        axes[..., i, :] = np.einsum("abn,bc->acn", turned, camera.rotation_matrix)
        shifts[:, i] = np.einsum("abn,b->an", turned, camera.translation)
        whitener[:, i] = _chain(noise, slopes, camera.matrix[:2, :2])
        # The last column is the equation's constant part.
        for k, (x, y, z) in enumerate([*axes[..., i, :].swapaxes(0, 1), shifts[:, i]]):
            across, down = x - plane[0, i] * z, y - plane[1, i] * z
            into = rows[:, k, i] if k < 3 else offsets[:, i]
            into[0] = whitener[0, i] * across + whitener[1, i] * down
            into[1] = whitener[2, i] * across + whitener[3, i] * down
    seen = np.asarray(np.isfinite(offsets).all(0))
    if not seen.all():
        for array in (rows, offsets, plane, whitener, log_noise):
            np.copyto(array, 0, where=~seen)
    centres = np.stack([camera.centre for camera in cameras], axis=-1)
    return Sightlines(
        rows, offsets, plane, whitener, axes, centres, shifts[2], log_noise=log_noise, seen=seen
    )


def _straighten(camera: Camera, pixels: Floats) -> tuple[Floats, Floats, Floats]:
    """Find where pixels look.

    Returns
    -------
    turned : float64, (3, 3, N) or (3, 3, 1)
        Axes of the frame of each in that of the camera.
    plane : float64, (2, N)
        Points on the plane at distance 1 of that frame; NaN where no ray is.
    slopes : float64, (4, N)
        By rows, how the bent point changes with the one on the plane.
    """
    (a, b), (c, d) = np.linalg.inv(camera.matrix[:2, :2])
    x, y = pixels[:, 0] - camera.matrix[0, 2], pixels[:, 1] - camera.matrix[1, 2]
    bent = np.array([a * x + b * y, c * x + d * y])
    if camera.model == "fisheye":
        return _straighten_fisheye(camera, bent)
    plane, (xx, xy, yy) = _straighten_pinhole(camera, bent)
    return np.eye(3)[..., None], plane, np.array([xx, xy, xy, yy])


def _straighten_fisheye(camera: Camera, bent: Floats) -> tuple[Floats, Floats, Floats]:
    """Find the ray of each bent point (2, N): outwards, around and along are the axes there."""
    angle, radius, slope = find_angles(bent, camera.distortion)
    seen, away = np.isfinite(angle), ~(radius < 1e-12)
    angle = np.where(seen, angle, 0)
    sine, cosine = np.sin(angle), np.cos(angle)
    axis = np.array([[1.0], [0.0]])
    u, v = np.divide(bent, radius, out=axis + 0 * bent, where=seen & away)
    turned = np.stack(
        [
            np.stack([cosine * u, cosine * v, -sine]),
            np.stack([-v, u, 0 * u]),
            np.stack([sine * u, sine * v, cosine]),
        ]
    )
    # What is not seen looks along the axis, so that all numbers stay finite.
    turned[..., ~seen] = np.eye(3)[..., None]
    around = np.divide(radius, sine, out=np.ones_like(sine), where=seen & away)
    slopes = np.stack([u * slope, -v * around, v * slope, u * around])
    return turned, np.where(seen, 0.0, np.nan) + 0 * bent, slopes


def _straighten_pinhole(camera: Camera, bent: Floats) -> tuple[Floats, Floats]:
    """Find points (2, N) of the ideal image, and the slopes (3, N) of the lens there.

    Few steps of Newton's method do for nearly all pixels; the rest is left to the slower way
    that knows what cannot be straightened.
    """
    if not camera.distortion.any():
        ones = np.ones_like(bent[0])
        return bent, np.stack([ones, 0 * ones, ones])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        plane = bent
        for _ in range(_STEPS):
            there, slopes, _ = differentiate_plane(plane, camera.distortion, lens=False)
            xx, xy, yy = slopes
            area = xx * yy - xy * xy
            u, v = there - bent
            step = np.array([yy * u - xy * v, xx * v - xy * u]) / area
            plane = plane - step
        # A step this small, in px, leaves an error of its square over the picture's width.
        fine = (np.abs(step).max(0) * camera.matrix[0, 0] < 1e-3) & (area > 0) & (xx + yy > 0)
    if not fine.all():
        rest = np.flatnonzero(~fine & np.isfinite(bent).all(0))
        plane[:, ~fine] = np.nan
        plane[:, rest] = straighten_plane(bent[:, rest], camera.distortion)
        slopes[:, rest] = differentiate_plane(plane[:, rest], camera.distortion, lens=False)[1]
    return plane, slopes


def _find_whitener(weights: Floats | None, covariance: Floats | None) -> tuple[Floats, Floats]:
    """Find the matrices (4, N) that turn pixels into standard deviations, and log noise (N,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if covariance is None:
            root = np.ones(1) if weights is None else np.sqrt(weights)
            root = np.where(root > 0, root, np.nan)
            return np.array([root, 0 * root, 0 * root, root]), -2 * np.log(root)
        # The inverse of the Cholesky factor.
        a = np.sqrt(covariance[:, 0, 0])
        b = covariance[:, 1, 0] / a
        c = np.sqrt(covariance[:, 1, 1] - b * b)
        return np.array([1 / a, 0 * a, -b / (a * c), 1 / c]), np.log(a * c)


def _chain(whitener: Floats, slopes: Floats, matrix: Floats) -> Floats:
    """Chain whitening, camera matrix and slopes of the lens: matrices (4, N), by rows."""
    (a, b), (c, d) = matrix
    xx, xy, yx, yy = slopes
    lens = a * xx + b * yx, a * xy + b * yy, c * xx + d * yx, c * xy + d * yy
    p, q, r, s = whitener
    return np.array(
        [
            p * lens[0] + q * lens[2],
            p * lens[1] + q * lens[3],
            r * lens[0] + s * lens[2],
            r * lens[1] + s * lens[3],
        ]
    )
