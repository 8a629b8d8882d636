"""A result that is open in the app: its poses in windows, its video, its timelines, its edits."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mapose.app.folders import AllowedFolders
from mapose.app.frames import FrameReader
from mapose.edits import find_edits_path
from mapose.errors import MaposeError, SettingsError
from mapose.files import is_result
from mapose.project.history import ConflictError
from mapose.results.correcting import add_edit, undo_edit
from mapose.results.result import Result
from mapose.results.timelines import Timelines, load_timelines
from mapose.results.windows import Windows

logger = logging.getLogger(__name__)


class OpenResult:
    """An open result.

    Parameters
    ----------
    name : str
        By which pages ask for it.
    path : Path
        A ``NAME.mapose.h5``, with links resolved.
    workspace : AllowedFolders
    """

    def __init__(self, name: str, path: Path, workspace: AllowedFolders) -> None:
        self.name, self.path, self.workspace = name, path, workspace
        self._lock = threading.RLock()
        self._windows = Windows(path)
        self._opened = _mark(path)
        self._edits = _mark(find_edits_path(path))
        self._reader: FrameReader | None = None
        self._timelines: Timelines | None = None
        self._making: threading.Thread | None = None

    @property
    def windows(self) -> Windows:
        """The poses, as the file and its edits are now."""
        with self._lock:
            if _mark(self.path) != self._opened:
                self._windows.close()
                self._windows = Windows(self.path)
                self._opened, self._timelines = _mark(self.path), None
                self._edits = _mark(find_edits_path(self.path))
            elif (edits := _mark(find_edits_path(self.path))) != self._edits:
                self._windows.refresh()
                self._edits = edits
            return self._windows

    @property
    def version(self) -> str:
        """What the edits are, in a few letters."""
        file = find_edits_path(self.path)
        text = file.read_bytes() if file.is_file() else b""
        return hashlib.sha256(text).hexdigest()[:16] if text else ""

    def get_reader(self) -> FrameReader:
        """Open the video.

        Raises
        ------
        VideoError
            If it is not found.
        ForbiddenError
            If it lies outside the folders that may be shown.
        """
        with self._lock:
            if self._reader is None:
                place = self.workspace.allow(Result(self.path).find_video())
                self._reader = FrameReader(place, self.workspace.cache)
            return self._reader

    def get_timelines(self) -> Timelines | None:
        """Give the timelines; None while they are made, of which the pages will hear."""
        windows = self.windows
        with self._lock:
            if self._timelines is None and self._making is None:
                self._making = threading.Thread(target=self._make, args=(windows,), daemon=True)
                self._making.start()
            return self._timelines

    def _make(self, windows: Windows) -> None:
        try:
            found = load_timelines(windows)
            with self._lock:
                self._timelines = found
        except (MaposeError, OSError, ValueError) as fault:
            logger.warning("%s: no timelines: %s", self.path.name, fault)
        finally:
            self._making = None
        self.workspace.events.tell(self.name, "timelines")

    def edit(self, individuals: Sequence[str], *, version: str, tab: str, **what: Any) -> None:
        """Add an edit, as `mapose.add_edit` does; on the disk when this returns."""
        with self._lock:
            self._check(version)
            add_edit(self.path, individuals, **what)
        self.workspace.events.tell(self.name, "edits", tab=tab, version=self.version)

    def undo(self, *, version: str, tab: str) -> str:
        """Take back the last edit; say what it was."""
        with self._lock:
            self._check(version)
            gone = undo_edit(self.path)
        self.workspace.events.tell(self.name, "edits", tab=tab, version=self.version)
        return str(gone)

    def look(self) -> None:
        """Look for what others have changed, and tell the pages."""
        before = self._opened, self._edits
        self.windows  # noqa: B018 - it looks
        if before != (self._opened, self._edits):
            self.workspace.events.tell(self.name, "edits", tab="", version=self.version)

    def close(self) -> None:
        """Let go of all files."""
        with self._lock:
            self._windows.close()
            if self._reader is not None:
                self._reader.close()

    def _check(self, version: str) -> None:
        if version != self.version:
            raise ConflictError(
                "the corrections of this result were changed elsewhere since this page looked at "
                "them; they are shown now: look at the moment again"
            )


def check_result(path: Path) -> None:
    """Make sure that a file is one that can be opened here.

    Raises
    ------
    SettingsError
        If it is not.
    """
    if not is_result(path):
        raise SettingsError(f"{path.name} is no result of mapose: 'mapose track' makes one")


def _mark(path: Path) -> Any:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
