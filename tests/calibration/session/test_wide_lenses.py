"""A ring of lenses of 200 degrees: calibrated with boards beside and behind them, then used."""

import numpy as np
import pytest

from calibration import CameraGroup
from calibration.alignment import find_similarity
from calibration.boardposes import find_board_poses, place_board
from calibration.boards.chessboard import Chessboard
from calibration.boards.detection import BoardDetections
from calibration.rotations import turn
from calibration.session.calibrating import calibrate_detections
from calibration.synthetic import FISHEYE_DISTORTION, aim_camera, find_orientation, make_board

BOARD = make_board(7, 5, square=40.0)


def find_angles(camera, points):
    """Angles to the axis, degrees."""
    local = camera.to_camera(points)
    return np.rad2deg(np.arctan2(np.linalg.norm(local[..., :2], axis=-1), local[..., 2]))


@pytest.fixture
def ring(rng):
    """Four cameras on the edge of a table that look down and outwards."""
    cameras = []
    for i in range(4):
        side = np.array([np.cos(np.pi / 2 * i), np.sin(np.pi / 2 * i), 0])
        place = (300 * side + [0, 0, 200]) * (1 + 0.05 * rng.normal(size=3))
        lens = {"distortion": FISHEYE_DISTORTION, "size": (1000, 1000), "focal": 275.0}
        cameras.append(
            aim_camera(
                f"cam{i}", place, target=place + 0.3 * side - [0, 0, 1], fisheye=True, **lens
            )
        )
    return CameraGroup(cameras, "mm")


def watch_board(ring, rng, n):
    """Hold a board anywhere around the cameras, its front towards the middle of them."""
    middle = rng.uniform(-1, 1, (n, 3)) * [500, 500, 350] + [0, 0, 150]
    front = np.mean([c.centre for c in ring], axis=0) - middle
    front = front / np.linalg.norm(front, axis=1, keepdims=True) + rng.normal(0, 0.25, (n, 3))
    turned = np.stack([find_orientation(f, [0, 0, 0]).T for f in front])
    turned = turned @ turn(rng.uniform(-3, 3, (n, 1)) * [0, 0, 1.0])
    points = place_board(turned, middle - turned @ BOARD.mean(0), BOARD)
    pixels = ring.project(points) + rng.normal(0, 0.3, (len(ring), n, len(BOARD), 2))
    for own, camera in zip(pixels, ring, strict=True):
        away = camera.centre - points
        distance = np.linalg.norm(away, axis=-1)
        slant = -(away * turned[:, None, :, 2]).sum(-1) / distance
        own[(find_angles(camera, points) > 100) | (slant < 0.25) | (distance < 60)] = np.nan
    return points, pixels


def test_board_behind_a_camera_has_its_pose(ring, rng):
    points, pixels = watch_board(ring, rng, 200)
    camera = ring.cameras[0]
    angles = np.where(np.isfinite(pixels[0, ..., 0]), find_angles(camera, points), np.nan)
    count = np.isfinite(angles).sum(1)
    behind = (count >= 12) & ((angles > 90).sum(1) > 0.5 * count)
    assert behind.sum() > 10
    poses = find_board_poses(camera, BOARD, pixels=pixels[0])
    assert poses.found[behind].all()
    there = place_board(poses.rotations[:, 0], poses.translations[:, 0], BOARD)
    off = np.linalg.norm(there - camera.to_camera(points), axis=-1).mean(1)
    distance = np.linalg.norm(camera.to_camera(points), axis=-1).mean(1)
    assert np.median((off / distance)[behind]) < 0.01


def test_ring_is_calibrated_and_sees_all_around(ring, rng):
    _, pixels = watch_board(ring, rng, 80)
    detections = {
        name: BoardDetections(name, (1000, 1000), np.arange(80), own, 80)
        for name, own in zip(ring.names, pixels, strict=True)
    }
    board = Chessboard(7, 5, 40.0, "mm")
    found, report = calibrate_detections(detections, board, fisheye=ring.names)
    assert "agree in" not in str(report)  # no camera contradicts another one
    centres = [np.array([c.centre for c in group]) for group in (found, ring)]
    world = find_similarity(*centres, scale=False)
    assert np.linalg.norm(world.move(centres[0]) - centres[1], axis=1).max() < 0.5
    for camera in found:
        assert camera.matrix[0, 0] == pytest.approx(275, rel=0.005)
    points = rng.uniform(-1, 1, (1000, 3)) * [500, 500, 300] + [0, 0, 150]
    seen = ring.project(points) + rng.normal(0, 0.3, (4, 1000, 2))
    seen[np.stack([find_angles(c, points) > 100 for c in ring])] = np.nan
    there = np.isfinite(seen[..., 0])
    ahead = there & np.stack([c.to_camera(points)[:, 2] > 0 for c in ring])
    beyond = (there.sum(0) > 2) & (ahead.sum(0) < 2)
    assert beyond.sum() > 20
    triangulated = found.triangulate(seen)
    error = np.linalg.norm(world.move(triangulated.points) - points, axis=1)
    assert np.isfinite(error[beyond]).mean() > 0.95
    assert np.nanmedian(error[beyond]) < 3
    assert np.nanmedian(found.reprojection_error(triangulated.points, seen)) < 0.5
