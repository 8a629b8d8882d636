"""All measures of a recording in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mapose.arrays import Bools, Floats
from mapose.bouts import Bout, BoutGatherer
from mapose.errors import SettingsError
from mapose.kinematics.motion import (
    SPEED_OVER,
    Odometer,
    find_accelerations,
    find_half,
    find_positions,
    find_rate,
    find_speeds,
)
from mapose.kinematics.places import UseGatherer, ZoneUse, find_in_zones, gather_visits
from mapose.kinematics.posture import (
    Joint,
    find_body_coordinates,
    find_headings,
    find_joint_angles,
    find_limb_lengths,
    list_joints,
)
from mapose.kinematics.social import find_distances, gather_pairs
from mapose.landmarks import hide_landmarks
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.zones import Zone

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


_BOUTS = ["behaviour", "individuals", "first", "last", "start", "duration"]


@dataclass(frozen=True)
class MeasureOptions:
    """What to measure, in the unit of the poses.

    Parameters
    ----------
    seconds : float
        Time over which speeds are measured, see `find_velocities`.
    centre : sequence of str, optional
        Keypoints whose mean is where an animal is; all by default.
    joints : sequence of (str, str, str), optional
        Whose angles are wanted; by default all of the skeleton.
    body : (str, str), optional
        Front and back of the animal: adds the heading and each keypoint in its coordinates.
    zones : sequence of Zone
        Adds where the animals are.
    moving : float, optional
        Speed from which an animal is said to move: adds bouts of moving and resting.
    near : float, optional
        Distance of their nearest keypoints up to which two animals are near each other: adds
        these bouts.
    """

    seconds: float = SPEED_OVER
    centre: Sequence[str] | None = None
    joints: Sequence[Joint] | None = None
    body: tuple[str, str] | None = None
    zones: Sequence[Zone] = ()
    moving: float | None = None
    near: float | None = None


@dataclass(frozen=True)
class Summary:
    """What came of a recording as a whole; prints itself as a short table.

    Parameters
    ----------
    title : str
        What was measured, in a line.
    unit : str
        Of the poses.
    rate : float
        Frames per second.
    animals : list of dict
        As `summarise` gives them, without the behaviours.
    uses : list of ZoneUse
        How zones were used.
    behaviours : dict of str to list of Bout
        ``moving`` and ``resting``, ``near``, and ``in ZONE``.
    """

    title: str
    unit: str
    rate: float
    animals: list[dict[str, Any]]
    uses: list[ZoneUse]
    behaviours: dict[str, list[Bout]]

    def summarise(self) -> list[dict[str, Any]]:
        """Sum up each animal: time seen, way, mean and highest speed, and of behaviours the time.

        Returns
        -------
        list of dict
            One per animal; None where nothing was seen.
        """
        rows = []
        for animal in self.animals:
            row = dict(animal)
            for what, bouts in self.behaviours.items():
                own = [b.duration for b in bouts if row["individual"] in b.individuals]
                row |= {f"{what} seconds": float(sum(own)), f"{what} bouts": len(own)}
            rows.append(row)
        return rows

    def __str__(self) -> str:
        unit = self.unit
        rows = [["individual", "seen s", f"way {unit}", f"mean {unit}/s", f"max {unit}/s"]]
        for row in self.animals:
            values = [row[key] for key in ("seconds", "distance", "mean_speed", "max_speed")]
            rows.append([row["individual"], *("" if v is None else f"{v:.1f}" for v in values)])
        lines = [self.title, *_align(rows, texts=1)]
        if self.uses:
            head = ["zone", "individual", "in it s", "share", "entries", "latency s", f"way {unit}"]
            lines += _align([head, *map(_list_use, self.uses)], texts=2)
        for what, bouts in self.behaviours.items():
            total = sum(bout.duration for bout in bouts)
            lines.append(f"{what}: {len(bouts)} bouts, {total:.1f} s")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Give the summary as plain values, for JSON."""
        return {
            "unit": self.unit,
            "individuals": self.summarise(),
            "zones": [use.to_dict() for use in self.uses],
        }

    def tabulate_bouts(self) -> pd.DataFrame:
        """Make a table of all bouts by time.

        Returns
        -------
        pandas.DataFrame
            Columns behaviour, individuals, first and last (frames), start and duration (s).
        """
        import pandas as pd

        # Column by column: there may be a hundred thousand.
        tables = []
        for what, bouts in self.behaviours.items():
            first = np.array([bout.first for bout in bouts], np.int64)
            table = {
                "behaviour": what,
                "individuals": pd.Categorical([bout.label for bout in bouts]),
                "first": first,
                "last": np.array([bout.last for bout in bouts], np.int64),
                "start": first / self.rate,
                "duration": np.array([bout.duration for bout in bouts], np.float64),
            }
            tables.append(pd.DataFrame(table))
        whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_BOUTS)
        return whole.sort_values(["first", "behaviour"], kind="stable", ignore_index=True)

    def list_bouts(self) -> list[dict[str, Any]]:
        """List all bouts by time, with what `tabulate_bouts` has of them."""
        return cast("list[dict[str, Any]]", self.tabulate_bouts().to_dict("records"))


