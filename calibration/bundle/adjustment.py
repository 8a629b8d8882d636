"""Bundle adjustment: cameras, lenses and boards (or points) fitted to all pixels at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibration.arrays import Bools, Floats
from calibration.boardposes import judge_poses, place_boards
from calibration.bundle.options import (
    BundleOptions,
    BundleResult,
    Intrinsics,
    Settings,
    drop_lost,
    report_solution,
    solve_scene,
)
from calibration.bundle.scenes import BoardScene, PointScene
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.rotations import turn, unturn

__all__ = ["BundleOptions", "BundleResult", "Intrinsics", "bundle_adjust", "bundle_adjust_points"]

_logger = logging.getLogger(__name__)

#: Corners of a board, over all cameras, without which a frame is left out: three fix a pose.
MIN_CORNERS = 4


def bundle_adjust(
    group: CameraGroup,
    pixels: npt.ArrayLike,
    *,
    board: npt.ArrayLike,
    poses: npt.ArrayLike | None = None,
    intrinsics: Intrinsics = "all",
    fixed: Sequence[str] = (),
    options: BundleOptions | None = None,
) -> BundleResult:
    """Fit cameras and the poses of a board to the pixels of its corners.

    Minimises the distance of seen and projected corners with Tukey's weights, whose scale follows
    each camera's own errors, by Levenberg-Marquardt steps with exact derivatives. The poses of the
    board are eliminated first (Schur complement), so that time and memory grow linearly with
    the number of frames.

    Parameters
    ----------
    group : CameraGroup
        V cameras, the start. Lenses good to 20 % and positions that put a board within its own
        size of where it is seen are good enough.
    pixels : float, (V, F, C, 2)
        Corners; NaN = not seen. Frames with fewer than four corners, over all cameras, are left
        out.
    board : float, (C, 3)
        Corners in the board's frame, in the group's unit.
    poses : float, (F, 6), optional
        Start: rotation vectors and translations, board to world; NaN leaves a frame out.
        By default found from the cameras that see most corners.
    intrinsics : {"all", "focal", "none"}
        What of each lens is free: focal lengths, principal point and all distortion coefficients
        that the camera has; the focal lengths; nothing. The skew stays.
    fixed : sequence of str
        Names of cameras that stay as they are. By default none; then the first camera that saw
        the board keeps its pose, which sets the world's frame.
    options : BundleOptions, optional
        Further settings.

    Returns
    -------
    BundleResult
        With `poses`.

    Raises
    ------
    CalibrationError
        If shapes do not fit, a name in `fixed` is unknown, or no frame can be used.

    References
    ----------
    Triggs et al. 2000, "Bundle adjustment: a modern synthesis"; Huber 1981, "Robust statistics",
    section 7.6, for the standard deviations under robust weights.
    """
    pixels, board = np.asarray(pixels, np.float64), np.asarray(board, np.float64)
    if board.ndim != 2 or board.shape[1] != 3:
        raise CalibrationError(f"board: wanted corners of shape (C, 3), came {board.shape}")
    if pixels.ndim != 4 or (pixels.shape[0], *pixels.shape[2:]) != (len(group), len(board), 2):
        raise CalibrationError(
            f"pixels: wanted ({len(group)} cameras, frames, {len(board)} corners, 2), "
            f"came {pixels.shape}"
        )
    if poses is None:
        poses = place_boards(group, pixels, board=board)
    poses = np.asarray(poses, np.float64)
    if poses.shape != (pixels.shape[1], 6):
        raise CalibrationError(f"poses: wanted ({pixels.shape[1]} frames, 6), came {poses.shape}")
    settings = Settings(group, intrinsics, fixed, options)
    result = _adjust_boards(group, pixels, board, poses, settings)
    # Frames that began with a pose tilted the wrong way have lost their weight and stay there.
    poses, changed = _replace_lost(result, pixels, board)
    if changed.any():
        _logger.debug("%d frames get another pose", changed.sum())
        again = _adjust_boards(result.cameras, pixels, board, poses, settings)
        result = replace(again, steps=result.steps + again.steps)
    return drop_lost(result, MIN_CORNERS)


def _adjust_boards(
    group: CameraGroup, pixels: Floats, board: Floats, poses: Floats, settings: Settings
) -> BundleResult:
    corners = np.isfinite(pixels).all(-1).sum((0, 2))
    used = np.isfinite(poses).all(1) & (corners >= MIN_CORNERS)
    if not used.any():
        raise CalibrationError(
            f"no frame can be used: none of {len(used)} has a pose and {MIN_CORNERS} corners"
        )
    scene = BoardScene(board, turn(poses[used, :3]), poses[used, 3:])
    solution = solve_scene(group, pixels[:, used], scene, settings)
    assert isinstance(solution.scene, BoardScene)
    found = np.full(poses.shape, np.nan)
    found[used] = np.concatenate([unturn(solution.scene.rotations), solution.scene.translations], 1)
    return report_solution(group, solution, used, shape=pixels.shape[:-1], poses=found)


def _replace_lost(result: BundleResult, pixels: Floats, board: Floats) -> tuple[Floats, Bools]:
    """Place boards anew of which most corners passed for false: poses, and which have changed."""
    assert result.poses is not None
    seen = np.isfinite(pixels).all(-1).sum((0, 2))
    lost = (seen >= MIN_CORNERS) & (result.inliers.sum((0, 2)) < seen / 2)
    poses = result.poses.copy()
    changed = np.zeros(len(poses), bool)
    if lost.any():
        there = pixels[:, lost]
        new = place_boards(result.cameras, there, board=board)
        costs = [judge_poses(result.cameras, there, board, p) for p in (poses[lost], new)]
        changed[lost] = costs[1] < 0.5 * costs[0]
        poses[changed] = new[changed[lost]]
    return poses, changed


def bundle_adjust_points(
    group: CameraGroup,
    pixels: npt.ArrayLike,
    *,
    points: npt.ArrayLike,
    intrinsics: Intrinsics = "none",
    fixed: Sequence[str] = (),
    options: BundleOptions | None = None,
) -> BundleResult:
    """Fit cameras and free points to their pixels.

    As `bundle_adjust`, for points of which nothing is known but where they are seen, such as
    keypoints of animals.

    Parameters
    ----------
    group : CameraGroup
        V cameras, the start.
    pixels : float, (V, N, 2)
        Of N points; NaN = not seen. Points that fewer than two cameras saw are left out.
    points : float, (N, 3)
        Start, in the group's unit, as of `triangulate_points`; NaN leaves a point out. If the
        cameras were far off, triangulate again with the result and adjust once more: points that
        began on a false pixel may have settled there.
    intrinsics : {"none", "focal", "all"}
        What of each lens is free. Default nothing: few recordings of animals fill the images
        well enough.
    fixed : sequence of str
        Names of cameras that stay as they are. With fewer than two the scale is not seen: the
        first camera then keeps its pose and the one furthest from it its distance.
    options : BundleOptions, optional
        Further settings.

    Returns
    -------
    BundleResult
        With `points`.

    Raises
    ------
    CalibrationError
        If shapes do not fit, a name in `fixed` is unknown, or no point can be used.
    """
    pixels, points = np.asarray(pixels, np.float64), np.asarray(points, np.float64)
    if pixels.ndim != 3 or pixels.shape[0] != len(group) or pixels.shape[2] != 2:
        raise CalibrationError(
            f"pixels: wanted ({len(group)} cameras, points, 2), came {pixels.shape}"
        )
    if points.shape != (pixels.shape[1], 3):
        raise CalibrationError(f"points: wanted ({pixels.shape[1]} points, 3), came {points.shape}")
    used = np.isfinite(points).all(1) & (np.isfinite(pixels).all(-1).sum(0) >= 2)
    if not used.any():
        raise CalibrationError(
            f"no point can be used: none of {len(used)} has a start and was seen by two cameras"
        )
    scene = PointScene(points[used])
    settings = Settings(group, intrinsics, fixed, options)
    solution = solve_scene(group, pixels[:, used, None], scene, settings)
    assert isinstance(solution.scene, PointScene)
    found = np.full(points.shape, np.nan)
    found[used] = solution.scene.points
    result = report_solution(group, solution, used, shape=pixels.shape[:-1], points=found)
    return drop_lost(result, 2)
