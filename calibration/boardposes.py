"""Where a flat board stands before a camera, for many views of it at once.

A flat board seen from far has two poses that look almost the same: tilted towards the camera and
tilted away by as much. Both are found; several cameras, or several views, tell which is right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.arrays import Floats
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.projection import cross_rows, differentiate_local
from calibration.rotations import turn, unturn

#: Fewer corners than this do not fix the eight numbers of a homography with one to spare.
MIN_CORNERS = 6
# Corners of a view further off than this many times the median are taken for false ones.
_OUTLYING = 4.0
_RESHAPINGS = 8
_STEPS = 10
# A view is done when a step lowers its cost by a smaller share, or none does at this damping.
_LEAST_GAIN, _MOST_DAMPING = 1e-4, 1e3
_LOST = 10.0
# Rays flatter than this to the plane on which a fisheye's view is straightened are left out there.
_SLANT = 0.1


@dataclass(frozen=True)
class BoardPoses:
    """Both poses of a board in each view.

    Parameters
    ----------
    rotations : float64, (F, 2, 3, 3)
        Board to camera; NaN where a view has too few corners or none of this kind was found.
    translations : float64, (F, 2, 3)
        Board to camera, in the board's unit.
    errors : float64, (F, 2)
        Median distance between seen and projected corners in pixels, the better pose first;
        infinite where there is no pose.
    """

    rotations: Floats
    translations: Floats
    errors: Floats

    @property
    def found(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Views that have a pose, bool (F,)."""
        return np.isfinite(self.errors[:, 0])


def find_board_poses(camera: Camera, board: Floats, *, pixels: Floats) -> BoardPoses:
    """Find the poses of a flat board that a camera may have seen.

    A homography, robust to false corners, gives the first pose; its tilt mirrored at the line of
    sight gives the second. Both are refined by Gauss-Newton steps on the distances in pixels.

    Parameters
    ----------
    camera : Camera
        Only its lens is used; poses are in its own frame.
    board : float64, (C, 3)
        Corners of the board, z = 0.
    pixels : float64, (F, C, 2)
        Where they were seen; NaN = not seen.

    Returns
    -------
    BoardPoses
        Views with fewer than six corners, or with corners on one line only, have none.

    Raises
    ------
    CalibrationError
        If the board is not flat or the shapes do not fit.

    References
    ----------
    Zhang 2000 (IEEE TPAMI 22:1330); Schweighofer and Pinz 2006 (IEEE TPAMI 28:2024) for the two
    poses of a flat target.
    """
    if board.ndim != 2 or pixels.ndim != 3 or pixels.shape[1:] != (len(board), 2):
        raise CalibrationError(
            f"pixels: wanted (frames, {len(board)}, 2) for this board, came {pixels.shape}"
        )
    if np.abs(board[:, 2]).max(initial=0) > 1e-9 * np.ptp(board[:, :2], axis=0).max(initial=1):
        raise CalibrationError("board: wanted a flat one, with z = 0 for all corners")
    lens = replace(camera, rotation=np.zeros(3), translation=np.zeros(3))
    n = len(pixels)
    rotations, translations = np.full((n, 2, 3, 3), np.nan), np.full((n, 2, 3), np.nan)
    errors = np.full((n, 2), np.inf)
    plane, turned = _flatten_views(lens, pixels)
    enough = np.isfinite(plane[..., 0]).sum(1) >= MIN_CORNERS
    usable = np.flatnonzero(enough)
    usable = usable[_are_spread(board, plane[usable])]
    if len(usable):
        first = _decompose(fit_homographies(board[:, :2], plane[usable]))
        back = turned[usable].swapaxes(1, 2)
        first = back @ first[0], np.einsum("fij,fj->fi", back, first[1])
        seen = pixels[usable]
        first = refine_board_poses(lens, board, pixels=seen, start=first)
        second = _mirror_tilt(*first, board, np.isfinite(seen[..., 0]))
        second = refine_board_poses(lens, board, pixels=seen, start=second)
        both = [np.stack(pair, axis=1) for pair in zip(first, second, strict=True)]
        distances = _score_poses(lens, board, seen, *both)
        order = np.argsort(distances, axis=1)
        errors[usable] = np.take_along_axis(distances, order, 1)
        rotations[usable] = np.take_along_axis(both[0], order[..., None, None], 1)
        translations[usable] = np.take_along_axis(both[1], order[..., None], 1)
    return BoardPoses(rotations, translations, errors)


