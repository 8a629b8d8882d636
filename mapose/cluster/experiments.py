"""A whole experiment: of each session whatever is missing, from calibration to export."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mapose.cameras.calibrating import BoardOptions, calibrate_cameras
from mapose.cameras.triangulating import ViewOptions, triangulate_files
from mapose.cluster.analyses import AnalysisTask, find_model_folder, run_analysis
from mapose.cluster.outcomes import (
    DONE,
    FAILED,
    UNCHANGED,
    Outcome,
    Report,
    note_outcome,
    work_through,
)
from mapose.cluster.processes import Here, open_processes
from mapose.cluster.sessions import Rig, Session
from mapose.cluster.steps import Step, Tell, list_reasons, run_steps
from mapose.config import RetrackSettings, SessionSettings
from mapose.errors import SettingsError
from mapose.files import RESULT
from mapose.kinematics import MeasureOptions
from mapose.results.correcting import export_result, find_exported
from mapose.results.filtering import filter_file, find_filtered
from mapose.results.measuring import Scale, find_table, measure_file

#: Name of the 3D result of a session.
RESULT_3D = f"session{RESULT}"
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Intention:
    """What `mapose run` would do.

    Parameters
    ----------
    name : str
        Of the session.
    step : str
        Of it.
    reason : str
        Why it would be done; nothing if it is done.
    """

    name: str
    step: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What `mapose run` would do with all sessions.

    Parameters
    ----------
    intentions : sequence of Intention
        In order.
    """

    intentions: Sequence[Intention]

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        return {"steps": [asdict(intention) for intention in self.intentions]}

    def __str__(self) -> str:
        wide = max((len(i.step) for i in self.intentions), default=0)
        lines, last = [], ""
        for intention in self.intentions:
            if intention.name != last:
                lines.append(intention.name)
                last = intention.name
            told = f"to do: {intention.reason}" if intention.reason else "done"
            lines.append(f"  {intention.step:{wide}}  {told}")
        waiting = sum(bool(intention.reason) for intention in self.intentions)
        return "\n".join([*lines, f"{waiting} of {len(self.intentions)} steps to do"])


def list_rig_steps(rig: Rig) -> list[Step]:
    """List the one step of a rig: its calibration."""

    def work(force: bool, tell: Tell) -> None:
        calibrate_cameras(
            rig.videos,
            rig.board,
            output=rig.calibration,
            options=BoardOptions(fisheye=rig.fisheye, times=rig.times),
            force=force,
            on_progress=tell,
        )

    others = [Path(rig.board)] if rig.board.endswith(".toml") else []
    others += [rig.times] if rig.times else []
    inputs = (*rig.videos.values(), *others)
    settings = {"board": rig.board, "fisheye": rig.fisheye, "cameras": list(rig.videos)}
    return [Step("calibrate", inputs, (rig.calibration,), settings, work)]


def list_steps(session: Session, *, device: str | None = None) -> list[Step]:
    """List the steps of a session, each after those that it needs.

    Parameters
    ----------
    session : Session
        Which.
    device : str, optional
        Where networks run.

    Raises
    ------
    SettingsError
        If a step is wanted that cannot be done.
    """
    chosen = _choose_steps(session)
    steps: list[Step] = []
    poses = {}
    for camera, video in session.videos.items():
        poses[camera] = session.folder / f"{video.stem}{RESULT}"
        if "analyze" in chosen:
            steps.append(_make_analysis(session, camera, poses[camera], device))
        if "track" in chosen:
            steps.append(_make_tracking(session, camera, poses[camera]))
            poses[camera] = steps[-1].outputs[0]
    last = list(poses.values())
    if "triangulate" in chosen:
        last = [session.folder / RESULT_3D]
        steps.append(_make_triangulation(session, poses, last[0]))
    for file in last:
        steps += _list_last_steps(session.settings, chosen, file)
    return steps


