"""One thread per camera: what comes is recorded, and handed on if somebody has time for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from mapose.live.gathering import FrameSet, Gatherer
from mapose.live.recording import Recorder
from mapose.live.sources import Frame, Source

logger = logging.getLogger(__name__)

#: Seconds after which a camera that failed is tried again.
_AGAIN = 1.0


class Grabber:
    """Read all cameras at once, and give the newest set of frames to whoever asks.

    A camera that fails is left out until it gives pictures again; all others go on.

    Parameters
    ----------
    sources : mapping of str to Source
        By camera.
    gatherer : Gatherer
        Makes sets.
    recorders : mapping of str to Recorder
        Take every frame of their camera.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        gatherer: Gatherer,
        *,
        recorders: Mapping[str, Recorder] | None = None,
    ) -> None:
        self._sources, self.gatherer = dict(sources), gatherer
        self._recorders = dict(recorders or {})
        self._condition = threading.Condition()
        self._stopped = threading.Event()
        #: Gaps in the cameras' own counts, and failures, by camera.
        self.gaps = Counter(dict.fromkeys(self._sources, 0))
        self.failures = Counter(dict.fromkeys(self._sources, 0))
        self._running = set(self._sources)
        self._threads = [
            threading.Thread(
                target=self._read, args=(camera,), name=f"camera {camera}", daemon=True
            )
            for camera in self._sources
        ]

    def start(self, *, delay: float = 0.2) -> None:
        """Start all cameras, at one moment where they can choose it."""
        moment = time.monotonic() + delay
        for source in self._sources.values():
            source.start = moment
        for thread in self._threads:
            thread.start()

    def take(self, timeout: float) -> FrameSet | None:
        """Take the next set; None if there is none for so many seconds, or all cameras ended."""
        until = time.monotonic() + timeout
        with self._condition:
            while True:
                now = time.monotonic()
                if (found := self.gatherer.take(now)) is not None:
                    return found
                if now >= until or self.is_over:
                    return None
                # A set may become due without a new frame: when it has waited for long enough.
                self._condition.wait(min(until - now, max(self.gatherer.wait / 4, 0.002)))

    def count_losses(self) -> dict[str, Counter[str]]:
        """Count, by camera, frames that it lost itself and how often it failed."""
        return {
            camera: +Counter(
                {"frames lost by": self.gaps[camera], "failures of": self.failures[camera]}
            )
            for camera in self._sources
        }

    @property
    def is_over(self) -> bool:
        """Whether all cameras have ended and nothing waits."""
        return not self._running and self.gatherer.is_empty

    def stop(self) -> None:
        """End all cameras."""
        self._stopped.set()
        for camera, source in self._sources.items():
            _call(source.close, f"camera {camera}")
        for thread in self._threads:
            thread.join(2.0)

    def _read(self, camera: str) -> None:
        source, last = self._sources[camera], None
        while not self._stopped.is_set():
            try:
                for frame in source:
                    if self._stopped.is_set():
                        break
                    if last is not None and frame.number > last + 1:
                        self.gaps[camera] += frame.number - last - 1
                    last = frame.number
                    self._hand_on(camera, frame)
                break
            except Exception as fault:
                if self._stopped.is_set():
                    break
                self.failures[camera] += 1
                if self.failures[camera] == 1:
                    logger.warning("camera %s fails, the others go on: %s", camera, fault)
                if not getattr(source, "is_lasting", True):
                    break
                self._stopped.wait(_AGAIN)
        with self._condition:
            self._running.discard(camera)
            self.gatherer.end(camera)
            self._condition.notify()

    def _hand_on(self, camera: str, frame: Frame) -> None:
        if (recorder := self._recorders.get(camera)) is not None:
            recorder.put(frame)
        with self._condition:
            self.gatherer.add(camera, frame)
            self._condition.notify()


def _call(function: Callable[[], None], what: str) -> None:
    try:
        function()
    except Exception as fault:
        logger.warning("%s: %s", what, fault)
