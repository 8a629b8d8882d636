"""Batches drawn ahead of the training, by threads of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

#: Batches that are drawn at once and that wait: images are decoded while the network is trained.
_THREADS, _DEPTH = 2, 4


def draw_ahead(draw: Callable[[int], T], first: int) -> Generator[T]:
    """Draw batch after batch without end, some of them ahead of whoever uses them.

    Parameters
    ----------
    draw : function of int
        Draws the batch of a step; may be called by several threads, in any order.
    first : int
        Step to begin with.

    Yields
    ------
    object
        The batches in order; what drawing raises is raised here.

    Examples
    --------
    >>> batches = draw_ahead(lambda step: step**2, 3)
    >>> [next(batches) for _ in range(3)]
    [9, 16, 25]
    >>> batches.close()
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="draw") as pool:
        waiting = deque(pool.submit(draw, step) for step in range(first, first + _DEPTH))
        step = first + _DEPTH
        try:
            while True:
                batch = waiting.popleft().result()
                waiting.append(pool.submit(draw, step))
                step += 1
                yield batch
        finally:
            for one in waiting:
                one.cancel()
