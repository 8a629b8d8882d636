__version__: str
from . import io as io
from . import kinematics as kinematics
from . import metrics as metrics
from . import plots as plots
from . import synthetic as synthetic
from . import zoo as zoo
from .analysis.mapping import save_maps
from .analysis.mirroring import find_mirrored
from .analysis.pipeline import analyze, analyze_file
from .analysis.prediction import predict
from .analysis.retracking import track_file
from .analysis.speed import measure_speed
from .app.serving import serve
from .cameras.calibrating import calibrate_cameras
from .cameras.selfcalibrating import check_calibration
from .cameras.triangulating import triangulate_files
from .cameras.world import WorldBoard, WorldPoints, place_world
from .cluster.analyses import analyze_videos, plan_analyses
from .cluster.experiments import plan_sessions, run_sessions
from .cluster.sessions import find_sessions
from .cluster.submitting import submit_analyses, submit_training
from .decode.assembly import assemble
from .doubts import Doubt, find_swaps
from .errors import MaposeError
from .io.cutting import cut_video
from .kinematics.filters import filter_poses
from .labels import Labels
from .models.checkpoint import Model
from .models.topdown import TopDown, open_model
from .multiview.matching.identities import match_views
from .multiview.reconstruction.reconstruction import Reconstruction, triangulate
from .poses import Peaks, Poses
from .project.crops import load_crops, set_crop
from .project.exporting import export_labels
from .project.extracting import extract_frames, select_frames
from .project.history import ConflictError
from .project.importing import import_project
from .project.merging import merge_projects
from .project.overview import describe
from .project.packing import zip_project
from .project.project import Project
from .project.proposals import accept_proposals, drop_proposals, load_proposals
from .project.proposing import propose_frames
from .project.refining import refine_project
from .project.relinking import relink_project
from .project.removing import find_removal, remove_parts
from .project.sheets import save_sheets
from .recognition.appearance import Appearance, find_embeddings, load_appearance
from .recognition.gallery import Gallery, load_gallery
from .recognition.learning import add_to_gallery, learn_appearance, name_by_gallery
from .results.comparison import compare_files
from .results.correcting import add_edit, export_result, undo_edit
from .results.filtering import filter_file
from .results.measuring import measure_file
from .results.outliers import find_outliers
from .results.panels import render_views
from .results.rendering import render_video, save_plots
from .results.result import Result, find_doubtful, load, read, save, write
from .skeleton import Skeleton
from .tracking.tracks import track
from .training.comparison import compare_models
from .training.evaluation import evaluate
from .training.folds import cross_validate, train_seeds
from .training.learning_curve import find_learning_curve
from .training.reports import write_evaluation
from .training.snapshots import evaluate_snapshots, load_snapshot
from .training.training import train

__all__ = [
    "Appearance",
    "ConflictError",
    "Doubt",
    "Gallery",
    "Labels",
    "MaposeError",
    "Model",
    "Peaks",
    "Poses",
    "Project",
    "Reconstruction",
    "Result",
    "Skeleton",
    "TopDown",
    "accept_proposals",
    "add_edit",
    "add_to_gallery",
    "analyze",
    "analyze_file",
    "analyze_videos",
    "assemble",
    "calibrate_cameras",
    "check_calibration",
    "place_world",
    "WorldBoard",
    "WorldPoints",
    "compare_files",
    "compare_models",
    "cross_validate",
    "drop_proposals",
    "cut_video",
    "describe",
    "evaluate",
    "evaluate_snapshots",
    "export_labels",
    "export_result",
    "extract_frames",
    "filter_file",
    "filter_poses",
    "find_doubtful",
    "find_embeddings",
    "find_learning_curve",
    "find_mirrored",
    "find_outliers",
    "find_sessions",
    "find_removal",
    "find_swaps",
    "import_project",
    "io",
    "kinematics",
    "learn_appearance",
    "load",
    "load_appearance",
    "load_crops",
    "load_gallery",
    "load_proposals",
    "load_snapshot",
    "match_views",
    "measure_file",
    "measure_speed",
    "merge_projects",
    "metrics",
    "name_by_gallery",
    "open_model",
    "plan_analyses",
    "plan_sessions",
    "plots",
    "predict",
    "propose_frames",
    "read",
    "refine_project",
    "relink_project",
    "remove_parts",
    "render_video",
    "render_views",
    "run_sessions",
    "save",
    "save_maps",
    "save_plots",
    "select_frames",
    "save_sheets",
    "serve",
    "set_crop",
    "submit_analyses",
    "submit_training",
    "synthetic",
    "track",
    "track_file",
    "train",
    "train_seeds",
    "triangulate",
    "triangulate_files",
    "undo_edit",
    "write",
    "write_evaluation",
    "zoo",
    "zip_project",
]
