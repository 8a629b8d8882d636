"""Frames of several cameras that were exposed together."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mapose.errors import SettingsError
from mapose.live.sources import Frame

logger = logging.getLogger(__name__)

#: Frames of a camera that wait for the others at most; before more would, the oldest goes.
_WAITING = 16
#: Intervals without a frame after which nobody waits for a camera any more.
_SILENT = 10
#: Seconds over which the least delay of a camera's frames is looked for.
_WINDOW = 30.0


@dataclass(frozen=True, eq=False)
class FrameSet:
    """Frames of one moment, by camera; a view that is missing is not in it.

    Parameters
    ----------
    frames : dict of str to Frame
        By camera.
    exposed : float
        When, seconds of `time.monotonic`; of the earliest one.
    number : int
        Of the moment: its time times the rate, rounded, or the cameras' common count; ascending.
    """

    frames: dict[str, Frame]
    exposed: float
    number: int


class _Clock:
    """How far a camera's clock is behind ours: the least delay of its frames of late.

    Of late, as clocks drift: by 0.1 ms a second an hour makes a third of a second.
    """

    def __init__(self) -> None:
        self._least, self._before, self._since = math.inf, math.inf, -math.inf

    def learn(self, frame: Frame) -> None:
        """Take in a frame."""
        if frame.arrived - self._since > _WINDOW:
            self._before, self._least, self._since = self._least, math.inf, frame.arrived
        self._least = min(self._least, frame.arrived - frame.time)

    def translate(self, time: float) -> float:
        """Find when it was, by our clock."""
        return time + min(self._least, self._before)


class Gatherer:
    """Put frames into sets, the newest first.

    A set is complete when all cameras that are alive are in it. Of complete sets the newest is
    taken and what is older is let go. A set that waits for a late view is taken without it, or
    let go, after `wait`. Nothing that comes after its set was taken is used.

    Parameters
    ----------
    cameras : sequence of str
        Their names.
    rate : float
        Frames per second.
    by : {"time", "number"}
        Whether frames belong together whose times differ by less than half an interval (one
        clock, or one trigger), or those with the same number. A camera that counts from the
        start again, as after a failure, goes on with the number that the others have then.
    wait : float
        Seconds for which a late view is waited for, from the arrival of the first one.
    late : {"without", "drop"}
        Whether a set is then used without it or dropped.

    Attributes
    ----------
    lost : Counter
        What was let go: ``overtaken`` frames, of which a newer set was taken; ``late`` ones;
        ``incomplete`` sets.

    Raises
    ------
    SettingsError
        If a setting is not usable.

    Examples
    --------
    >>> import numpy as np
    >>> gatherer = Gatherer(["top", "side"], rate=10, wait=0.05)
    >>> picture = np.zeros((4, 4), np.uint8)
    >>> gatherer.add("top", Frame(picture, 5.0, 0, arrived=0.01))
    >>> gatherer.take(0.02)
    >>> gatherer.add("side", Frame(picture, 5.001, 0, arrived=0.03))
    >>> sorted(gatherer.take(0.03).frames)
    ['side', 'top']
    """

    def __init__(
        self,
        cameras: Sequence[str],
        *,
        rate: float,
        by: Literal["time", "number"] = "time",
        wait: float = 0.05,
        late: Literal["without", "drop"] = "without",
    ) -> None:
        faults = [
            f"{name}: wanted {' or '.join(known)}, came {value!r}"
            for name, value, known in (
                ("by", by, ("time", "number")),
                ("late", late, ("without", "drop")),
            )
            if value not in known
        ]
        faults += [f"rate: wanted more than 0, came {rate}"] if not rate > 0 else []
        faults += [f"wait: wanted seconds, 0 or more, came {wait}"] if not wait >= 0 else []
        if faults:
            raise SettingsError("; ".join(faults))
        self.cameras = tuple(cameras)
        self.rate, self.by, self.wait, self.late = rate, by, wait, late
        # All that can be lost is in it from the start: others read it while frames come.
        self.lost = Counter({"overtaken": 0, "late": 0, "incomplete": 0})
        self._waiting: dict[str, deque[tuple[float, Frame]]] = {c: deque() for c in cameras}
        self._heard: dict[str, float] = {}
        self._ended: set[str] = set()
        self._taken, self._number = float("-inf"), -1
        # One camera alone has nothing to wait for: each of its frames is a moment of its own.
        self._apart = 0.5 if len(self.cameras) > 1 else 0.0
        self._clocks = {camera: _Clock() for camera in cameras}
        self._newest: dict[str, Frame] = {}
        self._ahead = dict.fromkeys(cameras, 0)  # of a camera's own count

    def add(self, camera: str, frame: Frame) -> None:
        """Take in a frame."""
        last = self._newest.get(camera)
        if self.by == "number" and last is not None and frame.number < last.number:
            self._begin_again(camera, frame)
        key = frame.time * self.rate if self.by == "time" else self._count(camera, frame)
        self._newest[camera] = frame
        self._heard[camera] = frame.arrived
        self._clocks[camera].learn(frame)
        if key <= self._taken + self._apart:
            self.lost["late"] += 1
            return
        waiting = self._waiting[camera]
        waiting.append((key, frame))
        if len(waiting) > _WAITING:
            waiting.popleft()
            self.lost["overtaken"] += 1

    def _count(self, camera: str, frame: Frame) -> float:
        return float(frame.number + self._ahead[camera])

    def _begin_again(self, camera: str, frame: Frame) -> None:
        """Go on with a camera that counts anew: with the number of what others saw just then."""
        logger.warning(
            "camera %s counts from %d again: its first frame is given the number that is due",
            camera,
            frame.number,
        )
        self._clocks[camera] = _Clock()  # which may have begun anew as well
        due = self._taken + 1
        others = {c: newest for c, newest in self._newest.items() if c != camera}
        if others:
            nearest = max(others, key=lambda c: others[c].arrived)
            since = frame.arrived - self._clocks[nearest].translate(others[nearest].time)
            due = self._count(nearest, others[nearest]) + since * self.rate
        self._ahead[camera] = round(due) - frame.number

    def end(self, camera: str) -> None:
        """Wait no longer for a camera that has ended."""
        self._ended.add(camera)

    def take(self, now: float) -> FrameSet | None:
        """Take the newest set that is complete, or has waited for long enough; None if none is.

        Parameters
        ----------
        now : float
            Seconds of `time.monotonic`.
        """
        alive = [c for c in self.cameras if self._is_alive(c, now)]
        keys = sorted({key for w in self._waiting.values() for key, _ in w}, reverse=True)
        for key in keys:
            found = self._find(key)
            if found and all(camera in found for camera in alive):
                return self._make(key, found)
        for key in keys:
            found = self._find(key)
            if found and now - min(f.arrived for f in found.values()) >= self.wait:
                if self.late == "without":
                    return self._make(key, found)
                self.lost["incomplete"] += 1
                self._drop(key)
        return None

    @property
    def is_empty(self) -> bool:
        """Whether no frame waits."""
        return not any(self._waiting.values())

    def _is_alive(self, camera: str, now: float) -> bool:
        """Whether a camera is heard of; before its first frame it is."""
        heard = self._heard.get(camera)
        silence = max(self.wait, _SILENT / self.rate)
        return camera not in self._ended and (heard is None or now - heard < silence)

    def _find(self, key: float) -> dict[str, Frame]:
        found = {}
        for camera, waiting in self._waiting.items():
            near = min(waiting, key=lambda item: abs(item[0] - key), default=None)
            if near is not None and abs(near[0] - key) <= self._apart:
                found[camera] = near[1]
        return found

    def _make(self, key: float, found: dict[str, Frame]) -> FrameSet:
        used = self._drop(key)
        self.lost["overtaken"] += used - len(found)
        exposed = min(self._clocks[c].translate(frame.time) for c, frame in found.items())
        self._number = max(round(key), self._number + 1)  # times that jitter may round to the same
        return FrameSet(found, exposed, self._number)

    def _drop(self, key: float) -> int:
        """Forget what is not newer than a moment, and say how many frames that were."""
        self._taken = key
        dropped = 0
        for waiting in self._waiting.values():
            while waiting and waiting[0][0] <= key + self._apart:
                waiting.popleft()
                dropped += 1
        return dropped
