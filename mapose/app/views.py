"""The page of several cameras: one moment in all views, and what a point in some says of others."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from calibration import CameraGroup, select_stations
from mapose.app.endpoints import Call, Endpoint
from mapose.app.label import describe_frame
from mapose.app.projects import OpenProject
from mapose.app.responses import Body
from mapose.app.sessions import open_cameras
from mapose.errors import SettingsError
from mapose.files import RESULT
from mapose.multiview.pointing import find_point, find_sightline
from mapose.project.calibrations import name_space

Name = Annotated[str, Field(min_length=1, max_length=300)]
Place = tuple[float, float]


class Pointed(Body):
    """Points in some views of one moment, by animal and keypoint."""

    session: Name
    frame: Annotated[int, Field(ge=0)] = 0
    points: Annotated[
        list[tuple[Name, Name, dict[str, Annotated[Place, Field(strict=False)]]]],
        Field(max_length=5000, strict=False),
    ]
    line: Annotated[tuple[Name, Name], Field(strict=False)] | None = None


def show_moment(call: Call) -> dict[str, Any]:
    """Give marks and proposals of one moment in all views."""
    opened, number = call.opened, call.read_number("frame")
    session = call.path["session"]
    cameras = opened.project.sessions.get(session)
    if cameras is None:
        raise SettingsError(f"there is no session {session[:80]!r} here")
    views = {}
    for camera, video in cameras.items():
        found = _find_matched(opened, session, camera)
        views[camera] = describe_frame(opened, video, "", number, found=found)
    return {"version": opened.project.version, "views": views}


def _find_matched(opened: OpenProject, session: str, camera: str) -> Path | None:
    """Find the poses of a view with the names that animals have in all views, if there are some."""
    name = name_space(opened.project, session)
    place = opened.path / "results" / f"{name}.views" / f"{camera}{RESULT}"
    return opened.workspace.allow(place) if place.is_file() else None


def point(call: Call) -> dict[str, Any]:
    """Say where points lie in the other views: a line from one view, a place from two."""
    body = call.body
    cameras = select_stations(open_cameras(call.opened, body.session), body.frame)
    found = []
    for individual, keypoint, pixels in body.points:
        if len(pixels) > 1:
            found.append([individual, keypoint, _describe_point(cameras, pixels)])
    lines = {}
    for individual, keypoint, pixels in body.points:
        if (individual, keypoint) == body.line and len(pixels) == 1:
            ((camera, pixel),) = pixels.items()
            lines = _find_lines(cameras, camera, pixel)
    return {"points": found, "lines": lines}


def _find_lines(cameras: CameraGroup, camera: str, pixel: Place) -> dict[str, Any]:
    lines = {}
    for other in cameras.names:
        if other != camera:
            line = find_sightline(cameras, camera, pixel, other=other)
            lines[other] = np.round(line, 2).tolist()
    return lines


def _describe_point(cameras: CameraGroup, pixels: dict[str, Place]) -> dict[str, Any]:
    found = find_point(cameras, pixels)
    views = {}
    for name, pixel in found.pixels.items():
        spread = found.covariance[name]
        with suppress(ValueError):
            values = [*pixel, spread[0, 0], spread[0, 1], spread[1, 1]]
            if np.isfinite(values).all():
                views[name] = [round(float(v), 3) for v in values]
    errors = {name: round(error, 2) for name, error in found.errors.items() if np.isfinite(error)}
    return {"views": views, "errors": errors}


ENDPOINTS = [
    Endpoint("GET", "/api/p/{project}/moment/{session}/{frame}", show_moment),
    Endpoint("POST", "/api/p/{project}/point", point, Pointed),
]
