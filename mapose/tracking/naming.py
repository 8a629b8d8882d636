"""Tracklets into named rows: join them, weigh the doubtful moments, say how sure every name is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mapose.poses import Poses
from mapose.tracking.contacts import Contact
from mapose.tracking.encounters import Encounter
from mapose.tracking.evidence import weigh_events
from mapose.tracking.histories import Event, score_names
from mapose.tracking.stitching import score_joins, stitch
from mapose.tracking.tracklets import Tracklets, TrackletSummaries

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: What is less likely than this is not a contact worth keeping.
_NEGLIGIBLE = 1e-4
#: Nats of the motion across a gap that make one nat of log-odds; fitted on drawn scenes.
_TEMPER = 0.5


@dataclass(frozen=True, eq=False)
class Naming:
    """Which tracklets are whose, where that is in doubt, and how much.

    Attributes
    ----------
    mapping : int64, (highest id + 1,)
        Row of each tracklet; -1 = nobody. For `arrange`.
    events : tuple of Event
        Moments at which two rows may have changed places.
    knots : tuple of (int64, float64), per row
        Frames and probabilities between which `add_identity` draws straight lines.
    """

    mapping: Ints
    events: tuple[Event, ...]
    knots: tuple[tuple[Ints, Floats], ...]

    def add_identity(self, poses: Poses) -> Poses:
        """Give arranged poses their `identity`: how likely each name is right, NaN = absent."""
        identity = np.full(poses.array.shape[:2], np.nan, np.float32)
        for row, (knot, value) in enumerate(self.knots):
            if len(knot):
                identity[:, row] = np.interp(poses.frames, knot, value)
        identity[~np.isfinite(poses.points).all(-1).any(-1)] = np.nan
        return replace(poses, identity=identity)

    def list_contacts(self, names: Sequence[str]) -> list[Contact]:
        """List the events as contacts between the rows of these names, in time."""
        contacts = []
        for event in self.events:
            if event.probability >= _NEGLIGIBLE:
                odds = float(np.log(event.probability) - np.log1p(-event.probability))
                pair = (names[event.rows[0]], names[event.rows[1]])
                contacts.append(Contact(event.first, event.last, pair, (0.0, odds)))
        return sorted(contacts, key=lambda c: (c.first, c.last, c.individuals))


def name_tracklets(
    summaries: TrackletSummaries,
    encounters: Sequence[Encounter] = (),
    *,
    individuals: int | None = None,
    min_frames: int = 10,
) -> Naming:
    """Join tracklets into individuals and find how likely every name is right.

    Parameters
    ----------
    summaries : TrackletSummaries
        All tracklets of the recording.
    encounters : sequence of Encounter
        Where tracklets were cut because they could hardly be told apart
        (`Tracker.encounters`).
    individuals, min_frames
        As for `stitch`.

    Returns
    -------
    Naming
    """
    mapping = stitch(
        summaries, individuals=individuals, min_frames=min_frames, encounters=encounters
    )
    tracklets = summaries.to_arrays()
    row = mapping[tracklets.ids] if len(tracklets) else np.empty(0, np.int64)
    events = [*_find_crossings(tracklets, row, encounters), *_find_gaps(tracklets, row, encounters)]
    events.sort(key=lambda e: (e.begin, e.rows))
    row, events = weigh_events(tracklets.first, row, events, tracklets.looks)
    mapping[tracklets.ids] = row
    right = score_names(tracklets.first, tracklets.n, row, events)
    knots = _find_knots(tracklets, row, right, events)
    return Naming(mapping, tuple(events), knots)


def _find_crossings(
    tracklets: Tracklets, row: Ints, encounters: Sequence[Encounter]
) -> list[Event]:
    """Find where rows changed places or not in an encounter, as they were joined."""
    place = {int(who): int(r) for who, r in zip(tracklets.ids, row, strict=True)}
    events = []
    for met in encounters:
        before = [place.get(who, -1) for who in met.before]
        after = [place.get(who, -1) for who in met.after]
        if before[0] < 0 or before[1] < 0 or before[0] == before[1]:
            continue
        known = [(b, a) for b, a in zip(before, after, strict=True) if a >= 0]
        if all(b == a for b, a in known) and known:
            odds = met.odds
        elif all(a in before for _, a in known) and known:
            odds = -met.odds
        else:
            continue
        chance = float(np.exp(-np.logaddexp(0, odds)))
        rows = (min(before), max(before))
        events.append(Event(met.first, met.last, met.end, rows, chance))
    return events


def _find_gaps(tracklets: Tracklets, row: Ints, encounters: Sequence[Encounter]) -> list[Event]:
    """Find where two animals that were out of sight may have come back in each other's row."""
    linked = {(b, a) for met in encounters for b in met.before for a in met.after if a >= 0}
    ends, starts = [], []
    for r in range(int(row.max(initial=-1)) + 1):
        path = np.flatnonzero(row == r)
        for x, y in zip(path[:-1].tolist(), path[1:].tolist(), strict=True):
            if (int(tracklets.ids[x]), int(tracklets.ids[y])) not in linked:
                ends.append(x)
                starts.append(y)
    x, y = np.array(ends, np.int64), np.array(starts, np.int64)
    order = np.argsort(tracklets.first[y], kind="stable")
    x, y = x[order], y[order]
    events = []
    for k in range(len(x)):
        # Gaps that are open at the same time: either could have come out of the other.
        later = np.arange(k + 1, len(x))
        open_ = (tracklets.last[x[later]] < tracklets.first[y[k]]) & (row[x[later]] != row[x[k]])
        rivals = later[open_]
        if not len(rivals):
            continue
        own, other = np.full(len(rivals), k), rivals
        straight = score_joins(tracklets, x[own], y[own]) + score_joins(
            tracklets, x[other], y[other]
        )
        crossed = score_joins(tracklets, x[own], y[other]) + score_joins(
            tracklets, x[other], y[own]
        )
        chances = np.exp(-np.logaddexp(0, _TEMPER * (crossed - straight)))
        for rival, chance in zip(rivals.tolist(), chances.tolist(), strict=True):
            first = max(tracklets.last[x[k]], tracklets.last[x[rival]])
            begin = int(tracklets.first[y[k]])
            pair = sorted((int(row[x[k]]), int(row[x[rival]])))
            events.append(Event(min(int(first), begin), begin, begin, (pair[0], pair[1]), chance))
    return [event for event in events if event.probability >= _NEGLIGIBLE]


def _find_knots(
    tracklets: Tracklets, row: Ints, right: Floats, events: Sequence[Event]
) -> tuple[tuple[Ints, Floats], ...]:
    """Find between which points the probability of each row runs straight."""
    rows = int(row.max(initial=-1)) + 1
    # A tracklet that comes out of an event has its own probability from the end of it already.
    early = {(e.begin, r): e for e in events for r in e.rows}
    knots = []
    for r in range(rows):
        path = np.flatnonzero(row == r)
        frame, value, former = [], [], np.nan
        for j in path.tolist():
            event = early.get((int(tracklets.first[j]), r))
            if event is not None and np.isfinite(former):
                frame.append(event.first)
                value.append(former)
            frame.append(int(tracklets.first[j]) if event is None else event.last + 1)
            value.append(float(right[j]))
            former = float(right[j])
            frame.append(int(tracklets.last[j]) if event is None or j == path[-1] else frame[-1])
            value.append(former)
        when = np.maximum.accumulate(np.array(frame, np.int64))
        knots.append((when, np.array(value)))
    return tuple(knots)
