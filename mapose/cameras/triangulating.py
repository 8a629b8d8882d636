"""What `mapose triangulate` does: files of 2D poses in, one file of 3D poses out."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calibration import CameraGroup, join_calibrations, read_cameras
from mapose.edits import find_edits_path
from mapose.errors import FormatError, SettingsError
from mapose.files import (
    RESULT,
    check_output,
    cut_suffix,
    find_tail,
    is_result,
    make_folder,
    name_file,
    name_work,
)
from mapose.io import load
from mapose.io.formats import detect_format
from mapose.io.store import PosesFile, PosesWriter
from mapose.io.table import read_table_poses
from mapose.locks import lock_output
from mapose.multiview import (
    MatchOptions,
    Reconstruction,
    find_offsets,
    match_parts,
    select_common_frames,
    shift_views,
    triangulate,
)
from mapose.multiview.footage import Footage
from mapose.multiview.reconstruction.account import Account, Piece, Summary
from mapose.multiview.reconstruction.reconstruction import (
    Arrays,
    Smooth,
    check_manner,
    reconstruct,
)
from mapose.multiview.stations import join_views, split_parts
from mapose.multiview.timing import align_times, compare_pace, read_times
from mapose.multiview.views import (
    align_parts,
    check_views,
    find_unknown_cameras,
    list_differences,
    pick_common_frames,
)
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.results.correcting import set_foreign_edits_aside
from mapose.results.recordings import find_bearer
from mapose.results.result import Result
from mapose.results.windows import make_parts, open_parts
from mapose.shelf import Shelf


@dataclass(frozen=True)
class ViewOptions:
    """What is done with the views before they are triangulated.

    Parameters
    ----------
    individuals : int, optional
        How many animals there are; found out by default.
    match : bool, optional
        Whether to find out who is who in all views; by default if any has several animals.
    synchronize : bool
        Whether to find by how many frames the cameras are apart and to shift them.
    max_offset : int
        Largest offset that is looked for at first, frames; see `mapose.multiview.find_offsets`.
    cut : bool
        Whether views of different length are cut to the frames that all have.
    rate : float, optional
        Frames per second of all views, instead of what their files say.
    times : path, optional
        When frames were taken, or which were dropped; see `mapose.multiview.timing.read_times`.
    later : (int, path), optional
        A frame, and the calibration that counts from it on, as a camera was moved there; its
        world may be another one, see `calibration.join_calibrations`. Frames are those of the
        views, once synchronized or aligned by time.
    """

    individuals: int | None = None
    match: bool | None = None
    synchronize: bool = False
    cut: bool = False
    max_offset: int = 60
    rate: float | None = None
    times: str | os.PathLike[str] | None = None
    later: tuple[int, str | os.PathLike[str]] | None = None


class _Progress:
    """Count the frames of following animals and of reconstructing them as one piece of work."""

    def __init__(self, on_progress: Callable[[int, int], None] | None) -> None:
        self._tell = on_progress or (lambda done, total: None)
        self._before = 0

    def follow(self, done: int, total: int) -> None:
        """Take in frames in which animals were followed: half of the work."""
        self._before = total
        self._tell(done, 2 * total)

    def add(self, done: int, total: int) -> None:
        """Take in frames that were reconstructed."""
        self._tell(self._before + done, self._before + total)

    def finish(self, total: int) -> None:
        """Say that all frames are done, also where none were counted."""
        self._tell(self._before + total, self._before + total)


def load_views(sources: Mapping[str, str | os.PathLike[str]]) -> dict[str, Poses]:
    """Read the 2D poses of each camera, with edits, of any format that `mapose.read` knows.

    A table of several cameras gives each its own rows.
    """
    with ExitStack() as stack:
        views, _ = _open_sources(sources, stack)
        return {name: parts.join()[0] for name, parts in views.items()}


def _open_sources(
    sources: Mapping[str, str | os.PathLike[str]], stack: ExitStack
) -> tuple[dict[str, Parts], dict[str, Mapping[str, Any]]]:
    """Open poses, and load what their files say of themselves, by camera."""
    opened = {name: _open_view(name, Path(path), stack) for name, path in sources.items()}
    views = {name: parts for name, (parts, _) in opened.items()}
    return views, {name: said for name, (_, said) in opened.items()}


def _open_view(name: str, path: Path, stack: ExitStack) -> tuple[Parts, Mapping[str, Any]]:
    """Open the poses of one camera, and load what our own file says of its video."""
    if path.is_file() and path.suffix.lower() == ".csv" and detect_format(path) == "csv":
        with suppress(FormatError):  # not of several cameras, or not of this one
            return Parts.of(read_table_poses(path, video=name)), {}
    result = stack.enter_context(Result(path))
    source = stack.enter_context(open_parts(result))
    return make_parts(source), result.provenance if is_result(path) else {}


def question_files(
    sources: Mapping[str, str | os.PathLike[str]],
    cameras: CameraGroup,
    *,
    provenance: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Hold what files say of their videos, and their names, against the cameras.

    Parameters
    ----------
    sources : dict of str to path
        By camera: 2D poses.
    cameras : calibration.CameraGroup
        With a camera of each name.
    provenance : mapping of str to mapping
        What the files say of themselves, by camera.

    Returns
    -------
    list of str
        A sentence for each file of a video of another size, or that bears another camera's name.
    """
    notes = []
    for name, path in sources.items():
        said = provenance[name]
        size, wanted = said.get("size"), cameras[name].size
        if size and tuple(size) != wanted:
            notes.append(
                f"{name}: its video has {size[0]} x {size[1]} pixels, the camera was calibrated at "
                f"{wanted[0]} x {wanted[1]}: bring one to the other, or calibrate again"
            )
        for file in (Path(path).name, str(said.get("source", ""))):
            if other := find_bearer(file, name, cameras.names):
                notes.append(f"{name}: {file} bears the name of {other}: files exchanged?")
                break
    return notes


