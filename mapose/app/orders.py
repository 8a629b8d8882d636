"""What work a page may order: for each kind its settings, and the command that they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from mapose.app.answers import Body
from mapose.app.doors import Call
from mapose.app.rooms import Room
from mapose.errors import SettingsError
from mapose.reading import is_plain_name

Count = Annotated[int, Field(ge=1, le=100_000)]
Name = Annotated[str, Field(max_length=200)]
Names = Annotated[list[Name], Field(max_length=1000)]


class Extract(Body):
    """Frames to label."""

    kind: Literal["extract"]
    count: Count = 20
    method: Literal["kmeans", "uniform", "random", "different"] = "kmeans"
    videos: Names = Field(default_factory=list)


class Train(Body):
    """A new model."""

    kind: Literal["train"]
    preset: Literal["", "small", "pretrained", "large"] = ""
    steps: Count | None = None
    name: Name = ""
    init: Name = ""


class Analyze(Body):
    """Videos to results."""

    kind: Literal["analyze"]
    videos: Names = Field(default_factory=list)
    model: Name = ""


class Refine(Body):
    """The worst frames of results, with proposals."""

    kind: Literal["refine"]
    results: Names
    count: Count = 20


class Track(Body):
    """A result tracked again."""

    kind: Literal["track"]
    result: Name
    animals: Annotated[int, Field(ge=1, le=1000)] | None = None
    appearance: bool = False


class Evaluate(Body):
    """Models held against the labels."""

    kind: Literal["evaluate"]
    model: Name = "all"


class Order(Body):
    """One of them."""

    order: Annotated[
        Extract | Train | Analyze | Refine | Track | Evaluate, Field(discriminator="kind")
    ]


#: Kinds that take all cores, or a network into memory: one at a time.
_HEAVY = ("train", "analyze", "track", "evaluate")


def place_order(call: Call) -> dict[str, object]:
    """Begin a job."""
    room, order = call.room, call.body.order
    words, title, target = _WORDS[order.kind](room, order)
    job = room.jobs.start(order.kind, words, title=title, heavy=order.kind in _HEAVY, target=target)
    return job.to_dict()


def _extract(room: Room, order: Extract) -> tuple[list[str], str, str]:
    names = [_check_video(room, name) for name in order.videos or room.project.videos]
    words = ["extract", str(room.path), "--method", order.method, "--count", str(order.count)]
    if order.videos:
        words += ["--videos", ",".join(names)]
    return words, f"Choose {order.count} frames of {_tell(names, 'video')}", ""


def _train(room: Room, order: Train) -> tuple[list[str], str, str]:
    words, project = ["train", str(room.path)], room.project
    name = order.name or _name_model(room)
    words += ["--name", _check_plain(name, "name of a model")]
    if order.preset:
        words += ["--preset", order.preset]
    if order.steps is not None:
        words += ["--set", f"train.steps={order.steps}"]
    if order.init:
        if order.init not in project.list_models():
            raise SettingsError(f"there is no model {order.init!r} here to start from")
        words += ["--init", str(room.path / "models" / order.init)]
    return words, f"Train {name}", name


def _analyze(room: Room, order: Analyze) -> tuple[list[str], str, str]:
    names = [_check_video(room, name) for name in order.videos or room.project.videos]
    words = ["analyze", str(room.path)]
    if order.model:
        if order.model not in room.project.list_models():
            raise SettingsError(f"there is no model {order.model!r} here")
        words += ["--model", order.model]
    words += [str(room.house.allow(room.project.find_video(name))) for name in names]
    return words, f"Analyse {_tell(names, 'video')}", names[0] if len(names) == 1 else ""


def _refine(room: Room, order: Refine) -> tuple[list[str], str, str]:
    files = [str(room.find_result(name)) for name in order.results]
    if not files:
        raise SettingsError("refine: wanted at least one result")
    words = ["refine", str(room.path), *files, "--count", str(order.count)]
    return words, f"Find the {order.count} worst frames of {_tell(order.results, 'result')}", ""


def _track(room: Room, order: Track) -> tuple[list[str], str, str]:
    words = ["track", str(room.find_result(order.result))]
    words += [] if order.animals is None else ["--animals", str(order.animals)]
    words += ["--appearance"] if order.appearance else []
    return words, f"Track {order.result}", order.result


def _evaluate(room: Room, order: Evaluate) -> tuple[list[str], str, str]:
    if order.model != "all" and order.model not in room.project.list_models():
        raise SettingsError(f"there is no model {order.model!r} here")
    return ["evaluate", str(room.path), "--model", order.model], f"Evaluate {order.model}", ""


_WORDS: dict[str, Callable[..., tuple[list[str], str, str]]] = {
    "extract": _extract,
    "train": _train,
    "analyze": _analyze,
    "refine": _refine,
    "track": _track,
    "evaluate": _evaluate,
}


def _check_video(room: Room, name: str) -> str:
    room.house.allow(room.project.find_video(name))
    if "," in name:
        raise SettingsError(f"video {name!r} has a comma in its name: rename it")
    return name


def _check_plain(name: str, what: str) -> str:
    if not is_plain_name(name) or name.startswith("-"):
        raise SettingsError(f"{what}: wanted letters, digits, - and _, came {name[:80]!r}")
    return name


def _name_model(room: Room) -> str:
    """Name the next model: what is there, and what other jobs are about to make, is taken."""
    taken = {p.name for p in (room.path / "models").glob("*")}
    taken |= {str(job.order.get("target")) for job in room.jobs.list()}
    return next(f"model-{n}" for n in range(1, 100_000) if f"model-{n}" not in taken)


def _tell(names: list[str], what: str) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} {what}s"
