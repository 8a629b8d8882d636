"""Where in a project the calibration of a session's cameras lies, and what is found in space."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mapose.errors import SettingsError, suggest_name
from mapose.files import RESULT
from mapose.project.project import Project

FOLDER, FILE, WORLDS = "calibration", "calibration.toml", "worlds"


def find_calibration(project: Project, session: str) -> Path:
    """Find the calibration of the cameras of a session, in the world that was chosen for it.

    Raises
    ------
    SettingsError
        If there is no such session, or no calibration of it.
    """
    from calibration import CalibrationError, find_world_change, read_cameras

    measured, chosen = find_measured(project, session), place_world_of(project, session)
    if chosen.is_file():
        # That of a calibration that has been made anew since is no longer true.
        with suppress(CalibrationError, OSError):
            if find_world_change(read_cameras(measured), read_cameras(chosen)) is not None:
                return chosen
    return measured


def find_measured(project: Project, session: str) -> Path:
    """Find the calibration of the cameras of a session as it was measured.

    It is ``calibration/SESSION.toml`` of the project, else ``calibration/calibration.toml`` or
    ``calibration.toml``; its cameras have the names that the session gives them.

    Raises
    ------
    SettingsError
        If there is no such session, or no calibration of it.
    """
    check_session(project, session)
    own = place_calibration(project, session)
    places = [own, project.path / FOLDER / FILE, project.path / FILE]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise SettingsError(
            f"session {session} is not calibrated: put the file of its cameras at {own}, "
            "which `mapose calibrate ... -o` writes"
        )
    return found


def check_session(project: Project, session: str) -> None:
    """Make sure that a project has a session.

    Raises
    ------
    SettingsError
        If there is none of this name.
    """
    if session not in project.sessions:
        raise SettingsError(f"no session {session!r}: {suggest_name(session, project.sessions)}")


def place_calibration(project: Project, session: str) -> Path:
    """Say where the calibration of a session's cameras is to be written."""
    return project.path / FOLDER / f"{session}.toml"


def place_world_of(project: Project, session: str) -> Path:
    """Say where the calibration of a session is to be written in the world chosen for it."""
    return project.path / FOLDER / WORLDS / f"{session}.toml"


def name_space(project: Project, session: str) -> str:
    """Name the result that holds a session's 3D poses: as the session, unless a video has that."""
    return f"{session}-3d" if session in project.videos else session


def find_views(project: Project, session: str) -> dict[str, Path]:
    """Find the results of a session's videos that are there, by camera."""
    places = {
        camera: project.path / "results" / f"{video}{RESULT}"
        for camera, video in project.sessions[session].items()
    }
    return {camera: place for camera, place in places.items() if place.is_file()}
