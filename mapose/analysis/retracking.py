"""Track a file of poses again: in chunks, with looks or a gallery if wanted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Singles
from mapose.doubts import Doubt
from mapose.edits import find_edits_path, write_line
from mapose.errors import FormatError, SettingsError
from mapose.files import RESULT, claim_output, cut_suffix, name_work
from mapose.io import PosesWriter, Video, load_provenance
from mapose.landmarks import hide_landmarks, join_landmarks, part_landmarks, pick_landmarks
from mapose.poses import Poses, join_poses
from mapose.recognition.gallery import Gallery, load_gallery
from mapose.results.correcting import (
    carry_edits,
    carry_origin,
    find_rate,
    set_foreign_edits_aside,
)
from mapose.results.recordings import check_recording
from mapose.results.result import Result
from mapose.skeleton import LANDMARKS
from mapose.tracking import ChunkTracker, OnlineTracker, Rows, arrange, join_rows

#: Frames in memory at a time.
CHUNK = 4096

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrackOptions:
    """How to track a file.

    Parameters
    ----------
    individuals : int, optional
        Number of animals; as many as are found by default.
    online : bool
        Name every frame without looking ahead, as in live use; needs ``individuals``.
    appearance : bool
        Learn what the animals look like from the video, and let that decide who came out of
        contacts and hiding. A file that was corrected (`mapose swap`) teaches as corrected.
    gallery : path, optional
        Name the animals by this gallery.
    video : path, optional
        For ``appearance`` and ``gallery``.
    steps : int, optional
        How long looks are learned, see `mapose.recognition.learning.learn_appearance`.

    Raises
    ------
    SettingsError
        If they contradict each other.
    """

    individuals: int | None = None
    online: bool = False
    appearance: bool = False
    gallery: str | os.PathLike[str] | None = None
    video: str | os.PathLike[str] | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.online and (self.appearance or self.individuals is None):
            raise SettingsError(
                "track: online needs the number of animals and cannot learn their looks first"
            )
        if (self.appearance or self.gallery is not None) and self.video is None:
            raise SettingsError("track: looks and galleries need the video")


def track_file(
    file: str | os.PathLike[str] | Result,
    output: str | os.PathLike[str] | None = None,
    *,
    options: TrackOptions | None = None,
    force: bool = False,
    on_progress: OnProgress = lambda stage, done, total: None,
) -> Path:
    """Track the poses of a file again; names that they have are not used.

    Parameters
    ----------
    file : path or Result
        Poses of any format that `mapose.read` knows. Of our own files only a chunk is in memory
        at a time, unless looks or a gallery are wanted.
    output : path, optional
        ``NAME.tracked.mapose.h5`` beside the file by default.
    options : TrackOptions, optional
        By default as many animals as are found, offline.
    force : bool
        Replace what another file or other options made, or somebody else.
    on_progress : function of (str, int, int), optional
        Told the stage, what is done and the total.

    Returns
    -------
    Path
        Of the result, which appears whole or not at all. It holds the doubts that `mapose
        swaps` ranks.

    Raises
    ------
    FormatError
        If the file cannot be read.
    SettingsError
        If the output is one of the files that are read, or may not be replaced.
    """
    options = options or TrackOptions()
    source = file if isinstance(file, Result) else Result(file)
    target = Path(output) if output else find_tracked(source.path)
    made = _name_tracking(source.path, options)
    inputs = [source.path, find_edits_path(source.path), options.gallery, options.video]
    claimed = claim_output(
        target,
        inputs=[path for path in inputs if path is not None],
        suffixes=[RESULT],
        made=made,
        force=force,
    )
    with claimed, source:
        # Before the work: what is wrong with it is said now.
        gallery = None if options.gallery is None else load_gallery(options.gallery)
        if options.video is not None and Path(options.video).exists():
            with Video(options.video) as video:
                check_recording(source, video)
        provenance = {"source": source.path.name, "made": made, **carry_origin(source, target)}
        provenance["edits"] = [write_line(edit) for edit in source.edits]
        carried = _load_carried(target)
        if options.appearance or options.gallery is not None:
            _ = source.found  # the whole recording is looked at: read once, not chunk by chunk
        follow = _track_online if options.online else _track_offline
        tracked = follow(source, options, on_progress)
        if options.gallery is not None and gallery is not None:
            tracked = _name_by_gallery(tracked, options, gallery, on_progress)
            provenance["gallery"] = Path(options.gallery).name
        like = source.read_window(slice(0, 1))
        _write(tracked, target, replace(like, rate=like.rate or find_rate(source)), provenance)
        carry_edits(source.edits, target, carried=carried)
    return target


def _load_carried(target: Path) -> list[str]:
    """Load the lines of the edits that came with the last tracking; none if it does not say."""
    try:
        return list(load_provenance(target).get("edits", ())) if target.is_file() else []
    except FormatError:
        return []


def find_tracked(file: str | os.PathLike[str]) -> Path:
    """Find where a file lies when it is tracked again: ``NAME.tracked.mapose.h5`` beside it."""
    path = Path(file)
    return path.with_name(f"{cut_suffix(path.name)}.tracked{RESULT}")


def _name_tracking(file: str | os.PathLike[str], options: TrackOptions) -> str:
    return name_work(
        "track",
        [file],
        individuals=options.individuals,
        online=options.online,
        appearance=options.appearance,
        gallery=None if options.gallery is None else Path(options.gallery).name,
    )


@dataclass(frozen=True)
class _Tracked:
    """Named poses, chunk by chunk; doubts are None where nobody looked for them."""

    names: Sequence[str]
    chunks: Iterable[Poses]
    doubts: Sequence[Doubt] | None


def _read_chunks(source: Result) -> Iterator[Poses]:
    for start in range(0, max(len(source), 1), CHUNK):
        yield source.read_window(slice(start, start + CHUNK))


def _track_offline(source: Result, options: TrackOptions, on_progress: OnProgress) -> _Tracked:
    tracker, done = ChunkTracker(individuals=options.individuals), 0
    for poses in _read_chunks(source):
        tracker.add(poses)
        done += len(poses)
        on_progress("tracking", done, len(source))
    found = tracker.finish(min_rows=1)
    if options.appearance:
        tracker.look_again(_read_chunks(source), _look(source, found, options, on_progress))
        found = tracker.finish(min_rows=1)
    return _Tracked(found.names, found.arrange(_read_chunks(source)), found.doubts)


def _look(source: Result, found: Rows, options: TrackOptions, on_progress: OnProgress) -> Singles:
    """Learn what the animals look like, and measure it on all detections, (F, I, D)."""
    from mapose.recognition.learning import find_embeddings, learn_appearance

    assert options.video is not None
    # What a person has corrected is the better teacher. The tracker's own names are none: they
    # are what looks are to correct (a swap stated at 0.04 taught one animal's name with the
    # other's looks, and stayed; without the names it was put right).
    corrected = bool(source.edits)
    named = source.poses if corrected else join_poses(list(found.arrange(_read_chunks(source))))
    appearance = learn_appearance(
        options.video,
        named if corrected else replace(named, identity=None),
        steps=options.steps,
        on_progress=lambda done, total: on_progress("learning looks", done, total),
    )
    return find_embeddings(
        options.video,
        source.found,
        appearance,
        on_progress=lambda done, total: on_progress("looking", done, total),
    )


def _track_online(source: Result, options: TrackOptions, on_progress: OnProgress) -> _Tracked:
    assert options.individuals is not None
    tracker = OnlineTracker(individuals=options.individuals)
    names = tuple(f"track{i}" for i in range(options.individuals))

    def follow() -> Iterator[Poses]:
        done = 0
        for poses in _read_chunks(source):
            animals = hide_landmarks(poses)
            found = tracker.update_many(animals.points, animals.confidence)
            named = arrange(animals, found, np.arange(len(names)), names)
            yield join_landmarks(named, pick_landmarks(poses))
            done += len(poses)
            on_progress("tracking", done, len(source))

    marked = source.read_window(slice(0, 1)).skeleton.landmarks
    return _Tracked((*names, LANDMARKS) if marked else names, follow(), None)


def _name_by_gallery(
    tracked: _Tracked, options: TrackOptions, gallery: Gallery, on_progress: OnProgress
) -> _Tracked:
    from mapose.recognition.learning import find_names

    assert options.video is not None
    poses, marks = part_landmarks(join_poses(list(tracked.chunks)))
    labels, sure = find_names(
        poses,
        options.video,
        gallery=gallery,
        on_progress=lambda done, total: on_progress("recognising", done, total),
    )
    named = join_rows(poses, labels, sure, order=gallery.names)
    new = dict(zip(poses.names, labels, strict=True))
    doubts = None if tracked.doubts is None else _rename_doubts(tracked.doubts, new)
    named = join_landmarks(named, marks)
    return _Tracked(named.names, [named], doubts)


def _rename_doubts(doubts: Iterable[Doubt], labels: Mapping[str, str]) -> list[Doubt]:
    """Give doubts the new names of their rows; nobody is taken for himself."""
    named = [(doubt, tuple(labels[name] for name in doubt.individuals)) for doubt in doubts]
    return [
        Doubt(doubt.first, doubt.last, (a, b), doubt.probability)
        for doubt, (a, b) in named
        if a != b
    ]


def _write(tracked: _Tracked, target: Path, like: Poses, provenance: Mapping[str, Any]) -> None:
    with PosesWriter(
        target,
        like.skeleton,
        tracked.names,
        rate=like.rate,
        unit=like.unit,
        provenance=provenance,
    ) as writer:
        for poses in tracked.chunks:
            writer.append(poses)
        if tracked.doubts is not None:
            writer.add_doubts(tracked.doubts)
        set_foreign_edits_aside(target, provenance["recording"])
