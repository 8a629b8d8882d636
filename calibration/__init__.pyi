from .alignment import (
    align_to_board,
    align_to_points,
    find_board_pose,
    find_similarity,
    find_world_change,
)
from .boards.board import Board
from .boards.charuco import CharucoBoard
from .boards.chessboard import Chessboard
from .boards.detection import BoardDetections, find_boards, find_sighting
from .boards.markergrid import ArucoGrid
from .boards.printing import write_board
from .boards.recordings import open_recording
from .boards.specs import read_board
from .bundle.adjustment import bundle_adjust, bundle_adjust_points
from .camera import Camera, find_reprojection_errors
from .errors import CalibrationError
from .files.readers import read_cameras
from .group import UNKNOWN_UNIT, CameraGroup
from .selfcalibration.calibrating import KnownLength, calibrate_from_points, guess_lens
from .selfcalibration.drift import Drift, find_drift
from .selfcalibration.lenses import find_undistorted
from .selfcalibration.report import SelfCalibrationReport
from .session.calibrating import calibrate, calibrate_detections
from .session.report import CalibrationReport
from .session.selection import select_views
from .stations import (
    add_station,
    join_calibrations,
    list_stations,
    select_stations,
    split_station,
)
from .synchronization.frame_offsets import Synchronization, find_frame_offsets
from .synchronization.moments import find_moments, place_moments
from .synchronization.rates import find_different_rates
from .synthetic import aim_camera, make_ring
from .triangulation.epipolar import estimate_noise, find_all_distances
from .triangulation.fitting import invert_normal
from .triangulation.points import Triangulation, Triangulator, triangulate_points
from .triangulation.sightlines import Sightlines, make_sightlines

__all__ = [
    "UNKNOWN_UNIT",
    "ArucoGrid",
    "Board",
    "BoardDetections",
    "CalibrationError",
    "CalibrationReport",
    "Camera",
    "CameraGroup",
    "CharucoBoard",
    "Chessboard",
    "Drift",
    "KnownLength",
    "SelfCalibrationReport",
    "Sightlines",
    "Synchronization",
    "Triangulation",
    "Triangulator",
    "add_station",
    "aim_camera",
    "align_to_board",
    "align_to_points",
    "bundle_adjust",
    "bundle_adjust_points",
    "calibrate",
    "calibrate_detections",
    "calibrate_from_points",
    "estimate_noise",
    "find_all_distances",
    "find_board_pose",
    "find_boards",
    "find_sighting",
    "find_different_rates",
    "find_drift",
    "find_frame_offsets",
    "find_moments",
    "find_reprojection_errors",
    "find_similarity",
    "find_undistorted",
    "find_world_change",
    "guess_lens",
    "invert_normal",
    "join_calibrations",
    "list_stations",
    "make_ring",
    "make_sightlines",
    "open_recording",
    "place_moments",
    "read_board",
    "read_cameras",
    "select_stations",
    "select_views",
    "split_station",
    "triangulate_points",
    "write_board",
]
