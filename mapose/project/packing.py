"""A project in one file, to be kept or handed on."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mapose.errors import SettingsError
from mapose.files import (
    check_output,
    claim_output,
    make_mark,
    make_yaml,
    name_work,
    write_atomically,
)
from mapose.locks import lock_output
from mapose.project.description import FILE, load_description, make_plain
from mapose.project.project import Project

#: What is compressed already: it would take time and save nothing.
_DENSE = {".png", ".jpg", ".jpeg", ".h5", ".safetensors", ".mp4", ".m4v", ".mov", ".mkv", ".avi"}
_DENSE |= {".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".zip"}


def zip_project(
    project: Project | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    videos: bool = False,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write a project, with labels, models and results, into one zip file.

    Unpacked anywhere, it is a project again. Its recordings come with it if that is wanted; else
    `mapose relink` finds them where it is unpacked.

    Parameters
    ----------
    project : Project or path
        It stays as it is.
    output : path, optional
        The file; by default beside the project, ``<project>.zip``.
    videos : bool
        Put the recordings in as well, those too that lie outside of the project.
    force : bool
        Replace a file that something else has made.
    on_progress : function of (int, int), optional
        Called with MB done and MB in all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SettingsError
        If it is no project, a recording that is wanted is not there, or the output may not be
        replaced or would lie in the project.
    MaposeError
        If the disk is full; nothing is left behind then.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    folder = project.path.resolve()
    place = Path(output) if output is not None else folder.with_name(f"{folder.name}.zip")
    made = name_work("zip", [project.path], videos=videos)
    read = [
        *dict(_list_own(project)).values(),
        *(project.path / v for v in project.videos.values()),
    ]
    check_output(place, inputs=read, suffixes=[".zip"], made=made, force=force)
    if place.resolve().is_relative_to(folder):
        raise SettingsError(f"{place} lies in the project: choose a place outside of it")
    claimed = claim_output(place, inputs=read, made=made, force=force)
    with claimed, lock_output(project.path / FILE, wait=True):
        project = Project.load(project.path)
        given = dict(_list_own(project))
        if videos:
            del given[FILE]  # written anew, as recordings come to lie elsewhere
            given |= _list_videos(project)
        total, done = sum(file.stat().st_size for file in given.values()), 0
        with write_atomically(place) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, file in given.items():
                dense = file.suffix.lower() in _DENSE
                archive.write(
                    file,
                    f"{folder.name}/{name}",
                    compress_type=zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED,
                )
                done += file.stat().st_size
                on_progress(done >> 20, total >> 20)
            if videos:
                archive.writestr(f"{folder.name}/{FILE}", _describe(project))
            archive.comment = make_mark(made).encode("ascii")
    return place


def _list_own(project: Project) -> Iterator[tuple[str, Path]]:
    """List the files of a project but its recordings, by their places in it."""
    for file in sorted(project.path.rglob("*")):
        name = file.relative_to(project.path).as_posix()
        left = file.suffix in (".tmp", ".lock") or name.startswith(("videos/", "jobs/"))
        if file.is_file() and not left:
            yield name, file


def _list_videos(project: Project) -> Iterator[tuple[str, Path]]:
    """List the files of recordings, which may be folders of stills, by their places to be."""
    for name, place in _place_videos(project).items():
        source = project.path / project.videos[name]
        if not source.exists():
            raise SettingsError(
                f"{name} is not at {source}: find it with 'mapose relink', or leave --videos out"
            )
        if source.is_file():
            yield place, source
        else:
            for still in sorted(source.iterdir()):
                if still.is_file():
                    yield f"{place}/{still.name}", still


def _place_videos(project: Project) -> dict[str, str]:
    """Find where in the packed project each recording lies, by its name."""
    return {name: f"videos/{name}{place.suffix}" for name, place in project.videos.items()}


def _describe(project: Project) -> str:
    """Write what ``mapose.yaml`` says where all recordings lie in the project."""
    found = load_description(project.path).model_copy(update={"videos": _place_videos(project)})
    return make_yaml(make_plain(found))
