"""From labelled images to training batches."""

from mapose.data.augment import (
    Augmentation,
    choose_looks,
    draw_view,
    find_lengths_to_show,
    find_rotation,
    is_slanted,
)
from mapose.data.crops import (
    CropSet,
    CropShape,
    draw_pose,
    find_crop_size,
    find_middle,
    make_crop_set,
)
from mapose.data.dataset import (
    TrainingSet,
    are_tiny,
    choose_block,
    find_scale,
    find_view_size,
    hide_outside,
    is_grey,
    make_training_set,
    pad_images,
    prepare_image,
)
from mapose.data.targets import draw_centres, draw_fields, draw_owners, draw_scores

__all__ = [
    "Augmentation",
    "CropSet",
    "CropShape",
    "TrainingSet",
    "are_tiny",
    "choose_looks",
    "draw_centres",
    "draw_fields",
    "draw_owners",
    "draw_pose",
    "draw_scores",
    "draw_view",
    "find_crop_size",
    "find_lengths_to_show",
    "find_middle",
    "find_rotation",
    "find_scale",
    "find_view_size",
    "hide_outside",
    "is_grey",
    "is_slanted",
    "make_crop_set",
    "choose_block",
    "make_training_set",
    "pad_images",
    "prepare_image",
]
