"""Where animals are: in which zones, how often they come there, and when first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from mapose.arrays import Bools, Floats
from mapose.bouts import Bout, BoutGatherer
from mapose.errors import SettingsError
from mapose.kinematics.motion import find_distances_travelled, find_positions, find_rate
from mapose.poses import Poses
from mapose.zones import Zone

#: Seconds: the shortest visit that counts, the longest absence that is passed over.
TIMES = (0.2, 0.2)


@dataclass(frozen=True)
class ZoneUse:
    """How an animal used a zone.

    Parameters
    ----------
    zone, individual : str
        Names.
    seconds : float
        Time in it.
    share : float
        Of the time in which the animal was seen; NaN if it never was.
    entries : int
        Visits; one that has begun when the recording begins counts.
    latency : float
        Seconds from the beginning of the recording to the first visit; NaN if there was none.
    distance : float
        Way in it, in the unit of the poses.
    """

    zone: str
    individual: str
    seconds: float
    share: float
    entries: int
    latency: float
    distance: float

    def to_dict(self) -> dict[str, Any]:
        """Give plain values; None for NaN."""
        return {k: None if v != v else v for k, v in vars(self).items()}


def find_in_zones(poses: Poses, zones: Sequence[Zone]) -> dict[str, Bools]:
    """Find in which frames the animals are in which zone.

    Parameters
    ----------
    poses : Poses
        In the unit of the zones; of 3D poses the first two coordinates count. The body centre
        decides; for another point hand in ``poses.sel(keypoint="nose")``.
    zones : sequence of Zone
        They may overlap.

    Returns
    -------
    dict of str to bool, (F, I)
        By zone.

    Raises
    ------
    SettingsError
        If two zones have one name.
    """
    names = [zone.name for zone in zones]
    if len(set(names)) < len(names):
        raise SettingsError(f"zones: wanted different names, came {', '.join(names)}")
    centres = find_positions(poses)
    return {zone.name: zone.contains(centres) for zone in zones}


def find_visits(
    poses: Poses, zones: Sequence[Zone], *, min_duration: float = 0.2, max_gap: float = 0.2
) -> dict[str, list[Bout]]:
    """Find the visits of the animals to zones.

    Parameters
    ----------
    poses, zones
        As for `find_in_zones`; the poses with a rate.
    min_duration, max_gap : float
        Seconds: shorter visits do not count, shorter absences are passed over, so that an animal
        that sits on the border does not come and go all the time.

    Returns
    -------
    dict of str to list of Bout
        By zone and time.
    """
    times = min_duration, max_gap
    gatherers = gather_visits(zones, poses.names, rate=find_rate(poses), times=times)
    for name, inside in find_in_zones(poses, zones).items():
        gatherers[name].add(poses.frames, inside)
    return {name: gatherer.list_bouts() for name, gatherer in gatherers.items()}


def gather_visits(
    zones: Sequence[Zone], names: Sequence[str], *, rate: float, times: tuple[float, float] = TIMES
) -> dict[str, BoutGatherer]:
    """Prepare to gather the visits to each zone, run after run of frames."""
    return {zone.name: BoutGatherer([(who,) for who in names], rate, times=times) for zone in zones}


def find_zone_use(
    poses: Poses, zones: Sequence[Zone], *, min_duration: float = 0.2, max_gap: float = 0.2
) -> list[ZoneUse]:
    """Find how long, how often and how early animals are in zones.

    Parameters
    ----------
    poses, zones, min_duration, max_gap
        As for `find_visits`. Time is that of all frames in the zone, also of those that are too
        few for a visit.

    Returns
    -------
    list of ZoneUse
        By zone, then by animal.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> walk = np.ones((10, 1, 1, 3))
    >>> walk[:, 0, 0, 0] = np.arange(10)
    >>> nest = Zone("nest", [[4.5, 0], [8.5, 0], [8.5, 5], [4.5, 5]])
    >>> use = find_zone_use(Poses(walk, Skeleton(["nose"]), ["ann"], rate=2), [nest])[0]
    >>> use.seconds, use.entries, use.latency, use.distance
    (2.0, 1, 2.5, 3.0)
    """
    times = min_duration, max_gap
    gatherer = UseGatherer(zones, poses.names, rate=find_rate(poses), times=times)
    gatherer.add(poses, find_in_zones(poses, zones), find_distances_travelled(poses))
    return gatherer.list_uses()


class UseGatherer:
    """How zones are used, gathered from one run of frames after the other.

    Parameters
    ----------
    zones, times
        As for `find_zone_use`, the times as (min_duration, max_gap).
    names : sequence of str
        Of the individuals.
    rate : float
        Frames per second.
    """

    def __init__(
        self,
        zones: Sequence[Zone],
        names: Sequence[str],
        *,
        rate: float,
        times: tuple[float, float] = TIMES,
    ) -> None:
        self._names, self._rate = names, rate
        self._first: int | None = None
        self._visits = gather_visits(zones, names, rate=rate, times=times)
        count = len(names)
        self._seen = np.zeros(count, np.int64)
        self._way = np.zeros((1, count))
        self._in = {zone.name: np.zeros((1, count), bool) for zone in zones}
        self._frames = {zone.name: np.zeros(count, np.int64) for zone in zones}
        self._ways = {zone.name: np.zeros(count) for zone in zones}

    def add(self, poses: Poses, inside: Mapping[str, Bools], ways: Floats) -> None:
        """Add the run that follows, with what `find_in_zones` and an `Odometer` say of it."""
        if not len(poses):
            return
        if self._first is None:
            self._first = int(poses.frames[0])
        self._seen += poses.find_present().sum(0)
        steps = np.diff(ways, axis=0, prepend=self._way)
        self._way = ways[-1:]
        for name, there in inside.items():
            within = there & np.concatenate([self._in[name], there[:-1]])
            self._in[name] = there[-1:]
            self._frames[name] += there.sum(0)
            self._ways[name] += [steps[on, i].sum() for i, on in enumerate(within.T)]
            self._visits[name].add(poses.frames, there)

    def list_uses(self) -> list[ZoneUse]:
        """List them by zone, then by animal."""
        found = []
        for name, (i, who) in product(self._visits, enumerate(self._names)):
            own = [b for b in self._visits[name].list_bouts() if b.individuals == (who,)]
            frames, seen = self._frames[name][i], self._seen[i]
            found.append(
                ZoneUse(
                    name,
                    who,
                    seconds=float(frames / self._rate),
                    share=float(frames / seen) if seen else float("nan"),
                    entries=len(own),
                    latency=float((own[0].first - (self._first or 0)) / self._rate)
                    if own
                    else float("nan"),
                    distance=float(self._ways[name][i]),
                )
            )
        return found
