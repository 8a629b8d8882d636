from .cutting import Cut, cut_video
from .formats import find_named_video, read, read_embedded_images, read_labels, read_support, write
from .images import read_image, write_image
from .labels import load_labels, save_labels
from .poses_writer import PosesWriter
from .store import (
    PosesFile,
    count_frames,
    load,
    load_cameras,
    load_doubts,
    load_peaks,
    load_provenance,
    load_support,
    save,
)
from .video import Video, VideoWriter, prefetch
from .zones import read_zones

__all__ = [
    "Cut",
    "PosesFile",
    "PosesWriter",
    "Video",
    "VideoWriter",
    "count_frames",
    "cut_video",
    "find_named_video",
    "load",
    "load_cameras",
    "load_doubts",
    "load_labels",
    "load_peaks",
    "load_provenance",
    "load_support",
    "prefetch",
    "read",
    "read_embedded_images",
    "read_image",
    "read_labels",
    "read_support",
    "read_zones",
    "save",
    "save_labels",
    "write",
    "write_image",
]
