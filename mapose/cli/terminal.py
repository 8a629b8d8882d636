"""What the command line shows: results on standard output, progress and errors beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@contextmanager
def show_progress(what: str) -> Iterator[tuple[Progress, TaskID]]:
    """Show a bar with an estimate on standard error while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=errors) as progress:
        yield progress, progress.add_task(what, total=None, note="")


def show_result(value: Any, as_json: bool) -> None:
    """Print a record as its table, or as one line of JSON."""
    if as_json:
        sys.stdout.write(json.dumps(value if isinstance(value, dict) else value.to_dict()) + "\n")
    else:
        console.print(str(value), markup=False, soft_wrap=True)