@dataclass(frozen=True, eq=False)
class Kinematics:
    """What was measured; prints itself as a short table.

    Attributes
    ----------
    poses : Poses
        That were measured.
    position : float64, (F, I, d)
        Where each animal is, in the unit of the poses; NaN = not seen, as in all that follow.
    speed, acceleration, distance : float64, (F, I)
        Unit per second, unit per second², and the way so far in the unit.
    angles : float64, (F, I, J)
        Of the `joints`, degrees.
    lengths : float64, (F, I, E)
        Of the skeleton's edges.
    apart : float64, (F, I, I)
        Distances between the animals.
    heading : float64, (F, I), optional
        Degrees.
    own : Poses, optional
        In the coordinates of each animal.
    inside : dict of str to bool, (F, I)
        By zone.
    uses : list of ZoneUse
        How zones were used.
    behaviours : dict of str to list of Bout
        ``moving`` and ``resting``, ``near``, and ``in ZONE``.
    """

    poses: Poses
    position: Floats
    speed: Floats
    acceleration: Floats
    distance: Floats
    joints: list[Joint]
    angles: Floats
    lengths: Floats
    apart: Floats
    heading: Floats | None = None
    own: Poses | None = None
    inside: dict[str, Bools] = field(default_factory=dict)
    uses: list[ZoneUse] = field(default_factory=list)
    behaviours: dict[str, list[Bout]] = field(default_factory=dict)

    @property
    def summary(self) -> Summary:
        """What came of it as a whole."""
        totals = _Totals(self.poses)
        totals.add(self)
        return totals.sum_up(self.uses, self.behaviours)

    def summarise(self) -> list[dict[str, Any]]:
        """Sum up each animal, see `Summary.summarise`."""
        return self.summary.summarise()

    def __str__(self) -> str:
        return str(self.summary)

    def to_dict(self) -> dict[str, Any]:
        """Give the summary as plain values, for JSON."""
        return self.summary.to_dict()

    def list_bouts(self) -> list[dict[str, Any]]:
        """List all bouts by time, see `Summary.list_bouts`."""
        return self.summary.list_bouts()

    def to_pandas(self) -> pd.DataFrame:
        """Make a table with one row per frame and animal.

        Returns
        -------
        pandas.DataFrame
            Columns frame, time (s), individual, x, y[, z], speed, acceleration, distance, then
            ``angle a-b-c`` (degrees), ``length a-b``, ``distance to NAME``, and, where asked
            for, heading, ``KEYPOINT ahead`` and ``KEYPOINT aside`` and ``in ZONE``. Missing = NaN.
        """
        import pandas as pd

        names, (f, i, d) = self.poses.names, self.position.shape
        columns: dict[str, Any] = {
            "frame": np.repeat(self.poses.frames, i),
            "time": np.repeat(self.poses.frames / find_rate(self.poses), i),
            "individual": np.tile(names, f),
        }
        columns |= {"xyz"[axis]: self.position[..., axis].ravel() for axis in range(d)}
        for what in ("speed", "acceleration", "distance"):
            columns[what] = getattr(self, what).ravel()
        for j, joint in enumerate(self.joints):
            columns[f"angle {'-'.join(joint)}"] = self.angles[..., j].ravel()
        for e, edge in enumerate(self.poses.skeleton.edges):
            columns[f"length {'-'.join(edge)}"] = self.lengths[..., e].ravel()
        if i > 1:
            away = np.where(np.eye(i, dtype=bool), np.nan, self.apart)
            columns |= {f"distance to {n}": away[..., j].ravel() for j, n in enumerate(names)}
        if self.heading is not None and self.own is not None:
            columns["heading"] = self.heading.ravel()
            for k, keypoint in enumerate(self.own.skeleton.keypoints):
                for axis, side in enumerate(("ahead", "aside")):
                    columns[f"{keypoint} {side}"] = self.own.points[:, :, k, axis].ravel()
        columns |= {f"in {zone}": inside.ravel() for zone, inside in self.inside.items()}
        return pd.DataFrame(columns)

    def to_xarray(self) -> xr.Dataset:
        """Make a dataset as the `movement` package defines it, with further variables.

        Returns
        -------
        xarray.Dataset
            That of `Poses.to_xarray`, and over time and individual: speed, acceleration,
            distance, heading, ``angle`` (also over joint), ``length`` (over limb) and ``inside``
            (over zone).
        """
        dataset = self.poses.to_xarray()
        time, _, who = dataset.confidence.dims
        for what in ("speed", "acceleration", "distance", "heading"):
            if getattr(self, what) is not None:
                dataset[what] = ((time, who), getattr(self, what))
        if self.joints:
            dataset["angle"] = ((time, who, "joint"), self.angles)
            dataset = dataset.assign_coords(joint=["-".join(joint) for joint in self.joints])
        if self.poses.skeleton.edges:
            dataset["length"] = ((time, who, "limb"), self.lengths)
            limbs = ["-".join(edge) for edge in self.poses.skeleton.edges]
            dataset = dataset.assign_coords(limb=limbs)
        if self.inside:
            dataset["inside"] = ((time, who, "zone"), np.stack(list(self.inside.values()), -1))
            dataset = dataset.assign_coords(zone=list(self.inside))
        dataset.attrs["unit"] = self.poses.unit
        return dataset