def triangulate_files(
    sources: Mapping[str, str | os.PathLike[str]],
    calibration: str | os.PathLike[str] | CameraGroup,
    *,
    output: str | os.PathLike[str],
    views: ViewOptions | None = None,
    force: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Reconstruction:
    """Triangulate files and save what comes out.

    Beside the 3D poses, ``NAME.views/CAM.mapose.h5`` hold the 2D poses of each camera with the
    names that they have in 3D.

    Parameters
    ----------
    sources : dict of str to path
        By camera: 2D poses.
    calibration : path or CameraGroup
        Any calibration that `calibration.read_cameras` reads.
    output : path
        The ``.mapose.h5`` to write; it holds the cameras as well.
    views : ViewOptions, optional
        What is done before.
    force : bool
        Replace what other files or options made, or somebody else.
    on_progress : function of (int, int), optional
        Called with frames done and all frames.
    **settings
        For `mapose.triangulate`: smooth, max_gap, lengths.

    Returns
    -------
    Reconstruction
        As saved.

    Raises
    ------
    SettingsError
        If a view has no camera; the nearest name is suggested. If the output is one of the files
        that are read, or may not be replaced.
    ShapeError
        If views do not fit each other.
    calibration.CalibrationError
        If the calibration cannot be read.
    """
    views = views or ViewOptions()
    output = Path(output)
    folder = output.with_name(cut_suffix(output.name) + ".views")
    if wrong := [name for name in sources if name_file(name) != name]:
        raise SettingsError(
            f"camera {wrong[0]!r}: its views are saved under its name, so it cannot hold any of "
            '< > : " / \\ | ? *; rename it here and in the calibration'
        )
    options = {**vars(views), "times": views.times and find_tail(views.times)}
    options["later"] = views.later and f"{views.later[0]}={find_tail(views.later[1])}"
    made = _name_work(sources, calibration, {**options, **settings})
    inputs = _list_inputs(sources, calibration, views)
    check_output(output, inputs=inputs, suffixes=[RESULT], made=made, force=force)
    if folder.exists():
        for name in sources:
            beside = make_folder(folder) / f"{name}{RESULT}"
            check_output(beside, inputs=inputs, made=made, force=force)
    cameras = calibration
    if not isinstance(cameras, CameraGroup):
        cameras = read_cameras(cameras)
    if faults := find_unknown_cameras(sources, cameras):
        raise SettingsError("; ".join(faults))
    joined: list[str] = []
    if views.later is not None:
        cameras, joined = _join_later(cameras, *views.later)
    with lock_output(output), ExitStack() as stack:
        progress = _Progress(on_progress)
        loaded, said = _open_sources(sources, stack)
        shelf = stack.enter_context(Shelf(output.resolve().parent))
        prepared, notes = _prepare_views(loaded, cameras, views, shelf=shelf, progress=progress)
        notes = [*question_files(sources, cameras, provenance=said), *joined, *notes]
        named = {name: Path(path).name for name, path in sources.items()}
        provenance = {
            "made": made,
            "sources": named,
            "calibration": hashlib.sha256(cameras.to_toml().encode()).hexdigest(),
            "settings": {**options, **{k: str(v) for k, v in settings.items()}},
            "notes": notes,
        }
        footage = Footage(split_parts(prepared, cameras), cameras)
        account = Account(footage, cameras, lengths=settings.pop("lengths", None))
        pieces = reconstruct(
            account, shelf=shelf, manner=_read_manner(**settings), on_progress=progress.add
        )
        summary = _write_space(account, pieces, output, provenance=provenance, notes=notes)
        progress.finish(len(footage))
        written = _write_views(footage, cameras, output, named=named, made=made)
    return Reconstruction(summary, partial(_load_arrays, output, written))


def _read_manner(smooth: Smooth = True, max_gap: int = 10) -> tuple[Smooth, int]:
    """Check whether and how to smooth; by default as `mapose.triangulate` does."""
    check_manner(smooth, max_gap)
    return smooth, max_gap


def _write_space(
    account: Account,
    pieces: Iterable[Piece],
    output: Path,
    *,
    provenance: Mapping[str, Any],
    notes: Sequence[str],
) -> Summary:
    """Write the poses in space piece by piece; says how good they are."""
    head = account.footage.head
    with PosesWriter(
        output,
        head.skeleton,
        head.individuals,
        rate=head.rate,
        unit=account.cameras.unit,
        provenance=provenance,
    ) as writer:
        for piece in pieces:
            writer.append(piece.poses)
            writer.add_support(piece.support)
        writer.add_cameras(account.cameras.to_toml())
        summary = account.close(notes)
        set_foreign_edits_aside(output, provenance["sources"])
    return summary


def _write_views(
    footage: Footage,
    cameras: CameraGroup,
    output: Path,
    *,
    named: Mapping[str, str],
    made: str,
) -> dict[str, Path]:
    """Write the views part by part beside the poses in space; gives the files by camera."""
    folder = make_folder(output.with_name(cut_suffix(output.name) + ".views"))
    heads = join_views({name: parts.head for name, parts in footage.views.items()}, cameras)
    written = {name: folder / f"{name}{RESULT}" for name in heads}
    with ExitStack() as stack:
        writers = {}
        for name, head in heads.items():
            source = {"source": named[name], "corrected by": output.name, "made": made}
            writer = PosesWriter(
                written[name],
                head.skeleton,
                head.individuals,
                rate=head.rate,
                unit=head.unit,
                provenance=source,
            )
            writers[name] = stack.enter_context(writer)
        for rows in footage.cut():
            for name, view in join_views(footage.read_views(rows), cameras).items():
                writers[name].append(view)
        for name, path in written.items():
            set_foreign_edits_aside(path, named[name])
    return written


def _load_arrays(output: Path, views: Mapping[str, Path]) -> Arrays:
    """Load what was written."""
    with PosesFile(output) as file:
        poses, support = file.read_poses(), file.read_support()
    return Arrays(
        poses=poses,
        error=support["error"],
        n_views=support["n_views"].astype(np.uint8),
        filled=support["filled"],
        views={name: load(path) for name, path in views.items()},
    )


def _list_inputs(
    sources: Mapping[str, str | os.PathLike[str]],
    calibration: str | os.PathLike[str] | CameraGroup,
    views: ViewOptions,
) -> list[str | os.PathLike[str]]:
    """List all files that are read."""
    inputs = [*sources.values(), *map(find_edits_path, sources.values())]
    inputs += [] if views.times is None else [views.times]
    inputs += [] if views.later is None else [views.later[1]]
    return inputs if isinstance(calibration, CameraGroup) else [*inputs, calibration]


def _join_later(
    cameras: CameraGroup, since: int, path: str | os.PathLike[str]
) -> tuple[CameraGroup, list[str]]:
    """Join a calibration of after a camera was moved, and say what has moved."""
    if since < 1:
        raise SettingsError(
            f"a calibration that counts from frame {since} on is that of the whole recording: give "
            "it alone (--calibration)"
        )
    joined, shifts = join_calibrations(cameras, read_cameras(path), since)
    told = ", ".join(f"{name} {shift:.1f} px" for name, shift in shifts.items())
    moved = [name for name in shifts if f"{name}@{since}" in joined]
    sentence = f"{', '.join(moved)} moved at frame {since}: pictures displaced by {told}"
    return joined, [sentence]


def _name_work(
    sources: Mapping[str, str | os.PathLike[str]],
    calibration: str | os.PathLike[str] | CameraGroup,
    options: Mapping[str, Any],
) -> str:
    """Say what makes the file; options that are as by default are left out."""
    usual = {name: p.default for name, p in inspect.signature(triangulate).parameters.items()}
    usual |= vars(ViewOptions())
    given = {k: v for k, v in options.items() if v not in (usual.get(k), None, {})}
    if given.get("smooth") is False:
        given["smooth"] = "off"
    if given.get("match") is False:
        given["match"] = "off"
    if not isinstance(calibration, CameraGroup):
        given["calibration"] = find_tail(calibration)
    return name_work("triangulate", sources.values(), **given)


def _prepare_views(
    views: dict[str, Parts],
    cameras: CameraGroup,
    options: ViewOptions,
    *,
    shelf: Shelf,
    progress: _Progress,
) -> tuple[dict[str, Parts], list[str]]:
    """Bring views to one time, one order and the same individuals.

    Alignment by time and the offsets of clocks follow from the course of a whole recording: all of
    it is in memory then.
    """
    notes = []
    if options.rate is not None:
        views = _override_rate(views, options.rate)
    if options.times is not None:
        aligned, told = _align_times(_join(views), options.times)
        views, notes = _cut(aligned), told
    if options.synchronize:
        whole = _join(views)
        clocks = find_offsets(whole, cameras, max_offset=options.max_offset)
        notes.append(f"synchronized, in frames:\n{clocks}")
        views = _cut(select_common_frames(shift_views(whole, clocks)))
    elif options.cut:
        views = pick_common_frames(views)
    check_views(views, cameras)
    notes += list_differences(views)
    views = align_parts(views)
    several = any(len(parts.names) > 1 for parts in views.values())
    if options.match or (options.match is None and several):
        views = match_parts(
            views,
            cameras,
            options=MatchOptions(options.individuals),
            shelf=shelf,
            on_progress=progress.follow,
        )
        notes += _list_lonely(views)
    return views, notes


def _join(views: Mapping[str, Parts]) -> dict[str, Poses]:
    return {name: parts.join()[0] for name, parts in views.items()}


def _cut(views: Mapping[str, Poses]) -> dict[str, Parts]:
    return {name: Parts.of(poses) for name, poses in views.items()}


def _align_times(
    views: dict[str, Poses], times: str | os.PathLike[str]
) -> tuple[dict[str, Poses], list[str]]:
    """Align views by when their frames were taken, and say what that has lost."""
    lengths = {name: int(p.frames[-1]) + 1 if len(p) else 0 for name, p in views.items()}
    known = next((p.rate for p in views.values() if p.rate), None)
    views = align_times(views, read_times(times, lengths, rate=known))
    lost = {n: int((~p.find_present().any(1)).sum()) for n, p in views.items()}
    told = ", ".join(f"{name} {count}" for name, count in lost.items())
    pace = next((p.rate for p in views.values() if p.rate), None)
    doubt = compare_pace(pace, known) if pace is not None else ""
    said = f"aligned by time; moments of which a view has nothing: {told}"
    return views, [doubt, said] if doubt else [said]


def _override_rate(views: Mapping[str, Parts], rate: float) -> dict[str, Parts]:
    """Give all views a rate instead of what their files say."""
    if not 0 < rate < np.inf:
        raise SettingsError(f"rate: wanted frames per second above 0, came {rate:g}")
    change = partial(replace, rate=rate)
    return {name: parts.map(change) for name, parts in views.items()}


def _list_lonely(views: Mapping[str, Parts]) -> list[str]:
    """Say whom one camera alone sees: they have a 2D track and no place in space."""
    names = next(iter(views.values())).names
    together, own = np.zeros(len(names), np.int64), np.zeros((len(views), len(names)), bool)
    for parts in zip(*views.values(), strict=True):
        seen = np.stack([(poses.confidence > 0).any(-1) for poses in parts])  # (V, F, I)
        together = np.maximum(together, seen.sum(0).max(0, initial=0))
        own |= seen.any(1)
    notes = []
    for i in np.flatnonzero(together == 1):
        where = [name for name, there in zip(views, own[:, i], strict=True) if there]
        notes.append(
            f"{names[i]}: {' and '.join(where)} alone sees it: 2D tracks, no place in space"
        )
    return notes
