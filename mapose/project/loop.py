"""Where a project stands on the way from videos to tracks, and what is best done next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mapose.errors import MaposeError, SettingsError
from mapose.files import RESULT
from mapose.io.proposals import Proposals, name_images
from mapose.io.proposals import load_proposals as read_proposals
from mapose.labels import UNMARKED
from mapose.project.calibrations import find_calibration, name_space
from mapose.project.changes import LabelState
from mapose.project.overview import find_model_error
from mapose.project.project import Project
from mapose.project.proposals import NOTHING
from mapose.results.result import Result

#: Frames with labels from which on a first training teaches something.
_FEW = 10
#: Doubts that are worth a person's time.
_LIKELY = 0.02


@dataclass(frozen=True)
class Step:
    """One step of the way.

    Parameters
    ----------
    name : str
        ``videos``, ``frames``, ``labels``, ``model``, ``results``, ``doubts``, ``space`` where
        there are sessions of several cameras, or ``export``.
    done, total : int
        How much of how much; a total of 0 where there is nothing to count.
    text : str
        The same in words.
    """

    name: str
    done: int
    total: int
    text: str


@dataclass(frozen=True)
class Loop:
    """All steps, and the next thing to do.

    Parameters
    ----------
    steps : tuple of Step
    action : str
        Name of the step to go on with, or ``propose``: let the newest model propose labels.
    advice : str
        What to do there, as an order.
    reason : str
        Why.
    """

    steps: tuple[Step, ...]
    action: str
    advice: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        row = " | ".join(f"{step.name.capitalize()} {step.text}" for step in self.steps)
        return f"{row}\nnext: {self.advice} ({self.reason})"


def describe_loop(project: Project) -> Loop:
    """Say where a project stands, and what is best done next.

    Parameters
    ----------
    project : Project

    Returns
    -------
    Loop

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> mice = Project.create(getfixture("tmp_path") / "mice", Skeleton(["snout", "tail"]))
    >>> describe_loop(mice).advice
    'Add videos'
    """
    state = project.read_state()
    names = tuple(state.list_individuals())
    waiting = read_proposals(project.path / "labels", project.skeleton, individuals=names)
    models, results = project.list_models(), _list_results(project)
    blank, unasked, proposed = _count_waiting(state, waiting)
    complete = sum(1 for frame in state.frames if is_complete(state, frame))
    started = sum(1 for spots in state.marks.values() if spots)
    chosen = len(state.frames) + blank + proposed
    doubts, settled = _count_doubts(results)
    error = find_model_error(project.path / "models" / models[-1]) if models else None
    videos = [name for name in project.videos if (project.path / project.videos[name]).exists()]
    analysed = sum(
        1 for n in project.videos if (project.path / "results" / f"{n}{RESULT}").exists()
    )
    blind, flat = _list_flat(project)
    in_space = len(project.sessions) - len(blind) - len(flat)
    steps = (
        Step(
            "videos", len(videos), len(project.videos), _tell_of(len(videos), len(project.videos))
        ),
        Step("frames", chosen, 0, f"{chosen} chosen"),
        Step("labels", started, chosen, f"{started} of {chosen}"),
        Step("model", len(models), 0, _tell_model(models, error)),
        Step("results", analysed, len(project.videos), f"{analysed} of {len(project.videos)}"),
        Step("doubts", settled, settled + doubts, f"{doubts} left" if results else "none yet"),
        *_make_space(in_space, len(project.sessions)),
        Step(
            "export",
            len(results),
            0,
            f"{len(results)} {_plural(len(results), 'file')}" if results else "none yet",
        ),
    )
    facts = _Facts(
        len(project.videos), chosen, started, complete, blank, unasked, proposed, len(models),
        analysed, doubts, blind, flat, _is_older(project, models),
    )  # fmt: skip
    return Loop(steps, *_advise(facts))


@dataclass(frozen=True)
class _Facts:
    videos: int
    chosen: int
    started: int
    complete: int
    blank: int
    unasked: int
    proposed: int
    models: int
    analysed: int
    doubts: int
    blind: list[str]
    flat: list[str]
    older: bool


def _advise(facts: _Facts) -> tuple[str, str, str]:
    """Choose the next step: its name, what to do, and why."""
    if not facts.videos and not facts.chosen:
        return "videos", "Add videos", "there is nothing to label yet"
    if not facts.chosen:
        return "frames", "Choose frames to label", "no frame is chosen yet"
    if facts.unasked and facts.models:
        what = _plural(facts.unasked, "chosen frame has", "chosen frames have")
        reason = f"{facts.unasked} {what} no labels yet, and correcting is faster than beginning"
        return "propose", "Let the model propose labels", reason
    if facts.blank and facts.started < max(_FEW, facts.blank):
        have = "has" if facts.blank == 1 else "have"
        return (
            "labels",
            "Label the chosen frames",
            f"{facts.blank} chosen {_plural(facts.blank, 'frame')} {have} no labels yet",
        )
    if facts.proposed:
        what = _plural(facts.proposed, "frame waits", "frames wait")
        return "labels", "Correct the proposals", f"{facts.proposed} {what} to be accepted"
    if not facts.models:
        return "model", "Train a model", f"{facts.started} frames are labelled"
    if facts.older:
        return "model", "Train again", "there are new labels since the last training"
    if facts.analysed < facts.videos:
        left = facts.videos - facts.analysed
        return "results", "Analyse the videos", f"{left} {_plural(left, 'has', 'have')} no result"
    if facts.doubts:
        what = _plural(facts.doubts, "moment is", "moments are")
        return "doubts", "Proofread the names", f"{facts.doubts} {what} in doubt"
    if facts.flat:
        reason = f"all cameras of {facts.flat[0]} have results"
        return "space", "Reconstruct in 3D", reason
    if facts.blind:
        reason = f"nobody knows yet where the cameras of {facts.blind[0]} stand"
        return "space", "Calibrate the cameras", reason
    if facts.analysed:
        return "results", "Look for the worst frames", "labelling them teaches the model most"
    return "videos", "Add videos to analyse", "there is a model, and no video yet"


def is_complete(state: LabelState, frame: tuple[str, str]) -> bool:
    """Tell whether every keypoint of every animal of a frame is marked or said to be absent."""
    spots = state.marks.get(frame, {})
    return len(spots) >= sum(len(state.find_owned(name)) for name in state.list_individuals())


def _make_space(done: int, sessions: int) -> tuple[Step, ...]:
    if not sessions:
        return ()
    return (Step("space", done, sessions, f"{done} of {sessions}"),)


def _list_flat(project: Project) -> tuple[list[str], list[str]]:
    """List the sessions that lack a calibration, and those that have one but no 3D poses yet."""
    blind, flat = [], []
    for session in project.sessions:
        try:
            find_calibration(project, session)
        except SettingsError:
            blind.append(session)
            continue
        if not (project.path / "results" / f"{name_space(project, session)}{RESULT}").is_file():
            flat.append(session)
    return blind, flat


def _count_waiting(state: LabelState, waiting: Proposals) -> tuple[int, int, int]:
    """Count the frames without labels that wait.

    Those with nothing in them, those among them of which no model was asked, and those with
    proposals.
    """
    blank = unasked = proposed = 0
    states = waiting.labels.find_states()
    for row, name in enumerate(name_images(waiting.labels)):
        if name in state.frames:
            continue
        if (states[row] != UNMARKED).any():
            proposed += 1
        else:
            blank += 1
            unasked += not waiting.reasons[row].endswith(NOTHING)
    return blank, unasked, proposed


def _list_results(project: Project) -> list[Path]:
    return sorted((project.path / "results").glob(f"*{RESULT}"))


def _count_doubts(results: list[Path]) -> tuple[int, int]:
    """Count the moments in doubt that are left, and those that are settled."""
    left = settled = 0
    for file in results:
        try:
            with Result(file) as result:
                found = len(result.find_doubts(min_probability=_LIKELY))
                edits = sum(edit.kind in ("swap", "keep") for edit in result.edits)
        except MaposeError:  # damaged, or not finished yet
            continue
        left, settled = left + found, settled + edits
    return left, settled


def _is_older(project: Project, models: list[str]) -> bool:
    """Tell whether labels were changed after the newest model was trained."""
    journal = project.path / "labels" / "journal.jsonl"
    model = project.path / "models" / models[-1] / "model.yaml" if models else None
    if model is None or not journal.is_file():
        return False
    return journal.stat().st_mtime > model.stat().st_mtime


def _tell_model(models: list[str], error: float | None) -> str:
    if not models:
        return "none yet"
    return models[-1] if error is None else f"{error:.1f} px"


def _tell_files(count: int) -> str:
    return f"{count} {_plural(count, 'file')}" if count else "none yet"


def _tell_of(there: int, total: int) -> str:
    return str(total) if there == total else f"{there} of {total} found"


def _plural(count: int, one: str, many: str = "") -> str:
    return one if count == 1 else many or f"{one}s"
