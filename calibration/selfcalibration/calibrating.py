"""Calibrate cameras from tracked animals, without a board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration.alignment import Similarity
from calibration.arrays import Floats, Ints
from calibration.bundle.adjustment import BundleResult, Intrinsics
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import UNKNOWN_UNIT, CameraGroup
from calibration.selfcalibration.incremental import (
    Sights,
    assemble_cameras,
    find_pairs,
    find_spread,
    make_sights,
    pick_points,
)
from calibration.selfcalibration.report import SelfCalibrationReport, report_points
from calibration.triangulation.points import triangulate_points

#: Horizontal field of view of a camera of which nothing is known, degrees: machine-vision
#: lenses, phones and webcams lie between 35 and 80.
USUAL_VIEW = 55.0
# Trial factors of guessed focal lengths, and the points on which they are tried.
_FACTORS = (0.55, 0.7, 0.85, 1.0, 1.2, 1.45, 1.8, 2.3)
_FACTOR_POINTS = 600
# A factor must be this much better before a guess is given up.
_CLEARLY = 0.9


@dataclass(frozen=True, eq=False)
class KnownLength:
    """A length that sets the scale: of a bone, or between two cameras.

    Parameters
    ----------
    length : float
        In the unit of the calibration to be.
    points : int, (M, 2), optional
        Rows of the points at both ends, one pair for each time it was seen.
    cameras : (str, str), optional
        Instead: the two cameras that are this far apart.

    Raises
    ------
    CalibrationError
        If the length is not above 0, or not one of both is given.
    """

    length: float
    points: Ints | None = None
    cameras: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.length < np.inf:
            raise CalibrationError(f"known length: wanted above 0, came {self.length}")
        if (self.points is None) == (self.cameras is None):
            raise CalibrationError("known length: wanted either pairs of points or two cameras")
        if self.points is not None:
            pairs = np.asarray(self.points, np.int64)
            if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
                raise CalibrationError(f"known length: wanted pairs (M, 2), came {pairs.shape}")
            object.__setattr__(self, "points", pairs)


def guess_lens(name: str, size: tuple[int, int], *, view_deg: float = USUAL_VIEW) -> Camera:
    """Guess the lens of a camera of which only the image size is known.

    Parameters
    ----------
    name : str
        Of the camera.
    size : (int, int)
        Width and height of the image in px.
    view_deg : float
        Field of view along the longer side, degrees.

    Returns
    -------
    Camera
        Without distortion, principal point in mid-image; its pose means nothing.

    Raises
    ------
    CalibrationError
        If the field of view is not between 0 and 180 degrees.

    Examples
    --------
    >>> round(float(guess_lens("top", (1000, 800), view_deg=90).matrix[0, 0]))
    500
    """
    if not 0 < view_deg < 180:
        raise CalibrationError(f"view_deg: wanted 0 to 180 degrees, came {view_deg}")
    focal = max(size) / 2 / np.tan(np.radians(view_deg) / 2)
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    return Camera(name, size, np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]]))


def calibrate_from_points(
    lenses: CameraGroup,
    pixels: npt.ArrayLike,
    *,
    known: KnownLength | None = None,
    intrinsics: Intrinsics = "none",
    groups: npt.ArrayLike | None = None,
    unit: str = UNKNOWN_UNIT,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[CameraGroup, SelfCalibrationReport]:
    """Find where cameras stand, from animals that they tracked.

    Parameters
    ----------
    lenses : CameraGroup
        V cameras with known or guessed lenses (`guess_lens`); their poses are not used.
    pixels : float, (V, N, 2)
        The same N points in all views, such as every keypoint of every animal in every frame;
        NaN = not seen. Views must be synchronized and animals named alike.
    known : KnownLength, optional
        What sets the scale; without, the first camera and its nearest one are 1 apart.
    intrinsics : {"none", "focal", "all"}
        What of the lenses is adjusted. With ``"focal"`` a guess may be off by a factor of two:
        one factor common to all cameras is found first.
    groups : int, (N,), optional
        Numbers of points whose errors go together, such as the keypoint of each: labels of one
        keypoint are off alike. Deviations are then told by leaving groups out in turn, which
        takes up to eight adjustments more. On people, whose joints are labelled to 7 px, that
        tells 2 to 3 % for the cameras' places, independent errors 0.5 %; they were 1.5 % off.
    unit : str
        Of the known length.
    on_progress : function of (int, int), optional
        With `groups`: called with adjustments done and adjustments in all.

    Returns
    -------
    CameraGroup
        In the frame of the first camera; see `calibration.alignment` for another one.
    SelfCalibrationReport
        Errors and what is weak.

    Raises
    ------
    CalibrationError
        If shapes do not fit, or cameras cannot be linked; they are named.

    References
    ----------
    Hartley and Zisserman 2004, "Multiple View Geometry", chapters 9 and 18.
    """
    seen = np.asarray(pixels, np.float64)
    if seen.ndim != 3 or seen.shape[0] != len(lenses) or seen.shape[-1] != 2 or len(lenses) < 2:
        raise CalibrationError(
            f"pixels: wanted ({len(lenses)} cameras, points, 2) of two cameras or more, "
            f"came {seen.shape}"
        )
    sights = make_sights(lenses, seen)
    if intrinsics == "focal":
        sights = make_sights(_scale_lenses(lenses, _find_factor(sights)), seen)
    result = assemble_cameras(sights, intrinsics=intrinsics)
    change, scale_deviation = _find_scale(result, seen, known)
    cameras = change.move_cameras(result.cameras, unit if known else UNKNOWN_UNIT)
    spread = None
    if groups is not None:
        spread = find_spread(
            sights,
            result,
            intrinsics=intrinsics,
            groups=_check(groups, seen),
            on_progress=on_progress,
        )
    report = report_points(
        cameras, result, change=change, scale_deviation=scale_deviation, spread=spread
    )
    return cameras, report


def _check(groups: npt.ArrayLike, seen: Floats) -> Ints:
    numbers = np.asarray(groups)
    if numbers.shape != seen.shape[1:2]:
        raise CalibrationError(
            f"groups: wanted one number for each of {seen.shape[1]} points, came {numbers.shape}"
        )
    return np.asarray(np.unique(numbers, return_inverse=True)[1], np.int64)


def _scale_lenses(lenses: CameraGroup, factor: float) -> CameraGroup:
    stretch = np.array([[factor, factor, 1], [1, factor, 1], [1, 1, 1.0]])
    return CameraGroup([replace(c, matrix=c.matrix * stretch) for c in lenses], lenses.unit)


def _find_factor(sights: Sights) -> float:
    """Find by which factor guessed focal lengths fit the pairs of views best."""
    few = sights.take(pick_points(sights.seen, _FACTOR_POINTS))
    group, costs = CameraGroup(few.lenses), []
    for factor in _FACTORS:
        pairs = find_pairs(make_sights(_scale_lenses(group, factor), few.pixels))
        scales = [views[0].scale for views in pairs.values()]
        costs.append(float(np.mean(scales)) if scales else np.inf)
    best, plain = int(np.argmin(costs)), _FACTORS.index(1.0)
    return _FACTORS[best] if costs[best] < _CLEARLY * costs[plain] else 1.0


def _find_scale(
    result: BundleResult, pixels: Floats, known: KnownLength | None
) -> tuple[Similarity, float]:
    """Find the change to the first camera's frame and the known length."""
    first = result.cameras.cameras[0]
    rotation, centre = first.rotation_matrix, first.centre
    factor, deviation = 1.0, np.nan
    if known is None:
        distances = [np.linalg.norm(c.centre - centre) for c in result.cameras.cameras[1:]]
        factor = 1 / float(min(distances))
    elif known.cameras is not None:
        a, b = (result.cameras[name].centre for name in known.cameras)
        factor, deviation = known.length / float(np.linalg.norm(a - b)), 0.0
    elif known.points is not None:
        factor, deviation = _find_bone_factor(result, pixels, known)
    return Similarity(rotation, -factor * rotation @ centre, factor), deviation


