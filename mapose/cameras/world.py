"""What `mapose world` does: a calibration in, the same cameras in a world of one's choice out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calibration import (
    CalibrationError,
    CameraGroup,
    align_to_board,
    align_to_points,
    find_board_pose,
    find_sighting,
    find_world_change,
    read_board,
    read_cameras,
    select_stations,
)
from mapose.arrays import Floats
from mapose.edits import find_edits_path
from mapose.errors import SettingsError, suggest_name
from mapose.files import claim_output, make_mark, name_work
from mapose.multiview.pointing import find_point
from mapose.poses import Poses
from mapose.results.result import Result

log = logging.getLogger(__name__)

Place = str | tuple[float, float, float] | Mapping[str, tuple[float, float]]
#: Pixels that rays through one clicked point may pass each other by before it is said.
_CLOSE = 5.0


@dataclass(frozen=True)
class WorldPoints:
    """Three points that set a world: its origin, one on the x axis, one on the y side.

    Parameters
    ----------
    origin, x, y : (float, float, float), str or dict of str to (float, float)
        In the world of the calibration, in its unit; or the name of a keypoint; or by camera the
        pixel at which the point is seen, in two cameras or more. The floor is the plane of the
        three, z is up if they turn anticlockwise as seen from above.
    poses : path, optional
        3D result in which keypoints are looked up: where they are in the median over time.
    frame : int, optional
        Its only frame that counts; of pixels the one in which they were clicked, if a camera was
        moved within the recording.
    individual : str, optional
        Whose keypoints, where there are several animals; landmarks need none.
    length : float, optional
        True distance from `origin` to `x`, in `unit`; by default the scale stays.
    unit : str, optional
        Of the new world.
    """

    origin: Place
    x: Place
    y: Place
    poses: str | os.PathLike[str] | None = None
    frame: int | None = None
    individual: str | None = None
    length: float | None = None
    unit: str | None = None


@dataclass(frozen=True)
class WorldBoard:
    """A board that sets a world as it lay in one frame: floor, origin at its first corner.

    Parameters
    ----------
    board : str
        Such as ``charuco:8x11:24mm:18.75mm:4x4_1000``, or a board .toml.
    sources : dict of str to path
        By camera: a video or images; those in which it is not seen do not count.
    frame : int
        Number of the frame, or of the image.
    unit : str, optional
        Of a board file that names none.
    """

    board: str
    sources: Mapping[str, str | os.PathLike[str]]
    frame: int = 0
    unit: str | None = None


def place_world(
    calibration: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    by: WorldPoints | WorldBoard,
    force: bool = False,
) -> CameraGroup:
    """Choose the origin, axes and floor of the world and save the cameras in it.

    Parameters
    ----------
    calibration : path
        Any that `calibration.read_cameras` reads.
    output : path
        The calibration to write, a .toml.
    by : WorldPoints or WorldBoard
        What sets it.
    force : bool
        Replace what something else made.

    Returns
    -------
    CameraGroup
        As saved; what the cameras see has not changed.

    Raises
    ------
    SettingsError
        If a keypoint or camera is unknown, or the output may not be replaced.
    calibration.CalibrationError
        If the board is not seen, or the three points are on one line.
    """
    inputs = [Path(calibration)]
    if isinstance(by, WorldPoints):
        inputs += [Path(by.poses), find_edits_path(by.poses)] if by.poses else []
        said = {k: v for k, v in vars(by).items() if k != "poses"}
    else:
        inputs += [Path(by.board), *map(Path, by.sources.values())]
        said = {"board": by.board, "frame": by.frame or None, "unit": by.unit}
    made = name_work("world", inputs, **said)
    with claim_output(output, inputs=inputs, suffixes=[".toml"], made=made, force=force):
        cameras = read_cameras(calibration)
        moved = _place_points(cameras, by) if isinstance(by, WorldPoints) else _lay(cameras, by)
        moved.save(output, note=make_mark(made))
        return moved


def _place_points(cameras: CameraGroup, by: WorldPoints) -> CameraGroup:
    poses = None if by.poses is None else _read_poses(cameras, by.poses)
    standing = select_stations(cameras, by.frame or 0)
    places = {}
    for name in ("origin", "x", "y"):
        place = getattr(by, name)
        places[name] = (
            _meet(standing, place, name)
            if isinstance(place, Mapping)
            else _find_place(place, poses, by)
        )
    return align_to_points(cameras, **places, length=by.length, unit=by.unit)[0]


def _read_poses(cameras: CameraGroup, path: str | os.PathLike[str]) -> Poses:
    """Read poses, and bring them into the world of the cameras, if they were made in another."""
    result = Result(path)
    poses, own = result.poses, result.cameras
    if own is None or poses.dimensions != 3:
        return poses
    change = find_world_change(own, cameras)
    if change is None:
        raise SettingsError(
            f"{Path(path).name} was reconstructed with other cameras than these: reconstruct it "
            "with this calibration first"
        )
    array = poses.array.copy()
    array[..., :3] = change.move(array[..., :3])
    return replace(poses, array=array, covariance=None, unit=cameras.unit)


def _meet(cameras: CameraGroup, pixels: Mapping[str, tuple[float, float]], what: str) -> Floats:
    """Find where the rays of pixels meet, float64 (3,)."""
    _check_cameras(pixels, cameras)
    if len(pixels) < 2:
        raise SettingsError(f"{what}: wanted its pixel in two cameras or more, came {len(pixels)}")
    for name, pixel in pixels.items():
        wide, high = cameras[name].size
        if not (-0.5 <= pixel[0] <= wide - 0.5 and -0.5 <= pixel[1] <= high - 0.5):
            raise SettingsError(
                f"{what}: {pixel[0]:g}:{pixel[1]:g} is outside of the {wide}x{high} image of {name}"
            )
    found = find_point(cameras, pixels)
    if not np.isfinite(found.point).all():
        raise CalibrationError(f"{what}: its pixels are those of no point in front of the cameras")
    far, name = max((error, name) for name, error in found.errors.items())
    if far > _CLOSE:
        log.warning(
            "%s: in %s its pixel lies %.0f px from where the cameras see one point; is it the same "
            "point in all of them?",
            what, name, far,
        )  # fmt: skip
    return found.point


def _check_cameras(names: Iterable[str], cameras: CameraGroup) -> None:
    for name in names:
        if name not in cameras:
            hint = suggest_name(name, cameras.names)
            raise SettingsError(f"no camera {name!r} in the calibration: {hint}")


def _find_place(
    place: str | tuple[float, float, float], poses: Poses | None, by: WorldPoints
) -> Floats:
    """Find where a point is in the old world, float64 (3,)."""
    if not isinstance(place, str):
        return np.asarray(place, np.float64)
    if poses is None:
        raise SettingsError(
            f"{place!r}: wanted x,y,z, or a keypoint together with a 3D result to look it up in"
        )
    if poses.dimensions != 3:
        raise SettingsError(f"{Path(str(by.poses)).name}: wanted 3D poses, came 2D ones")
    if place not in poses.skeleton.keypoints:
        hint = suggest_name(place, poses.skeleton.keypoints)
        raise SettingsError(f"no keypoint {place!r} in {Path(str(by.poses)).name}: {hint}")
    points = poses.points[:, :, poses.skeleton.index(place)].astype(np.float64)  # (F, I, 3)
    seen = np.asarray(np.isfinite(points).all(-1))
    who = np.flatnonzero(seen.any(0))
    if by.individual is not None:
        if by.individual not in poses.names:
            hint = suggest_name(by.individual, poses.names)
            raise SettingsError(f"no individual {by.individual!r}: {hint}")
        who = np.intersect1d(who, [poses.names.index(by.individual)])
    if len(who) > 1:
        told = ", ".join(poses.names[i] for i in who)
        raise SettingsError(f"{place}: several animals have it ({told}); say which one")
    rows = np.ones(len(poses), bool) if by.frame is None else poses.frames == by.frame
    found = points[rows][:, who][seen[rows][:, who]] if len(who) else points[:0, 0]
    if not len(found):
        when = "" if by.frame is None else f" in frame {by.frame}"
        raise SettingsError(f"{place} was found nowhere{when}; take another point or frame")
    return np.asarray(np.median(found, axis=0))


def _lay(cameras: CameraGroup, by: WorldBoard) -> CameraGroup:
    """Take the world of a board as it lies in a frame."""
    _check_cameras(by.sources, cameras)
    board = read_board(by.board, by.unit)
    if board.unit != cameras.unit and "unknown" not in (board.unit, cameras.unit):
        raise SettingsError(
            f"the calibration is in {cameras.unit}, the board in {board.unit}: give it in "
            f"{cameras.unit}"
        )
    pixels = {
        name: find_sighting(source, board, camera=name, frame=by.frame).pixels
        for name, source in by.sources.items()
    }
    return align_to_board(cameras, find_board_pose(cameras, board, pixels))[0]
