"""Frames of a result that are probably wrong, found with all that lies beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mapose.arrays import Singles
from mapose.doubts import Doubt
from mapose.errors import SettingsError, suggest_name
from mapose.labels import Labels
from mapose.poses import Poses
from mapose.results.result import Result
from mapose.selection import (
    KINDS,
    Outlier,
    Reason,
    find_disagreements,
    find_exchanges,
    find_jumps,
    find_low_confidence,
    find_odd_poses,
    find_unsure_names,
    find_view_errors,
    rank_outliers,
)

if TYPE_CHECKING:
    from calibration import CameraGroup

Source = str | os.PathLike[str] | Poses
# Seconds that belong together, and frames where the rate is not known.
_TOGETHER, _FRAMES = 0.3, 8


def find_outliers(
    source: Source | Mapping[str, Source],
    count: int | None = None,
    *,
    labels: Labels | None = None,
    against: Source | None = None,
    calibration: str | os.PathLike[str] | CameraGroup | None = None,
    kinds: Sequence[str] = KINDS,
    least: float = 1.0,
) -> list[Outlier]:
    """Rank the frames of a result that are probably wrong, each with its reasons in words.

    Parameters
    ----------
    source : path or Poses, or dict of them by camera
        A result in 2D, of any tool; of several cameras, results of the same moments.
    count : int, optional
        Frames wanted; all by default.
    labels : Labels, optional
        Labelled frames, which tell what poses an animal takes; by default the result does.
    against : path or Poses, optional
        What another model finds in the same video, or this one in changed pictures: see
        `mapose.find_mirrored`.
    calibration : path or CameraGroup, optional
        Of the cameras: frames in which one sees something else than the others do.
    kinds : sequence of str
        Which reasons count: ``confidence``, ``jump`` (of an animal or of a keypoint), ``swap``
        (two animals each go on where the other was), ``pose`` (a keypoint is far from where the
        others put it), ``identity`` (the tracker's doubts), ``reprojection``, ``disagreement``.
    least : float
        Score from which on a reason counts; 1 = as rare as one in a hundred of the recording, and
        worth a look anywhere. With less, also what is quite usual is ranked.

    Returns
    -------
    list of Outlier
        Best first, diversified: frames near to one that is ranked higher for the same are left
        out, and many faults of one sort do not crowd out the others.

    Raises
    ------
    FormatError
        If a file cannot be read.
    SettingsError
        If there is no such kind of reason, or a calibration for one camera alone.
    ShapeError
        If the cameras' results do not fit each other.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> array = np.ones((60, 1, 3, 3)) + np.arange(60)[:, None, None, None]
    >>> array[..., :2] += 10 * np.array([[0, 0], [4, 0], [1, 3]])
    >>> array[30, ..., :2] += 70
    >>> print(find_outliers(Poses(array, Skeleton(["a", "b", "c"]), ["ann"]))[0])
    frame 30: ann jumps by 100 px (2.0 body lengths)
    """
    for kind in kinds:
        if kind not in KINDS:
            raise SettingsError(f"no kind of reason {kind!r}: {suggest_name(kind, KINDS)}")
    learned = None if labels is None else labels.points.reshape(-1, *labels.points.shape[2:])
    if isinstance(source, Mapping):
        found, rate = _find_in_views(source, learned, calibration, least)
    elif calibration is not None:
        raise SettingsError("a calibration: wanted the results of several cameras, by camera")
    else:
        poses, doubts = _open(source)
        found = _find_in_one(poses, doubts, learned, least)
        rate = poses.rate
        if against is not None:
            what = "a second look" if isinstance(against, Poses) else Path(against).name
            span = _find_span(rate)
            other = _open(against)[0]
            found += find_disagreements(poses, other, what=what, apart=span, least=least)
    wanted = [(frame, reason) for frame, reason in found if reason.kind in kinds]
    return rank_outliers(wanted, count, apart=_find_span(rate))


def _find_span(rate: float | None) -> int:
    """Find how many frames belong together."""
    return max(3, round(_TOGETHER * rate)) if rate else _FRAMES


def _open(source: Source) -> tuple[Poses, Sequence[Doubt]]:
    if isinstance(source, Poses):
        return source, ()
    with Result(source) as result:
        return result.poses, result.find_doubts()


def _find_in_one(
    poses: Poses, doubts: Iterable[Doubt], learned: Singles | None, least: float
) -> list[tuple[int, Reason]]:
    """Find what is odd in the result of one video."""
    if not len(poses):
        return []
    span = _find_span(poses.rate)
    found = find_low_confidence(poses, apart=span, least=least)
    if poses.individuals is not None or poses.array.shape[1] == 1:
        found += find_exchanges(poses, apart=span, least=least)
        found += find_jumps(poses, apart=span, least=least)
    if poses.dimensions == 2:
        found += find_odd_poses(poses, learned, apart=span, least=least)
    return found + find_unsure_names(poses, doubts, least=least)


def _find_in_views(
    sources: Mapping[str, Source],
    learned: Singles | None,
    calibration: str | os.PathLike[str] | CameraGroup | None,
    least: float,
) -> tuple[list[tuple[int, Reason]], float | None]:
    """Find what is odd in the results of several cameras; whom it is about is told by camera."""
    opened = {camera: _open(source) for camera, source in sources.items()}
    views = {camera: poses for camera, (poses, _) in opened.items()}
    found = []
    for camera, (poses, doubts) in opened.items():
        for frame, reason in _find_in_one(poses, doubts, learned, least):
            who = tuple(f"{camera}/{name}" for name in reason.individuals)
            text = f"{camera}: {reason.text}"
            found.append((frame, replace(reason, text=text, individuals=who)))
    if calibration is not None:
        found += _find_between_views(views, calibration, least)
    return found, next((poses.rate for poses in views.values() if poses.rate), None)


def _find_between_views(
    views: Mapping[str, Poses],
    calibration: str | os.PathLike[str] | CameraGroup,
    least: float,
) -> list[tuple[int, Reason]]:
    """Find where one camera sees keypoints elsewhere than the others do."""
    from calibration import CameraGroup, read_cameras
    from mapose.multiview import match_views
    from mapose.multiview.stations import split_views
    from mapose.multiview.views import align_views, check_views, stack_views

    cameras = calibration if isinstance(calibration, CameraGroup) else read_cameras(calibration)
    check_views(views, cameras)
    views = align_views(views)
    if any(poses.array.shape[1] > 1 for poses in views.values()):
        views = match_views(views, cameras)
    views = split_views(views, cameras)
    stack = stack_views(views, cameras)
    shape = stack.pixels.shape
    pixels = stack.pixels.reshape(shape[0], -1, 2)
    confidence = stack.confidence.reshape(shape[0], -1)
    points = stack.cameras.triangulate(pixels, confidence=confidence).points
    gaps = np.linalg.norm(stack.cameras.project(points) - pixels, axis=-1).reshape(shape[:-1])
    found = []
    for v, camera in enumerate(views):
        array = np.concatenate([stack.pixels[v], stack.confidence[v][..., None]], -1)
        seen = Poses(array, stack.skeleton, stack.individuals, stack.rate, frames=stack.frames)
        span = _find_span(stack.rate)
        found += find_view_errors(seen, gaps[v], camera=camera, apart=span, least=least)
    return found
