"""Frames to label: chosen in videos, and put into a project as images."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from mapose.arrays import Image, Ints
from mapose.errors import FormatError, SettingsError, VideoError
from mapose.files import check_writable, make_folder
from mapose.io import Video, read_image
from mapose.io.labels import name_image
from mapose.io.proposals import Proposals
from mapose.labels import Labels
from mapose.project.crops import Crop, cut_out, load_crops
from mapose.project.importing import add_image, try_labels
from mapose.project.project import Project
from mapose.project.proposals import add_proposals, list_names, load_proposals
from mapose.selection import (
    check_method,
    order_clusters,
    order_different,
    shrink_picture,
    spread_evenly,
    spread_randomly,
    take_distinct,
)

Progress = Callable[[int, int], None]
Path_ = str | os.PathLike[str]
#: Frames that are looked at for a choice by appearance: at least so many for each one that is
#: wanted, and at least and at most so many in all. To look at an hour of 640 x 480 takes 1.5
#: seconds where keyframes are enough (one in 6 seconds), some 70 where they are not.
_LOOKED_EACH, _LEAST, _MOST = 15, 200, 2400
# Candidates that are tried for each frame that is wanted before a video counts as still.
_TRIES = 20


@dataclass(frozen=True)
class Extraction:
    """What an extraction put into a project; prints itself as a line per recording.

    Parameters
    ----------
    frames : dict of str to list of int
        By video, what was extracted, ascending.
    wanted : int
        Frames wanted of each recording.
    method : str
        How they were chosen.
    """

    frames: dict[str, list[int]]
    wanted: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for JSON."""
        return {"method": self.method, "wanted": self.wanted, "frames": self.frames}

    def __str__(self) -> str:
        lines = []
        for video, frames in self.frames.items():
            few = "" if len(frames) >= self.wanted else ": no more that show something new"
            lines.append(f"{video}: {len(frames)} of {self.wanted} frames{few}")
        return "\n".join(lines)


def select_frames(
    video: Path_ | Mapping[str, Path_],
    count: int = 20,
    *,
    method: str = "kmeans",
    seed: int = 0,
    known: Iterable[int] = (),
    on_progress: Progress = lambda done, total: None,
) -> Ints:
    """Choose frames of a recording that are worth labelling.

    Parameters
    ----------
    video : path, or dict of str to path
        A video, or those of several synchronized cameras by name: the moments are then chosen by
        what all of them show.
    count : int
        Frames to choose.
    method : {"kmeans", "uniform", "random", "different"}
        One frame of each kind of appearance; the middles of equal stretches; by chance; or those
        most unlike what is labelled already, and each other.
    seed : int
        Of the chance, for ``random`` and ``kmeans``.
    known : iterable of int
        Frames that are labelled already: neither they nor what looks like them is chosen.
    on_progress : function of (int, int)
        Called with frames looked at and frames in all.

    Returns
    -------
    int64, (N,)
        Frame numbers, ascending; fewer than wanted where no more show something new.

    Raises
    ------
    VideoError
        If a video cannot be opened.
    SettingsError
        If the method is unknown or the count below 1.

    References
    ----------
    k-means on small pictures as in DeepLabCut (Nath et al. 2019, Nature Protocols 14:2152).

    Examples
    --------
    >>> from mapose.io import VideoWriter
    >>> path = getfixture("tmp_path") / "clip.mp4"
    >>> with VideoWriter(path, 25) as writer:
    ...     for level in range(50):
    ...         writer.write(np.full((48, 64), 5 * level, np.uint8))
    >>> select_frames(path, 2, method="uniform")
    array([12, 37])
    """
    _check(method, count)
    files = video if isinstance(video, Mapping) else {"": video}
    with _Recording({name: Path(file) for name, file in files.items()}) as recording:
        pictures = [p for n in known if (p := recording.look(int(n))) is not None]
        return _choose(
            recording, pictures, count=count, method=method, seed=seed, on_progress=on_progress
        )


