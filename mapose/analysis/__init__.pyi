from .pipeline import AnalysisProgress, analyze, analyze_file
from .prediction import Predictor, predict
from .retracking import TrackOptions, track_file
from .speed import Speed, measure_speed

__all__ = [
    "AnalysisProgress",
    "Predictor",
    "Speed",
    "TrackOptions",
    "analyze",
    "analyze_file",
    "measure_speed",
    "predict",
    "track_file",
]
