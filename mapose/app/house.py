"""The projects that are open, what others change in them, and whether anybody is there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mapose.app.answers import UnknownError
from mapose.app.films import Film, check_film
from mapose.app.grounds import Grounds
from mapose.app.recent import load_recent, note_recent
from mapose.app.rooms import Room
from mapose.project.description import FILE as PROJECT


class House(Grounds):
    """All that the server knows.

    Parameters
    ----------
    roots : iterable of path
        As for `Grounds`.
    recent : Path, optional
        File that lists the projects lately used; by default in the person's settings.
    """

    def __init__(
        self, roots: Iterable[str | os.PathLike[str]], *, recent: Path | None = None
    ) -> None:
        super().__init__(roots)
        self.recent = recent
        self.last_active = time.monotonic()
        self._rooms: dict[str, Room] = {}
        self._films: dict[str, Film] = {}

    def open_room(self, folder: str | os.PathLike[str]) -> Room:
        """Open a project.

        Raises
        ------
        ForbiddenError, SettingsError
            If it lies outside what may be shown, or is no project.
        """
        place = self.allow(folder)
        name = self.register(place)
        with self._lock:
            if name not in self._rooms:
                self._rooms[name] = Room(name, place, self)
            note_recent(place, self.recent)
            return self._rooms[name]

    def find_room(self, name: str) -> Room:
        """Find an open project; one lately used is opened again.

        Raises
        ------
        UnknownError
            If there is none of this name.
        """
        with self._lock:
            if name in self._rooms:
                return self._rooms[name]
        place = self._places.get(name)
        if place is None:
            known = (p for p in load_recent(self.recent) if self.is_allowed(p))
            place = next((p for p in known if self.register(p) == name), None)
        if place is None or not (place / PROJECT).is_file():
            raise UnknownError("this project is not open: open it again from the first page")
        return self.open_room(place)

    def open_film(self, file: str | os.PathLike[str]) -> Film:
        """Open a result.

        Raises
        ------
        ForbiddenError, SettingsError, FormatError
            If it lies outside what may be shown, or is no result of ours.
        """
        place = self.allow(file)
        check_film(place)
        name = self.register(place)
        with self._lock:
            if name not in self._films:
                self._films[name] = Film(name, place, self)
            return self._films[name]

    def find_film(self, name: str) -> Film:
        """Find a result that a page was given the name of.

        Raises
        ------
        UnknownError
            If there is none.
        """
        with self._lock:
            if name in self._films:
                self.allow(self._films[name].path)
                return self._films[name]
        return self.open_film(self.find_place(name))

    @property
    def films(self) -> list[Film]:
        """The results that are open."""
        with self._lock:
            return list(self._films.values())

    @property
    def opened(self) -> list[Room | Film]:
        """Projects and results that are open."""
        return [*self.rooms, *self.films]

    @property
    def rooms(self) -> list[Room]:
        """The projects that are open."""
        with self._lock:
            return list(self._rooms.values())

    def note_activity(self) -> None:
        """Remember that somebody is there."""
        self.last_active = time.monotonic()

    def is_idle(self, seconds: float) -> bool:
        """Tell whether nobody has asked anything for so long, and no job runs."""
        waited = time.monotonic() - self.last_active
        return waited > seconds and not any(room.jobs.is_busy() for room in self.rooms)

    def watch(self, stop: threading.Event, every: float = 1.0) -> None:
        """Look from time to time for what others have changed, and tell the pages."""
        while not stop.wait(every):
            for opened in self.opened:
                with suppress(Exception):  # a folder that is gone; the pages will hear of it
                    opened.look()

    def close(self) -> None:
        """Let go of all files."""
        super().close()
        for opened in self.opened:
            opened.close()
