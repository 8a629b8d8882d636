"""The folders that the server may show, and what all open projects share."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from mapose.app.events import Events
from mapose.app.frames import FrameCache, FrameReader
from mapose.app.responses import ForbiddenError, UnknownError
from mapose.io.sources import VIDEO_SUFFIXES

logger = logging.getLogger(__name__)


class AllowedFolders:
    """Folders that may be shown, the stream of events, and pictures that are kept.

    Parameters
    ----------
    roots : iterable of path
        Folders that may be shown, with all that is in them; nothing else is ever read.
    """

    def __init__(self, roots: Iterable[str | os.PathLike[str]]) -> None:
        found = dict.fromkeys(Path(os.path.realpath(root)) for root in roots)
        self.roots = tuple(r for r in found if not any(o in r.parents for o in found))
        self.events = Events()
        self.cache = FrameCache()
        self._places: dict[str, Path] = {}
        self._readers: dict[str, FrameReader] = {}
        self._lock = threading.RLock()

    def allow(self, path: str | os.PathLike[str]) -> Path:
        """Resolve a path with all its links, and make sure that it may be shown.

        Raises
        ------
        ForbiddenError
            If it lies outside the folders that may be shown.
        """
        place = Path(os.path.realpath(path))
        if not any(place == root or root in place.parents for root in self.roots):
            logger.warning("refused: %s lies outside the folders that may be shown", path)
            raise ForbiddenError(
                f"{Path(path).name} lies outside the folders that this app may show: start it "
                f"again with --root {place.parent}"
            )
        return place

    def is_allowed(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a path, with all its links, may be shown."""
        place = Path(os.path.realpath(path))
        return any(place == root or root in place.parents for root in self.roots)

    def register(self, path: str | os.PathLike[str]) -> str:
        """Give a file or folder a name by which pages ask for it; the same at the next start."""
        place = self.allow(path)
        name = hashlib.blake2b(os.fsencode(place), digest_size=9).hexdigest()
        self._places[name] = place
        return name

    def find_place(self, name: str) -> Path:
        """Find the file or folder behind a name.

        Raises
        ------
        UnknownError
            If no page was given this name.
        ForbiddenError
            If it has become a link that leads outside.
        """
        if name not in self._places:
            raise UnknownError("this file or folder is not known any more: open it again")
        return self.allow(self._places[name])

    def get_reader(self, name: str) -> FrameReader:
        """Open a video that belongs to no project yet.

        Raises
        ------
        UnknownError
            If it is no video that a page was given.
        """
        place = self.find_place(name)
        if place.suffix.lower() not in VIDEO_SUFFIXES:
            raise UnknownError(f"{place.name} is no video")
        with self._lock:
            if name not in self._readers:
                self._readers[name] = FrameReader(place, self.cache)
            return self._readers[name]

    def close(self) -> None:
        """Let go of all files."""
        for reader in self._readers.values():
            reader.close()
