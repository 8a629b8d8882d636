"""The first page: projects lately used, the folders of the server, and a new project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mapose.app.endpoints import Call, Endpoint
from mapose.app.folders import AllowedFolders
from mapose.app.recent import load_recent
from mapose.app.responses import Binary, Body, ForbiddenError, UnknownError
from mapose.app.workspace import Workspace
from mapose.errors import MaposeError, SettingsError
from mapose.files import is_result
from mapose.io.sources import VIDEO_SUFFIXES
from mapose.project.description import FILE as PROJECT
from mapose.project.overview import find_model_error
from mapose.project.project import Project
from mapose.reading import is_plain_name
from mapose.skeleton import Skeleton

#: Entries of a folder that a page lists.
_MOST = 2000
Word = Annotated[str, Field(min_length=1, max_length=100)]


class Opened(Body):
    """A project to open."""

    place: Word


class New(Body):
    """A new project."""

    place: Word
    name: Word
    keypoints: Annotated[list[Word], Field(min_length=1, max_length=500)]
    edges: Annotated[list[tuple[Word, Word]], Field(max_length=2000, strict=False)] = Field(
        default_factory=list
    )
    individuals: Annotated[int, Field(ge=1, le=1000)] | Annotated[list[Word], Field(min_length=1)]
    videos: Annotated[list[Word], Field(max_length=1000)] = Field(default_factory=list)


class Added(Body):
    """Videos to take into a project."""

    videos: Annotated[list[Word], Field(min_length=1, max_length=1000)]


def show_home(call: Call) -> dict[str, Any]:
    """List the projects lately used and the folders that may be shown."""
    workspace = call.workspace
    places = [place for place in load_recent(workspace.recent) if workspace.is_allowed(place)]
    return {
        "recent": [_describe_recent(workspace, place) for place in places],
        "roots": [{"id": workspace.register(root), "name": str(root)} for root in workspace.roots],
    }


def _describe_recent(workspace: Workspace, place: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": workspace.register(place),
        "name": place.name,
        "where": str(place),
    }
    try:
        project = Project.load(place)
        state, models = project.read_state(), project.list_models()
    except MaposeError as fault:
        return {**facts, "fault": str(fault)}
    frame = next(iter(state.marks or state.frames), None)
    return {
        **facts,
        "animals": project.count,
        "keypoints": len(project.skeleton.keypoints),
        "videos": len(project.videos),
        "labels": len(state.marks),
        "error": find_model_error(place / "models" / models[-1]) if models else None,
        "still": list(frame) if frame else None,
    }


def list_folder(call: Call) -> dict[str, Any]:
    """List what a page may choose in a folder: folders, videos, projects, results."""
    workspace, place = call.workspace, call.workspace.find_place(call.path["place"])
    if not place.is_dir():
        raise UnknownError(f"{place.name} is no folder")
    entries: list[dict[str, Any]] = []
    with os.scandir(place) as found:
        for entry in found:
            kind = _find_kind(Path(entry.path))
            if kind and not entry.name.startswith(".") and workspace.is_allowed(entry.path):
                size = entry.stat().st_size if kind in ("video", "result") else None
                name = workspace.register(entry.path)
                entries.append({"id": name, "name": entry.name, "kind": kind, "size": size})
    entries.sort(key=lambda e: (e["kind"] not in ("folder", "project"), e["name"].lower()))
    above = place.parent
    return {
        "id": call.path["place"],
        "name": str(place),
        "parent": workspace.register(above) if workspace.is_allowed(above) else None,
        "entries": entries[:_MOST],
        "left_out": max(0, len(entries) - _MOST),
    }


def _find_kind(path: Path) -> str:
    if path.is_dir():
        return "project" if (path / PROJECT).is_file() else "folder"
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return "video"
    return "result" if is_result(path) else ""


def open_project(call: Call) -> dict[str, Any]:
    """Open a project."""
    return {"project": call.workspace.open_project(call.workspace.find_place(call.body.place)).name}


def create_project(call: Call) -> dict[str, Any]:
    """Make a new project and open it."""
    workspace, body = call.workspace, call.body
    folder = workspace.find_place(body.place)
    if not is_plain_name(body.name) or body.name.startswith((".", "-")):
        raise SettingsError(f"name: wanted the name of a new folder, came {body.name!r}")
    videos = [workspace.find_place(place) for place in body.videos]
    place = workspace.allow(folder / body.name)
    Project.create(
        place,
        Skeleton(body.keypoints, body.edges),
        individuals=body.individuals,
        videos=videos,
    )
    return {"project": workspace.open_project(place).name}


def add_videos(call: Call) -> dict[str, Any]:
    """Take videos into a project; they stay where they are."""
    opened = call.opened
    videos = [call.workspace.find_place(place) for place in call.body.videos]
    opened.project.add_videos(videos)
    project = opened.reload()
    call.workspace.events.tell(opened.name, "project")
    return {"videos": list(project.videos)}


def describe_video(call: Call) -> dict[str, Any]:
    """Say how long a video is, before it belongs to a project."""
    reader = call.workspace.get_reader(call.path["place"])
    return {
        "name": reader.path.name,
        "frames": reader.count,
        "size": list(reader.size),
        "rate": reader.rate,
    }


def show_frame(call: Call) -> Binary:
    """Give a frame of a video that belongs to no project yet."""
    reader = call.workspace.get_reader(call.path["place"])
    return reader.get(call.read_number("frame"), call.read_number("height", 0, most=4320))


def check_inside(workspace: AllowedFolders, path: Path) -> str:
    """Say why a path may not be shown; empty where it may."""
    try:
        workspace.allow(path)
    except ForbiddenError as fault:
        return str(fault)
    return ""


ENDPOINTS = [
    Endpoint("GET", "/api/home", show_home),
    Endpoint("GET", "/api/folder/{place}", list_folder),
    Endpoint("POST", "/api/open", open_project, Opened),
    Endpoint("POST", "/api/new", create_project, New),
    Endpoint("GET", "/api/video/{place}", describe_video),
    Endpoint("GET", "/peek/{place}/{frame}", show_frame),
    Endpoint("POST", "/api/p/{project}/videos", add_videos, Added),
]
