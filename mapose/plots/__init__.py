"""Poses, training and evaluation made visible: on images, on video, in figures."""

import importlib
from typing import Any

# Public name -> module, loaded on first use: matplotlib and cv2 are slow to import.
_PUBLIC = {
    "draw_poses": "overlay",
    "draw_trails": "overlay",
    "draw_video": "overlay",
    "draw_evaluation": "evaluation",
    "plot_errors": "evaluation",
    "plot_trajectories": "trajectories",
    "plot_positions": "trajectories",
    "plot_confidence": "trajectories",
    "plot_histograms": "trajectories",
    "plot_training": "training",
    "plot_scene_3d": "scene3d",
    "plot_calibration": "calibration",
    "plot_reconstruction": "reconstruction",
    "plot_swap": "swaps",
    "plot_identity": "social",
    "plot_ethogram": "social",
    "plot_occupancy": "social",
    "save_figure": "figures",
    "find_identity_colours": "colours",
    "find_keypoint_colours": "colours",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"mapose.plots.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'mapose.plots' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
