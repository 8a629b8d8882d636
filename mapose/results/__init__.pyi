from .comparison import Comparison, compare_files, compare_many, compare_poses
from .correcting import add_edit, export_result, list_edits, undo_edit
from .filtering import filter_file
from .measuring import Scale, measure_file
from .panels import render_views
from .rendering import project_poses, render_video, save_plots, save_swap_pictures
from .result import Result, find_doubtful, load, read, save, write

__all__ = [
    "Comparison",
    "Result",
    "Scale",
    "add_edit",
    "compare_files",
    "compare_many",
    "compare_poses",
    "export_result",
    "filter_file",
    "find_doubtful",
    "list_edits",
    "load",
    "measure_file",
    "project_poses",
    "read",
    "render_video",
    "render_views",
    "save",
    "save_plots",
    "save_swap_pictures",
    "undo_edit",
    "write",
]
