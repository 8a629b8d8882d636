"""Tell whether an old calibration still fits: which camera was moved, by how much, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats, Ints
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.selfcalibration.lenses import find_undistorted
from calibration.selfcalibration.movement import (
    CLEARLY,
    FEWEST,
    Movement,
    Target,
    find_movement,
)
from calibration.selfcalibration.twoviews import intersect_rays
from calibration.stations import add_station
from calibration.triangulation.points import triangulate_points

#: A camera has moved if its picture shifted by more than this, px: boards calibrate to 0.2 to
#: 0.5 px, and animals are not labelled better than to 1 px.
LEAST_SHIFT = 1.0
#: A camera of which only larger movements than this would be seen, px, is one that the recording
#: does not tell about: half a degree in a lens of 750 px.
TELLING = 6.5
# More points do not make the answer surer: errors that keypoints share stay.
_POINTS = 4000
# Groups of keypoints that are left out in turn.
_GROUPS = 8
# Errors count no more than this many times the median.
_LIMIT = 5.0
# Costs within this factor do not tell two answers apart.
_ALIKE = 1.05
# Along the ray of a single other camera a point may be anywhere: in units of its distance.
_ANYWHERE = 10.0


@dataclass(frozen=True)
class CameraDrift:
    """What happened to one camera.

    Parameters
    ----------
    name : str
        Of the camera.
    moved : bool
        Whether it has moved.
    shift : float
        By how much its picture is displaced where animals were seen, px (root mean square).
    deviation : float
        Standard deviation of that displacement, px; errors that keypoints or times share are
        in it.
    turned : float
        Rotation since the calibration, degrees.
    displaced : float
        Displacement of its centre, in the group's unit. Hard to tell from a rotation when
        animals stay at one distance.
    noise : float
        Standard deviation of what is left, px.
    seen : int
        Points it shares with others.
    over_time : float64, (B,)
        Shift in each of B equal parts of the recording, px; NaN where it saw too little.
    since : int
        Frame from which on it is displaced; 0 if it always was, -1 if it has not moved.
    rivals : tuple of str
        Cameras that, had they moved instead, would explain the pixels about as well.
    left_out : float
        Median distance, px, between what it saw and where all other cameras, as calibrated, put
        the points: how well they predict it. NaN of two cameras.
    visible : float
        Smallest shift that would have been called a movement, px; inf if it saw too little.
    """

    name: str
    moved: bool
    shift: float
    deviation: float
    turned: float
    displaced: float
    noise: float
    seen: int
    over_time: Floats
    since: int
    rivals: tuple[str, ...] = ()
    visible: float = float("inf")
    left_out: float = float("nan")

    @property
    def told(self) -> bool:
        """Whether the recording tells: it has moved, or a movement would have been seen."""
        return self.moved or self.visible <= TELLING


@dataclass(frozen=True)
class Drift:
    """Whether a calibration fits a recording; prints itself as a table with a verdict.

    Parameters
    ----------
    drifts : tuple of CameraDrift
        One per camera, in the group's order.
    cameras : CameraGroup
        The calibration, with the cameras that have moved put where they stand now.
    verdict : str
        In words.
    repaired : CameraGroup
        The calibration for this recording: a camera that moved in its middle has a station since
        then, called ``CAMERA@FRAME`` (`calibration.stations`).
    """

    drifts: tuple[CameraDrift, ...]
    cameras: CameraGroup
    verdict: str
    repaired: CameraGroup

    @property
    def fits(self) -> bool:
        """Whether no camera has moved, as far as the recording tells; see `untold`."""
        return not self.moved

    @property
    def untold(self) -> tuple[str, ...]:
        """Names of the cameras of which the recording does not tell whether they have moved."""
        return tuple(d.name for d in self.drifts if not d.told)

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the cameras that have moved."""
        return tuple(d.name for d in self.drifts if d.moved)

    def __getitem__(self, name: str) -> CameraDrift:
        return self.drifts[self.cameras.names.index(self.cameras[name].name)]

    def __str__(self) -> str:
        width = max(6, *(len(d.name) for d in self.drifts))
        unit = self.cameras.unit
        lines = [
            f"{'camera':<{width}}  moved  shift ± sd px   seen from px  turned deg  "
            f"displaced {unit}  noise px  left out px"
        ]
        lines += [
            f"{d.name:<{width}}  {'yes' if d.moved else 'no' if d.told else '?':>5}  "
            f"{d.shift:>6.2f} ± {d.deviation:<5.2f}  {d.visible:>12.1f}  {d.turned:>10.3f}  "
            f"{d.displaced:>9.4g}  {d.noise:>8.2f}  {d.left_out:>11.2f}"
            for d in self.drifts
        ]
        return "\n".join([*lines, self.verdict])


