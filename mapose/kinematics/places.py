"""Where animals are: in which zones, how often they come there, and when first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from mapose.arrays import Bools
from mapose.bouts import Bout
from mapose.errors import SettingsError
from mapose.kinematics.motion import find_distances_travelled, find_positions, find_rate
from mapose.kinematics.thresholds import find_bouts
from mapose.poses import Poses
from mapose.zones import Zone


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
    return {
        name: find_bouts(
            poses, inside.astype(float), at_least=1, min_duration=min_duration, max_gap=max_gap
        )
        for name, inside in find_in_zones(poses, zones).items()
    }


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
    rate, inside = find_rate(poses), find_in_zones(poses, zones)
    visits = find_visits(poses, zones, min_duration=min_duration, max_gap=max_gap)
    steps = np.diff(find_distances_travelled(poses), axis=0, prepend=0)
    seen = poses.find_present().sum(0)
    found = []
    for name, (i, who) in product(inside, enumerate(poses.names)):
        there = inside[name][:, i]
        within = there & np.concatenate([[False], there[:-1]])
        own = [bout for bout in visits[name] if bout.individuals == (who,)]
        found.append(
            ZoneUse(
                name,
                who,
                seconds=float(there.sum() / rate),
                share=float(there.sum() / seen[i]) if seen[i] else float("nan"),
                entries=len(own),
                latency=float((own[0].first - poses.frames[0]) / rate) if own else float("nan"),
                distance=float(steps[within, i].sum()),
            )
        )
    return found
