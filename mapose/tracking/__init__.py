"""Follow animals through time, and give each one row of the result."""

from mapose.tracking.stitching import stitch
from mapose.tracking.tracker import Tracker
from mapose.tracking.tracklets import TrackletSummaries
from mapose.tracking.tracks import arrange, track

__all__ = ["Tracker", "TrackletSummaries", "arrange", "stitch", "track"]
