"""From cameras to answers: newest frames in, poses out, and how long each step took."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from calibration import CameraGroup
from mapose.errors import SettingsError
from mapose.files import claim_output, make_folder
from mapose.live.gathering import FrameSet, Gatherer
from mapose.live.grabbing import Grabber
from mapose.live.latency import Latency
from mapose.live.outputs import Output, Sender
from mapose.live.recording import Recorder, find_times, keep_cut_recording
from mapose.live.sources import Replay, Source
from mapose.live.watching import Watcher, make_watcher
from mapose.models import Model

logger = logging.getLogger(__name__)

#: Seconds after which it is looked whether the run is over.
_PATIENCE = 0.2


@dataclass(frozen=True)
class LiveOptions:
    """How a live run is to go.

    Parameters
    ----------
    by : {"time", "number"}
        What tells that frames of several cameras belong together.
    wait : float
        Seconds for which a late view is waited for.
    late : {"without", "drop"}
        Whether its set is then answered without it or dropped.
    oldest : float
        Seconds after the exposure after which nothing is answered any more.
    seconds : float, optional
        How long to run; until the cameras end, or Ctrl-C, by default.
    device : str, optional
        Where to compute; the fastest by default.
    force : bool
        Replace recordings of these names.
    on_report : function of LiveReport, optional
        Called once a second with what was done so far.
    """

    by: Literal["time", "number"] = "time"
    wait: float = 0.05
    late: Literal["without", "drop"] = "without"
    oldest: float = 0.5
    seconds: float | None = None
    device: str | None = None
    force: bool = False
    on_report: Callable[[LiveReport], None] | None = None

    def __post_init__(self) -> None:
        faults = [
            f"{name}: wanted seconds above 0, came {value}"
            for name, value in (("oldest", self.oldest), ("seconds", self.seconds))
            if value is not None and not value > 0
        ]
        if faults:
            raise SettingsError("; ".join(faults))


@dataclass(frozen=True)
class LiveReport:
    """What a live run did.

    Parameters
    ----------
    seconds : float
        How long it ran.
    answered : int
        Sets of frames that were answered.
    latency : Latency
        Of the stages.
    lost : dict of str to int
        What was let go or failed, and how often, by what it was.
    """

    seconds: float
    answered: int
    latency: Latency
    lost: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Sets that were answered per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "seconds": self.seconds,
            "answered": self.answered,
            "rate": self.rate,
            "latency_ms": self.latency.to_dict(),
            "lost": self.lost,
        }

    def __str__(self) -> str:
        head = f"{self.answered} sets answered in {self.seconds:.1f} s, {self.rate:.1f} per second"
        lost = [f"{count} {what}" for what, count in self.lost.items()]
        return "\n".join([head, str(self.latency), "lost: " + (", ".join(lost) or "nothing")])


def run_live(
    sources: Mapping[str, Source],
    model: Model | str | os.PathLike[str],
    *,
    cameras: CameraGroup | None = None,
    individuals: int | None = None,
    outputs: Sequence[Output] = (),
    record: str | os.PathLike[str] | None = None,
    options: LiveOptions | None = None,
) -> LiveReport:
    """Answer what cameras see while they see it.

    Each camera is read by a thread of its own. The newest set of frames goes through the network
    in one pass for all views; what came meanwhile and is older than the next newest set is let go
    and counted, so that an answer is never about the past. Outputs and recordings have threads of
    their own.

    Parameters
    ----------
    sources : mapping of str to Source
        By camera; see `open_source` and `Replay`.
    model : Model or path
        Model, model folder or ``zoo:NAME``.
    cameras : CameraGroup, optional
        Calibration of the sources, needed for more than one: answers are then in space.
    individuals : int, optional
        Animals in view; the model's number by default.
    outputs : sequence of Output
        Where the answers go.
    record : path, optional
        Folder in which each camera is recorded, with the times of its frames.
    options : LiveOptions, optional
        How it is to go.

    Returns
    -------
    LiveReport
        Latency of every stage, and what was lost. Ctrl-C ends the run and gives it as well.

    Raises
    ------
    SettingsError
        If sources, cameras or numbers do not fit each other, or there are recordings already.
    """
    options = options or LiveOptions()
    watcher = make_watcher(
        model,
        {name: source.rate for name, source in sources.items()},
        cameras=cameras,
        individuals=individuals,
        device=options.device,
    )
    gatherer = Gatherer(
        tuple(sources),
        rate=max(source.rate for source in sources.values()),
        by=options.by,
        wait=options.wait,
        late=options.late,
    )
    with ExitStack() as stack:
        recorders = _start_recorders(sources, record, force=options.force, stack=stack)
        grabber = Grabber(sources, gatherer, recorders=recorders)
        senders = [Sender(output) for output in outputs]
        for sender in senders:
            stack.callback(sender.close)
        stack.callback(grabber.stop)
        run = _Run(grabber, watcher, senders=senders, recorders=recorders, options=options)
        grabber.start()
        try:
            run.go_on()
        except KeyboardInterrupt:
            logger.info("stopped")
        seconds = time.monotonic() - run.begun
    return run.report(seconds)


class _Run:
    """The loop: take a set, answer it, hand the answer on.

    The stages follow each other. On two cores, to answer in a thread of its own while the next set
    is in the network made both slower: 24 sets a second of one camera instead of 27.
    """

    def __init__(
        self,
        grabber: Grabber,
        watcher: Watcher,
        *,
        senders: list[Sender],
        recorders: Mapping[str, Recorder],
        options: LiveOptions,
    ) -> None:
        self.grabber, self.watcher, self.senders = grabber, watcher, senders
        self.gatherer, self.recorders, self.options = grabber.gatherer, recorders, options
        self.latency, self.lost = Latency(), Counter[str]()
        self.answered = 0
        self.begun = self.told = time.monotonic()

    def report(self, seconds: float | None = None) -> LiveReport:
        """Say what has been done so far."""
        passed = time.monotonic() - self.begun if seconds is None else seconds
        lost = self.lost + self.gatherer.lost
        for camera, grabbed in self.grabber.count_losses().items():
            lost += Counter({f"{what} {camera}": count for what, count in grabbed.items()})
        for camera, recorder in self.recorders.items():
            lost += Counter({f"frames not recorded of {camera}": recorder.lost})
        for sender in self.senders:
            lost += Counter({f"answers {w} by {sender.name}": n for w, n in sender.lost.items()})
        return LiveReport(passed, self.answered, self.latency, dict(lost))

    def _tell(self) -> None:
        if self.options.on_report is not None and time.monotonic() - self.told >= 1:
            self.told = time.monotonic()
            self.options.on_report(self.report())

    def go_on(self) -> None:
        """Answer sets until the cameras end or the time is over."""
        self._warm_up()
        self.begun = time.monotonic()
        while not self.grabber.is_over:
            if self.options.seconds and time.monotonic() - self.begun >= self.options.seconds:
                return
            frames = self.grabber.take(_PATIENCE)
            if frames is not None:
                self._answer(frames)
            self._tell()

    def _warm_up(self) -> None:
        """Let the network see a first set: its first pass takes many times as long."""
        while not self.grabber.is_over:
            if (frames := self.grabber.take(_PATIENCE)) is not None:
                for _ in range(2):
                    self.watcher.look(frames)
                return

    def _answer(self, frames: FrameSet) -> None:
        taken = time.monotonic()
        if taken - frames.exposed > self.options.oldest:
            self.lost["sets too old"] += 1
            return
        answer, times = self.watcher.answer(frames)
        if answer.age > self.options.oldest:
            self.lost["sets too old"] += 1
            return
        for sender in self.senders:
            sender.put(answer)
        self.answered += 1
        earliest = min(frame.arrived for frame in frames.frames.values())
        self.latency.add(
            {
                "arrival": max(earliest - frames.exposed, 0.0),
                "waiting": taken - earliest,
                **times,
                "exposure to output": time.monotonic() - frames.exposed,
            }
        )


def _start_recorders(
    sources: Mapping[str, Source],
    folder: str | os.PathLike[str] | None,
    *,
    force: bool,
    stack: ExitStack,
) -> dict[str, Recorder]:
    recorders = {}
    played = [source.path for source in sources.values() if isinstance(source, Replay)]
    if folder is not None:
        for camera, source in sources.items():
            path = make_folder(Path(folder)) / f"{camera}.mkv"
            keep_cut_recording(path)
            for output in (path, find_times(path)):
                stack.enter_context(claim_output(output, inputs=played, force=force))
            recorders[camera] = Recorder(path, source.rate)
            stack.callback(recorders[camera].close)
    return recorders
