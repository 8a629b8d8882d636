"""Cameras and groups of cameras: calibrate them, and triangulate what they see."""

from calibration.alignment import align_to_board, align_to_points, find_similarity
from calibration.boardfiles import read_board
from calibration.boards import ArucoGrid, CharucoBoard, Chessboard
from calibration.bundle import bundle_adjust, bundle_adjust_points
from calibration.camera import Camera
from calibration.detection import BoardDetections, find_boards
from calibration.drift import find_drift
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.readers import read_cameras
from calibration.report import CalibrationReport
from calibration.selection import select_views
from calibration.selfcalibration import KnownLength, calibrate_from_points, guess_lens
from calibration.session import calibrate, calibrate_detections
from calibration.synchronization import Synchronization, find_frame_offsets
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
    "KnownLength",
    "Synchronization",
    "Triangulation",
    "align_to_board",
    "align_to_points",
    "bundle_adjust",
    "bundle_adjust_points",
    "calibrate",
    "calibrate_detections",
    "calibrate_from_points",
    "find_boards",
    "find_drift",
    "find_frame_offsets",
    "find_similarity",
    "guess_lens",
    "read_board",
    "read_cameras",
    "select_views",
    "triangulate_points",
]
