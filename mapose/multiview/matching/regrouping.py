"""Look afresh: start tracks, find lost ones, and put right those whose cameras disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import Bools, Floats, Ints
from mapose.multiview.matching.grouping import find_groups, score_groups
from mapose.multiview.matching.likelihood import Scales
from mapose.multiview.matching.observations import Frame
from mapose.multiview.matching.tracks3d import Bodies

#: Frames with one camera only after which an animal may be somewhere else along the line of sight.
_ALONE = 15
#: Tracks that never more than two cameras see at once can be mistaken for good: any two lines of
#: sight nearly meet. After so many frames without a third camera they are checked, every so many
#: frames, and changed after so many checks in a row that speak against them.
_THIN, _CHECK, _VOTES = 10, 3, 3
#: Evidence, as a logarithm, that makes an animal of a group of detections, one animal of two tracks
#: that one camera each has been following, and that speaks against a track.
_BIRTH, _MERGER, _AGAINST = 4.0, 8.0, 3.0
#: Standard deviation of a new animal's velocity, in half body lengths per frame.
_SPEED = 0.2


@dataclass(frozen=True)
class _Group:
    """Detections that are one animal: slots (V,), keypoints (K, 3), evidence, tracks so far."""

    members: Ints
    points: Floats
    score: float
    tracks: frozenset[int]


class Regrouping:
    """Keep the tracks in line with what the cameras of a frame agree on.

    Parameters
    ----------
    bodies : Bodies
        The tracks; changed in place.
    scales : Scales
        Sizes and noise; learns the length of a body from the first one.

    Attributes
    ----------
    mergers : list of (int, int)
        Tracks that turned out to be another one: (track, the other one).
    moves : list of (int, int, int, int, int)
        2D tracklets that turned out to belong to another track: (tracklet, track until now,
        track from now on, last row in which it was right, this row).
    """

    def __init__(self, bodies: Bodies, scales: Scales) -> None:
        self.bodies, self.scales = bodies, scales
        self.mergers: list[tuple[int, int]] = []
        self.moves: list[tuple[int, int, int, int, int]] = []
        self._next = 0
        self._votes: dict[int, int] = {}
        self._confirmed: dict[int, int] = {}

    def look(self, frame: Frame, tracks: Ints, free: Bools, *, tracklets2d: Ints, row: int) -> None:
        """Group what nobody took, and what is doubtful about the tracks.

        Parameters
        ----------
        frame : Frame
            Detections (V, S, K).
        tracks : int64, (V, S)
            Track of each detection, changed in place; -1 = none.
        free : bool, (V, S)
            Detections without a track that may become one.
        tracklets2d : int64, (V, S)
            2D tracklet of each detection.
        row : int
            Number of the frame.
        """
        bodies, scales = self.bodies, self.scales
        lost = bodies.ids[bodies.alone >= _ALONE]
        checked = bodies.ids[(bodies.thin >= _THIN) & (bodies.alone < _ALONE) & (row % _CHECK == 0)]
        held = (tracks >= 0) & (np.isin(tracks, lost) | np.isin(tracks, checked))
        if (free | held).any(-1).sum() < 2:
            return
        found = find_groups(frame, free | held, scales.noise, area=scales.area)
        groups = [
            _Group(members, points, score, _list_tracks(tracks, members))
            for members, points, score in zip(*found, strict=True)
            if score > _BIRTH and _count_known(points) >= min(3, points.shape[0])
        ]
        if not groups:
            return
        self._measure_bodies(frame, groups)
        sound, contested = self._sort(groups, tracks, lost=set(lost), frame=frame, row=row)
        used: set[int] = set()
        before = tracks.copy()
        for group in sound + contested:
            self._claim(group, tracks, used, tracklets2d=tracklets2d, row=row)
        self._drop_empty(before, tracks, contested + sound, used)

    def _sort(
        self, groups: list[_Group], tracks: Ints, *, lost: set[int], frame: Frame, row: int
    ) -> tuple[list[_Group], list[_Group]]:
        """Pick the groups that are believed at once, and those that were voted for."""
        sound, contested = [], []
        confirmed: set[int] = set()
        for group in groups:
            if group.tracks <= lost:
                if len(group.tracks) < 2 or group.score > _MERGER:
                    sound.append(group)
            elif len(group.tracks) == 1 and _holds_all(group, tracks):
                confirmed |= group.tracks
            else:
                contested.append(group)
        accused = set().union(*(g.tracks for g in contested))
        if contested:
            now = score_groups(
                frame, _list_members(tracks, accused), self.scales.noise, area=self.scales.area
            )
            if sum(g.score for g in contested) - now[now > 0].sum() < _AGAINST:
                confirmed |= accused
                contested = []
        for track in confirmed:
            self._votes[track], self._confirmed[track] = 0, row
        for track in accused - confirmed:
            self._votes[track] = self._votes.get(track, 0) + 1
        if min((self._votes[t] for t in accused), default=0) < _VOTES:
            contested = []
        return sound, contested

    def _claim(
        self, group: _Group, tracks: Ints, used: set[int], *, tracklets2d: Ints, row: int
    ) -> None:
        """Give the detections of a group to the oldest of its tracks, or to a new one."""
        bodies, body = self.bodies, 0.5 * self.scales.length
        views = np.flatnonzero(group.members >= 0)
        slots = group.members[views]
        rows = np.flatnonzero(np.isin(bodies.ids, list(group.tracks - used)))
        if len(rows):
            row_of = rows[bodies.hits[rows].argmax()]
            track = int(bodies.ids[row_of])
            bodies.relocate(row_of, group.points, body=body)
        else:
            track, self._next = self._next, self._next + 1
            bodies.start(np.array([track]), group.points[None], body=body, speed=_SPEED * body)
            bodies.thin[-1] = 0 if len(views) > 2 else _THIN
        used.add(track)
        self._votes[track] = 0
        for view, slot in zip(views, slots, strict=True):
            former = int(tracks[view, slot])
            if former >= 0 and former != track:
                since = max(self._confirmed.get(former, -1), self._confirmed.get(track, -1))
                self.moves.append((int(tracklets2d[view, slot]), former, track, since, row))
            tracks[view, slot] = track

    def _drop_empty(self, before: Ints, tracks: Ints, groups: list[_Group], used: set[int]) -> None:
        """Forget tracks whose detections all went to others."""
        for group in groups:
            for track in group.tracks - used:
                if (tracks == track).any():
                    continue
                heirs = tracks[before == track]
                self.mergers.append((track, int(heirs[0])))
                self.bodies.keep(self.bodies.ids != track)

    def _measure_bodies(self, frame: Frame, groups: list[_Group]) -> None:
        """Learn the length of a body in space from its length in the images."""
        if self.scales.length:
            return
        lengths = []
        for group in groups:
            known = np.isfinite(group.points).all(-1)
            centre = group.points[known].mean(0)
            for v in np.flatnonzero(group.members >= 0):
                s = group.members[v]
                k = int(frame.seen[v, s].argmax())
                depth = (frame.axes[v, s, k] @ centre - frame.origin[v, s, k])[2]
                lengths.append(self.scales.size[v] * depth / frame.focal[v])
        self.scales.length = float(np.median(lengths))


def _count_known(points: Floats) -> int:
    return int(np.isfinite(points).all(-1).sum())


def _list_tracks(tracks: Ints, members: Ints) -> frozenset[int]:
    """List the tracks that hold detections of a group (V,)."""
    views = np.flatnonzero(members >= 0)
    held = tracks[views, members[views]]
    return frozenset(int(t) for t in held if t >= 0)


def _holds_all(group: _Group, tracks: Ints) -> bool:
    """Tell whether a group has all detections of its only track."""
    (only,) = group.tracks
    views, slots = np.nonzero(tracks == only)
    return bool((group.members[views] == slots).all())


def _list_members(tracks: Ints, wanted: set[int]) -> Ints:
    """List the detections of some tracks, (N, V); -1 = none."""
    members = np.full((len(wanted), len(tracks)), -1)
    for row, track in enumerate(wanted):
        views, slots = np.nonzero(tracks == track)
        members[row, views] = slots
    return members
