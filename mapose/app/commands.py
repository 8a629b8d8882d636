"""What work a page may request: for each kind its settings, and the command that they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from mapose.app.endpoints import Call
from mapose.app.projects import OpenProject
from mapose.app.responses import Body
from mapose.app.sessions import find_board, prepare_calibration, prepare_world
from mapose.errors import SettingsError
from mapose.files import RESULT
from mapose.io.proposals import name_images
from mapose.project.calibrations import (
    check_session,
    find_calibration,
    find_measured,
    find_views,
    name_space,
)
from mapose.reading import is_plain_name
from mapose.results.result import Result

Count = Annotated[int, Field(ge=1, le=100_000)]
Name = Annotated[str, Field(max_length=200)]
Names = Annotated[list[Name], Field(max_length=1000)]
Pixel = Annotated[tuple[float, float], Field(strict=False)]
Corner = Name | Annotated[dict[Name, Pixel], Field(min_length=2, max_length=100)]


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


class Filter(Body):
    """A result made smooth, its short gaps filled."""

    kind: Literal["filter"]
    result: Name
    method: Literal["kalman", "median", "savgol"] = "kalman"
    replace: bool = False


class Render(Body):
    """Poses drawn into the video, or into those of a session beside the scene."""

    kind: Literal["render"]
    result: Name
    first: Annotated[int, Field(ge=0, le=2**31)] = 0
    stop: Annotated[int, Field(ge=1, le=2**31)] | None = None
    replace: bool = False


class Plot(Body):
    """Figures of a result, to be looked at."""

    kind: Literal["plot"]
    result: Name
    replace: bool = False


class Export(Body):
    """A result for another tool."""

    kind: Literal["export"]
    result: Name
    to: Literal["dlc-h5", "dlc-csv", "slp", "coco", "movement", "nwb", "trc", "csv"]
    replace: bool = False


class Calibrate(Body):
    """The cameras of a session, from videos of a board, each named by what a page was given."""

    kind: Literal["calibrate"]
    session: Name
    board: Name
    videos: Annotated[dict[Name, Name], Field(min_length=2, max_length=100)]
    fisheye: Names = Field(default_factory=list)
    replace: bool = False


class World(Body):
    """The world of a session's cameras, by three points.

    Each is the name of a keypoint of its 3D result, or by camera the pixel at which it was clicked.
    """

    kind: Literal["world"]
    session: Name
    origin: Corner
    x: Corner
    y: Corner
    frame: Annotated[int, Field(ge=0, le=2**31)] | None = None
    animal: Name = ""
    length: Annotated[str, Field(max_length=40)] = ""


class Triangulate(Body):
    """The views of a session in space."""

    kind: Literal["triangulate"]
    session: Name
    animals: Annotated[int, Field(ge=1, le=1000)] | None = None
    rigid: bool = False
    replace: bool = False


Request = (
    Extract
    | Train
    | Analyze
    | Propose
    | Refine
    | Track
    | Evaluate
    | Filter
    | Render
    | Plot
    | Export
    | Calibrate
    | World
    | Triangulate
)


class JobRequest(Body):
    """One of them."""

    request: Annotated[Request, Field(discriminator="kind")]


#: Kinds that take all cores, or a network into memory: one at a time.
_HEAVY = ("train", "analyze", "track", "evaluate", "render", "calibrate", "triangulate")


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


def _filter(opened: OpenProject, request: Filter) -> tuple[list[str], str, str]:
    words = ["filter", str(opened.find_result(request.result)), "--method", request.method]
    return _force(words, request.replace), f"Smooth {request.result}", f"{request.result}.filtered"


def _render(opened: OpenProject, request: Render) -> tuple[list[str], str, str]:
    place = opened.find_result(request.result)
    project, sessions = opened.project, opened.project.sessions
    session = next((s for s in sessions if name_space(project, s) == request.result), None)
    if session is None:
        videos = [str(opened.workspace.allow(Result(place).find_video()))]
    else:
        videos = [
            f"{camera}={opened.workspace.allow(project.find_video(video))}"
            for camera, video in sessions[session].items()
        ]
    output = place.with_name(f"{request.result}.labelled.mp4")
    words = _force(["render", "-o", str(output), "--start", str(request.first)], request.replace)
    words += [] if request.stop is None else ["--stop", str(request.stop)]
    return [*words, "--", *videos, str(place)], f"Draw {request.result} into its video", ""


def _plot(opened: OpenProject, request: Plot) -> tuple[list[str], str, str]:
    words = ["plot", str(opened.find_result(request.result))]
    return _force(words, request.replace), f"Plot {request.result}", ""


def _export(opened: OpenProject, request: Export) -> tuple[list[str], str, str]:
    words = ["export", str(opened.find_result(request.result)), "--to", request.to]
    return _force(words, request.replace), f"Export {request.result} to {request.to}", ""


def _calibrate(opened: OpenProject, request: Calibrate) -> tuple[list[str], str, str]:
    check_session(opened.project, _check_plain(request.session, "name of a session"))
    cameras = opened.project.sessions[request.session]
    if set(request.videos) != set(cameras) or not set(request.fisheye) <= set(cameras):
        raise SettingsError(f"wanted a video of the board for each of {', '.join(cameras)}")
    words = _force(["calibrate", "--board", find_board(request.board)], request.replace)
    words += ["--fisheye", ",".join(request.fisheye)] if request.fisheye else []
    words += ["-o", prepare_calibration(opened, request.session), "--"]
    words += [f"{c}={opened.workspace.find_place(request.videos[c])}" for c in cameras]
    return words, f"Calibrate {request.session}", request.session


def _world(opened: OpenProject, request: World) -> tuple[list[str], str, str]:
    project, session = opened.project, _check_plain(request.session, "name of a session")
    calibration = opened.workspace.allow(find_measured(project, session))
    words = ["world", "-o", prepare_world(opened, session), "--force"]
    corners = {"origin": request.origin, "x": request.x, "y": request.y}
    if any(isinstance(corner, str) for corner in corners.values()):
        words += ["--points", str(opened.find_result(name_space(project, session)))]
    # One word each: no keypoint or camera is an option, whatever it is called.
    words += [f"--{name}={_tell_corner(corner)}" for name, corner in corners.items()]
    words += [] if request.frame is None else ["--frame", str(request.frame)]
    words += [f"--animal={request.animal}"] if request.animal else []
    words += [f"--length={request.length}"] if request.length else []
    return [*words, "--", str(calibration)], f"Place the world of {session}", session


def _tell_corner(corner: Corner) -> str:
    if isinstance(corner, str):
        return corner
    return ",".join(f"{name}={x}:{y}" for name, (x, y) in corner.items())


def _triangulate(opened: OpenProject, request: Triangulate) -> tuple[list[str], str, str]:
    project, session = opened.project, request.session
    calibration = opened.workspace.allow(find_calibration(project, session))
    views, cameras = find_views(project, session), project.sessions[session]
    missing = [video for camera, video in cameras.items() if camera not in views]
    if missing:
        raise SettingsError(f"analyse {', '.join(missing)} first: every view needs a result")
    name = _check_plain(name_space(project, session), "name of a session")
    output = opened.path / "results" / f"{name}{RESULT}"
    words = ["triangulate", "--calibration", str(calibration), "-o", str(output)]
    words += [] if request.animals is None else ["--animals", str(request.animals)]
    words = _force([*words, "--rigid"] if request.rigid else words, request.replace)
    # After the two dashes nothing is an option, whatever the project calls its cameras.
    words += ["--", *(f"{c}={opened.workspace.allow(place)}" for c, place in views.items())]
    return words, f"Reconstruct {session} in 3D", name


def _force(words: list[str], replace: bool) -> list[str]:
    return [*words, "--force"] if replace else words


_WORDS: dict[str, Callable[..., tuple[list[str], str, str]]] = {
    "extract": _extract,
    "train": _train,
    "analyze": _analyze,
    "propose": _propose,
    "refine": _refine,
    "track": _track,
    "evaluate": _evaluate,
    "filter": _filter,
    "render": _render,
    "plot": _plot,
    "export": _export,
    "calibrate": _calibrate,
    "world": _world,
    "triangulate": _triangulate,
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
