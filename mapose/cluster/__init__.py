"""Many videos: on the cores of one machine, on several GPUs, on many machines."""

import lazy_loader

# Names and where they come from are listed in __init__.pyi, and loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
