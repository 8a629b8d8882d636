"""How animals move, and what they do with each other."""

from mapose.bouts import Bout, Occupancy
from mapose.kinematics.filters import filter_poses, find_filled
from mapose.kinematics.social import (
    find_approaches,
    find_distances,
    find_following,
    find_occupancy,
    find_proximity,
    find_velocities,
)

__all__ = [
    "Bout",
    "Occupancy",
    "filter_poses",
    "find_approaches",
    "find_distances",
    "find_filled",
    "find_following",
    "find_occupancy",
    "find_proximity",
    "find_velocities",
]
