"""What runs a network: torch, or on a processor onnxruntime, where it is there and as exact."""

from __future__ import annotations

import logging
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mapose.cores import count_cores
from mapose.errors import MaposeError
from mapose.models.checkpoint import Model
from mapose.models.export import OnnxNetwork, Stage, choose_network, write_network
from mapose.models.network import Maps, PoseNetwork
from mapose.models.shards import SHARES, take_all_cores

logger = logging.getLogger(__name__)

#: Frames from which it pays to make a network ready for onnxruntime, which takes 2 s. On a
#: processor without AVX-512, in time of the processor per frame of 320x240: EfficientNet 26.7
#: instead of 39.3 ms and 31.0 instead of 48.5, residual network 27.4 instead of 31.1.
WORTH = 500
#: By how much maps, which are about 1, may differ from those of torch.
_EXACT = 1e-3


class _AllCores:
    """A network of torch that has all cores for as long as it computes, and no longer."""

    def __init__(self, network: PoseNetwork) -> None:
        self.network = network

    def predict(self, images: Tensor) -> Maps:
        """Predict maps as `PoseNetwork.predict` does."""
        with take_all_cores():
            return self.network.predict(images)


Runner = PoseNetwork | OnnxNetwork | _AllCores


def open_runner(
    model: Model,
    device: torch.device,
    *,
    frames: int,
    stage: Stage = "first",
    at_once: bool = False,
) -> tuple[Runner, str]:
    """Make a network of a model ready to predict many images.

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
    stage : {"first", "second"}
        Which network, of a model with two.
    at_once : bool
        Each call has all cores, where otherwise there is one for each share of a batch.

    Returns
    -------
    PoseNetwork or what stands for one
        With a method ``predict``.
    str
        What runs it, for the provenance: ``"torch 2.8.0, cpu"``.
    """
    if device.type == "cpu" and frames >= WORTH:
        runner = None
        if find_spec("onnx") and find_spec("onnxruntime"):
            cores = count_cores()
            runner = _open_onnx(model, stage, cores if at_once else max(1, cores // SHARES))
        if runner is not None:
            import onnxruntime

            return runner, f"onnxruntime {onnxruntime.__version__}, cpu"
    network = choose_network(model, stage)[0].fused().to(device)
    return _AllCores(network) if at_once else network, f"torch {torch.__version__}, {device.type}"


def _open_onnx(model: Model, stage: Stage, threads: int) -> OnnxNetwork | None:
    """Open a network in onnxruntime; None if it cannot be, or says something else than torch."""
    opened = _open_model(model.hash)
    if (stage, threads) not in opened:
        opened[stage, threads] = _try_onnx(model, stage, threads)
    return opened[stage, threads]


@lru_cache(maxsize=1)  # networks of one model at a time are kept
def _open_model(mark: str) -> dict[tuple[Stage, int], OnnxNetwork | None]:
    return {}


@torch.inference_mode()
def _try_onnx(model: Model, stage: Stage, threads: int) -> OnnxNetwork | None:
    network, channels = choose_network(model, stage)
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "network.onnx"
            write_network(network, place, channels=channels)
            runner = OnnxNetwork(place, threads=threads)
        side = 4 * network.multiple
        generator = torch.Generator().manual_seed(0)
        shape = (2, side, side + network.multiple, channels)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        ours, theirs = network.fused().predict(images), runner.predict(images)
        pairs = ((getattr(ours, n), getattr(theirs, n)) for n in runner.names)
        apart = max((float((a - b).abs().max()) for a, b in pairs if a.numel()), default=0.0)
    except (MaposeError, RuntimeError, OSError) as fault:
        logger.info("torch runs %s, as onnxruntime cannot: %s", model.name, fault)
        return None
    if apart > _EXACT:
        logger.info("torch runs %s, as onnxruntime is off by %.2g", model.name, apart)
        return None
    return runner
