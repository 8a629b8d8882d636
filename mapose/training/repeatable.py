"""Trainings that end with the same weights each time, also on a graphics card."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeat_exactly(wanted: bool) -> Iterator[None]:
    """Let torch use only operations whose result is the same each time; as before afterwards.

    On a processor they always are: the same seed on the same kind of machine makes the same
    weights. On a graphics card the quicker ones add up in any order.

    Parameters
    ----------
    wanted : bool
        Whether to.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