def refine_board_poses(
    camera: Camera, board: Floats, *, pixels: Floats, start: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Refine board poses (F, 3, 3) and (F, 3) on the distances in pixels.

    Damped Gauss-Newton steps with weights that false corners lose, for all views at once; the
    scale of the weights is set twice. The camera stands at the origin.
    """
    pose = start
    for _ in range(2):
        points = place_board(*pose, board)
        error = np.linalg.norm(camera.project(points) - pixels, axis=-1)
        scale = _find_medians(error)
        scale = _OUTLYING * np.maximum(np.nan_to_num(scale, nan=100.0), 0.05)
        pose = _descend(camera, board, pixels=pixels, pose=pose, scale=scale[:, None])
    return pose


def _descend(
    camera: Camera,
    board: Floats,
    *,
    pixels: Floats,
    pose: tuple[Floats, Floats],
    scale: Floats,
) -> tuple[Floats, Floats]:
    rotations, translations = pose[0].copy(), pose[1].copy()
    damping = np.full(len(pixels), 1e-3)
    cost, normal, slope = _linearise(camera, board, pixels, (rotations, translations), scale)
    open_views = np.arange(len(pixels))
    for _ in range(_STEPS):
        v = open_views
        diagonal = np.einsum("fii->fi", normal[v]) * damping[v, None] + 1e-12
        damped = normal[v] + diagonal[..., None] * np.eye(6)
        step = -np.linalg.solve(damped, slope[v][..., None])[..., 0]
        there = turn(step[:, :3]) @ rotations[v], translations[v] + step[:, 3:]
        new = _linearise(camera, board, pixels[v], there, scale[v])
        better = new[0] < cost[v]
        gain = (cost[v] - new[0])[better] / cost[v][better]
        kept = v[better]
        rotations[kept], translations[kept] = there[0][better], there[1][better]
        cost[kept], normal[kept], slope[kept] = (part[better] for part in new)
        damping[v] *= np.where(better, 0.1, 10.0)
        done = np.where(better, False, damping[v] > _MOST_DAMPING)
        done[better] = gain < _LEAST_GAIN
        open_views = v[~done]
        if not len(open_views):
            break
    return rotations, translations


def _are_spread(board: Floats, plane: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell views whose corners span an area of the board from those along one line."""
    seen = np.isfinite(plane[..., 0])[..., None]
    count = seen.sum(1)
    middle = (board[:, :2] * seen).sum(1) / count
    offset = np.where(seen, board[:, :2] - middle[:, None], 0)
    spread = np.linalg.eigvalsh(offset.swapaxes(1, 2) @ offset)
    return np.asarray(spread[:, 0] > 1e-4 * spread[:, 1])


def fit_homographies(board: Floats, plane: Floats) -> Floats:
    """Fit homographies (F, 3, 3) from board to ideal plane, robust to false corners."""
    seen = np.isfinite(plane[..., 0])
    target = np.where(seen[..., None], plane, 0)
    to_board, source = _normalise(np.broadcast_to(board, plane.shape), seen)
    to_plane, target = _normalise(target, seen)
    ones = np.ones_like(source[..., :1])
    homogeneous = np.concatenate([source, ones], -1)
    rows = np.zeros((*plane.shape, 9))
    rows[..., 0, 0:3] = rows[..., 1, 3:6] = homogeneous
    rows[..., 0, 6:9] = -target[..., :1] * homogeneous
    rows[..., 1, 6:9] = -target[..., 1:] * homogeneous
    weights = seen.astype(np.float64)
    for _ in range(_RESHAPINGS):
        weighted = rows * weights[..., None, None]
        normal = np.einsum("fcij,fcik->fjk", weighted, rows)
        homography = np.linalg.eigh(normal)[1][..., 0].reshape(-1, 3, 3)
        there = homogeneous @ homography.swapaxes(1, 2)
        depth = there[..., 2:]
        depth = np.where(np.abs(depth) > 1e-9, depth, 1e-9)
        error = np.linalg.norm(there[..., :2] / depth - target, axis=-1)
        scale = _find_medians(np.where(seen, error, np.nan))[:, None] + 1e-9
        # Weights for the least sum of distances, not squares. Dividing by the depth makes the
        # algebraic error that is minimised geometric.
        weights = np.where(seen, scale / (error + 0.1 * scale) / depth[..., 0] ** 2, 0)
    return np.asarray(np.linalg.inv(to_plane) @ homography @ to_board)


def _normalise(points: Floats, seen: Floats) -> tuple[Floats, Floats]:
    """Shift and scale the seen points to the unit circle: the matrices, the points."""
    count = seen.sum(1)[:, None]
    middle = (points * seen[..., None]).sum(1) / count
    offset = (points - middle[:, None]) * seen[..., None]
    size = np.sqrt((offset**2).sum((1, 2)) / count[:, 0]) + 1e-300
    matrices = np.zeros((len(points), 3, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = 1 / size
    matrices[:, :2, 2] = -middle / size[:, None]
    matrices[:, 2, 2] = 1
    return matrices, offset / size[:, None, None]


def _flatten_views(lens: Camera, pixels: Floats) -> tuple[Floats, Floats]:
    """Find where pixels lie on a plane in front of each view, and the turns (F, 3, 3) to there.

    Of a pinhole that is the ideal image. A fisheye may see a board beside or behind itself: its
    views are turned towards what they see.
    """
    turned = np.broadcast_to(np.eye(3), (len(pixels), 3, 3))
    if lens.model == "pinhole":
        return lens.undistort(pixels), turned
    rays = lens.rays(pixels)
    middle = np.nansum(rays, axis=1)
    middle /= np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-12)
    axis = np.cross(middle, [0.0, 0.0, 1.0])
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    turned = turn(axis / np.maximum(sine, 1e-12) * np.arctan2(sine, middle[:, 2:]))
    there = rays @ turned.swapaxes(1, 2)
    depth = there[..., 2:]
    return there[..., :2] / np.where(depth > _SLANT, depth, np.nan), turned


def _decompose(homographies: Floats) -> tuple[Floats, Floats]:
    """Turn homographies into board poses: rotations (F, 3, 3), translations (F, 3)."""
    size = np.sqrt(np.prod(np.linalg.norm(homographies[..., :2], axis=1), axis=-1))
    # The board lies in front of the camera.
    side = np.where(homographies[:, 2, 2] < 0, -1.0, 1.0)
    scaled = homographies / (np.maximum(size, 1e-300) * side)[:, None, None]
    axes = np.concatenate(
        [scaled[..., :2], np.cross(scaled[..., 0], scaled[..., 1])[..., None]], -1
    )
    # A fisheye's rays at right angles to its axis can leave nothing usable.
    lost = ~np.isfinite(axes).all((1, 2)) | ~np.isfinite(scaled).all((1, 2))
    axes[lost] = scaled[lost] = np.eye(3)
    u, _, vt = np.linalg.svd(axes)
    u[..., 2] *= np.linalg.det(u @ vt)[:, None]
    return u @ vt, scaled[..., 2]


def _mirror_tilt(
    rotations: Floats, translations: Floats, board: Floats, seen: Floats
) -> tuple[Floats, Floats]:
    """Tilt boards the other way: their normals mirrored at the line of sight to their middle."""
    weight = seen / seen.sum(1, keepdims=True)
    middle = weight @ board
    there = np.einsum("fij,fj->fi", rotations, middle) + translations
    sight = there / np.linalg.norm(there, axis=1, keepdims=True)
    normal = rotations[..., 2]
    axis = np.cross(normal, sight)
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(length, np.sum(normal * sight, axis=1, keepdims=True))
    # The normal may point to the camera or away; the tilt is what differs from the nearer one.
    angle = np.where(angle > np.pi / 2, angle - np.pi, angle)
    turned = turn(axis / np.maximum(length, 1e-9) * 2 * angle) @ rotations
    return turned, there - np.einsum("fij,fj->fi", turned, middle)


def place_board(rotations: Floats, translations: Floats, board: Floats) -> Floats:
    """Move corners (C, 3) by poses (..., 3, 3), (..., 3): points (..., C, 3)."""
    return np.asarray(board @ np.swapaxes(rotations, -1, -2) + translations[..., None, :])


def _score_poses(
    camera: Camera, board: Floats, pixels: Floats, rotations: Floats, translations: Floats
) -> Floats:
    there = camera.project(place_board(rotations, translations, board))
    distance = np.linalg.norm(there - pixels[:, None], axis=-1)
    # A corner that was seen but lies behind the camera speaks against the pose.
    behind = np.isnan(distance) & np.isfinite(pixels[:, None, :, 0])
    distance[behind] = np.inf
    return _find_medians(distance)


def _linearise(
    camera: Camera, board: Floats, pixels: Floats, pose: tuple[Floats, Floats], scale: Floats
) -> tuple[Floats, Floats, Floats]:
    """Cauchy cost (F,), normal matrices (F, 6, 6) and slopes (F, 6) of board poses."""
    turned = np.moveaxis(board @ pose[0].swapaxes(1, 2), -1, 0)
    there, by_local, _ = differentiate_local(camera, turned + pose[1].T[..., None])
    error = there - np.moveaxis(pixels, -1, 0)
    seen = np.isfinite(pixels[..., 0])
    used = np.isfinite(error[0])
    square = np.where(used, (error**2).sum(0), 0) / scale**2
    rows = np.concatenate([cross_rows(turned, by_local), by_local, error[None]])
    rows = np.where(used, rows / np.sqrt(1 + square), 0)
    flat = rows.transpose(2, 0, 1, 3).reshape(len(pixels), 7, -1)
    products = flat @ flat.swapaxes(1, 2)
    # A corner that was seen but comes to lie behind the camera costs as much as one far off.
    cost = scale[:, 0] ** 2 * np.where(used, np.log1p(square), _LOST * seen).sum(1)
    return cost, products[:, :6, :6], products[:, :6, 6]


def _find_medians(values: Floats) -> Floats:
    """Find medians along the last axis; NaN = missing, and where all are."""
    count = np.sum(~np.isnan(values), axis=-1)[..., None]
    rising = np.sort(values, axis=-1)
    low = np.take_along_axis(rising, np.maximum(count - 1, 0) // 2, -1)
    high = np.take_along_axis(rising, np.minimum(count // 2, values.shape[-1] - 1), -1)
    return np.asarray((0.5 * (low + high))[..., 0])


# A frame's pose is proposed by this many of the cameras that see most corners; the rest judge.
_PROPOSERS = 2
# Corners further off than this, in pixels, all count the same.
_FAR = 50.0


def place_boards(group: CameraGroup, pixels: Floats, *, board: Floats) -> Floats:
    """Find poses of a board in the world.

    In each frame the two cameras that see most corners propose two poses each (a flat board seen
    from far looks the same tilted the other way), and the one that fits all cameras best is taken.

    Parameters
    ----------
    group : CameraGroup
        V cameras, at least roughly placed.
    pixels : float64, (V, F, C, 2)
        Corners; NaN = not seen.
    board : float64, (C, 3)
        Corners in the board's frame, z = 0.

    Returns
    -------
    float64, (F, 6)
        Rotation vectors and translations, board to world; NaN where no camera sees corners
        enough.
    """
    n = pixels.shape[1]
    seen = np.isfinite(pixels).all(-1)
    order = np.argsort(-seen.sum(2), axis=0, kind="stable")
    best = np.full(n, np.inf)
    rotations, translations = np.full((n, 3, 3), np.nan), np.full((n, 3), np.nan)
    for rank in range(min(_PROPOSERS, len(group))):
        for v, camera in enumerate(group):
            frames = np.flatnonzero(order[rank] == v)
            found = find_board_poses(camera, board, pixels=pixels[v, frames])
            for kind in range(2):
                usable = found.errors[:, kind] < _FAR
                here = frames[usable]
                turned = camera.rotation_matrix.T @ found.rotations[usable, kind]
                away = found.translations[usable, kind] - camera.translation
                moved = away @ camera.rotation_matrix
                points = board @ turned.swapaxes(1, 2) + moved[:, None]
                cost = _judge_points(group, pixels[:, here], points)
                better = cost < best[here]
                best[here[better]] = cost[better]
                rotations[here[better]], translations[here[better]] = turned[better], moved[better]
    return np.concatenate([unturn(rotations), translations], axis=1)


def judge_poses(group: CameraGroup, pixels: Floats, board: Floats, poses: Floats) -> Floats:
    """Find the mean distance in pixels, each at most 50, of seen and projected corners.

    Poses are (F, 6) as those of `place_boards`; the result is (F,), 50 for missing poses.
    """
    points = board @ turn(poses[:, :3]).swapaxes(1, 2) + poses[:, None, 3:]
    return _judge_points(group, pixels, points)


def _judge_points(group: CameraGroup, pixels: Floats, points: Floats) -> Floats:
    total, count = np.zeros(len(points)), np.zeros(len(points))
    for camera, there in zip(group, pixels, strict=True):
        # Also far off: what was seen but lies behind the camera.
        error = np.nan_to_num(np.linalg.norm(camera.project(points) - there, axis=-1), nan=_FAR)
        seen = np.isfinite(there).all(-1)
        total += (np.minimum(error, _FAR) * seen).sum(1)
        count += seen.sum(1)
    return np.asarray(total / np.maximum(count, 1))
