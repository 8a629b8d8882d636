"""Recordings of several cameras: made, calibrated, and what their calibration is worth."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mapose.app.endpoints import Call, Endpoint
from mapose.app.home import check_inside
from mapose.app.projects import OpenProject
from mapose.app.responses import Body
from mapose.errors import MaposeError, SettingsError
from mapose.files import RESULT
from mapose.project.calibrations import (
    find_calibration,
    find_measured,
    find_views,
    name_space,
    place_calibration,
    place_world_of,
)
from mapose.reading import is_plain_name, load_json

if TYPE_CHECKING:
    from calibration import CameraGroup

Name = Annotated[str, Field(min_length=1, max_length=200)]


class NewSession(Body):
    """Videos of the project that were made at the same time, by camera."""

    name: Name
    cameras: Annotated[dict[Name, Name], Field(min_length=2, max_length=100)]


def list_sessions(call: Call) -> dict[str, Any]:
    """List the sessions of a project, with what each lacks."""
    opened = call.opened
    return {"sessions": [_describe(opened, name) for name in opened.reload().sessions]}


def _describe(opened: OpenProject, session: str) -> dict[str, Any]:
    project = opened.project
    cameras, views = project.sessions[session], find_views(project, session)
    result = name_space(project, session)
    return {
        "name": session,
        "cameras": [
            {
                "name": camera,
                "video": video,
                "fault": check_inside(opened.workspace, opened.path / project.videos[video]),
                "analysed": camera in views,
            }
            for camera, video in cameras.items()
        ],
        "fault": _find_fault(opened, session),
        "report": load_report(opened, session),
        "placed": place_world_of(project, session).is_file(),
        "result": result,
        "done": (opened.path / "results" / f"{result}{RESULT}").is_file(),
    }


def _find_fault(opened: OpenProject, session: str) -> str:
    """Say why nothing is known of where its cameras stand; empty where all is known."""
    try:
        cameras = open_cameras(opened, session)
    except MaposeError as fault:
        return str(fault)
    except ValueError as fault:  # of calibration
        return str(fault)
    missing = [name for name in opened.project.sessions[session] if name not in cameras]
    return f"the calibration has no camera {', '.join(missing)}" if missing else ""


def open_cameras(opened: OpenProject, session: str) -> CameraGroup:
    """Open the calibration of a session."""
    place = opened.workspace.allow(find_calibration(opened.project, session))
    return _load_cameras(str(place), place.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _load_cameras(place: str, changed: int) -> CameraGroup:
    from calibration import CameraGroup

    return CameraGroup.load(place)


def load_report(opened: OpenProject, session: str) -> dict[str, Any] | None:
    """Load what was written down when the cameras were calibrated; None if nothing was."""
    try:
        place = find_measured(opened.project, session)
        found = load_json(opened.workspace.allow(place.with_suffix(".report.json")))
    except (MaposeError, OSError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("cameras"), list):
        return None
    figure = place.with_suffix(".report.png")
    shown = figure.is_file() and opened.workspace.is_allowed(figure)
    return {**found, "figure": opened.workspace.register(figure) if shown else ""}


def create_session(call: Call) -> dict[str, Any]:
    """Say that videos of the project are one recording of several cameras."""
    opened, body = call.opened, call.body
    project = opened.reload()
    for what in (body.name, *body.cameras):
        if not is_plain_name(what) or what.startswith(("-", ".")) or set(what) & set(",="):
            raise SettingsError(f"wanted a name without the signs / , = and -, came {what!r}")
    unknown = [video for video in body.cameras.values() if video not in project.videos]
    if unknown:
        raise SettingsError(f"there is no video {unknown[0]!r} here")
    project.add_session(body.name, body.cameras)
    opened.reload()
    call.workspace.events.tell(opened.name, "project")
    return list_sessions(call)


def find_board(text: str) -> str:
    """Check what a page says of a board: never the name of a file.

    Raises
    ------
    SettingsError
        If there is no such board.
    """
    from calibration import read_board

    if text.lower().endswith(".toml"):
        raise SettingsError("board: wanted its kind and sizes, such as chessboard:9x6:30mm")
    try:
        read_board(text)
    except ValueError as fault:
        raise SettingsError(str(fault)) from fault
    return text


def prepare_calibration(opened: OpenProject, session: str) -> str:
    """Make the folder for the calibration of a session; give the place of its file."""
    place = place_calibration(opened.project, session)
    place.parent.mkdir(exist_ok=True)
    return str(opened.workspace.allow(place))


def prepare_world(opened: OpenProject, session: str) -> str:
    """Make the folder for a session's calibration in a world of its own; give the file's place."""
    place = place_world_of(opened.project, session)
    place.parent.mkdir(parents=True, exist_ok=True)
    return str(opened.workspace.allow(place))


ENDPOINTS = [
    Endpoint("GET", "/api/p/{project}/sessions", list_sessions),
    Endpoint("POST", "/api/p/{project}/sessions", create_session, NewSession),
]
