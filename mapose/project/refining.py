"""From a result back to labels: its worst frames, with what the model found, to be corrected."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mapose.analysis.mirroring import find_mirrored
from mapose.arrays import Image, Ints
from mapose.errors import SettingsError, ShapeError, VideoError, suggest_name
from mapose.files import check_writable, cut_suffix
from mapose.io import Video
from mapose.io.proposals import Proposals
from mapose.labels import Labels
from mapose.models import Model
from mapose.poses import Poses
from mapose.project.extracting import find_known_pictures, join_pictures, write_frames
from mapose.project.importing import try_labels
from mapose.project.project import FILE, Project
from mapose.project.proposals import add_proposals, list_names
from mapose.results.outliers import find_outliers
from mapose.results.recordings import check_recording
from mapose.results.result import Result
from mapose.selection import KINDS, Outlier, shrink_picture, take_distinct

if TYPE_CHECKING:
    from calibration import CameraGroup

Path_ = str | os.PathLike[str]
# Outliers that are looked at for each frame that is wanted: some look like what is labelled.
_SPARE = 4
# Where too little is out of the ordinary, what is a quarter as rare serves as well.
_LEAST = (1.0, 0.25)


@dataclass(frozen=True)
class Refinement:
    """Frames that are worth correcting; prints itself as a table.

    Parameters
    ----------
    outliers : tuple of (str, Outlier)
        Video, or first camera's video, and frame with its reasons; best first.
    added : int
        Frames that now wait in the project to be corrected, those of all cameras.
    """

    outliers: tuple[tuple[str, Outlier], ...]
    added: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers and words, ready for JSON."""
        rows = [{"video": video, **outlier.to_dict()} for video, outlier in self.outliers]
        return {"added": self.added, "outliers": rows}

    def __str__(self) -> str:
        if not self.outliers:
            return "nothing out of the ordinary that is not labelled already"
        width = max(len(f"{video}:{outlier.frame}") for video, outlier in self.outliers)
        lines = []
        for video, outlier in self.outliers:
            name = f"{video}:{outlier.frame}"
            lines.append(f"{name:{width}}  {outlier.score:5.1f}  {outlier.describe()}")
        return "\n".join(lines)


