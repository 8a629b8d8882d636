"""Processes of this machine behind the standard executor, each on cores or a GPU of its own."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from mapose.cores import CORES, count_cores
from mapose.errors import MaposeError

Result = TypeVar("Result")

#: Processes that a task may lose before it counts as failed: a kill by accident is not its fault.
ATTEMPTS = 3
#: Bytes that an analysis needs, at least: 0.6 GB at 640x480 with the default preset.
NEEDED = 2**30


def choose_processes(tasks: int, *, gpus: int = 0) -> int:
    """Choose how many processes to work with.

    Parameters
    ----------
    tasks : int
        How many there are.
    gpus : int
        How many there are.

    Returns
    -------
    int
        One per GPU; without, one per core as far as the free memory goes (`NEEDED` each).

    Examples
    --------
    >>> choose_processes(40, gpus=4)
    4
    """
    memory = find_free_memory()
    fitting = count_cores() if memory is None else min(count_cores(), memory // NEEDED)
    return max(1, min(tasks, gpus or fitting))


def find_free_memory() -> int | None:
    """Find how many bytes of memory are free; None where the system does not say."""
    told = Path("/proc/meminfo")  # of Linux
    if not told.is_file():
        return None
    facts = dict(line.split(":") for line in told.read_text(encoding="ascii").splitlines())
    return int(facts["MemAvailable"].split()[0]) * 1024


def open_processes(tasks: int, jobs: int | None, device: str | None) -> Processes:
    """Start processes for tasks in which networks run.

    Parameters
    ----------
    tasks : int
        How many there are.
    jobs : int, optional
        Processes; by default as `choose_processes` chooses them.
    device : str, optional
        Where networks run. If it is not named, each process gets a GPU, where there are any.
    """
    gpus = 0
    if device is None:
        from mapose.models import count_gpus

        gpus = count_gpus()
    count = min(tasks, jobs) if jobs else choose_processes(tasks, gpus=gpus)
    return Processes(max(1, count), gpus=gpus)


class Here(Executor):
    """An executor that does each task at once, in this process, before the next is handed in.

    Examples
    --------
    >>> Here().submit(len, "four").result()
    4
    """

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Do a task."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as fault:
            future.set_exception(fault)
        return future


class Processes(Executor):
    """An executor of processes that live apart: one that dies takes nobody else along.

    Each task that loses its process gets a new one, up to `ATTEMPTS` times, and takes up what the
    lost one left on the disk. All end with the program that started them, however that ends.
    (`ProcessPoolExecutor` fails every task when one process dies, and leaves its processes behind
    when it is killed itself.)

    Parameters
    ----------
    count : int
        Processes. They share the cores evenly.
    gpus : int
        GPUs. Each process gets one, in turn.

    Examples
    --------
    >>> with Processes(1) as executor:
    ...     executor.submit(len, "four").result()
    4
    """

    def __init__(self, count: int, *, gpus: int = 0) -> None:
        cores = str(max(1, count_cores() // count))
        # Read by libraries when they are loaded; torch, OpenCV and numpy obey one of these.
        shared = dict.fromkeys((CORES, "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), cores)
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._all = []
        for number in range(count):
            own = {"CUDA_VISIBLE_DEVICES": _name_gpu(number % gpus)} if gpus else {}
            self._all.append(_Slot({**shared, **own}))
            self._slots.put(self._all[-1])
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="processes")
        self._ended = False

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Hand a task to the next free process."""
        return self._threads.submit(self._work, fn, args, kwargs)

    def _work(
        self, fn: Callable[..., Result], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Result:
        slot = self._slots.get()
        try:
            for _ in range(ATTEMPTS):
                if self._ended:
                    break
                try:
                    return slot.open().submit(fn, *args, **kwargs).result()
                except BrokenProcessPool:
                    slot.end()
        finally:
            self._slots.put(slot)
        raise MaposeError(
            "stopped"
            if self._ended
            else f"its process was killed {ATTEMPTS} times: is the memory too small? Try with "
            "fewer --jobs"
        )

    def end(self) -> None:
        """End all processes at once; tasks that wait are dropped."""
        self._ended = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for slot in self._all:
            slot.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; wait for those that run, and end the processes."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            for slot in self._all:
                slot.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if kind is not None:  # Ctrl-C, or a polite kill: nobody waits for hours of work
            self.end()
        return super().__exit__(kind, fault, trace)


def _name_gpu(number: int) -> str:
    """Name a GPU for CUDA, out of those that this process may see itself."""
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return seen[number] if number < len(seen) else str(number)


class _Slot:
    """The place of one process, which is started when there is work and again after it died.

    Parameters
    ----------
    environment : dict of str to str
        Environment variables of the process.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.pool: ProcessPoolExecutor | None = None
        self.line: Connection | None = None
        self.closed = False
        self.lock = threading.Lock()

    def open(self) -> ProcessPoolExecutor:
        """Give the process's own executor, a new one if it has none.

        Raises
        ------
        BrokenProcessPool
            If the slot was closed.
        """
        with self.lock:
            if self.closed:
                raise BrokenProcessPool("stopped")
            if self.pool is None:
                context = multiprocessing.get_context("spawn")
                theirs, self.line = context.Pipe(duplex=False)
                self.pool = ProcessPoolExecutor(
                    1, context, initializer=_begin, initargs=(theirs, self.environment)
                )
            return self.pool

    def end(self) -> None:
        """End the process, if there is one."""
        with self.lock:
            if self.line is not None:
                self.line.close()
            if self.pool is not None:
                self.pool.shutdown(wait=False, cancel_futures=True)
            self.pool = self.line = None

    def close(self) -> None:
        """End the process for good."""
        self.closed = True
        self.end()


def _begin(line: Connection, environment: dict[str, str]) -> None:
    """Make a new process ready; it lives as long as the other end of the line is held."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the first process decides
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()


def _end_with(line: Connection) -> None:
    with suppress(EOFError, OSError):
        line.recv_bytes()
    os.kill(os.getpid(), signal.SIGTERM)
