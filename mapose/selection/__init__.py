"""Which frames are worth a person's time: frames to label, and outliers to correct."""

from mapose.selection.choosing import (
    METHODS,
    check_method,
    order_clusters,
    order_different,
    spread_evenly,
    spread_randomly,
)
from mapose.selection.criteria import (
    find_disagreements,
    find_exchanges,
    find_jumps,
    find_low_confidence,
    find_odd_poses,
    find_unsure_names,
    find_view_errors,
)
from mapose.selection.outliers import KINDS, Outlier, Reason, rank_outliers
from mapose.selection.pictures import is_duplicate, shrink_picture, take_distinct

__all__ = [
    "KINDS",
    "METHODS",
    "Outlier",
    "Reason",
    "check_method",
    "find_disagreements",
    "find_exchanges",
    "find_jumps",
    "find_low_confidence",
    "find_odd_poses",
    "find_unsure_names",
    "find_view_errors",
    "is_duplicate",
    "order_clusters",
    "order_different",
    "rank_outliers",
    "shrink_picture",
    "spread_evenly",
    "spread_randomly",
    "take_distinct",
]
