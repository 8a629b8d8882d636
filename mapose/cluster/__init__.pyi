from .analyses import AnalysisTask, analyze_videos, plan_analyses, run_analysis
from .experiments import Plan, plan_sessions, run_sessions
from .outcomes import Outcome, Report, work_through
from .processes import Here, Processes, choose_processes
from .scheduler import open_scheduler
from .sessions import Rig, Session, find_sessions

__all__ = [
    "AnalysisTask",
    "Here",
    "Outcome",
    "Plan",
    "Processes",
    "Report",
    "Rig",
    "Session",
    "analyze_videos",
    "choose_processes",
    "find_sessions",
    "open_scheduler",
    "plan_analyses",
    "plan_sessions",
    "run_analysis",
    "run_sessions",
    "work_through",
]
