"""Which frames are worth a person's time: frames to label, and outliers to correct."""

from mapose.selection.choosing import (
    METHODS,
    check_method,
    order_clusters,
    order_different,
    spread_evenly,
    spread_randomly,
)
from mapose.selection.pictures import is_duplicate, shrink_picture, take_distinct

__all__ = [
    "METHODS",
    "check_method",
    "is_duplicate",
    "order_clusters",
    "order_different",
    "shrink_picture",
    "spread_evenly",
    "spread_randomly",
    "take_distinct",
]
