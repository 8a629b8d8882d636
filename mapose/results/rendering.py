"""Poses made visible in files: labelled videos and figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from calibration import CalibrationError, Camera, list_stations
from mapose import plots  # matplotlib and cv2 are loaded when something is drawn
from mapose.arrays import Bools, Image
from mapose.doubts import Doubt
from mapose.edits import find_edits_path
from mapose.errors import FormatError, SettingsError, ShapeError
from mapose.files import check_output, claim_output, make_folder, name_file, name_work
from mapose.io import Video, VideoWriter, prefetch
from mapose.io.formats import check_there
from mapose.io.video_writer import UNKNOWN_RATE, VIDEO_ENDINGS
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.results.correcting import find_span
from mapose.results.recordings import check_recording, check_view
from mapose.results.result import Result
from mapose.results.windows import find_around, make_parts, open_parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Below one half, where drawings leave keypoints hollow, above the cutoff that hides them.
_FILLED = 0.4


class DrawingOptions(TypedDict, total=False):
    """How poses are drawn into a video."""

    cutoff: float
    trail: int
    colours: str | None


#: What `DrawingOptions` are where they are not given.
DRAWN: DrawingOptions = {"cutoff": 0.3, "trail": 25, "colours": None}


def render_video(
    video: str | os.PathLike[str],
    poses: Poses | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    camera: str | None = None,
    frames: slice | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    **drawing: Unpack[DrawingOptions],
) -> Path:
    """Draw poses into a video.

    Parameters
    ----------
    video : path
        The recording.
    poses : Poses or path
        In its pixels, or a file of 3D poses with their cameras. In a file of ours, points that a
        person has moved get a ring.
    output : path
        Video file to write; it appears under its name when it is complete.
    camera : str, optional
        Which camera of a file of 3D poses made the video.
    frames : slice, optional
        Frames ``start:stop``; all by default.
    force : bool
        Replace a file that was not rendered from the same video, poses and frames.
    on_progress : function of (int, int), optional
        Called with frames done and frames in all.
    **drawing
        ``cutoff``: keypoints less certain are hidden (default 0.3); ``trail``: length of the
        trails, frames (default 25, 0 = none); ``colours``: by individual or keypoint, by default
        of keypoints where there is one animal only.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    VideoError
        If the video cannot be opened or the output not be written.
    SettingsError
        If the output is a file that is read, or may not be replaced.
    """
    files = [video] if isinstance(poses, Poses) else [video, poses, find_edits_path(poses)]
    made = name_work("render", files[:2], camera=camera, frames=name_span(frames))
    with ExitStack() as stack:
        recorded = None
        if isinstance(poses, Poses):
            parts = found = Parts.of(poses)
        else:
            recorded = stack.enter_context(Result(poses))
            found = make_parts(stack.enter_context(open_parts(recorded)))
            parts = see_parts(recorded, found, camera=camera)
        options = choose_drawing(parts, drawing)
        claimed = claim_output(output, inputs=files, suffixes=VIDEO_ENDINGS, made=made, force=force)
        stack.enter_context(claimed)
        source = stack.enter_context(Video(video))
        if recorded is not None:
            check_recording(recorded, source, poses=found)
            if camera is not None and recorded.cameras is not None:
                group = recorded.cameras
                check_view(parts, group[camera].size, source, camera=camera, cameras=group.names)
        start, stop, _ = (frames or slice(None)).indices(len(source))
        if start >= stop and frames is not None:
            raise SettingsError(
                f"{source.path.name}: wanted frames from --start up to --stop within its "
                f"{len(source)} frames, came {name_span(frames)}"
            )
        drawn = plots.draw_video(
            prefetch(source.iterate(start, stop)), parts, stamp=True, **options
        )
        drawn = plots.draw_rings(drawn, parts, first=start)
        rate = source.rate or parts.rate or UNKNOWN_RATE
        with VideoWriter(output, rate, made=made) as writer:
            for done, image in enumerate(prefetch(drawn), 1):
                writer.write(image)
                on_progress(done, stop - start)
    return Path(output)


def name_span(frames: slice | None) -> str | None:
    """Name frames for what is said of a rendered file; None where it holds them all."""
    span = frames and f"{frames.start or 0}-{'' if frames.stop is None else frames.stop}"
    return None if span == "0-" else span


def choose_drawing(poses: Poses | Parts, drawing: DrawingOptions) -> dict[str, Any]:
    """Fill in how poses are drawn: where there is one animal only, colours tell keypoints apart."""
    told = "keypoint" if len(poses.names) == 1 else "individual"
    options: dict[str, Any] = {**DRAWN, **drawing}
    return {**options, "colours": options["colours"] or told}


def project_poses(poses: Poses, camera: Camera, *, filled: Bools | None = None) -> Poses:
    """Find where a camera sees poses in space.

    Parameters
    ----------
    poses : Poses
        3D, in the unit of the camera's translation.
    camera : calibration.Camera
        Its image is where the result lies.
    filled : bool, (F, I, K), optional
        Points that were not measured but filled in. Their confidence becomes 0.4, which drawings
        show as hollow.

    Returns
    -------
    Poses
        2D in px; missing where the point is missing or behind the camera. Points may lie outside
        the image.

    Raises
    ------
    ShapeError
        If the poses are 2D, or `filled` does not fit.
    """
    if poses.dimensions != 3:
        raise ShapeError("projecting: wanted poses in 3D, came 2D")
    poses = _show_filled(poses, filled)
    pixels = camera.project(poses.points.astype(np.float64))
    array = np.concatenate([pixels, poses.confidence[..., None]], axis=-1)
    return replace(poses, array=array, unit="px", covariance=None)


def _show_filled(poses: Poses, filled: Bools | None) -> Poses:
    """Give points that were filled in the confidence that is drawn as hollow."""
    if filled is None:
        return poses
    if np.shape(filled) != poses.confidence.shape:
        raise ShapeError(f"filled: wanted {poses.confidence.shape}, came {np.shape(filled)}")
    array = poses.array.copy()
    array[filled & (poses.confidence > 0), -1] = _FILLED
    return replace(poses, array=array)


def read_view(path: str | os.PathLike[str], camera: str | None = None) -> Poses:
    """Read poses as a camera sees them; 3D poses are projected with the cameras of their file.

    Parameters
    ----------
    path : path
        2D poses of any format, or a ``.mapose.h5`` with 3D poses and cameras.
    camera : str, optional
        Into which of its cameras; needed for 3D.

    Returns
    -------
    Poses
        2D in px. Points that were filled in have a confidence of 0.4.

    Raises
    ------
    SettingsError
        If a camera is wanted but not named, or named but not there.
    FormatError
        If the file holds 3D poses without cameras, or in another unit than theirs.
    """
    with Result(path) as result:
        return find_view(result, camera)


def find_view(result: Result, camera: str | None = None) -> Poses:
    """Find poses as a camera sees them; see `read_view`."""
    see = _choose_view(result, result.poses, camera)
    return see(result.poses, result.support)


def see_parts(result: Result, parts: Parts, *, camera: str | None = None) -> Parts:
    """See a result's parts as a camera does, with what they rest on; see `read_view`."""
    see = _choose_view(result, parts, camera)
    return Parts(
        lambda rows: see(*parts.read_supported(rows)),
        parts.frames,
        read_support=lambda rows: parts.read_supported(rows)[1],
    )


