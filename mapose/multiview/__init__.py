"""Several cameras: who is who in all of them, where everybody is in 3D, and when."""

from mapose.multiview.matching.identities import MatchOptions, match_parts, match_views
from mapose.multiview.reconstruction.reconstruction import Reconstruction, triangulate
from mapose.multiview.synchronization import find_offsets, shift_views
from mapose.multiview.views import select_common_frames

__all__ = [
    "MatchOptions",
    "Reconstruction",
    "find_offsets",
    "match_parts",
    "match_views",
    "select_common_frames",
    "shift_views",
    "triangulate",
]
