from .calibrating import BoardOptions, calibrate_cameras
from .selfcalibrating import calibrate_from_files, check_calibration
from .triangulating import ViewOptions, load_views, triangulate_files
from .world import WorldBoard, WorldPoints, place_world

__all__ = [
    "BoardOptions",
    "ViewOptions",
    "WorldBoard",
    "WorldPoints",
    "calibrate_cameras",
    "calibrate_from_files",
    "check_calibration",
    "load_views",
    "place_world",
    "triangulate_files",
]
