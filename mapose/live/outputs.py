"""Where answers go: a function, ZeroMQ, a serial line; none of them can hold the cameras up."""

from __future__ import annotations

import importlib
import json
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from mapose.errors import MissingExtraError, SettingsError
from mapose.live.answers import Answer

logger = logging.getLogger(__name__)

Trigger = Callable[[Answer], bool]
#: Answers that wait for an output at most, before the oldest is let go.
_WAITING = 64


class Output(Protocol):
    """What takes answers."""

    def send(self, answer: Answer) -> None:
        """Take an answer; may take its time, and may fail."""
        ...

    def close(self) -> None:
        """End: nothing comes any more."""
        ...


class CallbackOutput:
    """Call a function with every answer.

    Parameters
    ----------
    function : function of Answer
        Called in a thread of its own; while it works, older answers wait or are let go.
    """

    def __init__(self, function: Callable[[Answer], None]) -> None:
        self._function = function

    def send(self, answer: Answer) -> None:
        """Call it."""
        self._function(answer)

    def close(self) -> None:
        """Do nothing: a function needs no end."""


class ZeroMQOutput:
    """Publish every answer as JSON, for any number of listeners in any language.

    A listener that does not read misses messages and holds nobody up; ``sent`` in every message
    counts them, so that it knows how many.

    Parameters
    ----------
    address : str
        ``tcp://127.0.0.1:5555``; with port ``*`` a free one, which `address` then says.

    Raises
    ------
    MissingExtraError
        If pyzmq is not installed.
    SettingsError
        If the address cannot be used.
    """

    def __init__(self, address: str = "tcp://127.0.0.1:5555") -> None:
        zmq = _import("zmq", "pyzmq")
        self._socket = zmq.Context.instance().socket(zmq.PUB)
        self._socket.set_hwm(_WAITING)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as fault:
            self._socket.close(linger=0)
            raise SettingsError(
                f"--zmq: wanted a free address such as tcp://127.0.0.1:5555, came {address} "
                f"({fault})"
            ) from fault
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._sent = 0

    def send(self, answer: Answer) -> None:
        """Publish it; never waits."""
        self._socket.send_string(json.dumps({"sent": self._sent, **answer.to_dict()}))
        self._sent += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close(linger=100)


class SerialOutput:
    """Send a byte over a serial line when something begins, and another one when it ends.

    With ``line=True`` the RTS line is raised and lowered as well: a TTL signal without any
    device that reads bytes.

    Parameters
    ----------
    port : str
        ``/dev/ttyUSB0``, ``COM3``.
    when : function of Answer
        Whether it is so in an answer; see `find_near`.
    on, off : bytes
        What is sent.
    line : bool
        Whether to switch RTS.
    baud : int
        Speed of the line.

    Raises
    ------
    MissingExtraError
        If pyserial is not installed.
    SettingsError
        If the port cannot be opened.
    """

    def __init__(
        self,
        port: str,
        when: Trigger,
        *,
        on: bytes = b"1",
        off: bytes = b"0",
        line: bool = False,
        baud: int = 115200,
    ) -> None:
        serial = _import("serial", "pyserial")
        try:
            self._port = serial.Serial(port, baud, timeout=0, write_timeout=0.1)
        except (serial.SerialException, OSError) as fault:
            raise SettingsError(f"--serial: {port} cannot be opened: {fault}") from fault
        self._when, self._bytes, self._line = when, (off, on), line
        self._state = False
        self.switched = 0

    def send(self, answer: Answer) -> None:
        """Switch the line if what it tells has changed."""
        state = bool(self._when(answer))
        if state != self._state:
            self._switch(state)

    def _switch(self, state: bool) -> None:
        self._port.write(self._bytes[state])
        if self._line:
            self._port.rts = state
        self._state = state
        self.switched += 1

    def close(self) -> None:
        """Switch off, and close the port."""
        if self._state:
            self._switch(False)
        self._port.close()


def find_near(
    distance: float, *, individuals: Sequence[str] | None = None, hold: float = 1.2
) -> Trigger:
    """Make a trigger for animals that are near each other.

    Parameters
    ----------
    distance : float
        Of their centres, as predicted to the present, in the answers' unit.
    individuals : sequence of str, optional
        Two or more names; all by default.
    hold : float
        It is over when all are further apart than ``hold`` times the distance, so that noise at
        the border does not switch to and fro.

    Returns
    -------
    function of Answer
        True while any two of them are near. While one of two is not seen, it stays as it was.

    Raises
    ------
    SettingsError
        If a number is not usable.
    """
    if not (np.isfinite(distance) and distance > 0) or not hold >= 1:
        raise SettingsError(
            f"near: wanted a distance above 0 and hold of 1 or more, came {distance} and {hold}"
        )
    state = False

    def is_near(answer: Answer) -> bool:
        nonlocal state
        names = answer.individuals
        rows = [i for i, name in enumerate(names) if individuals is None or name in individuals]
        points = answer.predicted[rows]
        seen = np.asarray(np.isfinite(points).all(-1))
        some = seen.any(1)
        total = np.where(seen[..., None], points, 0).sum(1)
        centres = total[some] / seen.sum(1)[some, None]
        if len(centres) >= 2:
            apart = np.linalg.norm(centres[:, None] - centres, axis=-1)
            nearest = apart[np.triu_indices(len(centres), 1)].min()
            state = bool(nearest < (hold * distance if state else distance))
        return state

    return is_near


class Sender:
    """Feed an output in a thread of its own, so that a slow or broken one holds nobody up.

    Parameters
    ----------
    output : Output
        What to feed.
    patience : float
        Seconds after a fault before it is tried again.

    Attributes
    ----------
    lost : Counter
        Answers that the output did not get: ``overtaken``, as it was too slow, or ``failed``.
    """

    def __init__(self, output: Output, *, patience: float = 1.0) -> None:
        self.output = output
        self.name = type(output).__name__
        self.lost = Counter({"overtaken": 0, "failed": 0})
        self._queue: queue.Queue[Answer | None] = queue.Queue()
        self._patience = patience
        self._told = False
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
        self._thread.start()

    def put(self, answer: Answer) -> None:
        """Hand on an answer; never waits."""
        while self._queue.qsize() >= _WAITING:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
            self.lost["overtaken"] += 1
        self._queue.put(answer)

    def close(self, *, timeout: float = 10.0) -> None:
        """End the output when it has taken what waits, or has had so many seconds."""
        self._queue.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self.lost["overtaken"] += max(self._queue.qsize() - 1, 0)
            logger.warning("%s does not take what waits for it: left alone", self.name)

    def _work(self) -> None:
        broken = 0.0
        while (answer := self._queue.get()) is not None:
            if time.monotonic() < broken:
                self.lost["failed"] += 1
                continue
            try:
                self.output.send(answer)
            except Exception as fault:
                self.lost["failed"] += 1
                broken = time.monotonic() + self._patience
                self._tell(fault)
        try:
            self.output.close()
        except Exception as fault:
            self._tell(fault)

    def _tell(self, fault: Exception) -> None:
        if not self._told:
            self._told = True
            logger.warning("%s fails, all else goes on: %s", self.name, fault)


def _import(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as fault:
        raise MissingExtraError(f"{package} is missing: pip install 'mapose[live]'") from fault
