"""One camera: pinhole or fisheye, world to image and back.

Image pixels have x to the right and y down; the centre of the top-left pixel is (0, 0). The
camera looks along its +z axis, x to the right, y down. The world is right-handed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError

Floats = npt.NDArray[np.float64]
Model = Literal["pinhole", "fisheye"]

#: Numbers of distortion coefficients that each model knows.
DISTORTIONS = {"pinhole": (0, 4, 5, 8), "fisheye": (0, 4)}

# Newton's method gains two digits or more a step from the distorted point as its start; lenses
# that are not inverted to 1e-9 after this many steps do not map that pixel to any ray.
_STEPS = 30
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera.

    A world point X is at R X + t in the camera's frame.

    Parameters
    ----------
    name : str
        By which the camera is found in a group.
    size : (int, int)
        Width and height of the image in pixels.
    matrix : float, (3, 3)
        Focal lengths, principal point and skew in pixels; the last row is 0 0 1.
    distortion : float, (0,), (4,), (5,) or (8,)
        Pinhole: k1 k2 p1 p2 [k3 [k4 k5 k6]]; fisheye: k1 k2 k3 k4.
    rotation : float, (3,) or (3, 3)
        World to camera. Kept as a Rodrigues vector in radians, the form of calibration files;
        a matrix is turned into one, and `rotation_matrix` gives it back.
    translation : float, (3,)
        World to camera, in the unit of the world.
    model : {"pinhole", "fisheye"}
        Brown-Conrady, or Kannala-Brandt as in OpenCV's fisheye module.

    Raises
    ------
    CalibrationError
        If shapes or numbers do not fit; all faults are listed at once.

    References
    ----------
    Brown 1971, "Close-range camera calibration" (Photogrammetric Engineering 37:855).
    Kannala and Brandt 2006 (IEEE TPAMI 28:1335).

    Examples
    --------
    >>> camera = Camera("top", (640, 480), [[500, 0, 320], [0, 500, 240], [0, 0, 1]])
    >>> camera.project([[0.3, 0.4, 1.0], [0, 0, -1]])
    array([[470., 440.],
           [ nan,  nan]])
    """

    name: str
    size: tuple[int, int]
    matrix: Floats
    distortion: Floats = ()  # type: ignore[assignment]
    rotation: Floats = (0.0, 0.0, 0.0)  # type: ignore[assignment]
    translation: Floats = (0.0, 0.0, 0.0)  # type: ignore[assignment]
    model: Model = "pinhole"

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not self.name:
            faults.append("it needs a name")
        if len(self.size) != 2 or min(self.size) < 1:
            faults.append(f"size: wanted (width, height) in pixels, came {self.size}")
        if self.model not in DISTORTIONS:
            faults.append(f"model: wanted 'pinhole' or 'fisheye', came {self.model!r}")
        for field in ("matrix", "distortion", "rotation", "translation"):
            array = np.array(getattr(self, field), dtype=np.float64)
            faults += _find_faults(field, array, self.model)
            object.__setattr__(self, field, array)
        if faults:
            raise CalibrationError(f"camera {self.name!r}: " + "; ".join(faults))
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        if self.rotation.shape == (3, 3):
            object.__setattr__(self, "rotation", cv2.Rodrigues(self.rotation)[0].ravel())
        for field in ("matrix", "distortion", "rotation", "translation"):
            getattr(self, field).flags.writeable = False

    @property
    def rotation_matrix(self) -> Floats:
        """World to camera, float64 (3, 3)."""
        return np.asarray(cv2.Rodrigues(self.rotation)[0], np.float64)

    @property
    def centre(self) -> Floats:
        """Where the camera stands in the world, float64 (3,)."""
        return np.asarray(-self.rotation_matrix.T @ self.translation)

    def to_camera(self, points: npt.ArrayLike) -> Floats:
        """Turn world points (..., 3) into the camera's frame (..., 3), same unit."""
        return _as_points(points, 3) @ self.rotation_matrix.T + self.translation

    def project(self, points: npt.ArrayLike) -> Floats:
        """Find the pixels at which world points are seen.

        Parameters
        ----------
        points : float, (..., 3)
            World points; NaN = missing.

        Returns
        -------
        float64, (..., 2)
            Pixels, also outside the image; NaN for points that are missing or not in front of
            the camera.

        Raises
        ------
        CalibrationError
            If the last axis has not length 3.
        """
        local = self.to_camera(points)
        depth = np.where(local[..., 2] > 0, local[..., 2], np.nan)
        plane = local[..., :2] / depth[..., None]
        bent = _distort_fisheye if self.model == "fisheye" else _distort_pinhole
        return bent(plane, self.distortion)[0] @ self.matrix[:2, :2].T + self.matrix[:2, 2]

    def undistort(self, pixels: npt.ArrayLike) -> Floats:
        """Find where pixels lie on the ideal image plane at distance 1.

        Parameters
        ----------
        pixels : float, (..., 2)
            Image pixels; NaN = missing.

        Returns
        -------
        float64, (..., 2)
            x / z and y / z in the camera's frame; NaN where missing or where no ray in front of
            the camera meets the pixel.

        Raises
        ------
        CalibrationError
            If the last axis has not length 2.
        """
        centred = _as_points(pixels, 2) - self.matrix[:2, 2]
        bent = centred @ np.linalg.inv(self.matrix[:2, :2]).T
        if self.model == "fisheye":
            return _straighten_fisheye(bent, self.distortion)
        return _straighten_pinhole(bent, self.distortion)

    def rays(self, pixels: npt.ArrayLike) -> Floats:
        """Find the directions in which pixels look; all rays start at `centre`.

        Parameters
        ----------
        pixels : float, (..., 2)
            Image pixels; NaN = missing.

        Returns
        -------
        float64, (..., 3)
            Unit vectors in the world; NaN where missing.
        """
        plane = self.undistort(pixels)
        local = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)
        local /= np.linalg.norm(local, axis=-1, keepdims=True)
        return np.asarray(local @ self.rotation_matrix)


