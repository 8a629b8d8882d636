"""How animals move, and what they do with each other."""

from mapose.bouts import Bout, Occupancy
from mapose.kinematics.filters import filter_poses, find_filled
from mapose.kinematics.measures import (
    Kinematics,
    MeasureOptions,
    Measuring,
    Summary,
    measure_poses,
    scale_poses,
)
from mapose.kinematics.motion import (
    find_accelerations,
    find_distances_travelled,
    find_positions,
    find_speeds,
    find_velocities,
)
from mapose.kinematics.places import ZoneUse, find_in_zones, find_visits, find_zone_use
from mapose.kinematics.posture import (
    find_body_coordinates,
    find_headings,
    find_joint_angles,
    find_limb_lengths,
    list_joints,
)
from mapose.kinematics.social import (
    find_approaches,
    find_distances,
    find_following,
    find_occupancy,
    find_proximity,
)
from mapose.kinematics.thresholds import find_bouts
from mapose.zones import Zone, parse_zone

__all__ = [
    "Bout",
    "Kinematics",
    "MeasureOptions",
    "Measuring",
    "Occupancy",
    "Summary",
    "Zone",
    "ZoneUse",
    "filter_poses",
    "find_accelerations",
    "find_approaches",
    "find_body_coordinates",
    "find_bouts",
    "find_distances",
    "find_distances_travelled",
    "find_filled",
    "find_following",
    "find_headings",
    "find_in_zones",
    "find_joint_angles",
    "find_limb_lengths",
    "find_occupancy",
    "find_positions",
    "find_proximity",
    "find_speeds",
    "find_velocities",
    "find_visits",
    "find_zone_use",
    "list_joints",
    "measure_poses",
    "parse_zone",
    "scale_poses",
]
