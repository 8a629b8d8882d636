"""Score poses, detections and tracks."""

from mapose.metrics.mistakes import Presence, SideErrors, find_presence, find_side_errors
from mapose.metrics.naming import NameScores, Tenth, find_lasting_swaps, name_scores
from mapose.metrics.oks import OksMap, oks_map
from mapose.metrics.overlap import align_poses
from mapose.metrics.pose import PoseError, match_individuals, pick_matched, pose_error
from mapose.metrics.reconstruction import (
    BoneVariation,
    ReconstructionError,
    bone_variation,
    reconstruction_error,
)
from mapose.metrics.tracks import TrackScores, track_scores
from mapose.metrics.trust import Trust, find_trust

__all__ = [
    "BoneVariation",
    "NameScores",
    "OksMap",
    "PoseError",
    "Presence",
    "ReconstructionError",
    "SideErrors",
    "Tenth",
    "TrackScores",
    "Trust",
    "align_poses",
    "bone_variation",
    "find_lasting_swaps",
    "find_presence",
    "find_side_errors",
    "find_trust",
    "match_individuals",
    "name_scores",
    "oks_map",
    "pick_matched",
    "pose_error",
    "reconstruction_error",
    "track_scores",
]
