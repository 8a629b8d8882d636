from .analyses import AnalysisTask, analyze_videos, plan_analyses, run_analysis
from .experiments import Plan, plan_sessions, run_sessions
from .outcomes import Outcome, Report, work_through
from .processes import Here, Processes, choose_processes
from .scheduler import open_scheduler
from .sessions import Rig, Session, find_sessions
from .submitting import (
    QueueOptions,
    Submission,
    list_submissions,
    open_submission,
    resubmit,
    submit_analyses,
    submit_training,
)

__all__ = [
    "AnalysisTask",
    "Here",
    "Outcome",
    "Plan",
    "Processes",
    "QueueOptions",
    "Report",
    "Rig",
    "Session",
    "Submission",
    "analyze_videos",
    "choose_processes",
    "find_sessions",
    "list_submissions",
    "open_scheduler",
    "open_submission",
    "plan_analyses",
    "plan_sessions",
    "resubmit",
    "run_analysis",
    "run_sessions",
    "submit_analyses",
    "submit_training",
    "work_through",
]
