from .pipeline import AnalysisProgress, analyze, analyze_file
from .prediction import Predictor, predict
from .retracking import TrackOptions, track_file

__all__ = [
    "AnalysisProgress",
    "Predictor",
    "TrackOptions",
    "analyze",
    "analyze_file",
    "predict",
    "track_file",
]
