from .calibration import plot_calibration
from .colours import find_identity_colours, find_keypoint_colours
from .evaluation import draw_evaluation, plot_comparison, plot_errors, plot_scores
from .figures import save_figure
from .maps import plot_candidates, plot_fields, plot_scoremaps
from .motion import plot_speeds, plot_zones
from .overlay import draw_poses, draw_rings, draw_trails, draw_video
from .reconstruction import plot_reconstruction
from .scene3d import plot_scene_3d
from .scene_video import make_stage
from .sheets import draw_sheet
from .social import plot_ethogram, plot_identity, plot_occupancy
from .swaps import plot_swap
from .training import plot_snapshots, plot_training
from .trajectories import plot_confidence, plot_histograms, plot_positions, plot_trajectories

__all__ = [
    "draw_evaluation",
    "draw_poses",
    "draw_rings",
    "draw_sheet",
    "draw_trails",
    "draw_video",
    "find_identity_colours",
    "find_keypoint_colours",
    "make_stage",
    "plot_calibration",
    "plot_candidates",
    "plot_comparison",
    "plot_confidence",
    "plot_errors",
    "plot_ethogram",
    "plot_fields",
    "plot_histograms",
    "plot_identity",
    "plot_occupancy",
    "plot_positions",
    "plot_reconstruction",
    "plot_scene_3d",
    "plot_scoremaps",
    "plot_scores",
    "plot_snapshots",
    "plot_speeds",
    "plot_swap",
    "plot_training",
    "plot_trajectories",
    "plot_zones",
    "save_figure",
]
