"""What work a page may request: for each kind its settings, and the command that they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from mapose.app.endpoints import Call
from mapose.app.projects import OpenProject
from mapose.app.responses import Body
from mapose.errors import SettingsError
from mapose.io.proposals import name_images
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


class Propose(Body):
    """What a model finds in frames to label.

    They are named by ``VIDEO:IMAGE`` or ``VIDEO:NUMBER``; all that wait if none is.
    """

    kind: Literal["propose"]
    frames: Names = Field(default_factory=list)
    model: Name = ""


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


class JobRequest(Body):
    """One of them."""

    request: Annotated[
        Extract | Train | Analyze | Propose | Refine | Track | Evaluate, Field(discriminator="kind")
    ]


#: Kinds that take all cores, or a network into memory: one at a time.
_HEAVY = ("train", "analyze", "track", "evaluate")


def start_job(call: Call) -> dict[str, object]:
    """Begin a job."""
    opened, request = call.opened, call.body.request
    words, title, target = _WORDS[request.kind](opened, request)
    job = opened.jobs.start(
        request.kind, words, title=title, heavy=request.kind in _HEAVY, target=target
    )
    return job.to_dict()


def _extract(opened: OpenProject, request: Extract) -> tuple[list[str], str, str]:
    names = [_check_video(opened, name) for name in request.videos or opened.project.videos]
    words = ["extract", str(opened.path), "--method", request.method, "--count", str(request.count)]
    if request.videos:
        words += ["--videos", ",".join(names)]
    return words, f"Choose {request.count} frames of {_tell(names, 'video')}", ""


def _train(opened: OpenProject, request: Train) -> tuple[list[str], str, str]:
    words = ["train", str(opened.path)]
    name = request.name or _name_model(opened)
    words += ["--name", _check_plain(name, "name of a model")]
    if request.preset:
        words += ["--preset", request.preset]
    if request.steps is not None:
        words += ["--set", f"train.steps={request.steps}"]
    if request.init:
        words += ["--init", str(opened.path / "models" / _check_model(opened, request.init))]
    return words, f"Train {name}", name


def _analyze(opened: OpenProject, request: Analyze) -> tuple[list[str], str, str]:
    names = [_check_video(opened, name) for name in request.videos or opened.project.videos]
    words = ["analyze", str(opened.path)]
    if request.model:
        words += ["--model", _check_model(opened, request.model)]
    words += [str(opened.workspace.allow(opened.project.find_video(name))) for name in names]
    return words, f"Analyse {_tell(names, 'video')}", names[0] if len(names) == 1 else ""


def _refine(opened: OpenProject, request: Refine) -> tuple[list[str], str, str]:
    files = [str(opened.find_result(name)) for name in request.results]
    if not files:
        raise SettingsError("refine: wanted at least one result")
    words = ["refine", str(opened.path), *files, "--count", str(request.count)]
    return words, f"Find the {request.count} worst frames of {_tell(request.results, 'result')}", ""


def _propose(opened: OpenProject, request: Propose) -> tuple[list[str], str, str]:
    words = ["propose", str(opened.path)]
    if request.model:
        words += ["--model", _check_model(opened, request.model)]
    here = {*opened.project.read_state().frames, *name_images(opened.read_waiting().labels)}
    for frame in request.frames:
        video, _, image = frame.rpartition(":")
        if (video, image) not in here:  # it is read from the video
            opened.workspace.allow(opened.project.find_video(video))
    words += ["--", *request.frames] if request.frames else []
    where = _tell(request.frames, "frame") if request.frames else "all frames that wait"
    return words, f"Propose labels in {where}", ""


def _track(opened: OpenProject, request: Track) -> tuple[list[str], str, str]:
    words = ["track", str(opened.find_result(request.result))]
    words += [] if request.animals is None else ["--animals", str(request.animals)]
    words += ["--appearance"] if request.appearance else []
    return words, f"Track {request.result}", request.result


def _evaluate(opened: OpenProject, request: Evaluate) -> tuple[list[str], str, str]:
    if request.model != "all":
        _check_model(opened, request.model)
    return ["evaluate", str(opened.path), "--model", request.model], f"Evaluate {request.model}", ""


_WORDS: dict[str, Callable[..., tuple[list[str], str, str]]] = {
    "extract": _extract,
    "train": _train,
    "analyze": _analyze,
    "propose": _propose,
    "refine": _refine,
    "track": _track,
    "evaluate": _evaluate,
}


def _check_video(opened: OpenProject, name: str) -> str:
    opened.workspace.allow(opened.project.find_video(name))
    if "," in name:
        raise SettingsError(f"video {name!r} has a comma in its name: rename it")
    return name


def _check_model(opened: OpenProject, name: str) -> str:
    if name not in opened.project.list_models():
        raise SettingsError(f"there is no model {name!r} here")
    return name


def _check_plain(name: str, what: str) -> str:
    if not is_plain_name(name) or name.startswith("-"):
        raise SettingsError(f"{what}: wanted letters, digits, - and _, came {name[:80]!r}")
    return name


def _name_model(opened: OpenProject) -> str:
    """Name the next model: what is there, and what other jobs are about to make, is taken."""
    taken = {p.name for p in (opened.path / "models").glob("*")}
    taken |= {str(job.request.get("target")) for job in opened.jobs.list()}
    return next(f"model-{n}" for n in range(1, 100_000) if f"model-{n}" not in taken)


def _tell(names: list[str], what: str) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} {what}s"
