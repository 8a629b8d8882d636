"""mapose: videos of several interacting animals to identified tracks and 3D poses."""

import lazy_loader

__version__ = "0.1.0"

# Names and where they come from are listed in __init__.pyi, and loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", *__all__]
