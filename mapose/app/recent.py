"""The projects that a person has lately used, in a file of their own settings."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from mapose.errors import MaposeError
from mapose.files import write_atomically
from mapose.project.description import FILE as PROJECT
from mapose.reading import load_json

_MOST = 24


def find_settings() -> Path:
    """Find the file, where the system keeps settings of a person."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData/Roaming")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library/Application Support"
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "mapose" / "recent.json"


def load_recent(file: Path | None = None) -> list[Path]:
    """List the folders of projects lately used that are still there, the last first."""
    with suppress(MaposeError, OSError):
        found = load_json(file or find_settings())
        if isinstance(found, list):
            places = [Path(place) for place in found if isinstance(place, str)]
            return [place for place in places if (place / PROJECT).is_file()]
    return []


def note_recent(folder: Path, file: Path | None = None) -> None:
    """Remember a project; where settings cannot be written, nothing is remembered."""
    file = file or find_settings()
    places = [folder, *(p for p in load_recent(file) if p != folder)][:_MOST]
    with suppress(MaposeError, OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(file) as temporary:
            temporary.write_text(json.dumps([str(p) for p in places]), encoding="utf-8")
