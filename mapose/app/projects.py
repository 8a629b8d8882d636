"""A project that is open in the app: its labels, its videos, its jobs, and what others change."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mapose.app.folders import AllowedFolders
from mapose.app.frames import FrameReader, encode_picture
from mapose.app.jobs import Jobs
from mapose.app.responses import Binary, UnknownError
from mapose.errors import MaposeError, SettingsError
from mapose.files import EDITS, RESULT
from mapose.io.images import read_image
from mapose.io.proposals import FILE as PROPOSALS
from mapose.io.proposals import Proposals
from mapose.io.proposals import load_proposals as read_proposals
from mapose.project.history import JOURNAL
from mapose.project.project import Project
from mapose.reading import is_plain_name

logger = logging.getLogger(__name__)

#: Seconds without a change after which tables are written, and after which they are in any case.
#: What the journal has is safe at once.
_PAUSE, _LATEST = 1.0, 10.0
#: Small pictures that are made at a time.
_FEW = threading.Semaphore(2)


class OpenProject:
    """An open project.

    Parameters
    ----------
    name : str
        By which pages ask for it.
    path : Path
        The project's folder, with links resolved.
    workspace : AllowedFolders
        What all projects share.
    """

    def __init__(self, name: str, path: Path, workspace: AllowedFolders) -> None:
        self.name, self.path, self.workspace = name, path, workspace
        self.jobs = Jobs(path)
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._owing = 0.0  # since when tables are to be written
        self._project = self._load()
        self._readers: dict[str, FrameReader] = {}
        self._waiting: tuple[Any, Proposals] | None = None
        self._seen: dict[str, Any] = self._find_marks()

    @property
    def project(self) -> Project:
        """The project as it is now."""
        with self._lock:
            version = self._project.version
            self._project.read_state()
            if self._project.version != version:
                self._project = self._load()
            return self._project

    def _load(self) -> Project:
        project = Project.load(self.path)
        project.defer_tables()
        return project

    def reload(self) -> Project:
        """Read the project again: videos, models, everything."""
        with self._lock:
            self._project.write_tables()
            self._project = self._load()
            return self._project

    def change(self, make: Callable[[Project], Project], *, tab: str, **facts: Any) -> Project:
        """Change the labels, one at a time, and tell the other pages."""
        with self._lock:
            self._project = make(self._project)
            version = self._project.version
            self._seen["labels"] = self._find_marks()["labels"]
            self._write_tables_later()
        self.workspace.events.tell(self.name, "labels", version=version, tab=tab, **facts)
        return self._project

    def _write_tables_later(self) -> None:
        """Have the tables written in a pause, so that the next change need not wait for them."""
        now = time.monotonic()
        if self._timer is None:
            self._owing = now
        elif now - self._owing > _LATEST:
            return
        else:
            self._timer.cancel()
        self._timer = threading.Timer(_PAUSE, self.write_tables)
        self._timer.daemon = True
        self._timer.start()

    def write_tables(self) -> None:
        """Write ``labels.csv`` as the journal has it by now."""
        with self._lock:
            self._timer = None
            try:
                self._project.write_tables()
            except (MaposeError, OSError) as fault:  # the journal has it all
                logger.warning("%s", fault)

    def get_reader(self, video: str) -> FrameReader:
        """Open a video of the project.

        Raises
        ------
        ForbiddenError
            If it lies outside the folders that may be shown.
        SettingsError
            If there is none of this name, or its file has moved.
        """
        with self._lock:
            place = self.workspace.allow(self._project.find_video(video))
            reader = self._readers.get(video)
            if reader is None or reader.path != place:
                if reader is not None:
                    reader.close()
                reader = self._readers[video] = FrameReader(place, self.workspace.cache)
            return reader

    def get_still(self, video: str, image: str, height: int) -> Binary:
        """Give the picture of a labelled frame, as it lies in the project.

        Raises
        ------
        UnknownError
            If there is none.
        """
        if not (is_plain_name(video) and is_plain_name(image)):
            raise SettingsError("a picture is named by the project's own names")
        place = self.path / "labels" / video / image
        if not place.is_file() or place.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise UnknownError(f"{video}/{image} is not there any more")
        place = self.workspace.allow(place)
        name = f"{self.name}-{video}-{image}-{height}-{place.stat().st_mtime_ns}"
        found = self.workspace.cache.get(name)
        if found is None:
            # Lists ask for many at once: what the person waits for has to get its turn.
            with _FEW if height else nullcontext():
                found = encode_picture(read_image(place), height, name)
            self.workspace.cache.put(name, found)
        return found

    def read_waiting(self) -> Proposals:
        """Give the frames that wait to be labelled, with those that have labels meanwhile."""
        mark = self._find_marks()["waiting"]
        with self._lock:
            if self._waiting is None or self._waiting[0] != mark:
                names = tuple(self._project.read_state().list_individuals())
                folder, skeleton = self.path / "labels", self._project.skeleton
                found = read_proposals(folder, skeleton, individuals=names)
                self._waiting = mark, found
            return self._waiting[1]

    def find_result(self, name: str) -> Path:
        """Find a result of the project by name.

        Raises
        ------
        UnknownError
            If there is none.
        """
        if is_plain_name(name):
            place = self.path / "results" / f"{name}{RESULT}"
            if place.is_file():
                return self.workspace.allow(place)
        raise UnknownError(f"there is no result {name[:80]!r} here")

    def list_results(self) -> list[str]:
        """List the names of the results, sorted."""
        found = sorted((self.path / "results").glob(f"*{RESULT}"))
        return [p.name.removesuffix(RESULT) for p in found]

    def look(self) -> None:
        """Look for what others have changed, and tell the pages."""
        found = self._find_marks()
        with self._lock:
            changed = [kind for kind, mark in found.items() if self._seen.get(kind) != mark]
            self._seen = found
        for kind in changed:
            facts = {"version": self.project.version, "tab": ""} if kind == "labels" else {}
            self.workspace.events.tell(self.name, kind, **facts)

    def close(self) -> None:
        """Let go of all files."""
        if self._timer is not None:
            self._timer.cancel()
            self.write_tables()
        with self._lock:
            for reader in self._readers.values():
                reader.close()

    def _find_marks(self) -> dict[str, Any]:
        """Tell the state of every part by the times and sizes of its files."""
        labels, results = self.path / "labels", self.path / "results"
        return {
            "labels": _mark([labels / JOURNAL, self.path / "mapose.yaml"]),
            "waiting": _mark(sorted(labels.glob(f"*/{PROPOSALS}"))),
            "results": _mark(sorted(results.glob(f"*{RESULT}"))),
            "edits": _mark(sorted(results.glob(f"*{EDITS}"))),
            "jobs": self.jobs.find_mark(),
            "models": _mark(sorted((self.path / "models").glob("*/training.csv"))),
        }


def _mark(files: list[Path]) -> tuple[Any, ...]:
    marks = []
    for file in files:
        try:
            found = file.stat()
        except OSError:
            continue
        marks.append((str(file), found.st_mtime_ns, found.st_size))
    return tuple(marks)