def measure_poses(poses: Poses, options: MeasureOptions | None = None) -> Kinematics:
    """Measure how animals move and hold themselves, and where they are.

    Parameters
    ----------
    poses : Poses
        Tracked, in 2D or 3D, with a rate; best filtered (`filter_poses`) and in a unit of length
        (`scale_poses`).
    options : MeasureOptions, optional
        What to measure beside the usual.

    Returns
    -------
    Kinematics

    Raises
    ------
    SettingsError
        If the rate is not known, or an option makes no sense.
    ShapeError
        If there is no such keypoint.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> walk = np.ones((50, 1, 1, 3))
    >>> walk[:, 0, 0, 0] = np.arange(50)
    >>> found = measure_poses(Poses(walk, Skeleton(["nose"]), ["ann"], rate=10))
    >>> found.summarise()[0]["mean_speed"], found.to_pandas().shape
    (10.0, (50, 8))
    """
    measuring = Measuring(Parts.of(poses), options)
    (found,) = measuring
    return replace(found, uses=measuring.list_uses(), behaviours=measuring.list_behaviours())


class Measuring:
    """A recording measured part after part: gives the `Kinematics` of each, then their summary.

    Zones and behaviours are those of the whole, so that no part has any.

    Parameters
    ----------
    parts : Parts
        As for `measure_poses`.
    options : MeasureOptions, optional

    Raises
    ------
    SettingsError, ShapeError
        As `measure_poses`, the latter when the first part is measured.
    """

    def __init__(self, parts: Parts, options: MeasureOptions | None = None) -> None:
        self._parts, self._options = parts, options or MeasureOptions()
        self._rate = find_rate(parts.head)
        self._begin()

    def __iter__(self) -> Iterator[Kinematics]:
        self._begin()
        _, margin = find_half(self._parts.head, self._options.seconds)
        for wide, inner in self._parts.iterate_wide(margin):
            found = self._measure(wide, inner)
            self._totals.add(found)
            yield found

    def iterate_speeds(self) -> Iterator[Floats]:
        """Give the speeds of part after part, float64 (F, I), and measure nothing else."""
        over = self._options.seconds
        _, margin = find_half(self._parts.head, over)
        for wide, inner in self._parts.iterate_wide(margin):
            yield find_speeds(self._take_centre(wide), seconds=over)[inner]

    def list_uses(self) -> list[ZoneUse]:
        """List how zones were used in all that was measured."""
        return self._uses.list_uses()

    def list_behaviours(self) -> dict[str, list[Bout]]:
        """List the bouts in all that was measured."""
        return {what: gatherer.list_bouts() for what, gatherer in self._bouts.items()}

    def sum_up(self) -> Summary:
        """Sum up all that was measured."""
        return self._totals.sum_up(self.list_uses(), self.list_behaviours())

    def _begin(self) -> None:
        """Forget what was measured."""
        names, options, rate = self._parts.names, self._options, self._rate
        each = [(name,) for name in names]
        self._odometer, self._totals = Odometer(), _Totals(self._parts.head)
        self._bouts: dict[str, BoutGatherer] = {}
        if options.moving is not None:
            self._bouts |= {what: BoutGatherer(each, rate) for what in ("moving", "resting")}
        near, self._pairs = gather_pairs(names, rate)
        if options.near is not None:
            self._bouts["near"] = near
        visits = gather_visits(options.zones, names, rate=rate)
        self._bouts |= {f"in {zone}": gatherer for zone, gatherer in visits.items()}
        self._uses = UseGatherer(options.zones, names, rate=rate)

    def _measure(self, wide: Poses, inner: slice) -> Kinematics:
        options, over = self._options, self._options.seconds
        poses = wide.take(inner)
        wide_at, at = self._take_centre(wide), self._take_centre(poses)
        skeleton = poses.skeleton
        joints = list_joints(skeleton) if options.joints is None else list(options.joints)
        front, back = options.body or ("", "")
        animals = hide_landmarks(at)  # nobody is near a corner
        acceleration = np.linalg.norm(find_accelerations(wide_at, seconds=over), axis=-1)
        position, inside = find_positions(at), find_in_zones(at, options.zones)
        distance = self._odometer.add(position)
        self._uses.add(at, inside, distance)
        self._gather(animals, find_speeds(hide_landmarks(wide_at), seconds=over)[inner])
        return Kinematics(
            poses,
            position=position,
            speed=find_speeds(wide_at, seconds=over)[inner],
            acceleration=acceleration[inner],
            distance=distance,
            joints=joints,
            angles=find_joint_angles(poses, joints),
            lengths=find_limb_lengths(poses),
            apart=find_distances(animals),
            heading=find_headings(poses, front, back=back) if options.body else None,
            own=find_body_coordinates(poses, front, back=back) if options.body else None,
            inside=inside,
        )

    def _take_centre(self, poses: Poses) -> Poses:
        """Take the keypoints whose mean is where an animal is."""
        centre = self._options.centre
        return poses if centre is None else poses.sel(keypoint=list(centre))

    def _gather(self, animals: Poses, speed: Floats) -> None:
        """Gather what animals do, float64 (F, I) their speed."""
        does: dict[str, Bools] = {}
        if (limit := self._options.moving) is not None:
            does |= {"moving": speed >= limit, "resting": speed <= np.nextafter(limit, 0)}
        if (within := self._options.near) is not None:
            does["near"] = (find_distances(animals, between="nearest") <= within)[:, *self._pairs]
        visited = find_in_zones(animals, self._options.zones)
        does |= {f"in {zone}": there for zone, there in visited.items()}
        for what, doing in does.items():
            self._bouts[what].add(animals.frames, doing)


