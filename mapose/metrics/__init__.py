"""Score poses, detections and tracks."""

from mapose.metrics.alignment import align_poses
from mapose.metrics.oks import OksMap, oks_map
from mapose.metrics.pose import PoseError, match_individuals, pose_error
from mapose.metrics.reconstruction import (
    BoneVariation,
    ReconstructionError,
    bone_variation,
    reconstruction_error,
)
from mapose.metrics.tracks import TrackScores, track_scores

__all__ = [
    "BoneVariation",
    "OksMap",
    "PoseError",
    "ReconstructionError",
    "TrackScores",
    "align_poses",
    "bone_variation",
    "match_individuals",
    "oks_map",
    "pose_error",
    "reconstruction_error",
    "track_scores",
]
