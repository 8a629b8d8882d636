"""The labels of a project at one moment, and the steps that lead from one moment to another.

A step knows what was before and what is after, so that it can be taken in either direction, and
refuses to be taken where something else is. Steps are plain lists, as they stand in the journal:

``{"skeleton": [before, after]}``, ``{"individuals": [before, after]}``
    As in ``mapose.yaml``.
``{"columns": [before, after]}``
    Names of the animals in the tables of labels.
``{"rename": ["keypoint" or "individual", old, new]}``
    In all places where the name stands.
``{"frames": [[video, image, before, after], ...]}``
    Frame numbers, -1 where it is not known; null = no such frame.
``{"marks": [[video, image, [[individual, keypoint, before, after], ...]], ...]}``
    Marks as ``[x, y, state, origin]``; null = not marked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mapose.errors import FormatError, SettingsError, suggest_name
from mapose.io.instances import check_room
from mapose.labels import ABSENT, ORIGINS, STATES, UNMARKED, Labels
from mapose.reading import is_plain_name
from mapose.skeleton import LANDMARKS, Skeleton

#: x and y in px (None where absent from the picture), a name of `STATES`, and one of `ORIGINS`.
Mark = tuple[float | None, float | None, str, str]
#: A labelled picture: its video and its image file.
Frame = tuple[str, str]
#: An animal and a keypoint of it.
Spot = tuple[str, str]
Step = dict[str, Any]

_ABSENT = STATES[ABSENT]


@dataclass
class LabelState:
    """All that the journal knows of, at one moment; `apply_steps` changes it in place.

    Parameters
    ----------
    skeleton : dict
        As `Skeleton.to_dict` gives it; empty before a journal begins.
    individuals : int or list of str
        As in ``mapose.yaml``.
    columns : list of str
        Names of the animals in the tables of labels.
    frames : dict of (str, str) to int
        Frame number of each labelled picture, by video and image file; -1 = not known.
    marks : dict of (str, str) to dict
        Marks of each picture that has any, by animal and keypoint.
    """

    skeleton: dict[str, Any] = field(default_factory=dict)
    individuals: int | list[str] = 1
    columns: list[str] = field(default_factory=list)
    frames: dict[Frame, int] = field(default_factory=dict)
    marks: dict[Frame, dict[Spot, Mark]] = field(default_factory=dict)

    def copy(self) -> LabelState:
        """Make a state that can be changed without changing this one."""
        marks = {frame: dict(spots) for frame, spots in self.marks.items()}
        columns, frames = list(self.columns), dict(self.frames)
        return LabelState(self.skeleton, self.individuals, columns, frames, marks)

    def make_skeleton(self) -> Skeleton:
        """Make the skeleton that its plain lists describe."""
        return Skeleton(**self.skeleton)

    def list_individuals(self) -> list[str]:
        """List the names that an animal may have: those of the project, else those in use first.

        Last comes the individual that has the landmarks, where there are some.
        """
        marks = [LANDMARKS] if self.skeleton.get("landmarks") else []
        columns = [name for name in self.columns if name not in marks]
        if not isinstance(self.individuals, int):
            return list(dict.fromkeys((*self.individuals, *columns, *marks)))
        free = (f"animal{i}" for i in range(self.individuals + len(columns)))
        more = [name for name in free if name not in columns]
        return columns + more[: max(0, self.individuals - len(columns))] + marks

    def find_owned(self, individual: str) -> list[str]:
        """List the keypoints that an individual can have: its body's, or the landmarks."""
        marks = self.skeleton.get("landmarks", [])
        own = individual == LANDMARKS and bool(marks)
        return [name for name in self.skeleton["keypoints"] if (name in marks) == own]

    def has_frame(self, video: str, number: int) -> bool:
        """Tell whether a frame of a video is among the labelled ones."""
        return any(key[0] == video and n == number for key, n in self.frames.items())

    def find_frame(self, video: str, frame: int | str) -> Frame:
        """Find a labelled frame by number or by the name of its image.

        Raises
        ------
        SettingsError
            If it is not among the labelled frames.
        """
        if (video, str(frame)) in self.frames:
            return video, str(frame)
        if not isinstance(frame, str):
            for key, number in self.frames.items():
                if key[0] == video and number == frame:
                    return key
        if video not in self.list_videos():
            known = suggest_name(video, self.list_videos())
            raise SettingsError(
                f"{video} has no frames to label ({known}): add_frames takes some in"
            )
        raise SettingsError(
            f"frame {frame} of {video} is not among the labelled frames: add_frames takes it in"
        )

    def fill_columns(self) -> None:
        """Make sure that tables have a column: without one they would not list their frames."""
        if not self.columns:
            names = self.list_individuals()
            self.columns = names[:1] if isinstance(self.individuals, int) else names

    def drop_spots(self, drop: Callable[[Spot], bool]) -> None:
        """Remove the marks of all spots for which a test holds."""
        for frame in list(self.marks):
            kept = {spot: mark for spot, mark in self.marks[frame].items() if not drop(spot)}
            if kept:
                self.marks[frame] = kept
            else:
                del self.marks[frame]

    def list_videos(self) -> list[str]:
        """List the videos that have labelled frames, sorted."""
        return sorted({video for video, _ in self.frames})

    def to_labels(self, folder: Path, videos: Iterable[str] | None = None) -> Labels:
        """Make arrays, sorted by video and frame; pictures lie in ``folder/<video>``.

        Parameters
        ----------
        folder : Path
            The folder ``labels`` of the project.
        videos : iterable of str, optional
            These only; all by default.
        """
        wanted = None if videos is None else set(videos)
        for name in {name for frame in self.frames for name in frame}:
            if not is_plain_name(name):
                raise FormatError(f"{name!r} cannot be the name of a video or an image")
        frames = [f for f in self.frames if wanted is None or f[0] in wanted]
        frames.sort(key=lambda f: (f[0], self.frames[f], f[1]))
        skeleton = self.make_skeleton()
        column = {name: i for i, name in enumerate(self.columns)}
        keypoint = {name: k for k, name in enumerate(skeleton.keypoints)}
        shape = (len(frames), len(column), len(keypoint))
        check_room(shape, sum(len(self.marks.get(f, ())) for f in frames), what=folder)
        points = np.full((*shape, 2), np.nan, np.float32)
        states, origins = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        for row, frame in enumerate(frames):
            for (individual, name), (x, y, state, origin) in self.marks.get(frame, {}).items():
                place = row, column[individual], keypoint[name]
                if x is not None and y is not None:
                    points[place] = x, y
                states[place] = STATES.index(state)
                origins[place] = ORIGINS.index(origin)
        return Labels(
            points,
            skeleton,
            tuple(video for video, _ in frames),
            np.array([self.frames[f] for f in frames], np.int64),
            tuple(folder / video / image for video, image in frames),
            tuple(self.columns),
            len(self.columns) == 1,
            states=states,
            origins=origins,
        )

    def add_labels(self, labels: Labels) -> None:
        """Put labels with image files into the state; columns that it lacks are added."""
        self.columns += [name for name in labels.individuals if name not in self.columns]
        for row, image in enumerate(labels.images):
            if image is None:
                raise FormatError(f"a frame of {labels.videos[row]} without an image file")
            frame = labels.videos[row], image.name
            self.frames[frame] = int(labels.frames[row])
            spots = dict(_list_marks(labels, row))
            if spots:
                self.marks[frame] = spots
            else:
                self.marks.pop(frame, None)

    def to_plain(self) -> dict[str, Any]:
        """Make plain lists for a file; `from_plain` reads them."""
        frames = list(self.frames)
        numbers = {frame: n for n, frame in enumerate(frames)}
        marks = [
            [numbers[frame], individual, keypoint, *mark]
            for frame, spots in self.marks.items()
            for (individual, keypoint), mark in spots.items()
        ]
        return {
            "skeleton": self.skeleton,
            "individuals": self.individuals,
            "columns": self.columns,
            "frames": [[*frame, self.frames[frame]] for frame in frames],
            "marks": [list(part) for part in zip(*marks, strict=True)],
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> LabelState:
        """Make a state of what `to_plain` has made."""
        names = [(video, image) for video, image, _ in plain["frames"]]
        frames = {(video, image): number for video, image, number in plain["frames"]}
        marks: dict[Frame, dict[Spot, Mark]] = {}
        if plain["marks"]:
            for number, individual, keypoint, x, y, state, origin in zip(
                *plain["marks"], strict=True
            ):
                spots = marks.setdefault(names[number], {})
                spots[individual, keypoint] = (x, y, state, origin)
        return cls(plain["skeleton"], plain["individuals"], plain["columns"], frames, marks)


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Make sure that a name is among those that are known.

    Raises
    ------
    SettingsError
        If it is not; the nearest one is suggested.
    """
    names = list(known)
    if name not in names:
        raise SettingsError(f"no {what} {name!r}: {suggest_name(name, names)}")


def make_mark(x: float, y: float, *, state: str = "visible", origin: str = "") -> Mark:
    """Make a mark as it is kept: coordinates to 0.001 px, and as float32 holds them."""
    return _round(x), _round(y), state, origin


def make_absent(origin: str = "") -> Mark:
    """Make the mark of a keypoint that is not in the picture."""
    return None, None, _ABSENT, origin


def check_mark(spot: Spot, mark: Mark) -> Mark:
    """Give a mark as it is kept.

    Raises
    ------
    SettingsError
        If it is none: a state or origin that is not known, or a place that does not fit the state.
    """
    x, y, state, origin = mark
    if state not in STATES[1:] or origin not in ORIGINS:
        raise SettingsError(
            f"{' '.join(spot)}: wanted a state ({', '.join(STATES[1:])}) and an origin "
            f"({', '.join(ORIGINS[1:])}), came {state!r} and {origin!r}"
        )
    if state == _ABSENT:
        return make_absent(origin)
    if x is None or y is None or not (math.isfinite(x) and math.isfinite(y)):
        raise SettingsError(f"{' '.join(spot)}: wanted finite coordinates, came {x}, {y}")
    return make_mark(x, y, state=state, origin=origin)


def _round(value: float) -> float:
    return round(float(np.float32(value)), 3)


def _list_marks(labels: Labels, row: int) -> Iterator[tuple[Spot, Mark]]:
    states, origins = labels.find_states()[row], labels.find_origins()[row]
    for i, k in zip(*np.nonzero(states != UNMARKED), strict=True):
        spot = labels.individuals[i], labels.skeleton.keypoints[k]
        state, origin = STATES[states[i, k]], ORIGINS[origins[i, k]]
        x, y = labels.points[row, i, k].tolist()
        yield (
            spot,
            make_absent(origin)
            if state == _ABSENT
            else make_mark(x, y, state=state, origin=origin),
        )


def apply_steps(state: LabelState, steps: Iterable[Step]) -> None:
    """Take steps, in place.

    Raises
    ------
    FormatError
        If a step was not made from this state.
    """
    for step in steps:
        for kind, value in step.items():
            if kind not in _APPLY:
                raise FormatError(f"a change of kind {kind!r} is not known; update mapose")
            _APPLY[kind](state, value)


def invert_steps(steps: Iterable[Step]) -> list[Step]:
    """Make the steps that lead back.

    Examples
    --------
    >>> invert_steps([{"rename": ["keypoint", "snout", "nose"]}, {"individuals": [1, 2]}])
    [{'individuals': [2, 1]}, {'rename': ['keypoint', 'nose', 'snout']}]
    """
    back: list[Step] = []
    for step in steps:
        for kind, value in step.items():
            if kind == "rename":
                what, old, new = value
                turned: Any = [what, new, old]
            elif kind == "frames":
                turned = [[video, image, after, before] for video, image, before, after in value]
            elif kind == "marks":
                turned = [
                    [video, image, [[i, k, after, before] for i, k, before, after in spots]]
                    for video, image, spots in value
                ]
            else:
                turned = [value[1], value[0]]
            back.append({kind: turned})
    return back[::-1]


def find_steps(old: LabelState, new: LabelState) -> list[Step]:
    """Find the steps from one state to another; none where both are the same."""
    steps: list[Step] = []
    for name in ("skeleton", "individuals", "columns"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            steps.append({name: [before, after]})
    come = [
        [*frame, old.frames.get(frame), number]
        for frame, number in new.frames.items()
        if old.frames.get(frame) != number
    ]
    gone = [[*frame, old.frames[frame], None] for frame in old.frames if frame not in new.frames]
    marks = []
    for frame in dict.fromkeys((*old.marks, *new.marks)):
        before, after = old.marks.get(frame, {}), new.marks.get(frame, {})
        if before != after:
            spots = [
                [*spot, before.get(spot), after.get(spot)]
                for spot in dict.fromkeys((*before, *after))
                if before.get(spot) != after.get(spot)
            ]
            marks.append([*frame, spots])
    parts = (("frames", come), ("marks", marks), ("frames", gone))
    return steps + [{name: part} for name, part in parts if part]


def list_spots(steps: Iterable[Step]) -> dict[tuple[str, str, str, str], Any]:
    """List the marks that steps leave behind, by video, image, animal and keypoint."""
    return {
        (video, image, individual, keypoint): after
        for step in steps
        for video, image, spots in step.get("marks", ())
        for individual, keypoint, _, after in spots
    }


def find_touched(steps: Iterable[Step]) -> set[str] | None:
    """Find the videos whose table of labels looks otherwise after steps; None = all."""
    touched: set[str] = set()
    for step in steps:
        if step.keys() & {"skeleton", "columns", "rename"}:
            return None
        touched |= {entry[0] for entry in (*step.get("frames", ()), *step.get("marks", ()))}
    return touched


def _set(name: str) -> Any:
    def change(state: LabelState, value: list[Any]) -> None:
        before, after = value
        if getattr(state, name) != before:
            raise FormatError(f"the {name} are not those from which this change was made")
        setattr(state, name, after if not isinstance(after, list) else list(after))

    return change


def _rename(state: LabelState, value: list[str]) -> None:
    what, old, new = value
    if what == "keypoint":
        state.skeleton = state.make_skeleton().renamed({old: new}).to_dict()
    else:
        state.columns = [new if name == old else name for name in state.columns]
        if not isinstance(state.individuals, int):
            state.individuals = [new if name == old else name for name in state.individuals]
    at = 1 if what == "keypoint" else 0
    for frame, spots in state.marks.items():
        if any(spot[at] == old for spot in spots):
            state.marks[frame] = {
                _exchange(spot, at, old, new): mark for spot, mark in spots.items()
            }


def _exchange(spot: Spot, at: int, old: str, new: str) -> Spot:
    if spot[at] != old:
        return spot
    return (new, spot[1]) if at == 0 else (spot[0], new)


def _change_frames(state: LabelState, value: list[Any]) -> None:
    for video, image, before, after in value:
        if state.frames.get((video, image)) != before:
            raise FormatError(f"frame {image} of {video} is not as it was before this change")
        if after is None:
            del state.frames[video, image]
        else:
            state.frames[video, image] = after


def _change_marks(state: LabelState, value: list[Any]) -> None:
    for video, image, changes in value:
        frame = (video, image)
        if frame not in state.frames:
            raise FormatError(f"there is no frame {image} of {video} in which marks were changed")
        spots = state.marks.setdefault(frame, {})
        for individual, keypoint, before, after in changes:
            spot = (individual, keypoint)
            if spots.get(spot) != (None if before is None else tuple(before)):
                raise FormatError(
                    f"{keypoint} of {individual} in {image} of {video} is not as it was before "
                    "this change"
                )
            if after is None:
                spots.pop(spot, None)
            else:
                spots[spot] = tuple(after)
        if not spots:
            del state.marks[frame]


_APPLY = {
    "skeleton": _set("skeleton"),
    "individuals": _set("individuals"),
    "columns": _set("columns"),
    "rename": _rename,
    "frames": _change_frames,
    "marks": _change_marks,
}