def refine_project(
    project: Project,
    results: Sequence[Path_] | Mapping[str, Path_],
    *,
    count: int = 20,
    against: Path_ | Model | None = None,
    calibration: Path_ | CameraGroup | None = None,
    kinds: Sequence[str] = KINDS,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Refinement:
    """Choose the frames of results that teach a model most, and propose what it found in them.

    The proposals wait in the project, to be corrected: in ``labels/VIDEO/proposals.csv`` beside the
    images. Nothing is trained on them before `accept_proposals` makes them labels.

    Parameters
    ----------
    project : Project
        Of the same keypoints. Videos that it does not have yet are added.
    results : sequence of path, or dict of str to path
        Results, one per video; or of several cameras of one session, by camera: then the same
        moments of all of them are proposed.
    count : int
        Frames, or moments, wanted in all.
    against : path or Model, optional
        What another model found in the same video; or the model that made the results, which then
        looks at some frames of each once more, mirrored: see `mapose.find_mirrored`.
    calibration, kinds
        As for `mapose.find_outliers`.
    on_progress : function of (int, int)
        Called with results looked at and results in all.

    Returns
    -------
    Refinement
        Without frames that look like one that is labelled or waits already.

    Raises
    ------
    ShapeError
        If a result has other keypoints.
    VideoError
        If the video of a result is not found.
    SettingsError
        If the count is below 1, or options do not fit.
    """
    if count < 1:
        raise SettingsError(f"count: wanted at least one frame, came {count}")
    session = isinstance(results, Mapping)
    groups: list[Mapping[str, Path_]] = (
        [results] if isinstance(results, Mapping) else [{"": file} for file in results]
    )
    if against is not None and (session or (len(groups) > 1 and not isinstance(against, Model))):
        raise SettingsError("another model's result: wanted one result to hold it against")
    check_writable(project.path / FILE)
    labels = try_labels(project)
    chosen: list[tuple[list[_View], Outlier]] = []
    for done, group in enumerate(groups):
        views = [_open_view(project, Path(file)) for file in group.values()]
        project = project.add_videos({view.name: view.video for view in views})
        other: Path_ | Poses | None = against if not isinstance(against, Model) else None
        if isinstance(against, Model):
            other = find_mirrored(views[0].video, against)
        for least in _LEAST:
            ranked = find_outliers(
                group if session else group[""],
                _SPARE * count,
                labels=labels,
                against=other,
                calibration=calibration,
                kinds=kinds,
                least=least,
            )
            kept = _leave_out_known(project, ranked, views, count)
            if len(kept) == count:
                break
        chosen += [(views, outlier) for outlier in kept]
        on_progress(done + 1, len(groups) + 1)
    if len(groups) > 1:
        chosen = sorted(chosen, key=lambda pair: -pair[1].score)[:count]
    added = 0
    for views in {id(views): views for views, _ in chosen}.values():
        own = [outlier for its, outlier in chosen if its is views]
        added += sum(add_proposals(project, _propose(project, view, own)) for view in views)
    on_progress(len(groups) + 1, len(groups) + 1)
    return Refinement(tuple((views[0].name, outlier) for views, outlier in chosen), added)


@dataclass(frozen=True)
class _View:
    """A result, its video, and what the project calls that."""

    name: str
    video: Path
    poses: Poses


def _open_view(project: Project, file: Path) -> _View:
    """Open a result and find its video; the keypoints must be those of the project."""
    with Result(file) as result:
        poses = result.poses
        # Other tools put the name of the video first, and more after it.
        own = [name for name in project.videos if cut_suffix(file.name).startswith(name)]
        try:
            video = project.find_video(max(own, key=len)) if own else result.find_video()
        except VideoError as error:
            raise VideoError(
                f"{file.name}: the project has no video of this name, and none lies beside the "
                "result: call the result after its video, or put them into one folder"
            ) from error
        with Video(video) as opened:
            check_recording(result, opened)
    if poses.dimensions != 2:
        raise ShapeError(f"{file.name}: wanted 2D poses, came 3D; name the cameras' results")
    for keypoint in poses.skeleton.keypoints:
        if keypoint not in project.skeleton.keypoints:
            hint = suggest_name(keypoint, project.skeleton.keypoints)
            raise ShapeError(f"{file.name}: the project has no keypoint {keypoint!r}: {hint}")
    return _View(project.find_own(video) or Path(video).stem, Path(video), poses)


def _leave_out_known(
    project: Project, ranked: Sequence[Outlier], views: Sequence[_View], count: int
) -> list[Outlier]:
    """Leave out frames that look like what is labelled, or like one before; best first."""
    videos = [Video(view.video, gray=True) for view in views]

    def look(place: int) -> Image | None:
        try:
            images = [video.read(ranked[place].frame) for video in videos]
        except VideoError:
            return None
        return join_pictures([shrink_picture(image) for image in images])

    known = find_known_pictures(project, tuple(view.name for view in views))
    try:
        taken = list(take_distinct(range(len(ranked)), look, count=count, known=known))
    finally:
        for video in videos:
            video.close()
    return [ranked[place] for place in taken]


def _propose(project: Project, view: _View, outliers: Sequence[Outlier]) -> Proposals:
    """Propose what a result holds in some frames, in the project's own order and names."""
    outliers = sorted(outliers, key=lambda outlier: outlier.frame)
    frames = np.array([outlier.frame for outlier in outliers], np.int64)
    poses = view.poses
    rows = np.minimum(np.searchsorted(poses.frames, frames), len(poses) - 1)
    names, columns = _name_columns(list_names(project), poses, rows)
    shape = (len(rows), len(names), len(project.skeleton.keypoints))
    points = np.full((*shape, 2), np.nan, np.float32)
    confidence = np.full(shape, np.nan, np.float32)
    channels = [project.skeleton.index(name) for name in poses.skeleton.keypoints]
    for place, row in enumerate(rows):
        if poses.frames[row] != frames[place]:  # a camera whose result lacks this moment
            continue
        for column, who in enumerate(columns[place]):
            if who >= 0:
                points[place, column, channels] = poses.points[row, who]
                confidence[place, column, channels] = poses.confidence[row, who]
    found = np.asarray(np.isfinite(points).all(-1))
    confidence[~found] = np.nan
    labels = Labels(
        points,
        project.skeleton,
        (view.name,) * len(rows),
        frames,
        tuple(write_frames(project, view.name, view.video, frames.tolist())),
        names,
        len(names) == 1,
    )
    reasons = tuple(outlier.describe() for outlier in outliers)
    origins = np.where(found, "model", "")
    return Proposals(labels, np.asarray(found.any((1, 2))), origins, confidence, reasons)


def _name_columns(names: tuple[str, ...], poses: Poses, rows: Ints) -> tuple[tuple[str, ...], Ints]:
    """Give each individual of a result one of the project's names, (N, I); -1 = nobody.

    By name where the project has all of them; else those that are there come one after the other.
    """
    if set(poses.names) <= set(names):
        order = [poses.names.index(name) if name in poses.names else -1 for name in names]
        return names, np.tile(np.array(order, np.int64), (len(rows), 1))
    there = poses.find_present()[rows]
    most = max(len(names), int(there.sum(1).max(initial=0)))
    columns = np.full((len(rows), most), -1, np.int64)
    for place, present in enumerate(there):
        who = np.flatnonzero(present)
        columns[place, : len(who)] = who
    free = (f"animal{i}" for i in range(2 * most))
    more = [name for name in free if name not in names][: most - len(names)]
    return (*names, *more), columns