def _choose_steps(session: Session) -> Sequence[str]:
    settings = session.settings
    able = session.calibration is not None and len(session.videos) > 1
    if settings.steps is not None:
        if "triangulate" in settings.steps and not able:
            raise SettingsError(
                f"{session.folder}: triangulate wants two cameras or more and their calibration: "
                f"'calibration: FILE' or 'board: ...' in session.yaml, and a folder "
                f"{settings.boards!r} with videos of the board"
            )
        return settings.steps
    wanted = ["analyze", *(["track"] if settings.track else [])]
    wanted += ["triangulate"] if able else []
    return [*wanted, *(["filter"] if settings.filter else []), "kinematics", "export"]


def _make_analysis(session: Session, camera: str, output: Path, device: str | None) -> Step:
    model = find_model_folder(session.settings.model)
    video, individuals = session.videos[camera], session.settings.individuals

    def work(force: bool, tell: Tell) -> None:
        options = {"individuals": individuals, "device": device, "force": force}
        task = AnalysisTask(str(video), str(output), str(model), options)  # type: ignore[arg-type]
        run_analysis(task, on_progress=lambda p: tell(p.done, p.total))

    weights = tuple(sorted(p for p in model.iterdir() if p.suffix in (".yaml", ".safetensors")))
    settings = {"individuals": individuals}
    return Step(f"analyze {camera}", (video, *weights), (output,), settings, work)


def _make_tracking(session: Session, camera: str, file: Path) -> Step:
    from mapose.analysis.retracking import TrackOptions, find_tracked, track_file

    settings = session.settings.track or RetrackSettings()
    looks = settings.appearance or settings.gallery is not None
    video = session.videos[camera] if looks else None
    options = TrackOptions(session.settings.individuals, **settings.model_dump(), video=video)
    output = find_tracked(file)

    def work(force: bool, tell: Tell) -> None:
        track_file(
            file,
            output,
            options=options,
            force=force,
            on_progress=lambda stage, done, total: tell(done, total),
        )

    inputs = tuple(p for p in (file, video, settings.gallery) if p is not None)
    kept = {**settings.model_dump(), "individuals": session.settings.individuals}
    return Step(f"track {camera}", inputs, (output,), kept, work)


def _make_triangulation(session: Session, poses: Mapping[str, Path], output: Path) -> Step:
    assert session.calibration is not None  # of `_choose_steps`
    calibration, chosen = session.calibration, session.settings.triangulate
    times = session.folder / chosen.times if chosen.times else None
    frame, _, after = (chosen.then or "").partition("=")
    later = (int(frame), session.folder / after) if after else None
    views = ViewOptions(
        session.settings.individuals,
        False if chosen.trust_names else None,
        chosen.synchronize,
        chosen.cut,
        rate=chosen.rate,
        times=times,
        later=later,
    )

    def work(force: bool, tell: Tell) -> None:
        triangulate_files(
            poses,
            calibration,
            output=output,
            views=views,
            force=force,
            on_progress=tell,
            smooth=chosen.smooth,
            max_gap=chosen.max_gap,
        )

    others = [*([times] if times else []), *([later[1]] if later else [])]
    inputs = (*poses.values(), calibration, *others)
    settings = {**chosen.model_dump(exclude_none=True), "individuals": session.settings.individuals}
    settings["cameras"] = list(poses)
    return Step("triangulate", inputs, (output,), settings, work)


def _list_last_steps(
    settings: SessionSettings, chosen: Sequence[str], file: Path
) -> Iterator[Step]:
    """List what is done with tracked poses: filter, kinematics, export."""
    name = "" if file.name == RESULT_3D else f" {file.name.removesuffix(RESULT)}"
    if "filter" in chosen:
        options = settings.filter.model_dump() if settings.filter else {}
        output = find_filtered(file)

        def smooth(force: bool, tell: Tell, file: Path = file, output: Path = output) -> None:
            filter_file(file, output, force=force, on_progress=tell, **options)

        yield Step(f"filter{name}", (file,), (output,), options, smooth)
        file = output
    if "kinematics" in chosen:
        yield Step(
            f"kinematics{name}",
            (file,),
            (find_table(file),),
            settings.kinematics.model_dump(),
            partial(_measure, settings, file),
        )
    for format in settings.export if "export" in chosen else ():
        output = find_exported(file, format)
        work = partial(_export, file, output, format)
        yield Step(f"export {format}{name}", (file,), (output,), {}, work)


