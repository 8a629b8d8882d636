"""Files in and out: video, images, our own container, label stores, other tools' formats."""

import importlib
from typing import Any

# Public name -> module, loaded on first use: most callers need one or two of them.
_PUBLIC = {
    "load": "store",
    "save": "store",
    "count_frames": "store",
    "load_peaks": "store",
    "load_provenance": "store",
    "load_cameras": "store",
    "load_contacts": "store",
    "load_support": "store",
    "PosesWriter": "poses_writer",
    "Video": "video",
    "VideoWriter": "video",
    "prefetch": "video",
    "read": "formats",
    "write": "formats",
    "read_support": "formats",
    "export_file": "formats",
    "read_labels": "formats",
    "read_embedded_images": "formats",
    "load_labels": "labels",
    "save_labels": "labels",
    "read_image": "images",
    "write_image": "images",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"mapose.io.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'mapose.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
