"""What runs a network: torch, or on a processor onnxruntime, where it is there and as exact."""

from __future__ import annotations

import logging
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch

from mapose.cores import count_cores
from mapose.errors import MaposeError
from mapose.models.checkpoint import Model
from mapose.models.export import OnnxNetwork, write_network
from mapose.models.network import PoseNetwork
from mapose.models.shards import SHARES

logger = logging.getLogger(__name__)

#: Frames from which it pays to make a network ready for onnxruntime, which takes 2 s. On a
#: processor without AVX-512, in time of the processor per frame of 320x240: EfficientNet 26.7
#: instead of 39.3 ms and 31.0 instead of 48.5, residual network 27.4 instead of 31.1.
WORTH = 500
#: By how much maps, which are about 1, may differ from those of torch.
_EXACT = 1e-3


def open_runner(
    model: Model, device: torch.device, *, frames: int
) -> tuple[PoseNetwork | OnnxNetwork, str]:
    """Make a model's first network ready to predict many images.

    What is chosen depends on what is installed, the device and the number of images, never on
    how fast something happened to be: an analysis that is repeated or resumed has the same one.

    Parameters
    ----------
    model : Model
        What to predict with.
    device : torch.device
        Where.
    frames : int
        How many images there are.

    Returns
    -------
    PoseNetwork or OnnxNetwork
        With a method ``predict``.
    str
        What runs it, for the provenance: ``"torch 2.8.0, cpu"``.
    """
    if device.type == "cpu" and frames >= WORTH and model.identity is None:
        runner = _open_onnx(model) if find_spec("onnx") and find_spec("onnxruntime") else None
        if runner is not None:
            import onnxruntime

            return runner, f"onnxruntime {onnxruntime.__version__}, cpu"
    return model.network.fused().to(device), f"torch {torch.__version__}, {device.type}"


def _open_onnx(model: Model) -> OnnxNetwork | None:
    """Open a model in onnxruntime; None if it cannot be, or says something else than torch."""
    key = model.hash
    if key not in _opened():
        _opened().clear()  # networks of one model at a time are kept
        _opened()[key] = _try_onnx(model)
    return _opened()[key]


@lru_cache(maxsize=1)
def _opened() -> dict[str, OnnxNetwork | None]:
    return {}


@torch.inference_mode()
def _try_onnx(model: Model) -> OnnxNetwork | None:
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "network.onnx"
            write_network(model.network, place, channels=model.channels)
            runner = OnnxNetwork(place, threads=max(1, count_cores() // SHARES))
        side = 4 * model.network.multiple
        generator = torch.Generator().manual_seed(0)
        shape = (2, side, side + model.network.multiple, model.channels)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        ours, theirs = model.network.fused().predict(images), runner.predict(images)
        pairs = ((getattr(ours, n), getattr(theirs, n)) for n in runner.names)
        apart = max((float((a - b).abs().max()) for a, b in pairs if a.numel()), default=0.0)
    except (MaposeError, RuntimeError, OSError) as fault:
        logger.info("torch runs %s, as onnxruntime cannot: %s", model.name, fault)
        return None
    if apart > _EXACT:
        logger.info("torch runs %s, as onnxruntime is off by %.2g", model.name, apart)
        return None
    return runner
