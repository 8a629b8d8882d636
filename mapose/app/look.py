"""The page to look at: figures that plot and evaluate have made, and models side by side."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from mapose.app.endpoints import Call, Endpoint
from mapose.app.projects import OpenProject
from mapose.app.responses import Binary, UnknownError
from mapose.errors import MaposeError
from mapose.project.overview import describe

_KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
#: Figures of one folder that are listed, and bytes of one that is shown.
_MOST, _LARGEST = 60, 64 << 20
#: What the file of a frame that was evaluated begins with: its part and its place, worst first.
_RANK = re.compile(r"^[a-z]+-\d+-")
#: Pictures of the course of a training that are listed, the newest first.
_COURSE = 3


def list_figures(call: Call) -> dict[str, Any]:
    """List the models with their figures, and the figures of results and of the project."""
    opened = call.opened
    models = opened.project.list_models()[::-1]
    groups = [
        {
            "name": name,
            "kind": "model",
            "facts": _describe_model(opened, name),
            "figures": _list(opened, opened.path / "models" / name),
        }
        for name in models
    ]
    for kind, folder in (("results", opened.path / "results"), ("labels", opened.path / "sheets")):
        if found := _list(opened, folder):
            groups.append({"name": kind, "kind": kind, "facts": {}, "figures": found})
    return {"groups": groups}


def _describe_model(opened: OpenProject, name: str) -> dict[str, str]:
    with suppress(MaposeError):
        facts = describe(opened.path / "models" / name).facts
        return {key: str(facts[key]) for key in ("figures", "frames", "steps") if key in facts}
    return {}


def _list(opened: OpenProject, folder: Path) -> list[dict[str, Any]]:
    """List the pictures of a folder and those below it, as far as they may be shown.

    Of those that an evaluation drew, the labelled frame is named that they show.
    """
    if not folder.is_dir():
        return []
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _KINDS and p.is_file())
    course = [p for p in found if "progress" in p.parts]  # of a training: its end says most
    found = [p for p in found if p not in course] + course[: -_COURSE - 1 : -1]
    drawn = {
        f"{video}-{Path(image).stem}": [video, image]
        for video, image in opened.project.read_state().frames
    }
    return [
        {
            "id": opened.workspace.register(p),
            "name": p.relative_to(folder).with_suffix("").as_posix(),
            "frame": drawn.get(_RANK.sub("", p.stem)) if p.parent.name == "frames" else None,
        }
        for p in found[:_MOST]
        if opened.workspace.is_allowed(p)
    ]


def show_figure(call: Call) -> Binary:
    """Give a figure."""
    place = call.workspace.find_place(call.path["place"])
    kind = _KINDS.get(place.suffix.lower())
    if kind is None or not place.is_file() or place.stat().st_size > _LARGEST:
        raise UnknownError(f"{place.name} is no figure that can be shown")
    return Binary(place.read_bytes(), kind)


ENDPOINTS = [
    Endpoint("GET", "/api/p/{project}/figures", list_figures),
    Endpoint("GET", "/figure/{place}", show_figure),
]