def _choose_view(
    result: Result, poses: Poses | Parts, camera: str | None
) -> Callable[[Poses, Mapping[str, Any]], Poses]:
    """Choose how poses become those that a camera sees, given what they rest on."""
    name = result.path.name
    if poses.dimensions == 2:
        if camera is not None:
            raise SettingsError(f"{name} holds 2D poses of one camera: leave out the camera")
        return lambda part, support: _show_filled(part, support.get("filled"))
    try:
        cameras = result.cameras
        if cameras is None:
            raise FormatError(
                f"{name} holds 3D poses but no cameras to project them with: use the file that "
                "'mapose triangulate' wrote"
            )
        if camera is None:
            raise SettingsError(
                f"{name} holds 3D poses: name one of its cameras, {', '.join(cameras.names)}"
            )
        stations = list_stations(cameras, camera)
    except CalibrationError as error:
        raise SettingsError(str(error)) from error
    if "unknown" not in (cameras.unit, poses.unit) and cameras.unit != poses.unit:
        raise FormatError(f"{name}: poses are in {poses.unit}, its cameras in {cameras.unit}")

    def see(part: Poses, support: Mapping[str, Any]) -> Poses:
        filled = support.get("filled")
        seen = [project_poses(part, place, filled=filled) for _, _, place in stations]
        array = seen[0].array
        for (since, _, _), own in zip(stations, seen, strict=True):
            array = np.where((part.frames >= since)[:, None, None, None], own.array, array)
        return replace(seen[0], array=array)

    return see