def extract_frames(
    project: Project,
    count: int = 20,
    *,
    method: str = "kmeans",
    seed: int = 0,
    videos: Iterable[str] | None = None,
    sessions: Iterable[Sequence[str]] = (),
    on_progress: Progress = lambda done, total: None,
) -> Extraction:
    """Choose frames of a project's videos, and put them where they can be labelled.

    The images lie in ``labels/VIDEO``, and their empty labels in ``proposals.csv`` beside them,
    from which nothing is trained.

    Parameters
    ----------
    project : Project
        With videos.
    count : int
        Frames of each video, or of each session.
    method, seed
        As for `select_frames`.
    videos : iterable of str, optional
        Names of the videos; all by default.
    sessions : iterable of sequences of str
        Names of videos that synchronized cameras made: of these, the same moments are taken, as of
        the project's own sessions.
    on_progress : function of (int, int)
        Called with work done and work in all.

    Returns
    -------
    Extraction
        Also of what was done before, nothing is lost if it is interrupted.

    Raises
    ------
    SettingsError
        If there is no video, none of this name, or its file has moved.
    VideoError
        If a video cannot be opened.
    """
    _check(method, count)
    groups = _group_videos(project, videos, sessions)
    files = [{name: project.find_video(name) for name in group} for group in groups]
    check_writable(make_folder(project.path / "labels") / "proposals.csv")
    taken: dict[str, list[int]] = {}
    for place, group in enumerate(files):

        def show(done: int, total: int, place: int = place) -> None:
            on_progress(place * total + done, len(files) * total)

        with _Recording(group, load_crops(project)) as recording:
            chosen = _choose(
                recording,
                find_known_pictures(project, tuple(group)),
                count=count,
                method=method,
                seed=seed,
                on_progress=show,
            )
        frames = [int(n) for n in chosen]
        _put_frames(project, group, frames, f"chosen by {method}")
        taken |= dict.fromkeys(group, frames)
    return Extraction(taken, count, method)


def write_frames(project: Project, name: str, file: Path, frames: Iterable[int]) -> list[Path]:
    """Write frames of a video as images beside the labels of the project.

    Returns
    -------
    list of Path
        In the order of the frames.
    """
    places = []
    with Video(file) as video:
        for n in frames:
            places.append(project.path / "labels" / name / name_image(n))
            add_image(video.read(n), places[-1])
    return places


def _put_frames(
    project: Project, files: Mapping[str, Path], frames: Sequence[int], reason: str
) -> None:
    """Put the same frames of videos among those that wait to be labelled."""
    places = [p for name, file in files.items() for p in write_frames(project, name, file, frames)]
    names = list_names(project)
    shape = (len(places), len(names), len(project.skeleton.keypoints))
    labels = Labels(
        np.full((*shape, 2), np.nan, np.float32),
        project.skeleton,
        tuple(place.parent.name for place in places),
        np.tile(np.array(frames, np.int64), len(files)),
        tuple(places),
        names,
        len(names) == 1,
    )
    nobody, unknown = np.full(shape, ""), np.full(shape, np.nan, np.float32)
    looked, reasons = np.zeros(len(places), bool), (reason,) * len(places)
    add_proposals(project, Proposals(labels, looked, nobody, unknown, reasons))


class _Recording:
    """One video, or those of synchronized cameras; a moment has one small picture of all."""

    def __init__(self, files: Mapping[str, Path], crops: Mapping[str, Crop] | None = None) -> None:
        self.videos = [Video(file, gray=True) for file in files.values()]
        self.crops = [(crops or {}).get(name) for name in files]
        self.count = min(map(len, self.videos))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for video in self.videos:
            video.close()

    def look(self, n: int) -> Image | None:
        """Make the small picture of a moment; None where a camera has none."""
        try:
            return self._join([video.read(n) for video in self.videos])
        except VideoError:
            return None

    def glimpse(self, least: int) -> Iterator[tuple[int, Image]]:
        """Give moments here and there and their small pictures."""
        first, *others = self.videos
        for n, image in first.glimpse(least, _MOST):
            if n >= self.count:
                return
            try:
                rest = [video.read(n) for video in others]
            except VideoError:
                continue
            yield n, self._join([image, *rest])

    def _join(self, images: Sequence[Image]) -> Image:
        parts = zip(images, self.crops, strict=True)
        return join_pictures([shrink_picture(cut_out(image, crop)) for image, crop in parts])


