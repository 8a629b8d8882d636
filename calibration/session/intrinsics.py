"""The lens of one camera, from views of a flat board."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from calibration.arrays import Floats, Ints
from calibration.boardposes import MIN_CORNERS, find_board_poses
from calibration.boards.detection import BoardDetections
from calibration.bundle.adjustment import BundleOptions, BundleResult, bundle_adjust
from calibration.bundle.priors import LensPrior
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.projection import lens_names
from calibration.rotations import unturn
from calibration.session.selection import select_views

# Focal lengths to start from, in image widths (the longer side): 110 degrees of view to 6, and of
# a fisheye 280 degrees to 6, each 1.3 times the one before. From the nearest, Levenberg-Marquardt
# steps go home.
_FOCALS = {"pinhole": 0.35 * 1.3 ** np.arange(14), "fisheye": 0.2 * 1.3 ** np.arange(16)}
# Views to judge a start by, and to fit a lens alone from: further ones only repeat what these say.
# Where a board rests for 200 of 320 frames, lenses from 80 selected views are 0.3 px off over the
# image, from every fourth view 1.9 px.
_JUDGES = 16
_VIEWS = 80
# A fifth coefficient is kept if it lowers the error of a corner by this share, and is sure beyond
# doubt. Without any need for it, it lowers it by less than 0.1 %; wrongly left out, by several.
_WORTH, _SURE = 0.02, 5.0
# Where the focal length is known worse than this, there is no telling it from distortion.
_VAGUE = 0.1
# A homography gives two equations for a lens; with fewer views noise passes for distortion.
_FEW_VIEWS = 3
# Where views hold no whole lens, focal lengths with errors up to this factor are worth the same.
_ALIKE_IF_POOR = 1.5
# Usual focal lengths in image widths: 58 degrees of view, and 115 degrees of a fisheye.
_USUAL = {"pinhole": 0.9, "fisheye": 0.5}
# Shapes of pixels, fy over fx: square, and with half as many in one direction. Others are tried
# where square ones err by more than this share of the image, and taken if clearly better.
_SHAPES = (1.0, 0.5, 2.0)
_ODD, _CLEARLY = 0.001, 0.5


@dataclass(frozen=True)
class IdealLens(LensPrior):
    """Expect a usual field of view, square pixels and the axis in the middle of the image.

    Corners of one view err together: the board is bent, the camera shakes. They say less than as
    many independent ones would, so expectations are kept 2.5 times tighter than of `LensPrior`
    and do not follow the start. A lens seen in ten views does not feel them.

    Parameters
    ----------
    focal : float
        Of the field of view, 1 / focal length, relative to a usual one: between that of a wide
        lens and none at all, that of a telescope.
    aspect, centre, radial, tangential : float
        As of `LensPrior`.
    poor : collection of str
        Cameras whose views do not hold a whole lens: theirs is kept near the ideal one, but for
        the focal length.
    """

    focal: float = 0.5
    aspect: float = 0.008
    centre: float = 0.02
    radial: float = 0.12
    tangential: float = 0.008
    poor: Collection[str] = ()

    def find_information(self, camera: Camera) -> tuple[Floats, Floats]:
        """Turn the expectations into a quadratic form of the lens."""
        if camera.name in self.poor:
            return _POOR.find_information(camera)
        # Field of view, 1 / f, is what views tell and what is expected. One step from the start.
        focal = camera.focal
        share = focal / (_USUAL[camera.model] * max(camera.size))
        expected = replace(self, focal=self.focal * share)
        shape = _find_shape(camera)
        ideal = replace(camera, matrix=_make_matrix(focal, camera.size, shape))
        information, middle = LensPrior.find_information(expected, ideal)
        middle[:2] *= 2 - share
        return information, middle


_POOR = IdealLens(focal=0.15, aspect=0.001, centre=0.002, radial=0.01, tangential=0.0003)


@dataclass(frozen=True, eq=False)
class LensFit:
    """A camera calibrated alone, in its own frame.

    Parameters
    ----------
    camera : Camera
        Lens; the pose is that of the origin.
    result : BundleResult
        Of the adjustment, over the views that were taken.
    frames : int, (n,)
        Positions of these views among the detections.
    poor : bool
        The views do not hold a whole lens: only the focal length was fitted, the rest is nearly
        that of an ideal lens.
    """

    camera: Camera
    result: BundleResult
    frames: Ints
    poor: bool


@dataclass(frozen=True)
class KnownLens(LensPrior):
    """Expect the lenses that cameras had when each was calibrated alone.

    For recordings in which cameras contradict each other about where the board was. Each lens
    alone was fitted at the small errors of its own corners, the adjustment of all works at the
    large errors of the contradiction; so the former counts for more by the square of their ratio.

    Parameters
    ----------
    fits : dict of str to LensFit
        By camera.
    """

    fits: Mapping[str, LensFit] = field(default_factory=dict)

    def find_information(self, camera: Camera) -> tuple[Floats, Floats]:
        """Turn the expectations into a quadratic form of the lens."""
        fit, names = self.fits[camera.name], lens_names(camera)
        free = [names.index(name) for _, name in fit.result.parameters]
        information = np.zeros((len(names), len(names)))
        inverse = np.linalg.pinv(fit.result.covariance, hermitian=True)
        information[np.ix_(free, free)] = inverse
        matrix = fit.camera.matrix
        middle = [matrix[i] for i in ((0, 0), (1, 1), (0, 2), (1, 2), (0, 1))]
        return information, np.array([*middle, *fit.camera.distortion])


def calibrate_camera(
    detections: BoardDetections, board: Floats, *, fisheye: bool = False
) -> LensFit:
    """Calibrate the lens of one camera.

    Of more than 80 views those are taken that differ most, sharp ones first (`select_views`).
    From a guessed focal length all of the lens is fitted, with four coefficients; mild
    expectations (`IdealLens`) hold what the views do not determine. A pinhole keeps a fifth
    coefficient, k3, if this lowers the error. Where the views tell focal length and distortion
    apart badly (less than three of them, or all alike), only the focal length is fitted.

    Parameters
    ----------
    detections : BoardDetections
        Corners that the camera saw.
    board : float64, (C, 3)
        Corners of the board, flat.
    fisheye : bool
        Fit a fisheye lens instead of a pinhole.

    Returns
    -------
    LensFit
        The camera at the origin.

    Raises
    ------
    CalibrationError
        If no view shows enough of the board.
    """
    name, size = detections.camera, detections.size
    frames = select_views(detections.pixels, board, most=_VIEWS, blur=detections.blur)
    pixels = detections.pixels[frames]
    start = guess_lens(name, size, board=board, pixels=pixels, fisheye=fisheye)
    start = replace(start, distortion=np.zeros(4))
    result = _fit(start, board, pixels)
    # With the lens nearly right, the other one of a view's two poses may fit better.
    result = _fit(result.cameras[name], board, pixels)
    if not fisheye:
        result = _try_fifth(result, board, pixels)
    few = len(frames) < _FEW_VIEWS
    poor = few or _measure_doubt(result) > _VAGUE
    if poor:
        start = guess_lens(
            name, size, board=board, pixels=pixels, fisheye=fisheye, alike=_ALIKE_IF_POOR
        )
        start = replace(start, distortion=np.zeros(4))
        result = _fit(start, board, pixels, poor=[name])
    return LensFit(result.cameras[name], result, frames, poor)


def guess_lens(
    name: str,
    size: tuple[int, int],
    *,
    board: Floats,
    pixels: Floats,
    fisheye: bool = False,
    alike: float = 1.05,
) -> Camera:
    """Guess the focal length of a camera, the rest being that of an ideal lens.

    Every focal length of a row is tried: corners are straightened with it, the board is placed,
    and the corners' distances in pixels speak for the length or against it. Unlike closed forms
    this bears a principal point off the middle, few views, false corners, and fisheyes.

    Parameters
    ----------
    name : str
        Of the camera.
    size : (int, int)
        Width and height of its image in pixels.
    board : float64, (C, 3)
        Corners of the board, z = 0.
    pixels : float64, (F, C, 2)
        Where they were seen; NaN = not seen.
    fisheye : bool
        Try fisheye lenses (equidistant) instead of pinholes.
    alike : float
        Of the focal lengths whose errors differ by less than this factor the most usual one is
        taken. Default 1.05: views from straight ahead tell nothing, noise makes small differences.

    Raises
    ------
    CalibrationError
        If no view shows enough of the board.
    """
    pixels = pixels[select_views(pixels, board, most=_JUDGES)]
    if not len(pixels):
        raise CalibrationError(
            f"camera {name!r}: no frame shows {MIN_CORNERS} corners of the board or more; check "
            "that the board is the one in the video (kind, columns, rows), in focus and in view"
        )
    model: Literal["fisheye", "pinhole"] = "fisheye" if fisheye else "pinhole"
    focals = _FOCALS[model]

    def search(shape: float) -> tuple[list[Camera], Floats]:
        cameras = [
            Camera(name, size, _make_matrix(focal, size, shape), model=model)
            for focal in focals * max(size)
        ]
        views = [find_board_poses(camera, board, pixels=pixels) for camera in cameras]
        return cameras, np.array([np.minimum(v.errors[:, 0], max(size)).mean() for v in views])

    cameras, costs = search(1.0)
    if costs.min() > _ODD * max(size):
        # Interlaced video that was taken apart, or columns left out, has other pixels.
        found = min((search(shape) for shape in _SHAPES[1:]), key=lambda pair: pair[1].min())
        cameras, costs = found if found[1].min() < _CLEARLY * costs.min() else (cameras, costs)
    good = np.flatnonzero(costs <= costs.min() * alike)
    return cameras[int(good[np.argmin(np.abs(np.log(focals[good] / _USUAL[model])))])]


def _fit(camera: Camera, board: Floats, pixels: Floats, poor: Collection[str] = ()) -> BundleResult:
    views = find_board_poses(camera, board, pixels=pixels)
    poses = np.concatenate([unturn(views.rotations[:, 0]), views.translations[:, 0]], -1)
    options = BundleOptions(IdealLens(poor=poor))
    return bundle_adjust(
        CameraGroup([camera]), pixels[None], board=board, poses=poses, options=options
    )


def _try_fifth(result: BundleResult, board: Floats, pixels: Floats) -> BundleResult:
    """Fit k3 too, and keep it if that is worth it."""
    (camera,) = result.cameras
    longer = replace(camera, distortion=np.append(camera.distortion, 0.0))
    richer = _fit(longer, board, pixels)
    (found,) = richer.cameras
    sure = abs(found.distortion[4]) > _SURE * richer.deviations[camera.name]["k3"]
    worth = richer.scale < (1 - _WORTH) * result.scale
    return richer if sure and worth else result


def _measure_doubt(result: BundleResult) -> float:
    (camera,) = result.cameras
    return result.deviations[camera.name]["fx"] / float(camera.matrix[0, 0])


def _find_shape(camera: Camera) -> float:
    """Find the shape of a camera's pixels, fy over fx, among those that occur."""
    ratio = camera.matrix[1, 1] / camera.matrix[0, 0]
    return min(_SHAPES, key=lambda shape: abs(np.log(ratio / shape)))


def _make_matrix(focal: float, size: tuple[int, int], shape: float = 1.0) -> Floats:
    """Make the matrix of an ideal lens; `shape` is fy over fx, `focal` their mean."""
    x, y = (np.array(size) - 1) / 2
    root = np.sqrt(shape)
    return np.array([[focal / root, 0, x], [0, focal * root, y], [0, 0, 1]])
