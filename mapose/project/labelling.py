"""Changes of a project's labels: points, frames, keypoints and animals, and their past."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mapose.errors import SettingsError
from mapose.io import Video, write_image
from mapose.io.labels import name_image
from mapose.labels import ABSENT, ORIGINS, STATES, Labels
from mapose.project.changes import (
    LabelState,
    Mark,
    Spot,
    Step,
    check_mark,
    check_name,
    find_steps,
    make_absent,
    make_mark,
)
from mapose.project.description import check_individuals
from mapose.project.journal import Entry
from mapose.reading import is_plain_name
from mapose.skeleton import LANDMARKS, Skeleton

if TYPE_CHECKING:
    from mapose.project.history import History

_TOLD = 4


class Labelling:
    """What can be done to the labels of a project.

    Every change is in the project's journal, on the disk, when its method returns; `undo` takes
    it back. Each method gives the project as it is after the change. All raise `SettingsError` if
    a name or a frame is not there, and `ConflictError` if another program has changed one of the
    same points since this project last looked.
    """

    path: Path
    skeleton: Skeleton
    individuals: int | tuple[str, ...]
    _past: History

    def set_points(
        self,
        video: str,
        frame: int | str,
        points: Mapping[str, tuple[float, float]],
        *,
        individual: str | None = None,
        occluded: Iterable[str] = (),
        origin: str = "person",
    ) -> Self:
        """Set or move keypoints of one animal in one frame.

        Parameters
        ----------
        video : str
            Name of the video.
        frame : int or str
            Frame number, or the name of its image file; it must be among the labelled frames.
        points : dict of str to (float, float)
            x and y by keypoint, image pixels; kept to 0.001 px.
        individual : str, optional
            Name of the animal; needed where there are several.
        occluded : iterable of str
            Those of the keypoints that are hidden; the others are visible.
        origin : {"person", "model", "copy", "triangulation"}
            Where the points come from.

        Examples
        --------
        >>> folder = getfixture("tmp_path")
        >>> import numpy as np, mapose
        >>> with mapose.io.VideoWriter(folder / "clip.mp4", 25) as writer:
        ...     for level in range(5):
        ...         writer.write(np.full((48, 64), level, np.uint8))
        >>> mouse = mapose.Skeleton(["snout", "tail"])
        >>> project = mapose.Project.create(folder / "mice", mouse, videos=[folder / "clip.mp4"])
        >>> project = project.add_frames("clip", [3])
        >>> project = project.set_points("clip", 3, {"snout": (20.5, 31)})
        >>> project.load_labels().points[0, 0, 0].tolist()
        [20.5, 31.0]
        >>> print(project.history()[-1].what)
        set snout of animal0 in clip:3
        """
        hidden = set(occluded)
        check_name("origin", origin, ORIGINS[1:])
        for keypoint, (x, y) in points.items():
            if not (math.isfinite(x) and math.isfinite(y)):
                raise SettingsError(
                    f"{keypoint}: wanted finite coordinates, came {x}, {y}; clear_points removes "
                    "a mark"
                )

        def find(_: Mark | None, keypoint: str) -> Mark:
            state = "occluded" if keypoint in hidden else "visible"
            return make_mark(*points[keypoint], state=state, origin=origin)

        return self._set_marks("set", video, frame, [*points], individual, find)

    def set_state(
        self,
        video: str,
        frame: int | str,
        keypoints: Iterable[str],
        state: str,
        *,
        individual: str | None = None,
    ) -> Self:
        """Say that keypoints are visible, occluded, or absent from the picture.

        Parameters
        ----------
        video, frame, individual
            As for `set_points`.
        keypoints : iterable of str
            Those that are absent lose their place; the others must have one.
        state : {"visible", "occluded", "absent"}
        """
        check_name("state", state, STATES[1:])

        def find(mark: Mark | None, keypoint: str) -> Mark:
            if state == STATES[ABSENT]:
                return make_absent("person")
            if mark is None or mark[0] is None:
                raise SettingsError(
                    f"{keypoint} has no place in {video}:{frame}: set_points gives it one"
                )
            return mark[0], mark[1], state, mark[3]

        return self._set_marks(f"{state}:", video, frame, list(keypoints), individual, find)

    def clear_points(
        self,
        video: str,
        frame: int | str,
        *,
        keypoints: Iterable[str] | None = None,
        individual: str | None = None,
    ) -> Self:
        """Remove the marks of keypoints, by default of all, of one animal in one frame."""
        names = self.skeleton.keypoints if keypoints is None else keypoints
        return self._set_marks(
            "clear", video, frame, list(names), individual, lambda mark, keypoint: None
        )

    def put_marks(
        self,
        video: str,
        frame: int | str,
        marks: Mapping[Spot, Mark | None],
        *,
        since: int | None = None,
    ) -> Self:
        """Set and remove marks of any animals in one frame, as one change.

        Parameters
        ----------
        video : str
            Name of the video.
        frame : int or str
            As for `set_points`; a frame number that is not among the labelled ones is taken in.
        marks : dict of (str, str) to (float, float, str, str), or None
            By animal and keypoint: x and y in image pixels (None where absent from the picture),
            a state and an origin, as in `mapose.labels.STATES` and `ORIGINS`; None = no mark.
        since : int, optional
            The `version` at which the frame was looked at; by default as this project has it.
        """
        known = {
            spot: None if mark is None else check_mark(spot, mark) for spot, mark in marks.items()
        }
        if not isinstance(frame, str):
            self._take_pictures(video, [frame])

        def make(state: LabelState) -> list[Step]:
            skeleton, names, steps = state.make_skeleton(), state.list_individuals(), list[Step]()
            if not isinstance(frame, str) and not state.has_frame(video, frame):
                steps.append({"frames": [[video, name_image(frame), None, frame]]})
                key = video, name_image(frame)
            else:
                key = state.find_frame(video, frame)
            for individual, keypoint in known:
                check_name("animal", individual, names)
                skeleton.index(keypoint)
                check_name(f"keypoint of {individual}", keypoint, state.find_owned(individual))
            new = [n for n in dict.fromkeys(i for i, _ in known) if n not in state.columns]
            if new:
                steps.append({"columns": [state.columns, [*state.columns, *new]]})
            spots = state.marks.get(key, {})
            changes = [[*s, spots.get(s), m] for s, m in known.items() if spots.get(s) != m]
            return [*steps, *([{"marks": [[*key, changes]]}] if changes else [])]

        told = _list_some(dict.fromkeys(keypoint for _, keypoint in known))
        who = _list_some(dict.fromkeys(individual for individual, _ in known))
        verb = "clear" if known and not any(known.values()) else "set"
        self._past.change(f"{verb} {told} of {who} in {video}:{frame}", make, since=since)
        return self._renew()

    @property
    def version(self) -> int:
        """Number of the last change that this project has seen; 0 = there was none yet."""
        return self._past.number

    def add_frames(self, video: str, frames: Iterable[int]) -> Self:
        """Take frames of a video among those to label; those that are there already stay.

        Raises
        ------
        VideoError
            If one cannot be decoded.
        """
        numbers = sorted({int(n) for n in frames})
        known = {n for (v, _), n in self._past.read().frames.items() if v == video}
        wanted = [n for n in numbers if n not in known]
        self._take_pictures(video, wanted)

        def change(state: LabelState) -> None:
            there = {n for (v, _), n in state.frames.items() if v == video}
            new = {(video, name_image(n)): n for n in wanted if n not in there}
            state.frames.update(new)
            state.fill_columns()

        return self._change(f"add {_list_some(wanted)} of {video}", change)

    def remove_frames(self, video: str, frames: Iterable[int | str]) -> Self:
        """Remove frames with all their marks; their pictures stay, so that undo can bring them."""
        given = list(frames)

        def change(state: LabelState) -> None:
            for frame in given:
                key = state.find_frame(video, frame)
                del state.frames[key]
                state.marks.pop(key, None)

        return self._change(f"remove {_list_some(given)} of {video}", change)

    def rename_frame(self, video: str, frame: int | str, image: str) -> Self:
        """Give a frame's picture another name; the marks go with it."""
        old = self._past.read().find_frame(video, frame)
        place = self.path / "labels" / video / image
        if not is_plain_name(image) or place.suffix != Path(old[1]).suffix:
            raise SettingsError(
                f"image: wanted the name of a file such as {old[1]}, came {image!r}"
            )
        if place.exists():
            raise SettingsError(f"{place} is there already: choose another name")
        # The old picture stays for undo: with a link it takes no room.
        _copy_file(place.with_name(old[1]), place)

        def change(state: LabelState) -> None:
            state.frames[video, image] = state.frames.pop(old)
            if old in state.marks:
                state.marks[video, image] = state.marks.pop(old)

        return self._change(f"rename {old[1]} of {video} to {image}", change)

    def put_labels(self, labels: Labels, what: str = "labels put in") -> Self:
        """Put many labels in as one change; frames of the project that are not among them stay.

        Parameters
        ----------
        labels : Labels
            Every image must be a file in ``labels/<video>`` of the project. Keypoints must be
            known here.
        what : str
            The change in words, for `history`.
        """

        def change(state: LabelState) -> None:
            state.add_labels(labels.arrange(state.make_skeleton()))

        return self._change(what, change)

    def read_state(self) -> LabelState:
        """Give the labels as the journal has them, not to be changed; arrays: `load_labels`."""
        return self._past.read()

    def put_state(self, state: LabelState, what: str) -> Self:
        """Make the labels what a state says, as one change.

        Parameters
        ----------
        state : LabelState
            A copy of that of `read_state`, changed.
        what : str
            The change in words, for `history`.
        """
        self._past.change(what, lambda now: find_steps(now, state))
        return self._renew()

    def add_keypoint(self, name: str, *, after: str | None = None) -> Self:
        """Add a keypoint: unmarked everywhere, last or after another one."""

        def change(state: LabelState) -> None:
            old = state.make_skeleton()
            names = list(old.keypoints)
            names.insert(len(names) if after is None else old.index(after) + 1, name)
            state.skeleton = replace(old, keypoints=tuple(names)).to_dict()

        return self._change(f"add keypoint {name}", change)

    def rename_keypoint(self, old: str, new: str) -> Self:
        """Call a keypoint otherwise; all its labels stay, and what waits to be labelled."""

        def make(state: LabelState) -> list[Step]:
            state.make_skeleton().renamed({old: new})
            return [{"rename": ["keypoint", old, new]}] if old != new else []

        self._past.change(f"rename keypoint {old} to {new}", make)
        return self._renew()

    def remove_keypoint(self, name: str) -> Self:
        """Remove a keypoint with its edges, its mirror pair and all its marks."""

        def change(state: LabelState) -> None:
            old = state.make_skeleton()
            old.index(name)
            kept = [i for i, k in enumerate(old.keypoints) if k != name]
            state.skeleton = old.take(np.array(kept, np.int64)).to_dict()
            state.drop_spots(lambda spot: spot[1] == name)

        return self._change(f"remove keypoint {name}", change)

    def add_landmark(self, name: str) -> Self:
        """Say that a keypoint belongs to no animal: the individual ``landmarks`` has it."""
        return self._change_landmark(name, True)

    def remove_landmark(self, name: str) -> Self:
        """Say that a keypoint belongs to animals after all."""
        return self._change_landmark(name, False)

    def _change_landmark(self, name: str, is_one: bool) -> Self:
        def change(state: LabelState) -> None:
            old = state.make_skeleton()
            old.index(name)
            used = {who for spots in state.marks.values() for who, what in spots if what == name}
            if odd := sorted(who for who in used if (who == LANDMARKS) != is_one):
                raise SettingsError(
                    f"{name} is marked of {odd[0]}: remove these marks before its owner changes"
                )
            marks = [n for n in old.landmarks if n != name] + [name] * is_one
            state.skeleton = replace(old, landmarks=tuple(marks)).to_dict()

        return self._change(f"{name} belongs to {'no' if is_one else 'an'} animal", change)

    def add_edge(self, first: str, second: str) -> Self:
        """Join two keypoints."""
        return self._change_pairs("edges", "add", (first, second))

    def remove_edge(self, first: str, second: str) -> Self:
        """Part two keypoints."""
        return self._change_pairs("edges", "remove", (first, second))

    def add_mirror(self, left: str, right: str) -> Self:
        """Say that two keypoints change places in a mirror."""
        return self._change_pairs("mirror", "add", (left, right))

    def remove_mirror(self, left: str, right: str) -> Self:
        """Say that two keypoints do not change places in a mirror."""
        return self._change_pairs("mirror", "remove", (left, right))

    def add_individual(self, name: str | None = None) -> Self:
        """Allow one more animal; with a name where animals have names."""

        def change(state: LabelState) -> None:
            if isinstance(state.individuals, int):
                if name is not None:
                    raise SettingsError("the animals of this project have no names: leave it out")
                state.individuals += 1
            else:
                if not name:
                    raise SettingsError("the animals of this project have names: give one")
                state.individuals = [*state.individuals, name]
            check_individuals(state.individuals)

        return self._change(f"add animal {name or ''}".strip(), change)

    def rename_individual(self, old: str, new: str) -> Self:
        """Call an animal otherwise; all its labels stay."""

        def make(state: LabelState) -> list[Step]:
            known = state.list_individuals()
            check_name("animal", old, known)
            if new in known or not new:
                raise SettingsError(f"animal: wanted a new name, came {new!r}")
            return [{"rename": ["individual", old, new]}]

        self._past.change(f"rename animal {old} to {new}", make)
        return self._renew()

    def remove_individual(self, name: str) -> Self:
        """Remove an animal with all its marks; without names, there is one animal less."""

        def change(state: LabelState) -> None:
            check_name("animal", name, state.list_individuals())
            individuals = state.individuals
            if isinstance(individuals, int):
                state.individuals = individuals - 1
            else:
                state.individuals = [i for i in individuals if i != name]
            check_individuals(state.individuals)
            state.columns = [i for i in state.columns if i != name]
            state.fill_columns()
            state.drop_spots(lambda spot: spot[0] == name)

        return self._change(f"remove animal {name}", change)

    def undo(self, *, since: int | None = None) -> Self:
        """Take back the last change that is not taken back yet, whoever made it.

        Parameters
        ----------
        since : int, optional
            As for `put_marks`; what others have changed after it is not taken back.

        Raises
        ------
        SettingsError
            If there is none.
        """
        self._past.undo(since=since)
        return self._renew()

    def redo(self, *, since: int | None = None) -> Self:
        """Make the change again that was taken back last.

        Parameters
        ----------
        since : int, optional
            As for `undo`.

        Raises
        ------
        SettingsError
            If there is none, or something was changed since.
        """
        self._past.redo(since=since)
        return self._renew()

    def restore(self, at: int | str) -> Self:
        """Bring back the labels as they were after a change, or at a time; undo takes it back.

        Parameters
        ----------
        at : int or str
            Number of a change, as `history` tells it, or a time in UTC: ``2026-11-29T12:00``.
        """
        self._past.read()
        self._past.restore(at)
        return self._renew()

    def history(self, last: int | None = None) -> list[Entry]:
        """List the changes, oldest first: number, time, account and words of each.

        Parameters
        ----------
        last : int, optional
            So many of the last ones; all by default. A million take some seconds.
        """
        self._past.look()
        return self._past.list_entries(last)

    def find_video(self, name: str) -> Path:
        """Find the file of a video by name."""
        raise NotImplementedError

    def _change(self, what: str, change: Callable[[LabelState], None]) -> Self:
        """Record what a function does to the state."""

        def make(state: LabelState) -> list[Step]:
            new = state.copy()
            change(new)
            return find_steps(state, new)

        self._past.change(what, make)
        return self._renew()

    def _renew(self) -> Self:
        """Give the project with the skeleton and the animals as they are now."""
        state = self._past.state
        individuals = state.individuals
        new: Any = replace(
            self,  # type: ignore[type-var]
            skeleton=state.make_skeleton() if state.skeleton else self.skeleton,
            individuals=individuals if isinstance(individuals, int) else tuple(individuals),
        )
        object.__setattr__(new, "_past", self._past)
        return new

    def _take_pictures(self, video: str, frames: Iterable[int]) -> None:
        """Write frames of a video as pictures, where they are not there yet."""
        places = {n: self.path / "labels" / video / name_image(n) for n in frames}
        missing = {number: place for number, place in places.items() if not place.exists()}
        if missing:
            with Video(self.find_video(video)) as opened:
                for number, place in missing.items():
                    write_image(opened.read(number), place)

    def _set_marks(
        self,
        verb: str,
        video: str,
        frame: int | str,
        keypoints: list[str],
        individual: str | None,
        find: Callable[[Mark | None, str], Mark | None],
    ) -> Self:
        """Change the marks of some keypoints of one animal; only these are looked at."""

        def tell(state: LabelState) -> str:
            who = _choose_individual(state, individual)
            return f"{verb} {_list_some(keypoints)} of {who} in {video}:{frame}"

        def make(state: LabelState) -> list[Step]:
            key, skeleton = state.find_frame(video, frame), state.make_skeleton()
            name = _choose_individual(state, individual)
            spots = state.marks.get(key, {})
            changes = []
            for keypoint in keypoints:
                skeleton.index(keypoint)
                before = spots.get((name, keypoint))
                after = find(before, keypoint)
                if after != before:
                    changes.append([name, keypoint, before, after])
            if not changes:
                return []
            steps: list[Step] = [{"marks": [[*key, changes]]}]
            if name not in state.columns:
                steps.insert(0, {"columns": [state.columns, [*state.columns, name]]})
            return steps

        self._past.change(tell, make)
        return self._renew()

    def _change_pairs(self, what: str, verb: str, pair: tuple[str, str]) -> Self:
        def change(state: LabelState) -> None:
            old = state.make_skeleton()
            for name in pair:
                old.index(name)
            pairs = list(getattr(old, what))
            if verb == "add":
                pairs.append(pair)
            else:
                kept = [p for p in pairs if set(p) != set(pair)]
                if kept == pairs:
                    raise SettingsError(f"{what}: there is no {pair[0]}-{pair[1]}")
                pairs = kept
            parts: dict[str, Any] = {what: pairs}
            state.skeleton = replace(old, **parts).to_dict()

        return self._change(f"{verb} {what} {pair[0]}-{pair[1]}", change)


def _choose_individual(state: LabelState, name: str | None) -> str:
    known = state.list_individuals()
    if name is not None:
        check_name("animal", name, known)
        return name
    if len(known) > 1:
        raise SettingsError(f"individual: wanted one of {', '.join(known)}, came none")
    return known[0]


def _list_some(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    more = f" and {len(words) - _TOLD} more" if len(words) > _TOLD else ""
    return ", ".join(words[:_TOLD]) + more


def _copy_file(source: Path, place: Path) -> None:
    """Give a file a second name; a copy where the disk knows no links."""
    try:
        os.link(source, place)
    except OSError:
        place.write_bytes(source.read_bytes())
