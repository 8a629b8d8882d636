"""The page of a project: where it stands, what to do next, and its jobs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mapose.app.answers import Body, UnknownError
from mapose.app.doors import Call, Door
from mapose.app.home import check_inside
from mapose.app.orders import Order, place_order
from mapose.app.rooms import Room
from mapose.project.loop import describe_loop
from mapose.project.overview import find_model_error
from mapose.reading import is_plain_name, load_columns


class JobName(Body):
    """A job of the project."""

    job: Annotated[str, Field(min_length=1, max_length=100)]


def show_board(call: Call) -> dict[str, Any]:
    """Say all that the page of a project shows."""
    room = call.room
    project = room.reload()
    models = project.list_models()
    return {
        "room": room.name,
        "name": room.path.name,
        "where": str(room.path),
        "loop": describe_loop(project).to_dict(),
        "keypoints": list(project.skeleton.keypoints),
        "edges": [list(edge) for edge in project.skeleton.edges],
        "animals": project.count,
        "sessions": {name: dict(cameras) for name, cameras in project.sessions.items()},
        "videos": [_describe_video(room, name) for name in project.videos],
        "models": [
            {"name": name, "error": find_model_error(room.path / "models" / name)}
            for name in models
        ],
        "results": [_describe_result(room, name) for name in room.list_results()],
        "jobs": [job.to_dict() for job in room.jobs.list()],
    }


def _describe_video(room: Room, name: str) -> dict[str, Any]:
    project = room.project
    place = room.path / project.videos[name]
    facts: dict[str, Any] = {"name": name, "file": place.name, "fault": ""}
    if not place.exists():
        return {**facts, "fault": f"{place.name} is not there any more: mapose relink finds it"}
    return {**facts, "fault": check_inside(room.house, place)}


def _describe_result(room: Room, name: str) -> dict[str, Any]:
    place = room.find_result(name)
    return {"name": name, "size": place.stat().st_size, "place": room.house.register(place)}


def show_name(call: Call) -> dict[str, Any]:
    """Say what the project is called."""
    return {"name": call.room.path.name}


def list_jobs(call: Call) -> dict[str, Any]:
    """List the jobs of a project."""
    return {"jobs": [job.to_dict() for job in call.room.jobs.list()]}


def show_job(call: Call) -> dict[str, Any]:
    """Say how a job stands, with its log, and of a training its curve."""
    room = call.room
    job = room.jobs.get(call.path["job"])
    told = {**job.to_dict(), "log": room.jobs.read_log(job.name)}
    target = job.order.get("target") or ""
    if job.order.get("kind") == "train" and target and is_plain_name(target):
        told["curve"] = _read_curve(room.path / "models" / target)
    return told


def stop_job(call: Call) -> dict[str, Any]:
    """Ask a job to end."""
    return call.room.jobs.stop(call.body.job).to_dict()


def go_on(call: Call) -> dict[str, Any]:
    """Take a job up again."""
    return call.room.jobs.go_on(call.body.job).to_dict()


def remove_job(call: Call) -> dict[str, Any]:
    """Take a job that has ended off the list."""
    call.room.jobs.remove(call.body.job)
    return list_jobs(call)


def show_curve(call: Call) -> dict[str, Any]:
    """Give the course of a training."""
    room, name = call.room, call.path["model"]
    folder = room.path / "models" / name
    if not is_plain_name(name) or not folder.is_dir():
        raise UnknownError(f"there is no model {name[:80]!r} here")
    return _read_curve(folder)


def _read_curve(folder: Path) -> dict[str, list[float | None]]:
    """Read a training's log by column; empty before its first line is written."""
    file = folder / "training.csv"
    columns = load_columns(file) if file.is_file() else {}
    return {
        name: [value if math.isfinite(value) else None for value in values]
        for name, values in columns.items()
    }


DOORS = [
    Door("GET", "/api/p/{room}", show_board),
    Door("GET", "/api/p/{room}/name", show_name),
    Door("GET", "/api/p/{room}/jobs", list_jobs),
    Door("POST", "/api/p/{room}/jobs", place_order, Order),
    Door("GET", "/api/p/{room}/jobs/{job}", show_job),
    Door("POST", "/api/p/{room}/jobs/stop", stop_job, JobName),
    Door("POST", "/api/p/{room}/jobs/resume", go_on, JobName),
    Door("POST", "/api/p/{room}/jobs/remove", remove_job, JobName),
    Door("GET", "/api/p/{room}/curve/{model}", show_curve),
]
