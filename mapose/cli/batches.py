"""Many files in one command: one that cannot be worked on does not end all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.terminal import explain_fault, show_error
from mapose.errors import MaposeError, SettingsError

Recursive = Annotated[bool, typer.Option("--recursive", help="also folders within folders")]
Pattern = Annotated[
    str, typer.Option("--filter", metavar="PATTERN", help="of a folder, only files like '*cam1*'")
]

Jobs = Annotated[
    str, typer.Option(metavar="N|auto", help="videos at once; auto: one per GPU or core")
]

Scheduler = Annotated[
    str | None, typer.Option(metavar="tcp://HOST:PORT", help="a running Dask cluster does the work")
]


@contextmanager
def open_workers(scheduler: str | None) -> Iterator[Executor | None]:
    """Open the workers of a cluster, if one is named."""
    if scheduler is None:
        yield None
        return
    from mapose.cluster.scheduler import open_scheduler

    with open_scheduler(scheduler) as executor:
        yield executor


def read_jobs(text: str) -> int | None:
    """Read a number of processes; None is as many as fit, ``auto``.

    Raises
    ------
    SettingsError
        If it is none.
    """
    if text == "auto":
        return None
    if not (text.isdecimal() and int(text)):
        raise SettingsError(f"--jobs: wanted a number such as 4, or auto, came {text!r}")
    return int(text)


def list_inputs(
    paths: Sequence[Path], *, recursive: bool = False, pattern: str = "*"
) -> list[Path]:
    """Put in place of each folder the results in it, of each project those in its ``results``.

    Raises
    ------
    SettingsError
        If a folder holds none.
    """
    from mapose.files import RESULT
    from mapose.io.formats import check_there
    from mapose.io.openpose import is_openpose_folder
    from mapose.io.sources import find_files

    def find(folder: Path) -> list[Path]:
        if is_openpose_folder(folder):
            return [folder]
        own = folder / "results" if (folder / "mapose.yaml").is_file() else folder
        return find_files(own, [RESULT], recursive=recursive, pattern=pattern)

    found = _open_folders(paths, find, f"results, NAME{RESULT}", pattern, recursive)
    if len(found) == 1:  # of several, those that are not there are told while the others are done
        check_there(found[0])
    return found


def list_recordings(
    paths: Sequence[Path], *, recursive: bool = False, pattern: str = "*"
) -> list[Path]:
    """Put in place of each folder the recordings in it; what mapose has drawn is none.

    Raises
    ------
    SettingsError
        If a folder holds none.
    """
    from mapose.files import is_drawn
    from mapose.io.stills import find_recordings

    def find(folder: Path) -> list[Path]:
        inside = find_recordings(folder, recursive=recursive, pattern=pattern)
        return [p for p in inside if p.is_dir() or not is_drawn(p)]

    return _open_folders(paths, find, "videos", pattern, recursive)


def _open_folders(
    paths: Sequence[Path],
    find: Callable[[Path], list[Path]],
    what: str,
    pattern: str,
    recursive: bool,
) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = find(path) if path.is_dir() else [path]
        if not inside:
            like = "" if pattern == "*" else f" like {pattern}"
            deeper = "" if recursive else "; --recursive looks into its folders as well"
            raise SettingsError(f"{path}: no {what}{like} in this folder{deeper}")
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
