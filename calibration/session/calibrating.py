"""From videos of a board to calibrated cameras, in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from calibration.alignment import align_to_board
from calibration.arrays import Floats, Ints
from calibration.boardposes import find_board_poses, place_board
from calibration.boards.board import Board
from calibration.boards.chessboard import Chessboard
from calibration.boards.detection import BoardDetections, find_boards
from calibration.boards.recordings import Source
from calibration.bundle.adjustment import BundleOptions, BundleResult, bundle_adjust
from calibration.errors import CalibrationError, suggest_name
from calibration.group import CameraGroup
from calibration.rotations import turn
from calibration.session.extrinsics import LinkedCameras, find_links, link_cameras
from calibration.session.intrinsics import IdealLens, KnownLens, LensFit, calibrate_camera
from calibration.session.report import CalibrationReport, evaluate_camera, evaluate_group
from calibration.synchronization.rates import find_different_rates

_logger = logging.getLogger(__name__)

# Mean rates of phones that run together differ by less than this, and boards move slowly.
_SAME_RATE = 0.005
# Below this share of agreeing frames something is wrong: synchronous videos give above 95 %.
_FEW_AGREE = 0.7
# Errors of all cameras together exceed those of each alone by 5 to 20 % if all is well.
_CONFLICT = 2.0


def calibrate(
    videos: Mapping[str, Source],
    board: Board,
    *,
    fisheye: Collection[str] = (),
    lens_videos: Mapping[str, Source] | None = None,
    timing: float | Mapping[str, Floats] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> tuple[CameraGroup, CalibrationReport]:
    """Calibrate cameras from recordings of a board.

    Parameters
    ----------
    videos : dict of str to path or list of paths
        By camera: a video, a folder or glob of images, or a list of files. Frames of the same
        number are the same moment in all cameras.
    board : Chessboard, CharucoBoard or ArucoGrid
        What was filmed.
    fisheye : collection of str
        Cameras with a fisheye lens.
    lens_videos : dict of str to path or list of paths, optional
        For cameras whose lens has a recording of its own; its frames need not be those of
        another camera.
    timing : float, or dict of str to float64, (F,), optional
        Frames per second of all videos, instead of what their files say; or when each frame of
        each video was taken, s: then frames are brought together by time, not by number, so that
        dropped ones do no harm.
    on_progress : function of (int, int), optional
        Called with frames searched and frames in all.
    workers : int, optional
        Processes that search for the board; by default one per processor.

    Returns
    -------
    CameraGroup
        In the order of `videos`, unit that of the board. The world is the board as it lay in the
        frame that most cameras saw best: origin at its first corner, x along its rows, z towards
        the cameras. `align_to_points` and `Similarity.move_cameras` change it.
    CalibrationReport
        How good it is, what is weak, and what to film again.

    Raises
    ------
    CalibrationError
        If a camera never saw the board, cameras cannot be linked, rates differ, or a name is
        unknown.
    """
    lens_videos = dict(lens_videos or {})
    _check_names(videos, {"fisheye": fisheye, "lens_videos": lens_videos})
    own = {f"{name} (lens)": source for name, source in lens_videos.items()}
    search = partial(find_boards, board=board, on_progress=on_progress, workers=workers)
    if isinstance(timing, Mapping):
        found = search(videos, times=timing) | (search(own) if own else {})
    else:
        if timing is not None and not 0 < timing < np.inf:
            raise CalibrationError(f"timing: wanted frames per second above 0, came {timing:g}")
        found = search({**videos, **own})
        if timing is not None:
            found = {name: replace(own, rate=own.rate and timing) for name, own in found.items()}
    lens = {name: replace(found[f"{name} (lens)"], camera=name) for name in lens_videos}
    seen = {name: found[name] for name in videos}
    return calibrate_detections(seen, board, fisheye=fisheye, lens_detections=lens)


def calibrate_detections(
    detections: Mapping[str, BoardDetections],
    board: Board,
    *,
    fisheye: Collection[str] = (),
    lens_detections: Mapping[str, BoardDetections] | None = None,
) -> tuple[CameraGroup, CalibrationReport]:
    """Calibrate cameras from corners that were found already.

    Each lens is first calibrated alone, the cameras are then linked by what they saw at the same
    moments, and last everything is adjusted together.

    Parameters
    ----------
    detections : dict of str to BoardDetections
        By camera, of `find_boards`.
    board : Chessboard, CharucoBoard or ArucoGrid
        What was found.
    fisheye : collection of str
        Cameras with a fisheye lens.
    lens_detections : dict of str to BoardDetections, optional
        Of recordings for the lens of one camera alone.

    Returns
    -------
    CameraGroup, CalibrationReport
        As of `calibrate`. Photographs that were taken for each lens on its own, so that no
        frames agree, give lenses only: all cameras then stand at the origin, and the report says
        so.

    Raises
    ------
    CalibrationError
        As of `calibrate`.
    """
    lens_detections = dict(lens_detections or {})
    _check_names(detections, {"fisheye": fisheye, "lens_detections": lens_detections})
    advice = _check_recordings(detections, lens_detections)
    fits = [
        calibrate_camera(lens_detections.get(name, own), board.points, fisheye=name in fisheye)
        for name, own in detections.items()
    ]
    lenses = CameraGroup([fit.camera for fit in fits], board.unit)
    pixels, rows = gather_pixels(detections, lens_detections)
    views = [
        find_board_poses(camera, board.points, pixels=own)
        for camera, own in zip(lenses, pixels, strict=True)
    ]
    links = find_links(lenses, views, board=board.points, symmetries=board.symmetries)
    stills = all(own.rate is None for own in detections.values())
    if len(fits) == 1 or (stills and not links.linked.any()):
        if len(fits) > 1:
            advice.append(
                "the photographs of the cameras do not belong together: lenses were calibrated, "
                "but not where the cameras stand. For that, film the board in view of all"
            )
        return lenses, _report_lenses(fits, pixels, rows, advice)
    try:
        linked = link_cameras(
            lenses,
            board.points,
            pixels=pixels,
            views=views,
            symmetries=board.symmetries,
            links=links,
        )
    except CalibrationError as error:
        raise CalibrationError(f"{error}{_say_mirrored(detections, board)}") from None
    pixels = _renumber(pixels, linked.numbering, board.symmetries)
    result = _adjust(linked, fits, pixels, board=board.points, advice=advice)
    assert result.poses is not None
    group, change = align_to_board(result.cameras, result.poses[_find_best_frame(result)])
    middle = board.points.mean(0, keepdims=True)
    boards = place_board(turn(result.poses[:, :3]), result.poses[:, 3:], middle)[:, 0]
    report = _report_group(
        group, result, linked, pixels=pixels, fits=fits, boards=change.move(boards), advice=advice
    )
    return group, report


def _adjust(
    linked: LinkedCameras,
    fits: Sequence[LensFit],
    pixels: Floats,
    *,
    board: Floats,
    advice: list[str],
) -> BundleResult:
    """Adjust everything together, the lenses only as far as the cameras agree with each other."""
    poor = [fit.camera.name for fit in fits if fit.poor]
    options = BundleOptions(IdealLens(poor=poor))
    result = bundle_adjust(linked.cameras, pixels, board=board, poses=linked.poses, options=options)
    alone = float(np.median([fit.result.scale for fit in fits]))
    if result.scale < _CONFLICT * alone:
        return result
    # The error is not one of corners but of where the whole board was: lenses must not bend
    # to make up for it.
    advice.append(
        f"the cameras contradict each other by {result.scale:.2f} px, though each alone fits to "
        f"{alone:.2f} px: their frames are not quite the same moments, or the board moved while "
        "they exposed. The lenses were taken from each camera alone; hold the board still"
    )
    options = BundleOptions(KnownLens(fits={fit.camera.name: fit for fit in fits}))
    return bundle_adjust(linked.cameras, pixels, board=board, poses=linked.poses, options=options)


def gather_pixels(
    detections: Mapping[str, BoardDetections], lens_detections: Mapping[str, BoardDetections]
) -> tuple[Floats, list[Ints]]:
    """Lay detections side by side.

    Returns
    -------
    pixels : float64, (V, F, C, 2)
        NaN = not seen. Frames that no camera saw are left out; those of `lens_detections` follow
        the common ones, each seen by its own camera only.
    rows : list of int, (n,)
        Where among the F frames the ones are that each lens is calibrated from.
    """
    frames = np.unique(np.concatenate([own.frames for own in detections.values()]))
    total = len(frames) + sum(len(own.frames) for own in lens_detections.values())
    corners = next(iter(detections.values())).pixels.shape[1]
    pixels = np.full((len(detections), total, corners, 2), np.nan)
    rows, first = [], len(frames)
    for v, (name, own) in enumerate(detections.items()):
        rows.append(np.searchsorted(frames, own.frames))
        pixels[v, rows[v]] = own.pixels
        if name in lens_detections:
            alone = lens_detections[name].pixels
            rows[v] = np.arange(first, first + len(alone))
            pixels[v, rows[v]] = alone
            first += len(alone)
    return pixels, rows


def _renumber(pixels: Floats, numbering: Ints, symmetries: Ints) -> Floats:
    """Give corners of boards that look the same from several sides the numbers that fit."""
    renumbered = np.empty_like(pixels)
    order = symmetries[numbering]
    np.put_along_axis(renumbered, order[..., None], pixels, axis=2)
    return renumbered


def _find_best_frame(result: BundleResult) -> int:
    """Find the frame that most cameras saw, among these the one with the least error."""
    seen = np.isfinite(result.errors)
    cameras = seen.any(2).sum(0)
    count = np.maximum(seen.sum((0, 2)), 1)
    error = np.where(seen, np.minimum(result.errors, 1e3), 0).sum((0, 2)) / count
    error[cameras < cameras.max()] = np.inf
    return int(np.argmin(error))


def _report_lenses(
    fits: Sequence[LensFit],
    pixels: Floats,
    rows: Sequence[Ints],
    advice: Sequence[str],
) -> CalibrationReport:
    errors, weights = np.full(pixels.shape[:-1], np.nan), np.zeros(pixels.shape[:-1])
    reports = []
    for v, fit in enumerate(fits):
        assert fit.result.poses is not None
        views = rows[v][fit.frames]
        errors[v, views], weights[v, views] = fit.result.errors[0], fit.result.weights[0]
        turns = np.full((pixels.shape[1], 3), np.nan)
        turns[views] = fit.result.poses[:, :3]
        reports.append(
            evaluate_camera(
                fit.camera,
                pixels=pixels[v],
                errors=errors[v],
                weights=weights[v],
                turns=turns,
                deviations=_list_free(fit.result, fit.camera.name),
                advice=_say_poor(fit.poor),
            )
        )
    return evaluate_group(reports, errors, pixels=pixels, shared={}, advice=advice)


def _report_group(
    group: CameraGroup,
    result: BundleResult,
    linked: LinkedCameras,
    *,
    pixels: Floats,
    fits: Sequence[LensFit],
    boards: Floats,
    advice: list[str],
) -> CalibrationReport:
    assert result.poses is not None
    links, shared = linked.links, {}
    for a, name in enumerate(links.names):
        for b in range(a + 1, len(links.names)):
            if n := int(links.shared[a, b]):
                agreeing = int(links.agreeing[a, b])
                shared[name, links.names[b]] = (n, agreeing)
                if agreeing < _FEW_AGREE * n:
                    advice.append(
                        f"{name} and {links.names[b]} agree in {agreeing} of {n} frames: check "
                        "that their frames of the same number are the same moment"
                    )
    reports = []
    for v, (camera, fit) in enumerate(zip(group, fits, strict=True)):
        reports.append(
            evaluate_camera(
                camera,
                pixels=pixels[v],
                errors=result.errors[v],
                weights=result.weights[v],
                turns=result.poses[:, :3],
                deviations=_list_free(result, camera.name),
                advice=_say_poor(fit.poor),
            )
        )
    return evaluate_group(
        reports, result.errors, pixels=pixels, boards=boards, shared=shared, advice=advice
    )


def _list_free(result: BundleResult, name: str) -> dict[str, float]:
    free = {parameter for camera, parameter in result.parameters if camera == name}
    return {key: value for key, value in result.deviations[name].items() if key in free}


def _say_poor(poor: bool) -> list[str]:
    if not poor:
        return []
    return [
        "the views cannot tell the focal length from distortion: only the focal length was fitted, "
        "the rest of the lens taken for ideal; film the board tilted, near and far, at the rim"
    ]


def _say_mirrored(detections: Mapping[str, BoardDetections], board: Board) -> str:
    """Tell a video that was mirrored from a board that all see from behind."""
    if isinstance(board, Chessboard):
        return ". A chessboard does not show whether a video is mirrored: check that none is"
    mirrored = [name for name, own in detections.items() if own.mirrored]
    if not mirrored or len(mirrored) == len(detections):
        return ""
    return (
        f". {', '.join(mirrored)} saw the board mirrored, unlike the others: if the board is not "
        "transparent, that video is mirrored; record or convert it unmirrored"
    )


def _check_names(known: Mapping[str, object], asked: Mapping[str, Collection[str]]) -> None:
    if not known:
        raise CalibrationError("no videos: wanted a video of the board for each camera")
    for what, names in asked.items():
        for name in names:
            if name not in known:
                hint = suggest_name(name, known)
                raise CalibrationError(f"{what}: there is no camera {name!r}; {hint}")


def _check_recordings(
    detections: Mapping[str, BoardDetections], lens_detections: Mapping[str, BoardDetections]
) -> list[str]:
    """Refuse recordings that cannot go together; return what is odd but bearable."""
    for name, own in lens_detections.items():
        if own.size != detections[name].size:
            raise CalibrationError(
                f"{name}: the recording for its lens has {own.size[0]} x {own.size[1]} pixels, the "
                f"common one {detections[name].size[0]} x {detections[name].size[1]}; film both "
                "with the same settings"
            )
    lens = {name: lens_detections.get(name, own) for name, own in detections.items()}
    never = [name for name, own in lens.items() if not np.isfinite(own.pixels).any()]
    if never:
        hints = {own.hint for name, own in lens.items() if name in never and own.hint}
        advice = (
            f"what is seen there looks like {' or '.join(sorted(hints))}"
            if hints
            else (
                "check that it is the board in the video (kind, columns, rows, dictionary), in "
                "focus and large enough, or leave the camera out"
            )
        )
        raise CalibrationError(f"the board was found in no frame of {', '.join(never)}: {advice}")
    if len(detections) == 1:
        return []
    rates = {name: own.rate for name, own in detections.items()}
    if said := find_different_rates(rates, _SAME_RATE):
        raise CalibrationError(
            f"the videos have different frame rates ({said}), so that frames of the "
            "same number are not the same moment: bring them to one rate first, or say the right "
            "one if the files are wrong (timing=, --rate)"
        )
    lengths = {name: own.n_frames for name, own in detections.items() if own.rate}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        return [
            f"the videos differ in length ({said} frames); frames of the same number were taken "
            "for the same moment: check that the videos start together"
        ]
    return []
