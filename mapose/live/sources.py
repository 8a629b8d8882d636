"""Cameras as iterators of frames that know when they were exposed; a video can play one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mapose.arrays import Image
from mapose.errors import SettingsError
from mapose.io import Video, prefetch


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture and when it was taken.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 3)
        Grey or RGB.
    time : float
        Of the exposure, seconds of the camera's own clock.
    number : int
        The camera's own count: a gap is a frame that it lost.
    arrived : float
        When this process had it, seconds of `time.monotonic`.
    """

    image: Image
    time: float
    number: int
    arrived: float


class Source(Protocol):
    """A camera: iterating starts it and gives its frames; `close` ends that.

    Attributes
    ----------
    rate : float
        Frames per second, as far as it is known.
    start : float or None
        Moment of `time.monotonic` at which it is to begin, if it can choose; set for all of the
        cameras of a recording at once.
    """

    rate: float
    start: float | None

    def __iter__(self) -> Iterator[Frame]:
        """Start, and give frame after frame, each as soon as it is there."""
        ...

    def close(self) -> None:
        """Stop; the iterator ends."""
        ...


class Replay:
    """Play a video at its rate, as if it were a camera.

    Frame n is exposed at n / rate seconds after the start. Where the computer is too slow to
    decode, a frame arrives late, as from a camera on a slow line.

    Parameters
    ----------
    path : path
        Video file.
    rate : float, optional
        Frames per second; the video's own by default.
    drops : float
        Share of the frames that never arrive, 0 to 1; their numbers and times are left out.
    jitter : float
        Standard deviation of how late frames arrive, seconds; they stay in order.
    seed : int
        Of drops and jitter.
    repeat : int
        How often the video is played, one time after the other.

    Raises
    ------
    SettingsError
        If a number is not usable.
    VideoError
        If the video cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rate: float | None = None,
        drops: float = 0.0,
        jitter: float = 0.0,
        seed: int = 0,
        repeat: int = 1,
    ) -> None:
        self.path = Path(path)
        if not 0 <= drops < 1:
            raise SettingsError(f"drops: wanted a share from 0 to below 1, came {drops}")
        if not (np.isfinite(jitter) and jitter >= 0):
            raise SettingsError(f"jitter: wanted seconds, 0 or more, came {jitter}")
        if repeat < 1:
            raise SettingsError(f"repeat: wanted 1 or more, came {repeat}")
        with Video(self.path) as video:
            self.rate = float(video.rate if rate is None else rate)
            self.length = len(video)
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise SettingsError(f"rate: wanted frames per second above 0, came {self.rate}")
        self.drops, self.jitter, self.seed, self.repeat = drops, jitter, seed, repeat
        self.start: float | None = None
        #: A file that is gone does not come back by itself, as a camera does.
        self.is_lasting = False
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames, each at its time; a frame that cannot be decoded is lost."""
        rng = np.random.default_rng(self.seed)
        begin = time.monotonic() if self.start is None else self.start
        arrival = begin
        for number, image in prefetch(self._decode(), depth=16):
            lost = rng.random() < self.drops
            late = abs(rng.normal(0, self.jitter)) if self.jitter else 0.0
            if lost or image is None:
                continue
            exposed = number / self.rate
            arrival = max(arrival, begin + exposed + late)
            if self._closed.wait(max(0.0, arrival - time.monotonic())):
                return
            yield Frame(image, exposed, number, time.monotonic())

    def _decode(self) -> Iterator[tuple[int, Image | None]]:
        for turn in range(self.repeat):
            with Video(self.path) as video:
                for n, image in video.iterate():
                    yield turn * self.length + n, image

    def close(self) -> None:
        """Stop playing."""
        self._closed.set()
