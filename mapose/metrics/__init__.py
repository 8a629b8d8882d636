"""How good are poses, detections and tracks?"""

from mapose.metrics.tracks import TrackScores, track_scores

__all__ = ["TrackScores", "track_scores"]