def save_plots(
    poses: Poses | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    image: Image | None = None,
    force: bool = False,
) -> Iterator[Path]:
    """Write the usual figures as PNG: trajectories or scene, positions, confidence, identity.

    Parameters
    ----------
    poses : Poses or path
        What to plot. In 3D a scene and a reconstruction take the place of the trajectories; a
        file adds its cameras, and what its points rest on.
    folder : path
        Made if it is not there.
    image : uint8, (H, W) or (H, W, 3), optional
        Background of the trajectories.
    force : bool
        Replace files that are not plots of the same poses.

    Yields
    ------
    Path
        Each file as it is written.

    Raises
    ------
    SettingsError
        If a file may not be replaced; nothing is drawn then.
    """
    inputs = [] if isinstance(poses, Poses) else [check_there(Path(poses)), find_edits_path(poses)]
    made = name_work("plot", inputs[:1])
    folder = make_folder(folder)
    with ExitStack() as stack:
        cameras: list[Camera] = []
        doubts: list[Doubt] = []
        if isinstance(poses, Poses):
            parts = Parts.of(poses)
        else:
            result = stack.enter_context(Result(poses))
            source = stack.enter_context(open_parts(result))
            parts = make_parts(source)
            cameras, doubts = list(result.cameras or ()), source.find_doubts()
        figures = _list_figures(parts, cameras, doubts, image)
        places = [folder / f"{name}.png" for name in figures]
        for place in places:
            check_output(place, inputs=inputs, made=made, force=force)
        for place, draw in zip(places, figures.values(), strict=True):
            plots.save_figure(draw(), place, made=made)
            yield place


def _list_figures(
    parts: Parts, cameras: Sequence[Camera], doubts: Sequence[Doubt], image: Image | None
) -> dict[str, Callable[[], Figure]]:
    """List the figures by the names of their files."""
    figures: dict[str, Callable[[], Figure]] = {}
    if parts.dimensions == 2:
        figures["trajectories"] = partial(plots.plot_trajectories, parts, image=image)
    elif len(parts):
        figures["scene"] = partial(plots.plot_scene_3d, parts, cameras=cameras)
        figures["reconstruction"] = partial(plots.plot_reconstruction, parts)
    figures["positions"] = partial(plots.plot_positions, parts)
    figures["confidence"] = partial(plots.plot_confidence, parts)
    figures["histograms"] = partial(plots.plot_histograms, parts)
    if parts.head.identity is not None and len(parts) and len(parts.names) > 1:
        figures["identity"] = partial(plots.plot_identity, parts, moments=doubts)
    return figures


def save_swap_pictures(
    result: Result,
    moments: Sequence[Doubt],
    folder: str | os.PathLike[str],
    *,
    video: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Iterator[Path]:
    """Write a strip of pictures of each doubtful moment as PNG: before, during and after.

    Parameters
    ----------
    result : Result
        2D.
    moments : sequence of Doubt
        Of `Result.find_doubts`; files are numbered in their order.
    folder : path
        Made if it is not there.
    video : path, optional
        The recording; by default the file that the result names, beside it.
    force : bool
        Replace files that are not pictures of the same result.

    Yields
    ------
    Path
        Each file as it is written.

    Raises
    ------
    VideoError
        If the video is not found or cannot be read.
    SettingsError
        If a file may not be replaced; nothing is drawn then.
    """
    path = result.path
    made = name_work("swaps", [path])
    with ExitStack() as stack:
        stack.enter_context(result)
        parts = make_parts(stack.enter_context(open_parts(result)))
        source = stack.enter_context(Video(result.find_video() if video is None else video))
        check_recording(result, source, poses=parts)
        folder = make_folder(folder)
        places = [folder / _name_picture(rank, moment) for rank, moment in enumerate(moments, 1)]
        for place in places:
            inputs = [path, find_edits_path(path), source.path]
            check_output(place, inputs=inputs, made=made, force=force)
        for place, moment in zip(places, moments, strict=True):
            poses = parts.read(find_around(parts.frames, moment.frame))
            first, last = find_span(poses, moment)
            middle = (moment.first + moment.last) // 2
            wanted = np.array([first, moment.first, middle, moment.last, last])
            there = poses.frames[np.isin(poses.frames, wanted) & (poses.frames < len(source))]
            images = {int(frame): source.read(int(frame)) for frame in there}
            plots.save_figure(plots.plot_swap(poses, moment, images=images), place, made=made)
            yield place


def _name_picture(rank: int, moment: Doubt) -> str:
    return f"{rank:03d}-frame{moment.frame:06d}-{name_file('-'.join(moment.individuals))}.png"
