"""The page on which frames are labelled: what it shows, and every change that it makes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mapose.app.endpoints import Call, Endpoint
from mapose.app.home import check_inside
from mapose.app.projects import OpenProject
from mapose.app.responses import Binary, Body
from mapose.arrays import Image
from mapose.errors import MaposeError, SettingsError
from mapose.io.labels import name_image
from mapose.io.proposals import Proposals, name_images
from mapose.plots.colours import find_identity_colours, find_keypoint_colours
from mapose.project.changes import LabelState, Mark
from mapose.project.project import Project
from mapose.results.result import Result

Name = Annotated[str, Field(min_length=1, max_length=300)]
#: x, y, state, origin.
Given = tuple[float | None, float | None, str, str]


class Marks(Body):
    """Marks of one frame, and the version of the labels that the page has seen."""

    tab: Annotated[str, Field(max_length=40)]
    version: Annotated[int, Field(ge=0)]
    video: Name
    frame: Annotated[int, Field(ge=-1, le=2**53)]
    image: Annotated[str, Field(max_length=300)] = ""
    marks: Annotated[
        list[tuple[Name, Name, Given | None]],
        Field(min_length=1, max_length=20_000, strict=False),
    ]


class Turn(Body):
    """Undo or redo."""

    tab: Annotated[str, Field(max_length=40)]
    version: Annotated[int, Field(ge=0)]


def show_labels(call: Call) -> dict[str, Any]:
    """Say all that the page needs but the marks of each frame."""
    opened = call.opened
    project = opened.project
    state = project.read_state()
    return {
        "version": project.version,
        "keypoints": list(project.skeleton.keypoints),
        "edges": [list(edge) for edge in project.skeleton.edges],
        "individuals": state.list_individuals(),
        "owned": [state.find_owned(name) for name in state.list_individuals()],
        "colours": {
            "individuals": _list_colours(find_identity_colours(len(state.list_individuals()))),
            "keypoints": _list_colours(find_keypoint_colours(len(project.skeleton.keypoints))),
        },
        "frames": list_frames(opened, state),
        "videos": [
            {"name": name, "fault": check_inside(opened.workspace, opened.path / place)}
            for name, place in project.videos.items()
        ],
        "model": next(iter(project.list_models()[::-1]), ""),
        "last": str(project.history(1)[-1].what) if project.version else "",
    }


def _list_colours(colours: Image) -> list[str]:
    return [f"#{bytes(colour).hex()}" for colour in colours]


def list_frames(opened: OpenProject, state: LabelState) -> list[dict[str, Any]]:
    """List the frames that are labelled or wait, by video and number."""
    waiting = opened.read_waiting()
    rows = {name: row for row, name in enumerate(name_images(waiting.labels))}
    numbers = dict(state.frames)
    for name, row in rows.items():
        numbers.setdefault(name, int(waiting.labels.frames[row]))
    found = []
    for (video, image), number in numbers.items():
        spots = state.marks.get((video, image), {})
        row = rows.get((video, image), -1)
        proposed = 0 if row < 0 else int(np.isfinite(waiting.labels.points[row, ..., 0]).sum())
        found.append(
            {
                "video": video,
                "image": image,
                "frame": number,
                "marked": len(spots),
                "proposed": proposed,
                "waits": (video, image) not in state.frames,
                "reason": waiting.reasons[row] if row >= 0 else "",
            }
        )
    return sorted(found, key=lambda f: (f["video"], f["frame"], f["image"]))


def show_frame(call: Call) -> dict[str, Any]:
    """Give the marks of one frame, and what is proposed for it."""
    image = call.query.get("image", "")
    number = call.read_number("frame", 0 if image else None)
    return describe_frame(call.opened, call.path["video"], image, number)


def describe_frame(
    opened: OpenProject, video: str, image: str, number: int, *, found: Path | None = None
) -> dict[str, Any]:
    """Give the marks of a frame of a video, by its image if it has one, and what is proposed.

    ``found`` is the result to propose from, by default that of the video.
    """
    project = opened.project
    image = image or name_image(number)
    marks = project.read_state().marks.get((video, image), {})
    return {
        "version": project.version,
        "video": video,
        "image": image,
        "marks": [[*spot, list(mark)] for spot, mark in marks.items()],
        "proposal": _propose(opened, video, image, number, found),
    }


def _propose(
    opened: OpenProject, video: str, image: str, number: int, found: Path | None
) -> list[list[Any]]:
    """Give what waits for a frame, else what the result of its video holds there."""
    waiting = opened.read_waiting()
    rows = {name: row for row, name in enumerate(name_images(waiting.labels))}
    row = rows.get((video, image), -1)
    if row >= 0 and np.isfinite(waiting.labels.points[row]).any():
        return _list_waiting(waiting, row)
    with suppress(MaposeError, OSError):
        return _list_found(opened, found or opened.find_result(video), number)
    return []


def _list_waiting(waiting: Proposals, row: int) -> list[list[Any]]:
    labels = waiting.labels
    points, sure = labels.points[row], waiting.confidence[row]
    return [
        [
            labels.individuals[i],
            labels.skeleton.keypoints[k],
            *(round(float(v), 2) for v in points[i, k]),
            _plain(sure[i, k]),
        ]
        for i, k in zip(*np.nonzero(np.isfinite(points[..., 0])), strict=True)
    ]


def _list_found(opened: OpenProject, file: Path, number: int) -> list[list[Any]]:
    """List the poses of a result in a frame; its tracks take the project's animals in order."""
    names = opened.project.read_state().list_individuals()
    with Result(file) as result:
        poses = result.read_window(slice(number, number + 1))
    if not len(poses) or int(poses.frames[0]) != number:
        return []
    own = set(opened.project.skeleton.keypoints)
    proposed = []
    shown = [i for i in range(len(poses.names)) if np.isfinite(poses.points[0, i]).any()]
    for slot, i in enumerate(shown[: len(names)]):
        who = poses.names[i] if poses.names[i] in names else names[slot]
        for k, keypoint in enumerate(poses.skeleton.keypoints):
            x, y, sure = poses.array[0, i, k].tolist()
            if keypoint in own and np.isfinite(x):
                proposed.append([who, keypoint, round(x, 2), round(y, 2), _plain(sure)])
    return proposed


