"""Follow animals through time, give each one row of the result, and say how sure that is."""

from mapose.tracking.encounters import Encounter
from mapose.tracking.naming import Naming, name_tracklets
from mapose.tracking.online import OnlineTracker, Seats
from mapose.tracking.stitching import stitch
from mapose.tracking.tracker import Tracker
from mapose.tracking.tracklets import TrackletSummaries
from mapose.tracking.tracks import (
    ChunkTracker,
    Rows,
    Tracking,
    arrange,
    join_rows,
    track,
    track_with_doubts,
)

__all__ = [
    "ChunkTracker",
    "Encounter",
    "Naming",
    "OnlineTracker",
    "Rows",
    "Seats",
    "Tracker",
    "TrackletSummaries",
    "Tracking",
    "arrange",
    "join_rows",
    "name_tracklets",
    "stitch",
    "track",
    "track_with_doubts",
]