def _find_bone_factor(
    result: BundleResult, pixels: Floats, known: KnownLength
) -> tuple[float, float]:
    """Find the scale from a bone that was seen many times, and its relative deviation."""
    assert known.points is not None
    if known.points.min() < 0 or known.points.max() >= pixels.shape[1]:
        raise CalibrationError(
            f"known length: rows must be 0 to {pixels.shape[1] - 1}, came "
            f"{known.points.min()} to {known.points.max()}"
        )
    found = triangulate_points(result.cameras, pixels)
    a, b = known.points.T
    squares = ((found.points[a] - found.points[b]) ** 2).sum(1)
    # Noise makes lengths longer: its expected square is taken off.
    noise = np.trace(found.covariance[a] + found.covariance[b], axis1=1, axis2=2)
    # Where noise is a good part of the length it is not known well enough to be taken off.
    clear = noise < 0.25 * squares
    squares = (squares - noise)[clear] if clear.any() else squares[np.isfinite(squares)]
    if not len(squares):
        raise CalibrationError(
            "known length: two cameras or more never saw both ends at once; name another one"
        )
    middle = float(np.median(squares))
    spread = 1.4826 * float(np.median(np.abs(squares - middle)))
    deviation = 0.5 * spread / middle * 1.25 / np.sqrt(len(squares))
    return known.length / float(np.sqrt(middle)), deviation
