"""How fast this machine analyses a video, measured for half a minute, and what holds it back."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mapose.analysis.pipeline import BATCH
from mapose.analysis.posing import assemble_poses
from mapose.analysis.prediction import Predictor, read_batches
from mapose.arrays import Image
from mapose.cores import count_cores
from mapose.errors import SettingsError, VideoError
from mapose.io import Video, VideoWriter, prefetch, save
from mapose.models import Model, open_model
from mapose.poses import Peaks, join_peaks
from mapose.synthetic import make_cameras, make_scene
from mapose.tracking import ChunkTracker
from mapose.zoo import find_model

#: Seconds for all of it, drawing a video not counted.
SECONDS = 25.0
#: Frames that are assembled, tracked and written at once.
_CHUNK = 64
_LONG = 30 * 3600  # of an hour
_WIDTH, _HEIGHT, _ANIMALS, _DRAWN = 640, 480, 3, 24


@dataclass(frozen=True)
class Speed:
    """What to expect of an analysis on this machine.

    Parameters
    ----------
    video, model, device : str
        What was measured.
    size : (int, int)
        Width and height of the video, px.
    cores : int
        That were used.
    decode, network, tracking : float
        Frames per second of each stage alone; tracking with assembly and writing.
    analyze : float
        Frames per second of all of them side by side.
    """

    video: str
    model: str
    device: str
    size: tuple[int, int]
    cores: int
    decode: float
    network: float
    tracking: float
    analyze: float

    @property
    def hold(self) -> str:
        """The stage that holds the others back."""
        stages = {name: getattr(self, name) for name in _ADVICE}
        return min(stages, key=lambda name: stages[name])

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        return {**asdict(self), "hold": self.hold}

    def __str__(self) -> str:
        width, height = self.size
        lines = [f"{self.video}, {width}x{height}, with {self.model} on {self.device}:"]
        for name in (*_ADVICE, "analyze"):
            lines.append(f"{name:22} {getattr(self, name):.1f} frames/s")
        hour = time.strftime("%H:%M:%S", time.gmtime(3600 * 30 / self.analyze))
        lines.append(f"{'an hour at 30 frames/s':22} {hour}")
        lines.append(f"held back by {self.hold}: {_ADVICE[self.hold]}")
        return "\n".join(lines)


_ADVICE = {
    "decode": "shrink the video (mapose video --scale), or give --jobs 2 several of them",
    "network": "a GPU, a smaller preset (--preset small), or a crop (mapose crop) makes it faster",
    "tracking": "name the number of animals (--individuals), or give --jobs 2 several videos",
}


def measure_speed(
    model: str | os.PathLike[str] = "zoo:drawn-mice",
    video: str | os.PathLike[str] | None = None,
    *,
    device: str | None = None,
    seconds: float = SECONDS,
    on_progress: Callable[[str], None] = lambda stage: None,
) -> Speed:
    """Measure how fast a video is analysed here.

    Parameters
    ----------
    model : path
        Model folder or ``zoo:NAME``.
    video : path, optional
        Begun again where it is short; by default three mice are drawn at 640x480.
    device : str, optional
        Where to compute; the fastest by default.
    seconds : float
        How long to measure.
    on_progress : function of str, optional
        Told what is measured.

    Returns
    -------
    Speed
        Of the middle of an analysis; starting takes some seconds besides.

    Raises
    ------
    SettingsError
        If the model is one in two steps.
    VideoError
        If the video cannot be opened or is empty.
    """
    loaded = open_model(find_model(model))
    if not isinstance(loaded, Model):
        raise SettingsError(f"{model}: the speed of models in two steps cannot be measured yet")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if video is None:
            on_progress("drawing a video")
            video = _draw_video(work / "three drawn mice.mp4")
        opened = stack.enter_context(Video(video, gray=loaded.channels == 1))
        if not len(opened):
            raise VideoError(f"{opened.path.name} has no frame")
        predictor = Predictor(loaded, device=device, frames=_LONG)
        on_progress("decoding")
        decode = _count_rate(
            (1 for _ in _repeat(lambda: opened.iterate(0, len(opened)))), seconds * 0.15
        )
        on_progress("network")
        batches = list(islice(_read(opened, predictor), 4))
        predictor.find(batches[0])  # the first one is slow
        found = [predictor.find(batch) for batch in batches]
        network = _count_rate(
            (predictor.find(batch).n_frames for batch in _repeat(lambda: batches)), seconds * 0.25
        )
        on_progress("tracking frames")
        tracking = _count_rate(_follow(_repeat(lambda: found), loaded, work), seconds * 0.1)
        on_progress("analysing")
        ahead = prefetch(_read(opened, predictor), depth=4)
        flow = prefetch(predictor.find_batches(ahead), depth=4)
        analyze = _count_rate(_follow(flow, loaded, work), seconds * 0.5)
        flow.close()
        name = Path(video).name
    where = f"{_name_device(predictor.device)}, {predictor.runner.split(',')[0]}"
    size = (opened.size[0], opened.size[1])
    return Speed(name, loaded.name, where, size, count_cores(), decode, network, tracking, analyze)


def _draw_video(path: Path) -> Path:
    """Draw animals that walk forth and back, so that few frames make a long video."""
    cameras = make_cameras(1, size=(_WIDTH, _HEIGHT))
    scene = make_scene(_ANIMALS, _DRAWN, seed=0, cameras=cameras)
    frames = list(scene.draw_frames(scene.cameras.names[0]))
    with VideoWriter(path, scene.rate) as writer:
        for image in (frames + frames[::-1]) * 5:
            writer.write(image)
    return path


def _repeat(make: Callable[[], Any]) -> Iterator[Any]:
    return chain.from_iterable(make() for _ in repeat(None))


def _read(video: Video, predictor: Predictor) -> Iterator[list[Image | None]]:
    whole = slice(0, len(video))
    return _repeat(lambda: read_batches(video, predictor, whole, BATCH))


def _count_rate(work: Iterator[int], seconds: float) -> float:
    """Count how many frames per second come; those of the first piece of work do not count."""
    next(work)
    begun, frames = time.perf_counter(), 0
    for count in work:
        frames += count
        if (passed := time.perf_counter() - begun) > seconds:
            break
    return frames / passed


def _follow(found: Iterator[Peaks], model: Model, folder: Path) -> Iterator[int]:
    """Assemble, track and write chunk after chunk, as an analysis does; gives their frames."""
    tracker, start = ChunkTracker(individuals=model.individuals), 0
    waiting: list[Peaks] = []
    for peaks in found:
        waiting.append(peaks)
        count = sum(p.n_frames for p in waiting)
        if count < _CHUNK:
            continue
        poses = assemble_poses(join_peaks(waiting), model, individuals=model.individuals)
        poses = replace(poses, frames=np.arange(start, start + count))
        save(poses, folder / "chunk.mapose.h5")
        tracker.add(poses)
        waiting, start = [], start + count
        yield count


def _name_device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({count_cores()} cores)" if device.type == "cpu" else device.type
