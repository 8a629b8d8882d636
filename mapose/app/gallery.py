"""The page to look at: figures that plot and evaluate have made, and models side by side."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from mapose.app.answers import Picture, UnknownError
from mapose.app.doors import Call, Door
from mapose.app.rooms import Room
from mapose.errors import MaposeError
from mapose.project.overview import describe

_KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
#: Figures of one folder that are listed, and bytes of one that is shown.
_MOST, _LARGEST = 60, 64 << 20


def list_figures(call: Call) -> dict[str, Any]:
    """List the models with their figures, and the figures of results and of the project."""
    room = call.room
    models = room.project.list_models()[::-1]
    groups = [
        {
            "name": name,
            "kind": "model",
            "facts": _describe_model(room, name),
            "figures": _list(room, room.path / "models" / name),
        }
        for name in models
    ]
    for kind, folder in (("results", room.path / "results"), ("labels", room.path / "sheets")):
        if found := _list(room, folder):
            groups.append({"name": kind, "kind": kind, "facts": {}, "figures": found})
    return {"groups": groups}


def _describe_model(room: Room, name: str) -> dict[str, str]:
    with suppress(MaposeError):
        facts = describe(room.path / "models" / name).facts
        return {key: str(facts[key]) for key in ("figures", "frames", "steps") if key in facts}
    return {}


def _list(room: Room, folder: Path) -> list[dict[str, str]]:
    """List the pictures of a folder and those below it, as far as they may be shown."""
    if not folder.is_dir():
        return []
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _KINDS and p.is_file())
    return [
        {"id": room.house.register(p), "name": p.relative_to(folder).with_suffix("").as_posix()}
        for p in found[:_MOST]
        if room.house.is_allowed(p)
    ]


def show_figure(call: Call) -> Picture:
    """Give a figure."""
    place = call.house.find_place(call.path["place"])
    kind = _KINDS.get(place.suffix.lower())
    if kind is None or not place.is_file() or place.stat().st_size > _LARGEST:
        raise UnknownError(f"{place.name} is no figure that can be shown")
    return Picture(place.read_bytes(), kind)


DOORS = [
    Door("GET", "/api/p/{room}/figures", list_figures),
    Door("GET", "/figure/{place}", show_figure),
]