def find_drift(
    cameras: CameraGroup,
    pixels: npt.ArrayLike,
    *,
    frames: npt.ArrayLike | None = None,
    known: Mapping[str, int] | None = None,
    least_shift: float = LEAST_SHIFT,
    on_progress: Callable[[int, int], None] | None = None,
) -> Drift:
    """Tell whether a calibration still fits what was tracked.

    Each camera in turn is let free while the others stay; the one that explains most is put
    right, as long as what it explains is clear, and so on.

    Parameters
    ----------
    cameras : CameraGroup
        V cameras, the calibration in question.
    pixels : float, (V, F, ..., 2)
        The same points in all views over F frames, such as (V, F, I, K, 2); NaN = not seen.
        Views must be synchronized and animals named alike.
    frames : int, (F,), optional
        Numbers of the frames, in which moments are told; by default 0, 1, ...
    known : dict of str to int, optional
        Cameras that are known to have moved, and from which frame on (0 = before the recording):
        where they stand since is found, however little it is.
    least_shift : float
        Displacements of the picture below this are not called a movement, px.
    on_progress : function of (int, int), optional
        Called with cameras tried and cameras to try; each that has moved calls for another round.

    Returns
    -------
    Drift
        One verdict per camera, and cameras put right. With two cameras only their relation is
        known: then the one that is said to have moved stands for both.

    Raises
    ------
    CalibrationError
        If shapes do not fit or fewer than 20 points were seen by two cameras.

    Notes
    -----
    Pixels of pictures whose distortion was taken out before are recognised (`find_undistorted`),
    and judged by cameras without distortion, which `cameras` and `repaired` then are.

    Labels err alike in neighbouring frames, and each keypoint in its own way. The standard
    deviation of a shift is taken by leaving out tenths of the time and groups of keypoints in
    turn (jackknife), so that such errors are not taken for a movement.

    References
    ----------
    Points are eliminated from the equations as in Triggs et al. 2000, "Bundle adjustment: a
    modern synthesis", section 6. Jackknife of groups: Efron 1982, "The jackknife, the bootstrap
    and other resampling plans".
    """
    array = np.asarray(pixels, np.float64)
    if array.ndim < 3 or len(array) != len(cameras) or array.shape[-1] != 2 or len(cameras) < 2:
        raise CalibrationError(
            f"pixels: wanted ({len(cameras)} cameras, frames, ..., 2) of two cameras or more, "
            f"came {array.shape}"
        )
    numbers = np.arange(array.shape[1]) if frames is None else np.asarray(frames, np.int64)
    scene = _choose_points(array)
    # A lens that is not that of the pixels would be taken for a movement.
    undistorted = find_undistorted(cameras, array)
    cameras = undistorted[0] if undistorted else cameras
    left_out = [_leave_out(cameras, scene, v) for v in range(len(cameras))]
    rivals = dict[int, list[int]]()
    group, scene, moved = _place_known(cameras, scene, known or {}, numbers)
    fits = _fit_each(group, scene, moved, on_progress)
    while fits and len(moved) < max(len(group) - 2, 1):
        clear = {v: fit for v, fit in fits.items() if fit.is_clear(least_shift)}
        if not clear:
            break
        costs = _compare(group, scene, clear)
        v = min(costs, key=lambda v: costs[v])
        rivals[v] = [u for u in costs if u != v and costs[u] <= _ALIKE * costs[v]]
        moved[v] = clear[v]
        group = _put(group, clear[v].camera)
        # What it saw before it was moved does not go with where it stands now.
        scene = scene.forget(v, clear[v].since)
        fits = _fit_each(group, scene, moved, on_progress)
    found = {**fits, **moved}
    drifts = tuple(
        replace(
            _describe(cameras.cameras[v], found[v], v in moved, numbers),
            rivals=tuple(cameras.names[u] for u in rivals.get(v, [])),
            left_out=left_out[v],
            visible=max(least_shift, CLEARLY * found[v].deviation)
            if np.isfinite(found[v].shift)
            else np.inf,
        )
        for v in range(len(group))
    )
    repaired = cameras
    for v in moved:
        repaired = add_station(repaired, group.cameras[v], drifts[v].since)
    verdict = _say(drifts, cameras, least_shift)
    if undistorted:
        verdict = (
            "The pixels are those of pictures whose distortion was taken out: they fit to "
            f"{undistorted[2]:.2f} px without the distortion of the lenses, to "
            f"{undistorted[1]:.2f} px with it. Judged without it: {verdict}"
        )
    return Drift(drifts, group, verdict, repaired)


