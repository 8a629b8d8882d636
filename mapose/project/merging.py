"""Two projects made one: labels of both, and what they disagree on shown."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mapose.assignment import assign
from mapose.errors import SettingsError, suggest_name
from mapose.io import read_image
from mapose.locks import lock_output
from mapose.project.changes import Frame, LabelState, Mark, Spot, apply_steps
from mapose.project.crops import load_crops, save_crops
from mapose.project.description import FILE
from mapose.project.importing import add_image, take_back_images
from mapose.project.project import Project
from mapose.skeleton import Skeleton

PREFER = ("mine", "theirs")
# Two people put one animal at most so far apart, in parts of its size; size is at least so many px.
_GATE, _LEAST = 0.5, 20.0
# Mean difference of pixels between two decodes of one picture, at most.
_ALIKE = 3.0


@dataclass(frozen=True)
class Conflict:
    """A keypoint on which two projects disagree.

    Parameters
    ----------
    video, image, individual, keypoint : str
        Where, by the names of the project that takes the labels.
    mine, theirs : (x, y, state, origin)
        What each of them says.
    """

    video: str
    image: str
    individual: str
    keypoint: str
    mine: Mark
    theirs: Mark

    def __str__(self) -> str:
        return (
            f"{self.video}/{self.image}: {self.keypoint} of {self.individual}: mine "
            f"{_tell_mark(self.mine)}, theirs {_tell_mark(self.theirs)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        return dict(vars(self))


@dataclass
class MergeReport:
    """What a merge did, or why it did nothing.

    Parameters
    ----------
    merged : bool
        False if there are conflicts and nobody said who is right: then nothing was changed.
    frames, points : int
        Frames and marks that came in.
    same : int
        Marks that both had alike.
    conflicts : list of Conflict
        What they disagree on.
    told : list of str
        What else there is to know, a sentence each.
    """

    merged: bool = False
    frames: int = 0
    points: int = 0
    same: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        does = "came in" if self.merged else "would come in"
        text = f"{self.frames} frames and {self.points} marks {does}, {self.same} were the same"
        if self.conflicts:
            text += f", {len(self.conflicts)} are in conflict"
        return "; ".join([text, *self.told])

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        return {**vars(self), "conflicts": [c.to_dict() for c in self.conflicts]}


def merge_projects(
    path: str | os.PathLike[str],
    other: str | os.PathLike[str],
    *,
    prefer: str | None = None,
    rename: Mapping[str, str] | None = None,
) -> tuple[Project, MergeReport]:
    """Take the labels of another project into one, as one change that undo takes back.

    Videos are the same if their fingerprints are, else by name; frames by number, else by name
    and picture. Animals are matched by name where both projects name them, else by their places.
    Keypoints, edges and animals that only the other one has are added. Models and results stay
    where they are.

    Parameters
    ----------
    path : path
        The project that takes.
    other : path
        The project that gives; it stays as it is.
    prefer : {"mine", "theirs"}, optional
        Who is right where both say something else of a keypoint. By default nobody: then
        nothing is changed, and the report lists the conflicts.
    rename : dict of str to str, optional
        Keypoint of the other one to its name here.

    Returns
    -------
    project : Project
        As it is after the merge.
    report : MergeReport

    Raises
    ------
    SettingsError
        If one of them is no project, or both are the same.
    """
    if prefer not in (None, *PREFER):
        raise SettingsError(f"prefer: no {prefer!r}: {suggest_name(str(prefer), PREFER)}")
    with lock_output(Path(path) / FILE, wait=True):
        project, giving = Project.load(path), Project.load(other)
        if project.path.resolve() == giving.path.resolve():
            raise SettingsError(f"{path} and {other} are the same project")
        report = MergeReport()
        mine, theirs = project.read_state(), _rename(giving.read_state(), rename or {})
        merged = mine.copy()
        _join_plans(merged, theirs, report)
        names = _match_videos(project, giving, report)
        frames = _match_frames(project, giving, names)
        for frame, place in frames.items():
            merged.frames.setdefault(place, theirs.frames[frame])
            animals = _match_animals(merged, place, theirs, frame)
            _join_marks(merged, place, _call(theirs.marks.get(frame, {}), animals), prefer, report)
        report.frames = len(merged.frames) - len(mine.frames)
        if report.conflicts and prefer is None:
            return project, report
        project = _put_in(project, giving, merged, frames)
        project = _add_videos(project, giving, names, report)
        _add_crops(project, giving, names, report)
        report.merged = True
        return project, report


def _tell_mark(mark: Mark) -> str:
    return mark[2] if mark[0] is None else f"{mark[0]}, {mark[1]} ({mark[2]})"


def _rename(state: LabelState, names: Mapping[str, str]) -> LabelState:
    state = state.copy()
    apply_steps(state, [{"rename": ["keypoint", old, new]} for old, new in names.items()])
    return state


def _join_plans(merged: LabelState, theirs: LabelState, report: MergeReport) -> None:
    """Add keypoints, edges, mirror pairs and names of animals that only the other one has."""
    mine, its = merged.make_skeleton(), theirs.make_skeleton()
    new = [k for k in its.keypoints if k not in mine.keypoints]
    edges = {frozenset(e): e for e in (*its.edges, *mine.edges)}
    paired = {name for pair in mine.mirror for name in pair}
    mirror = [pair for pair in its.mirror if not paired & set(pair)]
    merged.skeleton = Skeleton(
        [*mine.keypoints, *new],
        [*mine.edges, *(e for e in edges.values() if e not in mine.edges)],
        [*mine.mirror, *mirror],
        landmarks=[*mine.landmarks, *(name for name in its.landmarks if name in new)],
    ).to_dict()
    if new:
        report.told.append(f"new keypoints: {', '.join(new)}")
    if isinstance(merged.individuals, list) and isinstance(theirs.individuals, list):
        more = [i for i in theirs.individuals if i not in merged.individuals]
        merged.individuals = [*merged.individuals, *more]
        if more:
            report.told.append(f"new animals: {', '.join(more)}")
    merged.columns += [] if merged.columns else theirs.columns


def _match_videos(project: Project, giving: Project, report: MergeReport) -> dict[str, str]:
    """Find the name here of each video of the other project; new ones have a new name."""
    mine, theirs = ({**p.find_fingerprints(p.videos), **p.recordings} for p in (project, giving))
    known = {print_: name for name, print_ in mine.items()}
    labelled = {video for video, _ in project.read_state().frames}
    taken = {*project.videos, *labelled}
    names = {}
    for name in dict.fromkeys((*giving.videos, *giving.read_state().list_videos())):
        found = known.get(theirs.get(name, ""))
        if found is None and name in taken:
            sure = name in mine and name in theirs
            if not sure and _show_the_same(project, giving, name):
                report.told.append(f"{name} is taken for the same video, by its name")
                found = name
        if found is None:
            found = _find_free(name, giving.path.resolve().name, taken)
            if found != name:
                report.told.append(f"{name} is another video here: the other one is now {found}")
        names[name] = found
        taken.add(found)
    return names


def _show_the_same(project: Project, giving: Project, video: str) -> bool:
    """Tell whether two videos of one name show the same, by a frame that both have labelled."""
    mine = {n: f for f, n in project.read_state().frames.items() if f[0] == video and n >= 0}
    for frame, number in giving.read_state().frames.items():
        if frame[0] == video and number in mine:
            return _is_same_picture(_find_image(project, mine[number]), _find_image(giving, frame))
    return True


def _match_frames(project: Project, giving: Project, names: dict[str, str]) -> dict[Frame, Frame]:
    """Find the frame here of each frame of the other project, or a free name for it."""
    known = project.read_state().frames
    by_number = {(video, n): (video, image) for (video, image), n in known.items() if n >= 0}
    tail = giving.path.resolve().name
    frames: dict[Frame, Frame] = {}
    for frame, number in giving.read_state().frames.items():
        place = by_number.get((names[frame[0]], number))
        if place is None:
            place = names[frame[0]], frame[1]
            image, taken = _find_image(project, place), {*frames.values()}
            same = image.is_file() and _is_same_picture(image, _find_image(giving, frame))
            if place in taken or (image.exists() and not same):
                used = {i for _, i in taken} | {p.name for p in image.parent.glob("*")}
                place = place[0], _find_free(frame[1], tail, used)
        frames[frame] = place
    return frames


def _find_free(name: str, tail: str, taken: Iterable[str]) -> str:
    """Find a name that is not taken: the same, or with a word and a number before it."""
    known = set(taken)
    tries = (f"{tail}-{n}-{name}" for n in itertools.count(2))
    return next(t for t in itertools.chain([name, f"{tail}-{name}"], tries) if t not in known)


def _find_image(project: Project, frame: Frame) -> Path:
    return project.path / "labels" / frame[0] / frame[1]


def _is_same_picture(a: Path, b: Path) -> bool:
    """Tell whether two files show the same, be it decoded by two libraries."""
    one, two = read_image(a).astype(np.float32), read_image(b).astype(np.float32)
    return one.shape == two.shape and float(np.abs(one - two).mean()) < _ALIKE


def _match_animals(
    merged: LabelState, place: Frame, theirs: LabelState, frame: Frame
) -> dict[str, str]:
    """Find the name here of each animal of a frame: by name where both have names, else by place.

    An animal that is not there yet keeps its name if that is free in the frame.
    """
    mine, its = _list_animals(merged, place), _list_animals(theirs, frame)
    if isinstance(merged.individuals, list) and isinstance(theirs.individuals, list):
        merged.columns += [name for name in its if name not in merged.columns]
        return {name: name for name in its}
    cost = np.array([[_measure(a, b) for b in mine.values()] for a in its.values()])
    pairs = assign(cost.reshape(len(its), len(mine)), gate=_GATE)
    found = {list(its)[a]: list(mine)[b] for a, b in zip(*pairs, strict=True)}
    for name in its:
        if name in found:
            continue
        used = {*mine, *found.values()}
        free = [n for n in (name, *merged.columns) if n in merged.columns and n not in used]
        if not free:
            free = [_find_free(name, "other", used)]
            merged.columns.append(free[0])
            if isinstance(merged.individuals, list):
                merged.individuals = [*merged.individuals, free[0]]
        found[name] = free[0]
    if isinstance(merged.individuals, int):
        merged.individuals = max(merged.individuals, len({*mine, *found.values()}))
    return found


def _list_animals(state: LabelState, frame: Frame) -> dict[str, dict[str, Mark]]:
    animals: dict[str, dict[str, Mark]] = {}
    for (individual, keypoint), mark in state.marks.get(frame, {}).items():
        animals.setdefault(individual, {})[keypoint] = mark
    return animals


def _measure(one: dict[str, Mark], two: dict[str, Mark]) -> float:
    """Measure how far two animals lie from each other, in parts of their size; NaN = not known."""
    places = [
        np.array([(k[0], k[1]) for k in a.values() if k[0] is not None], np.float64).reshape(-1, 2)
        for a in (one, two)
    ]
    both = [k for k in one if k in two and one[k][0] is not None and two[k][0] is not None]
    if not both:
        return np.nan
    size = max(float(np.linalg.norm(np.ptp(p, axis=0))) for p in places)
    apart = [math.dist(one[k][:2], two[k][:2]) for k in both]  # type: ignore[arg-type]
    return float(np.median(apart)) / max(size, _LEAST)


def _call(spots: Mapping[Spot, Mark], animals: Mapping[str, str]) -> dict[Spot, Mark]:
    return {(animals[individual], k): mark for (individual, k), mark in spots.items()}


def _join_marks(
    merged: LabelState,
    place: Frame,
    theirs: Mapping[Spot, Mark],
    prefer: str | None,
    report: MergeReport,
) -> None:
    spots = merged.marks.setdefault(place, {}) if theirs else {}
    for spot, mark in theirs.items():
        mine = spots.get(spot)
        if mine is None:
            spots[spot] = mark
            report.points += 1
        elif mine[:3] == mark[:3]:
            report.same += 1
        else:
            report.conflicts.append(Conflict(*place, *spot, mine, mark))
            if prefer == "theirs":
                spots[spot] = mark


def _put_in(
    project: Project, giving: Project, merged: LabelState, frames: dict[Frame, Frame]
) -> Project:
    known = project.read_state().frames
    with take_back_images() as made:
        for frame, place in frames.items():
            image = _find_image(project, place)
            if place not in known and add_image(_find_image(giving, frame), image):
                made.append(image)
        return project.put_state(merged, f"merge of {giving.path.resolve().name}")


def _add_videos(
    project: Project, giving: Project, names: dict[str, str], report: MergeReport
) -> Project:
    new = {n: giving.path / giving.videos[v] for v, n in names.items() if v in giving.videos}
    new = {name: file for name, file in new.items() if name not in project.videos}
    lost = [name for name, file in new.items() if not file.is_file()]
    report.told += [f"the video {name} was not found, only its labels came" for name in lost]
    project = project.add_videos({n: file for n, file in new.items() if n not in lost})
    for session, its in giving.sessions.items():
        cameras = {camera: names[video] for camera, video in its.items()}
        taken = {video for own in project.sessions.values() for video in own.values()}
        if session not in project.sessions and not set(cameras.values()) & {*taken, *lost}:
            project = project.add_session(session, cameras)
        elif project.sessions.get(session) != cameras:
            report.told.append(f"the session {session} was left out")
    return project


def _add_crops(
    project: Project, giving: Project, names: dict[str, str], report: MergeReport
) -> None:
    """Take the crops of videos that have none here; where both have one, mine stays."""
    mine = load_crops(project)
    new = {names[video]: crop for video, crop in load_crops(giving).items() if video in names}
    other = [name for name, crop in new.items() if mine.get(name, crop) != crop]
    report.told += [f"{name} has another crop there: the one here stays" for name in other]
    if not new.keys() <= mine.keys():
        save_crops(project, {**new, **mine})