def _measure(settings: SessionSettings, file: Path, force: bool, tell: Tell) -> None:
    chosen = settings.kinematics.model_dump()
    rate = chosen.pop("rate")
    measure_file(file, options=MeasureOptions(**chosen), scale=Scale(rate=rate), force=force)


def _export(file: Path, output: Path, format: str, force: bool, tell: Tell) -> None:
    export_result(file, output, format=format, force=force)


def plan_sessions(sessions: Sequence[Session]) -> Plan:
    """Say what `run_sessions` would do, without doing anything.

    Raises
    ------
    SettingsError
        As `list_steps`.
    """
    found: list[Intention] = []
    dirty: frozenset[Path] = frozenset()
    for rig in _list_rigs(sessions):
        for step, reason in list_reasons(rig.folder, list_rig_steps(rig)):
            found.append(Intention(rig.name, step.name, reason))
            dirty |= set(step.outputs) if reason else set()
    for session in sessions:
        reasons = list_reasons(session.folder, list_steps(session), dirty=dirty)
        found += [Intention(session.name, step.name, reason) for step, reason in reasons]
    return Plan(found)


def run_sessions(
    sessions: Sequence[Session],
    *,
    jobs: int | None = 1,
    executor: Executor | None = None,
    device: str | None = None,
    on_step: OnStep = lambda name, done, total: None,
) -> Report:
    """Do of each session whatever is missing or depends on what has changed.

    Calibrations come first; a session that fails does not stop the others.

    Parameters
    ----------
    sessions : sequence of Session
        Of `find_sessions`.
    jobs : int, optional
        Sessions at once, in processes of their own; with 1 in this one, with None as many as fit.
    executor : concurrent.futures.Executor, optional
        Who works, in place of these.
    device : str, optional
        Where networks run.
    on_step : function of (str, int, int), optional
        Told what is done, how far it is and the total; of several at once, only what has ended.

    Returns
    -------
    Report
        Of each calibration and session, the steps that were done now, or why it failed.

    Raises
    ------
    SettingsError
        As `list_steps`; nothing is done then.
    """
    for session in sessions:
        list_steps(session, device=device)
    begun = time.monotonic()
    own = executor or (Here() if jobs == 1 else open_processes(len(sessions), jobs, device))
    with nullcontext(own) if executor else own:
        # A function of this process can be told of progress by work in this process only.
        tell = on_step if isinstance(own, Here) else None
        work = partial(_run, device=device, on_step=tell)
        rigs = work_through(_list_rigs(sessions), work, own)
        unknown = {outcome.name for outcome in rigs.failed}
        able = [s for s in sessions if s.rig is None or s.rig.name not in unknown]
        found = {o.name: o for o in work_through(able, work, own).outcomes}
    lost = [
        Outcome(s.name, FAILED, why=f"{s.rig.name} was not calibrated")
        for s in sessions
        if s.rig is not None and s.name not in found
    ]
    found |= {outcome.name: outcome for outcome in lost}
    outcomes = [*rigs.outcomes, *(found[session.name] for session in sessions)]
    return Report(outcomes, time.monotonic() - begun)


def _run(
    place: Rig | Session, *, device: str | None = None, on_step: OnStep | None = None
) -> Outcome:
    """Do what is missing of a rig or a session."""

    def work() -> Outcome:
        steps = (
            list_rig_steps(place) if isinstance(place, Rig) else list_steps(place, device=device)
        )
        tell = on_step or (lambda name, done, total: None)
        done = run_steps(place.folder, steps, on_progress=tell)
        return Outcome(place.name, DONE if done else UNCHANGED, output=", ".join(done))

    return note_outcome(place.name, work)


def _list_rigs(sessions: Sequence[Session]) -> list[Rig]:
    return list({s.rig.folder: s.rig for s in sessions if s.rig is not None}.values())
