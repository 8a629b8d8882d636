"""What `mapose calibrate --from-poses` does: cameras found, or checked, by what animals show."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration import (
    UNKNOWN_UNIT,
    Board,
    CameraGroup,
    Drift,
    KnownLength,
    SelfCalibrationReport,
    add_station,
    calibrate_from_points,
    find_boards,
    find_drift,
    guess_lens,
    read_board,
    read_cameras,
    split_station,
)
from mapose.arrays import Floats, Ints
from mapose.cameras.triangulating import load_views
from mapose.edits import find_edits_path
from mapose.errors import SettingsError
from mapose.files import RESULT, claim_output, cut_suffix, is_result, make_mark, name_work
from mapose.multiview.contradictions import find_contradictions
from mapose.multiview.stations import split_views
from mapose.multiview.views import align_views, check_views, find_unknown_cameras, stack_views
from mapose.results.result import Result

log = logging.getLogger(__name__)

# Units of boards in mm, and by what a board may differ from what is measured: paper stretches less.
_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4}
_SCALE = 0.03
Sources = Mapping[str, str | os.PathLike[str]]


def calibrate_from_files(
    sources: Sources,
    output: str | os.PathLike[str],
    *,
    lenses: str | os.PathLike[str] | tuple[int, int],
    length: tuple[tuple[str, str], float, str] | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> SelfCalibrationReport:
    """Find where cameras stand from animals that they tracked, and save it.

    Parameters
    ----------
    sources : dict of str to path
        By camera: 2D poses, synchronized, animals named alike.
    output : path
        The calibration file to write.
    lenses : path or (int, int)
        A calibration whose lenses are taken, or width and height of all images in pixels: then
        the focal length is guessed and adjusted.
    length : ((str, str), float, str), optional
        Two keypoints, the distance between them, and its unit. Without, the first camera and
        its nearest neighbour are 1 apart.
    force : bool
        Replace a calibration of other files or options, or of somebody else.
    on_progress : function of (int, int), optional
        Called with adjustments done and adjustments in all.

    Returns
    -------
    SelfCalibrationReport

    Raises
    ------
    SettingsError
        If a keypoint of the known length is unknown, or the output is a file that is read, or
        may not be replaced.
    calibration.CalibrationError
        If the lenses cannot be read or the cameras not be linked.
    """
    inputs = [*sources.values(), *map(find_edits_path, sources.values())]
    if not isinstance(lenses, tuple):
        inputs.append(lenses)
    known_length = length and f"{'-'.join(length[0])}={length[1]:g}{length[2]}"
    made = name_work("calibrate --from-poses", sources.values(), length=known_length)
    with claim_output(output, inputs=inputs, suffixes=[".toml"], made=made, force=force):
        views = load_views(sources)
        if isinstance(lenses, tuple):
            group = CameraGroup([guess_lens(name, lenses) for name in views])
        else:
            known = read_cameras(lenses)
            group = CameraGroup([known[name] for name in views], known.unit)
        check_views(views, group)
        stack = stack_views(align_views(views), group)
        v, f, i, k, _ = stack.pixels.shape
        scale = None
        if length is not None:
            wanted = [stack.skeleton.index(name) for name in length[0]]
            rows = np.arange(f * i)[:, None] * k + wanted
            scale = KnownLength(length[1], points=rows)
        cameras, report = calibrate_from_points(
            stack.cameras,
            stack.pixels.reshape(v, -1, 2),
            known=scale,
            intrinsics="focal" if isinstance(lenses, tuple) else "none",
            groups=np.tile(np.arange(k), f * i),
            unit=length[2] if length else UNKNOWN_UNIT,
            on_progress=on_progress,
        )
        cameras.save(output, note=make_mark(made))
        return report


def check_calibration(
    sources: Sources,
    calibration: str | os.PathLike[str],
    *,
    board: str | None = None,
    moved: Mapping[str, int] | None = None,
    repaired: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Drift:
    """Tell whether an old calibration still fits what was tracked, or videos of a board.

    What has moved can be put right from the same recording, the other cameras held where they are.

    Parameters
    ----------
    sources : dict of str to path
        By camera: 2D poses, synchronized, animals named alike; with `board` its recordings.
    calibration : path
        The calibration in question, or a 3D result that holds one.
    board : str, optional
        Spec of the board that `sources` show.
    moved : dict of str to int, optional
        Cameras that are known to have moved, and from which frame on; 0 = before the recording.
    repaired : path, optional
        Calibration to write, a .toml: the same world, with the cameras that moved put where they
        stand now. One that moved within the recording is in it twice, ``side`` and, from frame
        1200 on, ``side@1200``; `triangulate_files` takes each for its frames.
    force : bool
        Replace a calibration of other files or options, or of somebody else.
    on_progress : function of (int, int), optional
        Called with cameras tried and cameras to try.

    Returns
    -------
    Drift
        A verdict per camera, with the smallest movement that would have been seen; prints itself.

    Raises
    ------
    ShapeError
        If views do not fit each other or the cameras.
    SettingsError
        If a camera is not in the calibration, or `repaired` may not be replaced.
    """
    if repaired is None:
        return _check(sources, calibration, board, moved or {}, on_progress)
    inputs = [*sources.values(), *map(find_edits_path, sources.values()), calibration]
    known = ",".join(f"{name}={since}" for name, since in (moved or {}).items())
    made = name_work(
        "calibrate --repair", [*sources.values(), calibration], board=board, moved=known
    )
    with claim_output(repaired, inputs=inputs, suffixes=[".toml"], made=made, force=force):
        drift = _check(sources, calibration, board, moved or {}, on_progress)
        whole = _read_checked(calibration)
        for camera in drift.repaired:  # those that were not checked stay
            name, since = split_station(camera.name, drift.repaired)
            whole = add_station(whole, replace(camera, name=name), since)
        whole.save(repaired, note=make_mark(made))
        return drift


def _check(
    sources: Sources,
    calibration: str | os.PathLike[str],
    board: str | None,
    moved: Mapping[str, int],
    on_progress: Callable[[int, int], None] | None,
) -> Drift:
    cameras = _read_checked(calibration)
    if faults := find_unknown_cameras(sources, cameras):
        raise SettingsError("; ".join(faults))
    if board is not None:
        group = CameraGroup([cameras[name] for name in sources], cameras.unit)
        known = read_board(board)
        pixels, frames = _find_corners(sources, known)
        _question_board(group, pixels, known)
    else:
        views = load_views(sources)
        check_views(views, cameras)
        stack = stack_views(align_views(split_views(views, cameras)), cameras)
        group, pixels, frames = stack.cameras, stack.pixels, stack.frames
    drift = find_drift(group, pixels, frames=frames, known=moved, on_progress=on_progress)
    if not any(np.isfinite(own.visible) for own in drift.drifts):
        # No camera can be judged: perhaps views are not those of their cameras.
        found = group.triangulate(pixels)
        for doubt in find_contradictions(group, pixels, found.points, found.views):
            log.warning(doubt)
    return drift


def list_views(calibration: str | os.PathLike[str]) -> dict[str, Path]:
    """List the 2D views that lie beside a 3D result, by camera; empty if it is none."""
    path = Path(calibration)
    folder = path.with_name(cut_suffix(path.name) + ".views")
    if not is_result(path) or not folder.is_dir():
        return {}
    return {cut_suffix(view.name): view for view in sorted(folder.glob(f"*{RESULT}"))}


def _read_checked(calibration: str | os.PathLike[str]) -> CameraGroup:
    """Read a calibration, also out of a 3D result."""
    if not is_result(calibration):
        return read_cameras(calibration)
    cameras = Result(calibration).cameras
    if cameras is None:
        raise SettingsError(f"{Path(calibration).name} holds no cameras: wanted a 3D result")
    return cameras


def _find_corners(sources: Sources, board: Board) -> tuple[Floats, Ints]:
    """Find a board in recordings: pixels (V, F, C, 2), and the F frames in which it was seen."""
    found = find_boards(dict(sources), board)
    frames = np.unique(np.concatenate([own.frames for own in found.values()]))
    corners = next(iter(found.values())).pixels.shape[1]
    pixels = np.full((len(found), len(frames), corners, 2), np.nan)
    for v, own in enumerate(found.values()):
        pixels[v, np.searchsorted(frames, own.frames)] = own.pixels
    return pixels, frames


def _question_board(cameras: CameraGroup, pixels: Floats, board: Board) -> None:
    """Say where a board is not as large as the calibration measures it."""
    if cameras.unit not in _MILLIMETRES or board.unit not in _MILLIMETRES:
        return
    points = cameras.triangulate(pixels).points
    true = np.linalg.norm(np.diff(board.points, axis=0), axis=-1)
    seen = np.linalg.norm(np.diff(points, axis=1), axis=-1) / true
    seen *= _MILLIMETRES[cameras.unit] / _MILLIMETRES[board.unit]
    if not np.isfinite(seen).any():
        return
    share = float(np.nanmedian(seen))
    if abs(share - 1) > _SCALE:
        log.warning(
            "the board measures %.4g %s from corner to corner by this calibration, it is said to "
            "measure %.4g %s: is it the same board, are its lengths right?",
            share * true[0], board.unit, true[0], board.unit,
        )  # fmt: skip