def _place_known(
    group: CameraGroup, scene: _Scene, known: Mapping[str, int], numbers: Ints
) -> tuple[CameraGroup, _Scene, dict[int, Movement]]:
    """Put cameras that are known to have moved where they stand since."""
    moved = {}
    unseen = scene
    for name in known:  # none of them helps to place another one
        v = group.names.index(group[name].name)
        unseen = unseen.forget(v, len(numbers))
    for name, since in known.items():
        v, row = group.names.index(name), int(np.searchsorted(numbers, since))
        own = replace(unseen, pixels=unseen.pixels.copy())
        own.pixels[v] = scene.pixels[v]
        target = _find_target(group, own, v)
        moved[v] = find_movement(group.cameras[v], target, scene.n_frames, since=row)
        if not np.isfinite(moved[v].shift):
            raise CalibrationError(
                f"{name}: fewer than {FEWEST} points that the others place were seen from frame "
                f"{since} on"
            )
    for v, fit in moved.items():
        group, scene = _put(group, fit.camera), scene.forget(v, fit.since)
    return group, scene, moved


@dataclass(frozen=True)
class _Scene:
    """Pixels (V, N, 2) of points, the time of each (0 to 1) and its group of keypoints."""

    pixels: Floats
    frame: Ints
    group: Ints
    n_frames: int

    def forget(self, v: int, before: int) -> _Scene:
        """Leave out what camera v saw before a frame."""
        pixels = self.pixels.copy()
        pixels[v, self.frame < before] = np.nan
        return replace(self, pixels=pixels)


