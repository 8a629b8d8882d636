"""Recordings found again after folders moved: by what is in them, not by their names."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mapose.errors import SettingsError
from mapose.io.recordings import find_path, fingerprint
from mapose.io.sources import VIDEO_SUFFIXES
from mapose.locks import lock_output
from mapose.project.description import FILE
from mapose.project.project import Project


@dataclass
class RelinkReport:
    """Which lost videos of a project were found.

    Parameters
    ----------
    found : dict of str to Path
        Videos by name, and where they are now.
    by_name : list of str
        Those of them that are known by the name of the file only: their fingerprint was not kept.
    lost : dict of str to str
        Those that were not found, and why.
    """

    found: dict[str, Path] = field(default_factory=dict)
    by_name: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"{name}: {file}{', by its name only' if name in self.by_name else ''}"
            for name, file in self.found.items()
        ]
        lines += [f"{name}: {why}" for name, why in self.lost.items()]
        return "\n".join(lines or ["all videos are where they were"])

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        return {**vars(self), "found": {name: str(file) for name, file in self.found.items()}}


def relink_project(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Project, RelinkReport]:
    """Find the videos of a project again, in a folder and those in it.

    A recording is told by its fingerprint, wherever it lies and whatever it is called now. Where
    a project has kept none, the file must be the only one of its name.

    Parameters
    ----------
    path : path
        The project.
    folder : path
        Where to look.
    on_progress : function of (int, int), optional
        Called with video files looked at and in all.

    Returns
    -------
    project : Project
        With the new places.
    report : RelinkReport

    Raises
    ------
    SettingsError
        If there is no such folder.
    """
    place = Path(folder)
    Project.load(path)  # or say that it is none
    if not place.is_dir():
        raise SettingsError(f"{place}: wanted a folder in which to look for videos")
    with lock_output(Path(path) / FILE, wait=True):
        project = Project.load(path)
        gone = {n: v for n, v in project.videos.items() if not (project.path / v).is_file()}
        report = RelinkReport()
        if not gone:
            return project, report
        files = sorted(f for f in place.rglob("*") if f.suffix.lower() in VIDEO_SUFFIXES)
        by_print = _read_fingerprints(files, project, gone, on_progress)
        for name, was in gone.items():
            _find_one(project, name, (was, files, by_print), report)
        new = {name: find_path(file, project.path) for name, file in report.found.items()}
        prints = {name: fingerprint(file) for name, file in report.found.items()}
        project = replace(
            project,
            videos={**project.videos, **new},
            recordings={**project.recordings, **prints},
        )
        project.save()
        return Project.load(path), report


def _read_fingerprints(
    files: list[Path],
    project: Project,
    gone: dict[str, Path],
    on_progress: Callable[[int, int], None],
) -> dict[str, Path]:
    """Read fingerprints until all is found; first of files with a name that is looked for."""
    wanted = {project.recordings[name] for name in gone if name in project.recordings}
    names = {was.name for was in gone.values()}
    found: dict[str, Path] = {}
    for done, file in enumerate(sorted(files, key=lambda f: f.name not in names)):
        if wanted <= found.keys():
            break
        on_progress(done, len(files))
        if file.is_file():
            found.setdefault(fingerprint(file), file)
    return found


def _find_one(
    project: Project,
    name: str,
    place: tuple[Path, list[Path], dict[str, Path]],
    report: RelinkReport,
) -> None:
    was, files, by_print = place
    mark = project.recordings.get(name)
    alike = [file for file in files if file.name == was.name]
    if mark is not None:
        if mark in by_print:
            report.found[name] = by_print[mark]
        else:
            other = f"; {alike[0]} has its name but is another recording" if alike else ""
            report.lost[name] = f"not found{other}"
    elif len(alike) == 1:
        report.found[name] = alike[0]
        report.by_name.append(name)
    else:
        several = f"several files are called {was.name}" if alike else "not found"
        report.lost[name] = f"{several}, and the project has not kept its fingerprint"
