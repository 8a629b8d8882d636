"""Where a board stands in the world, from cameras whose places are known."""

from __future__ import annotations

import numpy as np

from calibration.boardposes import find_board_poses, turn, unturn
from calibration.group import CameraGroup
from calibration.lens import Floats

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
