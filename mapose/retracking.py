"""Track a file of poses again: in chunks, with looks or a gallery if wanted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mapose.correcting import find_recording, load_corrected, set_foreign_edits_aside
from mapose.edits import find_edits_path
from mapose.errors import SettingsError
from mapose.files import check_output, name_work
from mapose.gallery import load_gallery
from mapose.io import (
    PosesWriter,
    count_frames,
    load,
    load_contacts,
    load_provenance,
    read,
    save,
)
from mapose.poses import Poses
from mapose.tracking import ChunkTracker, Contact, OnlineTracker, arrange, join_rows

SUFFIX = ".mapose.h5"
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
        How long looks are learned, see `mapose.recognition.learn_appearance`.

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
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    options: TrackOptions | None = None,
    force: bool = False,
    on_progress: OnProgress = lambda stage, done, total: None,
) -> Path:
    """Track the poses of a file again; names that they have are not used.

    Parameters
    ----------
    file : path
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
        Of the result, which appears whole or not at all. It holds the contacts that `mapose
        swaps` ranks.

    Raises
    ------
    FormatError
        If the file cannot be read.
    SettingsError
        If the output is one of the files that are read, or may not be replaced.
    """
    options = options or TrackOptions()
    target = Path(output) if output else find_tracked(file)
    made = _name_tracking(file, options)
    inputs = [file, find_edits_path(file), options.gallery, options.video]
    check_output(target, inputs=[p for p in inputs if p is not None], made=made, force=force)
    source = _Source(Path(file), made)
    if options.online:
        _track_online(source, target, options, on_progress)
    else:
        _track_offline(source, target, options.individuals, on_progress=on_progress)
    if options.appearance:
        from mapose.recognition import find_embeddings, learn_appearance

        assert options.video is not None
        # What a person has corrected is the better teacher. The tracker's own names are none: they
        # are what looks are to correct (a swap stated at 0.04 taught one animal's name with the
        # other's looks, and stayed; without the names it was put right).
        corrected = find_edits_path(source.path).is_file()
        appearance = learn_appearance(
            options.video,
            load_corrected(source.path) if corrected else replace(load(target), identity=None),
            steps=options.steps,
            on_progress=lambda done, total: on_progress("learning looks", done, total),
        )
        embeddings = find_embeddings(
            options.video,
            source.read(slice(None)),
            appearance,
            on_progress=lambda done, total: on_progress("looking", done, total),
        )
        _track_offline(
            source, target, options.individuals, embeddings=embeddings, on_progress=on_progress
        )
    if options.gallery is not None:
        _name_by_gallery(target, options, on_progress)
    return target


def find_tracked(file: str | os.PathLike[str]) -> Path:
    """Find where a file lies when it is tracked again: ``NAME.tracked.mapose.h5`` beside it."""
    path = Path(file)
    stem = path.name.removesuffix(SUFFIX).removesuffix(path.suffix)
    return path.with_name(f"{stem}.tracked{SUFFIX}")


def _name_tracking(file: str | os.PathLike[str], options: TrackOptions) -> str:
    return name_work(
        "track",
        [file],
        individuals=options.individuals,
        online=options.online,
        appearance=options.appearance,
        gallery=None if options.gallery is None else Path(options.gallery).name,
    )


class _Source:
    """Poses of a file, a chunk at a time where the format allows it, and what is made of them."""

    def __init__(self, path: Path, made: str) -> None:
        self.path = path
        ours = path.name.endswith(SUFFIX)
        known = find_recording(load_provenance(path)) if ours else None
        self.recording = known or path.name
        self.provenance = {"source": path.name, "made": made, "recording": self.recording}
        self._whole = None if ours else read(path)
        self.n_frames = count_frames(path) if self._whole is None else len(self._whole)

    def read(self, rows: slice) -> Poses:
        if self._whole is None:
            return load(self.path, rows=rows)
        return self._whole.sel(frames=self._whole.frames[rows])

    def read_chunks(self) -> Iterator[tuple[slice, Poses]]:
        for start in range(0, max(self.n_frames, 1), CHUNK):
            rows = slice(start, min(start + CHUNK, self.n_frames))
            yield rows, self.read(rows)


def _track_offline(
    source: _Source,
    target: Path,
    individuals: int | None,
    *,
    embeddings: npt.NDArray[np.float32] | None = None,
    on_progress: OnProgress,
) -> None:
    tracker = ChunkTracker(individuals=individuals)
    for rows, poses in source.read_chunks():
        tracker.add(poses, None if embeddings is None else embeddings[rows])
        on_progress("tracking", rows.stop, source.n_frames)
    found = tracker.finish(min_rows=1)
    named = found.arrange(poses for _, poses in source.read_chunks())
    _write(source, target, found.names, named, found.contacts)


def _track_online(
    source: _Source, target: Path, options: TrackOptions, on_progress: OnProgress
) -> None:
    assert options.individuals is not None
    tracker = OnlineTracker(individuals=options.individuals)
    names = tuple(f"track{i}" for i in range(options.individuals))

    def follow() -> Iterator[Poses]:
        for rows, poses in source.read_chunks():
            found = tracker.update_many(poses.points, poses.confidence)
            yield arrange(poses, found, np.arange(len(names)), names)
            on_progress("tracking", rows.stop, source.n_frames)

    _write(source, target, names, follow(), None)


def _write(
    source: _Source,
    target: Path,
    names: tuple[str, ...],
    named: Iterable[Poses],
    contacts: Iterable[Contact] | None,
) -> None:
    """Write named poses chunk by chunk, and the contacts, None where nobody looked for them."""
    begin = source.read(slice(0, 1))
    with PosesWriter(
        target,
        begin.skeleton,
        names,
        rate=begin.rate,
        unit=begin.unit,
        provenance=source.provenance,
    ) as writer:
        for poses in named:
            writer.append(poses)
        if contacts is not None:
            writer.add_contacts([asdict(contact) for contact in contacts])
        set_foreign_edits_aside(target, source.recording)


def _name_by_gallery(target: Path, options: TrackOptions, on_progress: OnProgress) -> None:
    from mapose.recognition import find_names

    assert options.video is not None and options.gallery is not None
    poses, gallery = load(target), load_gallery(options.gallery)
    labels, sure = find_names(
        poses,
        options.video,
        gallery=gallery,
        on_progress=lambda done, total: on_progress("recognising", done, total),
    )
    save(
        join_rows(poses, labels, sure, order=gallery.names),
        target,
        provenance={**load_provenance(target), "gallery": Path(options.gallery).name},
        contacts=_rename_contacts(
            load_contacts(target), dict(zip(poses.names, labels, strict=True))
        ),
    )


def _rename_contacts(
    contacts: list[dict[str, Any]], labels: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Give contacts the new names of their rows; nobody is taken for himself."""
    named = [
        {**contact, "individuals": [labels[name] for name in contact["individuals"]]}
        for contact in contacts
    ]
    return [c for c in named if len(set(c["individuals"])) == len(c["individuals"])]
