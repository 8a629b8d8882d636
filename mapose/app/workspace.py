"""The projects that are open, what others change in them, and whether anybody is there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mapose.app.folders import AllowedFolders
from mapose.app.projects import OpenProject
from mapose.app.recent import load_recent, note_recent
from mapose.app.responses import UnknownError
from mapose.app.results import OpenResult, check_result
from mapose.project.description import FILE as PROJECT


class Workspace(AllowedFolders):
    """All that the server knows.

    Parameters
    ----------
    roots : iterable of path
        As for `AllowedFolders`.
    recent : Path, optional
        File that lists the projects lately used; by default in the person's settings.
    """

    def __init__(
        self, roots: Iterable[str | os.PathLike[str]], *, recent: Path | None = None
    ) -> None:
        super().__init__(roots)
        self.recent = recent
        self.last_active = time.monotonic()
        self.live: Any = None  # a `LiveView`, where a live run is shown
        self._projects: dict[str, OpenProject] = {}
        self._results: dict[str, OpenResult] = {}

    def open_project(self, folder: str | os.PathLike[str]) -> OpenProject:
        """Open a project.

        Raises
        ------
        ForbiddenError, SettingsError
            If it lies outside what may be shown, or is no project.
        """
        place = self.allow(folder)
        name = self.register(place)
        with self._lock:
            if name not in self._projects:
                self._projects[name] = OpenProject(name, place, self)
            note_recent(place, self.recent)
            return self._projects[name]

    def find_project(self, name: str) -> OpenProject:
        """Find an open project; one lately used is opened again.

        Raises
        ------
        UnknownError
            If there is none of this name.
        """
        with self._lock:
            if name in self._projects:
                return self._projects[name]
        place = self._places.get(name)
        if place is None:
            known = (p for p in load_recent(self.recent) if self.is_allowed(p))
            place = next((p for p in known if self.register(p) == name), None)
        if place is None or not (place / PROJECT).is_file():
            raise UnknownError("this project is not open: open it again from the first page")
        return self.open_project(place)

    def open_result(self, file: str | os.PathLike[str]) -> OpenResult:
        """Open a result.

        Raises
        ------
        ForbiddenError, SettingsError, FormatError
            If it lies outside what may be shown, or is no result of ours.
        """
        place = self.allow(file)
        check_result(place)
        name = self.register(place)
        with self._lock:
            if name not in self._results:
                self._results[name] = OpenResult(name, place, self)
            return self._results[name]

    def find_result(self, name: str) -> OpenResult:
        """Find a result that a page was given the name of.

        Raises
        ------
        UnknownError
            If there is none.
        """
        with self._lock:
            if name in self._results:
                self.allow(self._results[name].path)
                return self._results[name]
        return self.open_result(self.find_place(name))

    @property
    def results(self) -> list[OpenResult]:
        """The results that are open."""
        with self._lock:
            return list(self._results.values())

    @property
    def items(self) -> list[OpenProject | OpenResult]:
        """Projects and results that are open."""
        return [*self.projects, *self.results]

    @property
    def projects(self) -> list[OpenProject]:
        """The projects that are open."""
        with self._lock:
            return list(self._projects.values())

    def note_activity(self) -> None:
        """Remember that somebody is there."""
        self.last_active = time.monotonic()

    def is_idle(self, seconds: float) -> bool:
        """Tell whether nobody has asked anything for so long, and no job runs."""
        waited = time.monotonic() - self.last_active
        return waited > seconds and not any(opened.jobs.is_busy() for opened in self.projects)

    def watch(self, stop: threading.Event, every: float = 1.0) -> None:
        """Look from time to time for what others have changed, and tell the pages."""
        while not stop.wait(every):
            for item in self.items:
                with suppress(Exception):  # a folder that is gone; the pages will hear of it
                    item.look()

    def close(self) -> None:
        """Let go of all files."""
        super().close()
        for item in self.items:
            item.close()
