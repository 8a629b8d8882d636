"""A Dask cluster that runs already, behind the standard executor."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from mapose.errors import SettingsError

#: Seconds for a scheduler to answer.
_PATIENCE = 10


@contextmanager
def open_scheduler(address: str) -> Iterator[Executor]:
    """Hand tasks to the workers of a Dask scheduler (extra ``cluster``).

    All machines must see the same files under the same paths. A worker that dies is replaced by
    Dask, and its task begins again on another one, where it takes up what lies on the disk.

    Parameters
    ----------
    address : str
        Such as ``tcp://192.168.0.7:8786``.

    Yields
    ------
    concurrent.futures.Executor
        For `mapose.analyze_videos` and `mapose.run_sessions`.

    Raises
    ------
    SettingsError
        If Dask is not installed or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SettingsError('--scheduler: Dask is missing: pip install "mapose[cluster]"') from None
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as fault:
        raise SettingsError(
            f"--scheduler: no Dask scheduler answers at {address} ({fault}); start one with "
            "'dask scheduler', and workers with 'dask worker ADDRESS --nthreads 1'"
        ) from fault
    # Not pure: that a task was done once does not mean that its file is there still.
    with client, client.get_executor(pure=False) as executor:
        yield executor
