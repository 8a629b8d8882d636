"""Where the calibration of a session's cameras lies in a project."""

from __future__ import annotations

from pathlib import Path

from mapose.errors import SettingsError, suggest_name
from mapose.project.project import Project

FOLDER, FILE = "calibration", "calibration.toml"


def find_calibration(project: Project, session: str) -> Path:
    """Find the calibration of the cameras of a session.

    It is ``calibration/SESSION.toml`` of the project, else ``calibration/calibration.toml`` or
    ``calibration.toml``; its cameras have the names that the session gives them.

    Raises
    ------
    SettingsError
        If there is no such session, or no calibration of it.
    """
    if session not in project.sessions:
        raise SettingsError(f"no session {session!r}: {suggest_name(session, project.sessions)}")
    places = [project.path / FOLDER / f"{session}.toml", project.path / FOLDER / FILE]
    places.append(project.path / FILE)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise SettingsError(
            f"session {session} is not calibrated: put the file of its cameras at {places[0]}, "
            "which `mapose calibrate ... -o` writes"
        )
    return found
