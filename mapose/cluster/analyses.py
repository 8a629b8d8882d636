"""The analysis of many videos: each a task of its own that knows all it needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from mapose.cluster.outcomes import DONE, UNCHANGED, Outcome, Report, note_outcome, work_through
from mapose.cluster.processes import open_processes
from mapose.errors import SettingsError
from mapose.files import check_distinct, make_folder

if TYPE_CHECKING:
    from mapose.analysis.pipeline import AnalysisProgress
    from mapose.models import Model, TopDown
    from mapose.project.crops import Crop


class TaskOptions(TypedDict, total=False):
    """Options of analyses that have a default; see `mapose.analyze`."""

    individuals: int | None
    keep_peaks: bool
    device: str | None
    rate: float | None
    crop: Crop | None
    force: bool


@dataclass(frozen=True)
class AnalysisTask:
    """The analysis of one video, in plain values that can be sent to another machine.

    Parameters
    ----------
    video, output, model : str
        Paths: the recording, its result, the folder of the model.
    options : dict
        Of `mapose.analyze_file`.
    """

    video: str
    output: str
    model: str
    options: TaskOptions = field(default_factory=TaskOptions)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.video

    def absolute(self) -> AnalysisTask:
        """Give the same task for a process in another folder; links stay as they are."""
        video, output, model = (
            str(Path(p).absolute()) for p in (self.video, self.output, self.model)
        )
        return replace(self, video=video, output=output, model=model)


def plan_analyses(
    target: str | os.PathLike[str],
    videos: Iterable[str | os.PathLike[str]] = (),
    *,
    model: str | None = None,
    output: str | os.PathLike[str] | None = None,
    **options: Unpack[TaskOptions],
) -> list[AnalysisTask]:
    """Say what there is to analyse: a task per video.

    Parameters
    ----------
    target : path
        Project, model folder, or ``zoo:NAME``.
    videos : iterable of path
        Recordings; of a project all of its own by default.
    model : str, optional
        Name of a project's model; the newest by default.
    output : path, optional
        Folder for the results, which is made. By default those of the project's own videos lie in
        its ``results``, others beside their video.
    **options
        As for `mapose.analyze`. A project's own videos have the crop that it keeps by default.

    Returns
    -------
    list of AnalysisTask

    Raises
    ------
    SettingsError
        If there is no video, or two have one result.
    ShapeError
        If the model is not for the project's keypoints.
    """
    from mapose.analysis.pipeline import find_result

    folder, own, find_place, find_crop = _open_target(target, model)
    files = [Path(video) for video in videos] or own
    if not files:
        raise SettingsError("no video: name at least one, mapose analyze TARGET VIDEO...")
    if files is own and not any(video.exists() for video in own):
        raise SettingsError(
            f"none of the project's videos is where it was, such as {own[0]}: find them again with "
            f"`mapose relink {target} FOLDER`"
        )
    if output is not None:
        find_place = partial(find_result, folder=make_folder(output))
    check_distinct((video, find_place(video)) for video in files)
    return [
        AnalysisTask(
            str(video),
            str(find_place(video)),
            str(folder),
            {**options, "crop": options.get("crop") or find_crop(video)},
        )
        for video in files
    ]


def _open_target(
    target: str | os.PathLike[str], model: str | None
) -> tuple[Path, list[Path], Callable[[Path], Path], Callable[[Path], Crop | None]]:
    """Open a project or a model: the model's folder, own videos, where results lie, and crops."""
    from mapose.analysis.pipeline import find_result
    from mapose.zoo import find_model

    chosen = find_model_folder(target, model)
    loaded, folder = _open_model(str(chosen)), find_model(target)
    if chosen == folder:
        return chosen, [], find_result, lambda video: None
    from mapose.project.crops import find_crop
    from mapose.project.project import Project

    project = Project.load(folder)
    project.check_model(loaded)
    own = [project.path / place for place in project.videos.values()]
    return chosen, own, project.find_result, partial(find_crop, project)


def find_model_folder(target: str | os.PathLike[str], model: str | None = None) -> Path:
    """Find the folder of the model that a project, a model folder or ``zoo:NAME`` stands for.

    Raises
    ------
    SettingsError, FormatError
        If there is none.
    """
    from mapose.project.project import Project
    from mapose.zoo import find_model

    folder = find_model(target)
    if (folder / "model.yaml").is_file():
        return folder
    return Project.load(folder).find_model(model)


def run_analysis(
    task: AnalysisTask, *, on_progress: Callable[[AnalysisProgress], None] = lambda _: None
) -> Outcome:
    """Analyse one video; takes up what an earlier try has done.

    Raises
    ------
    MaposeError, OSError
        As `mapose.analyze_file`.
    """
    from mapose.analysis.pipeline import AnalysisProgress, analyze_file

    last = AnalysisProgress(0, 0, 0)

    def follow(progress: AnalysisProgress) -> None:
        nonlocal last
        last = progress
        on_progress(progress)

    made = analyze_file(
        task.video, _open_model(task.model), output=task.output, on_progress=follow, **task.options
    )
    fresh = last.done - last.resumed
    return Outcome(task.name, DONE if fresh else UNCHANGED, output=str(made), frames=fresh)


@lru_cache(maxsize=1)
def _open_model(folder: str) -> Model | TopDown:
    """Open a model once for all videos of a process."""
    from mapose.models import open_model

    return open_model(folder)


def find_hash(model: str) -> str:
    """Tell one model from another by what is in its folder."""
    return _open_model(model).hash


def _run_safely(task: AnalysisTask) -> Outcome:
    return note_outcome(task.name, lambda: run_analysis(task))


def analyze_videos(
    tasks: Sequence[AnalysisTask],
    *,
    jobs: int | None = None,
    executor: Executor | None = None,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> Report:
    """Analyse many videos side by side; one that fails does not stop the others.

    Whatever process dies, and if it is this one: the same call again ends with the same files.

    Parameters
    ----------
    tasks : sequence of AnalysisTask
        Of `plan_analyses`.
    jobs : int, optional
        Processes of this machine; by default one per GPU, without one per core as far as the
        memory goes.
    executor : concurrent.futures.Executor, optional
        Who works, in place of these.
    on_outcome : function of Outcome, optional
        Called as each video ends.

    Returns
    -------
    Report
        What is done, what failed and why, in the order of the tasks.
    """
    if executor is not None:  # perhaps of another machine, in another folder
        return work_through(
            [task.absolute() for task in tasks], _run_safely, executor, on_outcome=on_outcome
        )
    named = next((d for task in tasks if (d := task.options.get("device"))), None)
    with open_processes(len(tasks), jobs, named) as own:
        return work_through(tasks, _run_safely, own, on_outcome=on_outcome)


def list_unfinished(tasks: Sequence[AnalysisTask]) -> dict[str, int]:
    """List the videos of which a part is done, with its frames, by what lies on the disk."""
    from mapose.analysis.pipeline import count_kept

    kept = {task.name: count_kept(task.output) for task in tasks}
    return {name: frames for name, frames in kept.items() if frames}
