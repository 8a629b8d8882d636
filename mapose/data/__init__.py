"""From labelled images to training batches."""

from mapose.data.augment import Augmentation, draw_view, find_rotation
from mapose.data.dataset import (
    TrainingSet,
    find_scale,
    find_view_size,
    hide_outside,
    is_grey,
    make_training_set,
    pad_images,
    prepare_image,
)
from mapose.data.targets import draw_fields, draw_scores

__all__ = [
    "Augmentation",
    "TrainingSet",
    "draw_fields",
    "draw_scores",
    "draw_view",
    "find_scale",
    "find_rotation",
    "find_view_size",
    "hide_outside",
    "is_grey",
    "make_training_set",
    "pad_images",
    "prepare_image",
]
