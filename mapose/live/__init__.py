"""Live: cameras in real time, several views, poses in 3D, and how long it took."""

import lazy_loader

# Names and where they come from are listed in __init__.pyi, and loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
