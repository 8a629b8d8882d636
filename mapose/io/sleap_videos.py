"""The recordings that a SLEAP file is about: their names, their files, and what is said of them."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapose.errors import VideoError
from mapose.io.sources import (
    VIDEO_SUFFIXES,
    find_video,
    is_file,
    list_videos,
    split_path,
    tell_apart,
)
from mapose.io.video import Video

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recordings:
    """The recordings of a file, in its order.

    Parameters
    ----------
    names : list of str
        Stems, with folders where two are called alike.
    files : dict of str to Path
        Of those that were found, by name.
    lengths : dict of str to int
        Frames, as the label file says it, or else as the video has.
    rates : dict of str to float
        Frames per second of those that were found.
    sizes : dict of str to (int, int)
        Width and height that the label file states.
    others : dict of str to str
        Of files that have another size than the labels were made on, a sentence.
    told : list of str
        Further sentences about what does not fit.
    """

    names: list[str]
    files: dict[str, Path]
    lengths: dict[str, int]
    rates: dict[str, float]
    sizes: dict[str, tuple[int, int]]
    others: dict[str, str]
    told: list[str]


def find_recordings(source: Any, path: Path, last: int | None) -> Recordings:
    """Name each video, find its file, and hold its size and length against what is said of them.

    Parameters
    ----------
    source : sleap_io.Labels
    path : Path
        Of the label file.
    last : int, optional
        Last frame with labels, by which another file is found fit to stand in for the only video.
    """
    stored = [_stored_name(video) for video in source.videos]
    found = _find_files(stored, path)
    if len(stored) == 1 and found[0] is None and last is not None:
        found = [_find_stand_in(source.videos[0], path, last)]
    parts = [
        split_path(os.path.normpath(file) if file else name) or ["video"]
        for name, file in zip(stored, found, strict=True)
    ]
    names = tell_apart([(*p[:-1], Path(p[-1]).stem) for p in parts])
    files = {n: f for n, f in zip(names, found, strict=True) if f is not None}
    recordings = Recordings(names, files, {}, {}, {}, {}, [])
    for name, video in zip(names, source.videos, strict=True):
        _hold_against(recordings, name, _find_shape(video))
    return recordings


def _hold_against(recordings: Recordings, name: str, stated: tuple[int, int, int] | None) -> None:
    """Compare a video's file with the frames, height and width that the label file states."""
    if stated is not None:
        recordings.lengths[name] = stated[0]
        recordings.sizes[name] = (stated[2], stated[1])
    if name not in recordings.files:
        return
    file = recordings.files[name]
    try:
        with Video(file) as video:
            count, (width, height), rate = len(video), video.size, video.rate
    except VideoError:
        return
    recordings.lengths.setdefault(name, count)
    if rate:
        recordings.rates[name] = rate
    if stated is None:
        return
    if (height, width) != stated[1:]:
        recordings.others[name] = (
            f"{file.name} is {width} x {height}, but the labels were made on {stated[2]} x "
            f"{stated[1]}"
        )
    if count != stated[0]:
        recordings.told.append(
            f"{file.name} has {count} frames, but the labels were made on {stated[0]}: the numbers "
            "of its frames may have changed"
        )


def _find_shape(video: Any) -> tuple[int, int, int] | None:
    """Find how many frames of which height and width a video is said to have; None if unsaid."""
    video = _find_original(video)
    shape = (video.backend_metadata or {}).get("shape")
    if shape is None or min(shape[:3]) <= 0:
        return None
    return int(shape[0]), int(shape[1]), int(shape[2])


def _find_original(video: Any) -> Any:
    """Find the recording behind images that were copied into the label file."""
    while getattr(video, "source_video", None) is not None:
        video = video.source_video
    return video


def _find_files(stored: list[str], path: Path) -> list[Path | None]:
    """Find the file of each stored name; no two recordings get the same one.

    A recording that is called like another one of the file is looked for with its folders. The
    bare name beside the labels counts for the first of them only.
    """
    distinct = list(dict.fromkeys(stored))
    found: dict[str, Path | None] = {}
    for name in distinct:
        parts = split_path(name)
        tries = [Path(name)] if Path(name).is_absolute() else []
        tails = [parts[-n:] for n in range(min(len(parts), 8), 1, -1)]
        tries += [b.joinpath(*tail) for tail in tails for b in (path.parent, path.parent.parent)]
        tries += [path.parent / Path(*parts)] if parts else []
        videos = (t for t in tries if t.suffix.lower() in VIDEO_SUFFIXES and is_file(t))
        found[name] = next(videos, None)
    for name in distinct:
        last = (split_path(name) or ["video"])[-1]
        alike = [n for n in distinct if n != name and split_path(n)[-1:] == [last]]
        if found[name] is None:
            file = find_video(last, [path.parent, path.parent.parent])
            free = file is not None and not any(_is_same(file, f) for f in found.values() if f)
            found[name] = file if free else None
            if free and alike:
                log.warning(
                    "%s names several recordings %s; that beside it, %s, is taken for that of %s",
                    path.name, last, file, name,
                )  # fmt: skip
    return [found[name] for name in stored]


def _is_same(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve()


def _stored_name(video: Any) -> str:
    """Find the name of the recording, behind images that were copied into the label file."""
    name = _find_original(video).filename
    if isinstance(name, list):
        folders = split_path(str(name[0]))[:-1] if name else []
        return folders[-1] if folders else "images"
    return str(name)


def _find_stand_in(video: Any, path: Path, last: int) -> Path | None:
    """Take the only video beside the labels, if it has the frames and the size that they need."""
    beside = list_videos(path.parent)
    shape = _find_shape(video)
    if len(beside) != 1 or isinstance(video.filename, list):
        return None
    try:
        with Video(beside[0]) as candidate:
            n_frames, (width, height) = candidate.n_frames, candidate.size
    except VideoError:
        return None
    fits = n_frames > last if not shape else (n_frames, height, width) == shape
    if fits:
        log.warning(
            "%s: the video %s is not there; taking %s, the only one beside it, which has %d frames",
            path.name,
            split_path(_stored_name(video))[-1],
            beside[0].name,
            n_frames,
        )
    return beside[0] if fits else None
