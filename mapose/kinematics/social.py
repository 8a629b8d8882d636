"""What animals do with each other: distances, contacts, approaches, following, where they stay.

Body centres are the mean of an animal's keypoints. To leave out a tail that drags behind, or to
measure from a single point, hand in ``poses.sel(keypoint=[...])``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

from mapose.arrays import Bools, Floats, Ints
from mapose.bouts import TIMES, Bout, BoutGatherer, Occupancy
from mapose.errors import SettingsError, suggest_name
from mapose.kinematics.motion import find_rate, find_velocities
from mapose.poses import Poses
from mapose.similarity import find_centres

# Frames worked on at once where every keypoint is compared with every other.
_BLOCK = 4096


def find_distances(poses: Poses, *, between: str | Sequence[str] = "centres") -> Floats:
    """Find how far apart the animals are, every one from every other.

    Parameters
    ----------
    poses : Poses
        In 2D or 3D.
    between : "centres", "nearest" or (str, str)
        From body centre to body centre; between the two keypoints that are nearest to each
        other, where a single one put on the wrong animal makes a contact; or from the first
        keypoint of one animal to the second of the other, as in ``("nose", "tailbase")``.

    Returns
    -------
    float64, (F, I, I)
        In the unit of the poses, from the first animal to the second; NaN where one is missing.

    Raises
    ------
    SettingsError
        If ``between`` is an unknown word.
    ShapeError
        If there is no such keypoint.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> pair = np.array([[[[0.0, 0, 1]], [[3, 4, 1]]]])
    >>> find_distances(Poses(pair, Skeleton(["nose"]), ["ann", "bob"]))[0].tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    points = poses.points.astype(np.float64)
    if isinstance(between, str):
        if between == "nearest":
            return _find_gaps(points)
        if between != "centres":
            hint = suggest_name(between, ["centres", "nearest"])
            raise SettingsError(f"distances: no {between!r}: {hint}, or a pair of keypoints")
        start = end = find_centres(points)
    else:
        if len(between) != 2:
            raise SettingsError(f"distances: wanted two keypoints, came {', '.join(between)}")
        start, end = (points[:, :, poses.skeleton.index(name)] for name in between)
    return np.asarray(np.linalg.norm(end[:, None] - start[:, :, None], axis=-1))


def find_proximity(
    poses: Poses,
    *,
    within: float,
    between: str | Sequence[str] = "nearest",
    min_duration: float = 0.5,
    max_gap: float = 0.2,
) -> list[Bout]:
    """Find when two animals are near each other: contacts, if the distance is small.

    Parameters
    ----------
    poses : Poses
        In 2D or 3D, with a rate.
    within : float
        How near, in the unit of the poses.
    between : "centres", "nearest" or (str, str)
        What is measured, as in `find_distances`. With two different keypoints it is directed:
        from the first keypoint of one to the second of the other.
    min_duration, max_gap : float
        Seconds: shorter ones do not count, shorter interruptions are passed over. Frames in
        which one of the two is missing are interruptions.

    Returns
    -------
    list of Bout
        By time.

    Raises
    ------
    SettingsError
        If the rate is not known.
    """
    directed = not isinstance(between, str) and between[0] != between[1]
    near = find_distances(poses, between=between) <= within
    return _find_pair_bouts(poses, near, (min_duration, max_gap), directed=directed)


def find_approaches(
    poses: Poses,
    *,
    within: float,
    min_speed: float,
    max_angle: float = 45.0,
    min_duration: float = 0.2,
    max_gap: float = 0.2,
) -> list[Bout]:
    """Find when an animal walks up to another one and arrives.

    Parameters
    ----------
    within : float
        It has arrived when the body centres are so near, in the unit of the poses. What begins
        nearer than that is no approach.
    min_speed : float
        Of the one that approaches, unit per second.
    max_angle : float
        Between its way and the straight line to the other one, degrees.
    poses, min_duration, max_gap
        As for `find_proximity`.

    Returns
    -------
    list of Bout
        From who approaches to who is approached. If both walk there are two bouts.

    Raises
    ------
    SettingsError
        If the rate is not known.
    """
    distance = find_distances(poses)
    towards = _find_pursuit(poses, find_velocities(poses), min_speed, max_angle)
    found = _find_pair_bouts(
        poses, towards & (distance > within), (min_duration, max_gap), directed=True
    )
    wait = max(1, round(max_gap * find_rate(poses)))
    near = np.where(np.isfinite(distance), distance, np.inf) <= within
    names, frames = list(poses.names), poses.frames
    return [
        bout
        for bout in found
        if near[
            np.searchsorted(frames, bout.last + 1) : np.searchsorted(frames, bout.last + 1 + wait),
            names.index(bout.individuals[0]),
            names.index(bout.individuals[1]),
        ].any()
    ]


