"""Many files in one command: one that cannot be worked on does not end all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.terminal import explain_fault, show_error
from mapose.errors import MaposeError, SettingsError

Recursive = Annotated[bool, typer.Option("--recursive", help="also folders within folders")]
Pattern = Annotated[
    str, typer.Option("--filter", metavar="PATTERN", help="of a folder, only files like '*cam1*'")
]
# Videos of ours that are no recordings.
_DRAWN = "mapose render"


def list_inputs(
    paths: Sequence[Path], endings: Sequence[str], *, recursive: bool = False, pattern: str = "*"
) -> list[Path]:
    """Put in place of each folder the files in it; videos that mapose has drawn are left out.

    Raises
    ------
    SettingsError
        If a folder holds none.
    """
    from mapose.files import read_mark
    from mapose.io.sources import find_files

    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = find_files(path, endings, recursive=recursive, pattern=pattern)
        inside = [file for file in inside if not (read_mark(file) or "").startswith(_DRAWN)]
        if not inside:
            like = "" if pattern == "*" else f" like {pattern}"
            deeper = "" if recursive else "; --recursive looks into its folders as well"
            raise SettingsError(f"{path}: no {' or '.join(endings)}{like} in this folder{deeper}")
        found += inside
    return list(dict.fromkeys(found))


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
