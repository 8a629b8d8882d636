"""All measures of a recording in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mapose.arrays import Bools, Floats
from mapose.bouts import Bout
from mapose.errors import SettingsError
from mapose.kinematics.motion import (
    SPEED_OVER,
    find_accelerations,
    find_distances_travelled,
    find_positions,
    find_rate,
    find_speeds,
)
from mapose.kinematics.places import ZoneUse, find_in_zones, find_visits, find_zone_use
from mapose.kinematics.posture import (
    Joint,
    find_body_coordinates,
    find_headings,
    find_joint_angles,
    find_limb_lengths,
    list_joints,
)
from mapose.kinematics.social import find_distances, find_proximity
from mapose.kinematics.thresholds import find_bouts
from mapose.landmarks import hide_landmarks
from mapose.poses import Poses
from mapose.zones import Zone

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


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

    def summarise(self) -> list[dict[str, Any]]:
        """Sum up each animal: time seen, way, mean and highest speed, and of behaviours the time.

        Returns
        -------
        list of dict
            One per animal; None where nothing was seen.
        """
        rows = []
        seen = np.asarray(np.isfinite(self.position).all(-1))
        for i, name in enumerate(self.poses.names):
            speed = self.speed[np.isfinite(self.speed[:, i]), i]
            row: dict[str, Any] = {
                "individual": name,
                "seconds": float(seen[:, i].sum() / find_rate(self.poses)),
                "distance": float(self.distance[-1, i]) if len(self.distance) else 0.0,
                "mean_speed": float(speed.mean()) if len(speed) else None,
                "max_speed": float(speed.max()) if len(speed) else None,
            }
            for what, bouts in self.behaviours.items():
                own = [bout.duration for bout in bouts if name in bout.individuals]
                row |= {f"{what} seconds": float(sum(own)), f"{what} bouts": len(own)}
            rows.append(row)
        return rows

    def __str__(self) -> str:
        unit = self.poses.unit
        rows = [["individual", "seen s", f"way {unit}", f"mean {unit}/s", f"max {unit}/s"]]
        for row in self.summarise():
            values = [row[key] for key in ("seconds", "distance", "mean_speed", "max_speed")]
            rows.append([row["individual"], *("" if v is None else f"{v:.1f}" for v in values)])
        lines = [str(self.poses), *_align(rows, texts=1)]
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
            "unit": self.poses.unit,
            "individuals": self.summarise(),
            "zones": [use.to_dict() for use in self.uses],
        }

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

    def list_bouts(self) -> list[dict[str, Any]]:
        """List all bouts by time: behaviour, individuals, first and last frame, start, duration."""
        rate = find_rate(self.poses)
        rows = [
            {"behaviour": what, "individuals": bout.label, "first": bout.first, "last": bout.last,
             "start": bout.first / rate, "duration": bout.duration}
            for what, bouts in self.behaviours.items()
            for bout in bouts
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (row["first"], row["behaviour"]))

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
    options = options or MeasureOptions()
    find_rate(poses)
    at = poses if options.centre is None else poses.sel(keypoint=list(options.centre))
    over = options.seconds
    joints = list_joints(poses.skeleton) if options.joints is None else list(options.joints)
    front, back = options.body or ("", "")
    animals = hide_landmarks(at)  # nobody is near a corner
    return Kinematics(
        poses,
        position=find_positions(at),
        speed=find_speeds(at, seconds=over),
        acceleration=np.linalg.norm(find_accelerations(at, seconds=over), axis=-1),
        distance=find_distances_travelled(at),
        joints=joints,
        angles=find_joint_angles(poses, joints),
        lengths=find_limb_lengths(poses),
        apart=find_distances(animals),
        heading=find_headings(poses, front, back=back) if options.body else None,
        own=find_body_coordinates(poses, front, back=back) if options.body else None,
        inside=find_in_zones(at, options.zones),
        uses=find_zone_use(at, options.zones),
        behaviours=_find_behaviours(animals, options),
    )


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


def _find_behaviours(poses: Poses, options: MeasureOptions) -> dict[str, list[Bout]]:
    found: dict[str, list[Bout]] = {}
    if options.moving is not None:
        speed, limit = find_speeds(poses, seconds=options.seconds), options.moving
        found["moving"] = find_bouts(poses, speed, at_least=limit)
        found["resting"] = find_bouts(poses, speed, at_most=np.nextafter(limit, 0))
    if options.near is not None:
        found["near"] = find_proximity(poses, within=options.near)
    visits = find_visits(poses, options.zones)
    return found | {f"in {zone}": bouts for zone, bouts in visits.items()}


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
