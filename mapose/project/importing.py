"""Labels made elsewhere, brought into a project with their images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mapose.arrays import Image, Ints
from mapose.errors import FormatError, SettingsError, ShapeError, suggest_name
from mapose.files import check_writable, make_folder, remove_debris
from mapose.io import Video, read_embedded_images, read_image, read_labels, save_labels, write_image
from mapose.labels import Labels
from mapose.locks import lock_output
from mapose.project.project import FILE, Project
from mapose.skeleton import Skeleton


@dataclass(frozen=True)
class ImportReport:
    """What an import took.

    Parameters
    ----------
    taken, offered : int
        Frames taken, and frames with labels in the source.
    twice : int
        Frames that were labelled here already and stayed as they were.
    without : int
        Frames whose image was not found.
    """

    taken: int
    offered: int
    twice: int
    without: int

    def __str__(self) -> str:
        text = f"{self.taken} of {self.offered} labelled frames taken"
        if self.twice:
            text += f"; {self.twice} were here already and stayed as they were"
        if self.without:
            text += f"; {self.without} have neither an image nor a video"
        return text


def import_project(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    count: int | None = None,
    rename: Mapping[str, str] | None = None,
    individuals: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Project, ImportReport]:
    """Bring labels of another tool into a project, which is made if it is not there.

    Parameters
    ----------
    path : path
        Project folder, old or new.
    source : path
        A DeepLabCut project or csv, a SLEAP file, a COCO json, or a table of another tool.
    count : int, optional
        Frames to take, spread evenly; all by default.
    rename : dict of str to str, optional
        Old keypoint name to new name.
    individuals : int, optional
        Animals at most; by default as many as the fullest labelled frame has.
    on_progress : function of (int, int), optional
        Called with images taken and images in all.

    Raises
    ------
    FormatError, ShapeError, SettingsError
        If the source cannot be read, or does not fit the project.
    """
    labels = read_labels(Path(source))
    if rename:
        labels = labels.renamed(dict(rename))
    path = make_folder(path)
    with lock_output(path / FILE, wait=True):
        is_new = not (path / FILE).is_file()
        if is_new:
            present = np.isfinite(labels.points).all(-1).any(-1)
            most = int(present.sum(1).max(initial=1))
            names = labels.individuals if labels.identified else max(most, 1)
            project = Project.create(path, labels.skeleton, individuals=individuals or names)
        else:
            project = Project.load(path)
        try:
            report = import_labels(
                project, labels, count=count, source=Path(source), on_progress=on_progress
            )
        except BaseException:
            if is_new:  # it would be in the way of the next try, with another skeleton say
                shutil.rmtree(path)
            raise
        return Project.load(path), report


def import_labels(
    project: Project,
    labels: Labels,
    *,
    count: int | None = None,
    source: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImportReport:
    """Take over labels made elsewhere, with their images.

    Parameters
    ----------
    project : Project
        Who takes them.
    labels : Labels
        As `mapose.io.read_labels` gives them.
    count : int, optional
        Take this many frames, spread evenly over the recording; all by default.
    source : Path, optional
        The file they were read from, which may hold images itself.
    on_progress : function of (int, int), optional
        Called with images taken and images in all.

    Returns
    -------
    ImportReport
        What was taken and what was not, and why. Frames that are labelled here already
        stay as they are.

    Raises
    ------
    FormatError
        If no frame can be taken.
    ShapeError
        If the labels have keypoints that the project has not.
    SettingsError
        If one of their videos has the name of another video of the project, or an image would
        replace another picture.
    """
    make_folder(project.path / "labels")
    check_writable(project.path / "labels" / "labels.csv")
    with lock_output(project.path / FILE, wait=True):
        for file in (project.path / "labels").glob("*/labels.csv"):
            remove_debris(file)
        return _import_labels(
            Project.load(project.path), labels, count=count, source=source, on_progress=on_progress
        )


def _import_labels(
    project: Project,
    labels: Labels,
    *,
    count: int | None,
    source: Path | None,
    on_progress: Callable[[int, int], None],
) -> ImportReport:
    labels = _reorder(labels, project.skeleton)
    # Another recording of the same name would mix its labels with those that are here.
    project.with_videos((labels.sources or {}).values())
    old = _try_labels(project)
    offered, labels = len(labels), labels.take(_choose_rows(labels, count))
    here = set() if old is None else _name_frames(old)
    kept: list[int] = []
    files: list[Path] = []
    twice = 0
    for done, (row, image) in enumerate(_read_images(labels, source), 1):
        name = _name_image(labels, row)
        if (labels.videos[row], name) in here:
            twice += 1
            continue
        files.append(project.path / "labels" / labels.videos[row] / name)
        _add_image(image, files[-1])
        kept.append(row)
        on_progress(done, len(labels))
    if not kept and not twice:
        raise FormatError(
            f"none of the {len(labels)} labelled frames has an image: no image files, no "
            "images in the label file and no video were found; put the video beside the labels"
        )
    if kept:
        new = replace(labels.take(kept), images=tuple(files), sources={})
        save_labels(new if old is None else join_labels(old, new), project.path / "labels")
    project.add_videos((labels.sources or {}).values())
    return ImportReport(len(kept), offered, twice, len(labels) - len(kept) - twice)


def join_labels(old: Labels, new: Labels) -> Labels:
    """Put two label sets of one skeleton together; individuals are matched by name."""
    names = tuple(dict.fromkeys((*old.individuals, *new.individuals)))
    shape = (len(old) + len(new), len(names), *old.points.shape[2:])
    points = np.full(shape, np.nan, np.float32)
    for part, start in ((old, 0), (new, len(old))):
        columns = [names.index(i) for i in part.individuals]
        points[start : start + len(part), columns] = part.points
    return replace(
        old,
        points=points,
        videos=old.videos + new.videos,
        frames=np.concatenate([old.frames, new.frames]),
        images=old.images + new.images,
        individuals=names,
        identified=old.identified and new.identified,
    )


def _reorder(labels: Labels, skeleton: Skeleton) -> Labels:
    """Bring the keypoints of labels into the project's order; absent ones become NaN."""
    shape = (*labels.points.shape[:2], len(skeleton.keypoints), 2)
    points = np.full(shape, np.nan, np.float32)
    for k, name in enumerate(labels.skeleton.keypoints):
        if name not in skeleton.keypoints:
            hint = suggest_name(name, skeleton.keypoints)
            raise ShapeError(f"the project has no keypoint {name!r}: {hint}; use --rename old=new")
        points[:, :, skeleton.index(name)] = labels.points[:, :, k]
    return replace(labels, points=points, skeleton=skeleton)


