from .analyses import AnalysisTask, analyze_videos, plan_analyses, run_analysis
from .outcomes import Outcome, Report, work_through
from .processes import Processes, choose_processes

__all__ = [
    "AnalysisTask",
    "Outcome",
    "Processes",
    "Report",
    "analyze_videos",
    "choose_processes",
    "plan_analyses",
    "run_analysis",
    "work_through",
]
