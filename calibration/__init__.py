"""Cameras and groups of cameras: calibrate them, and triangulate what they see."""

from calibration.alignment import align_to_board, align_to_points, find_similarity
from calibration.boardfiles import read_board
from calibration.boards import ArucoGrid, CharucoBoard, Chessboard
from calibration.bundle import bundle_adjust, bundle_adjust_points
from calibration.camera import Camera
from calibration.detection import BoardDetections, find_boards
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.readers import read_cameras
from calibration.report import CalibrationReport
from calibration.session import calibrate, calibrate_detections
from calibration.triangulation import Triangulation, triangulate_points

__all__ = [
    "ArucoGrid",
    "BoardDetections",
    "CalibrationError",
    "CalibrationReport",
    "Camera",
    "CameraGroup",
    "CharucoBoard",
    "Chessboard",
    "Triangulation",
    "align_to_board",
    "align_to_points",
    "bundle_adjust",
    "bundle_adjust_points",
    "calibrate",
    "calibrate_detections",
    "find_boards",
    "find_similarity",
    "read_board",
    "read_cameras",
    "triangulate_points",
]
