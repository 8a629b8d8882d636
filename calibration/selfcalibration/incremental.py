"""Put cameras together one by one, from points that nobody has measured."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from calibration.alignment import find_similarity
from calibration.arrays import Bools, Floats, Ints
from calibration.bundle.adjustment import (
    BundleOptions,
    BundleResult,
    Intrinsics,
    bundle_adjust_points,
)
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.rotations import turn
from calibration.selfcalibration.twoviews import MIN_COMMON, TwoViews, find_scale, find_two_views
from calibration.triangulation.points import triangulate_points

_logger = logging.getLogger(__name__)


# Points in the trial runs: more make the answer finer, not another one.
_TRIAL_POINTS = 1000
# Beginnings that are tried before the one that ends best is taken.
_BEGINNINGS = 5
# Pairs of cameras that are looked at, those with most common points first.
_MOST_PAIRS = 60
# Angles under which a beginning is good, degrees: less tells depth badly.
_GOOD_ANGLE = 20.0
# A beginning that ends within this factor of the errors of single pairs is good enough.
_GOOD_END = 1.3
# While cameras are added, an adjustment need not settle.
_ROUGH = BundleOptions(max_steps=30, tolerance=5.0)
# Thousands of points never all stand still at once.
_FINE = BundleOptions(tolerance=0.5)
_PNP_GATES = (4.0, 12.0, 30.0)
# Points of a camera with fewer known ones than this do not fix its pose robustly.
MIN_KNOWN = 8
# Parts of the points that are left out in turn.
_PARTS = 8


@dataclass(frozen=True, eq=False)
class Sights:
    """What cameras with known lenses saw of points that nobody has measured.

    Parameters
    ----------
    lenses : tuple of Camera
        V cameras; their poses mean nothing.
    pixels : float64, (V, N, 2)
        NaN = not seen.
    planes : float64, (V, N, 2)
        The same on the ideal image planes.
    """

    lenses: tuple[Camera, ...]
    pixels: Floats
    planes: Floats

    @property
    def seen(self) -> Bools:
        """Which cameras saw which points, bool (V, N)."""
        return np.asarray(np.isfinite(self.planes).all(-1))

    def take(self, rows: npt.NDArray[np.integer] | Bools) -> Sights:
        """Keep some points."""
        return replace(self, pixels=self.pixels[:, rows], planes=self.planes[:, rows])


def make_sights(lenses: CameraGroup, pixels: Floats) -> Sights:
    """Undistort what was seen."""
    planes = np.full(pixels.shape, np.nan)
    for lens, plane, seen in zip(lenses, planes, pixels, strict=True):
        there = np.isfinite(seen).all(1)
        plane[there] = lens.undistort(seen[there])
    return Sights(lenses.cameras, pixels, planes)


def find_pairs(sights: Sights) -> dict[tuple[int, int], list[TwoViews]]:
    """Find how pairs of cameras stand to each other, for those that share enough points."""
    seen = sights.seen.astype(np.int64)
    common = seen @ seen.T
    pairs = sorted(combinations(range(len(seen)), 2), key=lambda p: -common[p])
    found = {}
    for a, b in pairs[:_MOST_PAIRS]:
        focal = (sights.lenses[a].focal, sights.lenses[b].focal)
        views = find_two_views(sights.planes[a], sights.planes[b], focal=focal)
        if views:
            found[a, b] = views
    return found


def assemble_cameras(sights: Sights, *, intrinsics: Intrinsics) -> BundleResult:
    """Find the poses of all cameras, up to a similarity.

    The frame is that of the camera that the best beginning started from; the distance to its
    partner is 1. Several beginnings are tried on some of the points, the one whose errors are
    smallest is finished on all.

    Parameters
    ----------
    sights : Sights
        What was seen.
    intrinsics : {"none", "focal", "all"}
        What of the lenses is free in the end.

    Returns
    -------
    BundleResult
        With all points that two cameras saw.

    Raises
    ------
    CalibrationError
        If cameras cannot be linked to the others; they are named.

    References
    ----------
    Incremental structure from motion: Snavely et al. 2006 (ACM Trans. Graph. 25:835),
    Schönberger and Frahm 2016 (CVPR).
    """
    few = sights.take(pick_points(sights.seen, _TRIAL_POINTS))
    pairs = find_pairs(few)
    if not pairs:
        raise CalibrationError(
            f"no two cameras saw {MIN_COMMON} points in common: check that frames are "
            "synchronized and individuals have the same names in all views"
        )
    wanted = _GOOD_END * float(np.median([views[0].scale for views in pairs.values()]))
    best: tuple[float, list[Camera | None]] | None = None
    lost: list[list[int]] = []
    for (a, b), view in _rank_beginnings(pairs)[:_BEGINNINGS]:
        cameras = _grow(few, a, b, view)
        missing = [v for v, camera in enumerate(cameras) if camera is None]
        lost.append(missing)
        if missing:
            continue
        error = _find_error(few, cameras)
        _logger.debug("beginning %s-%s ends at %.2f px", a, b, error)
        if best is None or error < best[0]:
            best = (error, cameras)
        if error <= wanted:
            break
    if best is None:
        raise CalibrationError(_say_lost(sights, min(lost, key=len)))
    return _finish(sights, [c for c in best[1] if c is not None], intrinsics)


def pick_points(seen: Bools, most: int) -> Ints:
    """Pick points that many cameras saw, so that each camera gets its share.

    Parameters
    ----------
    seen : bool, (V, N)
        Which cameras saw which points.
    most : int
        About how many to pick; fewer if cameras share them.

    Returns
    -------
    int64, (M,)
        Ascending; only points that two cameras saw.
    """
    views = seen.sum(0)
    usable = np.flatnonzero(views >= 2)
    if len(usable) <= most:
        return usable
    picked = np.zeros(seen.shape[1], bool)
    for own in seen:
        mine = usable[own[usable]]
        # Evenly over the recording, then by how many see them.
        order = np.random.default_rng(0).permutation(len(mine))
        best = mine[order][np.argsort(-views[mine][order], kind="stable")]
        picked[best[: most // len(seen)]] = True
    return np.flatnonzero(picked)


def _rank_beginnings(
    pairs: dict[tuple[int, int], list[TwoViews]],
) -> list[tuple[tuple[int, int], TwoViews]]:
    """List pairs and their answers, the most promising first."""

    def find_worth(item: tuple[tuple[int, int], TwoViews]) -> float:
        _, view = item
        # Rays that run towards each other tell depth as badly as parallel ones.
        slant = min(view.angle, 180 - view.angle)
        return float(view.inliers.sum()) * min(slant / _GOOD_ANGLE, 1.0)

    # Second answers only after the first ones of all pairs.
    first = sorted(((p, v[0]) for p, v in pairs.items()), key=find_worth, reverse=True)
    second = sorted(((p, w) for p, v in pairs.items() for w in v[1:]), key=find_worth, reverse=True)
    half = _BEGINNINGS // 2 + 1
    return first[:half] + second[: _BEGINNINGS - half] + first[half:]


def _grow(sights: Sights, a: int, b: int, view: TwoViews) -> list[Camera | None]:
    """Start with two cameras and add the others; None for those that cannot be added."""
    cameras: list[Camera | None] = [None] * len(sights.lenses)
    cameras[a] = replace(sights.lenses[a], rotation=np.zeros(3), translation=np.zeros(3))
    cameras[b] = replace(sights.lenses[b], rotation=view.rotation, translation=view.translation)
    while True:
        cameras, points = _adjust(sights, cameras)
        known = np.isfinite(points[:, 0])
        waiting = [v for v, camera in enumerate(cameras) if camera is None]
        counts = {v: int((sights.seen[v] & known).sum()) for v in waiting}
        for v in sorted(waiting, key=lambda v: -counts[v]):
            cameras[v] = _register(sights, v, points) if counts[v] >= MIN_KNOWN else None
            if cameras[v] is not None:
                break
        else:
            return cameras


def _adjust(sights: Sights, cameras: list[Camera | None]) -> tuple[list[Camera | None], Floats]:
    """Adjust the cameras that are placed, and give the points (N, 3) that they see."""
    placed = [v for v, camera in enumerate(cameras) if camera is not None]
    group = CameraGroup([c for c in cameras if c is not None])
    pixels = sights.pixels[placed]
    points = triangulate_points(group, pixels).points
    result = bundle_adjust_points(group, pixels, points=points, options=_ROUGH)
    adjusted: list[Camera | None] = [None] * len(cameras)
    for v, camera in zip(placed, result.cameras, strict=True):
        adjusted[v] = camera
    return adjusted, triangulate_points(result.cameras, pixels).points


def _register(sights: Sights, v: int, points: Floats) -> Camera | None:
    """Find the pose of a camera from points that are known, None if none fits."""
    lens, there = sights.lenses[v], sights.seen[v] & np.isfinite(points[:, 0])
    world, plane = points[there], sights.planes[v, there]
    focal = lens.focal
    best: tuple[float, Floats] | None = None
    for gate in _PNP_GATES:
        found, turned, moved, _ = cv2.solvePnPRansac(
            world, plane, np.eye(3), np.zeros(4),
            iterationsCount=500, reprojectionError=gate / focal, flags=cv2.SOLVEPNP_SQPNP,
        )  # fmt: skip
        if not found:
            continue
        pose = _refine_pose(np.concatenate([turned, moved]).ravel(), world, plane)
        scale = find_scale(_measure_pose(pose, world, plane))
        if best is None or scale < best[0]:
            best = (scale, pose)
    if best is None:
        return None
    return replace(lens, rotation=best[1][:3], translation=best[1][3:])


def _measure_pose(pose: Floats, world: Floats, plane: Floats) -> Floats:
    """Find errors (2N,) on the ideal plane; points behind the camera are far off."""
    local = world @ turn(pose[:3]).T + pose[3:]
    depth = np.where(local[:, 2] > 1e-6, local[:, 2], np.nan)
    return np.nan_to_num((local[:, :2] / depth[:, None] - plane).ravel(), nan=1.0)


def _refine_pose(pose: Floats, world: Floats, plane: Floats) -> Floats:
    width = max(find_scale(_measure_pose(pose, world, plane)), 1e-5)
    found = least_squares(
        _measure_pose, pose, args=(world, plane), loss="cauchy", f_scale=2 * width, max_nfev=30
    )
    return np.asarray(found.x)


def _find_error(sights: Sights, cameras: list[Camera | None]) -> float:
    """Find the robust error, px, of all that was seen, by which beginnings are compared."""
    group = CameraGroup([c for c in cameras if c is not None])
    found = triangulate_points(group, sights.pixels)
    errors = np.linalg.norm(group.project(found.points) - sights.pixels, axis=-1)
    # What two cameras or more saw and no point explains is an error as well.
    expected = sights.seen & (sights.seen.sum(0) >= 2)
    return find_scale(np.where(np.isfinite(errors), errors, 1e3)[expected])


def _finish(sights: Sights, cameras: list[Camera], intrinsics: Intrinsics) -> BundleResult:
    """Adjust on all points, the lenses too if they are free."""
    group = CameraGroup(cameras)
    result = bundle_adjust_points(
        group,
        sights.pixels,
        points=triangulate_points(group, sights.pixels).points,
        options=_ROUGH,
    )
    # Points that were thrown off by a bad pose get another chance.
    points = triangulate_points(result.cameras, sights.pixels).points
    return bundle_adjust_points(
        result.cameras, sights.pixels, points=points, intrinsics=intrinsics, options=_FINE
    )


@dataclass(frozen=True, eq=False)
class Spread:
    """Standard deviations from answers that lack some of the points.

    Parameters
    ----------
    centre : float64, (V,)
        Of the cameras' places relative to the points, unit of the adjustment.
    focal : float64, (V,)
        Of their focal lengths, px.
    """

    centre: Floats
    focal: Floats


def find_spread(
    sights: Sights,
    result: BundleResult,
    *,
    intrinsics: Intrinsics,
    groups: Ints,
    on_progress: Callable[[int, int], None] | None = None,
) -> Spread:
    """Leave groups of points out in turn and see how the cameras differ (jackknife).

    Parameters
    ----------
    sights : Sights
        All points.
    result : BundleResult
        The adjustment with all of them.
    intrinsics : {"none", "focal", "all"}
        As there.
    groups : int64, (N,)
        From 0; taken together until there are at most eight.
    on_progress : function of (int, int), optional
        Called with adjustments done and adjustments in all, this first one included.

    References
    ----------
    Efron 1982, "The jackknife, the bootstrap and other resampling plans".
    """
    assert result.points is not None
    part = groups % _PARTS
    # Points that fit in every view carry the frame from one answer to the other.
    sound = np.isfinite(result.points[:, 0]) & ((result.weights > 0) | ~sights.seen).all(0)
    answers = []
    numbers = np.unique(part)
    for done, number in enumerate(numbers, 1):
        if on_progress is not None:
            on_progress(done, len(numbers) + 1)
        points = np.where((part == number)[:, None], np.nan, result.points)
        again = bundle_adjust_points(
            result.cameras, sights.pixels, points=points, intrinsics=intrinsics, options=_FINE
        )
        assert again.points is not None
        rows = sound & np.isfinite(again.points[:, 0])
        change = find_similarity(again.points[rows], result.points[rows])
        answers.append([(*c.centre, c.focal) for c in change.move_cameras(again.cameras)])
    values = np.array(answers)
    n = len(values)
    variance = (n - 1) / n * ((values - values.mean(0)) ** 2).sum(0)
    if on_progress is not None:
        on_progress(n + 1, n + 1)
    return Spread(np.sqrt(variance[:, :3].sum(1)), np.sqrt(variance[:, 3]))


def _say_lost(sights: Sights, missing: list[int]) -> str:
    """Say which cameras cannot be linked, and what they share with the others."""
    seen = sights.seen.astype(np.int64)
    common = seen @ seen.T
    told = []
    for v in missing:
        others = [u for u in range(len(seen)) if u not in missing]
        u = max(others, key=lambda u: common[u, v])
        told.append(
            f"{sights.lenses[v].name} (at most {common[u, v]} points in common, with "
            f"{sights.lenses[u].name})"
        )
    return (
        f"cannot be linked to the other cameras: {', '.join(told)}; wanted {MIN_COMMON} points "
        "or more that both see, spread in depth; check names and synchronization"
    )
