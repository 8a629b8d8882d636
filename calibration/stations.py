"""A camera that stood in several places in one recording: stations, each from a frame on.

In a group and its file a station is a camera of its own, called ``CAMERA@FRAME``: ``side`` is
where the camera stood first, ``side@1200`` where it stands from frame 1200 on. Every tool that
reads the file sees two cameras.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from calibration.alignment import Similarity, find_similarity
from calibration.arrays import Floats
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import UNKNOWN_UNIT, CameraGroup

# Two calibrations with a board put a camera that stayed to within this part of the picture's width.
_STAYED = 0.005


def split_station(name: str, cameras: CameraGroup) -> tuple[str, int]:
    """Split the name of a station into that of its camera and its first frame.

    Parameters
    ----------
    name : str
        Of a camera in the group.
    cameras : CameraGroup
        The group; ``a@5`` is a station only if it holds a camera ``a``.

    Returns
    -------
    (str, int)
        Frame 0 for where a camera stood first.

    Examples
    --------
    >>> from calibration import make_ring
    >>> ring = add_station(make_ring(2), make_ring(2)["cam1"], 1200)
    >>> [split_station(name, ring) for name in ring.names]
    [('cam0', 0), ('cam1', 0), ('cam1', 1200)]
    """
    found = re.fullmatch(r"(.+)@(\d+)", name)
    if found is None or found[1] not in cameras:
        return name, 0
    return found[1], int(found[2])


def list_stations(cameras: CameraGroup, name: str) -> list[tuple[int, float, Camera]]:
    """List where a camera stood, and in which frames, in their order.

    Parameters
    ----------
    cameras : CameraGroup
        The group.
    name : str
        Of a camera, without a frame.

    Returns
    -------
    list of (int, float, Camera)
        First frame and the one after the last, infinite for the last station. Of a camera that
        never moved one.

    Raises
    ------
    CalibrationError
        If there is none of this name.

    Examples
    --------
    >>> from calibration import make_ring
    >>> ring = add_station(make_ring(2), make_ring(2)["cam1"], 1200)
    >>> [(since, end, camera.name) for since, end, camera in list_stations(ring, "cam1")]
    [(0, 1200, 'cam1'), (1200, inf, 'cam1@1200')]
    """
    split = [(*split_station(camera.name, cameras), camera) for camera in cameras]
    later = {since: camera for base, since, camera in split if base == name != camera.name}
    places = {0: cameras[name], **dict(sorted(later.items()))}
    ends = [*list(places)[1:], np.inf]
    return [(since, end, places[since]) for since, end in zip(places, ends, strict=True)]


def select_stations(cameras: CameraGroup, frame: float) -> CameraGroup:
    """Give the cameras as they stand in one frame.

    Parameters
    ----------
    cameras : CameraGroup
        The group.
    frame : float
        Number of the frame; infinite for where they stand last.

    Returns
    -------
    CameraGroup
        One camera of each name, without a frame in it.

    Examples
    --------
    >>> from calibration import make_ring
    >>> ring = make_ring(3)
    >>> moved = add_station(ring, replace(ring["cam1"], translation=[1, 2, 3]), 1200)
    >>> [select_stations(moved, f)["cam1"].translation.tolist()[0] == 1 for f in (1199, 1200)]
    [False, True]
    """
    chosen = []
    for name in dict.fromkeys(split_station(name, cameras)[0] for name in cameras.names):
        places = [c for since, _, c in list_stations(cameras, name) if since <= frame]
        chosen.append(replace(places[-1], name=name))
    return CameraGroup(chosen, cameras.unit)


def add_station(cameras: CameraGroup, camera: Camera, since: int) -> CameraGroup:
    """Say that a camera stands elsewhere from a frame on.

    Parameters
    ----------
    cameras : CameraGroup
        The group.
    camera : Camera
        Bears the name of one of them (or of one of its stations); its lens and where it stands
        since.
    since : int
        First frame; 0 = it always stood there, and what the group said of it is replaced.

    Returns
    -------
    CameraGroup

    Raises
    ------
    CalibrationError
        If there is no camera of this name, or the frame is below 0.

    Examples
    --------
    >>> from calibration import make_ring
    >>> ring = make_ring(2)
    >>> add_station(ring, ring["cam1"], 1200).names
    ('cam0', 'cam1', 'cam1@1200')
    """
    name, own = split_station(cameras[camera.name].name, cameras)
    if since < 0:
        raise CalibrationError(f"{name}: wanted a frame of 0 or more, came {since}")
    title = camera.name if since <= own else f"{name}@{since}"
    kept = [c if c.name != title else replace(camera, name=title) for c in cameras]
    if title not in cameras:
        kept.append(replace(camera, name=title))
    return CameraGroup(kept, cameras.unit)


def join_calibrations(
    before: CameraGroup, after: CameraGroup, since: int
) -> tuple[CameraGroup, dict[str, float]]:
    """Join two calibrations, of before and after cameras were moved in mid-recording.

    The second may have a world of its own, as of a board that lay elsewhere: it is laid over the
    first by the cameras that stand alike in both.

    Parameters
    ----------
    before, after : CameraGroup
        With cameras of the same names.
    since : int
        First frame after the movement.

    Returns
    -------
    CameraGroup
        `before`, and stations of the cameras that have moved.
    dict of str to float
        By camera of both: by how much its picture is displaced, px (root mean square).

    Raises
    ------
    CalibrationError
        If fewer than two cameras stand alike in both, units differ, or no camera has moved.

    Examples
    --------
    >>> from calibration import make_ring
    >>> ring = make_ring(4)
    >>> turned = replace(ring["cam2"], rotation=ring["cam2"].rotation + [0.2, 0, 0])
    >>> after = CameraGroup([turned if c.name == "cam2" else c for c in ring], ring.unit)
    >>> joined, shifts = join_calibrations(ring, after, 500)
    >>> joined.names[-1], [name for name, shift in shifts.items() if shift > 5]
    ('cam2@500', ['cam2'])
    """
    names = [name for name in before.names if name in after]
    if UNKNOWN_UNIT not in (before.unit, after.unit) and before.unit != after.unit:
        raise CalibrationError(
            f"calibrations before and after: one is in {before.unit}, the other in {after.unit}"
        )
    stayed, change = _find_change(before, after, names)
    if len(stayed) < 2:
        raise CalibrationError(
            "calibrations before and after: fewer than two cameras stand alike in both, so they "
            "have no world in common; find the place of the moved camera from the poses instead"
        )
    laid = change.move_cameras(after)
    shifts = {name: _find_shift(before, laid, name) for name in names}
    moved = [name for name in names if name not in stayed]
    if not moved:
        raise CalibrationError(
            "calibrations before and after: no camera has moved by more than "
            f"{max(shifts.values()):.1f} px"
        )
    for name in moved:
        before = add_station(before, laid[name], since)
    return before, shifts


def _find_change(
    before: CameraGroup, after: CameraGroup, names: list[str]
) -> tuple[list[str], Similarity]:
    """Find the cameras that stand alike in two worlds, and the change from one to the other."""
    best: tuple[list[str], Similarity] = ([], Similarity(np.eye(3), np.zeros(3)))
    least = np.inf
    for reference in names:
        change = _lay_over(before, after, [reference])
        laid = change.move_cameras(after)
        shifts = {name: _find_shift(before, laid, name) for name in names}
        stayed = [n for n in names if shifts[n] < _STAYED * before[n].size[0]]
        error = sum(shifts[name] for name in stayed)
        if (-len(stayed), error) < (-len(best[0]), least):
            best, least = (stayed, change), error
    if len(best[0]) > 1:
        return best[0], _lay_over(before, after, best[0])
    return best


def _lay_over(before: CameraGroup, after: CameraGroup, names: list[str]) -> Similarity:
    """Find the change of world that brings some cameras to where they stood."""
    reach = _find_reach(before)
    corners = reach * np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1], [-1, -1, 1.0]])
    old, new = (
        np.concatenate([(corners - g[n].translation) @ g[n].rotation_matrix for n in names])
        for g in (before, after)
    )
    return find_similarity(new, old, scale=False)


def _find_shift(before: CameraGroup, laid: CameraGroup, name: str) -> float:
    """Find by how much a camera's picture is displaced in the other group, px."""
    width, height = before[name].size
    x, y = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
    rays = before[name].undistort(np.stack([x.ravel(), y.ravel()], -1))
    local = _find_reach(before) * np.c_[rays, np.ones(len(rays))]
    points = (local - before[name].translation) @ before[name].rotation_matrix
    squares = ((laid[name].project(points) - before[name].project(points)) ** 2).sum(-1)
    squares = squares[np.isfinite(squares)]
    return float(np.sqrt(squares.mean())) if len(squares) else np.inf


def _find_reach(cameras: CameraGroup) -> float:
    """Find about how far from the cameras the animals are: as far as cameras from their middle."""
    centres: Floats = np.stack([camera.centre for camera in cameras])
    return float(np.linalg.norm(centres - centres.mean(0), axis=1).mean()) or 1.0
