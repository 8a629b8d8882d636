from .calibrating import calibrate_cameras
from .selfcalibrating import calibrate_from_files
from .triangulating import ViewOptions, load_views, triangulate_files

__all__ = [
    "ViewOptions",
    "calibrate_cameras",
    "calibrate_from_files",
    "load_views",
    "triangulate_files",
]
