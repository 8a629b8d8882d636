"""From what a file says of a camera to a `Camera`, by one rule for all files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.files.sizes import Sizes, round_rotation
from calibration.lens import DISTORTIONS

log = logging.getLogger(__name__)

_POSE = ("rotation", "translation")
# Focal lengths in image widths beyond which numbers are no pixels: a lens of 170 degrees has
# 0.04, the longest of a real rig here 163.
_FOCALS = (0.03, 1000.0)
# Ratio of the focal lengths beyond which pixels are no squares; real ones here differ by 0.3 %.
_OBLONG = 1.2


@dataclass(frozen=True)
class Parameters:
    """What a file says of one camera, in the words of `Camera`.

    Parameters
    ----------
    name : str
        Of the camera.
    matrix : float, (3, 3) or nested lists
        Of the lens.
    distortion, rotation, translation : float, any shape
        Columns, rows or lists; a rotation may be a vector or a matrix of few digits. None = the
        file does not say.
    size : (width, height), optional
        In pixels, also as 1088.0.
    fisheye : bool
        Which model the distortion is of.
    """

    name: str
    matrix: Any
    distortion: Any = ()
    rotation: Any = None
    translation: Any = None
    size: Any = None
    fisheye: bool = False

    @property
    def missing(self) -> list[str]:
        """What the pose lacks."""
        return [field for field in _POSE if getattr(self, field) is None]

    def make_camera(self, sizes: Sizes) -> Camera:
        """Make the camera; without a pose it stands at the origin.

        Raises
        ------
        CalibrationError
            If shapes or numbers do not fit.
        """
        matrix = np.asarray(self.matrix, np.float64)
        matrix = matrix.reshape(3, 3) if matrix.size == 9 else matrix
        size = sizes.find(self.name, matrix) if self.size is None else self.size
        width, height = np.ravel(size)
        rotation = np.asarray(np.zeros(3) if self.rotation is None else self.rotation, np.float64)
        if rotation.size == 9:
            rotation = round_rotation(rotation.reshape(3, 3), "rotation")
        model = "fisheye" if self.fisheye else "pinhole"
        return Camera(
            self.name,
            (round(float(width)), round(float(height))),
            matrix,
            _fit_distortion(self.distortion, DISTORTIONS[model]),
            rotation if rotation.shape == (3, 3) else rotation.ravel(),
            np.ravel(np.zeros(3) if self.translation is None else self.translation),
            "fisheye" if self.fisheye else "pinhole",
        )


def make_cameras(found: list[Parameters], sizes: Sizes, source: object) -> list[Camera]:
    """Make the cameras of one file.

    Parameters
    ----------
    found : list of Parameters
        One per camera.
    sizes : Sizes
        For those whose size the file does not say.
    source : object
        What messages call the file.

    Returns
    -------
    list of Camera
        In the same order. If none has a pose all stand at the origin, with a warning if there are
        several.

    Raises
    ------
    CalibrationError
        If a camera cannot be, or has no pose, or half of one, while others have theirs.
    """
    check_poses({p.name: p.missing for p in found}, source)
    cameras = []
    for each in found:
        try:
            cameras.append(each.make_camera(sizes))
        except CalibrationError as error:
            raise CalibrationError(f"{source}, {error}") from error
        except (TypeError, ValueError, IndexError) as error:
            raise CalibrationError(
                f"{source}, camera {each.name!r}: wanted lists of numbers ({error})"
            ) from error
    for camera, each in zip(cameras, found, strict=True):
        count = np.size(() if each.distortion is None else each.distortion)
        doubts = list_doubts(camera)
        if each.fisheye and count > max(DISTORTIONS["fisheye"]) and camera.distortion.any():
            doubts.append(
                f"it is said to be a fisheye, whose distortion has 4 numbers, but {count} are "
                "given, as of a pinhole: is it one?"
            )
        for doubt in doubts:
            log.warning("%s, camera %s: %s", source, camera.name, doubt)
    return cameras


def check_poses(missing: Mapping[str, list[str]], source: object) -> None:
    """Refuse cameras without a pose, or with half of one, among others that have theirs.

    Parameters
    ----------
    missing : dict of str to list of str
        By camera: what its pose lacks.
    source : object
        What messages call the file.

    Raises
    ------
    CalibrationError
        Naming each such camera and what it lacks.
    """
    bare = [name for name, lacks in missing.items() if len(lacks) == len(_POSE)]
    if len(bare) == len(missing):
        if len(bare) > 1:
            log.warning("%s: no poses; all cameras are put at the origin", source)
        return
    lacking = [f"{name!r} has no {' and no '.join(lack)}" for name, lack in missing.items() if lack]
    if lacking:
        raise CalibrationError(
            f"{source}: camera {', '.join(lacking)}, while others have theirs: complete it, or "
            "leave the camera out"
        )


def list_doubts(camera: Camera) -> list[str]:
    """List what a camera's numbers say that hardly any camera is, as sentences.

    Parameters
    ----------
    camera : Camera
        Whose numbers are possible.

    Returns
    -------
    list of str
        Empty for a usual camera.
    """
    (width, height), (x, y) = camera.size, camera.matrix[:2, 2]
    doubts = []
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        doubts.append(
            f"its principal point ({x:.0f}, {y:.0f}) is outside its images of {width} x {height}: "
            "are width and height exchanged, was the picture cropped?"
        )
    elif abs(x) < 1e-9 and abs(y) < 1e-9 and min(width, height) > 1:
        doubts.append(
            f"its principal point is (0, 0), the corner of its images of {width} x {height}: is it "
            "counted from the middle there?"
        )
    share = camera.focal / max(width, height)
    if not _FOCALS[0] < share < _FOCALS[1]:
        doubts.append(
            f"its focal length is {camera.focal:.3g} px in images of {width} x {height}: is it in "
            "pixels?"
        )
    aside, swapped = (
        float(np.hypot(x - (w - 1) / 2, y - (h - 1) / 2))
        for w, h in ((width, height), (height, width))
    )
    if not doubts and aside > 0.08 * max(width, height) and swapped < 0.25 * aside:
        doubts.append(
            f"its principal point ({x:.0f}, {y:.0f}) is the middle of {height} x {width}, not of "
            f"its images of {width} x {height}: are width and height exchanged?"
        )
    ratio = camera.matrix[0, 0] / camera.matrix[1, 1]
    if not 1 / _OBLONG < ratio < _OBLONG:
        doubts.append(
            f"its focal lengths are {camera.matrix[0, 0]:.0f} px across and "
            f"{camera.matrix[1, 1]:.0f} px down, so its pixels are no squares: is that so?"
        )
    if np.isnan(camera.rays(_list_inner_corners(camera))).any():
        doubts.append(
            f"its distortion {camera.distortion.round(3).tolist()} folds the image back before "
            "half the way to its corners: is it of this lens, in this order (k1 k2 p1 p2 k3)?"
        )
    if np.linalg.norm(camera.rotation) > 2 * np.pi + 1e-6:
        doubts.append(f"it is turned by {np.linalg.norm(camera.rotation):.0f} radians: degrees?")
    return doubts


def _list_inner_corners(camera: Camera) -> Floats:
    """List pixels (4, 2) half the way from the principal point to the corners of the image."""
    width, height = camera.size
    corners = np.array([[0.0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    return np.asarray((corners + camera.matrix[:2, 2]) / 2)


def _fit_distortion(values: Any, counts: tuple[int, ...]) -> Floats:
    """Bring distortion coefficients to a length that the model knows: only zeros come or go."""
    array: Floats = np.ravel(() if values is None else np.asarray(values, np.float64))
    most = max(counts)
    if len(array) > most and not array[most:].any():
        return array[:most]
    longer = [n for n in counts if n >= len(array)]
    return np.pad(array, (0, min(longer) - len(array))) if longer and len(array) else array


def is_for_rows(matrix: npt.ArrayLike) -> bool:
    """Tell whether a lens matrix multiplies rows from the left: its transpose is the usual one.

    Parameters
    ----------
    matrix : float, (3, 3)
        In question.
    """
    array = np.asarray(matrix, np.float64)
    return bool(array.shape == (3, 3) and array[2, :2].any() and not array[:2, 2].any())
