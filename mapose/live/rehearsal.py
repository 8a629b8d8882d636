"""A rehearsal: recorded videos through the live loop, in step instead of in time."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from calibration import CameraGroup
from mapose.errors import SettingsError
from mapose.io import Video
from mapose.live.gathering import FrameSet
from mapose.live.outputs import Output
from mapose.live.sources import Frame
from mapose.live.watching import make_watcher
from mapose.models import Model

logger = logging.getLogger(__name__)


def rehearse(
    videos: Mapping[str, str | os.PathLike[str]],
    model: Model | str | os.PathLike[str],
    *,
    cameras: CameraGroup | None = None,
    individuals: int | None = None,
    outputs: Sequence[Output] = (),
    latency: float = 0.05,
) -> int:
    """Try an experiment on recordings: what would have been answered, and when triggered.

    Every frame is answered, as if that took ``latency``; nothing depends on how fast the computer
    is, so that the same videos always give the same answers.

    Parameters
    ----------
    videos : mapping of str to path
        By camera; frame n of all of them is one moment.
    model, cameras, individuals
        As for `run_live`.
    outputs : sequence of Output
        Get the answers, one after the other, and are closed in the end.
    latency : float
        Seconds between an exposure and its answer: what is predicted is predicted by that much.

    Returns
    -------
    int
        Moments that were answered.

    Raises
    ------
    SettingsError
        If something does not fit, as for `run_live`.
    VideoError
        If a video cannot be opened.
    """
    if not latency >= 0:
        raise SettingsError(f"latency: wanted seconds, 0 or more, came {latency}")
    with ExitStack() as stack:
        opened = {name: stack.enter_context(Video(path)) for name, path in videos.items()}
        lengths = {name: len(video) for name, video in opened.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            logger.warning(
                "videos of different lengths, in frames: %s; it ends with the shortest", told
            )
        rates = {name: float(video.rate) for name, video in opened.items()}
        watcher = make_watcher(model, rates, cameras=cameras, individuals=individuals)
        rate = max(rates.values())
        for output in outputs:
            stack.callback(output.close)
        answered = 0
        for number, images in enumerate(zip(*(v.iterate() for v in opened.values()), strict=False)):
            seen = dict(zip(opened, (image for _, image in images), strict=True))
            time = number / rate
            frames = {c: Frame(i, time, number, time) for c, i in seen.items() if i is not None}
            if not frames:
                continue
            answer, _ = watcher.answer(FrameSet(frames, time, number), moment=time + latency)
            for output in outputs:
                output.send(answer)
            answered += 1
    return answered
