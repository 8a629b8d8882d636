"""Results corrected by a person: edits added, taken back, carried over, exported."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mapose.doubts import Doubt
from mapose.edits import (
    KINDS,
    Edit,
    edit_individual,
    find_edits_path,
    join_tracks,
    load_edits,
    make_edit,
    name_individual,
    save_edits,
    split_track,
    write_line,
)
from mapose.errors import FormatError, SettingsError, ShapeError, VideoError, suggest_name
from mapose.files import RESULT, claim_output, cut_suffix, is_result, name_work
from mapose.io import Video, load_provenance, write
from mapose.io.formats import ENDINGS
from mapose.io.recordings import find_path, fingerprint
from mapose.locks import lock_output
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.results.result import Result
from mapose.results.windows import Windows, make_parts, open_parts

logger = logging.getLogger(__name__)

#: Frames of a result up to which an edit is made from all of them.
_MANY = 20_000
#: Frames around one in which an animal is looked for first.
_NEAR = 500
#: Frames at the ends of two tracks in which animals are seen that are to be joined.
_ENDS = 10


def find_exported(source: str | os.PathLike[str], format: str) -> Path:
    """Find where a file lies when it is exported: beside it, named for the format.

    Examples
    --------
    >>> find_exported("walk.mapose.h5", "dlc-csv").name
    'walk.dlc.csv'
    """
    path = Path(source)
    ending = ".dlc.csv" if format == "dlc-csv" else ENDINGS.get(format, f".{format}")
    return path.with_name(cut_suffix(path.name) + ending)


def export_result(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    video: str | os.PathLike[str] | None = None,
    unit: str | None = None,
    force: bool = False,
) -> None:
    """Write a file of poses, as corrected, for another tool, with all that both formats hold.

    Parameters
    ----------
    source : path
        As for `Result`.
    path, format
        As for `mapose.write`.
    video : path, optional
        By default the recording that the result names, if it is found.
    unit : str, optional
        Of the coordinates, where the file does not say it.
    force : bool
        Replace a file that no export of this source has made, or that cannot say so (csv, trc).

    Raises
    ------
    SettingsError
        If the file is one of those that are read, or may not be replaced.
    """
    source, path = Path(source), Path(path)
    made = name_work("export", [source], unit=unit)
    claimed = claim_output(
        path,
        inputs=[source, find_edits_path(source), *([] if video is None else [video])],
        suffixes=[ENDINGS[format]] if format in ENDINGS else [],
        made=made,
        force=force,
    )
    with claimed, Result(source) as result, open_parts(result) as opened:
        if is_result(path):
            set_foreign_edits_aside(path, made)  # what is exported is corrected already
        if video is None:
            with suppress(VideoError):
                video = result.find_video()
        write(
            _say_unit(make_parts(opened), unit, source.name),
            path,
            format,
            made=made,
            video=None if video is None else Path(video),
            cameras=result.calibration,
        )


def _say_unit(parts: Parts, unit: str | None, name: str) -> Parts:
    """Give poses in the unit that a person says they are in."""
    if unit is None or unit == parts.unit:
        return parts
    if parts.unit != "unknown":
        raise SettingsError(f"{name} is in {parts.unit}, not in {unit}")
    return parts.map(lambda poses: replace(poses, unit=unit))


def add_edit(
    path: str | os.PathLike[str],
    individuals: Sequence[str],
    *,
    frame: int | None = None,
    kind: str = "swap",
    last: int | None = None,
    keypoint: str = "",
    place: Sequence[float] | None = None,
) -> Edit:
    """Add an edit to the list beside a result.

    Parameters
    ----------
    path : path
        A ``NAME.mapose.h5``; it is not changed.
    individuals : (str, str) or (str,)
        Names of the two animals as `mapose.load` gives them; for ``"name"`` and ``"split"`` the
        old and the new one (by default of a split ``track`` and a number), for ``"join"`` first
        the name that is kept; for ``"move"`` and ``"delete"`` the one.
    frame : int, optional
        First video frame from which on it holds; for ``"keep"`` one in the doubtful moment. Only
        ``"name"`` and ``"join"`` find one by themselves.
    kind : {"swap", "keep", "name", "join", "split", "move", "delete"}
        As for `Edit`.
    last : int, optional
        Last video frame of a ``"delete"``; by default the first.
    keypoint : str
        What to move or to delete; by default the whole individual is deleted.
    place : sequence of float, (2,) or (3,), optional
        Where the keypoint of a ``"move"`` is, in the unit of the poses.

    Returns
    -------
    Edit
        As it was written down, with the places of the animals.

    Raises
    ------
    SettingsError
        If the file has no individuals or is not ours, or names, frames or places do not fit.
    ShapeError
        If there is no such individual or frame; the nearest name is suggested.
    """
    path = Path(path)
    names = tuple(individuals)
    if not is_result(path):
        raise SettingsError(
            f"{path.name}: only our own files, NAME{RESULT}, have edits: 'mapose track' makes one"
        )
    with lock_output(find_edits_path(path), wait=True), Windows(path) as windows:
        if not windows.named:
            raise SettingsError(
                f"{path.name} holds poses without individuals: 'mapose track' it first"
            )
        _check_edit(names, frame, kind)
        if kind in ("move", "delete"):
            if kind == "move" and (place is None or not keypoint):
                raise SettingsError("edit: move wants --keypoint and its place, --to X,Y")
            assert frame is not None
            where = {"last": last, "keypoint": keypoint, "place": place if kind == "move" else None}
            edit = _edit_individual(windows, names[0], frame, **where)
        elif kind == "join":
            edit = _join_tracks(windows, names)
        elif kind == "split":
            assert frame is not None
            new = names[1] if len(names) == 2 else _find_new_name(windows.names)
            edit = _split_track(windows, names[0], new, frame)
        else:
            edit = _make_edit(windows, names, frame, kind)
        edit = replace(edit, recording=windows.recording)
        save_edits([*windows.journal, edit], find_edits_path(path))
    return edit


def _check_edit(names: Sequence[str], frame: int | None, kind: str) -> None:
    if kind not in KINDS:
        raise SettingsError(f"edit: no kind {kind!r}: {suggest_name(kind, KINDS)}")
    wanted = {"move": (1,), "delete": (1,), "split": (1, 2)}.get(kind, (2,))
    if len(names) not in wanted or len(set(names)) < len(names):
        what = "the name of one animal" if wanted[0] == 1 else "the names of two animals"
        raise SettingsError(f"edit: wanted {what}, came {', '.join(names)}")
    if kind not in ("name", "join") and frame is None:
        raise SettingsError("edit: wanted the frame from which on it holds")


def _edit_individual(windows: Windows, name: str, frame: int, **where: Any) -> Edit:
    row = _find_row(windows, frame)
    stop = np.searchsorted(windows.frames, where["last"] or frame, side="right")
    rows = slice(row, max(row + 1, min(int(stop), row + _NEAR)))
    return edit_individual(windows.read_rows(rows, points=False), name, frame=frame, **where)


def _split_track(windows: Windows, name: str, new: str, frame: int) -> Edit:
    row = _find_row(windows, frame)
    near = slice(max(0, row - _NEAR), row + _NEAR)
    with suppress(SettingsError):
        return split_track(windows.read_rows(near, points=False), name, new=new, frame=frame)
    return split_track(windows.read_seen(frame, [name]), name, new=new, frame=frame)


def _find_row(windows: Windows, frame: int) -> int:
    row, frames = int(np.searchsorted(windows.frames, frame)), windows.frames
    if row == len(frames) or frames[row] != frame:
        held = f"{frames[0]} to {frames[-1]}" if len(frames) else "none"
        raise ShapeError(f"no frame {frame} here; there are {held}")
    return row


def _check_there(windows: Windows, names: Sequence[str]) -> None:
    for name in names:
        if name not in windows.names:
            raise ShapeError(f"no individual {name!r} here: {suggest_name(name, windows.names)}")


def _join_tracks(windows: Windows, names: Sequence[str]) -> Edit:
    _check_there(windows, names)
    spans = windows.find_spans()
    for name in names:
        if name not in spans:
            raise SettingsError(f"{name} is not seen in any frame: nothing to join")
    earlier, later = sorted(names, key=lambda name: spans[name])
    end, start = spans[earlier][1], spans[later][0]
    if end >= start:
        first, last = windows.frames[start], windows.frames[min(end, spans[later][1])]
        raise SettingsError(
            f"{' and '.join(names)} are both there between frames {first} and {last}: they cannot "
            "be one animal; delete or split one of them first"
        )
    ends = windows.read_rows(slice(max(0, end - _ENDS), end + 1), points=False)
    starts = windows.read_rows(slice(start, start + _ENDS), points=False)
    return join_tracks(ends, starts, (earlier, later), kept=names[0])


def _find_new_name(names: Sequence[str]) -> str:
    return next(name for n in range(len(names) + 1) if (name := f"track{n}") not in names)


def _make_edit(windows: Windows, names: Sequence[str], frame: int | None, kind: str) -> Edit:
    """Make an edit from the frames around it, and from those far away where these do not tell."""

    # Animals are found again by where the tracker saw them, not by where a person put a point.
    def read(rows: slice) -> Poses:
        return windows.read_rows(rows, points=False)

    if kind == "name" or frame is None:
        return name_individual(Parts(read, windows.frames), names[0], new=names[1], frame=frame)
    _check_there(windows, names)
    _find_row(windows, frame)
    options: dict[str, Any] = {
        "frame": frame, "kind": kind, "edits": windows.edits, "doubts": windows.find_doubts()
    }  # fmt: skip
    if len(windows) <= _MANY:
        return make_edit(read(slice(0, len(windows))), names, **options)
    with suppress(SettingsError):
        edit = make_edit(windows.read_around(frame), names, **options)
        if len(edit.links) == 2:
            return edit
    return make_edit(windows.read_seen(frame, names), names, **options)


def undo_edit(path: str | os.PathLike[str]) -> Edit:
    """Take back the last edit of a result.

    Parameters
    ----------
    path : path
        A ``NAME.mapose.h5``.

    Returns
    -------
    Edit
        The one that is gone.

    Raises
    ------
    SettingsError
        If there is none.
    """
    with lock_output(find_edits_path(path), wait=True):
        edits = list_edits(path)
        if not edits:
            raise SettingsError(f"{Path(path).name} has no corrections: nothing to undo")
        save_edits(edits[:-1], find_edits_path(path))
    return edits[-1]


def carry_edits(
    edits: Sequence[Edit], target: str | os.PathLike[str], *, carried: Iterable[str] = ()
) -> None:
    """Take the edits of a result over to another tracking of the same recording.

    What a person said of the target itself stays. What was carried before and has been taken
    back, here or there, does not come again.

    Parameters
    ----------
    edits : sequence of Edit
        Of the file that was tracked.
    target : path
        The one that came out.
    carried : iterable of str
        Lines of the edits that came over with its last tracking, see `write_line`.
    """
    before, now = set(carried), {write_line(edit): edit for edit in edits}
    with lock_output(find_edits_path(target), wait=True):
        there = {write_line(edit): edit for edit in list_edits(target)}
        kept = {line: edit for line, edit in there.items() if line in now or line not in before}
        new = {line: edit for line, edit in now.items() if line not in before}
        merged = {**kept, **new}
        if merged != there:
            save_edits(merged.values(), find_edits_path(target))


def set_foreign_edits_aside(target: str | os.PathLike[str], recording: object) -> Path | None:
    """Keep the edits of one recording from being applied to the result of another.

    Parameters
    ----------
    target : path
        A result that is about to be replaced.
    recording : object
        What the new one is a result of, as its provenance tells it; see `find_recording`.

    Returns
    -------
    Path or None
        Where the edits lie now, under a name that no command reads; None if there were none, or
        they are of the same recording (what a person said of it holds for every result of it).
    """
    edits = find_edits_path(target)
    try:
        if not edits.is_file() or find_recording(load_provenance(target)) == recording:
            return None
    except FormatError:  # no result, or not one of ours
        if not Path(target).is_file():
            return None
    number = 1
    while (aside := edits.with_name(f"{edits.stem}.replaced{number}.csv")).exists():
        number += 1
    edits.rename(aside)
    logger.warning(
        "%s belong to the result of another recording that is being replaced: they lie in %s now",
        edits.name,
        aside,
    )
    return aside


def find_recording(provenance: Mapping[str, Any]) -> object:
    """Find in a result's provenance which recording it is of: a fingerprint, else names."""
    fingerprint = provenance.get("job", {}).get("video")
    recording = provenance.get("recording", fingerprint)
    return recording or provenance.get("source") or provenance.get("sources")