def _choose_rows(labels: Labels, count: int | None) -> Ints:
    """Choose one row at random from each of ``count`` equal stretches, always the same ones."""
    if count is None or count >= len(labels):
        return np.arange(len(labels))
    if count < 1:
        raise SettingsError(f"count: wanted at least one frame, came {count}")
    # Whole frames, or the last of one stretch could be the first of the next.
    edges = np.floor(np.linspace(0, len(labels), count + 1))
    share = np.random.default_rng(0).uniform(size=count)
    return np.floor(edges[:-1] + share * np.diff(edges)).astype(np.int64)


def _read_images(labels: Labels, source: Path | None) -> Iterator[tuple[int, Path | Image]]:
    """Give row and image of every labelled frame whose image exists somewhere."""
    videos, sources = np.array(labels.videos), labels.sources or {}
    missing = []
    for row, image in enumerate(labels.images):
        if image is not None:
            yield row, image
        elif labels.videos[row] not in sources:
            missing.append(row)
    for name, path in sources.items():
        wanted = [int(r) for r in np.flatnonzero(videos == name) if labels.images[r] is None]
        if wanted:
            yield from _read_frames(path, labels.frames, wanted)
    if missing and source is not None:
        for row, embedded in read_embedded_images(source, labels.take(missing)):
            yield missing[row], embedded


def _read_frames(path: Path, frames: Ints, rows: Sequence[int]) -> Iterator[tuple[int, Image]]:
    with Video(path) as video:
        beyond = [int(frames[r]) for r in rows if not 0 <= frames[r] < len(video)]
        if beyond:
            raise FormatError(
                f"the labels name frame {beyond[0]} of {path.name}, which has {len(video)} frames "
                f"({len(beyond)} such labels): is this the video that was labelled?"
            )
        for row in sorted(rows, key=lambda r: int(frames[r])):
            yield row, video.read(int(frames[row]))


def _add_image(image: Path | Image, place: Path) -> None:
    """Put an image into the project; one that is there already stays, and must be the same."""
    if not place.exists():
        write_image(image, place)
        return
    pixels = read_image(image) if isinstance(image, Path) else image
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if not np.array_equal(read_image(place), pixels):
        raise SettingsError(
            f"{place} is there already and shows something else than the frame to import: move it "
            "elsewhere, or rename the video"
        )


def _name_frames(labels: Labels) -> set[tuple[str, str]]:
    return {(v, p.name) for v, p in zip(labels.videos, labels.images, strict=True) if p}


def _name_image(labels: Labels, row: int) -> str:
    image, frame = labels.images[row], int(labels.frames[row])
    if image is not None:
        return image.with_suffix(".png").name
    return f"frame{frame if frame >= 0 else row:06d}.png"


def _try_labels(project: Project) -> Labels | None:
    has = any((project.path / "labels").glob("*/labels.csv"))
    return project.load_labels() if has else None
