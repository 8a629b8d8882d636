"""mapose: videos of several interacting animals to identified tracks and 3D poses."""

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module. Loaded on first use: `import mapose` must stay light and silent.
_PUBLIC = {
    "Skeleton": "skeleton",
    "Poses": "poses",
    "Peaks": "poses",
    "Labels": "labels",
    "MaposeError": "errors",
    "Project": "project",
    "Model": "models",
    "load": "io",
    "save": "io",
    "read": "io",
    "write": "io",
    "train": "training",
    "evaluate": "evaluation",
    "predict": "prediction",
    "assemble": "decode",
    "track": "tracking",
    "find_swaps": "tracking",
    "load_corrected": "correcting",
    "learn_appearance": "recognition",
    "find_embeddings": "recognition",
    "add_to_gallery": "recognition",
    "name_by_gallery": "recognition",
    "Appearance": "appearance",
    "load_appearance": "appearance",
    "Gallery": "gallery",
    "load_gallery": "gallery",
    "match_views": "multiview",
    "triangulate": "multiview",
    "Reconstruction": "multiview",
    "analyze": "pipeline",
}
_MODULES = ("metrics", "plots", "synthetic", "io", "behaviour")

__all__ = ["__version__", *_PUBLIC, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"mapose.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"mapose.{name}")
    raise AttributeError(f"module 'mapose' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
