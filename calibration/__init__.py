"""Cameras and groups of cameras: where a point of the world is seen, and where a pixel looks."""

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import CameraGroup

__all__ = ["Camera", "CameraGroup", "CalibrationError"]