def _plain(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def put_marks(call: Call) -> dict[str, Any]:
    """Change marks of a frame; on the disk when this returns."""
    body, opened = call.body, call.opened
    marks: dict[tuple[str, str], Mark | None] = {(i, k): mark for i, k, mark in body.marks}
    frame = _choose_frame(opened, body)

    def change(project: Project) -> Project:
        return project.put_marks(body.video, frame, marks, since=body.version)

    project = opened.change(change, tab=body.tab, video=body.video, frames=[frame])
    return {"version": project.version, "last": project.history(1)[-1].what}


def _choose_frame(opened: OpenProject, body: Marks) -> int | str:
    """Name a frame by its image where it is labelled, else by its number."""
    state = opened.project.read_state()
    if body.image and (body.video, body.image) in state.frames:
        return body.image
    if body.frame >= 0:
        return body.frame
    raise SettingsError(f"{body.video}: there is no frame {body.image or body.frame} to label")


def undo(call: Call) -> dict[str, Any]:
    """Take back the last change."""
    return _turn(call, "undo")


def redo(call: Call) -> dict[str, Any]:
    """Make it again."""
    return _turn(call, "redo")


def _turn(call: Call, what: str) -> dict[str, Any]:
    opened, body = call.opened, call.body
    project = opened.change(
        lambda project: getattr(project, what)(since=body.version), tab=body.tab, frames=None
    )
    last = project.history(1)[-1]
    return {"version": project.version, "last": last.what, "touched": _list_touched(last.steps)}


def _list_touched(steps: list[dict[str, Any]]) -> list[list[str]]:
    """List the frames that a change is about: the page goes there."""
    found = [
        entry[:2] for step in steps for entry in (*step.get("marks", ()), *step.get("frames", ()))
    ]
    return [list(key) for key in dict.fromkeys(map(tuple, found))]


def list_history(call: Call) -> dict[str, Any]:
    """List the last changes."""
    return {"changes": [e.to_dict() for e in call.opened.project.history(200)]}


def show_video(call: Call) -> dict[str, Any]:
    """Say how long a video of the project is."""
    reader = call.opened.get_reader(call.path["video"])
    return {"frames": reader.count, "size": list(reader.size), "rate": reader.rate}


def show_picture(call: Call) -> Binary:
    """Give a frame of a video of the project."""
    reader = call.opened.get_reader(call.path["video"])
    return reader.get(
        call.read_number("frame"),
        call.read_number("height", 0, most=4320),
        scrub=call.query.get("scrub", "")[:40],
        exact=call.query.get("exact") == "1",
    )


def show_still(call: Call) -> Binary:
    """Give the picture of a labelled frame."""
    height = call.read_number("height", 0, most=4320)
    return call.opened.get_still(call.path["video"], call.path["image"], height)


ENDPOINTS = [
    Endpoint("GET", "/api/p/{project}/labels", show_labels),
    Endpoint("POST", "/api/p/{project}/labels", put_marks, Marks),
    Endpoint("GET", "/api/p/{project}/labels/{video}", show_frame),
    Endpoint("POST", "/api/p/{project}/undo", undo, Turn),
    Endpoint("POST", "/api/p/{project}/redo", redo, Turn),
    Endpoint("GET", "/api/p/{project}/history", list_history),
    Endpoint("GET", "/api/p/{project}/video/{video}", show_video),
    Endpoint("GET", "/frame/{project}/{video}/{frame}", show_picture),
    Endpoint("GET", "/still/{project}/{video}/{image}", show_still),
]