def carry_origin(source: Result, target: Path) -> dict[str, Any]:
    """Take over what a result says of its recording and of the frames trained on.

    Parameters
    ----------
    source : Result
        Of any tool.
    target : Path
        Where the result that is made of it will lie.
    """
    given = source.provenance
    carried = {"recording": find_recording(given) or source.path.name}
    carried |= {key: given[key] for key in ("size", "trained_frames") if key in given}
    if "path" in given:
        carried["path"] = find_path(source.path.parent / given["path"], target.parent).as_posix()
    elif not source.ours:
        with suppress(VideoError):
            video = source.find_video()
            carried["recording"] = fingerprint(video)
            carried["path"] = find_path(video, target.parent).as_posix()
            with Video(video) as opened:
                carried["size"] = list(opened.size)
    return carried


def find_rate(source: Result) -> float | None:
    """Find the frames per second in the recording of a result that does not say them."""
    with suppress(VideoError), Video(source.find_video()) as video:
        return video.rate or None
    return None


def find_span(poses: Poses, moment: Doubt) -> tuple[int, int]:
    """Find the frames next to a doubtful moment in which both animals can be told apart.

    Returns
    -------
    before, after : int
        Video frames; where there is none, the ends of the moment.
    """
    row = min(int(np.searchsorted(poses.frames, moment.frame)), len(poses) - 1)
    try:
        edit = make_edit(
            poses, moment.individuals, frame=int(poses.frames[row]), kind="keep", doubts=[moment]
        )
    except SettingsError:
        return moment.first, moment.last
    return min(edit.span[0], moment.first), max(edit.span[1], moment.last)


def list_edits(path: str | os.PathLike[str]) -> list[Edit]:
    """List the edits of a result in the order in which they were made."""
    return load_edits(find_edits_path(path)) if is_result(path) else []
