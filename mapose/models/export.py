"""A network for programs that know neither mapose nor, in one of two forms, torch."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mapose.errors import FormatError, MissingExtraError, SettingsError
from mapose.files import claim_output, make_mark, name_work, write_atomically
from mapose.models.checkpoint import Model
from mapose.models.network import Maps, PoseNetwork

logger = logging.getLogger(__name__)

Kind = Literal["onnx", "torchscript"]
Stage = Literal["first", "second"]
ENDINGS: dict[str, str] = {"onnx": ".onnx", "torchscript": ".pt"}
#: What goes in, and what comes out, in this order; what only some networks have stands at the end.
_INPUT, _OUTPUTS, _SOME = "images", ("scores", "offsets", "fields"), ("marks", "centres")
_AXES = {0: "batch", 1: "height", 2: "width"}
_EXAMPLE = 4  # multiples of the network's own
_ONNX = "ONNX needs libraries of its own: pip install 'mapose[onnx]'"


class _Plain(nn.Module):
    """A network from uint8 images to a tuple of maps."""

    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Predict the maps that there are, of images, uint8 (B, H, W, C)."""
        maps = self.network.predict(images)
        return tuple(getattr(maps, name) for name in _name_outputs(self.network))


def _name_outputs(network: PoseNetwork) -> list[str]:
    """Name the maps that a network has, as it has heads of these names for what only some have."""
    return [*_OUTPUTS, *(name for name in _SOME if getattr(network, name) is not None)]


def export_model(
    model: Model,
    path: str | os.PathLike[str],
    *,
    to: Kind = "onnx",
    stage: Stage = "first",
    source: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Path:
    """Write a model's network as ONNX or TorchScript.

    Parameters
    ----------
    model : Model
        What to write.
    path : path
        File to write, ``.onnx`` or ``.pt``.
    to : {"onnx", "torchscript"}
        ONNX for onnxruntime, TensorRT, OpenVINO and others; TorchScript for torch without mapose.
    stage : {"first", "second"}
        Which network, of a model with two; each is a file of its own. The second is shown crops
        with, after the channels of the image, one for each keypoint that was found there
        (`mapose.data.draw_pose`, as strong as its score if ``refiner`` says ``weighed``), and has
        no fields. What scores less than the ``threshold`` of ``refiner`` is absent.
    source : path, optional
        Folder that the model was read from, whose files are not written over.
    force : bool
        Replace a file that something else has made.

    Returns
    -------
    Path
        The file. In goes ``images``, uint8 (B, H, W, C), any B, with H and W multiples of
        `PoseNetwork.multiple`; out come ``scores``, ``offsets`` and ``fields``, of animals with
        names also ``marks``, of tiny ones ``centres``, as in `Maps`. What they stand for is written
        in it as JSON under ``mapose``: in ONNX among the metadata, in TorchScript as an extra file.

    Raises
    ------
    MissingExtraError
        If the library for it is not installed.
    SettingsError
        If the output may not be written, or the model has no second stage.
    """
    path = Path(path)
    chosen, channels = choose_network(model, stage)
    if stage == "first" and model.refiner is not None:
        logger.warning(
            "only the first stage is written; --stage second writes the other one to a file of "
            "its own"
        )
    if stage == "first" and model.looks > 1:
        logger.warning(
            "the model looks at each image %d times, each time at half the size: whoever runs the "
            "file has to show it these, as mapose does (mapose.analysis.looks)",
            model.looks,
        )
    which = None if stage == "first" else stage
    made = name_work("models export", [model.name or "model"], to=to, stage=which)
    about = json.dumps({**model.describe(), "made": make_mark(made)})
    with (
        claim_output(
            path,
            inputs=[source] if source is not None else [],
            suffixes=[ENDINGS[to]],
            made=made,
            force=force,
        ),
        write_atomically(path) as partial,
    ):
        write_network(chosen, partial, channels=channels, to=to, about=about)
    return path


def write_network(
    network: PoseNetwork, path: Path, *, channels: int, to: Kind = "onnx", about: str = "{}"
) -> None:
    """Write one network.

    Parameters
    ----------
    network : PoseNetwork
        Which.
    path : Path
        File to write.
    channels : int
        Of its images.
    to : {"onnx", "torchscript"}
        As for `export_model`.
    about : str
        JSON that is written in it.

    Raises
    ------
    MissingExtraError
        If the library for it is not installed.
    """
    plain, side = _Plain(network.fused()).eval(), _EXAMPLE * network.multiple
    example = torch.zeros(2, side, side + network.multiple, channels, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of libraries, about their own future
        if to == "torchscript":
            traced = torch.jit.trace(plain, example, check_trace=False)
            with path.open("wb") as file:  # by its name it would be another archive each time
                torch.jit.save(traced, file, _extra_files={"mapose": about})
        else:
            _write_onnx(plain, example, path, about)


def choose_network(model: Model, stage: Stage) -> tuple[PoseNetwork, int]:
    """Choose the network of a stage, with the number of its input channels.

    Raises
    ------
    SettingsError
        If the model has no second stage.
    """
    if stage == "first":
        return model.network, model.channels
    if model.refiner is None:
        raise SettingsError(f"--stage: {model.name or 'the model'} has no second stage")
    # Beside the image, a channel for each keypoint found there.
    return model.refiner.network, model.channels + len(model.skeleton.keypoints)


def _write_onnx(plain: _Plain, example: Tensor, path: Path, about: str) -> None:
    outputs = _name_outputs(plain.network)
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(_ONNX) from error
    torch.onnx.export(
        plain,
        (example,),
        path,
        input_names=[_INPUT],
        output_names=outputs,
        dynamic_axes={_INPUT: _AXES, **{name: {0: "batch"} for name in outputs}},
        opset_version=17,
        dynamo=False,
    )
    written = onnx.load(path)
    written.metadata_props.add(key="mapose", value=about)
    onnx.save(written, path)


class OnnxNetwork:
    """An exported network in onnxruntime, in the place of a `PoseNetwork`.

    Parameters
    ----------
    path : path
        Written by `export_model`.
    threads : int, optional
        Compute on the processor with so many; by default where and as onnxruntime likes best.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    FormatError
        If the file is damaged, or no network of ours.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError(_ONNX) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = logging.ERROR // 10
        providers = onnxruntime.get_available_providers()
        if threads is not None:
            options.intra_op_num_threads = threads
            # Threads that wait do so asleep: others want the cores as well.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            providers = ["CPUExecutionProvider"]
        try:
            self.session: Any = onnxruntime.InferenceSession(
                os.fspath(path), options, providers=providers
            )
        except Exception as error:  # onnxruntime raises kinds of its own for whatever is damaged
            raise FormatError(f"{path} cannot be opened as ONNX: {error}") from error
        names = [output.name for output in self.session.get_outputs()]
        if names != [*_OUTPUTS, *(name for name in _SOME if name in names)]:
            raise FormatError(f"{path}: wanted the outputs {list(_OUTPUTS)}, found {names}")
        self.names = names

    def predict(self, images: Tensor) -> Maps:
        """Predict maps of images, uint8 (B, H, W, C), as `PoseNetwork.predict` does."""
        found = self.session.run(None, {_INPUT: np.ascontiguousarray(images.cpu().numpy())})
        tensors = map(torch.from_numpy, found)
        return Maps(**dict(zip(self.names, tensors, strict=True)))