class _Totals:
    """Sums over all parts of a recording."""

    def __init__(self, head: Poses) -> None:
        count = len(head.names)
        self._head, self._frames, self._found, self._points = head, 0, 0, 0
        self._seen, self._way = np.zeros(count, np.int64), np.zeros(count)
        self._moved, self._sum = np.zeros(count, np.int64), np.zeros(count)
        self._most = np.full(count, -np.inf)

    def add(self, found: Kinematics) -> None:
        """Add the part that follows."""
        confidence = found.poses.confidence
        self._frames += len(confidence)
        self._found += int((confidence > 0).sum())
        self._points += confidence.size
        self._seen += np.isfinite(found.position).all(-1).sum(0)
        self._way = found.distance[-1] if len(found.distance) else self._way
        known = np.isfinite(found.speed)
        self._moved += known.sum(0)
        for i, speed in enumerate(found.speed.T):
            self._sum[i] += speed[known[:, i]].sum()
            self._most[i] = max(self._most[i], speed[known[:, i]].max(initial=-np.inf))

    def sum_up(self, uses: list[ZoneUse], behaviours: dict[str, list[Bout]]) -> Summary:
        """Sum up what was added."""
        rate = find_rate(self._head)
        animals = [
            {
                "individual": name,
                "seconds": float(self._seen[i] / rate),
                "distance": float(self._way[i]),
                "mean_speed": float(self._sum[i] / self._moved[i]) if self._moved[i] else None,
                "max_speed": float(self._most[i]) if self._moved[i] else None,
            }
            for i, name in enumerate(self._head.names)
        ]
        share = self._found / self._points if self._points else 0.0
        title = self._head.describe(self._frames, share)
        return Summary(title, self._head.unit, rate, animals, uses, behaviours)


