"""How many processor cores a process may use: of a shared machine seldom all."""

from __future__ import annotations

import os

#: Environment variable that says how many cores this process may use.
CORES = "MAPOSE_CORES"


def count_cores() -> int:
    """Count the cores that this process may use.

    Returns
    -------
    int
        What the environment variable ``MAPOSE_CORES`` says, else those that the operating system
        (or a scheduler such as SLURM, through it) leaves to this process; at least 1.

    Examples
    --------
    >>> getfixture("monkeypatch").setenv("MAPOSE_CORES", "3")
    >>> count_cores()
    3
    """
    told = os.environ.get(CORES, "")
    if told.isdecimal() and int(told):
        return int(told)
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
