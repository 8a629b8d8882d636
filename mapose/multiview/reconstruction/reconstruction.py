"""From what several cameras saw to where everybody is in 3D."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from calibration import CameraGroup, triangulate_points
from mapose.arrays import AnyFloats, Bools, Floats, Image, Singles
from mapose.errors import SettingsError, suggest_name
from mapose.multiview.contradictions import find_contradictions
from mapose.multiview.matching.identities import match_views
from mapose.multiview.mismatches import find_mismatches
from mapose.multiview.reconstruction.evidence import Recording
from mapose.multiview.reconstruction.pixel_noise import compare_keypoints
from mapose.multiview.reconstruction.refinement import refine_points
from mapose.multiview.stations import join_views, split_views
from mapose.multiview.views import Stack, align_views, check_views, list_differences, stack_views
from mapose.poses import FILLED, Poses
from mapose.similarity import find_edge_lengths

log = logging.getLogger(__name__)


# A known length that comes out this many times longer or shorter is in another unit.
_OTHER_UNIT = 3.0
# Points whose reprojection is computed at once.
_CHUNK = 200_000


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Poses in 3D, and how good they are; prints itself as a short table.

    Parameters
    ----------
    poses : Poses
        3D, in the unit of the calibration, with covariance, and identity if the views have it.
        The confidence is the mean of the views that count; one view counts half, and a point
        that no camera saw has 0.01.
    error : float32, (F, I, K)
        Mean distance in px between the points and what the views that count saw; NaN where
        there is no point or none counts.
    n_views : uint8, (F, I, K)
        Views that count.
    filled : bool, (F, I, K)
        Points that fewer than two cameras saw: they follow from the frames before and after,
        from the bones, and from the one camera.
    views : dict of str to Poses
        The 2D poses with the names that they have in 3D.
    camera_errors : dict of str to float
        Median distance in px between the points and what each camera saw of them.
    camera_shares : dict of str to float
        Part of what each camera saw that counts.
    warnings : tuple of str
        What is worth a look.
    """

    poses: Poses
    error: Singles
    n_views: Image
    filled: Bools
    views: dict[str, Poses]
    camera_errors: dict[str, float]
    camera_shares: dict[str, float]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        poses = self.poses
        there = poses.confidence > 0
        found = int(there.sum())
        lines = [str(poses)]
        if found:
            seen = self.error[np.isfinite(self.error)]
            median, high = np.quantile(seen, [0.5, 0.95]) if len(seen) else (np.nan, np.nan)
            lines.append(
                f"{found} points, {100 * self.filled.sum() / found:.1f} % of them filled in; error "
                f"{median:.2f} px median, {high:.2f} px p95; {self.n_views[there].mean():.1f} views"
            )
        width = max([8, *(len(name) for name in self.views)])
        lines.append(f"{'camera':{width}}{'error px':>10}{'used':>8}")
        for name, error in self.camera_errors.items():
            lines.append(f"{name:{width}}{error:10.2f}{100 * self.camera_shares[name]:7.1f}%")
        lines += self._list_bones()
        lines += [f"note: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _list_bones(self) -> list[str]:
        names = [f"{a}-{b}" for a, b in self.poses.skeleton.edges]
        if not names or not len(self.poses):
            return []
        width = max(16, *(len(name) for name in names))
        lines = [f"{'bone':{width}}{'length ' + self.poses.unit:>12}{'varies':>9}"]
        for name, (length, spread) in zip(names, self.bones, strict=True):
            lines.append(f"{name:{width}}{length:12.3g}{100 * spread / length:8.1f}%")
        return lines

    @property
    def bones(self) -> Floats:
        """Median length of each edge and its standard deviation, float64 (E, 2), in the unit.

        Deviations are from each individual's own median. Filled points do not count; NaN if the
        bone was never seen.
        """
        points = np.where(self.filled[..., None], np.nan, self.poses.points)
        lengths = find_edge_lengths(points, self.poses.skeleton.edge_index)
        found = np.full((lengths.shape[2], 2), np.nan)
        for e in range(lengths.shape[2]):
            each = [column[np.isfinite(column)] for column in lengths[:, :, e].T]
            each = [column for column in each if len(column)]
            if each:
                off = np.concatenate([column - np.median(column) for column in each])
                found[e] = np.median(np.concatenate(each)), np.sqrt((off**2).mean())
        return found


def triangulate(
    views: Mapping[str, Poses],
    cameras: CameraGroup,
    *,
    smooth: bool | Literal["rigid"] = True,
    max_gap: int = 10,
    match: bool | None = None,
    lengths: Mapping[tuple[str, str], float] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Reconstruction:
    """Find where everybody is in 3D.

    Each frame is triangulated, views that contradict the others are left out. Then tracks are
    smoothed through time, as far as their own noise asks for it, with bone lengths held that are
    learned from the data; views are judged again by what the smooth track expects.

    Parameters
    ----------
    views : mapping of str to Poses
        2D poses by camera. The same frame number is the same moment; frames and keypoints that a
        view does not list were not seen there.
    cameras : calibration.CameraGroup
        Calibrated; may hold more cameras than there are views. A camera that was moved in
        mid-recording has a station for each place: ``side`` and, from frame 1200 on, ``side@1200``
        (`calibration.add_station`).
    smooth : bool or "rigid"
        Whether to smooth, fill and repair; if not, each frame stands for itself. How much each
        bone varies is learned; "rigid" says that none does, as other tools take for granted.
        Skin, ears and spines do: in 3D labels of a mouse by hand, edges vary by 5 to 22 %.
    max_gap : int
        Longest run of frames in which fewer than two cameras see a point that is filled in;
        longer ones stay missing, and so does what lies before the first and after the last
        frame in which two cameras see it.
    match : bool, optional
        Whether to find out first who is who in all views (`match_views`). By default if any view
        has more than one individual; False trusts the names.
    lengths : mapping of (str, str) to float, optional
        Known distances between keypoints in the unit of the calibration, to check the scale.
    on_progress : callable, optional
        Called with the number of frames done and of all frames.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ShapeError
        If views do not fit each other or the cameras; all faults are listed at once.
    SettingsError
        If a known length shows that the calibration is in another unit.

    Examples
    --------
    >>> from mapose.synthetic import make_scene
    >>> scene = make_scene(1, 60, cameras=3)
    >>> views = {name: scene.truth(name) for name in scene.cameras.names}
    >>> found = triangulate(views, scene.cameras)
    >>> bool(np.nanmax(np.abs(found.poses.points - scene.truth_3d().points)) < 0.1)
    True
    """
    check_views(views, cameras)
    if smooth not in (True, False, "rigid"):
        raise SettingsError(f"smooth: wanted True, False or 'rigid', came {smooth!r}")
    if max_gap < 0:
        raise SettingsError(f"max_gap: wanted frames, 0 or more, came {max_gap}")
    given, views = views, align_views(views)
    if match or (match is None and any(p.array.shape[1] > 1 for p in views.values())):
        views = match_views(views, cameras)
    views = split_views(views, cameras)
    stack = stack_views(views, cameras)
    points, covariance, used = _triangulate_frames(stack)
    if smooth and len(points) >= 3 and np.isfinite(points).any():
        points, covariance, used = _smooth(
            stack,
            points,
            used,
            max_gap=max_gap,
            rigid=smooth == "rigid",
            on_progress=on_progress,
        )
    found = _report(views, stack, points, covariance, used, cameras)
    found = replace(
        found,
        views=join_views(found.views, cameras),
        warnings=(*found.warnings, *list_differences(given)),
    )
    _check_lengths(found, lengths or {})
    return found


def _triangulate_frames(stack: Stack) -> tuple[Floats, Floats, Bools]:
    """Triangulate each frame by itself: points, covariances, and the views that count.

    Each individual for itself: `triangulate_points` learns how exact its points are, and a person
    seen to 9 px beside one seen to 0.5 px would be taken for outliers. So would a keypoint that
    every view sees a little elsewhere: each has its own noise as well.
    """
    _, f, i, k, _ = stack.pixels.shape
    points, covariance = np.empty((f, i, k, 3)), np.empty((f, i, k, 3, 3))
    used = np.empty(stack.pixels.shape[:-1], bool)
    for n in range(i):
        pixels, weights, spread = stack.pixels[:, :, n], _weigh(stack)[:, :, n], None
        if stack.covariance is not None:
            spread = stack.covariance[:, :, n]
        noise = compare_keypoints(
            stack.cameras, pixels, weights=None if spread is not None else weights, spread=spread
        )
        found = triangulate_points(
            stack.cameras,
            pixels,
            confidence=weights / noise**2 if spread is None else None,
            covariance=None if spread is None else spread * noise[:, None, None] ** 2,
        )
        points[:, n], covariance[:, n] = found.points, found.covariance
        used[:, :, n] = found.views & np.isfinite(found.points).all(-1)
    return points, covariance, used


def _weigh(stack: Stack) -> Floats:
    """Find how much pixels weigh: a confidence is taken for one over a standard deviation.

    With it for one over a variance, views that are left out are predicted less well: by 11 % on
    the proofread mouse with four cameras, by 0.3 % on people, by nothing on the fly.
    """
    return stack.confidence**2


def _smooth(
    stack: Stack,
    points: Floats,
    used: Bools,
    *,
    max_gap: int,
    rigid: bool,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[Floats, Floats, Bools]:
    v, f, i, k, _ = stack.pixels.shape
    covariance = stack.covariance
    refined = refine_points(
        Recording(
            cameras=stack.cameras,
            frames=stack.frames,
            pixels=stack.pixels.reshape(v, f, i * k, 2),
            confidence=_weigh(stack).reshape(v, f, i * k),
            covariance=None if covariance is None else covariance.reshape(v, f, i * k, 2, 2),
        ),
        points,
        chosen=used,
        ends=stack.skeleton.edge_index,
        max_gap=max_gap,
        rigid=rigid,
        on_progress=on_progress,
    )
    return refined.points, refined.covariance, refined.used


def _report(
    views: Mapping[str, Poses],
    stack: Stack,
    points: Floats,
    covariance: Floats,
    used: Bools,
    cameras: CameraGroup,
) -> Reconstruction:
    there = np.asarray(np.isfinite(points).all(-1))
    used = used & there
    count = used.sum(0)
    distance = _reproject(stack, points)
    seen = np.isfinite(distance)
    confidence = np.where(used, stack.confidence, 0).sum(0) / np.maximum(count, 2)
    confidence = np.where(there, np.clip(confidence, FILLED, 1), 0)
    with np.errstate(invalid="ignore"):
        error = np.where(count > 0, np.where(used, distance, 0).sum(0) / count, np.nan)
    poses = Poses(
        np.concatenate([points, confidence[..., None]], -1),
        stack.skeleton,
        stack.individuals,
        stack.rate,
        cameras.unit,
        frames=stack.frames,
        identity=stack.identity,
        covariance=covariance.astype(np.float32),
    )
    return Reconstruction(
        poses=poses,
        error=error.astype(np.float32),
        n_views=count.astype(np.uint8),
        filled=there & (count < 2),
        views=dict(views),
        camera_errors={
            n: _find_median(d[u]) for n, d, u in zip(views, distance, used, strict=True)
        },
        camera_shares={
            n: float(u.sum() / max(s.sum(), 1)) for n, u, s in zip(views, used, seen, strict=True)
        },
        warnings=tuple(_find_warnings(views, cameras, stack, points=points, used=used)),
    )


def _reproject(stack: Stack, points: Floats) -> Floats:
    """Find the distances (V, F, I, K) in px between points and what each camera saw."""
    distance = np.full(stack.confidence.shape, np.nan)
    step = max(_CHUNK // max(points[0].size, 1), 1) if len(points) else 1
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        gap = stack.cameras.project(points[part]) - stack.pixels[:, part]
        distance[:, part] = np.sqrt(np.einsum("...d,...d->...", gap, gap))
    return distance


def _find_warnings(
    views: Mapping[str, Poses], cameras: CameraGroup, stack: Stack, *, points: Floats, used: Bools
) -> list[str]:
    warnings = [
        f"{name} sees nothing in any frame"
        for name, p in views.items()
        if not (p.confidence > 0).any()
    ]
    unused = [name for name in cameras.names if name not in views]
    if unused:
        warnings.append(f"no view of the calibrated cameras {', '.join(unused)}")
    there = np.asarray(np.isfinite(points).all(-1))
    seen = (stack.confidence > 0).sum(0)
    never = [
        keypoint
        for k, keypoint in enumerate(stack.skeleton.keypoints)
        if not there[:, :, k].any() and seen.size
    ]
    if never:
        warnings.append(f"never seen by two cameras that agree: {', '.join(never)}")
    warnings += find_contradictions(stack.cameras, stack.pixels, points, used)
    warnings += find_mismatches(stack.cameras, stack.pixels, stack.skeleton.keypoints)
    for warning in warnings:
        log.warning(warning)
    return warnings


def _check_lengths(found: Reconstruction, lengths: Mapping[tuple[str, str], float]) -> None:
    """Compare known lengths with what came out."""
    skeleton, unit = found.poses.skeleton, found.poses.unit
    for (a, b), wanted in lengths.items():
        for name in (a, b):
            if name not in skeleton.keypoints:
                hint = suggest_name(name, skeleton.keypoints)
                raise SettingsError(f"lengths: no keypoint {name!r}: {hint}")
        if not wanted > 0:
            raise SettingsError(f"lengths: {a}-{b}: wanted a length above 0, came {wanted}")
        edge = np.array([[skeleton.index(a), skeleton.index(b)]])
        measured = _find_median(find_edge_lengths(found.poses.points, edge).ravel())
        if not 1 / _OTHER_UNIT < measured / wanted < _OTHER_UNIT and np.isfinite(measured):
            raise SettingsError(
                f"lengths: {a}-{b} is {wanted:g} by what was given and {measured:g} {unit} by the "
                f"calibration: they are not in the same unit; give the length in {unit}, or "
                "calibrate with the true size of the board"
            )


def _find_median(values: AnyFloats) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")
