"""Tasks handed to an executor, and what became of each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from mapose.errors import MaposeError

logger = logging.getLogger(__name__)

Task = TypeVar("Task")
#: What can become of a task.
DONE, UNCHANGED, FAILED = "done", "unchanged", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Parameters
    ----------
    name : str
        Of the task, such as the path of a video.
    state : {"done", "unchanged", "failed"}
        Unchanged is what had been done before.
    output : str
        The file that was made.
    frames : int
        That were worked on, this time.
    seconds : float
        That it took, start-up not counted.
    why : str
        Of what failed: the reason.
    """

    name: str
    state: str
    output: str = ""
    frames: int = 0
    seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Report:
    """What became of many tasks.

    Parameters
    ----------
    outcomes : sequence of Outcome
        In the order of the tasks.
    seconds : float
        From the first to the last.
    """

    outcomes: Sequence[Outcome]
    seconds: float

    @property
    def failed(self) -> list[Outcome]:
        """Those that failed."""
        return [outcome for outcome in self.outcomes if outcome.state == FAILED]

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        counts = {state: self._count(state) for state in (DONE, UNCHANGED, FAILED)}
        return {**counts, "seconds": self.seconds, "tasks": [asdict(o) for o in self.outcomes]}

    def _count(self, state: str) -> int:
        return sum(outcome.state == state for outcome in self.outcomes)

    def __str__(self) -> str:
        wide = max((len(o.name) for o in self.outcomes), default=0)
        frames = sum(outcome.frames for outcome in self.outcomes)

        def lay_out(name: str, state: str, count: object, seconds: str, told: str) -> str:
            middle = f"{count:>8}  " if frames else ""
            return f"{name:{wide}}  {state:9}  {middle}{seconds:>7}  {told}".rstrip()

        lines = [lay_out("", "", "frames", "seconds", "")]
        for o in self.outcomes:
            lines.append(lay_out(o.name, o.state, o.frames, f"{o.seconds:.1f}", o.why or o.output))
        counts = [f"{self._count(s)} {s}" for s in (DONE, UNCHANGED, FAILED) if self._count(s)]
        counted = f"; {frames} frames" if frames else ""
        lines.append(f"{', '.join(counts) or 'nothing to do'}{counted} in {self.seconds:.1f} s")
        return "\n".join(lines)


def work_through(
    tasks: Sequence[Task],
    work: Callable[[Task], Outcome],
    executor: Executor,
    *,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> Report:
    """Have an executor do tasks that know nothing of each other; what fails stops nobody.

    Parameters
    ----------
    tasks : sequence
        What to do; each has a ``name``.
    work : function of a task
        Does it, in the executor's process; must be importable there.
    executor : concurrent.futures.Executor
        Who works: `Processes`, that of a Dask cluster, or any other.
    on_outcome : function of Outcome, optional
        Called as each task ends.

    Returns
    -------
    Report
        In the order of the tasks.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from types import SimpleNamespace
    >>> def greet(task):
    ...     return Outcome(task.name, "done", output=f"hello {task.name}")
    >>> with ThreadPoolExecutor(2) as executor:
    ...     report = work_through([SimpleNamespace(name="anna")], greet, executor)
    >>> report.outcomes[0].output
    'hello anna'
    """
    begun = time.monotonic()
    found: list[Outcome | None] = [None] * len(tasks)
    running = {executor.submit(work, task): number for number, task in enumerate(tasks)}
    for future in _list_as_done(running):
        number = running[future]
        try:
            outcome = future.result()
        except Exception as fault:  # of the executor: a process that could not be kept alive
            outcome = Outcome(_name(tasks[number]), FAILED, why=str(fault) or type(fault).__name__)
        found[number] = outcome
        on_outcome(outcome)
    return Report([o for o in found if o is not None], time.monotonic() - begun)


def _list_as_done(running: Collection[Future[Outcome]]) -> Iterator[Future[Outcome]]:
    """List futures as they end.

    Waits in short rounds, other than `as_completed`: a Ctrl-C that comes just as a wait without
    end begins is not seen before that is over, on Windows none is.
    """
    pending = set(running)
    while pending:
        done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
        yield from done


def note_outcome(name: str, work: Callable[[], Outcome]) -> Outcome:
    """Do a task; whatever it raises becomes an outcome, as one task must not stop the others."""
    begun = time.monotonic()
    try:
        outcome = work()
    except (MaposeError, OSError) as fault:
        outcome = Outcome(name, FAILED, why=str(fault))
    except Exception as fault:
        logger.exception("%s", name)
        outcome = Outcome(name, FAILED, why=f"{type(fault).__name__}: {fault}")
    return replace(outcome, seconds=time.monotonic() - begun)


def _name(task: Any) -> str:
    return str(task.name)