def _choose_points(array: Floats) -> _Scene:
    """Choose points (V, F, ..., K, 2) that two cameras saw, evenly over time."""
    n_frames, n_keypoints = array.shape[1], array.shape[-2] if array.ndim > 3 else 1
    flat = array.reshape(len(array), -1, 2)
    n_points = flat.shape[1] // n_frames
    usable = np.flatnonzero(np.isfinite(flat).all(-1).sum(0) >= 2)
    if len(usable) < FEWEST:
        raise CalibrationError(
            f"only {len(usable)} points were seen by two cameras at once, wanted {FEWEST} or more"
        )
    if len(usable) > _POINTS:
        usable = np.sort(np.random.default_rng(0).choice(usable, _POINTS, replace=False))
    # Neighbours, such as the parts of a tail, are labelled alike: they are left out together.
    group = usable % n_keypoints * min(_GROUPS, n_keypoints) // n_keypoints
    return _Scene(flat[:, usable], usable // n_points, group, n_frames)


def _fit_each(
    group: CameraGroup,
    scene: _Scene,
    settled: dict[int, Movement],
    on_progress: Callable[[int, int], None] | None,
) -> dict[int, Movement]:
    """Set each camera free that is not settled, and shares enough with the others."""
    fits = {}
    done = len(settled) * len(group)
    for v, camera in enumerate(group):
        if v not in settled:
            fits[v] = find_movement(camera, _find_target(group, scene, v), scene.n_frames)
        if on_progress is not None:
            on_progress(done + v + 1, done + len(group))
    return fits


def _find_target(group: CameraGroup, scene: _Scene, v: int) -> Target:
    """Find where the points are that camera v sees, without using camera v."""
    others = CameraGroup([c for u, c in enumerate(group) if u != v])
    if len(others) > 1:
        found = triangulate_points(others, np.delete(scene.pixels, v, axis=0))
        points, covariance = found.points, found.covariance / found.sigma**2
    else:
        points = _intersect(others.cameras[0], group.cameras[v], scene.pixels[[1 - v, v]])
        along = points - others.cameras[0].centre
        covariance = _ANYWHERE**2 * along[:, :, None] * along[:, None]
    target = Target(points, covariance, scene.pixels[v], scene.frame, scene.group, len(others) == 1)
    return target.take(np.isfinite(points[:, 0]) & np.isfinite(scene.pixels[v]).all(-1))


def _leave_out(group: CameraGroup, scene: _Scene, v: int) -> float:
    """Find how far, px, camera v sees points from where the others put them; the median."""
    if len(group) < 3:
        return float("nan")
    target = _find_target(group, scene, v)
    apart = np.linalg.norm(group.cameras[v].project(target.points) - target.pixels, axis=-1)
    apart = apart[np.isfinite(apart)]
    return float(np.median(apart)) if len(apart) else float("nan")


def _intersect(a: Camera, b: Camera, pixels: Floats) -> Floats:
    """Find points (N, 3) that two cameras saw, somewhere along the rays of the first."""
    rotation = b.rotation_matrix @ a.rotation_matrix.T
    planes = np.full(pixels.shape, np.nan)
    for camera, plane, seen in zip((a, b), planes, pixels, strict=True):
        there = np.isfinite(seen).all(1)
        plane[there] = camera.undistort(seen[there])
    local = intersect_rays(rotation, b.translation - rotation @ a.translation, *planes)
    return (local - a.translation) @ a.rotation_matrix


def _compare(group: CameraGroup, scene: _Scene, clear: dict[int, Movement]) -> dict[int, float]:
    """Find the cost of all pixels if one or the other camera has moved."""
    before = _find_errors(group, scene)
    errors = {
        v: np.where(scene.frame < fit.since, before, _find_errors(_put(group, fit.camera), scene))
        for v, fit in clear.items()
    }
    # What no point explains costs as much as an outlier.
    seen = np.isfinite(scene.pixels).all(-1)
    limit = _LIMIT * max(min(float(np.nanmedian(e)) for e in errors.values()), 1e-6)
    return {
        v: float((np.fmin(np.nan_to_num(e, nan=np.inf), limit)[seen] ** 2).mean())
        for v, e in errors.items()
    }


def _find_errors(group: CameraGroup, scene: _Scene) -> Floats:
    """Find reprojection errors (V, N), px; NaN where not seen or not explained."""
    points = triangulate_points(group, scene.pixels).points
    return np.asarray(np.linalg.norm(group.project(points) - scene.pixels, axis=-1))


def _put(group: CameraGroup, camera: Camera) -> CameraGroup:
    return CameraGroup([camera if c.name == camera.name else c for c in group], group.unit)


def _describe(old: Camera, fit: Movement, moved: bool, numbers: Ints) -> CameraDrift:
    turned = fit.camera.rotation_matrix @ old.rotation_matrix.T
    cosine = np.clip((np.trace(turned) - 1) / 2, -1, 1)
    return CameraDrift(
        name=old.name,
        moved=moved,
        shift=fit.shift,
        deviation=fit.deviation,
        turned=float(np.degrees(np.arccos(cosine))),
        displaced=float(np.linalg.norm(fit.camera.centre - old.centre)),
        noise=fit.noise,
        seen=fit.seen,
        over_time=fit.over_time,
        since=_number(fit.since, numbers) if moved else -1,
    )


def _number(row: int, numbers: Ints) -> int:
    """Give the number of a frame; of the first one 0, as it always was so."""
    return int(numbers[row]) if 0 < row < len(numbers) else 0


def _say_untold(drifts: tuple[CameraDrift, ...]) -> str:
    """Say of which cameras the recording tells nothing; empty if it tells of all."""
    blind = [d.name for d in drifts if not np.isfinite(d.visible)]
    dim = [f"{d.name} {d.visible:.1f} px" for d in drifts if not d.told and np.isfinite(d.visible)]
    note = (
        f" Nothing can be said of {', '.join(blind)}: too few points are shared." if blind else ""
    )
    if dim:
        note += (
            f" Cannot tell whether {', '.join(d.split(' ')[0] for d in dim)} moved: the smallest "
            f"movements that would be seen are {', '.join(dim)}. Take a recording in which animals "
            "go to more places, or a board."
        )
    return note


def _say(drifts: tuple[CameraDrift, ...], cameras: CameraGroup, least_shift: float) -> str:
    """Say in words what was found and what to do."""
    note = _say_untold(drifts)
    moved = [d for d in drifts if d.moved]
    if not moved:
        known = [d for d in drifts if d.told]
        if not known:
            return note.strip()
        most = max(d.visible for d in known)
        who = "no camera" if not note else f"none of {', '.join(d.name for d in known)}"
        fits = "The calibration fits: " if not note else ""
        return f"{fits}{who} moved by more than {most:.1f} px.{note}"
    parts = [
        f"{d.name} by {d.shift:.1f} ± {d.deviation:.1f} px ({d.turned:.2f} degrees)"
        + (f" from frame {d.since} on" if d.since > 0 else "")
        + (f" (or else {', '.join(d.rivals)})" if d.rivals and len(cameras) > 2 else "")
        for d in moved
    ]
    if len(cameras) == 2:
        return (
            f"The cameras have moved against each other: {parts[0]}, or the other one. "
            "Calibrate again."
        )
    return (
        f"The calibration does not fit: moved has {', '.join(parts)}. Calibrate again, or "
        f"go on with the cameras as they are placed here (repaired).{note}"
    )
