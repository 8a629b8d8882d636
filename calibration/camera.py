"""One camera: pinhole or fisheye, world to image and back.

Image pixels have x to the right and y down; the centre of the top-left pixel is (0, 0). The
camera looks along its +z axis, x to the right, y down. The world is right-handed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats
from calibration.errors import CalibrationError
from calibration.lens import DISTORTIONS, Model, bend_rays, straighten_rays

__all__ = ["Camera", "Floats", "Model"]

# Numbers of a lens matrix that are this small beside the others are zeros that were computed.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
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

    def __str__(self) -> str:
        width, height = self.size
        return f"Camera {self.name}: {self.model}, {width}x{height}, focal {self.focal:.0f} px"

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def rotation_matrix(self) -> Floats:
        """World to camera, float64 (3, 3)."""
        return np.asarray(cv2.Rodrigues(self.rotation)[0], np.float64)

    @property
    def centre(self) -> Floats:
        """Where the camera stands in the world, float64 (3,)."""
        return np.asarray(-self.rotation_matrix.T @ self.translation)

    @property
    def focal(self) -> float:
        """Focal length in pixels: the geometric mean of that of rows and of columns."""
        return float(np.sqrt(self.matrix[0, 0] * self.matrix[1, 1]))

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
            Pixels, also outside the image; NaN for points that are missing or that the lens cannot
            see. A pinhole sees what is in front of it. A fisheye also sees what is beside and
            behind it, up to the angle from which on its image would fold back.

        Raises
        ------
        CalibrationError
            If the last axis has not length 3.
        """
        local = np.moveaxis(self.to_camera(points), -1, 0)
        bent = bend_rays(self.model, local, self.distortion)
        return np.moveaxis(bent, 0, -1) @ self.matrix[:2, :2].T + self.matrix[:2, 2]

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
            the camera meets the pixel. A fisheye's pixels at a right angle to its axis and beyond
            are on no such plane: `rays` knows where they look.

        Raises
        ------
        CalibrationError
            If the last axis has not length 2.
        """
        local = self._straighten(pixels)
        return np.moveaxis(local[:2] / np.where(local[2] > 0, local[2], np.nan), 0, -1)

    def rays(self, pixels: npt.ArrayLike) -> Floats:
        """Find the directions in which pixels look; all rays start at `centre`.

        Parameters
        ----------
        pixels : float, (..., 2)
            Image pixels; NaN = missing.

        Returns
        -------
        float64, (..., 3)
            Unit vectors in the world; NaN where missing or where no ray meets the pixel.

        Raises
        ------
        CalibrationError
            If the last axis has not length 2.
        """
        local = np.moveaxis(self._straighten(pixels), 0, -1)
        local = local / np.linalg.norm(local, axis=-1, keepdims=True)
        return np.asarray(local @ self.rotation_matrix)

    def _straighten(self, pixels: npt.ArrayLike) -> Floats:
        """Find the directions (3, ...) of pixels (..., 2) in the camera's frame."""
        centred = _as_points(pixels, 2) - self.matrix[:2, 2]
        bent = centred @ np.linalg.inv(self.matrix[:2, :2]).T
        return straighten_rays(self.model, np.moveaxis(bent, -1, 0), self.distortion)


def find_reprojection_errors(
    cameras: Collection[Camera], points: npt.ArrayLike, pixels: npt.ArrayLike
) -> Floats:
    """Find how far world points are seen from given pixels.

    Parameters
    ----------
    cameras : collection of Camera
        V of them.
    points : float, (..., 3)
        World points; NaN = missing.
    pixels : float, (V, ..., 2)
        Pixels of each camera; NaN = not seen.

    Returns
    -------
    float64, (V, ...)
        Distances in px; NaN where missing, not seen or behind the camera.

    Raises
    ------
    CalibrationError
        If there is not one array of pixels per camera, as many as points.
    """
    projected = np.stack([camera.project(points) for camera in cameras])
    seen = np.asarray(pixels, np.float64)
    if seen.shape != projected.shape:
        raise CalibrationError(
            f"pixels: wanted {projected.shape} for these points and {len(cameras)} cameras, "
            f"came {seen.shape}"
        )
    apart = projected - seen
    return np.asarray(np.sqrt(np.einsum("...d,...d->...", apart, apart)))


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
    if field == "matrix":
        return _find_matrix_faults(array)
    if field == "rotation" and array.shape == (3, 3):
        error = np.abs(array @ array.T - np.eye(3)).max()
        if error > 1e-6 or np.linalg.det(array) < 0:
            return ["rotation: the matrix mirrors or stretches, wanted a pure rotation"]
    return []


def _find_matrix_faults(matrix: Floats) -> list[str]:
    """Say why a matrix (3, 3) of finite numbers is that of no lens."""
    if (matrix[[0, 1], [0, 1]] <= 0).any():
        return [f"matrix: wanted focal lengths above 0, came {matrix[0, 0]} and {matrix[1, 1]}"]
    last = np.abs(matrix[2] - [0, 0, 1]).max()
    if last <= _ROUNDING and abs(matrix[1, 0]) <= _ROUNDING * matrix[1, 1]:
        return []
    hint = ""
    if matrix[2, :2].any() and not matrix[:2, 2].any():
        hint = "; it is transposed: focal lengths and middle stand in columns"
    elif matrix[2, 2] != 1 and not matrix[2, :2].any():
        hint = f"; divide it by {matrix[2, 2]:g}"
    return [
        f"matrix: wanted [[fx, skew, cx], [0, fy, cy], [0, 0, 1]], came {matrix.tolist()}{hint}"
    ]
