"""The maps and candidates of single frames, drawn to see what a network sees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from mapose import plots
from mapose.analysis.prediction import Predictor
from mapose.arrays import Image
from mapose.data import pad_images, prepare_image
from mapose.errors import SettingsError
from mapose.files import check_output, make_folder, name_work
from mapose.io import Video
from mapose.io.recordings import name_beside
from mapose.models import Maps, Model
from mapose.zoo import find_model


def save_maps(
    video: str | os.PathLike[str],
    model: Model | str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    frames: Sequence[int] = (0,),
    device: str | None = None,
    force: bool = False,
) -> Iterator[Path]:
    """Draw scoremaps, part-affinity fields and all candidates of frames of a video.

    Of a network that knows animals by name, also whose it takes each place to be.

    Parameters
    ----------
    video : path
        Video file.
    model : Model or path
        Model, model folder, or ``zoo:NAME``; of one with two stages the first.
    folder : path, optional
        ``<video>-maps`` beside the video by default.
    frames : sequence of int
        Frame numbers.
    device : str, optional
        Where to compute.
    force : bool
        Replace files that are not of the same video, model and frame.

    Yields
    ------
    Path
        Each file, ``frame000120-scoremaps.png`` and so on, as it is written.

    Raises
    ------
    SettingsError
        If there is no such frame, or a file may not be replaced.
    VideoError
        If the video cannot be opened or the frame not be read.
    """
    source = None if isinstance(model, Model) else find_model(model)
    loaded = model if isinstance(model, Model) else Model.load(find_model(model))
    place = make_folder(folder or name_beside(video, "-maps"))
    predictor = Predictor(loaded, device=device)
    inputs = [video, *([source] if source is not None else [])]
    with Video(video, gray=loaded.channels == 1) as opened:
        for frame in frames:
            if not 0 <= frame < len(opened):
                last = len(opened) - 1
                raise SettingsError(f"frame: wanted 0 to {last} of {opened.name}, came {frame}")
            made = name_work("plot", [video], maps=loaded.hash, frame=str(frame))
            drawings = _list_drawings(opened.read(frame), predictor)
            files = {place / f"frame{frame:06d}-{name}.png": d for name, d in drawings.items()}
            for file in files:
                check_output(file, inputs=inputs, made=made, force=force)
            for file, draw in files.items():
                plots.save_figure(draw(), file, made=made)
                yield file


def find_maps(image: Image, predictor: Predictor) -> Maps:
    """Find the maps of an image, (1, ..., h, w) on the CPU."""
    model = predictor.model
    small = prepare_image(image, factor=model.factor, channels=model.channels)
    stack = torch.from_numpy(pad_images([small], model.network.multiple))
    with torch.inference_mode():
        maps = predictor.network.predict(stack.to(predictor.device))
    marks = None if maps.marks is None else maps.marks.cpu()
    return Maps(maps.scores.cpu(), maps.offsets.cpu(), maps.fields.cpu(), marks)


def _list_drawings(image: Image, predictor: Predictor) -> dict[str, Callable[[], Figure]]:
    """List the figures of an image by the names of their files."""
    model, maps = predictor.model, find_maps(image, predictor)
    pitch, names = model.pitch, model.skeleton.keypoints
    scores = maps.scores[0].numpy()
    peaks = predictor.find_images([image])
    drawn: dict[str, Callable[[], Figure]] = {
        "scoremaps": partial(plots.plot_scoremaps, image, scores, names, pitch=pitch),
        "candidates": partial(plots.plot_candidates, image, peaks, model.skeleton),
    }
    if model.links:
        fields = maps.fields[0].numpy().reshape(len(model.links), 2, *scores.shape[1:])
        drawn["fields"] = partial(plots.plot_fields, image, fields, model.links, pitch=pitch)
    if maps.marks is not None and model.identity is not None:
        odds = (model.identity.scale * maps.marks[0]).softmax(0).numpy()
        shown = odds * np.minimum(1, 2 * scores.max(0))  # where there is a keypoint
        drawn["names"] = partial(
            plots.plot_scoremaps,
            image,
            shown.astype(np.float32),
            model.identity.names,
            pitch=pitch,
            title="Whose it is",
        )
    return drawn