def _as_points(points: npt.ArrayLike, dimensions: int) -> Floats:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != dimensions:
        raise CalibrationError(
            f"points: wanted an array whose last axis has length {dimensions}, came {array.shape}"
        )
    return array


def _find_faults(field: str, array: npt.NDArray[Any], model: str) -> list[str]:
    known = DISTORTIONS.get(model, (array.size,))
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        "matrix": ((3, 3),),
        "distortion": tuple((n,) for n in known),
        "rotation": ((3,), (3, 3)),
        "translation": ((3,),),
    }
    if array.shape not in shapes[field]:
        wanted = " or ".join(str(s) for s in shapes[field])
        return [f"{field}: wanted shape {wanted} for {model}, came {array.shape}"]
    if not np.isfinite(array).all():
        return [f"{field}: wanted finite numbers, came {array.tolist()}"]
    if field == "matrix" and (array[[0, 1], [0, 1]] <= 0).any():
        return [f"matrix: wanted focal lengths above 0, came {array[0, 0]} and {array[1, 1]}"]
    if field == "rotation" and array.shape == (3, 3):
        error = np.abs(array @ array.T - np.eye(3)).max()
        if error > 1e-6 or np.linalg.det(array) < 0:
            return ["rotation: the matrix mirrors or stretches, wanted a pure rotation"]
    return []


def _distort_pinhole(plane: Floats, distortion: Floats) -> tuple[Floats, Floats]:
    """Bend points of the ideal plane (..., 2); also gives the derivative (..., 2, 2)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = np.pad(distortion, (0, 8 - len(distortion)))
    x, y = plane[..., 0], plane[..., 1]
    r2 = x * x + y * y
    above = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    below = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    radial = above / below
    # d(radial) / d(r2), by the quotient rule.
    slope = (k1 + r2 * (2 * k2 + 3 * r2 * k3)) - radial * (k4 + r2 * (2 * k5 + 3 * r2 * k6))
    slope = slope / below
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    derivative = np.empty((*plane.shape, 2))
    derivative[..., 0, 0] = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    derivative[..., 1, 1] = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    derivative[..., 0, 1] = derivative[..., 1, 0] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    return np.stack([u, v], axis=-1), derivative


def _straighten_pinhole(bent: Floats, distortion: Floats) -> Floats:
    plane = bent.copy()
    if not distortion.any():
        return plane
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            there, derivative = _distort_pinhole(plane, distortion)
            error = there - bent
            if not (np.abs(error) > 1e-14).any():
                break
            (a, b), (c, d) = np.moveaxis(derivative, (-2, -1), (0, 1))
            step = np.stack(
                [d * error[..., 0] - b * error[..., 1], a * error[..., 1] - c * error[..., 0]],
                axis=-1,
            )
            plane -= step / (a * d - b * c)[..., None]
        there, derivative = _distort_pinhole(plane, distortion)
        error = np.abs(there - bent).max(-1)
    # Where the lens folds back, the derivative is no longer positive and the ray is not real.
    trace = derivative[..., 0, 0] + derivative[..., 1, 1]
    real = (trace > 0) & (np.linalg.det(derivative) > 0)
    plane[~((error < _TOLERANCE) & real)] = np.nan
    return plane


def _distort_fisheye(plane: Floats, distortion: Floats) -> tuple[Floats, Floats]:
    """Bend points of the ideal plane (..., 2); also gives bent over ideal radius (...)."""
    radius = np.linalg.norm(plane, axis=-1)
    bent = _bend_angle(np.arctan(radius), distortion)[0]
    # On the axis both radii vanish and their ratio is 1.
    scale = np.divide(bent, radius, out=np.ones_like(radius), where=~(radius < 1e-12))
    return plane * scale[..., None], scale


def _bend_angle(theta: Floats, distortion: Floats) -> tuple[Floats, Floats]:
    """Find the image radius at an angle to the axis, and its derivative."""
    k1, k2, k3, k4 = np.pad(distortion, (0, 4 - len(distortion)))
    t2 = theta * theta
    bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
    return bent, slope


def _straighten_fisheye(bent: Floats, distortion: Floats) -> Floats:
    radius = np.linalg.norm(bent, axis=-1)
    theta = np.minimum(radius, np.pi / 2)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            there, slope = _bend_angle(theta, distortion)
            theta = theta - (there - radius) / slope
        error = np.abs(_bend_angle(theta, distortion)[0] - radius)
        scale = np.divide(np.tan(theta), radius, out=np.ones_like(radius), where=~(radius < 1e-12))
    found = (error < _TOLERANCE) & (theta < np.pi / 2) & (theta >= 0)
    return np.where(found[..., None], bent * scale[..., None], np.nan)
