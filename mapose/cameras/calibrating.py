"""What `mapose calibrate` does: videos of a board in, a calibration file and its report out."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from calibration import CalibrationReport, CameraGroup, calibrate, open_recording, read_board
from calibration import write_board as print_board
from mapose.arrays import Floats
from mapose.errors import SettingsError
from mapose.files import check_output, find_tail, make_mark, name_work, write_atomically
from mapose.locks import lock_output
from mapose.multiview.timing import read_times
from mapose.plots import plot_calibration, save_figure

log = logging.getLogger(__name__)

_WILD = set("*?[")
# Cameras nearer to each other than this share of their distance to the world's origin are one.
_TWINS = 1e-3
_REPORTS = (".report.txt", ".report.json", ".report.png")


@dataclass(frozen=True)
class BoardOptions:
    """How a board was filmed.

    Parameters
    ----------
    fisheye : collection of str
        Cameras with a fisheye lens.
    lens_sources : dict of str to path, optional
        For cameras whose lens has a recording of its own.
    unit : str, optional
        Of a board file that names none: mm, cm, m or in.
    rate : float, optional
        Frames per second of all videos, instead of what their files say.
    times : path, optional
        When frames were taken, or which were dropped; see `mapose.multiview.timing.read_times`.
    """

    fisheye: Collection[str] = ()
    lens_sources: Mapping[str, str | os.PathLike[str]] | None = None
    unit: str | None = None
    rate: float | None = None
    times: str | os.PathLike[str] | None = None


def calibrate_cameras(
    sources: Mapping[str, str | os.PathLike[str]],
    board: str,
    *,
    output: str | os.PathLike[str],
    options: BoardOptions | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[CameraGroup, CalibrationReport]:
    """Calibrate cameras from recordings of a board and save what comes out.

    Beside ``calibration.toml`` there will be ``calibration.report.txt``, the table that is shown,
    ``calibration.report.json``, the same with all figures, and ``calibration.report.png``, where
    in its image each camera saw the board and how well it fits there.

    Parameters
    ----------
    sources : dict of str to path
        By camera: a video, or a folder or pattern of images; of `read_sources`.
    board : str
        Such as ``chessboard:9x6:30mm``, or a board .toml of Anipose or caliscope.
    output : path
        The calibration file.
    options : BoardOptions, optional
        How it was filmed.
    force : bool
        Replace a calibration of other recordings or another board, or of somebody else.
    on_progress : function of (int, int), optional
        Called with frames searched and frames in all.

    Returns
    -------
    CameraGroup, CalibrationReport
        As saved.

    Raises
    ------
    CalibrationError
        If the board is unknown, was not seen, or cameras cannot be linked.
    SettingsError
        If two cameras have the same recording.
    MaposeError
        If the files cannot be written; before anything is searched if there is no folder, one is
        a file that is read, or may not be replaced.
    """
    output, options = Path(output), options or BoardOptions()
    _refuse_same(sources)
    lenses = dict(options.lens_sources or {})
    made = name_work(
        "calibrate",
        [*sources.values(), *lenses.values()],
        board=board,
        unit=options.unit,
        rate=options.rate,
        fisheye=",".join(options.fisheye),
        times=options.times and find_tail(options.times),
    )
    read = [*sources.values(), *lenses.values(), board]
    read += [] if options.times is None else [options.times]
    for place in (output, *(output.with_suffix(ending) for ending in _REPORTS)):
        wanted = [".toml"] if place == output else []
        check_output(place, inputs=read, suffixes=wanted, made=made, force=force)
    with lock_output(output):
        group, report = calibrate(
            dict(sources),
            read_board(board, options.unit),
            fisheye=options.fisheye,
            lens_videos=lenses,
            timing=_read_times(sources, options) or options.rate,
            on_progress=on_progress,
        )
        _question_twins(group)
        group.save(output, note=make_mark(made))
        plain = {"made_by": make_mark(made), **report.to_dict()}
        texts = f"{report}\n\n{make_mark(made)}\n", json.dumps(plain, indent=1) + "\n"
        for ending, text in zip(_REPORTS, texts, strict=False):
            with write_atomically(output.with_suffix(ending)) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")
        figure = plot_calibration(
            group, report.pixels, report.errors, boards=report.boards, unit=group.unit
        )
        save_figure(figure, output.with_suffix(_REPORTS[-1]), made=made)
        return group, report


def _refuse_same(sources: Mapping[str, str | os.PathLike[str]]) -> None:
    """Refuse one recording for two cameras."""
    known: dict[str, str] = {}
    for name, path in sources.items():
        first = known.setdefault(os.path.realpath(path), name)
        if first != name:
            raise SettingsError(f"{first} and {name} have the same recording, {path}")


def _question_twins(group: CameraGroup) -> None:
    """Say which cameras stand in one point and look the same way, as of a copied recording."""
    for one, two in combinations(group, 2):
        apart = float(np.linalg.norm(one.centre - two.centre))
        away = max(float(np.linalg.norm(c.translation)) for c in (one, two))
        if away > 0 and apart < _TWINS * away:
            log.warning(
                "%s and %s stand in one point, %.2g %s apart, so that nothing is found in space "
                "from both: is it the same recording twice?",
                one.name, two.name, apart, group.unit,
            )  # fmt: skip


def _read_times(
    sources: Mapping[str, str | os.PathLike[str]], options: BoardOptions
) -> dict[str, Floats] | None:
    """Read when the frames of each recording were taken."""
    if options.times is None:
        return None
    recordings = {name: open_recording(name, source) for name, source in sources.items()}
    lengths = {name: own.n_frames for name, own in recordings.items()}
    rates = [own.rate for own in recordings.values() if own.rate]
    rate = options.rate or (float(np.median(rates)) if rates else None)
    return read_times(options.times, lengths, rate=rate)


def write_board(
    board: str, path: str | os.PathLike[str], *, unit: str | None = None, force: bool = False
) -> None:
    """Write a board to print in its true size.

    Parameters
    ----------
    board : str
        As of `calibrate_cameras`.
    path : path
        Ends in .pdf or .png.
    unit : str, optional
        Of a board file that names none.
    force : bool
        Replace a file that is not this board.

    Raises
    ------
    CalibrationError
        If the board is unknown.
    SettingsError
        If the file has another ending, may not be replaced, or there is no such folder.
    """
    made = name_work("calibrate --print", board=board, unit=unit)
    check_output(path, inputs=[board], suffixes=[".pdf", ".png"], made=made, force=force)
    print_board(read_board(board, unit), path, note=make_mark(made))