def scale_poses(poses: Poses, factor: float, *, unit: str = "mm") -> Poses:
    """Give poses in another unit, such as pixels in millimetres.

    Parameters
    ----------
    poses : Poses
        The whole image has to be of one scale: a camera that looks straight down on the floor.
    factor : float
        How many of the new unit are one of the old: a known distance in mm by the same in px.
    unit : str
        The new one.

    Raises
    ------
    SettingsError
        If the factor is not above 0.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> mouse = Poses([[[[100, 50, 1]]]], Skeleton(["nose"]))
    >>> scale_poses(mouse, 300 / 600).points.ravel().tolist()
    [50.0, 25.0]
    """
    if not (np.isfinite(factor) and factor > 0):
        raise SettingsError(f"scale: wanted a factor above 0, came {factor}")
    array = poses.array.copy()
    array[..., :-1] *= factor
    covariance = None if poses.covariance is None else poses.covariance * np.float32(factor**2)
    return replace(poses, array=array, covariance=covariance, unit=unit)


def _list_use(use: ZoneUse) -> list[str]:
    latency = "never" if np.isnan(use.latency) else f"{use.latency:.1f}"
    share = "" if np.isnan(use.share) else f"{100 * use.share:.1f} %"
    own = [use.zone, use.individual, f"{use.seconds:.1f}", share, str(use.entries)]
    return [*own, latency, f"{use.distance:.1f}"]


def _align(rows: Sequence[Sequence[str]], *, texts: int) -> list[str]:
    """Align columns: the first ones, of names, to the left, numbers to the right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if c < texts else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
