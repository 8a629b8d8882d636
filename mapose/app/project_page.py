"""The page of a project: where it stands, what to do next, and its jobs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mapose.app.commands import JobRequest, start_job
from mapose.app.endpoints import Call, Endpoint
from mapose.app.home import check_inside
from mapose.app.projects import OpenProject
from mapose.app.responses import Body, UnknownError
from mapose.app.sessions import load_report
from mapose.project.calibrations import name_space
from mapose.project.loop import describe_loop
from mapose.project.overview import find_model_error
from mapose.reading import is_plain_name, load_columns


class JobName(Body):
    """A job of the project."""

    job: Annotated[str, Field(min_length=1, max_length=100)]


def show_project(call: Call) -> dict[str, Any]:
    """Say all that the page of a project shows."""
    opened = call.opened
    project = opened.reload()
    models = project.list_models()
    return {
        "project": opened.name,
        "name": opened.path.name,
        "where": str(opened.path),
        "loop": describe_loop(project).to_dict(),
        "keypoints": list(project.skeleton.keypoints),
        "edges": [list(edge) for edge in project.skeleton.edges],
        "animals": project.count,
        "sessions": {name: dict(cameras) for name, cameras in project.sessions.items()},
        "videos": [_describe_video(opened, name) for name in project.videos],
        "models": [
            {"name": name, "error": find_model_error(opened.path / "models" / name)}
            for name in models
        ],
        "results": [_describe_result(opened, name) for name in opened.list_results()],
        "jobs": [job.to_dict() for job in opened.jobs.list()],
    }


def _describe_video(opened: OpenProject, name: str) -> dict[str, Any]:
    project = opened.project
    place = opened.path / project.videos[name]
    facts: dict[str, Any] = {"name": name, "file": place.name, "fault": ""}
    if not place.exists():
        return {**facts, "fault": f"{place.name} is not there any more: mapose relink finds it"}
    return {**facts, "fault": check_inside(opened.workspace, place)}


def _describe_result(opened: OpenProject, name: str) -> dict[str, Any]:
    place = opened.find_result(name)
    project = opened.project
    return {
        "name": name,
        "size": place.stat().st_size,
        "place": opened.workspace.register(place),
        "space": any(name == name_space(project, session) for session in project.sessions),
    }


def show_name(call: Call) -> dict[str, Any]:
    """Say what the project is called."""
    return {"name": call.opened.path.name}


def list_jobs(call: Call) -> dict[str, Any]:
    """List the jobs of a project."""
    return {"jobs": [job.to_dict() for job in call.opened.jobs.list()]}


def show_job(call: Call) -> dict[str, Any]:
    """Say how a job stands, with its log, and of a training its curve."""
    opened = call.opened
    job = opened.jobs.get(call.path["job"])
    told = {**job.to_dict(), "log": opened.jobs.read_log(job.name)}
    target = job.request.get("target") or ""
    if job.request.get("kind") == "train" and target and is_plain_name(target):
        told["curve"] = _read_curve(opened.path / "models" / target)
    if job.request.get("kind") == "calibrate" and job.state == "done":
        told["report"] = load_report(opened, target)
    return told


def stop_job(call: Call) -> dict[str, Any]:
    """Ask a job to end."""
    return call.opened.jobs.stop(call.body.job).to_dict()


def go_on(call: Call) -> dict[str, Any]:
    """Take a job up again."""
    return call.opened.jobs.go_on(call.body.job).to_dict()


def remove_job(call: Call) -> dict[str, Any]:
    """Take a job that has ended off the list."""
    call.opened.jobs.remove(call.body.job)
    return list_jobs(call)


def show_curve(call: Call) -> dict[str, Any]:
    """Give the course of a training."""
    opened, name = call.opened, call.path["model"]
    folder = opened.path / "models" / name
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


ENDPOINTS = [
    Endpoint("GET", "/api/p/{project}", show_project),
    Endpoint("GET", "/api/p/{project}/name", show_name),
    Endpoint("GET", "/api/p/{project}/jobs", list_jobs),
    Endpoint("POST", "/api/p/{project}/jobs", start_job, JobRequest),
    Endpoint("GET", "/api/p/{project}/jobs/{job}", show_job),
    Endpoint("POST", "/api/p/{project}/jobs/stop", stop_job, JobName),
    Endpoint("POST", "/api/p/{project}/jobs/resume", go_on, JobName),
    Endpoint("POST", "/api/p/{project}/jobs/remove", remove_job, JobName),
    Endpoint("GET", "/api/p/{project}/curve/{model}", show_curve),
]
