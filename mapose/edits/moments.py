"""From "these two are swapped from here on" to who was where before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mapose.arrays import AnyFloats, Bools, Ints
from mapose.doubts import Doubt
from mapose.edits.records import Edit, Sighting, Sightings, find_body_length
from mapose.errors import SettingsError, ShapeError, suggest_name
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.similarity import find_centres

Seen = tuple[Sightings, Sightings]

# An animal that is missed for less than this still is about where it was.
_HOLD_SECONDS, _HOLD_FRAMES = 1.0, 25
# How far apart the centres of two must be to be told apart, in body lengths; half of it where the
# tracker says when it was in doubt.
_APART = 0.25
# So many times as long one looks for a frame in which they can be found again.
_REACH = 3
# In so many frames each is seen.
_SIGHTINGS = 3


def make_edit(
    poses: Poses,
    individuals: Sequence[str],
    *,
    frame: int,
    kind: str = "swap",
    edits: Sequence[Edit] = (),
    doubts: Sequence[Doubt] = (),
) -> Edit:
    """Make an edit about two animals, with their places before and after the moment.

    The places are taken where the two can be told apart: before the encounter at or before the
    frame, however long ago that was, and at the first clear frame after it. So an edit made long
    after the encounter in which names went wrong still speaks of that encounter.

    Parameters
    ----------
    poses : Poses
        As a person saw them, that is with the edits made so far.
    individuals : (str, str)
        Names of the two, as they are now.
    frame : int
        First video frame from which on names are to be exchanged, or with ``"keep"`` a frame in
        the doubtful moment.
    kind : {"swap", "keep"}
        Whether the two are swapped or rightly named.
    edits : sequence of Edit
        Those made so far: places are not taken from beyond one about the same animals.
    doubts : sequence of Doubt
        Doubtful moments, with the names as they are now. If the frame is in one about these
        two, places are taken before and after all of it.

    Returns
    -------
    Edit

    Raises
    ------
    ShapeError
        If a name or the frame is not there.
    SettingsError
        If neither of the two is seen before and after the frame.
    """
    pair = _find_row(poses, individuals[0]), _find_row(poses, individuals[1])
    row = _find_frame(poses, frame)
    low, high = _find_limits(poses, individuals, frame, edits)
    moment = [d for d in doubts if set(d.individuals) == set(individuals)]
    moment = [d for d in moment if d.first <= frame <= d.last]
    view = _View.from_poses(poses, pair, apart=_APART / 2 if moment else _APART)
    if moment:
        span = min(d.first for d in moment), max(d.last for d in moment) + 1
        begin, end = np.searchsorted(poses.frames, span)
        back, forth = np.arange(begin - 1, low - 1, -1), np.arange(end, high)
    else:
        back, forth = view.find_way_back(row, low), np.arange(row, high)
    before = view.find_apart(back) or view.find_each(np.arange(row - 1, -1, -1))
    after = view.find_apart(forth) or view.find_each(np.arange(row, len(poses)))
    if kind == "swap":
        after = after[::-1]
    edit = Edit(frame, (individuals[0], individuals[1]), kind, before, after)
    if not edit.links:
        raise SettingsError(
            f"{' and '.join(individuals)} cannot be told apart around frame {frame}: none of them "
            "is seen both before and after it"
        )
    return edit


def name_individual(poses: Poses | Parts, old: str, *, new: str, frame: int | None = None) -> Edit:
    """Make an edit that gives an individual another name throughout.

    Parameters
    ----------
    poses : Poses or Parts
        With the edits made so far.
    old, new : str
        The name it has and the name it gets.
    frame : int, optional
        A frame in which it certainly is this animal; by default the one in which its name is
        most likely right.

    Raises
    ------
    ShapeError
        If there is no such individual or frame.
    SettingsError
        If the name is taken, or the individual is never seen (in this frame).
    """
    parts = Parts.of(poses)
    who = _find_row(parts, old)
    if new in parts.names:
        raise SettingsError(f"{new} is the name of another one already; swap them, or choose anew")
    row = _find_surest(parts, who) if frame is None else _find_frame(parts, frame)
    few = parts.read(slice(row, row + _SIGHTINGS))
    centres = find_centres(few.points[:, who].astype(np.float64))
    seen = np.asarray(np.isfinite(centres).all(-1))
    if not seen[:1].any():
        where = "in any frame" if frame is None else f"in frame {frame}"
        raise SettingsError(f"{old} is not seen {where}: choose another --frame")
    after = (_see(few, centres, np.flatnonzero(seen)), ())
    return Edit(int(few.frames[0]), (old, new), "name", after=after)


def _find_surest(parts: Parts, who: int) -> int:
    """Find the first row in which the name of one is most likely right; 0 if it is never seen."""
    best, most = 0, -1.0
    for rows, part in zip(parts.cut(), parts, strict=True):
        seen = np.isfinite(find_centres(part.points[:, who].astype(np.float64))).all(-1)
        sure = np.ones(len(part)) if part.identity is None else part.identity[:, who]
        sure = np.where(seen, np.nan_to_num(sure), -1.0)
        if len(sure) and sure.max() > most:
            best, most = rows.start + int(np.argmax(sure)), float(sure.max())
    return best


def split_track(poses: Poses, name: str, *, new: str, frame: int) -> Edit:
    """Make an edit by which a track is another animal from a frame on.

    Parameters
    ----------
    poses : Poses
        With the edits of names made so far, frames around this one at least.
    name, new : str
        What the track is called, and what it is called from the frame on.
    frame : int
        First video frame of the other animal.

    Raises
    ------
    ShapeError
        If there is no such individual or frame.
    SettingsError
        If the new name is taken, or the track is not there both before and after.
    """
    who = _find_row(poses, name)
    if new in poses.names:
        raise SettingsError(f"{new} is the name of another one already: choose another name")
    row = _find_frame(poses, frame)
    centres = find_centres(poses.points[:, who].astype(np.float64))
    seen = np.flatnonzero(np.isfinite(centres).all(-1))
    before, after = seen[seen < row][-_SIGHTINGS:][::-1], seen[seen >= row][:_SIGHTINGS]
    if not (len(before) and len(after)):
        raise SettingsError(
            f"{name} is not seen both before frame {frame} and from there on: nothing to split"
        )
    places = _see(poses, centres, before), _see(poses, centres, after)
    return Edit(frame, (name, new), "split", (places[0], ()), (places[1], ()))


def join_tracks(earlier: Poses, later: Poses, individuals: Sequence[str], *, kept: str) -> Edit:
    """Make an edit by which two tracks, one after the other, are the same animal.

    Parameters
    ----------
    earlier, later : Poses
        The last frames of the track that ends and the first ones of that which begins, with the
        edits of names made so far.
    individuals : (str, str)
        The track that ends and the one that begins.
    kept : str
        Which of the names stays.
    """
    seen = []
    for poses, name in zip((earlier, later), individuals, strict=True):
        centres = find_centres(poses.points[:, _find_row(poses, name)].astype(np.float64))
        rows = np.flatnonzero(np.isfinite(centres).all(-1))
        seen.append(_see(poses, centres, rows))
    before, after = seen[0][::-1][:_SIGHTINGS], seen[1][:_SIGHTINGS]
    if not (before and after):
        raise SettingsError(f"{' and '.join(individuals)} are not seen where they could be joined")
    gone = next(name for name in individuals if name != kept)
    return Edit(after[0].frame, (kept, gone), "join", (before, ()), (after, ()))


def edit_individual(
    poses: Poses,
    name: str,
    *,
    frame: int,
    last: int | None = None,
    keypoint: str = "",
    place: Sequence[float] | None = None,
) -> Edit:
    """Make an edit that moves a keypoint, or deletes one or a whole individual over a span.

    Parameters
    ----------
    poses : Poses
        With the edits of names made so far, but none of points: by its place there the individual
        is found again.
    name : str
        What the individual is called.
    frame, last : int
        Video frames from which on and up to which; one by default.
    keypoint : str
        Which one; empty = the whole individual.
    place : sequence of float, (2,) or (3,), optional
        Where the keypoint is, in the unit of the poses; nothing = it is not there.

    Raises
    ------
    ShapeError
        If there is no such individual, keypoint or frame.
    SettingsError
        If a place is given without a keypoint, or is none.
    """
    who = _find_row(poses, name)
    first = _find_frame(poses, frame)
    if keypoint and keypoint not in poses.skeleton.keypoints:
        hint = suggest_name(keypoint, poses.skeleton.keypoints)
        raise ShapeError(f"no keypoint {keypoint!r} here: {hint}")
    stop = int(np.searchsorted(poses.frames, frame if last is None else last, side="right"))
    centres = find_centres(poses.points[:, who].astype(np.float64))
    seen = first + np.flatnonzero(np.isfinite(centres[first:stop]).all(-1))
    if len(seen) > _SIGHTINGS:
        seen = seen[np.linspace(0, len(seen) - 1, _SIGHTINGS).astype(int)]
    before = (_see(poses, centres, seen), ())
    if place is None:
        return Edit(frame, (name, ""), "delete", before, last=last, keypoint=keypoint)
    there = tuple(round(float(x), 2) for x in place)
    if len(there) != poses.dimensions or not np.isfinite(there).all():
        raise SettingsError(f"wanted a place of {poses.dimensions} numbers, came {list(place)}")
    if last is not None:
        raise SettingsError("a keypoint is moved in one frame at a time")
    moved = ((Sighting(frame, there),), ())
    return Edit(frame, (name, ""), "move", before, moved, keypoint=keypoint)


@dataclass(frozen=True, eq=False)
class _View:
    """Two animals among the others, frame by frame.

    Attributes
    ----------
    poses : Poses
        Of all.
    centres : float64, (F, 2, d)
        Of the two; NaN = missing.
    clear : bool, (F,)
        Whether there is no doubt who of the two is who, for the step that leads into a frame:
        the way that they go as they are named is shorter, by some part of a body length for
        each, than if they changed places.
    room : float64, (F,)
        How far the nearest other animal is from either of them; NaN = not both there.
    enough : float
        As much room as one needs to find them again.
    """

    poses: Poses
    centres: AnyFloats
    clear: Bools
    room: AnyFloats
    enough: float

    @classmethod
    def from_poses(cls, poses: Poses, pair: tuple[int, int], *, apart: float) -> _View:
        everybody = find_centres(poses.points.astype(np.float64))
        length = find_body_length(poses)
        least = 2 * apart * length if np.isfinite(length) else 0.0
        both = everybody[:, list(pair)]
        room = np.full(len(poses), np.inf)
        for one in pair:
            away = np.linalg.norm(everybody - everybody[:, one : one + 1], axis=-1)
            away[:, one] = np.nan
            room = np.fmin(room, np.fmin.reduce(away, axis=1))
        room[~np.isfinite(both).all((1, 2))] = np.nan
        clear = _find_gain(_hold(both, _find_hold(poses))) > least
        return cls(poses, both, clear, room, length / 2)

    def find_way_back(self, row: int, low: int) -> Ints:
        """List the rows before the encounter that ``row`` belongs to, or that was last before."""
        doubtful = np.flatnonzero(~self.clear[low + 1 : row + 1]) + low + 1
        end = int(doubtful[-1]) if len(doubtful) else row
        return np.arange(end - 1, low - 1, -1)

    def find_apart(self, way: Ints) -> Seen | None:
        """See both where they can be told apart, on a way of rows that leads off the moment.

        Of the seconds after they first can, as long as that lasts: the first frame in which they
        are half a body length from all others, else that in which they are farthest, and some
        after it. There they are found again, whoever tracks them, and there a person sees who is
        who (`mapose.results.correcting.find_span`). None if there is no such frame.
        """
        start = np.flatnonzero((self.clear & np.isfinite(self.room))[way])
        if not len(start):
            return None
        hold = _find_hold(self.poses)
        stretch = way[start[0] : start[0] + _REACH * hold]
        doubtful = np.flatnonzero(~self.clear[stretch[1:]])
        stretch = stretch[: doubtful[0] + 1] if len(doubtful) else stretch
        stretch = stretch[np.isfinite(self.room[stretch])]
        best = int(np.argmax(np.minimum(self.room[stretch], self.enough)))
        later = stretch[best : best + hold]
        rows = later[np.unique(np.linspace(0, len(later) - 1, _SIGHTINGS).astype(int))]
        return _see(self.poses, self.centres[:, 0], rows), _see(
            self.poses, self.centres[:, 1], rows
        )

    def find_each(self, way: Ints) -> Seen:
        """See each of them in the first row of a way in which it is there."""
        seen = [way[np.isfinite(self.centres[way, k]).all(-1)][:1] for k in (0, 1)]
        a, b = (_see(self.poses, self.centres[:, k], rows) for k, rows in enumerate(seen))
        return a, b


def _find_gain(held: AnyFloats) -> AnyFloats:
    """Find how much farther two animals would have gone had they changed places; (F, 2, d)."""
    past = np.concatenate([held[:1], held[:-1]])
    own = np.linalg.norm(held - past, axis=-1).sum(-1)
    other = np.linalg.norm(held - past[:, ::-1], axis=-1).sum(-1)
    return np.asarray(other - own)


def _hold(centres: AnyFloats, hold: int) -> AnyFloats:
    """Fill gaps of up to ``hold`` frames with the last place: about there an animal still is."""
    count = np.arange(len(centres))[:, None]
    seen = np.isfinite(centres).all(-1)
    last = np.maximum.accumulate(np.where(seen, count, -1), axis=0)
    held = np.take_along_axis(centres, np.maximum(last, 0)[..., None], axis=0)
    return np.where(((last >= 0) & (count - last <= hold))[..., None], held, np.nan)


def _find_hold(poses: Poses) -> int:
    return round(_HOLD_SECONDS * poses.rate) if poses.rate else _HOLD_FRAMES


def _see(poses: Poses, centres: AnyFloats, rows: Ints) -> Sightings:
    """See one animal, with centres (F, d), in some rows."""
    places = np.round(centres[rows], 2).tolist()
    frames = poses.frames[rows].tolist()
    return tuple(Sighting(f, tuple(place)) for f, place in zip(frames, places, strict=True))


def _find_limits(
    poses: Poses, individuals: Sequence[str], frame: int, edits: Sequence[Edit]
) -> tuple[int, int]:
    """Find the rows of the neighbouring edits about the same animals."""
    spoken: list[tuple[int, set[str]]] = []
    for edit in edits:
        if edit.kind == "name":  # what was called so before is called otherwise now
            old, new = edit.individuals
            spoken = [(f, {new if n == old else n for n in names}) for f, names in spoken]
        elif edit.kind == "join":
            kept, gone = edit.individuals
            spoken = [(f, {kept if n == gone else n for n in names}) for f, names in spoken]
        elif edit.kind in ("swap", "keep"):
            spoken.append((edit.frame, set(edit.individuals)))
    about = [f for f, names in spoken if names & set(individuals)]
    low = max((f for f in about if f < frame), default=int(poses.frames[0]))
    high = min((f for f in about if f > frame), default=int(poses.frames[-1]) + 1)
    return int(np.searchsorted(poses.frames, low)), int(np.searchsorted(poses.frames, high))


def _find_row(poses: Poses | Parts, name: str) -> int:
    if name not in poses.names:
        raise ShapeError(f"no individual {name!r} here: {suggest_name(name, poses.names)}")
    return poses.names.index(name)


def _find_frame(poses: Poses | Parts, frame: int) -> int:
    row = int(np.searchsorted(poses.frames, frame))
    if row == len(poses) or poses.frames[row] != frame:
        held = f"{poses.frames[0]} to {poses.frames[-1]}" if len(poses) else "none"
        raise ShapeError(f"no frame {frame} here; there are {held}")
    return row