def find_following(
    poses: Poses,
    *,
    within: float,
    min_speed: float,
    max_angle: float = 45.0,
    min_duration: float = 0.5,
    max_gap: float = 0.2,
) -> list[Bout]:
    """Find when an animal runs after another one that runs ahead of it.

    Both are moving, the first one towards where the second one is, and in about its direction.

    Parameters
    ----------
    within : float
        Largest distance of the body centres, in the unit of the poses.
    min_speed : float
        Of both, unit per second.
    max_angle : float
        Between the way of the first one and the line to the second, and between the ways of
        both, degrees.
    poses, min_duration, max_gap
        As for `find_proximity`.

    Returns
    -------
    list of Bout
        From who follows to who is followed.

    Raises
    ------
    SettingsError
        If the rate is not known.
    """
    velocity = find_velocities(poses)
    after = _find_pursuit(poses, velocity, min_speed, max_angle)
    speed = np.linalg.norm(velocity, axis=-1)
    along = np.einsum("fid,fjd->fij", velocity, velocity)
    alike = along >= np.cos(np.radians(max_angle)) * speed[:, :, None] * speed[:, None]
    running = speed >= min_speed
    near = find_distances(poses) <= within
    both = after & alike & near & running[:, None]
    return _find_pair_bouts(poses, both, (min_duration, max_gap), directed=True)


def find_occupancy(
    poses: Poses, *, cell: float, region: tuple[float, float, float, float] | None = None
) -> Occupancy:
    """Find how long the animals were where, on a grid.

    Parameters
    ----------
    poses : Poses
        With a rate; of 3D poses the first two coordinates count.
    cell : float
        Side of a grid cell, in the unit of the poses.
    region : (left, top, right, bottom), optional
        What to cover; by default all places where an animal was.

    Returns
    -------
    Occupancy

    Raises
    ------
    SettingsError
        If the rate is not known, or the cell or the region has no size.
    """
    rate = find_rate(poses)
    centres = find_centres(poses.points.astype(np.float64))[..., :2]
    seen = centres[np.isfinite(centres).all(-1)]
    if region is None:
        low, high = (seen.min(0), seen.max(0)) if len(seen) else (np.zeros(2), np.ones(2))
    else:
        low, high = np.array(region[:2], np.float64), np.array(region[2:], np.float64)
    if not cell > 0 or not (high >= low).all():
        raise SettingsError(
            f"occupancy: wanted a cell and a region with a size, came {cell}, {region}"
        )
    counts = np.maximum(np.ceil((high - low) / cell - 1e-9), 1).astype(int)
    x, y = (np.asarray(low[d] + cell * np.arange(counts[d] + 1)) for d in (0, 1))
    grid = np.zeros((len(poses.names), len(y) - 1, len(x) - 1))
    for who, path in enumerate(centres.swapaxes(0, 1)):
        column, row = path[np.isfinite(path).all(-1)].T
        grid[who] = np.histogram2d(row, column, bins=[y, x])[0] / rate
    return Occupancy(grid, x, y, poses.names, poses.unit)


def _find_gaps(points: Floats) -> Floats:
    """Find the distance between the nearest keypoints of each two; (F, I, K, d) to (F, I, I)."""
    frames, count = points.shape[:2]
    gaps = np.full((frames, count, count), np.nan)
    for start in range(0, frames, _BLOCK):
        block = points[start : start + _BLOCK]
        for i in range(count):
            for j in range(i, count):
                away = np.square(block[:, i, :, None] - block[:, j, None]).sum(-1)
                gaps[start : start + _BLOCK, i, j] = np.fmin.reduce(away, axis=(1, 2))
    gaps = np.sqrt(gaps)
    return np.fmin(gaps, gaps.swapaxes(1, 2))


def _find_pursuit(poses: Poses, velocity: Floats, min_speed: float, max_angle: float) -> Bools:
    """Tell where the first animal moves towards the second; bool (F, I, I), never to itself."""
    centres = find_centres(poses.points.astype(np.float64))
    line = centres[:, None] - centres[:, :, None]
    speed = np.linalg.norm(velocity, axis=-1)
    along = np.einsum("fid,fijd->fij", velocity, line)
    length = np.linalg.norm(line, axis=-1)
    ahead = along >= np.cos(np.radians(max_angle)) * speed[:, :, None] * length
    return np.asarray(ahead & (speed >= min_speed)[:, :, None] & (length > 0))


def _find_pair_bouts(
    poses: Poses, does: Bools, times: tuple[float, float], *, directed: bool
) -> list[Bout]:
    """Turn frames (F, I, I) into bouts, bridging gaps and dropping what is too short."""
    gatherer, picked = gather_pairs(poses.names, find_rate(poses), times=times, directed=directed)
    gatherer.add(poses.frames, does[:, *picked])
    return gatherer.list_bouts()


def gather_pairs(
    names: Sequence[str],
    rate: float,
    *,
    times: tuple[float, float] = TIMES,
    directed: bool = False,
) -> tuple[BoutGatherer, tuple[Ints, Ints]]:
    """Prepare to gather bouts of two animals; gives where in (F, I, I) its columns are."""
    pairs = list((permutations if directed else combinations)(range(len(names)), 2))
    whom = [(names[i], names[j]) for i, j in pairs]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return BoutGatherer(whom, rate, times=times, directed=directed), (first, second)
