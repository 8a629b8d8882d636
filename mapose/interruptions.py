"""Ctrl-C and a polite kill: what must not be cut in two waits for its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """A polite kill (SIGTERM), for which all is done that is done for Ctrl-C."""


@contextmanager
def raise_on_kill() -> Iterator[None]:
    """Make a polite kill raise `Terminated` while the block runs, so that all is tidied up."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def hold_signals() -> Iterator[list[int]]:
    """Let Ctrl-C and a polite kill wait for the end of the block; a second one does not wait.

    Outside the main thread, to which signals do not come, nothing is held.

    Yields
    ------
    list of int
        The signals that have come so far. What they usually do is done after the block.

    Examples
    --------
    >>> with hold_signals() as came:
    ...     print(came)
    []
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    # A signal that kills at once, as SIGTERM usually does, goes on doing so.
    held = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            held[signal.Signals(number)](number, frame)
        came.append(number)

    for number in held:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
    if came:
        held[signal.Signals(came[0])](came[0], None)
