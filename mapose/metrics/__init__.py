"""Score poses, detections and tracks."""

from mapose.metrics.alignment import align_poses
from mapose.metrics.oks import OksMap, oks_map
from mapose.metrics.pose import PoseError, match_individuals, pose_error
from mapose.metrics.tracks import TrackScores, track_scores

__all__ = [
    "OksMap",
    "PoseError",
    "TrackScores",
    "align_poses",
    "match_individuals",
    "oks_map",
    "pose_error",
    "track_scores",
]
