"""Networks and their folders."""

from mapose.models.backbone import Encoder
from mapose.models.checkpoint import (
    Identity,
    Model,
    count_gpus,
    find_device,
    load_tensors,
    restore_network,
    save_tensors,
)
from mapose.models.efficientnet import EfficientNetLite0, has_weights
from mapose.models.hub import HubEncoder, read_config
from mapose.models.losses import Losses, find_centre_loss, find_losses, find_mark_loss
from mapose.models.network import Maps, PoseNetwork, build_network, normalise
from mapose.models.refiner import Refiner
from mapose.models.runners import open_runner
from mapose.models.shards import Shards, Workers, spare_cores, take_one_core
from mapose.models.topdown import TopDown, is_top_down, open_model

__all__ = [
    "EfficientNetLite0",
    "Encoder",
    "HubEncoder",
    "Identity",
    "Losses",
    "Maps",
    "Model",
    "PoseNetwork",
    "Refiner",
    "Shards",
    "TopDown",
    "Workers",
    "build_network",
    "count_gpus",
    "find_device",
    "find_centre_loss",
    "find_losses",
    "find_mark_loss",
    "has_weights",
    "is_top_down",
    "load_tensors",
    "normalise",
    "open_model",
    "open_runner",
    "read_config",
    "restore_network",
    "save_tensors",
    "spare_cores",
    "take_one_core",
]
