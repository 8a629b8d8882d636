"""Results as a person corrected them: files and their edits, and the moments still in doubt."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mapose.edits import (
    Edit,
    apply_edits,
    find_edits_path,
    load_edits,
    make_edit,
    name_individual,
    save_edits,
    settle_names,
)
from mapose.errors import FormatError, SettingsError
from mapose.files import check_output, name_work
from mapose.io import (
    export_file,
    load_cameras,
    load_contacts,
    load_provenance,
    read,
    read_support,
    write,
)
from mapose.poses import Poses
from mapose.tracking import Swap, find_swaps

logger = logging.getLogger(__name__)

SUFFIX = ".mapose.h5"


def load_corrected(path: str | os.PathLike[str]) -> Poses:
    """Load poses with the edits that lie beside their file: what every command shows.

    Parameters
    ----------
    path : path
        Poses of any format that `mapose.read` knows. Only our own ``NAME.mapose.h5`` have edits,
        in ``NAME.edits.csv``; the file itself is never changed, and `mapose.load` reads what the
        tracker found.

    Returns
    -------
    Poses

    Raises
    ------
    FormatError
        If the file or its list of edits cannot be read.
    """
    path = Path(path)
    poses, edits = read(path), _load_edits(path)
    return apply_edits(poses, edits, doubts=_load_doubts(path)) if edits else poses


def load_corrected_support(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load what 3D keypoints rest on, in the rows of `load_corrected`; empty if that is unknown."""
    path = Path(path)
    support, edits = read_support(path), _load_edits(path)
    if not edits or not support:
        return support
    order = settle_names(read(path), edits).order[..., None]
    return {name: np.take_along_axis(values, order, axis=1) for name, values in support.items()}


def export_corrected(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    video: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> None:
    """Write a file of poses for another tool as `mapose.io.export_file` does, with its edits.

    Parameters
    ----------
    source : path
        As for `load_corrected`.
    path, format, video
        As for `mapose.io.write`.
    force : bool
        Replace a file that no export of this source has made, or that cannot say so (csv, trc).

    Raises
    ------
    SettingsError
        If the file is one of those that are read, or may not be replaced.
    """
    source, path = Path(source), Path(path)
    video = None if video is None else Path(video)
    made = name_work("export", [source])
    check_output(path, inputs=[source, find_edits_path(source)], made=made, force=force)
    if path.name.endswith(SUFFIX):
        set_foreign_edits_aside(path, made)  # what is exported is corrected already
    if not _load_edits(source):
        export_file(source, path, format=format, video=video, made=made)
        return
    write(
        load_corrected(source),
        path,
        format,
        made=made,
        video=video,
        support=load_corrected_support(source),
        cameras=load_cameras(source),
    )


def add_edit(
    path: str | os.PathLike[str],
    individuals: Sequence[str],
    *,
    frame: int | None = None,
    kind: str = "swap",
) -> Edit:
    """Add an edit to the list beside a result.

    Parameters
    ----------
    path : path
        A ``NAME.mapose.h5``; it is not changed.
    individuals : (str, str)
        Names of the two animals as `load_corrected` gives them; for ``"name"`` the old and the
        new one.
    frame : int, optional
        First video frame from which on names are to be exchanged; for ``"keep"`` one in the
        doubtful moment. Only ``"name"`` finds one by itself.
    kind : {"swap", "keep", "name"}
        As for `Edit`.

    Returns
    -------
    Edit
        As it was written down, with the places of the animals.

    Raises
    ------
    SettingsError
        If the file has no individuals or is not ours, or two names or the frame are missing.
    ShapeError
        If there is no such individual or frame; the nearest name is suggested.
    """
    path = Path(path)
    names = tuple(individuals)
    if not path.name.endswith(SUFFIX):
        raise SettingsError(
            f"{path.name}: only our own files, NAME{SUFFIX}, have edits: 'mapose track' makes one"
        )
    poses = load_corrected(path)
    if poses.individuals is None:
        raise SettingsError(f"{path.name} holds poses without individuals: 'mapose track' it first")
    if len(names) != 2 or names[0] == names[1]:
        raise SettingsError(f"edit: wanted the names of two animals, came {', '.join(names)}")
    edits = _load_edits(path)
    if kind == "name":
        edit = name_individual(poses, names[0], new=names[1], frame=frame)
    elif frame is None:
        raise SettingsError("edit: wanted the frame from which on names are exchanged")
    else:
        doubts = find_doubtful(path)
        edit = make_edit(poses, names, frame=frame, kind=kind, edits=edits, doubts=doubts)
    save_edits([*edits, edit], find_edits_path(path))
    return edit


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
    edits = _load_edits(Path(path))
    if not edits:
        raise SettingsError(f"{Path(path).name} has no corrections: nothing to undo")
    save_edits(edits[:-1], find_edits_path(path))
    return edits[-1]


def carry_edits(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Take the edits of a result over to another tracking of the same recording.

    Parameters
    ----------
    source, target : path
        The file that was tracked again, and the one that came out. A target that has a list of
        its own, even an empty one, keeps it.

    Returns
    -------
    int
        How many edits the target has.
    """
    there = find_edits_path(target)
    if not there.is_file() and (edits := _load_edits(Path(source))):
        save_edits(edits, there)
    return len(_load_edits(Path(target)))


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


def find_doubtful(path: str | os.PathLike[str], *, min_probability: float = 0.0) -> list[Swap]:
    """Rank the moments of a result in which names are still in doubt, most doubtful first.

    Parameters
    ----------
    path : path
        A ``NAME.mapose.h5`` with contacts, as `mapose analyze` and `mapose track` write it.
    min_probability : float
        Leave out what is less likely a swap.

    Returns
    -------
    list of mapose.tracking.Swap
        Without those that an edit has settled, names as edited.
    """
    path = Path(path)
    doubts = [d for d in _load_doubts(path) if d.probability >= min_probability]
    edits = _load_edits(path)
    if not edits:
        return doubts
    poses = read(path)
    settled = settle_names(poses, edits)
    placed = settled.place_doubts(poses, doubts)
    return [replace(d, individuals=(settled.names[a], settled.names[b])) for d, a, b in placed]


def find_span(poses: Poses, moment: Swap) -> tuple[int, int]:
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
    return _load_edits(Path(path))


def _load_edits(path: Path) -> list[Edit]:
    return load_edits(find_edits_path(path)) if path.name.endswith(SUFFIX) else []


def _load_doubts(path: Path) -> list[Swap]:
    return find_swaps(load_contacts(path))
