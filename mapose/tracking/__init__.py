"""Follow animals through time, give each one row of the result, and say how sure that is."""

from mapose.tracking.contacts import Contact, Swap, find_swaps
from mapose.tracking.encounters import Encounter
from mapose.tracking.naming import Naming, name_tracklets
from mapose.tracking.online import OnlineTracker
from mapose.tracking.stitching import stitch
from mapose.tracking.tracker import Tracker
from mapose.tracking.tracklets import TrackletSummaries
from mapose.tracking.tracks import (
    ChunkTracker,
    Rows,
    Tracking,
    arrange,
    find_present,
    join_rows,
    track,
    track_with_contacts,
)

__all__ = [
    "ChunkTracker",
    "Contact",
    "Encounter",
    "Naming",
    "OnlineTracker",
    "Rows",
    "Swap",
    "Tracker",
    "TrackletSummaries",
    "Tracking",
    "arrange",
    "find_present",
    "find_swaps",
    "join_rows",
    "name_tracklets",
    "stitch",
    "track",
    "track_with_contacts",
]
