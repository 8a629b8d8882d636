"""Many files in one command: one that cannot be worked on does not end all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from mapose.cli.terminal import explain_fault, show_error
from mapose.errors import MaposeError, SettingsError


def work_each(files: Sequence[Path], work: Callable[[Path], None]) -> None:
    """Work on file after file; those that fail are named at once, and again at the end.

    Files that are not there are named before any work.

    Raises
    ------
    typer.Exit
        With status 1, after the last one, if some failed.
    MaposeError, OSError
        If the only one failed.
    """
    if len(files) == 1:
        return work(files[0])
    failed = {file: f"there is no file {file}" for file in files if not file.exists()}
    for fault in failed.values():
        show_error(fault)
    for file in files:
        if file in failed:
            continue
        try:
            work(file)
        except (MaposeError, OSError) as error:
            failed[file] = explain_fault(error)
            show_error(f"{file}: {failed[file]}")
    if failed:
        rest = "" if len(failed) == len(files) else "; the others are done"
        show_error(f"{len(failed)} of {len(files)} failed{rest}:")
        for file, fault in failed.items():
            show_error(fault if str(file) in fault else f"{file}: {fault}")
        raise typer.Exit(1)
    return None


def check_one_output(output: Path | None, files: list[Path]) -> None:
    """Refuse one output file for several results."""
    if output is not None and len(files) > 1:
        raise SettingsError(f"--output: one file for {len(files)} results; leave it out")
