"""One stream of what changes, to every page that is open: labels, edits, jobs, other tabs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

#: Seconds after which an empty line keeps the connection.
_BEAT = 15.0
#: Events that wait for a page that does not read; then it is cut off, and asks again.
_MOST = 256


class Events:
    """Hands on what happens; pages that listen hear it at once.

    An event is a record with its ``kind``. Whoever was away compares versions and asks for what it
    has missed: nothing is kept here.
    """

    def __init__(self) -> None:
        self._listeners: dict[int, tuple[str, asyncio.Queue[Any], asyncio.AbstractEventLoop]] = {}
        self._lock = threading.Lock()
        self._next = 0

    def tell(self, topic: str, kind: str, **facts: Any) -> None:
        """Tell all pages of a project that something has changed; from any thread."""
        event = {"kind": kind, **facts}
        with self._lock:
            listeners = [(q, loop) for name, q, loop in self._listeners.values() if name == topic]
        for waiting, loop in listeners:
            loop.call_soon_threadsafe(_put, waiting, event)

    def end(self) -> None:
        """End all streams: the server stops."""
        with self._lock:
            listeners = [(q, loop) for _, q, loop in self._listeners.values()]
        for waiting, loop in listeners:
            loop.call_soon_threadsafe(_put, waiting, None)

    async def listen(self, topic: str, hello: dict[str, Any]) -> AsyncIterator[bytes]:
        """Give the stream of one page, as server-sent events, the versions of now first."""
        waiting: asyncio.Queue[Any] = asyncio.Queue(_MOST)
        with self._lock:
            self._next += 1
            number = self._next
            self._listeners[number] = topic, waiting, asyncio.get_running_loop()
        try:
            yield _format({"kind": "hello", **hello})
            while True:
                try:
                    event = await asyncio.wait_for(waiting.get(), _BEAT)
                except TimeoutError:
                    yield b":\n\n"
                    continue
                if event is None:
                    return
                yield _format(event)
        finally:
            with self._lock:
                del self._listeners[number]


def _put(waiting: asyncio.Queue[Any], event: Any) -> None:
    if waiting.full():
        waiting.get_nowait()
        event = None
    waiting.put_nowait(event)


def _format(event: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()
