"""What the command line shows: results on standard output, progress and errors beside it."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mapose.errors import MaposeError

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


#: Seconds until a command that has shown nothing says that it starts, and between lines of a log.
_START, _EVERY = 1.5, 15.0
#: Seconds for which work says nothing that mostly is done by then.
QUICK = 1.5


@contextmanager
def say_that_it_starts() -> Iterator[None]:
    """Say after a moment that the command starts: libraries take some to load."""
    timer = threading.Timer(_START, lambda: errors.print("mapose: starting", style="dim"))
    timer.daemon = True
    timer.start()
    _starting.append(timer)
    try:
        yield
    finally:
        _end_start()


_starting: list[threading.Timer] = []


def _end_start() -> None:
    while _starting:
        _starting.pop().cancel()


@contextmanager
def show_progress(what: str, *, after: float = 0) -> Iterator[tuple[Progress, TaskID]]:
    """Show a bar with an estimate on standard error while the block runs.

    Where standard error is no terminal but a file or a pipe, lines of a log take its place: one
    at once, or after so many seconds, one every quarter of a minute, and one at the end.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    _end_start()
    with (
        Progress(*columns, console=errors, disable=not errors.is_terminal) as progress,
        _write_progress(progress),
    ):
        task = progress.add_task(what, total=None, note="")
        if errors.is_terminal:
            yield progress, task
            return
        with _log_progress(progress, after):
            yield progress, task


@contextmanager
def repeat(call: Callable[[], None], *, every: float, after: float | None = None) -> Iterator[None]:
    """Call something again and again while the block runs: every so many seconds.

    The first time after as many seconds, or after others.
    """
    ended = threading.Event()

    def work() -> None:
        wait = every if after is None else after
        while not ended.wait(wait):
            call()
            wait = every

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _log_progress(progress: Progress, after: float) -> Iterator[None]:
    begun = time.monotonic()
    try:
        with repeat(lambda: _print_line(progress), every=_EVERY, after=after):
            yield
    finally:
        # Where the work was refused at once, the first line has said all there is to say.
        if time.monotonic() - begun > after and progress.tasks[0].total is not None:
            _print_line(progress)


@contextmanager
def _write_progress(progress: Progress) -> Iterator[None]:
    """Write how far work has come into the file that ``MAPOSE_PROGRESS`` names, for the app."""
    file = os.environ.get("MAPOSE_PROGRESS")
    if not file:
        yield
        return
    from mapose.files import write_atomically

    def write() -> None:
        with suppress(MaposeError, OSError), write_atomically(Path(file)) as temporary:
            temporary.write_text(json.dumps(_describe(progress)), encoding="utf-8")

    with repeat(write, every=1.0):
        yield


def _describe(progress: Progress) -> dict[str, Any]:
    if not progress.tasks:
        return {}
    task = progress.tasks[0]
    return {
        "what": task.description,
        "done": task.completed,
        "total": task.total,
        "left": task.time_remaining,
        "note": str(task.fields["note"]),
    }


def _print_line(progress: Progress) -> None:
    """Print where the task stands, such as ``tracking: 512 of 9000, 0:01:10, left 0:20:00``."""
    task = progress.tasks[0]
    parts = [] if task.total is None else [f"{task.completed:.0f} of {task.total:.0f}"]
    parts.append(_format_time(task.elapsed or 0))
    if task.time_remaining:
        parts.append(f"left {_format_time(task.time_remaining)}")
    if task.fields["note"]:
        parts.append(str(task.fields["note"]))
    errors.print(f"{task.description}: {', '.join(parts)}", markup=False, soft_wrap=True)


def _format_time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def explain_fault(fault: Exception) -> str:
    """Say what went wrong: in our own words, else what the operating system has told."""
    if isinstance(fault, MaposeError) or not isinstance(fault, OSError):
        return str(fault)
    from mapose.reading import explain_gone

    reason = explain_gone(fault) or fault.strerror or str(fault) or type(fault).__name__
    return f"{os.fsdecode(fault.filename)}: {reason}" if fault.filename else reason


def tell_count(number: int, thing: str) -> str:
    """Say how many of a thing there are: ``1 frame``, ``2 frames``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def show_error(text: str, style: str = "red") -> None:
    """Print an error as one line on standard error."""
    line = " ".join(text.split("\n"))
    errors.print(f"mapose: {line}", style=style, markup=False, soft_wrap=True)


def show_result(value: Any, as_json: bool) -> None:
    """Print a record as its table, or as one line of JSON."""
    if as_json:
        sys.stdout.write(json.dumps(value if isinstance(value, dict) else value.to_dict()) + "\n")
    else:
        told = value
        if isinstance(value, dict):
            told = ", ".join(f"{key} {item}" for key, item in value.items())
        console.print(str(told), markup=False, soft_wrap=True)