def join_pictures(pictures: Sequence[Image]) -> Image:
    """Join the small pictures that cameras make of one moment into one row of pixels."""
    return np.concatenate([picture.ravel() for picture in pictures])


def _choose(
    recording: _Recording,
    known: Sequence[Image],
    *,
    count: int,
    method: str,
    seed: int,
    on_progress: Progress,
) -> Ints:
    """Choose moments; ascending."""
    total = recording.count
    found: list[int] = []
    if method in ("uniform", "random"):
        even = method == "uniform"
        order = spread_evenly(total, count) if even else spread_randomly(total, seed)
        tried = itertools.islice(order, _TRIES * count)
        for n in take_distinct(tried, recording.look, count=count, known=known):
            found.append(n)
            on_progress(len(found) * total // count, total)
    else:
        # Where keyframes show too little that is new, other frames may.
        for least in (max(_LEAST, _LOOKED_EACH * count), total + 1):
            numbers, pictures = [], []
            for n, picture in recording.glimpse(least):
                numbers.append(n)
                pictures.append(picture)
                on_progress(n, total)
            if method == "kmeans":
                rows = order_clusters(pictures, count, seed=seed)
            else:
                rows = order_different(pictures, known, count)
            taken = take_distinct(rows, pictures.__getitem__, count=count, known=known)
            found = [numbers[row] for row in taken]
            if len(found) == count or len(pictures) > min(total, _MOST) / 2:
                break
    on_progress(total, total)
    return np.sort(np.array(found, np.int64))


def find_known_pictures(project: Project, group: tuple[str, ...]) -> list[Image]:
    """Make small pictures of what is labelled or waits: of one camera, of all videos.

    Of several cameras, only moments count that are labelled in all of them.
    """
    images: dict[tuple[str, int], Path] = {}
    alone = []
    for labels in (try_labels(project), load_proposals(project).labels):
        if labels is None:
            continue
        for video, n, image in zip(labels.videos, labels.frames, labels.images, strict=True):
            if image is not None and len(group) == 1:
                alone.append([image])
            elif image is not None and n >= 0:
                images[video, int(n)] = image
    crops = load_crops(project)
    cut = [crops.get(name) for name in group]
    moments = sorted({n for _, n in images})
    together = [[images[name, n] for name in group if (name, n) in images] for n in moments]
    pictures = []
    for files in alone or [found for found in together if len(found) == len(group)]:
        try:
            parts = [cut_out(read_image(f), crop) for f, crop in zip(files, cut, strict=True)]
            pictures.append(join_pictures([shrink_picture(part) for part in parts]))
        except FormatError:  # a damaged image is told when it is trained on
            continue
    return pictures


def _group_videos(
    project: Project, videos: Iterable[str] | None, sessions: Iterable[Sequence[str]]
) -> list[list[str]]:
    """Group the videos that are wanted: each session together, every other video alone."""
    wanted = list(project.videos) if videos is None else list(videos)
    groups = [list(session) for session in sessions]
    given = {name for group in groups for name in group}
    own = [list(cameras.values()) for cameras in project.sessions.values()]
    groups += [group for group in own if not given & set(group)]
    together = [name for group in groups for name in group]
    if len(set(together)) < len(together):
        raise SettingsError("a video belongs to one session only, came one twice")
    groups += [[name] for name in dict.fromkeys(wanted) if name not in together]
    if videos is not None:
        groups = [group for group in groups if set(group) & set(wanted)]
    if not groups:
        raise SettingsError(f"{project.path} has no videos: add some with `mapose new --videos`")
    return groups


def _check(method: str, count: int) -> None:
    check_method(method)
    if count < 1:
        raise SettingsError(f"count: wanted at least one frame, came {count}")
