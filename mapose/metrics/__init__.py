"""Score poses, detections and tracks."""

from mapose.metrics.naming import NameScores, Tenth, find_lasting_swaps, name_scores
from mapose.metrics.oks import OksMap, oks_map
from mapose.metrics.overlap import align_poses
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
    "NameScores",
    "OksMap",
    "PoseError",
    "ReconstructionError",
    "Tenth",
    "TrackScores",
    "align_poses",
    "bone_variation",
    "find_lasting_swaps",
    "match_individuals",
    "name_scores",
    "oks_map",
    "pose_error",
    "reconstruction_error",
    "track_scores",
]
