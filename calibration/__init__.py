"""Cameras and groups of cameras: calibrate them, and triangulate what they see."""

import lazy_loader

# Names and where they come from are listed in __init__.pyi, and loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
